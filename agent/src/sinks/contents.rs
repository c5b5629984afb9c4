//! What the files of a sink hold.

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
    [
        File {
            name: SVID,
            secret: false,
            content: Zeroizing::new(svid.chain_pem().into_bytes()),
        },
        File {
            name: KEY,
            secret: true,
            content: svid.key_pem(),
        },
        File {
            name: BUNDLE,
            secret: false,
            content: Zeroizing::new(bundle.to_pem().into_bytes()),
        },
    ]
}
