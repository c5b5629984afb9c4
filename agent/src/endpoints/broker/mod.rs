//! The SPIFFE Broker API: identities of other processes, for brokers that are named in the configuration.
//!
//! A broker acts for workloads that do not ask for themselves, as a proxy for a whole machine does. What it may do is more than any workload may: so the
//! endpoint is off unless it is switched on, has addresses of its own, and speaks to nobody but by mutual TLS.
//!
//! **Both ends prove themselves.** The agent shows its node's own SVID, `spiffe://TD/troth/agent/...`, which a broker has to expect by name (BEP-06), and the
//! present one at each handshake. The broker shows an X509-SVID; its chain is verified by the bundle of its own trust domain: that of the node, or of a partner
//! that the allow-list has an ID of and an entry of this node federates with. A connection ends with the broker's certificate, and when no bundle vouches for
//! it any more. Nobody is believed for where it connects from.
//!
//! **A call is checked in this order**, and nothing of it is looked at before:
//!
//! 1. its metadata; that the broker is on the allow-list; that it has a call left: reflection and health too;
//! 2. its reference: there is one, of a type that is known, permitted to this broker, and usable over this connection; it names a process that exists;
//! 3. the other fields;
//! 4. the process, attested as if it had called itself: what it is given on the Workload API, the broker is given for it, and nothing else.
//!
//! | situation | gRPC code | `ErrorInfo.reason`, domain `spiffe.io` |
//! |---|---|---|
//! | the metadata `broker.spiffe.io: true` is missing, on any method | `InvalidArgument` | |
//! | the broker is not on the allow-list; it may not use references of this type, or not from another machine | `PermissionDenied` | |
//! | its certificate is not trusted any more (before that the handshake fails) | `Unauthenticated` | |
//! | no reference, two, one of a type that nobody here resolves (Kubernetes objects), a PID below 1 | `InvalidArgument` | `WORKLOAD_REFERENCE_INVALID` |
//! | there is no such process, it has ended, or it hides from the agent; a stream whose process ends | `NotFound` | `WORKLOAD_NOT_FOUND` |
//! | no entry of this node matches the process, or no longer; none gives it the `spiffe_id` that is asked for | `PermissionDenied` | `WORKLOAD_NOT_ENTITLED` |
//! | the audience is empty, or more or longer ones than a token may have; the asked `spiffe_id` is none | `InvalidArgument` | |
//! | the process changed while it was looked at, or executed another program; the agent is starting or stopping; the server is away | `Unavailable` | |
//! | the broker has as many calls open as it may; a call has over 16 KiB of metadata; as many tokens are waited for as may be | `ResourceExhausted` | |
//!
//! **How long a stream lasts.** A process is held by a pidfd from the moment that its number is read, so that a number which is used again never means another
//! one. The stream ends with the process, at once, with its entry, with its broker's certificate. A process that executes another program is another workload:
//! the stream ends with `Unavailable`, and the broker may refer to it anew.

mod allow_list;
mod audit;
mod certificate;
mod grpc;
mod listener;
mod messages;
mod peer;
mod places;
mod reference;
mod referenced;
mod service;
mod source;
mod trust;

pub use allow_list::{AllowList, ParseReferenceTypeError, ReferenceType};
pub use listener::{BrokerListeners, Brokers};

pub(super) use listener::Gate;
pub(super) use service::BrokerService;
