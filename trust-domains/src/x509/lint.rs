//! Every rule that a chain breaks, for `troth svid lint`: what a peer would refuse, what the standard forbids an issuer, and what works but surprises.

use std::fmt;

use rustls_pki_types::CertificateDer;

use crate::entry::{DnsName, SubjectCn};
use crate::spiffe_id::SpiffeId;
use crate::x509::certificate::Certificate;
use crate::x509::rules::{leaf_violations, signing_violations};
use crate::x509::svid::MAX_CHAIN_LEN;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works, and is advised against.
    Warning,
    /// Breaks a MUST of a standard: peers may refuse it, and ours does so where the rule binds validators.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's number in the requirements list, or `RFC5280` with its section.
    pub rule: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// The certificate's place in the chain, the leaf being 0.
    pub position: usize,
    /// What was found, as a fragment without full stop.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} certificate {}: {}", self.severity, self.rule, self.position, self.text)
    }
}

/// Returns what is wrong with a chain, leaf first; signatures and time are not looked at.
#[must_use]
pub fn lint(chain: &[CertificateDer<'_>]) -> Vec<Finding> {
    let mut report = Report::default();
    if chain.is_empty() {
        report.error("X509-16", 0, "there is no certificate".to_owned());
    }
    if chain.len() > MAX_CHAIN_LEN {
        report.error(
            "X509-16",
            MAX_CHAIN_LEN,
            format!("chain of {} certificates, at most {MAX_CHAIN_LEN} are read", chain.len()),
        );
    }
    let mut read = Vec::new();
    for (position, der) in chain.iter().take(MAX_CHAIN_LEN).enumerate() {
        match Certificate::parse(der) {
            Ok(certificate) => read.push((position, certificate)),
            Err(error) => report.error("RFC5280 4.1", position, error.to_string()),
        }
    }
    for (position, certificate) in &read {
        report.any(*position, certificate);
        if *position == 0 {
            report.leaf(certificate);
        } else {
            report.signing(*position, certificate);
        }
    }
    report.links(&read);
    report.constraints(&read);
    report.trust_domains(&read);
    report.0
}

#[derive(Default)]
struct Report(Vec<Finding>);

impl Report {
    fn error(&mut self, rule: &'static str, position: usize, text: String) {
        self.0.push(Finding {
            rule,
            severity: Severity::Error,
            position,
            text,
        });
    }

    fn warning(&mut self, rule: &'static str, position: usize, text: &str) {
        self.0.push(Finding {
            rule,
            severity: Severity::Warning,
            position,
            text: text.to_owned(),
        });
    }

    fn any(&mut self, position: usize, certificate: &Certificate) {
        for oid in certificate.unknown_critical() {
            self.error(
                "RFC5280 4.2",
                position,
                format!("critical extension {oid} is not known here: validators refuse it"),
            );
        }
        if certificate.not_after() < certificate.not_before() {
            self.error("RFC5280 4.1.2.5", position, "its validity ends before it begins".to_owned());
        }
    }

    fn leaf(&mut self, leaf: &Certificate) {
        for violation in leaf_violations(leaf) {
            self.error(violation.rule(), 0, with_cause(&violation));
        }
        if leaf.extended_key_usage().is_none() {
            self.warning("X509-15", 0, "extended key usage is missing");
        }
        if leaf.key_usage().is_some_and(|usage| usage.key_encipherment || usage.key_agreement) {
            self.warning("X509-13", 0, "keyEncipherment and keyAgreement serve no purpose in TLS 1.3");
        }
        for name in leaf.dns_sans() {
            if let Err(error) = name.to_ascii_lowercase().parse::<DnsName>() {
                self.error("RFC5280 4.2.1.6", 0, format!("DNS name {name:?} is none: {error}"));
            }
        }
        if let [_, others @ ..] = leaf.common_names()
            && !others.is_empty()
        {
            self.warning("RFC6125 6.4.4", 0, "several common names: which of them counts differs between clients");
        }
        for name in leaf.common_names() {
            if name.chars().count() > SubjectCn::MAX_CHARS {
                self.error(
                    "RFC5280 A.1",
                    0,
                    format!("common name of {} characters, at most {}", name.chars().count(), SubjectCn::MAX_CHARS),
                );
            }
        }
        if leaf.authority_key_id().is_none() {
            self.warning("RFC5280 4.2.1.1", 0, "authority key identifier is missing");
        }
    }

    fn signing(&mut self, position: usize, certificate: &Certificate) {
        for violation in signing_violations(certificate) {
            self.error(violation.rule(), position, with_cause(&violation));
        }
        if certificate.uri_sans().is_empty() {
            self.warning("X509-06", position, "a signing certificate should carry the SPIFFE ID of its trust domain");
        }
        if certificate.has_uri_name_constraints() {
            self.warning(
                "X509-10",
                position,
                "URI name constraints: validators that do not support them refuse the chain",
            );
        }
        if certificate.basic_constraints().is_some_and(|constraints| !constraints.critical) {
            self.error("RFC5280 4.2.1.9", position, "basic constraints are not critical".to_owned());
        }
        if certificate.subject_key_id().is_none() {
            self.warning("RFC5280 4.2.1.2", position, "subject key identifier is missing");
        }
    }

    /// Each certificate is followed by the one that signed it, as TLS and the Workload API want them.
    fn links(&mut self, read: &[(usize, Certificate)]) {
        for ((position, below), (next, above)) in read.iter().zip(read.iter().skip(1)) {
            if *next == position + 1 && below.issuer() != above.subject() {
                self.error(
                    "X509-16",
                    *position,
                    format!("its issuer is {:?}, the next certificate is {:?}", below.issuer(), above.subject()),
                );
            }
        }
    }

    /// Names outside of what a signing certificate of the chain permits: every verifier refuses the chain.
    fn constraints(&mut self, read: &[(usize, Certificate)]) {
        let Some((_, leaf)) = read.first().filter(|(position, _)| *position == 0) else {
            return;
        };
        for (position, signing) in read.iter().filter(|(position, signing)| *position > 0 && !signing.permitted_dns().is_empty()) {
            let permitted: Vec<DnsName> = signing.permitted_dns().iter().filter_map(|name| name.parse().ok()).collect();
            let names = leaf.dns_sans().iter().filter_map(|name| name.to_ascii_lowercase().parse::<DnsName>().ok());
            for name in names.filter(|name| !permitted.iter().any(|base| name.is_within(base))) {
                self.error("RFC5280 4.2.1.10", *position, format!("its name constraints do not permit {name}"));
            }
        }
    }

    fn trust_domains(&mut self, read: &[(usize, Certificate)]) {
        let Some(leaf) = read.first().filter(|(position, _)| *position == 0).and_then(|(_, leaf)| identity(leaf)) else {
            return;
        };
        for (position, signing) in read.iter().filter(|(position, _)| *position > 0) {
            if identity(signing).is_some_and(|id| id.trust_domain_name() != leaf.trust_domain_name()) {
                self.warning("X509-06", *position, "its SPIFFE ID lies in another trust domain than the leaf's");
            }
        }
    }
}

fn identity(certificate: &Certificate) -> Option<SpiffeId> {
    match certificate.uri_sans() {
        [uri] => uri.parse().ok(),
        _ => None,
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
