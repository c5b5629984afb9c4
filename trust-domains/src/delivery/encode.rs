//! The octets of single files.

use pem::{EncodeConfig, LineEnding, Pem};
use zeroize::Zeroizing;

/// The labels of RFC 7468 sections 5, 6 and 10.
pub(super) const CERTIFICATE: &str = "CERTIFICATE";
pub(super) const CRL: &str = "X509 CRL";
pub(super) const PRIVATE_KEY: &str = "PRIVATE KEY";

/// Returns blocks of PEM, one after the other.
pub(super) fn pem<'a>(label: &str, ders: impl IntoIterator<Item = &'a [u8]>) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::new());
    for der in ders {
        let block = Pem::new(label, der);
        let encoded = Zeroizing::new(pem::encode_config(&block, EncodeConfig::new().set_line_ending(LineEnding::LF)));
        // The block holds a copy of what may be a key.
        drop(Zeroizing::new(block.into_contents()));
        append(&mut text, encoded.as_bytes());
    }
    text
}

/// Appends octets; a list that has to move leaves no copy behind.
pub(super) fn append(text: &mut Zeroizing<Vec<u8>>, octets: &[u8]) {
    let mut longer = Zeroizing::new(Vec::with_capacity(text.len() + octets.len()));
    longer.extend_from_slice(text);
    longer.extend_from_slice(octets);
    *text = longer;
}
