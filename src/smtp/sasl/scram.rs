//! SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding, by the crate `rsasl`.
//!
//! rsasl has the arithmetic. This module has what it leaves to its caller: names and passwords are prepared
//! (SASLprep, RFC 4013), what a server says is held to the grammar before it gets there (rsasl 2.3.1 indexes into
//! attributes without looking at their length, and would panic), and the iteration count is bounded both ways, as it
//! is in Cyrus SASL: a high one would keep a lane busy for minutes, a low one is what a server asks for that is not
//! the right one and wants to guess the password from our proof.

use super::SaslError;
use crate::config::{Credentials, Secret};
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::scram::SCRAM_SHA256;
use rsasl::prelude::{Mechanism, Mechname, Registry, SASLClient, SASLConfig, Session, SessionError, State};
use rsasl::property::{AuthId, Password};
use std::ops::RangeInclusive;

/// RFC 7677 section 4 asks for 4096 at least.
const ITERATIONS: RangeInclusive<u32> = 4096..=1_000_000;
static ONLY: &[Mechanism] = &[SCRAM_SHA256];

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The server's first message is owed.
    First,
    /// Its last one is: the proof that it knows the password.
    Final,
    /// The server has proved it.
    Verified,
    /// Something was wrong.
    Over,
}

/// One exchange.
pub(super) struct Scram {
    session: Session,
    stage: Stage,
}

/// Whom rsasl asks.
struct Who {
    user: String,
    password: Secret,
}

impl SessionCallback for Who {
    fn callback(&self, _: &SessionData, _: &Context, request: &mut Request<'_>) -> Result<(), SessionError> {
        request.satisfy::<AuthId>(&self.user)?.satisfy::<Password>(self.password.expose().as_bytes())?;
        Ok(())
    }
}

impl Scram {
    /// The exchange and the client's first message.
    pub fn begin(who: &Credentials) -> Result<(Scram, Secret), SaslError> {
        let prepared = |what: &str, text: &str| match stringprep::saslprep(text) {
            Ok(text) if !text.is_empty() => Ok(text.into_owned()),
            _ => Err(failed(format!("the {what} has characters that RFC 4013 does not allow in it"))),
        };
        let user = prepared("user", &who.user)?;
        let password = Secret::new(prepared("password", who.password.expose())?);
        let registry = Registry::with_mechanisms(ONLY);
        let config = SASLConfig::builder().with_registry(registry).with_callback(Who { user, password });
        let client = SASLClient::new(config.map_err(|error| failed(error.to_string()))?);
        let name = Mechname::parse(b"SCRAM-SHA-256").map_err(|error| failed(error.to_string()))?;
        let session = client.start_suggested_iter([name]).map_err(|error| failed(error.to_string()))?;
        let mut scram = Scram { session, stage: Stage::First };
        let first = scram.step(None)?;
        Ok((scram, first))
    }

    /// The answer to what the server says; `None` when nothing is left to say.
    pub fn answer(&mut self, challenge: &[u8]) -> Result<Option<Secret>, SaslError> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let next = match stage {
            Stage::First => Stage::Final,
            Stage::Final => Stage::Verified,
            Stage::Verified | Stage::Over => return Ok(None),
        };
        is_well_formed(challenge, stage == Stage::First).map_err(|what| failed(what.to_owned()))?;
        let answer = self.step(Some(challenge))?;
        self.stage = next;
        Ok(Some(answer))
    }

    /// Whether the server has proved that it knows the password.
    pub fn is_verified(&self) -> bool {
        self.stage == Stage::Verified
    }

    fn step(&mut self, challenge: Option<&[u8]>) -> Result<Secret, SaslError> {
        let mut message = Vec::new();
        let state = self.session.step(challenge, &mut message).map_err(|error| match error {
            SessionError::MutualAuthenticationFailed => failed("the server does not know the password".to_owned()),
            error => failed(error.to_string()),
        })?;
        // As long as it runs there is something to say.
        if matches!(state, State::Finished(_)) != message.is_empty() {
            return Err(failed("it ended out of place".to_owned()));
        }
        String::from_utf8(message).map(Secret::new).map_err(|_| failed("a message is not UTF-8".to_owned()))
    }
}

fn failed(what: String) -> SaslError {
    SaslError::Scram(what)
}

/// Whether a server's message begins as RFC 5802 section 7 says: `r=,s=,i=` the first, `v=` or `e=` the last.
fn is_well_formed(message: &[u8], first: bool) -> Result<(), &'static str> {
    let mut attributes = message.split(|octet| *octet == b',');
    let mut next = |name: &[u8]| attributes.next().and_then(|attribute| attribute.strip_prefix(name));
    if !first {
        let refusal = message.starts_with(b"e=");
        return if refusal || next(b"v=").is_some() { Ok(()) } else { Err("the server's last message is none") };
    }
    let (Some(_), Some(_), Some(count)) = (next(b"r="), next(b"s="), next(b"i=")) else {
        return Err("the server's first message is none");
    };
    let count = std::str::from_utf8(count).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    match count.and_then(|digits| digits.parse().ok()) {
        Some(count) if ITERATIONS.contains(&count) => Ok(()),
        _ => Err("the server's iteration count is not from 4096 to 1000000"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, Engine};
    use openssl::hash::MessageDigest;
    use openssl::pkey::PKey;
    use openssl::sign::Signer;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A SCRAM server by the letter of RFC 5802 section 3, with OpenSSL's arithmetic.
    struct Server {
        salted: [u8; 32],
        first: String,
    }

    fn hmac(key: &[u8], text: &str) -> Vec<u8> {
        let key = PKey::hmac(key).expect("a key");
        let mut signer = Signer::new(MessageDigest::sha256(), &key).expect("a signer");
        signer.sign_oneshot_to_vec(text.as_bytes()).expect("signed")
    }

    impl Server {
        fn new(password: &str, nonce: &str, salt: &str, iterations: usize) -> Server {
            let octets = BASE64_STANDARD.decode(salt).expect("base64");
            let mut salted = [0; 32];
            openssl::pkcs5::pbkdf2_hmac(password.as_bytes(), &octets, iterations, MessageDigest::sha256(), &mut salted)
                .expect("derived");
            Server { salted, first: format!("r={nonce},s={salt},i={iterations}") }
        }

        /// The proof that is right for this client, and the server's last message.
        fn judge(&self, client_first_bare: &str, without_proof: &str) -> (String, String) {
            let said = format!("{client_first_bare},{},{without_proof}", self.first);
            let client_key = hmac(&self.salted, "Client Key");
            let signature = hmac(&openssl::sha::sha256(&client_key), &said);
            let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
            let server = hmac(&hmac(&self.salted, "Server Key"), &said);
            (BASE64_STANDARD.encode(proof), format!("v={}", BASE64_STANDARD.encode(server)))
        }
    }

    fn begin(user: &str, password: &str) -> Result<(Scram, String), SaslError> {
        let who = Credentials { user: user.into(), password: Secret::new(password) };
        Scram::begin(&who).map(|(scram, first)| (scram, first.expose().to_owned()))
    }

    fn attributes(message: &str) -> BTreeMap<&str, &str> {
        message.split(',').filter_map(|attribute| attribute.split_once('=')).collect()
    }

    /// The client's nonce and its first message without the header of GS2.
    fn opened(first: &str) -> (String, &str) {
        let bare = first.strip_prefix("n,,").expect("no channel binding");
        (attributes(bare)["r"].to_owned(), bare)
    }

    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

    #[test]
    fn the_test_s_own_server_has_the_figures_of_rfc_7677_section_3() {
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let server = Server::new("pencil", nonce, SALT, 4096);
        let (proof, last) = server.judge("n=user,r=rOprNGfwEbeRWgbNEkqO", &format!("c=biws,r={nonce}"));
        assert_eq!(proof, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        assert_eq!(last, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn rsasl_s_own_arithmetic_has_the_figures_of_rfc_7677_section_3() {
        use rsasl::mechanisms::scram::tools::{compute_signatures, derive_keys, hash_password};
        use sha2::{Digest, Sha256};
        let salt = BASE64_STANDARD.decode(SALT).expect("base64");
        let (mut salted, mut client, mut server) = (Default::default(), Default::default(), Default::default());
        hash_password::<Sha256>(b"pencil", 4096, &salt, &mut salted);
        let (client_key, server_key) = derive_keys::<Sha256>(&salted);
        let (own, added) = ("rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        let (own, added, salt) = (own.as_bytes(), added.as_bytes(), SALT.as_bytes());
        let stored = Sha256::digest(client_key);
        compute_signatures::<Sha256>(
            &stored,
            &server_key,
            "user",
            own,
            added,
            salt,
            b"4096",
            b"biws",
            &mut client,
            &mut server,
        );
        let proof: Vec<u8> = client_key.iter().zip(client).map(|(a, b)| a ^ b).collect();
        assert_eq!(BASE64_STANDARD.encode(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        assert_eq!(BASE64_STANDARD.encode(server), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    /// The whole exchange, with the server's password; the error is the client's.
    fn exchange(user: &str, ours: &str, theirs: &str, lie: bool) -> Result<bool, SaslError> {
        let (mut scram, first) = begin(user, ours)?;
        let (nonce, bare) = opened(&first);
        let server = Server::new(theirs, &format!("{nonce}server"), SALT, 4096);
        let response = scram.answer(server.first.as_bytes())?.expect("an answer");
        let (without_proof, proof) = response.expose().rsplit_once(",p=").expect("a proof");
        assert_eq!(without_proof, format!("c=biws,r={nonce}server"));
        let (right, last) = server.judge(bare, without_proof);
        assert!(!scram.is_verified());
        let last = if lie { "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" } else { &last };
        assert_eq!(scram.answer(last.as_bytes())?.expect("nothing but an answer").expose(), "");
        assert!(scram.is_verified());
        assert_eq!(scram.answer(last.as_bytes()).map(|more| more.is_some()), Ok(false), "it is over");
        Ok(proof == right)
    }

    #[test]
    fn both_sides_prove_that_they_know_the_password() {
        assert_eq!(exchange("user", "pencil", "pencil", false), Ok(true));
        // Prepared: a soft hyphen is nothing, a roman numeral its letters, any blank a blank (RFC 4013 sections 2.1
        // and 3).
        assert_eq!(exchange("us\u{ad}er", "\u{2168}\u{a0}x", "IX x", false), Ok(true));
        // Names may have what separates attributes.
        assert_eq!(exchange("a,b=c", "pencil", "pencil", false), Ok(true));
        let unknown = Err(failed("the server does not know the password".into()));
        assert_eq!(exchange("user", "pencil", "pen", false), unknown);
        assert_eq!(exchange("user", "pencil", "pencil", true), unknown);
    }

    #[test]
    fn what_rfc_4013_does_not_allow_is_not_sent() {
        for (user, password, what) in
            [("us\u{7}er", "x", "user"), ("user", "\u{7}", "password"), ("\u{ad}", "x", "user")]
        {
            let error = begin(user, password).map(|_| ()).expect_err("prohibited").to_string();
            assert!(error.contains(&format!("the {what} has characters")), "{error}");
        }
    }

    #[test]
    fn each_nonce_is_another() {
        let nonce = || opened(&begin("u", "p").expect("good").1).0;
        let (one, other) = (nonce(), nonce());
        assert!(one != other && one.len() >= 18, "{one} {other}");
    }

    #[test]
    fn hostile_first_messages_end_it() {
        for message in [
            "",
            "r",
            "r=",
            "r={r}x",
            "r={r}x,",
            "r={r}x,s",
            "r={r}x,s=",
            "r={r}x,s=AAAA",
            "r={r}x,s=AAAA,",
            "r={r}x,s=AAAA,i",
            "r={r}x,s=AAAA,i=",
            "r={r}x,s=AAAA,i=0",
            "r={r}x,s=AAAA,i=1",
            "r={r}x,s=AAAA,i=4095",
            "r={r}x,s=AAAA,i=1000001",
            "r={r}x,s=AAAA,i=4294967295",
            "r={r}x,s=AAAA,i=99999999999999999999",
            "r={r}x,s=AAAA,i=+4096",
            "r={r}x,s=AAAA,i=-1",
            "r={r}x,s=!,i=4096",
            "r={r},s=AAAA,i=4096",
            "r=other,s=AAAA,i=4096",
            "m=x,r={r}x,s=AAAA,i=4096",
            "s=AAAA,r={r}x,i=4096",
            "e=other-error",
            "v=AAAA",
        ] {
            let (mut scram, first) = begin("user", "pencil").expect("good");
            let message = message.replace("{r}", &opened(&first).0);
            assert!(scram.answer(message.as_bytes()).is_err(), "{message}");
            assert_eq!(scram.answer(b"v=AAAA").map(|more| more.is_some()), Ok(false), "it is over");
            assert!(!scram.is_verified());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_message_makes_it_panic_or_believe(first in ".{0,40}", last in "[ve=,A]{0,12}", salt in "[A-Za-z0-9+/=]{0,12}") {
            let (mut scram, _) = begin("user", "pencil").expect("good");
            prop_assert!(scram.answer(first.as_bytes()).is_err());
            let (mut scram, opening) = begin("user", "pencil").expect("good");
            let message = format!("r={}x,s={salt},i=4096", opened(&opening).0);
            if scram.answer(message.as_bytes()).is_ok() {
                prop_assert!(scram.answer(last.as_bytes()).is_err());
            }
            prop_assert!(!scram.is_verified());
        }
    }
}
