//! The upstream authority under which a trust domain begins.

use std::sync::Arc;

use trust_domains::plan::upstream::CrossUse;
use trust_domains::plan::validity::DEFAULT_CLOCK_SKEW;
use trust_domains::wire::upstreams::CrossSource;
use trust_domains::{SpiffeId, Timestamp, TrustDomain};

use crate::authority::Issuer;
use crate::authority::upstream::{Certifying, NewCross, Upstream, UpstreamError};
use crate::config::UpstreamConfig;
use crate::issuance::Recorder;

/// An upstream authority that was read and judged, before anything of the trust domain is made.
pub(super) struct FirstUpstream {
    upstream: Upstream,
    used: CrossUse,
}

impl FirstUpstream {
    /// Reads its files. What is wrong with them is said before the directory is touched.
    pub(super) fn read(asked: &UpstreamConfig, now: Timestamp) -> Result<Self, UpstreamError> {
        let upstream = asked.files.read(now)?;
        let used = asked.used.over(CrossUse::default());
        if used.is_dedicated {
            upstream.check_dedicated()?;
        }
        Ok(Self { upstream, used })
    }

    /// Returns its name.
    pub(super) fn name(&self) -> String {
        self.upstream.subject()
    }

    /// Has it certify the root; its key ends with this call.
    pub(super) async fn certify(
        self,
        trust_domain: &TrustDomain,
        root: &Arc<Issuer>,
        recorder: &dyn Recorder,
        now: Timestamp,
    ) -> Result<NewCross, UpstreamError> {
        let actor = SpiffeId::server(trust_domain);
        let certifying = Certifying {
            trust_domain,
            recorder,
            now,
            skew: DEFAULT_CLOCK_SKEW,
            actor: actor.as_str(),
        };
        let cross = certifying.certify(self.upstream, root).await?;
        NewCross::new(&cross, root.id(), CrossSource::Files, self.used, now)
    }
}
