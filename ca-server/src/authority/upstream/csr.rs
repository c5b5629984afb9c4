//! A certificate request (PKCS#10, RFC 2986) by a root's key, for an operator to carry to an upstream authority that is elsewhere.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, PublicKeyData, SignatureAlgorithm, SigningKey};
use tokio::task::spawn_blocking;
use trust_domains::TrustDomain;

use super::error::UpstreamError;
use crate::authority::{AuthorityKey, Issuer, shape};
use crate::issuance::error::SignError;

/// The subject key identifier extension (RFC 5280 section 4.2.1.2).
const SUBJECT_KEY_ID: &[u64] = &[2, 5, 29, 14];

/// An OCTET STRING of 20 octets.
const KEY_ID_HEADER: [u8; 2] = [0x04, 20];

/// Signs a request with a root's name, its ID and what it must be allowed. The key may live in a token, so the signature is made where waiting holds nobody up.
pub(super) async fn request(trust_domain: &TrustDomain, root: &Arc<Issuer>) -> Result<String, UpstreamError> {
    let failed = |source| SignError {
        issuer: root.id().to_string(),
        source,
    };
    let mut params = shape::root(trust_domain, root.key_id(), root.not_before(), root.not_after()).map_err(failed)?;
    // What issuing CAs call their root by: an upstream authority that chose its own would make a certificate that OpenSSL does not take for their issuer.
    let content = [&KEY_ID_HEADER[..], root.key_id().as_bytes()].concat();
    params.custom_extensions.push(CustomExtension::from_oid_content(SUBJECT_KEY_ID, content));
    let key = RequestKey(root.key().clone());
    let signed = spawn_blocking(move || sign(&params, &key)).await;
    let pem = signed.map_err(|_| failed(rcgen::Error::RemoteKeyError))?.map_err(failed)?;
    Ok(pem)
}

fn sign(params: &CertificateParams, key: &RequestKey) -> Result<String, rcgen::Error> {
    params.serialize_request(key)?.pem()
}

/// A root's key, as rcgen takes it, for this one purpose: what it signs here is no certificate, so nothing is recorded before it as for one.
struct RequestKey(AuthorityKey);

impl PublicKeyData for RequestKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.public().der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.public().algorithm()
    }
}

impl SigningKey for RequestKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}
