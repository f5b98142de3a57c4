//! This machine's own name, for EHLO.

/// The name that the kernel holds, or `localhost` when it holds none that can go on a command line.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let fits =
        !name.is_empty() && name.len() <= 255 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    if fits { name.to_owned() } else { "localhost".to_owned() }
}
