//! The trial of an issuing CA: before it signs for anybody, a leaf built under it must pass our verifier and webpki.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use thiserror::Error;
use trust_domains::bundle::AuthorityRefused;
use trust_domains::entry::CertificateNames;
use trust_domains::plan::validity::SHORTEST_LIFE;
use trust_domains::spiffe_id::ParseSpiffeIdError;
use trust_domains::x509::{VerifyError, verify_svid};
use trust_domains::{SpiffeId, Timestamp, TrustBundle, TrustDomain};

use super::issuer::Issuer;
use super::key::{AuthorityKey, KeyError};
use crate::issuance::Recorder;
use crate::issuance::error::{PrepareError, SignError};
use crate::issuance::prepare::{Leaf, prepare};
use crate::issuance::recorded::record_one;
use crate::issuance::stages::Cause;
use crate::journal::JournalError;

/// The path of the trial's leaf: reserved, so that it is nobody's identity, and it ends after the shortest life there is.
const TRIAL_PATH: &str = "/troth/self-test";

/// An authority did not stand its trial, and is not activated.
#[derive(Debug, Error)]
pub enum TrialError {
    /// The root is none.
    #[error("the root cannot stand in a bundle")]
    Root(#[from] AuthorityRefused),
    /// The trial's name cannot be built.
    #[error("the trial has no name")]
    Name(#[from] ParseSpiffeIdError),
    /// No key was made.
    #[error("the trial has no key")]
    Key(#[from] KeyError),
    /// The leaf was not prepared.
    #[error("the trial's leaf cannot be prepared")]
    Prepare(#[from] PrepareError),
    /// The journal did not take the record.
    #[error("the trial cannot be recorded")]
    Journal(#[source] JournalError),
    /// The authority's key did not sign.
    #[error("the trial's leaf cannot be signed")]
    Sign(#[from] SignError),
    /// The verifier refused the leaf.
    #[error("a leaf of the authority does not verify")]
    Verify(#[from] VerifyError),
}

/// Issues a leaf under the authority and verifies it as a relying party would, with nothing but the root.
pub(crate) async fn stand(
    trust_domain: &TrustDomain,
    issuing: &Arc<Issuer>,
    root: &Issuer,
    recorder: &dyn Recorder,
    now: Timestamp,
    skew: Duration,
) -> Result<(), TrialError> {
    let name = SpiffeId::from_path(trust_domain, TRIAL_PATH)?;
    let (subject, _) = AuthorityKey::generate()?;
    let leaf = Leaf {
        spiffe_id: &name,
        public_key: subject.public_key(),
        ttl: SHORTEST_LIFE,
        ends_with: None,
        names: &CertificateNames::default(),
    };
    let cause = Cause {
        entry: None,
        node: None,
        actor: SpiffeId::server(trust_domain).as_str().to_owned(),
        trace_id: String::new(),
    };
    let prepared = prepare(issuing, now, skew, &leaf, cause)?;
    let signed = record_one(recorder, prepared).await.map_err(TrialError::Journal)?.sign().await?;

    let bundle = TrustBundle::new(trust_domain.clone()).with_x509_authority(root.certificate())?;
    let chain = [CertificateDer::from(signed.der), CertificateDer::from(issuing.certificate().to_vec())];
    verify_svid(&chain, &bundle, now)?;
    Ok(())
}
