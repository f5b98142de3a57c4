//! The client's side of SASL (RFC 4422) as SMTP carries it (RFC 4954): lines in base64, mechanism by mechanism.
//!
//! | mechanism     | what is said                                                | standard                    |
//! |---------------|-------------------------------------------------------------|-----------------------------|
//! | PLAIN         | NUL user NUL password, with AUTH itself                     | RFC 4616                    |
//! | LOGIN         | user, then password; what the server calls them is not read | draft-murchison-sasl-login  |
//! | XOAUTH2       | user and token, with AUTH itself; nothing to a complaint    | Google's and Microsoft's    |
//! | SCRAM-SHA-256 | see `scram`                                               | RFC 5802, RFC 7677          |
//!
//! A mechanism says so much and no more: a server that goes on asking gets an error here. It knows no reply codes;
//! the dialogue is in [`super::session`].

mod scram;

use crate::config::{Credentials, Mechanism, Secret};
use base64::prelude::{BASE64_STANDARD, Engine};
use scram::Scram;
use std::collections::VecDeque;
use std::fmt;
use thiserror::Error;

/// The longest command line, with its end (RFC 5321 4.5.3.1.4). What does not fit waits for the first challenge (RFC
/// 4954 4).
const LONGEST_COMMAND: usize = 512;
/// So many octets of a secret in a row give it away.
const TELLING: usize = 8;

/// Why an exchange cannot go on. No text has anything secret in it, nor anything that the server said.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SaslError {
    /// RFC 4954 section 4: a challenge is base64.
    #[error("the server's challenge is not base64")]
    NotBase64,
    /// The mechanism has ended.
    #[error("the server asked for more than {0} has to say")]
    TooMuch(Mechanism),
    /// The server's part of SCRAM is not what it must be.
    #[error("SCRAM-SHA-256: {0}")]
    Scram(String),
}

/// One attempt at AUTH.
pub struct Exchange {
    mechanism: Mechanism,
    course: Course,
    /// What stands for us in texts from the server, so that they can be kept from people's eyes.
    secrets: Vec<Secret>,
}

enum Course {
    /// These responses, one after another.
    Prepared(VecDeque<Secret>),
    Scram {
        scram: Box<Scram>,
        /// The first response, where it was too long for AUTH itself.
        waiting: Option<Secret>,
    },
}

impl Exchange {
    /// The exchange, and the AUTH command that begins it, without its line end.
    pub fn begin(mechanism: Mechanism, who: &Credentials) -> Result<(Exchange, Secret), SaslError> {
        let (user, password) = (&who.user, who.password.expose());
        let prepared = |responses: &[Secret]| Course::Prepared(responses.iter().cloned().collect());
        let course = match mechanism {
            Mechanism::Plain => prepared(&[encoded(Secret::new(format!("\0{user}\0{password}")))]),
            Mechanism::Login => prepared(&[encoded(Secret::new(user)), encoded(who.password.clone())]),
            Mechanism::XOAuth2 => {
                let token = Secret::new(format!("user={user}\x01auth=Bearer {password}\x01\x01"));
                // A refusal is explained by a challenge, which wants an empty answer.
                prepared(&[encoded(token), Secret::default()])
            }
            Mechanism::ScramSha256 => {
                let (scram, first) = Scram::begin(who)?;
                Course::Scram { scram: Box::new(scram), waiting: Some(encoded(first)) }
            }
        };
        let mut exchange = Exchange { mechanism, course, secrets: vec![who.password.clone()] };
        let command = exchange.command();
        Ok((exchange, command))
    }

    /// `AUTH mechanism`, with the first response where the mechanism has one and there is room for it.
    fn command(&mut self) -> Secret {
        let mut command = Secret::new(format!("AUTH {}", self.mechanism));
        let first = match &mut self.course {
            Course::Prepared(_) if self.mechanism == Mechanism::Login => return command,
            Course::Prepared(responses) => responses.pop_front(),
            Course::Scram { waiting, .. } => waiting.take(),
        };
        let Some(first) = first else { return command };
        if command.expose().len() + " \r\n".len() + first.expose().len() <= LONGEST_COMMAND {
            command.push(" ");
            command.push(first.expose());
            self.secrets.push(first);
        } else {
            match &mut self.course {
                Course::Prepared(responses) => responses.push_front(first),
                Course::Scram { waiting, .. } => *waiting = Some(first),
            }
        }
        command
    }

    /// The answer to a challenge (the text of a 334), without its line end.
    pub fn answer(&mut self, challenge: &str) -> Result<Secret, SaslError> {
        let challenge = BASE64_STANDARD.decode(challenge.trim()).map_err(|_| SaslError::NotBase64)?;
        let too_much = SaslError::TooMuch(self.mechanism);
        let answer = match &mut self.course {
            Course::Prepared(responses) => responses.pop_front().ok_or(too_much)?,
            Course::Scram { waiting: Some(_), .. } if !challenge.is_empty() => {
                return Err(SaslError::Scram("the server spoke first".to_owned()));
            }
            Course::Scram { scram, waiting } => match waiting.take() {
                Some(first) => first,
                None => encoded(scram.answer(&challenge)?.ok_or(too_much)?),
            },
        };
        self.secrets.push(answer.clone());
        Ok(answer)
    }

    /// Which mechanism it is.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Whether a server that says yes now has shown all that the mechanism asks of it.
    pub fn may_succeed(&self) -> bool {
        match &self.course {
            Course::Prepared(_) => true,
            Course::Scram { scram, .. } => scram.is_verified(),
        }
    }

    /// Whether a text says again what is secret, or so much of it in a row that it is given away.
    pub fn is_repeated_in(&self, text: &str) -> bool {
        let gives_away = |secret: &[u8]| match secret.len() {
            0 => false,
            length => {
                let mut parts = secret.windows(length.min(TELLING));
                parts.any(|part| memchr::memmem::find(text.as_bytes(), part).is_some())
            }
        };
        self.secrets.iter().any(|secret| gives_away(secret.expose().as_bytes()))
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({})", self.mechanism)
    }
}

/// A message as a line has it.
fn encoded(message: Secret) -> Secret {
    Secret::new(BASE64_STANDARD.encode(message.expose()))
}

/// The strongest mechanism that is both allowed and offered (in upper case).
pub fn strongest(allowed: &[Mechanism], offered: &[String]) -> Option<Mechanism> {
    let is_offered = |mechanism: &&Mechanism| offered.iter().any(|name| name == mechanism.name());
    allowed.iter().filter(is_offered).max().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(user: &str, password: &str) -> Credentials {
        Credentials { user: user.into(), password: Secret::new(password) }
    }

    fn begin(mechanism: Mechanism, user: &str, password: &str) -> (Exchange, String) {
        let (exchange, command) = Exchange::begin(mechanism, &who(user, password)).expect("good credentials");
        (exchange, command.expose().to_owned())
    }

    fn decoded(line: &str) -> String {
        String::from_utf8(BASE64_STANDARD.decode(line).expect("base64")).expect("UTF-8")
    }

    #[test]
    fn plain_is_as_in_rfc_4616_section_4() {
        let (mut exchange, command) = begin(Mechanism::Plain, "tim", "tanstaaftanstaaf");
        assert_eq!(command, "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm");
        assert_eq!(decoded("AHRpbQB0YW5zdGFhZnRhbnN0YWFm"), "\0tim\0tanstaaftanstaaf");
        assert_eq!(exchange.answer("").map(|_| ()), Err(SaslError::TooMuch(Mechanism::Plain)));
        // RFC 4954 section 4.1 has this one.
        assert_eq!(begin(Mechanism::Plain, "test", "1234").1, "AUTH PLAIN AHRlc3QAMTIzNA==");
    }

    #[test]
    fn login_says_user_and_password_whatever_they_are_called() {
        let (mut exchange, command) = begin(Mechanism::Login, "tim", "secret");
        assert_eq!(command, "AUTH LOGIN");
        let mut answer = |challenge| exchange.answer(challenge).map(|answer| answer.expose().to_owned());
        assert_eq!(answer("VXNlciBOYW1lAA==").as_deref(), Ok("dGlt"));
        assert_eq!(answer("").as_deref(), Ok("c2VjcmV0"));
        assert_eq!(answer("UGFzc3dvcmQA"), Err(SaslError::TooMuch(Mechanism::Login)));
    }

    #[test]
    fn xoauth2_is_as_google_has_it_and_lets_a_refusal_be_explained() {
        let token = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg";
        let (mut exchange, command) = begin(Mechanism::XOAuth2, "someuser@example.com", token);
        let expected = "AUTH XOAUTH2 dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhk\
            SFJoZG1semRHRXVZMjl0Q2cBAQ==";
        assert_eq!(command, expected);
        let complaint = BASE64_STANDARD.encode(r#"{"status":"401","schemes":"bearer"}"#);
        assert_eq!(exchange.answer(&complaint).expect("an empty answer").expose(), "");
        assert!(exchange.answer(&complaint).is_err());
    }

    #[test]
    fn a_first_response_that_does_not_fit_the_line_waits_for_a_challenge() {
        for mechanism in [Mechanism::Plain, Mechanism::XOAuth2, Mechanism::ScramSha256] {
            let mut longest = 0;
            for length in 100..600 {
                // Where the password is not sent, the user makes it long.
                let (user, password) = match mechanism {
                    Mechanism::ScramSha256 => ("u".repeat(length), "p".to_owned()),
                    _ => ("u".to_owned(), "p".repeat(length)),
                };
                let (mut exchange, command) = begin(mechanism, &user, &password);
                let alone = command == format!("AUTH {mechanism}");
                assert!(command.len() + 2 <= LONGEST_COMMAND, "{}", command.len());
                longest = longest.max(command.len() + 2);
                if alone {
                    let response = exchange.answer("").expect("what did not fit");
                    assert!(response.expose().len() + command.len() + 3 > LONGEST_COMMAND);
                    assert!(decoded(response.expose()).contains(&user));
                }
            }
            assert!(longest > LONGEST_COMMAND - 6, "{mechanism}: {longest}");
        }
    }

    #[test]
    fn a_challenge_is_base64_to_the_letter() {
        for bad in ["=", "A", "AA=", "AAA", "AA=A", "Username:", "VXNl\tcm5h", "!!!!", "AB==", "AAAA=", "\u{fffd}"] {
            let (mut exchange, _) = begin(Mechanism::Login, "u", "p");
            assert_eq!(exchange.answer(bad).map(|_| ()), Err(SaslError::NotBase64), "{bad:?}");
        }
    }

    #[test]
    fn the_strongest_mechanism_that_both_have_is_taken() {
        use Mechanism::{Login, Plain, ScramSha256, XOAuth2};
        let offered = |names: &str| names.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let all = [Login, ScramSha256, Plain];
        for (allowed, names, expected) in [
            (&all[..], "LOGIN PLAIN SCRAM-SHA-256", Some(ScramSha256)),
            (&all, "SCRAM-SHA-256-PLUS LOGIN PLAIN XOAUTH2", Some(Plain)),
            (&all, "LOGIN GSSAPI", Some(Login)),
            (&all, "XOAUTH2 GSSAPI CRAM-MD5", None),
            (&[Login], "PLAIN", None),
            (&[XOAuth2], "PLAIN XOAUTH2", Some(XOAuth2)),
            (&all, "", None),
        ] {
            assert_eq!(strongest(allowed, &offered(names)), expected, "{names}");
        }
    }

    #[test]
    fn a_text_that_repeats_a_secret_is_known() {
        let (mut exchange, _) = begin(Mechanism::Login, "tim", "correct horse");
        exchange.answer("").expect("the user");
        exchange.answer("").expect("the password");
        for text in ["bad password correct horse", "Y29ycmVjdCBob3JzZQ==", "you said Y29ycmVjdCB", "ct horse", "dGlt"] {
            assert!(exchange.is_repeated_in(text), "{text}");
        }
        for text in ["", "5.7.8 authentication failed", "incorrect", "horse"] {
            assert!(!exchange.is_repeated_in(text), "{text}");
        }
        assert_eq!(format!("{exchange:?}"), "Exchange(LOGIN)");
    }
}
