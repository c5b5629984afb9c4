//! Federation with other trust domains: where their bundles are, how an endpoint proves itself, and what is believed of what it sends.
//!
//! Relationships go one way: that we fetch a partner's bundle says nothing of what the partner does. The URL, the profile and the trust domain's name are
//! each said by whoever sets a relationship up; none is taken from another (FED-09). When to fetch, and what to make of an answer, is
//! [`plan::fetching`](crate::plan::fetching).

mod bundle_map;
mod link;
#[cfg(test)]
mod never_pooled;
mod profile;
mod relationship;
mod status;
mod url;

pub use ::url::Host;
pub use bundle_map::{BundleMap, MAX_BUNDLE_MAP_BYTES, MAX_MAPPED_BUNDLES, ParseBundleMapError, ParsedBundleMap, SkippedBundle};
pub use link::{FederationLink, LinkPart, ParseFederationLinkError};
pub use profile::{EndpointProfile, ParseProfileError, ProfileError, ProfileName};
pub use relationship::{EndpointAuthority, Relationship, RelationshipError, RelationshipSpec};
pub use status::{FetchProblem, FetchStatus, PartnerState, Standing};
pub use url::{EndpointUrl, EndpointUrlError};
