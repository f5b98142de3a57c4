//! What the control door says.

use crate::engine::EngineStatus;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For so long the same answer is given again: clients cannot make the engine count its lanes more often.
const FRESH: Duration = Duration::from_millis(100);

/// Makes answers of requests.
pub(super) struct Answers<F> {
    status: F,
    last: Option<(Instant, Arc<[u8]>)>,
}

impl<F: Fn() -> EngineStatus> Answers<F> {
    pub(super) fn new(status: F) -> Answers<F> {
        Answers { status, last: None }
    }

    /// The answer to a request, without its line end.
    pub(super) fn to(&mut self, request: &[u8], now: Instant) -> Arc<[u8]> {
        match request.strip_suffix(b"\r").unwrap_or(request) {
            b"status" => self.status(now),
            _ => error("this is no request that is known here; \"status\" is one"),
        }
    }

    fn status(&mut self, now: Instant) -> Arc<[u8]> {
        if let Some((at, answer)) = &self.last
            && now.saturating_duration_since(*at) < FRESH
        {
            return Arc::clone(answer);
        }
        // A mistake in counting must not take the door away from those who look for its reason.
        let Ok(status) = catch_unwind(AssertUnwindSafe(&self.status)) else {
            return error("pipelane made a mistake; its log has the reason");
        };
        let answer = document(&status);
        self.last = Some((now, Arc::clone(&answer)));
        answer
    }
}

fn error(what: &str) -> Arc<[u8]> {
    document(&serde_json::json!({ "error": what }))
}

/// As one line of JSON.
fn document(value: &impl serde::Serialize) -> Arc<[u8]> {
    let text = serde_json::to_string(value).unwrap_or_else(|_| "{\"error\":\"this cannot be told as JSON\"}".into());
    (text + "\n").into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use std::cell::Cell;

    #[test]
    fn the_engine_is_asked_no_more_than_ten_times_a_second() {
        let asked = Cell::new(0);
        let engine = Engine::new(Arc::default());
        let mut answers = Answers::new(|| {
            asked.set(asked.get() + 1);
            engine.status()
        });
        let now = Instant::now();
        for n in 0..100 {
            let answer = answers.to(b"status", now + Duration::from_millis(n));
            let status: EngineStatus = serde_json::from_slice(&answer).expect("a status");
            assert_eq!(status.process, std::process::id());
        }
        assert_eq!(asked.get(), 1);
        answers.to(b"status\r", now + FRESH);
        assert_eq!(asked.get(), 2);
    }

    #[test]
    fn anything_else_is_answered_by_an_error() {
        let mut answers = Answers::new(|| panic!("not asked for"));
        for request in [&b""[..], b"Status", b"status now", b"\xff\0", &[b'x'; 256]] {
            let answer: serde_json::Value = serde_json::from_slice(&answers.to(request, Instant::now())).expect("JSON");
            assert!(answer["error"].as_str().is_some_and(|text| text.contains("status")), "{answer}");
        }
    }

    #[test]
    fn a_panic_is_told_and_ends_nothing() {
        let mut answers = Answers::new(|| panic!("on purpose"));
        let answer = answers.to(b"status", Instant::now());
        assert!(answer.starts_with(b"{\"error\":\"") && answer.ends_with(b"\n"));
    }
}
