//! The revocation lists of this trust domain, for partners: all of them, with the certificates of the issuing CAs, in PEM.

use pem::{EncodeConfig, LineEnding, Pem, encode_many_config};
use trust_domains::crl::CrlSet;

/// Where the lists are.
pub(super) const PATH: &str = "/crls.pem";

/// The media type of PEM with several kinds of blocks (as RFC 8555 section 9.1 has it for chains).
pub(super) const PEM: &str = "application/x-pem-file";

/// Returns the document. Of roots the bundle has the certificates.
pub(super) fn document(set: &CrlSet) -> String {
    let lists = set.lists().map(|(_, crl)| Pem::new("X509 CRL", crl.der().to_vec()));
    let issuing = set.lists().filter(|(issuer, _)| !issuer.is_self_signed());
    let certificates = issuing.map(|(issuer, _)| Pem::new("CERTIFICATE", issuer.der().to_vec()));
    let blocks: Vec<Pem> = lists.chain(certificates).collect();
    encode_many_config(&blocks, EncodeConfig::new().set_line_ending(LineEnding::LF))
}
