//! A relationship as it is stored: all that is needed to fetch a partner's bundle, and who said so.

use serde::{Deserialize, Serialize};

use super::profile::{EndpointProfile, ProfileError, ProfileName};
use super::url::EndpointUrl;
use crate::bundle::{SpiffeBundle, TrustBundle};
use crate::problem::{Code, Coded};
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// What an operator says of a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationshipSpec {
    /// The partner.
    pub trust_domain: TrustDomain,
    /// Where its bundle is.
    pub url: EndpointUrl,
    /// How the endpoint proves itself.
    pub profile: EndpointProfile,
    /// Whether redirects are followed (FED-11, FED-18).
    pub redirects: bool,
    /// Whether every entry of this trust domain federates with it.
    pub all_entries: bool,
    /// Where its revocation lists are, if they are fetched.
    pub crl_url: Option<EndpointUrl>,
    /// The bundle for the first fetch of a self-serving endpoint (FED-20, FED-25).
    pub bootstrap: Option<SpiffeBundle>,
}

/// A relationship with a partner: always with what its profile asks for.
///
/// That the partner is not this trust domain, and that there is a bundle by which an endpoint of another trust domain can prove itself (FED-21), is seen to by
/// whoever stores it: see [`Self::needs_bundle_of`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Record", into = "Record")]
pub struct Relationship {
    spec: RelationshipSpec,
    created_at: Timestamp,
    created_by: String,
}

/// By what an endpoint has to prove itself now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointAuthority<'a> {
    /// There is no bundle by which it could: neither one that was fetched or set, nor one to begin with.
    Missing {
        /// Whose bundle it would be.
        trust_domain: TrustDomain,
    },
    /// By an X509-SVID with this ID under this bundle.
    Spiffe {
        /// The endpoint's SPIFFE ID.
        endpoint_id: &'a SpiffeId,
        /// The bundle of that ID's trust domain.
        bundle: &'a TrustBundle,
    },
    /// By a certificate of the public web.
    Web,
}

impl Relationship {
    /// Returns a relationship that an operator sets up now.
    ///
    /// # Errors
    ///
    /// What is said of it does not go together.
    pub fn new(spec: RelationshipSpec, created_at: Timestamp, created_by: String) -> Result<Self, RelationshipError> {
        check(&spec)?;
        Ok(Self { spec, created_at, created_by })
    }

    /// Returns the relationship as it is after a change; who made it, and when, stays.
    ///
    /// # Errors
    ///
    /// What is said of it does not go together, or it is said of another trust domain.
    pub fn with_spec(&self, spec: RelationshipSpec) -> Result<Self, RelationshipError> {
        if spec.trust_domain != self.spec.trust_domain {
            return Err(RelationshipError::OtherTrustDomain {
                stored: self.spec.trust_domain.clone(),
                offered: spec.trust_domain,
            });
        }
        Self::new(spec, self.created_at, self.created_by.clone())
    }

    /// Returns all that was said of it.
    #[must_use]
    pub fn spec(&self) -> &RelationshipSpec {
        &self.spec
    }

    /// Returns the partner.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.spec.trust_domain
    }

    /// Returns where its bundle is.
    #[must_use]
    pub fn url(&self) -> &EndpointUrl {
        &self.spec.url
    }

    /// Returns how the endpoint proves itself.
    #[must_use]
    pub fn profile(&self) -> &EndpointProfile {
        &self.spec.profile
    }

    /// Returns whether redirects are followed.
    #[must_use]
    pub fn redirects(&self) -> bool {
        self.spec.redirects
    }

    /// Returns whether every entry federates with it.
    #[must_use]
    pub fn all_entries(&self) -> bool {
        self.spec.all_entries
    }

    /// Returns where its revocation lists are.
    #[must_use]
    pub fn crl_url(&self) -> Option<&EndpointUrl> {
        self.spec.crl_url.as_ref()
    }

    /// Returns the bundle for the first fetch.
    #[must_use]
    pub fn bootstrap(&self) -> Option<&SpiffeBundle> {
        self.spec.bootstrap.as_ref()
    }

    /// Returns when it was set up.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// Returns who set it up.
    #[must_use]
    pub fn created_by(&self) -> &str {
        &self.created_by
    }

    /// Returns the trust domain by whose bundle the endpoint proves itself; nothing for one of the public web.
    #[must_use]
    pub fn endpoint_trust_domain(&self) -> Option<TrustDomain> {
        self.profile().endpoint_id().map(SpiffeId::trust_domain)
    }

    /// Returns the trust domain whose bundle must be held, or be fetched, before this one can be: none where the endpoint proves itself by Web PKI, or there is
    /// a bundle to begin with (FED-19 to FED-21).
    #[must_use]
    pub fn needs_bundle_of(&self) -> Option<TrustDomain> {
        match self.bootstrap() {
            Some(_) => None,
            None => self.endpoint_trust_domain(),
        }
    }

    /// Says by what the endpoint has to prove itself now, where `held` is the newest bundle of [`Self::endpoint_trust_domain`].
    ///
    /// The bundle to begin with is for the first fetch alone: as soon as another is held that one counts, an empty one too (FED-25).
    #[must_use]
    pub fn authority<'a>(&'a self, held: Option<&'a TrustBundle>) -> EndpointAuthority<'a> {
        let EndpointProfile::HttpsSpiffe { endpoint_id } = self.profile() else {
            return EndpointAuthority::Web;
        };
        let trust_domain = endpoint_id.trust_domain();
        // A bundle of any other trust domain vouches for nothing here.
        let held = held.filter(|bundle| *bundle.trust_domain() == trust_domain);
        match held.or(self.bootstrap().map(SpiffeBundle::bundle)) {
            Some(bundle) => EndpointAuthority::Spiffe { endpoint_id, bundle },
            None => EndpointAuthority::Missing { trust_domain },
        }
    }
}

fn check(spec: &RelationshipSpec) -> Result<(), RelationshipError> {
    let profile = &spec.profile;
    EndpointProfile::of(profile.name(), profile.endpoint_id().cloned())?;
    let Some(bootstrap) = &spec.bootstrap else { return Ok(()) };
    let endpoint_id = profile.endpoint_id().ok_or(RelationshipError::BootstrapForWeb)?;
    if !profile.is_self_serving(&spec.trust_domain) {
        return Err(RelationshipError::BootstrapOfOther {
            trust_domain: spec.trust_domain.clone(),
            endpoint_id: endpoint_id.clone(),
        });
    }
    if *bootstrap.trust_domain() != spec.trust_domain {
        return Err(RelationshipError::OtherTrustDomain {
            stored: spec.trust_domain.clone(),
            offered: bootstrap.trust_domain().clone(),
        });
    }
    if bootstrap.bundle().x509_authorities().is_empty() {
        return Err(RelationshipError::BootstrapWithoutRoot);
    }
    Ok(())
}

/// What is said of a relationship does not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelationshipError {
    /// A bundle to begin with for an endpoint that needs none.
    #[error("an https_web endpoint proves itself by Web PKI: it needs no bundle to begin with")]
    BootstrapForWeb,
    /// A bundle to begin with for an endpoint of another trust domain (FED-21).
    #[error("{endpoint_id} proves itself by its own trust domain's bundle, which is set up by itself, and not by one of {trust_domain}")]
    BootstrapOfOther {
        /// The partner.
        trust_domain: TrustDomain,
        /// The endpoint.
        endpoint_id: SpiffeId,
    },
    /// A bundle to begin with by which nobody can prove anything.
    #[error("the bundle to begin with holds no root of X509-SVIDs")]
    BootstrapWithoutRoot,
    /// It, or its bundle, is of another trust domain.
    #[error("it is said of {offered}, not of {stored}")]
    OtherTrustDomain {
        /// The one of the relationship.
        stored: TrustDomain,
        /// The other.
        offered: TrustDomain,
    },
    /// The profile and the endpoint's ID.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

impl Coded for RelationshipError {
    fn code(&self) -> Code {
        Code::FederationInvalid
    }
}

/// The stored form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    trust_domain: TrustDomain,
    url: EndpointUrl,
    profile: ProfileName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint_id: Option<SpiffeId>,
    redirects: bool,
    all_entries: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crl_url: Option<EndpointUrl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bootstrap: Option<SpiffeBundle>,
    created_at: Timestamp,
    created_by: String,
}

impl From<Relationship> for Record {
    fn from(relationship: Relationship) -> Self {
        let Relationship { spec, created_at, created_by } = relationship;
        Self {
            trust_domain: spec.trust_domain,
            url: spec.url,
            profile: spec.profile.name(),
            endpoint_id: spec.profile.endpoint_id().cloned(),
            redirects: spec.redirects,
            all_entries: spec.all_entries,
            crl_url: spec.crl_url,
            bootstrap: spec.bootstrap,
            created_at,
            created_by,
        }
    }
}

impl TryFrom<Record> for Relationship {
    type Error = RelationshipError;

    fn try_from(record: Record) -> Result<Self, Self::Error> {
        let spec = RelationshipSpec {
            trust_domain: record.trust_domain,
            url: record.url,
            profile: EndpointProfile::of(record.profile, record.endpoint_id)?,
            redirects: record.redirects,
            all_entries: record.all_entries,
            crl_url: record.crl_url,
            bootstrap: record.bootstrap,
        };
        Self::new(spec, record.created_at, record.created_by)
    }
}

#[cfg(test)]
mod tests;
