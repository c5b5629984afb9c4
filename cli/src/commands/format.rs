//! The forms of credentials in files, as options name them.

use clap::ValueEnum;
use trust_domains::delivery::Format;

/// The forms of credentials in files.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FormatName {
    /// svid.pem and svid_key.pem.
    Pem,
    /// svid_combined.pem: the key, then the chain.
    PemCombined,
    /// svid.der and svid_key.der.
    Der,
    /// keystore.p12 and truststore.p12, with a generated password in keystore.password.
    Pkcs12,
    /// keystore.jks and truststore.jks, with a generated password in keystore.password.
    Jks,
    /// jwks.json: the keys of JWT-SVIDs.
    Jwks,
    /// bundle.json: a SPIFFE bundle.
    Spiffe,
}

/// Returns the formats, in order, each once.
pub(crate) fn formats(names: Vec<FormatName>) -> Vec<Format> {
    let mut formats: Vec<Format> = names.into_iter().map(Format::from).collect();
    formats.sort();
    formats.dedup();
    formats
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Pem => Self::Pem,
            FormatName::PemCombined => Self::PemCombined,
            FormatName::Der => Self::Der,
            FormatName::Pkcs12 => Self::Pkcs12,
            FormatName::Jks => Self::Jks,
            FormatName::Jwks => Self::Jwks,
            FormatName::Spiffe => Self::Spiffe,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_own_name_as_an_option() {
        let named = FormatName::value_variants().iter().map(|name| {
            let value = name.to_possible_value().unwrap();
            assert_eq!(value.get_name(), Format::from(*name).name());
            *name
        });
        assert_eq!(formats(named.collect()), Format::ALL);
    }
}
