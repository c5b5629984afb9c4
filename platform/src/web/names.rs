//! Which of two certificates a listener shows, by the host that is asked for.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use super::files::FileIdentity;

/// Shows the certificate of files to who asks for a host that it names (SNI), and another to everybody else: to those who ask for another host, or, as with an
/// address, for none.
#[derive(Debug)]
pub struct ChosenByName {
    named: Arc<FileIdentity>,
    others: Arc<dyn ResolvesServerCert>,
}

impl ChosenByName {
    /// Joins the two.
    #[must_use]
    pub fn new(named: Arc<FileIdentity>, others: Arc<dyn ResolvesServerCert>) -> Arc<Self> {
        Arc::new(Self { named, others })
    }
}

impl ResolvesServerCert for ChosenByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            Some(host) if self.named.names(host) => self.named.resolve(hello),
            _ => self.others.resolve(hello),
        }
    }
}

/// Returns whether a certificate is for a host, a DNS name or an address, as clients of the web compare it: wildcards for one label, subject alternative names
/// alone (RFC 6125, RFC 9525).
pub(super) fn is_for(leaf: &CertificateDer<'_>, host: &str) -> bool {
    let (Ok(leaf), Ok(host)) = (EndEntityCert::try_from(leaf), ServerName::try_from(host)) else {
        return false;
    };
    leaf.verify_is_valid_for_subject_name(&host).is_ok()
}

/// Returns whether a certificate names a host by a DNS name: only such a one is ever asked for by name.
pub(super) fn names_any_host(leaf: &CertificateDer<'_>) -> bool {
    EndEntityCert::try_from(leaf).is_ok_and(|leaf| leaf.valid_dns_names().next().is_some())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate(names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap();
        certificate.der().clone()
    }

    #[test]
    fn a_certificate_is_for_the_hosts_that_it_names_and_for_no_other() {
        let leaf = certificate(&["id.example.org", "*.td.example.org", "192.0.2.1"]);
        for (host, expected) in [
            ("id.example.org", true),
            ("ID.example.org", true),
            ("one.td.example.org", true),
            ("192.0.2.1", true),
            ("one.two.td.example.org", false),
            ("td.example.org", false),
            ("example.org", false),
            ("192.0.2.2", false),
            ("", false),
            ("no host", false),
        ] {
            assert_eq!(is_for(&leaf, host), expected, "{host}");
        }
        assert!(!is_for(&CertificateDer::from(vec![0x30, 0]), "id.example.org"));
    }

    #[test]
    fn an_address_is_no_name_that_anybody_asks_for() {
        assert!(names_any_host(&certificate(&["192.0.2.1", "*.example.org"])));
        assert!(!names_any_host(&certificate(&["192.0.2.1"])));
        assert!(!names_any_host(&certificate(&[])));
    }
}
