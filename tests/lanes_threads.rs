//! What lanes cost: a thread each, and none for a message that waits. Alone in its program, since it counts all
//! threads.

#[path = "lanes/stage.rs"]
mod stage;

use pipelane::lane::Inbox;
use stage::*;

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

/// Kilobytes of this process in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a figure");
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("kilobytes")
}

#[test]
fn threads_grow_with_lanes_and_not_with_messages() {
    let (before, memory) = (threads(), resident());
    let mut idle = stage(sorted(&[1], 0), 1);
    let inboxes: Vec<Inbox> = (0..64).map(|n| idle.submit_to(hop(n), &n.to_string(), SIZES[n % 4])).collect();
    (0..64).for_each(|n| _ = idle.taken(&n.to_string()));
    (0..64).for_each(|n| idle.answer(&n.to_string()));
    all_delivered(&inboxes);
    assert_eq!(threads(), before + 64, "a lane for each next hop");
    println!("64 idle lanes: {} kB more in memory", resident() - memory);

    let mut busy = stage(sorted(&[1], 0), 1);
    let carried: Vec<Inbox> = (0..4).map(|bin| busy.sent(&bin.to_string(), SIZES[bin]).0).collect();
    let lanes = threads();
    assert_eq!(lanes, before + 64 + 4);
    let waiting: Vec<Inbox> = (4..1000).map(|n| busy.submit(&n.to_string(), SIZES[n % 4])).collect();
    assert_eq!(threads(), lanes, "messages that wait cost no thread");
    println!("and a thousand messages: {} kB more in memory", resident() - memory);
    busy.engine.reconfigure(with_drain(sorted(&[1], 0), std::time::Duration::ZERO));
    drop(busy.engine);
    drop(idle.engine);
    drop(carried);
    waiting.iter().for_each(|inbox| drop(report(inbox)));
}
