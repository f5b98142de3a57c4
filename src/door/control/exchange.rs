//! One client of the control door, from its connection to its end. Never waits.
//!
//! At most [`MAX_REQUEST`] octets are read, whatever the client sends; an answer is shared, not copied.

use crate::net::{Interest, Watch};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

/// The most octets of a request, its line end included.
pub const MAX_REQUEST: usize = 256;

/// The dialogue with one client.
#[derive(Debug)]
pub(super) struct Exchange {
    stream: UnixStream,
    deadline: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// What came of the request so far.
    Asking(Vec<u8>),
    /// What is to be sent, and how much of it was.
    Answering(Arc<[u8]>, usize),
}

/// What comes next.
enum Step {
    /// The same again, at once.
    On,
    /// The client has to do something first.
    Wait,
    /// It is over.
    End,
}

impl Exchange {
    pub(super) fn new(stream: UnixStream, deadline: Instant) -> io::Result<Exchange> {
        stream.set_nonblocking(true)?;
        Ok(Exchange { stream, deadline, stage: Stage::Asking(Vec::new()) })
    }

    /// For `poll(2)`: what the client has to do first.
    pub(super) fn watch(&self) -> Watch<'_> {
        let interest = match self.stage {
            Stage::Asking(_) => Interest::Read,
            Stage::Answering(..) => Interest::Write,
        };
        Watch::new(self.stream.as_fd(), interest)
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.deadline <= now
    }

    /// Goes as far as it can without waiting. `false`: it is over, well or not.
    pub(super) fn go_on(&mut self, mut answer: impl FnMut(&[u8]) -> Arc<[u8]>) -> bool {
        loop {
            let step = match &mut self.stage {
                Stage::Asking(_) => self.read(&mut answer),
                Stage::Answering(..) => self.write(),
            };
            match step {
                Ok(Step::On) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(Step::Wait) => return true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                // A client that has gone is owed nothing.
                Ok(Step::End) | Err(_) => return false,
            }
        }
    }

    fn read(&mut self, answer: &mut impl FnMut(&[u8]) -> Arc<[u8]>) -> io::Result<Step> {
        let Stage::Asking(request) = &mut self.stage else { return Ok(Step::On) };
        let mut piece = [0; MAX_REQUEST];
        let octets = self.stream.read(&mut piece[..MAX_REQUEST - request.len()])?;
        request.extend_from_slice(&piece[..octets]);
        let end = memchr::memchr(b'\n', request);
        if end.is_none() && octets == 0 {
            return Ok(Step::End);
        }
        // Without an end within the bound it is no request, and is answered as one that is not known.
        let whole = end.or((request.len() == MAX_REQUEST).then_some(MAX_REQUEST));
        if let Some(length) = whole {
            self.stage = Stage::Answering(answer(&request[..length]), 0);
        }
        Ok(Step::On)
    }

    fn write(&mut self) -> io::Result<Step> {
        let Stage::Answering(reply, sent) = &mut self.stage else { return Ok(Step::On) };
        match self.stream.write(&reply[*sent..])? {
            0 if *sent < reply.len() => return Ok(Step::Wait),
            octets => *sent += octets,
        }
        Ok(if *sent == reply.len() { Step::End } else { Step::On })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn pair() -> (UnixStream, Exchange) {
        let (theirs, ours) = UnixStream::pair().expect("a pair");
        let exchange = Exchange::new(ours, Instant::now() + Duration::from_secs(60)).expect("set");
        (theirs, exchange)
    }

    /// Says back what was asked.
    fn echo(request: &[u8]) -> Arc<[u8]> {
        [b"asked: ", request].concat().into()
    }

    #[test]
    fn a_request_may_come_in_pieces_and_what_is_behind_it_is_passed_over() {
        let (mut theirs, mut exchange) = pair();
        assert!(exchange.go_on(echo), "nothing is there yet");
        theirs.write_all(b"sta").expect("fits");
        assert!(exchange.go_on(echo));
        theirs.write_all(b"tus\nmore").expect("fits");
        assert!(!exchange.go_on(echo), "answered whole");
        drop(exchange);
        let mut told = Vec::new();
        theirs.read_to_end(&mut told).expect("an answer");
        assert_eq!(told, b"asked: status");
    }

    #[test]
    fn an_endless_line_is_answered_at_its_bound_and_read_no_further() {
        let (mut theirs, mut exchange) = pair();
        theirs.write_all(&[b'x'; 10 * MAX_REQUEST]).expect("fits");
        assert!(!exchange.go_on(|request| echo(&request.len().to_string().into_bytes())));
        let mut told = [0; 10];
        theirs.read_exact(&mut told).expect("an answer");
        assert_eq!(&told, b"asked: 256");
    }

    #[test]
    fn a_client_that_closes_early_gets_nothing_and_asks_nothing() {
        for said in [&b""[..], b"status"] {
            let (mut theirs, mut exchange) = pair();
            theirs.write_all(said).expect("fits");
            drop(theirs);
            assert!(!exchange.go_on(|_| panic!("nothing was asked")));
        }
    }

    #[test]
    fn a_client_that_does_not_read_is_waited_for_without_a_busy_loop_until_it_is_late() {
        let (mut theirs, mut exchange) = pair();
        theirs.write_all(b"status\n").expect("fits");
        let long: Arc<[u8]> = vec![b'x'; 4 << 20].into();
        assert!(exchange.go_on(|_| Arc::clone(&long)));
        let mut watches = [exchange.watch()];
        assert_eq!(crate::net::poll(&mut watches, Some(Instant::now())).expect("looks"), 0, "there is no room");
        assert!(!exchange.is_late(Instant::now()) && exchange.is_late(exchange.deadline()));
        drop(theirs);
        assert!(!exchange.go_on(echo), "it has gone");
    }
}
