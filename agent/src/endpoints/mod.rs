//! Where workloads are served: the SPIFFE Workload API and Envoy's secret discovery, each on a Unix socket of its own. Brokers that act for them are served by
//! the SPIFFE Broker API, if that is switched on.
//!
//! | situation | gRPC code |
//! |---|---|
//! | the metadata `workload.spiffe.io: true` is missing, on any method of the Workload API | `InvalidArgument` |
//! | the audience is empty, or more or longer ones than a token may have; the asked `spiffe_id` is none; a token to validate is not a JWT-SVID that may be believed here and now | `InvalidArgument`, with the reason |
//! | no entry of this node matches the process, or no longer; none gives it the `spiffe_id` that it asks for | `PermissionDenied` |
//! | the agent is starting or stopping; the server is away and nothing valid is held; the process changed while it was looked at | `Unavailable` |
//! | the server is away or refuses, and no valid token is held; it does not issue WIT-SVIDs | `Unavailable`, with what to do |
//! | the process's user has as many calls open as it may; a call has over 16 KiB of metadata; as many tokens are waited for as may be | `ResourceExhausted` |
//! | the WIT profile, unless it is switched on | `Unimplemented` |
//!
//! The codes for a token that is refused and for an identity that is not granted are the agent's choice where the standard names none (T18).
//!
//! **How long a stream speaks to whom it spoke first.** A process is attested when it calls. Before each later message it is looked at
//! again: to one that exited (a child may have inherited its socket), executed another program or changed its uids nothing more is sent;
//! its connection ends with `Unavailable`, and whoever connects next is attested anew. When a new entry asks for a fact that was not read
//! before, an open stream is attested again, so that the entry reaches it at once.

mod asked;
mod authority;
mod broker;
pub mod broker_api;
mod claims;
mod connection;
mod identity_feed;
mod jwt_messages;
mod listener;
mod partner_lists;
mod partner_room;
mod sds;
pub mod sds_api;
mod service;
mod states;
mod subject;
mod surface;
mod svid_messages;
mod tokens;
mod wit_feed;
mod wit_messages;
pub mod workload_api;

pub use broker::{AllowList, BrokerListeners, Brokers, ParseReferenceTypeError, ReferenceType};
pub use listener::{DEFAULT_STREAMS_PER_UID, Endpoints, OpenStreams};
pub use service::Served;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
