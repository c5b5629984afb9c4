//! Reading a bundle from PEM: what people have at hand when they trust another domain by hand.

use crate::bundle::parse::{MAX_BUNDLE_BYTES, MAX_BUNDLE_KEYS, ParseBundleError, ParsedBundle, SkipReason, SkippedKey};
use crate::bundle::{TrustBundle, X509Authority};
use crate::trust_domain::TrustDomain;
use crate::x509::PEM_LABEL;

impl ParsedBundle {
    /// Reads the roots of a PEM text, and tells which blocks were passed over.
    ///
    /// PEM knows no keys of tokens and no sequence number. A text without a root is refused: an empty bundle is said in JSON, as `{"keys":[]}`.
    ///
    /// # Errors
    ///
    /// When the text is no PEM, is too large, or holds no root.
    pub fn parse_pem(trust_domain: &TrustDomain, text: &[u8]) -> Result<Self, ParseBundleError> {
        if text.len() > MAX_BUNDLE_BYTES {
            return Err(ParseBundleError::TooLarge {
                limit: MAX_BUNDLE_BYTES,
                actual: text.len(),
            });
        }
        let blocks = pem::parse_many(text).map_err(|_| ParseBundleError::NotPem)?;
        if blocks.len() > MAX_BUNDLE_KEYS {
            return Err(ParseBundleError::TooManyKeys {
                limit: MAX_BUNDLE_KEYS,
                actual: blocks.len(),
            });
        }
        let mut bundle = TrustBundle::new(trust_domain.clone());
        let mut skipped = Vec::new();
        for (position, block) in blocks.iter().enumerate() {
            match root(&bundle, block) {
                Ok(root) => bundle = bundle.with_parsed_authority(root),
                Err(reason) => skipped.push(SkippedKey { position, reason }),
            }
        }
        if bundle.is_empty() {
            return Err(ParseBundleError::NoRootInPem {
                first: skipped.into_iter().next().map(|skipped| skipped.reason),
            });
        }
        Ok(Self { bundle, skipped })
    }
}

fn root(bundle: &TrustBundle, block: &pem::Pem) -> Result<X509Authority, SkipReason> {
    if block.tag() != PEM_LABEL {
        return Err(SkipReason::NotACertificate);
    }
    let root = X509Authority::parse(block.contents()).map_err(|source| SkipReason::CertificateRefused { source })?;
    if bundle.x509_authorities().contains(&root) {
        return Err(SkipReason::Duplicate);
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::testing::TestCa;

    fn td() -> TrustDomain {
        "partner.test".parse().unwrap()
    }

    #[test]
    fn the_roots_of_a_pem_text_are_taken_and_other_blocks_are_told() {
        let (one, two) = (TestCa::root("one", "partner.test"), TestCa::root("two", "partner.test"));
        let both = TrustBundle::new(td())
            .with_x509_authority(&one.der)
            .unwrap()
            .with_x509_authority(&two.der)
            .unwrap();
        let key = pem::encode(&pem::Pem::new("PRIVATE KEY", b"not ours".to_vec()));
        let text = format!("a comment\n{key}{}{}", both.to_pem(), both.to_pem());
        let parsed = ParsedBundle::parse_pem(&td(), text.as_bytes()).unwrap();
        assert!(parsed.bundle.has_same_keys(&both));
        let told: Vec<_> = parsed.skipped.iter().map(|skipped| (skipped.position, skipped.reason.clone())).collect();
        assert_eq!(told, [(0, SkipReason::NotACertificate), (3, SkipReason::Duplicate), (4, SkipReason::Duplicate)]);
    }

    #[test]
    fn a_text_without_a_root_is_no_bundle() {
        let leaf = pem::encode(&pem::Pem::new(PEM_LABEL, b"no certificate".to_vec()));
        for (text, expected) in [
            ("", None),
            ("no PEM at all", None),
            (leaf.as_str(), Some("the certificate is not taken as a root")),
        ] {
            match ParsedBundle::parse_pem(&td(), text.as_bytes()) {
                Err(ParseBundleError::NoRootInPem { first }) => assert_eq!(first.map(|reason| reason.to_string()).as_deref(), expected, "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
        let broken = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        assert_eq!(ParsedBundle::parse_pem(&td(), broken.as_bytes()), Err(ParseBundleError::NotPem));
        let large = vec![b' '; MAX_BUNDLE_BYTES + 1];
        assert!(matches!(ParsedBundle::parse_pem(&td(), &large), Err(ParseBundleError::TooLarge { .. })));
        let many = leaf.repeat(MAX_BUNDLE_KEYS + 1);
        assert!(matches!(
            ParsedBundle::parse_pem(&td(), many.as_bytes()),
            Err(ParseBundleError::TooManyKeys { actual: 513, .. })
        ));
    }
}
