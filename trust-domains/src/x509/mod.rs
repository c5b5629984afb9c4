//! X509-SVIDs: reading certificates, the standard's rules, and the verification of a peer.
//!
//! [`verify_svid`] (and its kin) is the one way to a [`VerifiedPeer`]; [`X509Svid`] is a chain that keeps the leaf rules but whose signatures nobody has checked.

mod certificate;
mod constraints;
mod lint;
mod pop;
mod rules;
mod svid;
mod upstream;
mod verify;

#[cfg(test)]
pub(crate) mod testing;

pub use certificate::{BasicConstraints, Certificate, ExtendedKeyUsage, KeyUsage, MAX_CERTIFICATE_BYTES, ParseCertificateError};
pub use constraints::{IpRange, ParseIpRangeError, PermittedNames};
pub use lint::{Finding, Severity, lint};
pub use pop::{MAX_POP_AUTHORITIES, NodeCertificate, PopAlgorithm, PopAuthorities, PopAuthoritiesRefused, PopRefused};
pub use rules::{LeafViolation, SigningViolation, check_leaf, leaf_violations, signing_violations};
pub use svid::{MAX_CHAIN_LEN, SvidError, X509Svid, split_der, to_pem};
pub(crate) use svid::{PEM_LABEL, split_der_up_to};
pub use upstream::{CrossCertificate, LEAST_LEFT, MAX_UPSTREAM_LEN, UpstreamChain, UpstreamRefused};
pub use verify::{
    VerifiedPeer, VerifyError, check_unrevoked, verify_identity, verify_identity_by_root_hash, verify_server_by_root_hash, verify_svid, verify_svid_of_any,
};
