//! Envoy's secret discovery service on the wire: messages, client and server, generated from `proto/envoy`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use agent::sds_api::{client, messages::DiscoveryRequest};
//!
//! let mut client = client::connect("/run/troth/workload.sds.sock").await?;
//! let asked = DiscoveryRequest { resource_names: vec!["default".to_owned()], ..DiscoveryRequest::default() };
//! let answer = client.fetch_secrets(asked).await?.into_inner();
//! println!("{} secrets", answer.resources.len());
//! # Ok(())
//! # }
//! ```

/// The name of the service.
pub const SERVICE_NAME: &str = "envoy.service.secret.v3.SecretDiscoveryService";

/// The type of every resource of the service.
pub const SECRET_TYPE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// The name of Envoy's verifier of SPIFFE IDs.
pub const SPIFFE_VALIDATOR: &str = "envoy.tls.cert_validator.spiffe";

/// The type of that verifier's configuration.
pub const SPIFFE_VALIDATOR_TYPE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";

/// The description of the service: an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sds.descriptors"));

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
    include!(concat!(env!("OUT_DIR"), "/sds.rs"));
}

/// The messages of the service, and what is in them.
pub mod messages {
    use std::fmt;

    pub use super::generated::envoy::config::core::v3::{DataSource, TypedExtensionConfig, data_source};
    pub use super::generated::envoy::extensions::transport_sockets::tls::v3::{
        CertificateValidationContext, Secret, SpiffeCertValidatorConfig, TlsCertificate, secret, spiffe_cert_validator_config,
    };
    pub use super::generated::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource};
    pub use super::generated::google::protobuf::Any;
    pub use super::generated::google::rpc::Status;

    impl fmt::Debug for Any {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Any").field("type_url", &self.type_url).finish_non_exhaustive()
        }
    }

    impl fmt::Debug for DataSource {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("DataSource").finish_non_exhaustive()
        }
    }

    impl fmt::Debug for data_source::Specifier {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Specifier(..)")
        }
    }
}

/// The client side: what a proxy uses.
pub mod client {
    use std::path::PathBuf;

    use tonic::transport::Channel;

    pub use super::generated::envoy::service::secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient;
    use crate::endpoints::workload_api;

    /// A client over a channel.
    pub type SdsClient = SecretDiscoveryServiceClient<Channel>;

    /// Connects to the service on a Unix socket.
    ///
    /// # Errors
    /// Nobody answers there; the cause has the `std::io::Error`.
    pub async fn connect(socket: impl Into<PathBuf>) -> Result<SdsClient, tonic::transport::Error> {
        Ok(SecretDiscoveryServiceClient::new(workload_api::client::channel(socket).await?))
    }
}

/// The server side.
pub mod server {
    pub use super::generated::envoy::service::secret::v3::secret_discovery_service_server::{SecretDiscoveryService, SecretDiscoveryServiceServer};
}
