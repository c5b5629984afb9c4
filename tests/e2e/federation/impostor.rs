//! A caller whose certificate somebody else's authority signed: it believes every server, so that what is refused is refused by the service.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform::tls::provider;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tests::broker::Credential;
use tests::credulous::Credulous;
use tests::wait::PATIENCE;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An authority of a trust domain that no Troth server made.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    /// Makes the authority of a trust domain.
    pub(crate) fn of(trust_domain: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = with_id(&format!("spiffe://{trust_domain}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, format!("root of {trust_domain}"));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = params.self_signed(&key).expect("a root").der().clone();
        Self {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    /// Returns its root as PEM.
    pub(crate) fn pem(&self) -> String {
        pem::encode(&pem::Pem::new("CERTIFICATE", self.root.to_vec()))
    }

    /// Signs a certificate for an identity, of whichever trust domain.
    pub(crate) fn credential(&self, spiffe_id: &str) -> Credential {
        let key = KeyPair::generate().expect("a key");
        let mut params = with_id(spiffe_id);
        // The public client for Rust wants the extension in leaves too.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.issuer).expect("a leaf").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("its key");
        Credential { chain: vec![leaf], key }
    }

    /// Writes such a certificate and its key into files of this name.
    pub(crate) fn files(&self, folder: &Path, name: &str, spiffe_id: &str) -> [PathBuf; 2] {
        let Credential { chain, key } = self.credential(spiffe_id);
        let [certificate, private] =
            [(".pem", "CERTIFICATE", chain[0].to_vec()), (".key", "PRIVATE KEY", key.secret_der().to_vec())].map(|(end, tag, octets)| {
                let file = folder.join(format!("{name}{end}"));
                std::fs::write(&file, pem::encode(&pem::Pem::new(tag, octets))).expect("a file");
                file
            });
        [certificate, private]
    }

    /// Calls the service with a certificate for an identity; returns whether it is answered.
    pub(crate) async fn is_admitted_as(&self, spiffe_id: &str, address: SocketAddr) -> bool {
        self.is_answered_as(spiffe_id, address, "1\n").await
    }

    /// Says something to whoever is at an address; returns whether anything comes back.
    pub(crate) async fn is_answered_as(&self, spiffe_id: &str, address: SocketAddr, request: &str) -> bool {
        let Credential { chain, key } = self.credential(spiffe_id);
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous(provider())))
            .with_client_auth_cert(chain, key)
            .expect("a client configuration");
        let asked = async {
            let tcp = TcpStream::connect(address).await?;
            let name = ServerName::try_from("service.invalid").expect("a name");
            let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            stream.read(&mut [0; 64]).await
        };
        let answered: io::Result<usize> = tokio::time::timeout(PATIENCE, asked).await.expect("an answer or a refusal");
        answered.is_ok_and(|octets| octets > 0)
    }
}

fn with_id(spiffe_id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(spiffe_id.try_into().expect("a SPIFFE ID"))];
    params
}
