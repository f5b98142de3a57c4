//! Whether a chain of certificates is one that TLSA records vouch for (RFC 7671 section 5, RFC 7672 section 3).
//!
//! Promises: by usage 3 the server's own certificate must match, and then neither its names nor its dates matter; by
//! usage 2 a certificate above it must match, up to which the chain must hold, with dates, and the server's certificate
//! must have one of the names. One record is enough. Everything in a chain is the peer's word: what does not fit is no
//! match, and no more.

use super::dane::{ANCHOR, Dane, SERVER, SHA256, SHA512, is_certificate, selected};
use crate::net::dns::Tlsa;
use openssl::error::ErrorStack;
use openssl::sha::{sha256, sha512};
use openssl::stack::{Stack, StackRef};
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509CheckFlags, X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509PurposeId, X509Ref, X509StoreContext};

/// The usage of the record that vouches for this server, or why none does. `chain` is what the server sent. `level`:
/// how strong keys above the server's own must be (OpenSSL's security level).
pub(super) fn vouched(dane: &Dane, server: &X509Ref, chain: &StackRef<X509>, level: u32) -> Result<u8, String> {
    if dane.of_usage(SERVER).any(|record| is_match(record, server)) {
        return Ok(SERVER);
    }
    let anchors = anchors(dane, server, chain);
    if anchors.is_empty() {
        return Err("no TLSA record matches what the server shows".into());
    }
    let mut why = "there is no name to look for".to_owned();
    for name in dane.names() {
        match holds(&anchors, server, chain, name, level) {
            Ok(None) => return Ok(ANCHOR),
            Ok(Some(reason)) => why = reason,
            Err(error) => why = error.to_string(),
        }
    }
    let names = dane.names().join(" or ");
    Err(format!("the certificate of the authority that TLSA records name does not vouch for {names}: {why}"))
}

/// What stands above the server and matches; it may also be in the record itself (RFC 7671 section 5.2.3).
fn anchors(dane: &Dane, server: &X509Ref, chain: &StackRef<X509>) -> Vec<X509> {
    let is_server = |one: &X509Ref| one.to_der().ok() == server.to_der().ok();
    let above = chain.iter().filter(|one| !is_server(one));
    let matching = above.filter(|one| dane.of_usage(ANCHOR).any(|record| is_match(record, one)));
    let mut found: Vec<X509> = matching.map(X509Ref::to_owned).collect();
    let whole = dane.of_usage(ANCHOR).filter(|record| is_certificate(record));
    found.extend(whole.filter_map(|record| X509::from_der(&record.data).ok()).filter(|one| !is_server(one)));
    found
}

fn is_match(record: &Tlsa, certificate: &X509Ref) -> bool {
    let Ok(der) = certificate.to_der() else { return false };
    let Some(part) = selected(record, &der) else { return false };
    match record.matching {
        SHA256 => sha256(part)[..] == record.data,
        SHA512 => sha512(part)[..] == record.data,
        _ => part == record.data,
    }
}

/// Whether the chain leads to one of the anchors, and the server's certificate has the name. `Some`: why not.
fn holds(
    anchors: &[X509],
    server: &X509Ref,
    chain: &StackRef<X509>,
    name: &str,
    level: u32,
) -> Result<Option<String>, ErrorStack> {
    let store = store(anchors, name, level)?;
    let mut context = X509StoreContext::new()?;
    context.init(&store, server, chain, |context| {
        let is_valid = context.verify_cert()?;
        Ok((!is_valid).then(|| context.error().error_string().to_owned()))
    })
}

/// The anchors as those that are trusted, whether they are roots or not.
fn store(anchors: &[X509], name: &str, level: u32) -> Result<X509Store, ErrorStack> {
    let mut parameters = X509VerifyParam::new()?;
    parameters.set_flags(X509VerifyFlags::PARTIAL_CHAIN | X509VerifyFlags::TRUSTED_FIRST)?;
    parameters.set_purpose(X509PurposeId::SSL_SERVER)?;
    parameters.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
    parameters.set_host(name.trim_end_matches('.'))?;
    parameters.set_auth_level(level.try_into().unwrap_or(i32::MAX));
    let mut builder = X509StoreBuilder::new()?;
    for anchor in anchors {
        builder.add_cert(anchor.clone())?;
    }
    builder.set_param(&parameters)?;
    Ok(builder.build())
}

/// A chain that has nothing above the server.
pub(super) fn nothing() -> Result<Stack<X509>, ErrorStack> {
    Stack::new()
}

#[cfg(test)]
#[path = "vouching_tests.rs"]
mod tests;
