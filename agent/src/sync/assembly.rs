//! From the lines of the sync stream to changes of the cache: snapshots whole, deltas one commit at a time, nothing else believed.

use trust_domains::bundle::TrustBundle;
use trust_domains::crl::{CrlSet, CrlSetRefused};
use trust_domains::plan::authority::AuthorityId;
use trust_domains::problem::Problem;
use trust_domains::wire::crls::{CrlsChange, CrlsWhole, PartnerCrls};
use trust_domains::wire::node::{NodeEntry, SyncMessage};
use trust_domains::wire::standings::PartnerStanding;
use trust_domains::{Revision, SpiffeBundle, TrustDomain};

use crate::svids::{Federated, Removed, Update, partner_lists};

/// The most entries of one node that are held: at a kilobyte each, 200 MB.
pub(crate) const MOST_ENTRIES: usize = 200_000;

/// What a message asks of the agent.
#[derive(Debug)]
pub(crate) enum Step {
    /// Change the cache.
    Apply(Update),
    /// Nothing up to this commit concerns this node; and how the server stands with the node's partners, when that changed.
    Advance(Revision, Option<Vec<PartnerStanding>>),
    /// The stream ends.
    End(Problem),
    /// Wait for the rest.
    More,
}

/// A message that no server sends in this place: the stream is given up and a snapshot asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SyncFault {
    /// The bundle holds no root: with it the agent could not even find its server again.
    #[error("the bundle in the sync stream holds no root")]
    EmptyBundle,
    /// The bundle is another trust domain's.
    #[error("the bundle in the sync stream is that of {presented}, not of {expected}")]
    ForeignBundle {
        /// The trust domain of this node.
        expected: TrustDomain,
        /// The trust domain of the bundle.
        presented: TrustDomain,
    },
    /// A message shows another history than the one shown so far.
    #[error("the sync stream went from {shown:?} to {presented} without a snapshot")]
    Gap {
        /// The commit shown so far.
        shown: Option<Revision>,
        /// The commit of the message.
        presented: Revision,
    },
    /// The revocation lists are not believed, or not those that a change of them is about.
    #[error("the revocation lists in the sync stream cannot be used: {0}")]
    Lists(#[from] CrlSetRefused),
    /// A snapshot was mixed with something else.
    #[error("the sync stream broke off in a snapshot")]
    Interrupted,
    /// A complete snapshot has no bundle.
    #[error("the snapshot has no trust bundle")]
    NoBundle,
    /// A partner's bundle claims to be that of this trust domain.
    #[error("the sync stream has a partner's bundle of {trust_domain}, which is this trust domain")]
    PartnerIsOwn {
        /// The trust domain of this node.
        trust_domain: TrustDomain,
    },
    /// More entries than one node may have.
    #[error("the snapshot has more than {limit} entries")]
    TooManyEntries {
        /// The most.
        limit: usize,
    },
}

/// What the last part of a snapshot brings beside entries.
struct Trust {
    bundle: Option<SpiffeBundle>,
    federated: Federated,
    federated_crls: Vec<PartnerCrls>,
    tainted: Vec<AuthorityId>,
    crls: Option<CrlsWhole>,
}

/// A snapshot that has not arrived whole, and the commit shown so far.
#[derive(Debug)]
pub(crate) struct Assembly {
    trust_domain: TrustDomain,
    shown: Option<Revision>,
    partial: Option<(Revision, Vec<NodeEntry>)>,
    /// The revocation lists as the server told them.
    lists: CrlSet,
}

impl Assembly {
    /// Starts a stream that resumes after `shown`, by when the server had told these lists.
    pub(crate) fn new(trust_domain: TrustDomain, shown: Option<Revision>, lists: CrlSet) -> Self {
        Self {
            trust_domain,
            shown,
            partial: None,
            lists,
        }
    }

    /// Takes the next message.
    pub(crate) fn take(&mut self, message: SyncMessage) -> Result<Step, SyncFault> {
        match message {
            SyncMessage::Snapshot {
                revision,
                entries,
                bundle,
                federated,
                federated_crls,
                given_to_all,
                tainted,
                crls,
                last,
            } => {
                let federated = self.federated(federated, given_to_all)?;
                let trust = Trust {
                    bundle,
                    federated,
                    federated_crls,
                    tainted,
                    crls,
                };
                self.snapshot(revision, entries, trust, last)
            }
            SyncMessage::Delta {
                revision,
                upserted,
                removed,
                bundle,
                federated,
                federated_crls,
                given_to_all,
                tainted,
                crls,
            } => {
                self.follow(revision)?;
                let bundle = bundle.map(|bundle| self.bundle(bundle)).transpose()?;
                let federated = federated.map(|federated| self.federated(federated, given_to_all)).transpose()?;
                Ok(Step::Apply(Update {
                    revision,
                    upserted,
                    removed: Removed::These(removed),
                    bundle,
                    federated,
                    federated_crls: partner_lists::read(&federated_crls),
                    tainted,
                    crls: crls.map(|change| self.changed(&change)).transpose()?,
                }))
            }
            SyncMessage::Current { revision } => {
                self.follow(revision)?;
                Ok(Step::Apply(Update {
                    revision,
                    upserted: Vec::new(),
                    removed: Removed::These(Vec::new()),
                    bundle: None,
                    federated: None,
                    federated_crls: Vec::new(),
                    tainted: None,
                    crls: None,
                }))
            }
            // Between the parts of a snapshot a heartbeat says no more than that the server lives.
            SyncMessage::Heartbeat { .. } if self.partial.is_some() => Ok(Step::More),
            SyncMessage::Heartbeat { revision, partners } => {
                self.follow(revision)?;
                Ok(Step::Advance(revision, partners))
            }
            SyncMessage::End { problem } => Ok(Step::End(problem)),
        }
    }

    fn snapshot(&mut self, revision: Revision, entries: Vec<NodeEntry>, trust: Trust, last: bool) -> Result<Step, SyncFault> {
        let mut whole = match self.partial.take() {
            Some((begun, _)) if begun != revision => return Err(SyncFault::Interrupted),
            Some((_, whole)) => whole,
            None => Vec::new(),
        };
        whole.extend(entries);
        if whole.len() > MOST_ENTRIES {
            return Err(SyncFault::TooManyEntries { limit: MOST_ENTRIES });
        }
        if !last {
            self.partial = Some((revision, whole));
            return Ok(Step::More);
        }
        let bundle = self.bundle(trust.bundle.ok_or(SyncFault::NoBundle)?)?;
        self.lists = trust.crls.map(|whole| CrlSet::read(&whole)).transpose()?.unwrap_or_default();
        self.shown = Some(revision);
        Ok(Step::Apply(Update {
            revision,
            upserted: whole,
            removed: Removed::Others,
            bundle: Some(bundle),
            federated: Some(trust.federated),
            federated_crls: partner_lists::read(&trust.federated_crls),
            tainted: Some(trust.tainted),
            crls: Some(self.lists.clone()),
        }))
    }

    /// Follows a change of the lists; none are left when they are withdrawn.
    fn changed(&mut self, change: &CrlsChange) -> Result<CrlSet, SyncFault> {
        self.lists = self.lists.changed(change)?.unwrap_or_default();
        Ok(self.lists.clone())
    }

    /// Goes on to a commit of the same history, never back.
    fn follow(&mut self, revision: Revision) -> Result<(), SyncFault> {
        if self.partial.is_some() {
            return Err(SyncFault::Interrupted);
        }
        if !self.shown.is_some_and(|shown| revision.includes(shown)) {
            return Err(SyncFault::Gap {
                shown: self.shown,
                presented: revision,
            });
        }
        self.shown = Some(revision);
        Ok(())
    }

    fn bundle(&self, bundle: SpiffeBundle) -> Result<TrustBundle, SyncFault> {
        if *bundle.trust_domain() != self.trust_domain {
            return Err(SyncFault::ForeignBundle {
                expected: self.trust_domain.clone(),
                presented: bundle.trust_domain().clone(),
            });
        }
        let bundle = bundle.into_bundle();
        if bundle.x509_authorities().is_empty() {
            return Err(SyncFault::EmptyBundle);
        }
        Ok(bundle)
    }

    /// Takes the bundles of partners. One of this trust domain is none: nobody but its own authorities vouches for it.
    fn federated(&self, bundles: Vec<SpiffeBundle>, given_to_all: Vec<TrustDomain>) -> Result<Federated, SyncFault> {
        if bundles.iter().any(|bundle| *bundle.trust_domain() == self.trust_domain) {
            return Err(SyncFault::PartnerIsOwn {
                trust_domain: self.trust_domain.clone(),
            });
        }
        Ok(Federated {
            bundles: bundles.into_iter().map(SpiffeBundle::into_bundle).collect(),
            given_to_all: given_to_all.into_iter().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svids::testing::{bundle, bundle_of, entry, revision};

    fn assembly(shown: Option<u64>) -> Assembly {
        Assembly::new("td.example".parse().unwrap(), shown.map(revision), CrlSet::default())
    }

    fn part(at: u64, id: &str, last: bool) -> SyncMessage {
        SyncMessage::Snapshot {
            revision: revision(at),
            entries: vec![entry(id, at)],
            bundle: last.then(|| bundle().into()),
            federated: Vec::new(),
            federated_crls: Vec::new(),
            given_to_all: Vec::new(),
            tainted: Vec::new(),
            crls: None,
            last,
        }
    }

    fn delta(at: u64) -> SyncMessage {
        SyncMessage::Delta {
            revision: revision(at),
            upserted: vec![entry("a", at)],
            removed: Vec::new(),
            bundle: None,
            federated: None,
            federated_crls: Vec::new(),
            given_to_all: Vec::new(),
            tainted: None,
            crls: None,
        }
    }

    #[test]
    fn a_snapshot_is_applied_with_its_last_part_and_whole() {
        let mut assembly = assembly(None);
        assert!(matches!(assembly.take(part(7, "a", false)), Ok(Step::More)));
        assert!(matches!(
            assembly.take(SyncMessage::Heartbeat {
                revision: revision(9),
                partners: None
            }),
            Ok(Step::More)
        ));
        let Ok(Step::Apply(update)) = assembly.take(part(7, "b", true)) else {
            panic!("not whole")
        };
        assert_eq!(update.upserted.len(), 2);
        assert!(matches!(update.removed, Removed::Others));
        assert!(matches!(assembly.take(delta(8)), Ok(Step::Apply(_))));
    }

    #[test]
    fn parts_of_different_snapshots_are_never_mixed() {
        for other in [part(8, "b", true), delta(8)] {
            let mut assembly = assembly(Some(6));
            assembly.take(part(7, "a", false)).unwrap();
            assert_eq!(assembly.take(other).unwrap_err(), SyncFault::Interrupted);
        }
    }

    #[test]
    fn a_delta_without_a_snapshot_of_the_same_history_before_it_is_a_gap() {
        assert!(matches!(assembly(None).take(delta(8)), Err(SyncFault::Gap { .. })));
        assert!(matches!(assembly(Some(9)).take(delta(8)), Err(SyncFault::Gap { .. })));
        let other = SyncMessage::Current {
            revision: Revision { epoch: 2, counter: 99 },
        };
        assert!(matches!(assembly(Some(9)).take(other), Err(SyncFault::Gap { .. })));
        assert!(matches!(assembly(Some(8)).take(delta(9)), Ok(Step::Apply(_))));
    }

    #[test]
    fn a_snapshot_needs_a_bundle_of_this_trust_domain() {
        let without = SyncMessage::Snapshot {
            revision: revision(1),
            entries: Vec::new(),
            bundle: None,
            federated: Vec::new(),
            federated_crls: Vec::new(),
            given_to_all: Vec::new(),
            tainted: Vec::new(),
            crls: None,
            last: true,
        };
        assert_eq!(assembly(None).take(without).unwrap_err(), SyncFault::NoBundle);
        let mut foreign = Assembly::new("other.example".parse().unwrap(), None, CrlSet::default());
        assert!(matches!(foreign.take(part(1, "a", true)), Err(SyncFault::ForeignBundle { .. })));
        let empty = TrustBundle::new("td.example".parse().unwrap());
        let message = SyncMessage::Snapshot {
            revision: revision(1),
            entries: Vec::new(),
            bundle: Some(empty.into()),
            federated: Vec::new(),
            federated_crls: Vec::new(),
            given_to_all: Vec::new(),
            tainted: Vec::new(),
            crls: None,
            last: true,
        };
        assert_eq!(assembly(None).take(message).unwrap_err(), SyncFault::EmptyBundle);
    }

    #[test]
    fn no_partner_vouches_for_this_trust_domain() {
        let of_partner = |name: &str| SyncMessage::Delta {
            revision: revision(9),
            upserted: Vec::new(),
            removed: Vec::new(),
            bundle: None,
            federated: Some(vec![bundle_of(name).into()]),
            federated_crls: Vec::new(),
            given_to_all: vec![name.parse().unwrap()],
            tainted: None,
            crls: None,
        };
        let refused = assembly(Some(8)).take(of_partner("td.example")).unwrap_err();
        assert!(matches!(refused, SyncFault::PartnerIsOwn { .. }), "{refused}");
        let Ok(Step::Apply(update)) = assembly(Some(8)).take(of_partner("partner.example")) else {
            panic!("a partner is no fault")
        };
        let federated = update.federated.unwrap();
        assert_eq!((federated.bundles.len(), federated.given_to_all.len()), (1, 1));
        let in_snapshot = SyncMessage::Snapshot {
            revision: revision(9),
            entries: Vec::new(),
            bundle: Some(bundle().into()),
            federated: vec![bundle_of("td.example").into()],
            federated_crls: Vec::new(),
            given_to_all: Vec::new(),
            tainted: Vec::new(),
            crls: None,
            last: true,
        };
        assert!(matches!(assembly(None).take(in_snapshot), Err(SyncFault::PartnerIsOwn { .. })));
    }

    #[test]
    fn a_message_with_a_bundle_reads_back_from_its_line() {
        let line = serde_json::to_string(&part(7, "a", true)).unwrap();
        let Ok(SyncMessage::Snapshot { bundle: Some(read), .. }) = serde_json::from_str(&line) else {
            panic!("{line}")
        };
        assert_eq!(read.into_bundle(), bundle());
    }
}
