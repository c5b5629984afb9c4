//! What becomes of cross-certificates: when one is made from the files of an upstream authority, when one is forgotten, and what an operator must know.

mod id;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use id::{CrossId, ParseCrossIdError};

use crate::plan::authority::{AuthorityId, Phase};
use crate::timestamp::Timestamp;

/// How long before its end an operator hears of a cross-certificate: time to carry a request to an offline CA and back.
pub const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What a cross-certificate is used for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CrossUse {
    /// Whether chains carry it.
    pub is_sent: bool,
    /// Whether the upstream authority issues for this trust domain alone, and its root stands in the bundle.
    pub is_dedicated: bool,
}

/// What is known of an upstream authority's certificates at one moment: the SHA-256 of them.
pub type ChainHash = [u8; 32];

/// A cross-certificate that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossState {
    /// What it is known by.
    pub id: CrossId,
    /// The root that it certifies.
    pub root: AuthorityId,
    /// The upstream authority that signed it, by its key.
    pub upstream: AuthorityId,
    /// The certificates of that authority when it signed.
    pub chain: ChainHash,
    /// What it is used for.
    pub used: CrossUse,
    /// When it starts.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
}

/// A root of the trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootState {
    /// What it is known by.
    pub id: AuthorityId,
    /// Where it is in its life.
    pub phase: Phase,
}

/// The upstream authority whose files the configuration names, as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesState {
    /// The authority, by its key.
    pub upstream: AuthorityId,
    /// Its certificates.
    pub chain: ChainHash,
    /// What the configuration says its cross-certificates are used for; what it leaves open stays as it is recorded.
    pub used: AskedUse,
}

/// What is asked of cross-certificates; what is absent stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AskedUse {
    /// Whether chains carry them.
    pub is_sent: Option<bool>,
    /// Whether the upstream authority is dedicated.
    pub is_dedicated: Option<bool>,
}

impl AskedUse {
    /// Fills what is left open in from what there is.
    #[must_use]
    pub fn over(self, recorded: CrossUse) -> CrossUse {
        CrossUse {
            is_sent: self.is_sent.unwrap_or(recorded.is_sent),
            is_dedicated: self.is_dedicated.unwrap_or(recorded.is_dedicated),
        }
    }
}

/// What the plan looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamState {
    /// The cross-certificates that there are.
    pub crosses: Vec<CrossState>,
    /// The roots.
    pub roots: Vec<RootState>,
    /// The files that the configuration names, where it does and they can be read.
    pub files: Option<FilesState>,
    /// Whether the clock is believed enough for what cannot be undone.
    pub may_destroy: bool,
}

/// One step, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamAction {
    /// Have the key of the files certify a root.
    Certify {
        /// The root.
        root: AuthorityId,
        /// What the cross-certificate will be used for.
        used: CrossUse,
        /// Why.
        reason: CertifyReason,
    },
    /// Forget a cross-certificate.
    Forget {
        /// Which.
        id: CrossId,
        /// Why.
        reason: ForgetCross,
    },
}

/// Why a root is certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertifyReason {
    /// The upstream authority has other certificates than when it signed.
    ChainChanged,
    /// The root has none by this upstream authority.
    NoneYet,
    /// The configuration says something else about its use.
    UseChanged,
}

impl fmt::Display for CertifyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChainChanged => "the upstream authority has new certificates",
            Self::NoneYet => "the root has no cross-certificate by this upstream authority",
            Self::UseChanged => "the configuration changed what it is used for",
        })
    }
}

/// Why a cross-certificate is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForgetCross {
    /// It ended, or one above it did.
    Ended {
        /// When.
        not_after: Timestamp,
    },
    /// Its root is gone, or revoked.
    RootGone,
}

impl fmt::Display for ForgetCross {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { not_after } => write!(f, "it ended at {not_after}"),
            Self::RootGone => f.write_str("its root is gone"),
        }
    }
}

/// What an operator must know about cross-certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamProblem {
    /// One ends soon, and nothing here can make another.
    EndsSoon {
        /// Which.
        id: CrossId,
        /// When it ends.
        not_after: Timestamp,
    },
    /// The active root has none by an upstream authority that certified another root.
    RootWithout {
        /// The root.
        root: AuthorityId,
        /// The upstream authority, by its key.
        upstream: AuthorityId,
    },
}

impl fmt::Display for UpstreamProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndsSoon { id, not_after } => write!(
                f,
                "cross-certificate {id} ends at {not_after}, or one above it does: have its upstream authority sign another (troth authority csr), or renew its files"
            ),
            Self::RootWithout { root, upstream } => write!(
                f,
                "root {root} has no cross-certificate by upstream authority {upstream}, which certified another root: who trusts that authority alone refuses what is \
                 issued now; have it sign one (troth authority csr --kind x509-root {root}), or remove the other (troth authority upstream remove)"
            ),
        }
    }
}

/// What is due, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamPlan {
    /// The steps, in their order.
    pub actions: Vec<UpstreamAction>,
    /// What an operator must know.
    pub problems: Vec<UpstreamProblem>,
}

/// Decides what becomes of cross-certificates.
///
/// - A root that is prepared or active has a cross-certificate by the authority of the files. It is made anew when the certificates of that authority change, or
///   what the configuration says of its use. Old roots sign nothing new, and get none.
/// - What the configuration leaves open is taken from the newest cross-certificate of the same authority, one that is about to be forgotten included.
/// - A cross-certificate whose root is gone or revoked is forgotten once the same authority has certified the active root: no chain carries it, and until then it
///   is what says that something is missing, and what for. One that ended is forgotten when the clock is believed.
/// - Two weeks before an end that the files do not mend, an operator hears of it; so he does when the active root lacks what another root has.
#[must_use]
pub fn plan(now: Timestamp, state: &UpstreamState) -> UpstreamPlan {
    let mut plan = UpstreamPlan::default();
    let (kept, forgotten): (Vec<_>, Vec<_>) = state.crosses.iter().partition(|cross| forget(now, state, cross).is_none());
    if let Some(files) = &state.files {
        let wanted = state.roots.iter().filter(|root| matches!(root.phase, Phase::Prepared | Phase::Active));
        plan.actions.extend(wanted.filter_map(|root| certify(&state.crosses, files, root)));
    }
    // After the others: what one of these was used for is what its successor is used for.
    for cross in forgotten {
        if let Some(reason) = forget(now, state, cross) {
            plan.actions.push(UpstreamAction::Forget { id: cross.id.clone(), reason });
        }
    }
    plan.problems = problems(now, state, &kept);
    plan
}

fn forget(now: Timestamp, state: &UpstreamState, cross: &CrossState) -> Option<ForgetCross> {
    let is_live = |root: &RootState| root.id == cross.root && root.phase != Phase::Revoked;
    if !state.roots.iter().any(is_live) && is_followed(state, cross) {
        return Some(ForgetCross::RootGone);
    }
    let not_after = cross.not_after;
    (not_after < now && state.may_destroy).then_some(ForgetCross::Ended { not_after })
}

/// Returns whether the same authority has certified every active root: until then this one says that it should, and what for.
fn is_followed(state: &UpstreamState, cross: &CrossState) -> bool {
    let mut active = state.roots.iter().filter(|root| root.phase == Phase::Active);
    active.all(|root| state.crosses.iter().any(|other| other.root == root.id && other.upstream == cross.upstream))
}

fn certify(crosses: &[CrossState], files: &FilesState, root: &RootState) -> Option<UpstreamAction> {
    let of_upstream = || crosses.iter().filter(|cross| cross.upstream == files.upstream);
    let own = of_upstream().find(|cross| cross.root == root.id);
    let newest = own.or_else(|| of_upstream().max_by_key(|cross| cross.not_before));
    let used = files.used.over(newest.map(|cross| cross.used).unwrap_or_default());
    let reason = match own {
        None => CertifyReason::NoneYet,
        Some(own) if own.chain != files.chain => CertifyReason::ChainChanged,
        Some(own) if own.used != used => CertifyReason::UseChanged,
        Some(_) => return None,
    };
    Some(UpstreamAction::Certify {
        root: root.id.clone(),
        used,
        reason,
    })
}

fn problems(now: Timestamp, state: &UpstreamState, kept: &[&CrossState]) -> Vec<UpstreamProblem> {
    let is_of = |phase: Phase, cross: &CrossState| state.roots.iter().any(|root| root.id == cross.root && root.phase == phase);
    let signing = kept.iter().filter(|cross| is_of(Phase::Active, cross));
    let ending = signing.filter(|cross| cross.not_after < now + WARN_BEFORE);
    let mut problems: Vec<_> = ending
        .map(|cross| UpstreamProblem::EndsSoon {
            id: cross.id.clone(),
            not_after: cross.not_after,
        })
        .collect();
    for root in state.roots.iter().filter(|root| root.phase == Phase::Active) {
        let of_root = |upstream: &AuthorityId| kept.iter().any(|cross| cross.root == root.id && cross.upstream == *upstream);
        let by_files = |upstream: &AuthorityId| state.files.as_ref().is_some_and(|files| files.upstream == *upstream);
        let mut lacking: Vec<&AuthorityId> = kept
            .iter()
            .map(|cross| &cross.upstream)
            .filter(|upstream| !of_root(upstream) && !by_files(upstream))
            .collect();
        lacking.sort_unstable();
        lacking.dedup();
        problems.extend(lacking.into_iter().map(|upstream| UpstreamProblem::RootWithout {
            root: root.id.clone(),
            upstream: upstream.clone(),
        }));
    }
    problems
}
