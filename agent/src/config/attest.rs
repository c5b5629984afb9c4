//! Joining by a certificate: the options that belong together.

use std::path::PathBuf;

use platform::config::Mistakes;
use trust_domains::join_link::{JoinLink, RootHash};

use super::RawAgentConfig;
use crate::node::{CertificateAdmission, RootsSource};

/// The one way to join beside a link.
const X509POP: &str = "x509pop";

/// Reads the options by which a node joins with a certificate: all that are needed, or none. `Some(None)` is none.
pub(super) fn certificate(raw: &RawAgentConfig, mistakes: &mut Mistakes) -> Option<Option<CertificateAdmission>> {
    let Some(attest) = raw.attest.as_deref() else {
        return match only_with_attest(raw) {
            Some(key) => mistakes.check(key, Err("this is used with attest = \"x509pop\" only")),
            None => Some(None),
        };
    };
    if attest != X509POP {
        return mistakes.check("attest", Err("the one value is x509pop; without it the node joins by a link"));
    }
    if raw.join.is_some() || raw.join_file.is_some() {
        return mistakes.check("attest", Err("a node joins by a link or by a certificate, not by both"));
    }
    let mut needed = |key: &'static str, value: &Option<String>| {
        let value = value.clone().filter(|value| !value.is_empty());
        mistakes.check(key, value.ok_or("attest = \"x509pop\" needs this as well"))
    };
    let (certificate, key) = (needed("attest_cert", &raw.attest_cert), needed("attest_key", &raw.attest_key));
    let (server, trust_domain) = (needed("server", &raw.server), needed("trust_domain", &raw.trust_domain));
    let server = server.and_then(|text| mistakes.check("server", text.parse()));
    let trust_domain = trust_domain.and_then(|text| mistakes.check("trust_domain", text.parse()));
    let trust = roots(raw, mistakes);
    Some(Some(CertificateAdmission {
        server: server?,
        trust_domain: trust_domain?,
        trust: trust?,
        certificate: mistakes.check("attest_cert", std::path::absolute(certificate?))?,
        key: mistakes.check("attest_key", std::path::absolute(key?))?,
    }))
}

fn only_with_attest(raw: &RawAgentConfig) -> Option<&'static str> {
    let options = [
        ("attest_cert", raw.attest_cert.is_some()),
        ("attest_key", raw.attest_key.is_some()),
        ("root_sha256", raw.root_sha256.is_some()),
        ("server", raw.server.is_some()),
        ("trust_bundle", raw.trust_bundle.is_some()),
        ("trust_domain", raw.trust_domain.is_some()),
    ];
    options.into_iter().find_map(|(key, is_there)| is_there.then_some(key))
}

/// Without a root the first connection would be to whoever answers.
fn roots(raw: &RawAgentConfig, mistakes: &mut Mistakes) -> Option<RootsSource> {
    match (&raw.trust_bundle, &raw.root_sha256) {
        (Some(path), None) => mistakes
            .check("trust_bundle", std::path::absolute(PathBuf::from(path)))
            .map(RootsSource::Bundle),
        (None, Some(hashes)) if (1..=JoinLink::MAX_ROOTS).contains(&hashes.len()) => {
            let read = hashes.iter().map(|hash| hash.parse::<RootHash>()).collect::<Result<_, _>>();
            mistakes.check("root_sha256", read).map(RootsSource::Hashes)
        }
        _ => mistakes.check(
            "trust_bundle",
            Err("attest = \"x509pop\" needs either trust_bundle, or root_sha256 with the hash of each root (at most 8): troth bundle show, on the server"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AgentConfig;

    fn raw() -> RawAgentConfig {
        let text = |text: &str| Some(text.to_owned());
        RawAgentConfig {
            attest: text("x509pop"),
            attest_cert: text("/etc/machine.pem"),
            attest_key: text("/etc/machine.key"),
            server: text("ca.example.org:8443"),
            trust_domain: text("example.org"),
            trust_bundle: text("/etc/bundle.pem"),
            ..RawAgentConfig::default()
        }
    }

    fn mistakes(change: impl FnOnce(&mut RawAgentConfig)) -> Vec<String> {
        let mut raw = raw();
        change(&mut raw);
        match AgentConfig::new(raw, &platform::paths::Environment::default()) {
            Ok(_) => Vec::new(),
            Err(told) => told.mistakes.into_iter().map(|mistake| mistake.key).collect(),
        }
    }

    #[test]
    fn a_certificate_comes_with_its_key_the_server_and_a_way_to_know_it() {
        assert_eq!(mistakes(|_| {}), [""; 0]);
        assert_eq!(
            mistakes(|raw| (raw.trust_bundle, raw.root_sha256) = (None, Some(vec!["ab".repeat(32)]))),
            [""; 0]
        );
        assert_eq!(mistakes(|raw| raw.attest = Some("x509".to_owned())), ["attest"]);
        assert_eq!(mistakes(|raw| raw.join_file = Some("/l".to_owned())), ["attest"]);
        assert_eq!(mistakes(|raw| raw.trust_bundle = None), ["trust_bundle"]);
        assert_eq!(mistakes(|raw| raw.root_sha256 = Some(vec!["ab".repeat(32)])), ["trust_bundle"]);
        assert_eq!(mistakes(|raw| raw.attest = None), ["attest_cert"]);
        assert_eq!(
            mistakes(|raw| (raw.attest_cert, raw.attest_key, raw.server) = (None, None, Some("nowhere".to_owned()))),
            ["attest_cert", "attest_key", "server"]
        );
    }
}
