//! What an operator does with cross-certificates: request, take, list, remove.

use std::sync::Arc;

use trust_domains::plan::authority::{AuthorityKind, Phase};
use trust_domains::plan::upstream::{CrossId, CrossUse};
use trust_domains::wire::audit::AuditEvent;
use trust_domains::wire::upstreams::{CrossSource, CrossView, Csr};
use trust_domains::x509::CrossCertificate;
use trust_domains::{Timestamp, TrustDomain};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::csr;
use super::error::UpstreamError;
use super::record::NewCross;
use crate::authority::held::Held;
use crate::authority::{Authorities, Issuer};
use crate::decisions::Cause;

/// What an operator brings back from an upstream authority.
#[derive(Debug, Clone)]
pub struct TakeCross<'a> {
    /// Which root; `None` for the one whose key is certified.
    pub root: Option<&'a str>,
    /// The cross-certificate and the upstream authority's certificates, in PEM.
    pub chain_pem: &'a str,
    /// What it shall be used for.
    pub used: CrossUse,
}

impl Authorities {
    /// Returns the cross-certificates.
    #[must_use]
    pub fn upstreams(&self) -> Vec<CrossView> {
        self.set().crosses().iter().map(super::Cross::view).collect()
    }

    /// Returns what follows this issuing CA in a chain where verifiers know an upstream authority alone: the cross-certificates of its root that are asked for, each
    /// with the certificates above it. Nothing as a rule.
    #[must_use]
    pub fn above(&self, issuing: &Issuer, now: Timestamp) -> Vec<Arc<[u8]>> {
        let set = self.set();
        let root = set.find(issuing.id()).and_then(Held::ca).and_then(|(record, _)| record.root.clone());
        root.map(|root| set.crosses().sent(&root, now)).unwrap_or_default()
    }

    /// Returns a certificate request by a root's key: the active one's, unless another is named.
    ///
    /// # Errors
    /// There is no such root, or its key does not sign.
    pub async fn csr(&self, root: Option<&str>, cause: &Cause) -> Result<Csr, UpstreamError> {
        let root = match root {
            Some(id) => self.certifiable_root(id)?,
            None => Arc::clone(self.set().root(self.clock.now().wall).ok_or(UpstreamError::NoRoot)?),
        };
        self.note(
            cause,
            "upstream_requested",
            root.id(),
            "a certificate request for an upstream authority".to_owned(),
        )
        .await?;
        Ok(Csr {
            root: root.id().clone(),
            subject: subject_of(&root),
            csr_pem: csr::request(&self.trust_domain, &root).await?,
        })
    }

    /// Takes a cross-certificate that an upstream authority returned; in place of the one that there is by the same authority for the same root.
    ///
    /// # Errors
    /// It is not one of our roots', nobody would follow a path over it, or it cannot be stored.
    pub async fn cross_sign(&self, taken: &TakeCross<'_>, cause: &Cause) -> Result<CrossView, UpstreamError> {
        let _turn = self.looking.lock().await;
        let now = self.clock.now().wall;
        let (root, cross) = match taken.root {
            Some(id) => {
                let root = self.certifiable_root(id)?;
                let cross = judge(taken, &root, &self.trust_domain, now)?;
                (root, cross)
            }
            None => self.of_any_root(taken, now)?,
        };
        let new = NewCross::new(&cross, root.id(), CrossSource::Request, taken.used, now)?;
        let text = format!("by {}, until {}; {}", cross.upstream().subject(), cross.not_after(), words(taken.used));
        self.note(cause, "cross_certificate_taken", new.id(), text).await?;
        self.store_cross(&new, root.id()).await?;
        self.cross_view(new.id())
    }

    /// Forgets a cross-certificate: chains are issued without it from then on, and a dedicated authority's root leaves the bundle.
    ///
    /// # Errors
    /// There is none of that id, or the configuration's files would make it again.
    pub async fn remove_upstream(&self, id: &str, cause: &Cause) -> Result<(), UpstreamError> {
        let _turn = self.looking.lock().await;
        let set = self.set();
        let cross = set.crosses().iter().find(|cross| cross.id().as_str() == id);
        let cross = cross.ok_or_else(|| UpstreamError::NotFound { id: id.to_owned() })?;
        if self.configured_upstream.load().as_deref() == Some(cross.upstream()) {
            return Err(UpstreamError::InUse { id: cross.id().clone() });
        }
        self.note(cause, "cross_certificate_removed", cross.id(), "by an operator".to_owned()).await?;
        self.forget_cross(cross.id()).await
    }

    /// Returns the first root whose key the certificate is of.
    fn of_any_root(&self, taken: &TakeCross<'_>, now: Timestamp) -> Result<(Arc<Issuer>, CrossCertificate), UpstreamError> {
        let set = self.set();
        let ids: Vec<_> = set.held().filter(|held| is_certifiable(held)).filter_map(Held::ca).collect();
        let mut refused = UpstreamError::NoRoot;
        for (_, root) in ids {
            match judge(taken, root, &self.trust_domain, now) {
                Ok(cross) => return Ok((Arc::clone(root), cross)),
                Err(UpstreamError::Refused(error @ trust_domains::x509::UpstreamRefused::OtherKey)) => refused = error.into(),
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    fn certifiable_root(&self, id: &str) -> Result<Arc<Issuer>, UpstreamError> {
        let set = self.set();
        let held = set.held().find(|held| held.id().as_str() == id);
        let root = held.filter(|held| is_certifiable(held)).and_then(Held::ca);
        root.map(|(_, root)| Arc::clone(root))
            .ok_or_else(|| UpstreamError::UnknownRoot { id: id.to_owned() })
    }

    fn cross_view(&self, id: &CrossId) -> Result<CrossView, UpstreamError> {
        let set = self.set();
        let cross = set.crosses().find(id).ok_or_else(|| UpstreamError::NotFound { id: id.to_string() })?;
        Ok(cross.view())
    }

    async fn note(&self, cause: &Cause, action: &str, subject: impl ToString, reason: String) -> Result<(), UpstreamError> {
        let mut decision = cause.decision(action, subject);
        decision.reason = Some(reason);
        self.recorder
            .append(vec![AuditEvent::Decided(decision)])
            .await
            .map_err(UpstreamError::Journal)?;
        Ok(())
    }
}

fn judge(taken: &TakeCross<'_>, root: &Issuer, trust_domain: &TrustDomain, now: Timestamp) -> Result<CrossCertificate, UpstreamError> {
    Ok(CrossCertificate::from_pem(taken.chain_pem.as_bytes(), root.certificate(), trust_domain, now)?)
}

/// Whether an upstream authority may certify it: who believes a root on its way out should stop doing so.
fn is_certifiable(held: &Held) -> bool {
    held.kind() == AuthorityKind::X509Root && matches!(held.phase(), Phase::Prepared | Phase::Active | Phase::Old)
}

/// Says in words what a cross-certificate is used for.
pub(super) fn words(used: CrossUse) -> &'static str {
    match (used.is_sent, used.is_dedicated) {
        (false, false) => "chains do not carry it",
        (false, true) => "chains do not carry it, and its root is in the bundle",
        (true, false) => "chains carry it",
        (true, true) => "chains carry it, and its root is in the bundle",
    }
}

fn subject_of(root: &Issuer) -> String {
    X509Certificate::from_der(root.certificate())
        .map(|(_, read)| read.subject().to_string())
        .unwrap_or_default()
}
