//! What spiffe-rustls 0.11 does between an update of its source and its own conversion of that update: it shows no certificate, offers no signature schemes and
//! believes nobody, so a handshake of that moment fails on one side or the other. It lasts as long as a task waits for a processor. A request that ends
//! in one of these ways is asked again, as an application would; what a certificate, a root or a list is to blame for reads differently, and fails.

use std::io;

/// How it reads where a handshake of that moment ends.
const SIGNS: [&str; 5] = [
    // The caller: it verifies nobody.
    "is pending (TLS applied",
    // The caller: the service offered no signature schemes.
    "NoSignatureSchemes",
    // The service: the caller offered no signature schemes.
    "received fatal alert: DecodeError",
    // The service: it had no certificate to show.
    "received fatal alert: AccessDenied",
    // The service: it verifies nobody.
    "received fatal alert: HandshakeFailure",
];

/// Whether a request ended because a library was converting.
pub(super) fn was_converting(error: &io::Error) -> bool {
    let text = error.to_string();
    SIGNS.iter().any(|sign| text.contains(sign))
}

#[test]
fn only_what_that_library_does_while_it_converts_is_asked_again() {
    let failed = |text: &str| was_converting(&io::Error::other(text.to_owned()));
    assert!(failed("received corrupt message of type NoSignatureSchemes"));
    for text in [
        "received fatal alert: UnknownCA",
        "received fatal alert: CertificateExpired",
        "received fatal alert: CertificateRevoked",
        "received fatal alert: BadCertificate",
        "invalid peer certificate: UnknownIssuer",
        "Connection refused (os error 111)",
        "request 1 was answered with \"\"",
    ] {
        assert!(!failed(text), "{text}");
    }
}
