//! Envoy's secret discovery service (SDS, version 3): the identities and roots of a proxy, pushed as they change.
//!
//! | name | secret |
//! |---|---|
//! | a SPIFFE ID of the process | its chain and key |
//! | `default` | the chain and key of the process's first identity: that of its oldest entry |
//! | the ID of the process's trust domain (`spiffe://TD`), `ROOTCA` | the roots of that trust domain, as `trusted_ca` |
//! | the ID of a partner that its entries federate with | the partner's roots, for Envoy's SPIFFE verifier: they vouch for names of the partner only |
//! | `ALL` | the roots of all of them, for Envoy's SPIFFE verifier, which picks them by the peer's trust domain |
//!
//! **Who gets what.** The process is attested as on the Workload API, and again before each later message. A name that it is not entitled to, whether
//! anybody is or nobody, is never answered with something else: on a stream there is no such resource (a delta stream says that it is removed), and it
//! is sent as soon as there is; `FetchSecrets`, which could only leave it out, is refused with `PermissionDenied`. A process without any entry is
//! refused as on the Workload API. Roots that are empty are no secret at all: Envoy would take them for "verify nothing".
//!
//! **What is sent when** is decided by [`state_of_the_world`] and [`delta`], which know nothing of sockets. Each sends what differs from what the client
//! has, once, whether the client accepts it or not: a rejected secret is not sent again until it changes.
//! The version of a resource is made from its contents, so that it is the same on every stream and after a restart: a client that comes back with it
//! is sent nothing. A client that does not read is sent the newest state when it does, and none in between.

mod catalog;
mod conversation;
mod delta;
mod exchange;
mod interest;
mod messages;
mod secrets;
mod service;
mod state_of_the_world;

pub(super) use service::{MAX_REQUEST, SecretService};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
