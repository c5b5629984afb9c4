//! Lists that agents hand back after the server was restored from an old backup: what was revoked stays so.
//!
//! A node cannot revoke anything with them: only a list that a CA of this trust domain signed is believed, and that one once said so itself.

use std::collections::BTreeSet;

use trust_domains::crl::{Crl, CrlIssuer, CrlSet};
use trust_domains::revocation::{RevocationBound, RevocationCause, RevocationRule, RevocationTarget, SERIALS_PER_RULE};
use trust_domains::wire::crls::{CrlsWhole, HandedBack};
use trust_domains::{Serial, SpiffeId, TrustBundle};

use super::error::{HandedBackRefused, RevokeError};
use super::{CrlNumber, Revocations, rule_id};
use crate::decisions::Cause;
use crate::registry::records;
use crate::store::{Commit, Key};

impl Revocations {
    /// Takes lists that a node hands back: what they revoke and this server does not becomes rules, and the number goes above theirs. Returns how many serials
    /// were not known.
    ///
    /// # Errors
    /// A list is not under a root of the bundle, or its signature is not its CA's: then nothing is taken; or the rules cannot be stored.
    pub async fn take_back(&self, handed: &HandedBack, bundle: &TrustBundle, node: &SpiffeId, cause: &Cause) -> Result<usize, HandedBackRefused> {
        let set = CrlSet::read(&CrlsWhole { lists: handed.lists.clone() })?;
        if let Some((foreign, _)) = set.lists().find(|(issuer, _)| !is_ours(issuer, bundle)) {
            return Err(HandedBackRefused::Foreign {
                issuer: foreign.id().to_string(),
            });
        }
        let now = self.clock.now().wall;
        let unknown: Vec<_> = set
            .lists()
            .filter(|(_, crl)| crl.next_update() >= now)
            .map(|(_, crl)| (crl, self.unknown(crl)))
            .collect();
        let count = unknown.iter().map(|(_, serials)| serials.len()).sum();
        if count > 0 {
            self.store_handed_back(&unknown, set.highest_number(), node, cause).await?;
        }
        Ok(count)
    }

    /// Returns what a list revokes and no rule does.
    fn unknown(&self, crl: &Crl) -> Vec<Serial> {
        let named: BTreeSet<Serial> = self.registry.view(|state| {
            let serials = |target: &RevocationTarget| match target {
                RevocationTarget::Serial { serial } => vec![*serial],
                RevocationTarget::Listed { serials, .. } => serials.clone(),
                RevocationTarget::Entry { .. } | RevocationTarget::Node { .. } | RevocationTarget::SpiffeId { .. } => Vec::new(),
            };
            state.rules.values().flat_map(|held| serials(&held.rule.target)).collect()
        });
        let is_known = |serial: &Serial| named.contains(serial) || self.registry.is_revoked(serial);
        crl.revoked().map(|revoked| revoked.serial).filter(|serial| !is_known(serial)).collect()
    }

    async fn store_handed_back(&self, unknown: &[(&Crl, Vec<Serial>)], number: u64, node: &SpiffeId, cause: &Cause) -> Result<(), RevokeError> {
        let now = self.clock.now().wall;
        let count: usize = unknown.iter().map(|(_, serials)| serials.len()).sum();
        let mut decision = cause.decision("revocations_handed_back", node);
        decision.reason = Some(format!("{count} serials on lists of this server that it had forgotten"));
        self.decisions.record(vec![decision]).await?;
        let mut commit = Commit::new("revocations_handed_back");
        for (crl, serials) in unknown {
            for serials in serials.chunks(SERIALS_PER_RULE) {
                let rule = RevocationRule {
                    target: RevocationTarget::Listed {
                        issuer: crl.issuer().clone(),
                        serials: serials.to_vec(),
                    },
                    bound: RevocationBound {
                        before: Some(now),
                        through: 0,
                        epoch: self.epoch(),
                    },
                    made_at: now,
                    // The end of the CA: nothing that it signed is good for longer.
                    until: crl.next_update(),
                    cause: RevocationCause::HandedBack,
                    because: None,
                    actor: cause.actor.clone(),
                };
                let key = Key::revocation(&rule_id(now)?);
                let stored = records::encode(&key, &rule)?;
                commit = commit.put(key, stored);
            }
        }
        let last = self.registry.view(|state| state.crls.number()).max(Some(number));
        let stored = records::encode(&CrlNumber::key(), &CrlNumber::after(last, now))?;
        let revision = self.store.commit(commit.put(CrlNumber::key(), stored)).await?;
        self.registry.settled(revision).await;
        Ok(())
    }
}

fn is_ours(issuer: &CrlIssuer, bundle: &TrustBundle) -> bool {
    issuer.is_root_of(bundle) || issuer.is_signed_by_root_of(bundle)
}
