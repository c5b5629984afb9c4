//! Where workloads are served: the SPIFFE Workload API and Envoy's secret discovery, each on a Unix socket of its own.
//!
//! | situation | gRPC code |
//! |---|---|
//! | the metadata `workload.spiffe.io: true` is missing, on any method of the Workload API | `InvalidArgument` |
//! | no entry of this node matches the process, or no longer | `PermissionDenied` |
//! | the agent is starting or stopping; the server is away and nothing valid is held; the process changed while it was looked at | `Unavailable` |
//! | the process's user has as many calls open as it may; a call has over 16 KiB of metadata | `ResourceExhausted` |
//! | JWT and WIT profiles, which this version does not serve | `Unimplemented` |
//!
//! **How long a stream speaks to whom it spoke first.** A process is attested when it calls. Before each later message it is looked at
//! again: to one that exited (a child may have inherited its socket), executed another program or changed its uids nothing more is sent;
//! its connection ends with `Unavailable`, and whoever connects next is attested anew. When a new entry asks for a fact that was not read
//! before, an open stream is attested again, so that the entry reaches it at once.

mod asked;
mod authority;
mod connection;
mod identity_feed;
mod listener;
mod sds;
pub mod sds_api;
mod service;
mod surface;
mod svid_messages;
pub mod workload_api;

pub use listener::{DEFAULT_STREAMS_PER_UID, Endpoints, OpenStreams};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
