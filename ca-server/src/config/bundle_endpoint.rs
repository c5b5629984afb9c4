//! The bundle endpoint: where it listens, which certificate it shows to whom, and what partners call it.

use std::net::SocketAddr;
use std::path::PathBuf;

use platform::config::Mistakes;
use platform::web::CertificateFiles;
use thiserror::Error;
use trust_domains::federation::{EndpointUrl, EndpointUrlError, ProfileName};
use trust_domains::jwt_svid::IssuerUrl;

use super::listen::Listen;
use super::raw::RawServerConfig;
use crate::api::public;

/// Where the bundle is served, and by which profile of SPIFFE Federation section 5.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleEndpoint {
    /// The address.
    pub listen: SocketAddr,
    /// What is shown to those who name no host, or one that the certificate files do not name.
    pub profile: ProfileName,
    /// The certificate that browsers and HTTP libraries believe, if there is one.
    pub certificate: Option<CertificateFiles>,
    /// What partners call the endpoint, where that is configured.
    pub url: Option<EndpointUrl>,
    /// Whether the Bundle Map is served: it tells everybody whose bundles this server holds.
    pub serves_map: bool,
}

/// Options of the bundle endpoint do not go together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum BadEndpoint {
    #[error("the bundle endpoint needs {0} as well")]
    Needs(&'static str),
    #[error("at {path} the endpoint serves something else than the bundle; give another path, as https://HOST:PORT/")]
    PathTaken { path: String },
    #[error(transparent)]
    Url(#[from] EndpointUrlError),
    #[error("https_web needs bundle_cert and bundle_key; without them the endpoint is https_spiffe, with the server's own SVID")]
    WebWithoutFiles,
}

/// Reads the options of the bundle endpoint: an address, and whatever goes with it; or none.
pub(super) fn read(raw: &RawServerConfig, mistakes: &mut Mistakes) -> Option<Option<BundleEndpoint>> {
    let Some(listen) = &raw.bundle_listen else {
        return match alone(raw) {
            Some(name) => mistakes.check(name, Err(BadEndpoint::Needs("bundle_listen"))),
            None => Some(None),
        };
    };
    let listen = mistakes.check("bundle_listen", listen.parse::<Listen>());
    let certificate = files(raw, mistakes);
    let asked = raw.bundle_profile.as_deref().map(|text| mistakes.check("bundle_profile", text.parse()));
    let url = raw
        .bundle_url
        .as_deref()
        .map(|text| mistakes.check("bundle_url", endpoint_url(text, raw.jwt_issuer.as_deref())));
    let profile = match (asked, certificate.as_ref()?) {
        (Some(asked), files) => mistakes.check("bundle_profile", with_files(asked?, files.as_ref())),
        (None, Some(_)) => Some(ProfileName::HttpsWeb),
        (None, None) => Some(ProfileName::HttpsSpiffe),
    };
    Some(Some(BundleEndpoint {
        listen: listen?.0,
        profile: profile?,
        certificate: certificate?,
        url: url.map_or(Some(None), |url| url.map(Some))?,
        serves_map: !raw.no_bundle_map.unwrap_or(false),
    }))
}

/// Returns an option that means nothing without the address. The refresh hint is none: it is in the bundle itself, however that gets out.
fn alone(raw: &RawServerConfig) -> Option<&'static str> {
    let options = [
        ("bundle_profile", raw.bundle_profile.is_some()),
        ("bundle_cert", raw.bundle_cert.is_some()),
        ("bundle_key", raw.bundle_key.is_some()),
        ("bundle_url", raw.bundle_url.is_some()),
        ("no_bundle_map", raw.no_bundle_map.unwrap_or(false)),
    ];
    options.into_iter().find(|(_, is_there)| *is_there).map(|(name, _)| name)
}

/// Reads the two certificate files: both, or none.
fn files(raw: &RawServerConfig, mistakes: &mut Mistakes) -> Option<Option<CertificateFiles>> {
    match (&raw.bundle_cert, &raw.bundle_key) {
        (Some(certificate), Some(key)) => Some(Some(CertificateFiles {
            certificate: PathBuf::from(certificate),
            key: PathBuf::from(key),
        })),
        (Some(_), None) => mistakes.check("bundle_cert", Err(BadEndpoint::Needs("bundle_key"))),
        (None, Some(_)) => mistakes.check("bundle_key", Err(BadEndpoint::Needs("bundle_cert"))),
        (None, None) => Some(None),
    }
}

/// Reads the URL that partners are told: the bundle is served at its path as well.
fn endpoint_url(text: &str, issuer: Option<&str>) -> Result<EndpointUrl, BadEndpoint> {
    let url: EndpointUrl = text.parse()?;
    // A bad issuer is told by itself.
    let issuer: Option<IssuerUrl> = issuer.and_then(|issuer| issuer.parse().ok());
    match public::is_taken(url.path(), issuer.as_ref()) {
        true => Err(BadEndpoint::PathTaken { path: url.path().to_owned() }),
        false => Ok(url),
    }
}

fn with_files(asked: ProfileName, files: Option<&CertificateFiles>) -> Result<ProfileName, BadEndpoint> {
    match (asked, files) {
        (ProfileName::HttpsWeb, None) => Err(BadEndpoint::WebWithoutFiles),
        _ => Ok(asked),
    }
}
