//! The SPIFFE Workload API on the wire: messages, client and server, generated from `proto/workload.proto`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use agent::workload_api::{client, messages::X509svidRequest};
//!
//! let mut client = client::connect("/run/troth/workload.sock").await?;
//! let mut updates = client.fetch_x509svid(X509svidRequest {}).await?.into_inner();
//! while let Some(update) = updates.message().await? {
//!     println!("{} identities", update.svids.len());
//! }
//! # Ok(())
//! # }
//! ```

/// The name of the service, which has no package.
pub const SERVICE_NAME: &str = "SpiffeWorkloadAPI";

/// The metadata that every call on the endpoint carries, with the value `true`: a browser or a careless proxy cannot send it (EP-04).
pub const SECURITY_HEADER: &str = "workload.spiffe.io";

/// The one value of [`SECURITY_HEADER`].
pub const SECURITY_HEADER_VALUE: &str = "true";

/// The description of the service: an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/workload.descriptors"));

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
    tonic::include_proto!("_");
}

/// The messages of the service.
pub mod messages {
    use std::fmt;

    pub use super::generated::{
        JwtBundlesRequest, JwtBundlesResponse, Jwtsvid, JwtsvidRequest, JwtsvidResponse, ValidateJwtsvidRequest, ValidateJwtsvidResponse, WitBundlesRequest,
        WitBundlesResponse, Witsvid, WitsvidRequest, WitsvidResponse, X509BundlesRequest, X509BundlesResponse, X509svid, X509svidRequest, X509svidResponse,
    };

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

    impl fmt::Debug for Witsvid {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Witsvid")
                .field("spiffe_id", &self.spiffe_id)
                .field("hint", &self.hint)
                .finish_non_exhaustive()
        }
    }

    impl fmt::Debug for ValidateJwtsvidRequest {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("ValidateJwtsvidRequest")
                .field("audience", &self.audience)
                .finish_non_exhaustive()
        }
    }
}

/// The client side: what a workload uses.
pub mod client {
    use std::path::PathBuf;

    use hyper_util::rt::TokioIo;
    use tokio::net::UnixStream;
    use tonic::metadata::AsciiMetadataValue;
    use tonic::service::Interceptor;
    use tonic::service::interceptor::InterceptedService;
    use tonic::transport::{Channel, Endpoint};
    use tonic::{Request, Status};

    pub use super::generated::spiffe_workload_api_client::SpiffeWorkloadApiClient;

    /// A client that sends the security header.
    pub type WorkloadApiClient = SpiffeWorkloadApiClient<InterceptedService<Channel, SecurityHeader>>;

    /// Adds the security header to each call.
    #[derive(Debug, Clone, Copy)]
    pub struct SecurityHeader;

    impl Interceptor for SecurityHeader {
        fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
            request
                .metadata_mut()
                .insert(super::SECURITY_HEADER, AsciiMetadataValue::from_static(super::SECURITY_HEADER_VALUE));
            Ok(request)
        }
    }

    /// Connects to the Workload API on a Unix socket.
    ///
    /// # Errors
    /// Nobody answers there; the cause has the `std::io::Error`.
    pub async fn connect(socket: impl Into<PathBuf>) -> Result<WorkloadApiClient, tonic::transport::Error> {
        Ok(SpiffeWorkloadApiClient::with_interceptor(channel(socket).await?, SecurityHeader))
    }

    /// Opens a gRPC channel over a Unix socket, for other services of the endpoint: health and reflection.
    ///
    /// # Errors
    /// Nobody answers there.
    pub async fn channel(socket: impl Into<PathBuf>) -> Result<Channel, tonic::transport::Error> {
        let socket = socket.into();
        // The address only fills the `:authority` of requests: the connector goes to the socket.
        let connector = tower::service_fn(move |_address| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://localhost").connect_with_connector(connector).await
    }
}

/// The server side.
pub mod server {
    pub use super::generated::spiffe_workload_api_server::{SpiffeWorkloadApi, SpiffeWorkloadApiServer};
}
