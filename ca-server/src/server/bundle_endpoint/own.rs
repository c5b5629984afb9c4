//! What partners need to know of our own bundle endpoint, and what would keep them from believing it.

use std::net::SocketAddr;
use std::sync::Arc;

use platform::web::FileIdentity;
use thiserror::Error;
use trust_domains::federation::{EndpointProfile, EndpointUrl, EndpointUrlError, Host, ProfileName};
use trust_domains::{SpiffeId, TrustDomain};

use crate::api::admin::Advertised;
use crate::config::BundleEndpoint;

/// Our bundle endpoint as partners configure it (FED-09): an invitation to federate says so.
#[derive(Debug)]
pub struct OwnEndpoint {
    /// Where they fetch.
    pub url: EndpointUrl,
    /// How it proves itself to them.
    pub profile: EndpointProfile,
    /// Whether an operator said that URL. If not, it is made of the host of join links, which partners may not reach.
    pub is_configured: bool,
    files: Option<Arc<FileIdentity>>,
}

/// Something that keeps partners from believing the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndpointDoubt {
    /// No host name leads to the certificate files.
    #[error("the certificate in bundle_cert has no DNS name, and bundle_profile is https_spiffe: nobody is ever shown it; take it out, or give it a name")]
    NobodyIsShownTheFiles,
    /// The profile is `https_spiffe`, and who asks for the host of the URL is shown the certificate of the web.
    #[error(
        "the bundle endpoint is {url}, and the certificate in bundle_cert is for that host: partners that fetch by https_spiffe are shown it instead of the SVID; both profiles need two host names: give bundle_url one that the certificate does not name"
    )]
    ShownTheFiles {
        /// The URL.
        url: EndpointUrl,
    },
    /// The profile is `https_web`, and the certificate is not for the host of the URL (FED-13).
    #[error(
        "the bundle endpoint is {url}, and the certificate in bundle_cert is not for that host: no partner believes it; give another certificate, or another bundle_url"
    )]
    WrongHost {
        /// The URL.
        url: EndpointUrl,
    },
}

impl OwnEndpoint {
    /// Describes an endpoint: its configured URL, else one of the endpoint's port and the host of join links; a concrete address that the endpoint listens on counts
    /// more than a host that nobody configured.
    ///
    /// # Errors
    /// That host makes no URL.
    pub(super) fn new(
        endpoint: &BundleEndpoint,
        listening: SocketAddr,
        links: &Advertised,
        trust_domain: &TrustDomain,
        files: Option<Arc<FileIdentity>>,
    ) -> Result<Self, EndpointUrlError> {
        let profile = match endpoint.profile {
            ProfileName::HttpsSpiffe => EndpointProfile::HttpsSpiffe {
                endpoint_id: SpiffeId::server(trust_domain),
            },
            ProfileName::HttpsWeb => EndpointProfile::HttpsWeb,
        };
        Ok(Self {
            url: endpoint.url.clone().map_or_else(|| default_url(listening, links), Ok)?,
            profile,
            is_configured: endpoint.url.is_some(),
            files,
        })
    }

    /// Returns the SPIFFE ID that the endpoint proves, by `https_spiffe`.
    #[must_use]
    pub fn endpoint_id(&self) -> Option<&SpiffeId> {
        self.profile.endpoint_id()
    }

    /// Returns what keeps partners from believing the endpoint under its URL, by the certificate files as they are now; nothing while there are none.
    #[must_use]
    pub fn doubt(&self) -> Option<EndpointDoubt> {
        let files = self.files.as_ref().filter(|files| files.shows_one())?;
        let url = || self.url.clone();
        match (self.profile.name(), self.url.host()) {
            (ProfileName::HttpsSpiffe, _) if !files.names_any_host() => Some(EndpointDoubt::NobodyIsShownTheFiles),
            (ProfileName::HttpsSpiffe, Host::Domain(name)) if files.names(name) => Some(EndpointDoubt::ShownTheFiles { url: url() }),
            // Nobody asks for an address by name, so whoever calls one is shown the SVID.
            (ProfileName::HttpsSpiffe, _) => None,
            (ProfileName::HttpsWeb, host) if files.names(&in_certificates(&host)) => None,
            (ProfileName::HttpsWeb, _) => Some(EndpointDoubt::WrongHost { url: url() }),
        }
    }
}

/// Returns a host as certificates have it: addresses without brackets.
fn in_certificates(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => (*name).to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

fn default_url(listening: SocketAddr, links: &Advertised) -> Result<EndpointUrl, EndpointUrlError> {
    let says_more = listening.ip().is_unspecified() || links.from == "advertise";
    let (host, port) = (links.address.host(), listening.port());
    match says_more {
        true if host.contains(':') => format!("https://[{host}]:{port}/").parse(),
        true => format!("https://{host}:{port}/").parse(),
        false => format!("https://{listening}/").parse(),
    }
}

#[cfg(test)]
mod tests {
    use conformance::covers;
    use platform::web::CertificateFiles;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn endpoint(profile: ProfileName, url: Option<&str>) -> BundleEndpoint {
        BundleEndpoint {
            listen: "0.0.0.0:8444".parse().unwrap(),
            profile,
            certificate: None,
            url: url.map(|url| url.parse().unwrap()),
            serves_map: true,
        }
    }

    fn described(endpoint: &BundleEndpoint, listening: &str, links: (&str, &'static str), files: Option<Arc<FileIdentity>>) -> OwnEndpoint {
        let links = Advertised {
            address: links.0.parse().unwrap(),
            from: links.1,
        };
        OwnEndpoint::new(endpoint, listening.parse().unwrap(), &links, &"example.org".parse().unwrap(), files).unwrap()
    }

    #[test]
    fn partners_are_told_the_configured_url_else_the_host_of_join_links_and_the_port() {
        let spiffe = ProfileName::HttpsSpiffe;
        for (url, listening, links, expected) in [
            (Some("https://b.test/x"), "0.0.0.0:8444", ("ca.test:443", "advertise"), "https://b.test/x"),
            (None, "0.0.0.0:8444", ("ca.test:443", "advertise"), "https://ca.test:8444/"),
            (None, "192.0.2.1:8444", ("ca.test:443", "advertise"), "https://ca.test:8444/"),
            (None, "192.0.2.1:8444", ("host:8443", "hostname"), "https://192.0.2.1:8444/"),
            (None, "[2001:db8::1]:443", ("host:8443", "hostname"), "https://[2001:db8::1]/"),
            (None, "[::]:8444", ("[::1]:8443", "listen"), "https://[::1]:8444/"),
            (None, "0.0.0.0:8444", ("host:8443", "hostname"), "https://host:8444/"),
        ] {
            let own = described(&endpoint(spiffe, url), listening, links, None);
            assert_eq!((own.url.as_str(), own.is_configured), (expected, url.is_some()));
            assert_eq!(own.endpoint_id().unwrap().as_str(), "spiffe://example.org/troth/server");
        }
        let web = described(&endpoint(ProfileName::HttpsWeb, None), "192.0.2.1:8444", ("host:8443", "hostname"), None);
        assert_eq!((web.profile.clone(), web.endpoint_id()), (EndpointProfile::HttpsWeb, None));
    }

    #[covers("FED-13")]
    #[test]
    fn a_url_whose_host_leads_to_the_wrong_certificate_is_doubted() {
        use EndpointDoubt::{NobodyIsShownTheFiles, ShownTheFiles, WrongHost};
        use ProfileName::{HttpsSpiffe, HttpsWeb};
        for (profile, url, names, expected) in [
            (HttpsWeb, "https://web.test/", &["web.test"][..], None),
            (HttpsWeb, "https://192.0.2.1/", &["192.0.2.1"], None),
            (HttpsWeb, "https://[2001:db8::1]:8444/", &["2001:db8::1"], None),
            (
                HttpsWeb,
                "https://other.test/",
                &["web.test"],
                Some(WrongHost {
                    url: "https://other.test/".parse().unwrap(),
                }),
            ),
            (HttpsSpiffe, "https://spiffe.test/", &["web.test"], None),
            (HttpsSpiffe, "https://192.0.2.1/", &["web.test", "192.0.2.1"], None),
            (
                HttpsSpiffe,
                "https://web.test/",
                &["web.test"],
                Some(ShownTheFiles {
                    url: "https://web.test/".parse().unwrap(),
                }),
            ),
            (
                HttpsSpiffe,
                "https://a.td.test/",
                &["*.td.test"],
                Some(ShownTheFiles {
                    url: "https://a.td.test/".parse().unwrap(),
                }),
            ),
            (HttpsSpiffe, "https://spiffe.test/", &["192.0.2.1"], Some(NobodyIsShownTheFiles)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
            let pair = KeyPair::generate().unwrap();
            let params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
            let files = FileIdentity::new(CertificateFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            });
            let own = described(&endpoint(profile, Some(url)), "0.0.0.0:8444", ("ca.test:443", "advertise"), Some(files.clone()));
            assert_eq!(own.doubt(), None, "nothing is known yet");
            std::fs::write(certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
            std::fs::write(key, pair.serialize_pem()).unwrap();
            files.look().unwrap();
            assert_eq!(own.doubt(), expected, "{profile} {url} {names:?}");
        }
    }
}
