//! SVIDs as the programs of this world want them: PEM.

use pem::{EncodeConfig, LineEnding, Pem};
use zeroize::Zeroizing;

use super::view::IssuedSvid;

impl IssuedSvid {
    /// Returns the chain as PEM, leaf first.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|certificate| text("CERTIFICATE", certificate)).collect()
    }

    /// Returns the private key as PEM: PKCS#8.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(text("PRIVATE KEY", &self.key_pkcs8).into_bytes())
    }
}

fn text(tag: &str, der: &[u8]) -> String {
    let block = Pem::new(tag, der);
    let text = pem::encode_config(&block, EncodeConfig::new().set_line_ending(LineEnding::LF));
    // The block holds a copy of what may be a key.
    drop(Zeroizing::new(block.into_contents()));
    text
}
