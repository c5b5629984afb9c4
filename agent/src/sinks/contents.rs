//! What the files of a sink hold.

use pem::{EncodeConfig, LineEnding, Pem};
use trust_domains::TrustBundle;
use zeroize::Zeroizing;

use crate::svids::IssuedSvid;

/// One file of a set.
pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) secret: bool,
    pub(super) content: Zeroizing<Vec<u8>>,
}

/// The names of all files that a sink makes.
pub(super) const NAMES: [&str; 3] = [SVID, KEY, BUNDLE];

const SVID: &str = "svid.pem";
const KEY: &str = "svid_key.pem";
const BUNDLE: &str = "bundle.pem";

/// Returns the whole set: the chain, leaf first; its key; the certificates to verify peers with.
pub(super) fn files(svid: &IssuedSvid, bundle: &TrustBundle) -> [File; 3] {
    let chain: String = svid.chain.iter().map(|certificate| text("CERTIFICATE", certificate)).collect();
    [
        File {
            name: SVID,
            secret: false,
            content: Zeroizing::new(chain.into_bytes()),
        },
        File {
            name: KEY,
            secret: true,
            content: Zeroizing::new(text("PRIVATE KEY", &svid.key_pkcs8).into_bytes()),
        },
        File {
            name: BUNDLE,
            secret: false,
            content: Zeroizing::new(bundle.to_pem().into_bytes()),
        },
    ]
}

fn text(tag: &str, der: &[u8]) -> String {
    let block = Pem::new(tag, der);
    let text = pem::encode_config(&block, EncodeConfig::new().set_line_ending(LineEnding::LF));
    // The block holds a copy of what may be a key.
    drop(Zeroizing::new(block.into_contents()));
    text
}
