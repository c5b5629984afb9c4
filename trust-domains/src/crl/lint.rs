//! Every rule that a revocation list breaks, for `troth svid lint`: what verifiers refuse, what RFC 5280 forbids a CA, and what a complete set does not bear.
//!
//! Lists are read leniently here, so that all findings are told and not just the first. A list without a finding that is an error is one that
//! [`Crl::parse`] takes.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::{ASN1Time, FromDer};
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::{ReasonCode, X509Version};

use super::MAX_CRL_BYTES;
use super::der::algorithm_of_certificate;
use super::issuer::is_signed;
use super::list::Crl;
use crate::timestamp::Timestamp;
use crate::x509::{Certificate, Severity};

/// The rule of our own lists (docs/revocation.md): one whole list for each CA, good until the CA ends.
const COMPLETE_SET: &str = "CRL-SET";

/// `id-ce-deltaCRLIndicator` (2.5.29.27).
const DELTA_INDICATOR: &str = "2.5.29.27";
/// `id-ce-issuingDistributionPoint` (2.5.29.28).
const DISTRIBUTION_POINT: &str = "2.5.29.28";
/// `id-ce-cRLNumber` (2.5.29.20).
const CRL_NUMBER: &str = "2.5.29.20";
/// `id-ce-authorityKeyIdentifier` (2.5.29.35).
const AUTHORITY_KEY_ID: &str = "2.5.29.35";

/// The longest number of a list (RFC 5280 section 5.2.3), in octets.
const MAX_NUMBER_OCTETS: usize = 20;

/// One broken rule of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlFinding {
    /// `RFC5280` with its section, or `CRL-SET`: the rules of a complete set of lists (docs/revocation.md).
    pub rule: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// The list's place in the file, from 0.
    pub position: usize,
    /// What was found, as a fragment without full stop.
    pub text: String,
}

/// Returns what is wrong with lists at a moment. `authorities` are the certificates of CAs in DER, whose lists these may be; with none, signatures are not looked at.
#[must_use]
pub fn lint(lists: &[Vec<u8>], authorities: &[Vec<u8>], now: Timestamp) -> Vec<CrlFinding> {
    let authorities: Vec<_> = authorities.iter().filter_map(|der| Authority::parse(der)).collect();
    let (mut found, mut listed) = (Vec::new(), Vec::new());
    for (position, der) in lists.iter().enumerate() {
        let mut report = Report { position, found: Vec::new() };
        if let Some(key_id) = report.list(der, &authorities, now) {
            if listed.contains(&key_id) {
                report.error(COMPLETE_SET, format!("a second list of the CA {}", hex::encode(&key_id)));
            }
            listed.push(key_id);
        }
        found.append(&mut report.found);
    }
    let missing = authorities
        .iter()
        .filter(|authority| authority.certificate.not_after() > now && !listed.contains(&authority.key_id));
    found.extend(missing.map(|authority| CrlFinding {
        rule: COMPLETE_SET,
        severity: Severity::Warning,
        position: lists.len(),
        text: format!(
            "there is no list of the CA {} ({}): nginx, Envoy, HAProxy and libpq refuse good peers without it",
            authority.certificate.subject(),
            hex::encode(&authority.key_id)
        ),
    }));
    found
}

/// A CA whose lists may be here.
struct Authority<'a> {
    der: &'a [u8],
    certificate: Certificate,
    key_id: Vec<u8>,
}

impl<'a> Authority<'a> {
    /// Leaves of a chain, and what is no certificate, are passed over.
    fn parse(der: &'a [u8]) -> Option<Self> {
        let certificate = Certificate::parse(der).ok().filter(Certificate::is_ca)?;
        let key_id = certificate.subject_key_id()?.to_vec();
        Some(Self { der, certificate, key_id })
    }

    fn raw_subject(&self) -> Option<&'a [u8]> {
        X509Certificate::from_der(self.der)
            .ok()
            .map(|(_, parsed)| parsed.tbs_certificate.subject.as_raw())
    }
}

struct Report {
    position: usize,
    found: Vec<CrlFinding>,
}

impl Report {
    fn add(&mut self, rule: &'static str, severity: Severity, text: String) {
        self.found.push(CrlFinding {
            rule,
            severity,
            position: self.position,
            text,
        });
    }

    fn error(&mut self, rule: &'static str, text: String) {
        self.add(rule, Severity::Error, text);
    }

    fn warning(&mut self, rule: &'static str, text: &str) {
        self.add(rule, Severity::Warning, text.to_owned());
    }

    /// Looks at one list, and returns the key identifier of its CA.
    fn list(&mut self, der: &[u8], authorities: &[Authority<'_>], now: Timestamp) -> Option<Vec<u8>> {
        if der.len() > MAX_CRL_BYTES {
            self.error(COMPLETE_SET, format!("a list of {} bytes, at most {MAX_CRL_BYTES} are read", der.len()));
            return None;
        }
        let list = match CertificateRevocationList::from_der(der) {
            Ok(([], list)) => list,
            Ok((rest, _)) => {
                self.error("RFC5280 5.1", format!("{} bytes follow the list", rest.len()));
                return None;
            }
            Err(_) => {
                self.error("RFC5280 5.1", "it cannot be read as a list".to_owned());
                return None;
            }
        };
        self.head(&list);
        self.times(&list, now);
        let key_id = self.extensions(list.extensions());
        self.entries(&list);
        if !authorities.is_empty() {
            self.issuer(der, &list, key_id.as_deref(), authorities);
        }
        if !self.found.iter().any(|finding| finding.severity == Severity::Error)
            && let Err(error) = Crl::parse(der.to_vec())
        {
            self.error("RFC5280 5.1", error.to_string());
        }
        key_id
    }

    fn head(&mut self, list: &CertificateRevocationList<'_>) {
        if list.version() != Some(X509Version::V2) {
            self.error("RFC5280 5.1.2.1", "its version is not v2, which a list with extensions has".to_owned());
        }
        if list.signature_algorithm != list.tbs_cert_list.signature {
            self.error(
                "RFC5280 5.1.2.2",
                "the algorithm beside the signature is another than the signed one".to_owned(),
            );
        }
        if list.issuer().iter().next().is_none() {
            self.error("RFC5280 5.1.2.3", "it names no issuer".to_owned());
        }
    }

    fn times(&mut self, list: &CertificateRevocationList<'_>, now: Timestamp) {
        let this_update = timestamp(list.last_update());
        if this_update > now {
            self.error("RFC5280 5.1.2.4", format!("thisUpdate is {this_update}, it is {now}"));
        }
        match list.next_update().map(timestamp) {
            None => self.error("RFC5280 5.1.2.5", "nextUpdate is missing".to_owned()),
            Some(next) if next <= this_update => self.error("RFC5280 5.1.2.5", format!("nextUpdate {next} is not after thisUpdate {this_update}")),
            Some(next) if next < now => self.error(
                "RFC5280 5.1.2.5",
                format!("it ended at {next}, it is {now}: verifiers refuse every certificate of its CA"),
            ),
            Some(_) => {}
        }
    }

    /// Returns the key identifier of the CA.
    fn extensions(&mut self, extensions: &[X509Extension<'_>]) -> Option<Vec<u8>> {
        let (mut key_id, mut has_number, mut seen) = (None, false, Vec::new());
        for extension in extensions {
            let oid = extension.oid.to_id_string();
            match (oid.as_str(), extension.parsed_extension()) {
                (AUTHORITY_KEY_ID, ParsedExtension::AuthorityKeyIdentifier(authority)) => {
                    key_id = authority.key_identifier.as_ref().map(|id| id.0.to_vec());
                    if key_id.is_none() {
                        self.error("RFC5280 5.2.1", "the authority key identifier has no key identifier".to_owned());
                    }
                }
                (CRL_NUMBER, ParsedExtension::CRLNumber(_)) => {
                    has_number = true;
                    self.number(extension);
                }
                (AUTHORITY_KEY_ID, _) => self.error("RFC5280 5.2.1", "the authority key identifier cannot be read".to_owned()),
                (CRL_NUMBER, _) => self.error("RFC5280 5.2.3", "the number cannot be read".to_owned()),
                (DELTA_INDICATOR, _) => self.partial("RFC5280 5.2.4", extension.critical, "a delta list: it says only what changed since another"),
                (DISTRIBUTION_POINT, _) => self.partial(
                    "RFC5280 5.2.5",
                    extension.critical,
                    "an issuing distribution point: the list may be indirect or of a part",
                ),
                (_, _) if extension.critical => self.error("RFC5280 5.2", format!("critical extension {oid} is not known here: validators refuse the list")),
                _ => {}
            }
            if seen.contains(&oid) {
                self.error("RFC5280 4.2", format!("extension {oid} is there twice"));
            }
            seen.push(oid);
        }
        if !seen.iter().any(|oid| oid == AUTHORITY_KEY_ID) {
            self.error("RFC5280 5.2.1", "the authority key identifier is missing".to_owned());
        }
        if !has_number && !seen.iter().any(|oid| oid == CRL_NUMBER) {
            self.error("RFC5280 5.2.3", "the number is missing".to_owned());
        }
        key_id
    }

    fn number(&mut self, extension: &X509Extension<'_>) {
        if extension.critical {
            self.error("RFC5280 5.2.3", "the number is critical".to_owned());
        }
        // The value is an INTEGER in DER: a tag and a length before it.
        let octets = extension.value.len().saturating_sub(2);
        if octets > MAX_NUMBER_OCTETS {
            self.error("RFC5280 5.2.3", format!("the number has {octets} octets, at most {MAX_NUMBER_OCTETS}"));
        }
    }

    /// What limits a list has to be critical, and is in none of a complete set.
    fn partial(&mut self, rule: &'static str, critical: bool, what: &str) {
        if !critical {
            self.error(rule, format!("{what}; and it is not critical"));
        }
        self.error(COMPLETE_SET, what.to_owned());
    }

    fn entries(&mut self, list: &CertificateRevocationList<'_>) {
        let mut before: Option<&[u8]> = None;
        let (mut out_of_order, mut unspecified) = (0_usize, 0_usize);
        for entry in list.iter_revoked_certificates() {
            let serial = entry.raw_serial();
            let serial = serial.strip_prefix(&[0]).unwrap_or(serial);
            if before.is_some_and(|before| (before.len(), before) >= (serial.len(), serial)) {
                out_of_order += 1;
            }
            before = Some(serial);
            for extension in entry.extensions() {
                match extension.parsed_extension() {
                    ParsedExtension::ReasonCode(ReasonCode::Unspecified) => unspecified += 1,
                    ParsedExtension::ReasonCode(ReasonCode::RemoveFromCRL) => {
                        self.error(
                            "RFC5280 5.3.1",
                            format!("the entry {} has the reason removeFromCRL, of delta lists only", entry.raw_serial_as_string()),
                        );
                    }
                    _ if extension.critical => self.error(
                        "RFC5280 5.3",
                        format!(
                            "the entry {} has the critical extension {}: validators refuse the list",
                            entry.raw_serial_as_string(),
                            extension.oid
                        ),
                    ),
                    _ => {}
                }
            }
        }
        if out_of_order > 0 {
            self.error(COMPLETE_SET, format!("{out_of_order} serials are out of order or there twice"));
        }
        if unspecified > 0 {
            self.warning("RFC5280 5.3.1", "entries have the reason unspecified: none at all says the same");
        }
    }

    /// Whose list it is, and whether that CA signed it.
    fn issuer(&mut self, der: &[u8], list: &CertificateRevocationList<'_>, key_id: Option<&[u8]>, authorities: &[Authority<'_>]) {
        let Some(authority) = authorities.iter().find(|authority| key_id == Some(&authority.key_id)) else {
            self.error("RFC5280 6.3.3", "it is of none of the CAs that were given".to_owned());
            return;
        };
        if authority.raw_subject() != Some(list.issuer().as_raw()) {
            self.error(
                "RFC5280 5.1.2.3",
                format!("it names the issuer {}, the CA is {}", list.issuer(), authority.certificate.subject()),
            );
        }
        if !authority.certificate.key_usage().is_some_and(|usage| usage.crl_sign) {
            self.error("RFC5280 6.3.3", "its CA has no cRLSign: validators refuse its lists".to_owned());
        }
        let algorithm = algorithm_of_certificate(der).unwrap_or_default();
        if !is_signed(authority.certificate.spki(), algorithm, list.tbs_cert_list.as_ref(), &list.signature_value.data) {
            self.error("RFC5280 6.3.3", "the signature is not its CA's".to_owned());
        }
        let ends = authority.certificate.not_after();
        if list.next_update().map(timestamp).is_some_and(|next| next < ends) {
            self.warning(
                COMPLETE_SET,
                &format!("nextUpdate is before the end of its CA, {ends}: who is not given another list in time refuses good peers"),
            );
        }
    }
}

/// A list from outside has any moment that fits into its text.
fn timestamp(time: ASN1Time) -> Timestamp {
    Timestamp::from_unix(time.timestamp())
}

#[cfg(test)]
mod tests;
