//! The addresses of this machine's network interfaces (getifaddrs(3)).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

/// All of them, of those that are down too.
pub fn interface_addresses() -> io::Result<Vec<IpAddr>> {
    let mut first: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: `first` lives through the call, which makes it the head of a list of its own.
    while unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let (mut found, mut next) = (Vec::new(), first);
    // SAFETY: null ends the list, of which all is there until it is freed.
    while let Some(interface) = unsafe { next.as_ref() } {
        // SAFETY: as above; an interface without an address has a null pointer for it.
        found.extend(unsafe { address(interface.ifa_addr) });
        next = interface.ifa_next;
    }
    // SAFETY: it came from getifaddrs and is used no more.
    unsafe { libc::freeifaddrs(first) };
    Ok(found)
}

/// # Safety
///
/// The pointer is null, or there is an address behind it as its family has them.
unsafe fn address(socket_address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: the caller's promise; every address begins with its family.
    let family = unsafe { socket_address.as_ref() }?.sa_family;
    match libc::c_int::from(family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is one of these. It may lie at any place.
            let found = unsafe { socket_address.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(u32::from_be(found.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let found = unsafe { socket_address.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(found.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_among_them() {
        let found = interface_addresses().expect("a list");
        assert!(found.contains(&Ipv4Addr::LOCALHOST.into()), "{found:?}");
    }
}
