//! A stopped sink leaves no thread behind. Alone in its program, since it counts all threads.

use pipelane::sink::{Sink, SinkOptions};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

#[test]
fn no_thread_is_left() {
    let before = threads();
    let mut sink =
        Sink::start(SinkOptions { latency: Duration::from_secs(600), ..SinkOptions::default() }).expect("a port");
    let connections: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(sink.address()).expect("connected")).collect();
    while sink.totals().connections < 10 {
        std::thread::yield_now();
    }
    assert!(threads() > before);
    sink.stop();
    // A joined thread may be listed by the kernel for a moment longer.
    let deadline = Instant::now() + Duration::from_secs(20);
    while threads() > before {
        assert!(Instant::now() < deadline, "{} threads are left", threads() - before);
        std::thread::yield_now();
    }
    drop(connections);
}
