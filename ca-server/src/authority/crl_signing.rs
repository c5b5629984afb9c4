//! The CAs that sign revocation lists, and how they do.
//!
//! A list is no certificate: it gives nobody anything, so it needs no record in the journal before the key is used. What it says is a stored rule already.

use std::sync::Arc;

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use thiserror::Error;
use trust_domains::crl::{Crl, CrlIssuer, CrlRefused, ParseCrlError, RevokedSerial};
use trust_domains::plan::authority::{AuthorityId, AuthorityKind, Phase};
use trust_domains::x509::Certificate;
use trust_domains::{Serial, Timestamp};

use super::authorities::Authorities;
use super::held::Held;
use super::issuer::Issuer;
use super::set::AuthoritySet;
use crate::issuance::signed_der;

/// A CA whose list belongs to the set, and the issuing CAs that are on it.
#[derive(Debug, Clone)]
pub(crate) struct ListingCa {
    issuer: Arc<Issuer>,
    public: CrlIssuer,
    revoked_cas: Vec<RevokedSerial>,
}

/// A list cannot be signed.
#[derive(Debug, Error)]
pub enum CrlSignError {
    /// It cannot be encoded, or the key does not sign.
    #[error("the key of {issuer} does not sign its revocation list")]
    Key {
        /// The CA.
        issuer: AuthorityId,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// What was encoded is not read back.
    #[error("the revocation list of {issuer} is not read back")]
    SelfCheck {
        /// The CA.
        issuer: AuthorityId,
        /// Why.
        #[source]
        source: ParseCrlError,
    },
}

impl Authorities {
    /// Returns every CA whose list belongs to a complete set now: the roots of the bundle, and the issuing CAs under them that have not ended and are not revoked.
    ///
    /// # Errors
    /// A certificate of an authority is none that signs lists: a fault of this program.
    pub(crate) fn listing_cas(&self, now: Timestamp) -> Result<Vec<ListingCa>, CrlRefused> {
        let set = self.set();
        let has_list = |held: &&Held| match held.kind() {
            AuthorityKind::X509Root => held.is_published(),
            AuthorityKind::X509Issuing => held.phase() != Phase::Revoked && is_under_published(&set, held),
            AuthorityKind::Jwt | AuthorityKind::Wit => false,
        };
        let alive = set.held().filter(|held| held.not_after() > now).filter(has_list);
        alive.filter_map(Held::ca).map(|(_, issuer)| ListingCa::new(issuer, &set, now)).collect()
    }
}

fn is_under_published(set: &AuthoritySet, held: &Held) -> bool {
    let root = held.ca().and_then(|(record, _)| set.find(record.root.as_ref()?));
    root.is_some_and(Held::is_published)
}

impl ListingCa {
    fn new(issuer: &Arc<Issuer>, set: &AuthoritySet, now: Timestamp) -> Result<Self, CrlRefused> {
        let revoked = |held: &Held| {
            let (record, signed) = held.ca().filter(|_| held.phase() == Phase::Revoked)?;
            let is_listed = record.root.as_ref() == Some(issuer.id()) && held.not_after() > now;
            let serial = *Certificate::parse(signed.certificate()).ok().filter(|_| is_listed)?.serial();
            // From the beginning on: nobody knows since when its key is in other hands.
            Some(RevokedSerial { serial, at: held.created_at() })
        };
        Ok(Self {
            public: CrlIssuer::parse(Arc::clone(issuer.certificate()))?,
            issuer: Arc::clone(issuer),
            revoked_cas: set.held().filter_map(revoked).collect(),
        })
    }

    /// Returns what it is known by.
    pub(crate) fn id(&self) -> &AuthorityId {
        self.issuer.id()
    }

    /// Returns its certificate, under which its lists are verified.
    pub(crate) fn public(&self) -> &CrlIssuer {
        &self.public
    }

    /// Returns the issuing CAs that it signed and that are revoked.
    pub(crate) fn revoked_cas(&self) -> &[RevokedSerial] {
        &self.revoked_cas
    }

    /// Returns the lowest and the highest of the serials that it gives: they name their issuer, so its certificates lie together.
    pub(crate) fn serials(&self) -> std::ops::RangeInclusive<Serial> {
        let tag = self.issuer.key_id().serial_tag();
        Serial::from_parts(tag, [0; 11])..=Serial::from_parts(tag, [u8::MAX; 11])
    }

    /// Signs its list of these, which are in the order of their serials. It is good until the CA ends: freshness comes from the push and the number.
    pub(crate) fn sign(&self, number: u64, now: Timestamp, revoked: impl Iterator<Item = RevokedSerial>) -> Result<Crl, CrlSignError> {
        let failed = |source| CrlSignError::Key {
            issuer: self.id().clone(),
            source,
        };
        let unread = |source| CrlSignError::SelfCheck {
            issuer: self.id().clone(),
            source,
        };
        let params = CertificateRevocationListParams {
            this_update: now.to_offset_date_time(),
            next_update: self.issuer.not_after().to_offset_date_time(),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.map(entry).collect(),
            key_identifier_method: KeyIdMethod::PreSpecified(self.issuer.key_id().as_bytes().to_vec()),
        };
        let unsigned = params.signed_by(self.issuer.template()).map_err(failed)?;
        // Read by a parser that did not write it, before the key is touched.
        let unsigned = Crl::parse(unsigned.der().to_vec()).map_err(unread)?;
        let signature = self.issuer.key().sign(unsigned.to_be_signed()).map_err(failed)?;
        Crl::parse(signed_der(unsigned.to_be_signed(), &signature)).map_err(unread)
    }
}

/// An entry without extensions has 35 octets. A reason would make it 49, and no verifier asks for it.
fn entry(revoked: RevokedSerial) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from_slice(revoked.serial.as_bytes()),
        revocation_time: revoked.at.to_offset_date_time(),
        reason_code: None,
        invalidity_date: None,
    }
}
