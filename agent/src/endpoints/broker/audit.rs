//! The record of what was given to whom for whom.

use std::fmt;

use platform::trace::TraceContext;
use trust_domains::{EntryId, SpiffeId};

use super::referenced::Referenced;
use crate::endpoints::identity_feed::News;
use crate::endpoints::subject::Subject as _;
use crate::metrics::BrokerCounts;
use crate::svids::IdentityView;

/// What a call gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    JwtBundles,
    JwtSvids,
    X509Bundles,
    X509Svids,
}

impl Given {
    /// Returns what is news on a stream of it.
    pub(super) fn news(self) -> News {
        match self {
            Self::JwtBundles => News::JwtAuthorities,
            Self::X509Bundles => News::X509Authorities,
            Self::JwtSvids | Self::X509Svids => News::X509Svids,
        }
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JwtBundles => "JWT bundles",
            Self::JwtSvids => "JWT-SVIDs",
            Self::X509Bundles => "X.509 bundles",
            Self::X509Svids => "X509-SVIDs",
        })
    }
}

/// One call's record: a line when a reference is granted, and another when other entries grant it.
pub(super) struct Audit {
    broker: SpiffeId,
    pid: i32,
    given: Given,
    trace: TraceContext,
    counts: BrokerCounts,
    told: Vec<EntryId>,
}

impl Audit {
    pub(super) fn new(subject: &Referenced, given: Given, trace: TraceContext, counts: BrokerCounts) -> Self {
        Self {
            broker: subject.broker().spiffe_id().clone(),
            pid: subject.process().pid(),
            given,
            trace,
            counts,
            told: Vec::new(),
        }
    }

    /// Notes what is given by this view; a renewal alone is no news.
    pub(super) fn note(&mut self, view: &IdentityView) {
        self.granted(view.svids.iter().map(|svid| svid.entry_id.clone()).collect());
    }

    /// Notes what is given by these entries.
    pub(super) fn granted(&mut self, entries: Vec<EntryId>) {
        if self.told == entries {
            return;
        }
        let listed: Vec<&str> = entries.iter().map(EntryId::as_str).collect();
        tracing::info!(
            target: "audit",
            broker = %self.broker,
            pid = self.pid,
            entries = listed.join(" "),
            trace = self.trace.trace_id(),
            given = %self.given,
            "a broker's reference was granted"
        );
        self.counts.granted();
        self.told = entries;
    }
}
