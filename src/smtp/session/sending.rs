//! The sending cursor: what may be sent now, and its octets.
//!
//! One function, [`Session::may_send`], holds the whole ladder: for each level and step it says what must have been
//! answered first. Everything else here only writes.

use super::{Cause, Flying, Owed, Probe, Session, State, Step, TransactionId, Want};
use crate::config::Level;
use crate::config::Trust;
use crate::smtp::command;
use crate::smtp::ladder::{HONESTY_PROBE, Proof};
use crate::smtp::stuffing::Stuffer;

/// Output is generated up to this much ahead of the socket.
const HIGH_WATER: usize = 64 * 1024;
/// Content is asked for in pieces of this many octets at the most.
const PIECE: usize = 32 * 1024;
/// No command is begun when so much rides behind a dot whose reply is owed. The longest RCPT has 1400 octets, so that
/// all of it stays below the 8192 above which a server is known to close.
const BEHIND_DOT: u64 = 6600;
/// Up to this size a message is one `BDAT n LAST`: servers are known that delay every other chunk.
const ONE_CHUNK: u64 = 1 << 20;
/// The first chunk of a larger one while no recipient is accepted yet.
const FIRST_CHUNK: u64 = 64 * 1024;
/// The other chunks of a larger one: a refusal in the middle costs at most this much.
const CHUNK: u64 = 8 << 20;
/// The end of the content that is written together with the dot and the RSET that earns `overlap`.
const PROOF_TAIL: usize = 512;
/// Messages that must wait before the honesty probe pays.
const PROBE_BACKLOG: usize = 3;

impl Session {
    /// Generates what may be sent and says what the driver should do.
    pub fn want(&mut self) -> Want {
        if let State::Closed(_) = self.state {
            return Want::Closed;
        }
        while self.output.len() < HIGH_WATER && self.generate() {}
        if let State::Closed(_) = self.state {
            return Want::Closed;
        }
        match self.content_wanted() {
            Some(want) if self.output.len() < HIGH_WATER => want,
            _ if !self.output.is_empty() => Want::Write,
            _ if !self.owed.is_empty() => Want::Read,
            _ if self.state == State::Handshake => Want::Handshake,
            _ => Want::Idle,
        }
    }

    /// What is to be written now: up to a point where the write must end by itself.
    pub fn output(&self) -> &[u8] {
        let alone = self.barrier.saturating_sub(self.written);
        match usize::try_from(alone) {
            Ok(n) if n > 0 && n < self.output.len() => &self.output[..n],
            _ => &self.output,
        }
    }

    /// So many octets of the output were handed to the kernel.
    pub fn wrote(&mut self, octets: usize) {
        let before = self.written;
        self.output.drain(..octets);
        self.written += octets as u64;
        self.forget_what_was_said();
        for flight in &self.flights {
            if flight.content_end.is_some_and(|end| before < end && end <= self.written) {
                self.events.push_back(super::Event::SentWhole(flight.id));
            }
        }
        if self.state == State::Quitting && self.output.is_empty() {
            self.close(super::CloseReason::Quit(self.retired));
        }
    }

    /// Ends the session in good order, once nothing is owed; until then it takes no further transaction.
    pub fn quit(&mut self) {
        self.retire("the connection is being closed");
    }

    /// The content asked for cannot be had: what was begun of it cannot be finished.
    pub fn content_broken(&mut self, why: &'static str) {
        if let Some(flight) = self.flights.back_mut() {
            flight.given_up.get_or_insert(Cause::Lost(why.to_owned()));
        }
    }

    fn content_wanted(&self) -> Option<Want> {
        let flight = self.flights.back()?;
        match flight.step {
            Step::Content { sent, chunk_end } if flight.given_up.is_none() => {
                // The last octet of a message that is too much for the window waits until those before it are answered.
                let waits =
                    chunk_end == flight.what.size() && !self.window.holds(self.flights.len(), self.bytes_in_flight);
                let left = usize::try_from(chunk_end - sent - u64::from(waits)).unwrap_or(usize::MAX);
                (left > 0).then_some(Want::Content { id: flight.id, offset: sent, max: left.min(PIECE) })
            }
            _ => None,
        }
    }

    /// One step of the sending cursor; `false` when there is nothing to send or it must wait.
    fn generate(&mut self) -> bool {
        match self.flights.back() {
            _ if self.state != State::Ready => false,
            Some(_) if self.silence_is_due() => self.say_silence_reset(),
            Some(flight) if flight.step != Step::Done => self.advance(),
            _ => self.retired.is_some() && self.owed.is_empty() && self.say_quit(),
        }
    }

    fn advance(&mut self) -> bool {
        let Some(flight) = self.flights.back() else { return false };
        if flight.given_up.is_some() {
            return self.drop_given_up();
        }
        let before_content = !matches!(flight.step, Step::Content { .. } | Step::AwaitGo);
        if before_content && (flight.is_refused() || flight.decision.is_some()) {
            return self.finish_sending();
        }
        if self.probe_is_due() {
            return self.say_probe();
        }
        if !self.may_send(flight) {
            return false;
        }
        match flight.step {
            Step::Reset => self.say_reset(),
            Step::Mail => self.say_mail(),
            Step::Rcpt(place) => self.say_rcpt(place),
            Step::Data => self.say_data(),
            Step::NextChunk { sent } => self.say_bdat(sent),
            Step::AwaitGo | Step::Content { .. } | Step::Done => return false,
        }
        true
    }

    /// The ladder: what must have been answered before this step may be sent.
    fn may_send(&self, flight: &Flying) -> bool {
        let nothing_owed = self.owed.is_empty();
        let starts = flight.owed == 0 && matches!(flight.step, Step::Reset | Step::Mail);
        match flight.level {
            Level::Lockstep => nothing_owed,
            _ if self.awaits_a_chunk(flight) || self.awaits_verdicts() => false,
            Level::Envelope | Level::Chunk if starts => nothing_owed,
            Level::Overlap if starts => nothing_owed || self.only_an_end_is_owed(),
            _ if flight.step == Step::Data && flight.level == Level::Overlap && flight.chunked => {
                flight.has_accepted_recipient()
            }
            Level::Overlap => !self.previous_end_is_owed(flight) || self.generated() - self.behind < BEHIND_DOT,
            _ if matches!(flight.step, Step::NextChunk { .. }) => flight.has_accepted_recipient(),
            Level::Envelope | Level::Chunk | Level::Stream => true,
        }
    }

    /// Whether all that is owed is the reply to one final dot or last chunk that was generated to its end.
    fn only_an_end_is_owed(&self) -> bool {
        let is_end = matches!(self.owed.front(), Some(Owed::Dot(_) | Owed::Chunk { last: true, .. }));
        self.owed.len() == 1 && is_end
    }

    fn previous_end_is_owed(&self, flight: &Flying) -> bool {
        match self.owed.front() {
            Some(Owed::Dot(id) | Owed::Chunk { id, .. }) => *id != flight.id,
            _ => false,
        }
    }

    fn probe_is_due(&self) -> bool {
        let useful = self.offered.chunking && self.offered.pipelining && self.options.max_level >= Level::Chunk;
        let open = self.known.chunk == Proof::Unknown && self.known.overlap != Proof::Refused;
        let learned = self.options.trust == Trust::Learned && self.known.ceiling >= Level::Chunk;
        let fits = self.probe == Probe::NotSent && self.owed.is_empty() && self.clean && self.backlog >= PROBE_BACKLOG;
        useful && open && learned && fits
    }

    /// Makes the honesty probe now, with no message at stake, where it would be made with messages waiting. Whether it
    /// is.
    pub fn probe(&mut self) -> bool {
        self.backlog = self.backlog.max(PROBE_BACKLOG);
        self.state == State::Ready && self.flights.is_empty() && self.probe_is_due() && self.say_probe()
    }

    /// Whether the honesty probe was answered by two replies and by nothing more so far.
    pub fn is_honest_so_far(&self) -> bool {
        matches!(self.probe, Probe::JustAnswered)
    }

    fn say_probe(&mut self) -> bool {
        self.output.extend_from_slice(HONESTY_PROBE);
        self.owed.extend([Owed::ProbeChunk, Owed::ProbeReset]);
        self.probe = Probe::Sent;
        true
    }

    fn say_reset(&mut self) {
        self.behind = self.generated();
        let behind_an_end = !self.owed.is_empty();
        if let Some(flight) = self.flights.back_mut() {
            flight.overlaps = behind_an_end && flight.level == Level::Overlap;
        }
        self.output.extend_from_slice(b"RSET\r\n");
        self.owe(Owed::Reset, Step::Mail);
    }

    fn say_mail(&mut self) {
        let Some(flight) = self.flights.back() else { return };
        if flight.owed == 0 {
            self.behind = self.written + self.output.len() as u64;
        }
        let what = &flight.what;
        command::mail(&what.envelope, what.content.as_ref(), &self.offered, &mut self.output);
        self.clean = false;
        self.clean_by_reset = false;
        self.owe(Owed::Mail, Step::Rcpt(0));
    }

    fn say_rcpt(&mut self, place: usize) {
        let Some(flight) = self.flights.back() else { return };
        let Some(index) = flight.what.recipients.get(place) else {
            self.set_step(Step::Data);
            return;
        };
        let Some(recipient) = flight.what.envelope.recipients.get(*index) else { return };
        command::rcpt(recipient, &self.offered, &mut self.output);
        self.owe(Owed::Rcpt, Step::Rcpt(place + 1));
    }

    fn say_data(&mut self) {
        let Some(flight) = self.flights.back() else { return };
        if flight.what.content.is_none() {
            self.finish_sending();
        } else if flight.chunked {
            self.say_bdat(0);
        } else {
            self.output.extend_from_slice(b"DATA\r\n");
            self.owe(Owed::Data, Step::AwaitGo);
        }
    }

    fn say_bdat(&mut self, sent: u64) {
        let Some(flight) = self.flights.back_mut() else { return };
        let total = flight.what.size();
        let chunk_end = match total - sent {
            left if total <= ONE_CHUNK || left <= FIRST_CHUNK => total,
            _ if !flight.has_accepted_recipient() => sent + FIRST_CHUNK,
            left => sent + left.min(CHUNK),
        };
        let last = chunk_end == total;
        command::bdat(chunk_end - sent, last, &mut self.output);
        let end = self.generated() + chunk_end - sent;
        self.owe(|id| Owed::Chunk { id, last, end }, Step::Content { sent, chunk_end });
        self.content_grew(sent);
    }

    /// 354 came: content follows.
    pub(super) fn start_content(&mut self) {
        let Some(flight) = self.flights.back_mut() else { return };
        let total = flight.what.size();
        self.stuffer = Stuffer::default();
        self.owe(Owed::Dot, Step::Content { sent: 0, chunk_end: total });
        if total == 0 {
            self.end_data();
        }
    }

    /// 354 came although no recipient was accepted (RFC 2920 section 3.1): a message to nobody, with nothing in it.
    pub(super) fn send_lone_dot(&mut self) {
        self.output.extend_from_slice(b".\r\n");
        self.owe(Owed::LoneDot, Step::Done);
    }

    /// Content as asked for by [`Want::Content`]; an empty slice is ignored.
    pub fn supply(&mut self, bytes: &[u8]) {
        let Some(flight) = self.flights.back() else { return };
        let Step::Content { sent, chunk_end } = flight.step else { return };
        let bytes = &bytes[..bytes.len().min(usize::try_from(chunk_end - sent).unwrap_or(usize::MAX))];
        let sent = sent + bytes.len() as u64;
        if flight.chunked {
            self.output.extend_from_slice(bytes);
            self.content_grew(sent);
        } else if sent < chunk_end {
            self.stuffer.push(bytes, &mut self.output);
            self.set_step(Step::Content { sent, chunk_end });
        } else {
            self.supply_tail(bytes);
        }
    }

    /// The last piece of DATA content. When the dot is to carry the proof of `overlap`, the tail is written by itself,
    /// so that dot and RSET reach the server together.
    fn supply_tail(&mut self, bytes: &[u8]) {
        let split = if self.proof_is_due() { bytes.len().saturating_sub(PROOF_TAIL) } else { 0 };
        self.stuffer.push(&bytes[..split], &mut self.output);
        if split > 0 {
            self.barrier = self.generated();
        }
        self.stuffer.push(&bytes[split..], &mut self.output);
        self.end_data();
    }

    fn end_data(&mut self) {
        let proof = self.proof_is_due();
        std::mem::take(&mut self.stuffer).finish(&mut self.output);
        self.end_content();
        if proof {
            self.output.extend_from_slice(b"RSET\r\n");
            self.owed.push_back(Owed::ProofReset);
            self.clean = true;
            self.clean_by_reset = true;
        }
    }

    /// Whether the dot that ends this content should be followed by the RSET that earns `overlap`.
    fn proof_is_due(&self) -> bool {
        let wanted = self.options.max_level >= Level::Overlap && self.known.ceiling >= Level::Overlap;
        let open = self.known.overlap == Proof::Unknown && self.options.trust == Trust::Learned;
        let fits = |flight: &Flying| flight.level == Level::Envelope && !flight.unsure;
        wanted && open && self.offered.pipelining && self.flights.back().is_some_and(fits)
    }

    /// So many octets of chunked content are generated.
    fn content_grew(&mut self, sent: u64) {
        let Some(flight) = self.flights.back_mut() else { return };
        let Step::Content { chunk_end, .. } = flight.step else { return };
        match (sent == chunk_end, chunk_end == flight.what.size()) {
            (false, _) => flight.step = Step::Content { sent, chunk_end },
            (true, false) => flight.step = Step::NextChunk { sent },
            (true, true) => self.end_content(),
        }
    }

    fn end_content(&mut self) {
        let end = self.generated();
        if let Some(flight) = self.flights.back_mut() {
            flight.content_end = Some(end);
            flight.step = Step::Done;
        }
    }

    fn say_quit(&mut self) -> bool {
        self.output.extend_from_slice(b"QUIT\r\n");
        self.state = State::Quitting;
        true
    }

    /// Nothing further is sent for the youngest transaction.
    fn finish_sending(&mut self) -> bool {
        self.set_step(Step::Done);
        self.settle_ended();
        true
    }

    /// The youngest transaction is no longer wanted. Between commands it just ends. Inside content the connection must
    /// be aborted, which waits until the transactions before it are answered.
    fn drop_given_up(&mut self) -> bool {
        let Some(flight) = self.flights.back() else { return false };
        match flight.step {
            Step::AwaitGo => false,
            Step::Content { .. } if self.flights.len() > 1 => false,
            Step::Content { .. } => {
                self.abandon("the message was given up while its content was being sent");
                true
            }
            _ => self.finish_sending(),
        }
    }

    fn owe(&mut self, owed: impl FnOnce(TransactionId) -> Owed, next: Step) {
        if self.probe == Probe::JustAnswered {
            self.probe = Probe::Unverified;
        }
        if let Some(flight) = self.flights.back_mut() {
            flight.owed += 1;
            flight.step = next;
            self.owed.push_back(owed(flight.id));
        }
    }

    fn set_step(&mut self, step: Step) {
        if let Some(flight) = self.flights.back_mut() {
            flight.step = step;
        }
    }
}
