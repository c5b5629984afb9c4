//! Someone with the server's disk and the key that seals it: he signs what he likes, until the root above is gone.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca_server::seal;
use ca_server::store::disk::Disk;
use ca_server::store::{Prefix, SledStore, Store as _};
use platform::sealing::FileKeySource;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use serde_json::Value;
use tests::admin::runtime;
use tests::credulous::Credulous;
use tests::domain::Domain;
use tests::wait::PATIENCE;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A leaf that no server ever issued, with its key and the stolen issuing CA above it.
pub(crate) struct Forged {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

/// Copies the disk of a server that is off, and forges a leaf of this identity with the issuing CA's key.
pub(crate) fn steal_and_forge(domain: &Domain, spiffe_id: &str) -> Forged {
    steal_and_forge_named(domain, spiffe_id, &[])
}

/// The same, with DNS names in the leaf.
pub(crate) fn steal_and_forge_named(domain: &Domain, spiffe_id: &str, dns: &[&str]) -> Forged {
    let loot = tempfile::tempdir().expect("a directory");
    copy(&domain.server_data(), &loot.path().join("server"));
    fs::copy(domain.folder().join("server.seal.key"), loot.path().join("seal.key")).expect("the key that seals");
    let (certificate, pkcs8) = runtime().block_on(async {
        let store = SledStore::open(&loot.path().join("server/store"), Disk::real()).expect("the copied store");
        let key = FileKeySource::open(&loot.path().join("seal.key")).expect("the copied key");
        let opened = seal::open_store(&store, &key).await.expect("the sealed records");
        let stored = store.snapshot(Prefix::AUTHORITIES).await.expect("the authorities");
        let records = stored.items.iter().map(|item| opened.records.open_item::<Value>(item).expect("a record"));
        let of_issuing_ca = |record: &Value| record["kind"] == "x509-issuing" && record["phase"] == "active";
        let record = records.into_iter().find(of_issuing_ca).expect("an active issuing CA");
        let octets = |name: &str| STANDARD.decode(record[name].as_str().expect("base64")).expect("base64");
        (octets("certificate"), octets("private_key"))
    });
    forge(certificate, &pkcs8, spiffe_id, dns)
}

fn forge(certificate: Vec<u8>, pkcs8: &[u8], spiffe_id: &str, dns: &[&str]) -> Forged {
    let issuing = CertificateDer::from(certificate);
    let stolen = KeyPair::try_from(pkcs8).expect("the stolen key");
    let issuer = Issuer::from_ca_cert_der(&issuing, stolen).expect("the stolen issuing CA");
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(spiffe_id.try_into().expect("a URI"))];
    let dns = dns.iter().map(|name| SanType::DnsName((*name).try_into().expect("a DNS name")));
    params.subject_alt_names.extend(dns);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().expect("a key");
    let leaf = params.signed_by(&key, &issuer).expect("a forged leaf");
    Forged {
        chain: vec![leaf.der().clone(), issuing],
        key: key.serialize_der(),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().expect("its type");
        if kind.is_dir() {
            copy(&source, &target);
        } else if kind.is_file() {
            fs::copy(&source, &target).expect("a copy");
        }
    }
}

impl Forged {
    /// Says something as this identity and returns whether it was answered: a service that refuses the certificate ends the connection instead.
    pub(crate) async fn is_answered(&self, service: SocketAddr, request: &str) -> bool {
        let asked = self.ask(service, request).await;
        eprintln!("{service} {asked:?}");
        tokio::time::timeout(PATIENCE, self.ask(service, request))
            .await
            .expect("an answer or a refusal")
            .is_ok_and(|read| read > 0)
    }

    async fn ask(&self, service: SocketAddr, request: &str) -> io::Result<usize> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let provider = platform::tls::provider();
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
            .with_client_auth_cert(self.chain.clone(), key)
            .expect("a certificate");
        let stream = TcpStream::connect(service).await?;
        let name = ServerName::try_from("service.invalid").expect("a name");
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        stream.read(&mut [0; 64]).await
    }
}
