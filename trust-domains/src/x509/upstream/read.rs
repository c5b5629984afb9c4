//! One CA certificate of an upstream authority, or a cross-certificate of one, with the rules that hold for both.

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, NameConstraints, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::refused::UpstreamRefused;
use super::{LEAST_LEFT, signature};
use crate::timestamp::Timestamp;
use crate::x509::certificate::{Certificate, ParseCertificateError};
use crate::x509::rules::{SigningViolation, signing_violations};

/// The extensions that may be critical (RFC 5280 section 4.2.1): key usage, subject alternative name, basic constraints, name constraints, extended key usage.
/// webpki refuses a path with any other.
const MAY_BE_CRITICAL: [&str; 5] = ["2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.30", "2.5.29.37"];

/// A CA certificate that may sign for a path from an upstream authority to our leaves, as far as that can be seen without its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadCa {
    pub(super) der: CertificateDer<'static>,
    pub(super) certificate: Certificate,
    /// The names as they are encoded: paths are built over them octet by octet.
    pub(super) subject_name: Vec<u8>,
    issuer_name: Vec<u8>,
}

impl ReadCa {
    /// Reads a certificate and checks what it says for itself; `position` is its place in what was given.
    pub(super) fn parse(der: &[u8], position: usize) -> Result<Self, UpstreamRefused> {
        let unreadable = |source| UpstreamRefused::Certificate { position, source };
        let certificate = Certificate::parse(der).map_err(unreadable)?;
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| unreadable(ParseCertificateError::Malformed))?;
        let read = Self {
            der: CertificateDer::from(der.to_vec()),
            certificate,
            subject_name: parsed.subject().as_raw().to_vec(),
            issuer_name: parsed.issuer().as_raw().to_vec(),
        };
        read.check_usage()?;
        read.check_extensions(&parsed)?;
        Ok(read)
    }

    pub(super) fn subject(&self) -> String {
        self.certificate.subject().to_owned()
    }

    fn check_usage(&self) -> Result<(), UpstreamRefused> {
        let disqualifying = signing_violations(&self.certificate).into_iter().find(SigningViolation::is_disqualifying);
        if let Some(violation) = disqualifying {
            return Err(UpstreamRefused::MayNotSign {
                subject: self.subject(),
                violation,
            });
        }
        match self.certificate.extended_key_usage() {
            Some(usage) if !(usage.server_auth && usage.client_auth) => Err(UpstreamRefused::OneDirection { subject: self.subject() }),
            Some(_) | None => Ok(()),
        }
    }

    fn check_extensions(&self, parsed: &X509Certificate<'_>) -> Result<(), UpstreamRefused> {
        for extension in parsed.extensions() {
            let oid = extension.oid.to_id_string();
            if extension.critical && !MAY_BE_CRITICAL.contains(&oid.as_str()) {
                return Err(UpstreamRefused::UnknownCritical { subject: self.subject(), oid });
            }
            if let ParsedExtension::NameConstraints(constraints) = extension.parsed_extension()
                && let Some(names) = excluded_names(constraints)
            {
                return Err(UpstreamRefused::NameConstraints {
                    subject: self.subject(),
                    names,
                });
            }
        }
        Ok(())
    }

    /// Checks that so many signing certificates may lie between this one and a leaf.
    pub(super) fn check_signs_below(&self, least: u32) -> Result<(), UpstreamRefused> {
        let path_len = self.certificate.basic_constraints().and_then(|constraints| constraints.path_len);
        match path_len {
            Some(path_len) if path_len < least => Err(UpstreamRefused::PathLength {
                subject: self.subject(),
                path_len,
                least,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks that it is valid now and for long enough.
    pub(super) fn check_life(&self, now: Timestamp) -> Result<(), UpstreamRefused> {
        let (not_before, not_after) = (self.certificate.not_before(), self.certificate.not_after());
        if now < not_before {
            return Err(UpstreamRefused::NotYetValid {
                subject: self.subject(),
                not_before,
                now,
            });
        }
        if not_after < now + LEAST_LEFT {
            return Err(UpstreamRefused::EndsSoon {
                subject: self.subject(),
                not_after,
                least: LEAST_LEFT,
            });
        }
        Ok(())
    }

    /// Checks that the other one's key signed it, in its name. Key identifiers are compared where both are there: OpenSSL asks for that.
    pub(super) fn check_signed_by(&self, upper: &Self) -> Result<(), UpstreamRefused> {
        let named = self.certificate.authority_key_id().zip(upper.certificate.subject_key_id());
        let fits = self.issuer_name == upper.subject_name && named.is_none_or(|(named, own)| named == own);
        match fits && signature::is_signed_by(&self.der, upper.certificate.spki()) {
            true => Ok(()),
            false => Err(UpstreamRefused::NotSignedBy {
                subject: self.subject(),
                upper: upper.subject(),
            }),
        }
    }
}

/// Returns the kind of names that name constraints speak of, where they would keep our chains out: webpki refuses any path with constraints on URIs, the only
/// names that our leaves must have, and our CAs have directory names of their own.
fn excluded_names(constraints: &NameConstraints<'_>) -> Option<&'static str> {
    let trees = constraints.permitted_subtrees.iter().chain(constraints.excluded_subtrees.iter()).flatten();
    trees.into_iter().find_map(|tree| match tree.base {
        GeneralName::DirectoryName(_) => Some("directory names"),
        GeneralName::URI(_) => Some("URIs"),
        _ => None,
    })
}
