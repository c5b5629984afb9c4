//! The bags of a store (RFC 7292 section 4.2), and what is said of them.

use crate::keystore::der;

/// pkcs8ShroudedKeyBag, 1.2.840.113549.1.12.10.1.2.
const SHROUDED_KEY_BAG: [u8; 11] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x02];

/// certBag, 1.2.840.113549.1.12.10.1.3.
const CERTIFICATE_BAG: [u8; 11] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x03];

/// x509Certificate (RFC 2985 section 6.8.1), 1.2.840.113549.1.9.22.1.
const X509_CERTIFICATE: [u8; 10] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];

/// friendlyName (RFC 2985 section 5.5.1), 1.2.840.113549.1.9.20.
const FRIENDLY_NAME: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x14];

/// localKeyId (RFC 2985 section 5.5.2), 1.2.840.113549.1.9.21.
const LOCAL_KEY_ID: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x15];

/// The attribute that makes of a certificate a trusted entry for Java, which sees no other certificates: 2.16.840.1.113894.746875.1.1.
const TRUSTED_KEY_USAGE: [u8; 12] = [0x60, 0x86, 0x48, 0x01, 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01];

/// anyExtendedKeyUsage (RFC 5280 section 4.2.1.12), 2.5.29.37.0: trusted for every purpose.
const ANY_EXTENDED_KEY_USAGE: [u8; 4] = [0x55, 0x1d, 0x25, 0x00];

/// What is said of a bag.
pub(super) struct Attributes(Vec<Vec<u8>>);

impl Attributes {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// The alias.
    pub(super) fn friendly_name(self, alias: &str) -> Self {
        self.with(&FRIENDLY_NAME, der::bmp_string(alias))
    }

    /// What a key and its certificate have in common.
    pub(super) fn local_key_id(self, id: &[u8]) -> Self {
        self.with(&LOCAL_KEY_ID, der::octet_string(id))
    }

    /// Java trusts the certificate, for every purpose.
    pub(super) fn trusted_by_java(self) -> Self {
        self.with(&TRUSTED_KEY_USAGE, der::object_identifier(&ANY_EXTENDED_KEY_USAGE))
    }

    fn with(mut self, kind: &[u8], value: Vec<u8>) -> Self {
        self.0.push(der::sequence(&[&der::object_identifier(kind), &der::set_of(vec![value])]));
        self
    }

    /// The SET, or nothing where there is nothing to say: it is OPTIONAL.
    fn encoded(&self) -> Vec<u8> {
        if self.0.is_empty() { Vec::new() } else { der::set_of(self.0.clone()) }
    }
}

/// A certificate (DER).
pub(super) fn certificate(certificate: &[u8], attributes: &Attributes) -> Vec<u8> {
    let value = der::explicit_0(&der::octet_string(certificate));
    bag(
        &CERTIFICATE_BAG,
        &der::sequence(&[&der::object_identifier(&X509_CERTIFICATE), &value]),
        attributes,
    )
}

/// An encrypted private key (EncryptedPrivateKeyInfo).
pub(super) fn shrouded_key(encrypted: &[u8], attributes: &Attributes) -> Vec<u8> {
    bag(&SHROUDED_KEY_BAG, encrypted, attributes)
}

fn bag(kind: &[u8], value: &[u8], attributes: &Attributes) -> Vec<u8> {
    der::sequence(&[&der::object_identifier(kind), &der::explicit_0(value), &attributes.encoded()])
}
