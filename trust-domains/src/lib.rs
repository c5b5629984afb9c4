//! The domain of Troth: names, SVIDs, bundles, entries, selectors, classes, verification, plans, and the wire types of its API.
//!
//! Pure: no clock, no randomness, no sockets, no files; time and chance are arguments. A value that exists is valid.

pub mod bundle;
pub mod class;
pub mod clock;
pub mod configured_id;
pub mod crl;
pub mod delivery;
pub mod duration;
pub mod entry;
pub mod federation;
pub mod join_link;
pub mod jwk;
pub mod jws;
pub mod jwt_svid;
pub mod keystore;
pub mod node;
pub mod peering;
pub mod plan;
pub mod problem;
pub mod proxy_protocol;
pub mod public_key;
pub mod revision;
pub mod revocation;
pub mod selector;
pub mod serial;
pub mod spiffe_id;
pub mod spire;
mod text;
pub mod timestamp;
pub mod token_svid;
pub mod trust_domain;
pub mod wire;
pub mod wit_svid;
pub mod x509;

pub use bundle::{SpiffeBundle, TrustBundle};
pub use clock::{Clock, Reading};
pub use configured_id::ConfiguredId;
pub use entry::{EntryId, RegistrationEntry};
pub use revision::Revision;
pub use selector::{Selector, SelectorSet};
pub use serial::Serial;
pub use spiffe_id::SpiffeId;
pub use timestamp::Timestamp;
pub use trust_domain::TrustDomain;
