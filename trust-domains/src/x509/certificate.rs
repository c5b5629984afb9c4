//! One certificate, read once into what the SPIFFE rules ask about.

mod error;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;

pub use error::ParseCertificateError;

use crate::serial::Serial;
use crate::timestamp::Timestamp;

/// The largest certificate that is read. Ours have about 600 bytes; an RSA-8192 leaf with dozens of names stays under this.
pub const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;

/// The `keyUsage` extension (RFC 5280 section 4.2.1.3), as far as the SPIFFE rules name its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    /// Whether the extension is critical.
    pub critical: bool,
    /// `digitalSignature`.
    pub digital_signature: bool,
    /// `keyEncipherment`.
    pub key_encipherment: bool,
    /// `keyAgreement`.
    pub key_agreement: bool,
    /// `keyCertSign`.
    pub key_cert_sign: bool,
    /// `cRLSign`.
    pub crl_sign: bool,
}

/// The `extKeyUsage` extension, as far as the SPIFFE rules name its purposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedKeyUsage {
    /// `id-kp-serverAuth`.
    pub server_auth: bool,
    /// `id-kp-clientAuth`.
    pub client_auth: bool,
}

/// The `basicConstraints` extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the extension is critical.
    pub critical: bool,
    /// `cA`.
    pub ca: bool,
    /// `pathLenConstraint`.
    pub path_len: Option<u32>,
}

/// A certificate that could be read: nothing about it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    serial: Serial,
    subject: String,
    subject_is_empty: bool,
    common_names: Vec<String>,
    issuer: String,
    is_self_issued: bool,
    not_before: Timestamp,
    not_after: Timestamp,
    uri_sans: Vec<String>,
    dns_sans: Vec<String>,
    san_critical: bool,
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<ExtendedKeyUsage>,
    has_uri_name_constraints: bool,
    permitted_dns: Vec<String>,
    unknown_critical: Vec<String>,
    subject_key_id: Option<Vec<u8>>,
    authority_key_id: Option<Vec<u8>>,
    spki: Vec<u8>,
}

impl Certificate {
    /// Reads one DER certificate.
    ///
    /// # Errors
    ///
    /// Whatever cannot be read without doubt is refused: trailing octets, a doubled or unreadable extension, a version before 3.
    pub fn parse(der: &[u8]) -> Result<Self, ParseCertificateError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(ParseCertificateError::TooLarge {
                limit: MAX_CERTIFICATE_BYTES,
                actual: der.len(),
            });
        }
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| ParseCertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(ParseCertificateError::TrailingData { octets: rest.len() });
        }
        if parsed.version().0 != 2 {
            return Err(ParseCertificateError::Version {
                version: parsed.version().0.saturating_add(1),
            });
        }
        let mut certificate = Self::without_extensions(&parsed)?;
        for (position, extension) in parsed.extensions().iter().enumerate() {
            if parsed.extensions().iter().take(position).any(|earlier| earlier.oid == extension.oid) {
                return Err(ParseCertificateError::DuplicateExtension {
                    oid: extension.oid.to_id_string(),
                });
            }
            certificate.read_extension(extension)?;
        }
        Ok(certificate)
    }

    fn without_extensions(parsed: &X509Certificate<'_>) -> Result<Self, ParseCertificateError> {
        let serial = Serial::from_der_bytes(parsed.raw_serial()).map_err(|_| ParseCertificateError::Serial {
            octets: parsed.raw_serial().len(),
        })?;
        Ok(Self {
            serial,
            subject: parsed.subject().to_string(),
            subject_is_empty: parsed.subject().iter_rdn().next().is_none(),
            common_names: parsed
                .subject()
                .iter_common_name()
                .filter_map(|name| name.as_str().ok())
                .map(str::to_owned)
                .collect(),
            issuer: parsed.issuer().to_string(),
            is_self_issued: parsed.subject().as_raw() == parsed.issuer().as_raw(),
            not_before: Timestamp::from_unix(parsed.validity().not_before.timestamp()),
            not_after: Timestamp::from_unix(parsed.validity().not_after.timestamp()),
            uri_sans: Vec::new(),
            dns_sans: Vec::new(),
            san_critical: false,
            basic_constraints: None,
            key_usage: None,
            extended_key_usage: None,
            has_uri_name_constraints: false,
            permitted_dns: Vec::new(),
            unknown_critical: Vec::new(),
            subject_key_id: None,
            authority_key_id: None,
            spki: parsed.public_key().raw.to_vec(),
        })
    }

    fn read_extension(&mut self, extension: &X509Extension<'_>) -> Result<(), ParseCertificateError> {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                self.san_critical = extension.critical;
                for name in &names.general_names {
                    self.read_name(name)?;
                }
            }
            ParsedExtension::BasicConstraints(constraints) => {
                self.basic_constraints = Some(BasicConstraints {
                    critical: extension.critical,
                    ca: constraints.ca,
                    path_len: constraints.path_len_constraint,
                });
            }
            ParsedExtension::KeyUsage(usage) => {
                self.key_usage = Some(KeyUsage {
                    critical: extension.critical,
                    digital_signature: usage.digital_signature(),
                    key_encipherment: usage.key_encipherment(),
                    key_agreement: usage.key_agreement(),
                    key_cert_sign: usage.key_cert_sign(),
                    crl_sign: usage.crl_sign(),
                });
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                self.extended_key_usage = Some(ExtendedKeyUsage {
                    server_auth: usage.server_auth,
                    client_auth: usage.client_auth,
                });
            }
            ParsedExtension::NameConstraints(constraints) => {
                let trees = constraints.permitted_subtrees.iter().chain(constraints.excluded_subtrees.iter()).flatten();
                let permitted = constraints.permitted_subtrees.iter().flatten();
                let domains = permitted.filter_map(|tree| {
                    if let GeneralName::DNSName(name) = tree.base {
                        Some(name.to_owned())
                    } else {
                        None
                    }
                });
                self.permitted_dns = domains.collect();
                self.has_uri_name_constraints = trees.into_iter().any(|tree| matches!(tree.base, GeneralName::URI(_)));
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.subject_key_id = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => self.authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            ParsedExtension::ParseError { .. } => {
                return Err(ParseCertificateError::MalformedExtension {
                    oid: extension.oid.to_id_string(),
                });
            }
            ParsedExtension::UnsupportedExtension { oid } if extension.critical => self.unknown_critical.push(oid.to_id_string()),
            _ => {}
        }
        Ok(())
    }

    fn read_name(&mut self, name: &GeneralName<'_>) -> Result<(), ParseCertificateError> {
        match name {
            GeneralName::URI(uri) => self.uri_sans.push((*uri).to_owned()),
            GeneralName::DNSName(dns) => self.dns_sans.push((*dns).to_owned()),
            GeneralName::Invalid(..) => return Err(ParseCertificateError::MalformedName),
            _ => {}
        }
        Ok(())
    }

    /// Returns the serial number.
    #[must_use]
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// Returns the subject's distinguished name as text.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns whether the subject is the empty name.
    #[must_use]
    pub fn subject_is_empty(&self) -> bool {
        self.subject_is_empty
    }

    /// Returns the common names of the subject that are text.
    #[must_use]
    pub fn common_names(&self) -> &[String] {
        &self.common_names
    }

    /// Returns the issuer's distinguished name as text.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns whether subject and issuer are the same name, as in a root.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.is_self_issued
    }

    /// Returns the first second of its validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Returns the last second of its validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Returns whether `now` lies in its validity, both ends included (RFC 5280 section 4.1.2.5).
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Returns the URI names of the SAN extension.
    #[must_use]
    pub fn uri_sans(&self) -> &[String] {
        &self.uri_sans
    }

    /// Returns the DNS names of the SAN extension.
    #[must_use]
    pub fn dns_sans(&self) -> &[String] {
        &self.dns_sans
    }

    /// Returns whether the SAN extension is there and critical.
    #[must_use]
    pub fn san_critical(&self) -> bool {
        self.san_critical
    }

    /// Returns the basic constraints.
    #[must_use]
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.basic_constraints
    }

    /// Returns whether basic constraints say `cA`.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.basic_constraints.is_some_and(|constraints| constraints.ca)
    }

    /// Returns the key usage.
    #[must_use]
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.key_usage
    }

    /// Returns the extended key usage.
    #[must_use]
    pub fn extended_key_usage(&self) -> Option<ExtendedKeyUsage> {
        self.extended_key_usage
    }

    /// Returns whether name constraints speak of URIs, which common validators refuse altogether.
    #[must_use]
    pub fn has_uri_name_constraints(&self) -> bool {
        self.has_uri_name_constraints
    }

    /// Returns the DNS domains that name constraints permit below this certificate; none is no constraint.
    #[must_use]
    pub fn permitted_dns(&self) -> &[String] {
        &self.permitted_dns
    }

    /// Returns the object identifiers of critical extensions that this program does not know.
    #[must_use]
    pub fn unknown_critical(&self) -> &[String] {
        &self.unknown_critical
    }

    /// Returns the subject key identifier.
    #[must_use]
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.subject_key_id.as_deref()
    }

    /// Returns the key identifier of the authority key identifier extension.
    #[must_use]
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.authority_key_id.as_deref()
    }

    /// Returns the DER of its SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }
}

#[cfg(test)]
mod tests;
