//! What the Workload API delivered, read and checked as a workload should.

use std::collections::HashMap;
use std::time::Duration;

use agent::workload_api::messages::X509svidResponse;
use bytes::Bytes;
use serde::Serialize;
use trust_domains::crl::Crl;
use trust_domains::problem::Code;
use trust_domains::x509::{X509Svid, verify_svid};
use trust_domains::{Serial, SpiffeId, Timestamp, TrustBundle, TrustDomain};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// By how much servers back-date NotBefore unless told otherwise: a certificate does not say when it was issued.
const USUAL_SKEW: Duration = Duration::from_secs(60);

/// One update: the full state.
pub(crate) struct Received {
    pub(crate) svids: Vec<ReceivedSvid>,
    /// The bundles of partners, in the order of their trust domains.
    pub(crate) federated: Vec<TrustBundle>,
    /// The revocation lists of the own trust domain: none, or those of all its CAs.
    pub(crate) crls: Vec<Crl>,
}

/// One identity with its key.
#[derive(Serialize)]
pub(crate) struct ReceivedSvid {
    pub(crate) spiffe_id: SpiffeId,
    pub(crate) serial: Serial,
    /// When it was issued, as far as a certificate tells: NotBefore plus the usual back-dating.
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) hint: Option<String>,
    #[serde(skip)]
    pub(crate) svid: X509Svid,
    #[serde(skip)]
    pub(crate) key: Zeroizing<Vec<u8>>,
    #[serde(skip)]
    pub(crate) bundle: TrustBundle,
}

impl Received {
    /// Reads an update; anything in it that is not as the standard says is a failure.
    pub(crate) fn read(response: X509svidResponse) -> Result<Self, Failure> {
        let svids = response.svids.into_iter().map(ReceivedSvid::read).collect::<Result<Vec<_>, _>>()?;
        if svids.is_empty() {
            return Err(Failure::new(Code::SvidInvalid, "the agent sent a message without SVIDs"));
        }
        let federated = bundles_of(response.federated_bundles)?;
        let read = |der: &Bytes| Crl::parse(der.to_vec()).map_err(|error| Failure::of(&error));
        let crls = response.crl.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { svids, federated, crls })
    }
}

impl ReceivedSvid {
    fn read(message: agent::workload_api::messages::X509svid) -> Result<Self, Failure> {
        let svid = X509Svid::from_concatenated_der(&message.x509_svid).map_err(|error| Failure::of(&error))?;
        if svid.spiffe_id().as_str() != message.spiffe_id {
            return Err(Failure::new(
                Code::SvidInvalid,
                format!("the message says {}, its certificate {}", message.spiffe_id, svid.spiffe_id()),
            ));
        }
        let bundle = bundle_of(&svid.spiffe_id().trust_domain(), &message.bundle)?;
        let (not_before, not_after) = (svid.leaf().not_before(), svid.leaf().not_after());
        Ok(Self {
            spiffe_id: svid.spiffe_id().clone(),
            serial: *svid.leaf().serial(),
            issued_at: issued_at(not_before, not_after),
            expires_at: not_after,
            hint: Some(message.hint).filter(|hint| !hint.is_empty()),
            svid,
            key: Zeroizing::new(message.x509_svid_key.to_vec()),
            bundle,
        })
    }

    /// Verifies the chain against the bundle that came with it, and that the key is the certificate's.
    pub(crate) fn verify(&self, now: Timestamp) -> Result<(), Failure> {
        verify_svid(self.svid.chain(), &self.bundle, now).map_err(|error| Failure::of(&error))?;
        let pair = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(&aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING, &self.key)
            .map_err(|_| Failure::new(Code::SvidInvalid, "the private key is no P-256 key in PKCS#8"))?;
        let point = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref();
        if self.svid.leaf().spki().ends_with(point) {
            Ok(())
        } else {
            Err(Failure::new(Code::SvidInvalid, "the private key is not the certificate's"))
        }
    }
}

/// Reads an X.509 bundle as the Workload API sends it.
pub(crate) fn bundle_of(trust_domain: &TrustDomain, der: &[u8]) -> Result<TrustBundle, Failure> {
    TrustBundle::from_der_concat(trust_domain.clone(), der).map_err(|error| Failure::of(&error))
}

/// Returns the trust domain of a bundle's name, `spiffe://TD`.
pub(crate) fn named(id: &str) -> Result<TrustDomain, Failure> {
    id.strip_prefix("spiffe://").unwrap_or(id).parse().map_err(|error| Failure::of(&error))
}

/// Reads the X.509 bundles of a message, in the order of their trust domains.
pub(crate) fn bundles_of(message: HashMap<String, Bytes>) -> Result<Vec<TrustBundle>, Failure> {
    let mut bundles = Vec::with_capacity(message.len());
    for (id, der) in message {
        bundles.push(bundle_of(&named(&id)?, &der)?);
    }
    bundles.sort_by(|one, other| one.trust_domain().cmp(other.trust_domain()));
    Ok(bundles)
}

/// NotBefore is the moment of issue less the smaller of the skew and the life (so a short life is half of the whole span).
fn issued_at(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    let span = not_before.duration_until(not_after);
    not_before + USUAL_SKEW.min(span / 2)
}

/// Returns the serial of the first certificate of a PEM text.
pub(crate) fn leaf_serial(pem: &[u8]) -> Option<Serial> {
    X509Svid::from_pem(pem).ok().map(|svid| *svid.leaf().serial())
}

#[cfg(test)]
mod tests {
    use agent::workload_api::messages::X509svid;
    use conformance::covers;

    use super::*;

    /// A certificate of `spiffe://example.org/web` under a root of its own, as an agent sends it.
    fn message() -> X509svid {
        let (root_key, key) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
        let uri = |text: &str| rcgen::SanType::URI(text.try_into().unwrap());
        let mut root = rcgen::CertificateParams::default();
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        root.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        root.subject_alt_names = vec![uri("spiffe://example.org")];
        let bundle = root.self_signed(&root_key).unwrap().der().to_vec();
        let mut leaf = rcgen::CertificateParams::default();
        leaf.distinguished_name.push(rcgen::DnType::CommonName, "web");
        leaf.is_ca = rcgen::IsCa::ExplicitNoCa;
        leaf.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        leaf.subject_alt_names = vec![uri("spiffe://example.org/web")];
        let chain = leaf.signed_by(&key, &rcgen::Issuer::new(root, root_key)).unwrap().der().to_vec();
        X509svid {
            spiffe_id: "spiffe://example.org/web".to_owned(),
            x509_svid: chain.into(),
            x509_svid_key: key.serialize_der().into(),
            bundle: bundle.into(),
            hint: "main".to_owned(),
        }
    }

    fn read(svids: Vec<X509svid>) -> Result<Received, Failure> {
        let received = Received::read(X509svidResponse {
            svids,
            ..X509svidResponse::default()
        })?;
        let now = received.svids[0].issued_at;
        received.svids.iter().try_for_each(|svid| svid.verify(now))?;
        Ok(received)
    }

    #[covers("WAPI-06")]
    #[test]
    fn an_empty_field_means_that_and_not_what_an_earlier_message_said() {
        let hint = |message| read(vec![message]).ok().unwrap().svids[0].hint.clone();
        assert_eq!(hint(message()).as_deref(), Some("main"));
        let without = X509svid {
            hint: String::new(),
            ..message()
        };
        assert_eq!(hint(without), None);
    }

    #[covers("WAPI-07", "WAPI-09")]
    #[test]
    fn a_message_without_a_mandatory_field_is_reported_and_not_used() {
        assert!(read(vec![]).is_err(), "no SVIDs");
        /// Takes one field from a message.
        type Spoil = fn(&mut X509svid);
        let table: [(&str, Spoil); 5] = [
            ("no SPIFFE ID", |svid| svid.spiffe_id.clear()),
            ("another SPIFFE ID", |svid| svid.spiffe_id.push('x')),
            ("no chain", |svid| svid.x509_svid.clear()),
            ("no key", |svid| svid.x509_svid_key.clear()),
            ("no bundle", |svid| svid.bundle.clear()),
        ];
        for (what, change) in table {
            let mut broken = message();
            change(&mut broken);
            assert!(read(vec![message(), broken]).is_err(), "{what}");
        }
    }
}
