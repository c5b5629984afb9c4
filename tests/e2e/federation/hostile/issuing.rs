//! Authorities of partners and of the web, and what they sign for endpoints.

use std::sync::Arc;

use platform::tls::provider;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use trust_domains::TrustBundle;

/// One authority, whose root signs leaves.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    /// An authority of the web.
    pub(super) fn of_web() -> Self {
        Self::with("web", Vec::new())
    }

    /// The authority of a trust domain.
    pub(super) fn of(trust_domain: &str) -> Self {
        Self::with(trust_domain, vec![uri(&format!("spiffe://{trust_domain}"))])
    }

    fn with(name: &str, names: Vec<SanType>) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, format!("root of {name}"));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = params.self_signed(&key).expect("a root").der().clone();
        Self {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    /// Returns its root as PEM.
    pub(super) fn pem(&self) -> String {
        pem::encode(&pem::Pem::new("CERTIFICATE", self.root.to_vec()))
    }

    /// Returns the bundle of a trust domain with its root.
    pub(super) fn bundle(&self, trust_domain: &str) -> TrustBundle {
        let bundle = TrustBundle::new(trust_domain.parse().expect("a name"));
        bundle.with_x509_authority(&self.root).expect("a root")
    }

    /// Returns the TLS of a host of the web.
    pub(super) fn host(&self, name: &str) -> Arc<ServerConfig> {
        self.server(CertificateParams::new(vec![name.to_owned()]).expect("a name"))
    }

    /// Returns the TLS of an endpoint with a SPIFFE ID.
    pub(super) fn svid(&self, id: &str) -> Arc<ServerConfig> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![uri(id)];
        self.server(params)
    }

    fn server(&self, mut params: CertificateParams) -> Arc<ServerConfig> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // An X509-SVID is for both sides.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let leaf = params.signed_by(&key, &self.issuer).expect("a leaf").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("its key");
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let config = config.expect("versions of TLS").with_no_client_auth();
        Arc::new(config.with_single_cert(vec![leaf, self.root.clone()], key).expect("a TLS identity"))
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("a SPIFFE ID"))
}
