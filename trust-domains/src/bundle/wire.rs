//! A bundle as our own API carries it: with the trust domain beside the document, which the document itself does not name.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bundle::TrustBundle;
use crate::bundle::json::Document;
use crate::bundle::parse::ParsedBundle;
use crate::bundle::raw::RawDocument;
use crate::trust_domain::TrustDomain;

/// A trust bundle on the wire: `{"trust_domain": NAME, "bundle": SPIFFE bundle document}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiffeBundle(TrustBundle);

impl SpiffeBundle {
    /// Returns whose bundle it is.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        self.0.trust_domain()
    }

    /// Returns the bundle.
    #[must_use]
    pub fn bundle(&self) -> &TrustBundle {
        &self.0
    }

    /// Returns the bundle itself.
    #[must_use]
    pub fn into_bundle(self) -> TrustBundle {
        self.0
    }
}

impl From<TrustBundle> for SpiffeBundle {
    fn from(bundle: TrustBundle) -> Self {
        Self(bundle)
    }
}

impl From<&TrustBundle> for SpiffeBundle {
    fn from(bundle: &TrustBundle) -> Self {
        Self(bundle.clone())
    }
}

impl From<SpiffeBundle> for TrustBundle {
    fn from(bundle: SpiffeBundle) -> Self {
        bundle.0
    }
}

impl Serialize for SpiffeBundle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Out<'a> {
            trust_domain: &'a TrustDomain,
            bundle: Document<'a>,
        }
        Out {
            trust_domain: self.0.trust_domain(),
            bundle: Document::of(&self.0),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SpiffeBundle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct In {
            trust_domain: TrustDomain,
            bundle: RawDocument,
        }
        let read = In::deserialize(deserializer)?;
        let parsed = ParsedBundle::of_document(&read.trust_domain, read.bundle).map_err(serde::de::Error::custom)?;
        Ok(Self(parsed.bundle))
    }
}
