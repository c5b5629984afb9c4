//! The options of the bundle endpoint.

use ca_server::config::RawServerConfig;
use clap::Args;

/// Where and how the bundle is served to those outside.
#[derive(Debug, Args)]
pub(super) struct BundleEndpointArgs {
    /// The bundle endpoint's address, for partners and relying parties, as 0.0.0.0:8444 [default: none].
    #[arg(long, value_name = "ADDR")]
    bundle_listen: Option<String>,
    /// How the endpoint proves itself: https_spiffe, with the server's own SVID, or https_web, with --bundle-cert. With both a certificate and https_spiffe, hosts that the certificate names are shown it, others the SVID [default: https_web with --bundle-cert, else https_spiffe].
    #[arg(long, value_name = "PROFILE")]
    bundle_profile: Option<String>,
    /// A certificate chain that browsers and HTTP libraries believe, in PEM; read again when it changes.
    #[arg(long, value_name = "FILE")]
    bundle_cert: Option<String>,
    /// The private key of that certificate, in PEM.
    #[arg(long, value_name = "FILE")]
    bundle_key: Option<String>,
    /// What partners call the endpoint, as https://bundle.example.org:8444/ [default: the host of join links, with the endpoint's port].
    #[arg(long, value_name = "URL")]
    bundle_url: Option<String>,
    /// Serves no Bundle Map at /bundle-map, which tells everybody whose bundles this server holds, and partners which of our keys have arrived.
    #[arg(long)]
    no_bundle_map: bool,
    /// How often partners and relying parties shall fetch the bundle [default: 5m].
    #[arg(long, value_name = "D")]
    bundle_refresh_hint: Option<String>,
}

impl BundleEndpointArgs {
    /// Puts these options beside others.
    pub(super) fn beside(self, others: RawServerConfig) -> RawServerConfig {
        RawServerConfig {
            bundle_listen: self.bundle_listen,
            bundle_profile: self.bundle_profile,
            bundle_cert: self.bundle_cert,
            bundle_key: self.bundle_key,
            bundle_url: self.bundle_url,
            no_bundle_map: self.no_bundle_map.then_some(true),
            bundle_refresh_hint: self.bundle_refresh_hint,
            ..others
        }
    }
}
