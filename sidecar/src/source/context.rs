//! One update of the stream of X509-SVIDs: the full state.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use agent::workload_api::messages::{X509svid, X509svidResponse};
use bytes::Bytes;
use rustls_pki_types::CertificateDer;
use trust_domains::crl::{Crl, CrlIssuer, DividedLists, Signers};
use trust_domains::x509::{X509Svid, verify_svid};
use trust_domains::{Serial, SpiffeId, Timestamp, TrustBundle, TrustDomain};
use zeroize::Zeroizing;

use super::bundles::{BundleSet, bundle_of, bundles_of};
use super::error::InvalidMessage;

/// By how much servers back-date NotBefore unless told otherwise: a certificate does not say when it was issued.
const USUAL_SKEW: Duration = Duration::from_secs(60);

/// What the agent holds for this process at one moment: at least one identity, each verified when it came.
#[derive(Debug, Clone)]
pub struct X509Context {
    svids: Vec<HeldSvid>,
    bundles: BundleSet,
    crls: Vec<Crl>,
}

/// One identity with its key. The chain was verified against the bundle that came with it, and the key is the certificate's.
#[derive(Clone)]
pub struct HeldSvid {
    svid: X509Svid,
    key: Zeroizing<Vec<u8>>,
    bundle: Arc<TrustBundle>,
    hint: Option<String>,
}

impl X509Context {
    /// Reads and verifies an update; anything in it that is not as the standard says is refused, and everything with it.
    ///
    /// # Errors
    /// [`InvalidMessage`].
    pub(crate) fn read(response: X509svidResponse, now: Timestamp) -> Result<Self, InvalidMessage> {
        let read = |message| HeldSvid::read(message, now);
        let svids = response.svids.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if svids.is_empty() {
            return Err(InvalidMessage::NoSvids);
        }
        let federated = bundles_of(response.federated_bundles)?;
        let bundles = BundleSet::new(svids.iter().map(|svid| Arc::clone(&svid.bundle)), federated);
        // Those of partners may be in any order.
        let list = |der: &Bytes| Ok(Crl::parse_in_any_order(der.to_vec())?);
        let crls = response.crl.iter().map(list).collect::<Result<Vec<_>, InvalidMessage>>()?;
        Ok(Self { svids, bundles, crls })
    }

    /// Returns the identities, in the order of the agent: the first is the default one (WAPI-11).
    #[must_use]
    pub fn svids(&self) -> &[HeldSvid] {
        &self.svids
    }

    /// Returns the default identity.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a context without SVIDs is refused when it is read")]
    pub fn default_svid(&self) -> &HeldSvid {
        &self.svids[0]
    }

    /// Returns the bundles to verify peers with.
    #[must_use]
    pub fn bundles(&self) -> &BundleSet {
        &self.bundles
    }

    /// Returns the revocation lists of the own trust domain and of partners, as the one field of the message holds them. Their signatures are not verified
    /// here: whoever uses one finds it by its issuer's key identifier, and checks it with that CA's key.
    #[must_use]
    pub fn crls(&self) -> &[Crl] {
        &self.crls
    }

    /// Returns the revocation lists with whose they are, under the bundles and chains of this update. `shown` are CAs of one of the own trust domains that
    /// earlier updates showed; it becomes those that count now.
    #[must_use]
    pub fn divided_lists(&self, own: &TrustDomain, shown: &mut Vec<CrlIssuer>) -> DividedLists<'_> {
        let chains = self.svids.iter().flat_map(|svid| svid.chain().iter().skip(1));
        let in_chains: Vec<CrlIssuer> = chains.filter_map(|ca| CrlIssuer::parse(ca.to_vec()).ok()).collect();
        let domains = self.bundles.own().chain(self.bundles.federated()).map(|bundle| {
            let before = if bundle.trust_domain() == own { std::mem::take(shown) } else { Vec::new() };
            Signers::under(bundle, before.into_iter().chain(in_chains.clone()))
        });
        let domains: Vec<Signers> = domains.collect();
        let divided = DividedLists::new(&self.crls, &domains);
        if let Some(ours) = domains.into_iter().find(|domain| domain.trust_domain() == own) {
            *shown = ours.into_cas();
        }
        divided
    }
}

impl HeldSvid {
    fn read(message: X509svid, now: Timestamp) -> Result<Self, InvalidMessage> {
        let svid = X509Svid::from_concatenated_der(&message.x509_svid)?;
        if svid.spiffe_id().as_str() != message.spiffe_id {
            return Err(InvalidMessage::IdDiffers {
                said: message.spiffe_id,
                shown: svid.spiffe_id().clone(),
            });
        }
        let bundle = bundle_of(&svid.spiffe_id().trust_domain(), &message.bundle)?;
        verify_svid(svid.chain(), &bundle, now)?;
        let key = Zeroizing::new(message.x509_svid_key.to_vec());
        check_key(&svid, &key)?;
        Ok(Self {
            hint: Some(message.hint).filter(|hint| !hint.is_empty()),
            bundle: Arc::new(bundle),
            svid,
            key,
        })
    }

    /// Returns who it is.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        self.svid.spiffe_id()
    }

    /// Returns the X509-SVID.
    #[must_use]
    pub fn svid(&self) -> &X509Svid {
        &self.svid
    }

    /// Returns the chain, leaf first, without the root.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        self.svid.chain()
    }

    /// Returns the private key as PKCS#8.
    #[must_use]
    pub fn key(&self) -> &Zeroizing<Vec<u8>> {
        &self.key
    }

    /// Returns the bundle of its own trust domain.
    #[must_use]
    pub fn bundle(&self) -> &Arc<TrustBundle> {
        &self.bundle
    }

    /// Returns what an operator calls this identity, to tell it from the others of the process (WAPI-10).
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns the serial of the leaf.
    #[must_use]
    pub fn serial(&self) -> &Serial {
        self.svid.leaf().serial()
    }

    /// Returns when it was issued, as far as a certificate tells: NotBefore plus the usual back-dating, the smaller of the skew and the life (so a short life
    /// is half of the whole span).
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        let (not_before, not_after) = (self.svid.leaf().not_before(), self.svid.leaf().not_after());
        let span = not_before.duration_until(not_after);
        not_before + USUAL_SKEW.min(span / 2)
    }

    /// Returns when it ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.svid.leaf().not_after()
    }
}

/// Names whose it is, and nothing of the key.
impl fmt::Debug for HeldSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldSvid")
            .field("spiffe_id", self.spiffe_id())
            .field("serial", self.serial())
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

fn check_key(svid: &X509Svid, key: &[u8]) -> Result<(), InvalidMessage> {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key).map_err(|_| InvalidMessage::KeyUnreadable)?;
    match svid.leaf().spki().ends_with(pair.public_key().as_ref()) {
        true => Ok(()),
        false => Err(InvalidMessage::KeyOfAnother),
    }
}
