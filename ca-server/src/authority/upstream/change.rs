//! What the plan orders, performed: each change recorded, then one commit, then shown.

use trust_domains::plan::authority::{AuthorityId, AuthorityKind};
use trust_domains::plan::upstream::{
    AskedUse, CertifyReason, CrossId, CrossUse, FilesState, ForgetCross, RootState, UpstreamAction, UpstreamPlan, UpstreamProblem, UpstreamState, plan,
};
use trust_domains::wire::upstreams::CrossSource;
use trust_domains::x509::UpstreamChain;

use super::certify::Certifying;
use super::error::UpstreamError;
use super::files::UpstreamFiles;
use super::operate::words;
use super::record::{NewCross, chain_hash, cross_key};
use crate::authority::Authorities;
use crate::authority::held::{Held, authority_key};
use crate::store::Commit;

/// The upstream authority of the configuration, as its files are now.
#[derive(Debug)]
pub(super) struct Configured<'a> {
    pub(super) files: &'a UpstreamFiles,
    pub(super) chain: UpstreamChain,
    pub(super) used: AskedUse,
}

impl Authorities {
    /// Returns what is due about cross-certificates.
    fn plan_upstreams(&self, configured: Option<&Configured<'_>>) -> UpstreamPlan {
        let (set, now) = (self.set(), self.clock.now());
        let roots = set.held().filter(|held| held.kind() == AuthorityKind::X509Root);
        let state = UpstreamState {
            crosses: set.crosses().iter().map(super::Cross::state).collect(),
            roots: roots
                .map(|held| RootState {
                    id: held.id().clone(),
                    phase: held.phase(),
                })
                .collect(),
            files: configured.map(|configured| FilesState {
                upstream: configured.chain.key_id(),
                chain: chain_hash(&configured.chain),
                used: configured.used,
            }),
            may_destroy: self.may_destroy(now),
        };
        plan(now.wall, &state)
    }

    /// Asks the plan and performs it, every step that can be; returns what an operator must know, and the last failure.
    pub(super) async fn look_upstream(&self, configured: Option<&Configured<'_>>) -> (Vec<UpstreamProblem>, Option<UpstreamError>) {
        let _turn = self.looking.lock().await;
        let mut failed = None;
        for action in self.plan_upstreams(configured).actions {
            if let Err(error) = self.perform_upstream(action, configured).await {
                failed = Some(error);
            }
        }
        // As it is now: of what was just made something may have to be said at once.
        (self.plan_upstreams(configured).problems, failed)
    }

    async fn perform_upstream(&self, action: UpstreamAction, configured: Option<&Configured<'_>>) -> Result<(), UpstreamError> {
        match (action, configured) {
            (UpstreamAction::Certify { root, used, reason }, Some(configured)) => self.certify_root(&root, used, reason, configured).await,
            // The plan certifies nothing without files.
            (UpstreamAction::Certify { .. }, None) => Ok(()),
            (UpstreamAction::Forget { id, reason }, _) => self.forget_by_plan(&id, reason).await,
        }
    }

    async fn certify_root(&self, id: &AuthorityId, used: CrossUse, reason: CertifyReason, configured: &Configured<'_>) -> Result<(), UpstreamError> {
        let set = self.set();
        let (_, root) = set
            .find(id)
            .and_then(Held::ca)
            .ok_or_else(|| UpstreamError::UnknownRoot { id: id.to_string() })?;
        let upstream = configured.files.with_key(configured.chain.clone())?;
        if used.is_dedicated {
            upstream.check_dedicated()?;
        }
        let (actor, now) = (self.actor(), self.clock.now().wall);
        let certifying = Certifying {
            trust_domain: &self.trust_domain,
            recorder: self.recorder.as_ref(),
            now,
            skew: self.settings.skew,
            actor: &actor,
        };
        let cross = certifying.certify(upstream, root).await?;
        let new = NewCross::new(&cross, id, CrossSource::Files, used, now)?;
        let text = format!("{reason}; by {}, until {}; {}", cross.upstream().subject(), cross.not_after(), words(used));
        self.decide_about("cross_certificate_made", new.id(), text).await?;
        self.store_cross(&new, id).await
    }

    /// Stores a cross-certificate, if its root is still as it was judged.
    pub(super) async fn store_cross(&self, new: &NewCross, root: &AuthorityId) -> Result<(), UpstreamError> {
        let set = self.set();
        let held = set.find(root).ok_or_else(|| UpstreamError::UnknownRoot { id: root.to_string() })?;
        let mut commit = Commit::new("cross_certificate_stored").unmodified(authority_key(root), held.modified);
        commit.writes.push(new.write(&self.records)?);
        self.committed_cross(commit).await
    }

    async fn forget_by_plan(&self, id: &CrossId, reason: ForgetCross) -> Result<(), UpstreamError> {
        self.decide_about("cross_certificate_forgotten", id, reason.to_string()).await?;
        self.forget_cross(id).await
    }

    /// Deletes a cross-certificate.
    pub(super) async fn forget_cross(&self, id: &CrossId) -> Result<(), UpstreamError> {
        let set = self.set();
        let cross = set.crosses().find(id).ok_or_else(|| UpstreamError::NotFound { id: id.to_string() })?;
        let key = cross_key(id);
        let commit = Commit::new("cross_certificate_forgotten").unmodified(key.clone(), cross.modified).delete(key);
        self.committed_cross(commit).await
    }

    /// Commits a change of cross-certificates. One of our own authorities in the bundle is written again with it: whatever the bundle gains or loses by the change,
    /// its sequence grows (BUN-03).
    async fn committed_cross(&self, mut commit: Commit) -> Result<(), UpstreamError> {
        let set = self.set();
        if let Some(published) = set.held().find(|held| held.is_published()) {
            commit = commit.unmodified(authority_key(published.id()), published.modified);
            commit.writes.push(published.again(&self.records)?);
        }
        Ok(self.committed(commit).await?)
    }
}
