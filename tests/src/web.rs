//! A bundle endpoint with a certificate of the web, and the web CA that relying parties believe.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::domain::{Domain, path_text};
use crate::ports::free_port;

/// The hosts that the certificate is for: loopback, by address and by name, an issuer's and a service's.
const HOSTS: [&str; 4] = ["127.0.0.1", "localhost", "id.example.org", "api.example.org"];

/// A web CA in a directory, and the files of the certificate that it issued for `id.example.org` and others.
#[derive(Debug)]
pub struct Web {
    /// The CA, in PEM.
    pub ca: PathBuf,
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

impl Web {
    /// Makes a CA of this name and writes the certificate that it issues over the one that is there.
    ///
    /// # Panics
    ///
    /// When a file cannot be written.
    #[must_use]
    pub fn issue(folder: &Path, name: &str) -> Self {
        let ca_key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        // Of the same name as its leaf it would look like a certificate that signed itself.
        params.distinguished_name.push(DnType::CommonName, format!("{name} web CA"));
        let ca = params.self_signed(&ca_key).expect("a CA");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(HOSTS.map(str::to_owned)).expect("parameters");
        let leaf = leaf.signed_by(&key, &Issuer::new(params, ca_key)).expect("a certificate");
        let web = Self {
            ca: folder.join(format!("{name}.ca.pem")),
            certificate: folder.join("web.pem"),
            key: folder.join("web.key"),
        };
        std::fs::write(&web.ca, ca.pem()).expect("a file");
        std::fs::write(&web.certificate, leaf.pem()).expect("a file");
        std::fs::write(&web.key, key.serialize_pem()).expect("a file");
        web
    }

    /// Lets a server that does not run yet have its bundle endpoint with this certificate; returns `HOST:PORT` of it on loopback.
    #[must_use]
    pub fn endpoint(&self, domain: &mut Domain) -> String {
        let address = format!("127.0.0.1:{}", free_port());
        let (certificate, key) = (path_text(&self.certificate), path_text(&self.key));
        let options = ["--bundle-listen", &address, "--bundle-cert", certificate, "--bundle-key", key];
        domain.options.extend(options.map(str::to_owned));
        address
    }
}
