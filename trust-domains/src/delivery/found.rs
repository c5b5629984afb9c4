//! The SVID that a set in place holds, read back.
//!
//! An agent that was killed may find a later one there than it had sealed for itself. What lies in a directory of somebody else's is not believed: it counts only
//! when it proves what any peer would have it prove.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::encode::{CERTIFICATE, PRIVATE_KEY};
use super::file_name::{FileName, ParseFileNameError};
use super::format::Format;
use crate::crl::CrlSet;
use crate::public_key::PublicKey;
use crate::x509::{Certificate, MAX_CHAIN_LEN, VerifyError, check_unrevoked, verify_identity};
use crate::{Serial, SpiffeId, Timestamp, TrustBundle};

/// A chain and a key as they lie in a directory, not believed yet.
pub struct FoundSvid {
    chain: Vec<CertificateDer<'static>>,
    key: Zeroizing<Vec<u8>>,
}

/// What an agent holds itself and would deliver.
#[derive(Debug, Clone, Copy)]
pub struct HeldSvid<'a> {
    /// The identity.
    pub spiffe_id: &'a SpiffeId,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What a found SVID has to prove itself against.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// The bundle of the identity's trust domain.
    pub bundle: &'a TrustBundle,
    /// That trust domain's revocation lists.
    pub lists: &'a CrlSet,
    /// The time.
    pub now: Timestamp,
}

/// An SVID in place that is as good as the one that is held, and ends later.
pub struct LaterSvid {
    /// The certificates, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the leaf: PKCS#8 in DER.
    pub key: Zeroizing<Vec<u8>>,
    /// The leaf's serial number.
    pub serial: Serial,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
}

/// Why what lies in place gives way to what is held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GivesWay {
    /// It ends no later.
    #[error("the SVID in place ends no later")]
    EndsNoLater,
    /// Its key is another's, as after a crash between two files.
    #[error("the key in place is not that of the certificate in place")]
    OtherKey,
    /// It proves nothing.
    #[error("the SVID in place proves nothing: {0}")]
    Unproven(#[from] VerifyError),
}

impl FoundSvid {
    /// Reads it from the files of some formats. Key stores alone tell nothing: they are written here and never read. `read` returns a file of the set in place.
    ///
    /// # Errors
    /// Those of `read`. What is there and is no SVID is as nothing.
    pub fn read<E>(formats: &[Format], mut read: impl FnMut(&FileName) -> Result<Option<Zeroizing<Vec<u8>>>, E>) -> Result<Option<Self>, E> {
        let mut of = |name: &str| match file(name) {
            Ok(name) => read(&name),
            Err(_) => Ok(None),
        };
        if formats.contains(&Format::Pem) {
            let (Some(chain), Some(key)) = (of("svid.pem")?, of("svid_key.pem")?) else {
                return Ok(None);
            };
            return Ok(Self::of_pem(&[&chain, &key]));
        }
        if formats.contains(&Format::PemCombined) {
            return Ok(of("svid_combined.pem")?.and_then(|both| Self::of_pem(&[&both])));
        }
        if !formats.contains(&Format::Der) {
            return Ok(None);
        }
        let (Some(leaf), Some(key)) = (of("svid.der")?, of("svid_key.der")?) else {
            return Ok(None);
        };
        let mut chain = vec![CertificateDer::from(leaf.to_vec())];
        for above in 0..MAX_CHAIN_LEN {
            let Some(certificate) = of(&format!("chain/{above}.der"))? else { break };
            chain.push(CertificateDer::from(certificate.to_vec()));
        }
        Ok(Some(Self { chain, key }))
    }

    fn of_pem(texts: &[&[u8]]) -> Option<Self> {
        let (mut chain, mut key) = (Vec::new(), None);
        for text in texts {
            for block in pem::parse_many(text).ok()? {
                let is = (block.tag() == CERTIFICATE, block.tag() == PRIVATE_KEY);
                let content = Zeroizing::new(block.into_contents());
                match is {
                    (true, _) => chain.push(CertificateDer::from(content.to_vec())),
                    (_, true) => key = Some(content),
                    _ => {}
                }
            }
        }
        Some(Self { chain, key: key? })
    }

    /// Returns it when it is valid now, of the same identity, of our own CAs, not revoked, whole, and ends later than what is held.
    ///
    /// # Errors
    /// [`GivesWay`], with the reason.
    pub fn later_than(self, held: HeldSvid<'_>, proof: Proof<'_>) -> Result<LaterSvid, GivesWay> {
        let peer = verify_identity(&self.chain, held.spiffe_id, proof.bundle, proof.now)?;
        check_unrevoked(&self.chain, proof.lists)?;
        if peer.not_after() <= held.expires_at {
            return Err(GivesWay::EndsNoLater);
        }
        let leaf = self.chain.first().and_then(|leaf| Certificate::parse(leaf).ok());
        let leaf = leaf.filter(|leaf| spki_of(&self.key).is_some_and(|spki| spki == leaf.spki()));
        let leaf = leaf.ok_or(GivesWay::OtherKey)?;
        Ok(LaterSvid {
            serial: *leaf.serial(),
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
            chain: self.chain,
            key: self.key,
        })
    }
}

impl std::fmt::Debug for FoundSvid {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundSvid").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LaterSvid {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaterSvid").field("serial", &self.serial).finish_non_exhaustive()
    }
}

fn file(name: &str) -> Result<FileName, ParseFileNameError> {
    name.parse()
}

fn spki_of(key: &[u8]) -> Option<Vec<u8>> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key).ok()?;
    let public = PublicKey::from_sec1(pair.public_key().as_ref()).ok()?;
    Some(public.spki().to_vec())
}

#[cfg(test)]
mod tests;
