//! The trust domain of a trust file: one, and never more.

use std::str::FromStr;

use trust_domains::TrustDomain;

/// What is said to those who ask for several in one file.
pub(super) const ONE_TRUST_DOMAIN: &str = "a trust file holds one trust domain, since programs that read it would let each vouch for the names of the others; \
     give each trust domain a [[sink]] of its own";

/// A trust domain, where somebody may have written several.
pub(super) struct OneTrustDomain(pub(super) TrustDomain);

impl FromStr for OneTrustDomain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.split([',', ';', ' ']).filter(|part| !part.is_empty()).count() > 1 {
            return Err(ONE_TRUST_DOMAIN.to_owned());
        }
        text.parse()
            .map(Self)
            .map_err(|error: trust_domains::trust_domain::ParseTrustDomainError| error.to_string())
    }
}
