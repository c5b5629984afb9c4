//! The facts of a node that joined by a certificate: `x509pop:KEY:VALUE`.

use super::{ParseSelectorError, Selector};

/// What the x509pop attestor proves about a node, all of it from the certificate whose key the node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum X509PopKey {
    /// The SHA-256 of a signing certificate on the path, the authority included.
    CaFingerprint,
    /// The SHA-256 of the certificate.
    Fingerprint,
    /// A DNS name of the certificate, in lower case.
    SanDns,
    /// The serial number of the certificate.
    Serial,
    /// A common name of the subject.
    SubjectCn,
}

impl X509PopKey {
    /// The kind of these selectors.
    pub const KIND: &'static str = "x509pop";

    /// Every key.
    pub const ALL: [Self; 5] = [Self::CaFingerprint, Self::Fingerprint, Self::SanDns, Self::Serial, Self::SubjectCn];

    /// Returns the words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CaFingerprint => "ca:fingerprint",
            Self::Fingerprint => "fingerprint",
            Self::SanDns => "san:dns",
            Self::Serial => "serial",
            Self::SubjectCn => "subject:cn",
        }
    }

    /// Returns the key and the value behind it of an x509pop selector with a known key.
    #[must_use]
    pub fn of(selector: &Selector) -> Option<(Self, &str)> {
        if selector.kind() != Self::KIND {
            return None;
        }
        let value_of = |key: Self| Some((key, selector.value().strip_prefix(key.as_str())?.strip_prefix(':')?));
        Self::ALL.into_iter().find_map(value_of)
    }

    /// Returns the selector of a value that was proved.
    ///
    /// # Errors
    /// The value is empty, too long or not printable: a name in a certificate can be all of these.
    pub fn selector(self, value: impl std::fmt::Display) -> Result<Selector, ParseSelectorError> {
        Selector::new(Self::KIND, &format!("{}:{value}", self.as_str()))
    }

    /// Returns whether the attestor could ever prove this value: there is one way to write each fact.
    #[must_use]
    pub fn may_be(self, value: &str) -> bool {
        let is_hex = |octet: u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
        match self {
            Self::CaFingerprint | Self::Fingerprint => value.len() == 64 && value.bytes().all(is_hex),
            Self::SanDns => !value.is_empty() && !value.bytes().any(|octet| octet.is_ascii_uppercase() || octet.is_ascii_whitespace()),
            Self::Serial => !value.is_empty() && value.len().is_multiple_of(2) && value.bytes().all(is_hex),
            Self::SubjectCn => !value.is_empty(),
        }
    }

    /// Says how a value is written.
    #[must_use]
    pub const fn form(self) -> &'static str {
        match self {
            Self::CaFingerprint | Self::Fingerprint => "the SHA-256 of the certificate in 64 lower-case hex digits",
            Self::SanDns => "a DNS name in lower case",
            Self::Serial => "the serial number in lower-case hex digits, two for each octet",
            Self::SubjectCn => "a common name",
        }
    }
}

impl std::fmt::Display for X509PopKey {
    /// Shows the key with its kind, as `x509pop:subject:cn`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", Self::KIND, self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_written_in_one_way_only() {
        let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let table = [
            ("x509pop:subject:cn:web 1".to_owned(), true),
            ("x509pop:san:dns:web-1.example.org".to_owned(), true),
            ("x509pop:san:dns:Web-1.example.org".to_owned(), false),
            (format!("x509pop:ca:fingerprint:{hash}"), true),
            (format!("x509pop:fingerprint:{hash}"), true),
            (format!("x509pop:fingerprint:{}", hash.to_uppercase()), false),
            ("x509pop:serial:01ab".to_owned(), true),
            ("x509pop:serial:1ab".to_owned(), false),
        ];
        for (text, expected) in table {
            let selector: Selector = text.parse().unwrap();
            let (key, value) = X509PopKey::of(&selector).unwrap();
            assert_eq!(key.may_be(value), expected, "{text}");
            assert_eq!(key.selector(value).unwrap(), selector, "{text}");
        }
        for text in ["unix:uid:0", "x509pop:subject:ou:x", "x509pop:serial", "x509pop:sanXdns:a"] {
            assert_eq!(X509PopKey::of(&text.parse().unwrap()), None, "{text}");
        }
    }
}
