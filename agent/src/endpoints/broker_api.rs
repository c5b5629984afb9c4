//! The SPIFFE Broker API on the wire: messages, client and server, generated from `proto/broker.proto`.
//!
//! ```no_run
//! # async fn example(channel: tonic::transport::Channel) -> Result<(), Box<dyn std::error::Error>> {
//! use agent::broker_api::{client, messages::{SubscribeToX509svidRequest, WorkloadReference}};
//!
//! // The channel speaks TLS with an X509-SVID of the broker, and has verified that of the agent.
//! let mut client = client::over(channel);
//! let request = SubscribeToX509svidRequest { reference: Some(WorkloadReference::of_pid(1234)) };
//! let mut updates = client.subscribe_to_x509svid(request).await?.into_inner();
//! while let Some(update) = updates.message().await? {
//!     println!("{} identities", update.svids.len());
//! }
//! # Ok(())
//! # }
//! ```

mod reference;

/// The revision of the standard that is served here: a commit of `spiffe/spiffe`, of 2026-07-01. The standard is incubating, so later ones may differ (STB-01).
pub const REVISION: &str = "665a28f3253ecdce59f26f3ef29c0d6408b37c3d";

/// The name of the service.
pub const SERVICE_NAME: &str = "spiffe.broker.API";

/// The metadata that every call on the endpoint carries, with the value `true`: a browser or a careless proxy cannot send it (BEP-03).
pub const SECURITY_HEADER: &str = "broker.spiffe.io";

/// The name of the message that names a process.
pub const PID_REFERENCE: &str = "spiffe.broker.WorkloadPIDReference";

/// What comes before the name of a message in a type URL.
pub const TYPE_URL_PREFIX: &str = "type.googleapis.com/";

/// The description of the service: an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/broker.descriptors"));

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
mod generated {
    tonic::include_proto!("spiffe.broker");
}

/// The messages of the service.
pub mod messages {
    use std::fmt;

    pub use prost_types::Any;

    pub use super::generated::{
        FetchJwtsvidRequest, FetchJwtsvidResponse, Jwtsvid, KubernetesObjectKey, KubernetesObjectReference, KubernetesObjectType, SubscribeToJwtBundlesRequest,
        SubscribeToJwtBundlesResponse, SubscribeToX509BundlesRequest, SubscribeToX509BundlesResponse, SubscribeToX509svidRequest, SubscribeToX509svidResponse,
        WorkloadPidReference, X509svid,
    };
    pub use super::reference::WorkloadReference;

    impl fmt::Debug for X509svid {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("X509svid")
                .field("spiffe_id", &self.spiffe_id)
                .field("hint", &self.hint)
                .finish_non_exhaustive()
        }
    }

    impl fmt::Debug for Jwtsvid {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Jwtsvid")
                .field("spiffe_id", &self.spiffe_id)
                .field("hint", &self.hint)
                .finish_non_exhaustive()
        }
    }
}

/// The client side: what a broker uses.
pub mod client {
    use tonic::metadata::AsciiMetadataValue;
    use tonic::service::Interceptor;
    use tonic::service::interceptor::InterceptedService;
    use tonic::transport::Channel;
    use tonic::{Request, Status};

    pub use super::generated::api_client::ApiClient;
    use crate::endpoints::workload_api::SECURITY_HEADER_VALUE;

    /// A client that sends the security header.
    pub type BrokerApiClient = ApiClient<InterceptedService<Channel, SecurityHeader>>;

    /// Adds the security header to each call.
    #[derive(Debug, Clone, Copy)]
    pub struct SecurityHeader;

    impl Interceptor for SecurityHeader {
        fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
            request
                .metadata_mut()
                .insert(super::SECURITY_HEADER, AsciiMetadataValue::from_static(SECURITY_HEADER_VALUE));
            Ok(request)
        }
    }

    /// Returns a client over a channel to the endpoint.
    #[must_use]
    pub fn over(channel: Channel) -> BrokerApiClient {
        ApiClient::with_interceptor(channel, SecurityHeader)
    }
}

/// The server side.
pub mod server {
    pub use super::generated::api_server::{Api, ApiServer};
}
