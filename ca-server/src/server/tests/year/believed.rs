//! What partners must believe, and must not believe any more.

use std::collections::BTreeSet;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use trust_domains::jwt_svid::{Expectation, verify_jwt_svid};
use trust_domains::plan::authority::AuthorityKind;
use trust_domains::wire::tokens::TokenText;
use trust_domains::x509::verify_svid;
use trust_domains::{Reading, TrustBundle};

use super::agent::Agent;
use super::chance::Chance;
use super::checks::Checks;
use super::credential::{AUDIENCE, Credential as _, LEEWAY};
use super::partners::{Habit, Partner, Stolen};
use super::running::Running;

/// What something signed is verified by.
enum Signed {
    Chain([CertificateDer<'static>; 2]),
    Token(TokenText),
}

impl Stolen<Signed> {
    /// Whether a bundle vouches for it, at the moment at which it was good: that it has ended since is not what refuses it.
    fn is_believed(&self, bundle: &TrustBundle) -> bool {
        match &self.signed {
            Signed::Chain(chain) => verify_svid(chain, bundle, self.at).is_ok(),
            Signed::Token(text) => {
                let expected = Expectation {
                    audience: AUDIENCE,
                    now: self.at,
                    leeway: LEEWAY,
                };
                verify_jwt_svid(text.as_str(), |_| Some(bundle), &expected).is_ok()
            }
        }
    }
}

/// An emergency as partners see it.
struct Compromise {
    kind: AuthorityKind,
    stolen: Stolen<Signed>,
    /// When it was over in the trust domain itself, since boot, and the bundle's number then.
    over: Option<(Duration, Option<u64>)>,
    /// The partners that have fetched since.
    ended_for: BTreeSet<&'static str>,
}

/// The partners of the year, and what was found of them.
#[derive(Default)]
pub(super) struct Partners {
    pub(super) all: Vec<Partner>,
    pub(super) checks: Checks,
    compromises: Vec<Compromise>,
    /// How often one that was away too long refused what was good.
    pub(super) refusals: usize,
    /// How often one that had not fetched yet believed what was stolen.
    pub(super) deceptions: usize,
    /// How long it took, at most, until a partner that fetches every time believed the stolen no more.
    pub(super) longest_deception: Duration,
}

impl Partners {
    /// Three domains that poll rarely, each in its own way.
    pub(super) fn three() -> Self {
        Self {
            all: vec![
                Partner::new("keeps.test", Habit::Keeps),
                Partner::new("fails.test", Habit::KeepsThroughFailures),
                Partner::new("away.test", Habit::StaysAway),
            ],
            ..Self::default()
        }
    }

    /// Returns when one of them does something next, since boot.
    pub(super) fn due_at(&self) -> Option<Duration> {
        self.all.iter().map(Partner::due_at).min()
    }

    /// Those that are due fetch, and all of them are shown everything.
    pub(super) fn step(&mut self, server: &Running, agents: &[Agent], now: Reading, chance: &mut Chance) {
        for partner in &mut self.all {
            partner.turn(server, now, chance);
        }
        self.nobody_who_fetched_is_deceived(now.since_boot);
        let is_emergency = self.compromises.iter().any(|compromise| compromise.over.is_none());
        let settled = self.compromises.iter().filter_map(|compromise| compromise.over).map(|(at, _)| at).max();
        if is_emergency {
            // Nothing waits for partners then: who has not fetched yet refuses what is signed anew.
            return;
        }
        let knows = |partner: &&Partner| partner.keeps_to_the_hint(now.since_boot) && settled.is_none_or(|settled| settled <= partner.fetched_at());
        let (knowing, others): (Vec<&Partner>, Vec<&Partner>) = self.all.iter().partition(knows);
        let bundles = knowing.into_iter().filter_map(|partner| Some((partner.name, partner.bundle()?)));
        self.checks.note_revoked(server);
        self.checks.all_believe(agents, bundles, now.wall, chance);
        let unknown = others.into_iter().filter_map(Partner::bundle);
        self.refusals += unknown.filter(|bundle| !self.checks.believes_all(agents, bundle, now.wall)).count();
    }

    /// Takes what a thief has: something that the authority of this kind signed, which every partner that keeps to the hint believes.
    pub(super) fn steal(&mut self, kind: AuthorityKind, server: &Running, agents: &[Agent], now: Reading) {
        if self.all.is_empty() {
            return;
        }
        let agents = agents.iter().filter(|agent| agent.is_here());
        let signed = match kind {
            AuthorityKind::Jwt => {
                let active = server.rooms.authorities.jwt_key(server.now()).unwrap().id().clone();
                let tokens = agents.flat_map(|agent| agent.tokens.values()).filter_map(|slot| slot.unexpired(now.wall));
                Signed::Token(tokens.max_by_key(|token| *token.signer() == active).unwrap().text.clone())
            }
            _ => {
                let active = server.rooms.authorities.issuing(server.now()).unwrap().id().clone();
                let svids = agents.flat_map(|agent| agent.svids.values()).filter_map(|slot| slot.unexpired(now.wall));
                Signed::Chain(svids.max_by_key(|svid| *svid.signer() == active).unwrap().chain.clone())
            }
        };
        let stolen = Stolen { signed, at: now.wall };
        for partner in self.all.iter().filter(|partner| partner.keeps_to_the_hint(now.since_boot)) {
            assert!(
                stolen.is_believed(partner.bundle().unwrap()),
                "{} believes what is stolen, as long as nobody knows",
                partner.name
            );
        }
        self.compromises.push(Compromise {
            kind,
            stolen,
            over: None,
            ended_for: BTreeSet::new(),
        });
    }

    /// The emergency is over in the trust domain itself.
    pub(super) fn settle(&mut self, server: &Running, since_boot: Duration) {
        if let Some(compromise) = self.compromises.last_mut() {
            compromise.over = Some((since_boot, server.bundle().sequence()));
        }
    }

    /// Whoever has fetched since an emergency was over believes nothing that the thief has, nor ever will again.
    fn nobody_who_fetched_is_deceived(&mut self, since_boot: Duration) {
        for compromise in &mut self.compromises {
            let Some((over_at, sequence)) = compromise.over else { continue };
            for partner in &self.all {
                let Some(bundle) = partner.bundle() else { continue };
                let is_believed = compromise.stolen.is_believed(bundle);
                if bundle.sequence() < sequence {
                    self.deceptions += usize::from(is_believed);
                    continue;
                }
                assert!(
                    !is_believed,
                    "{} has fetched, and believes what a stolen key of {} signed",
                    partner.name, compromise.kind
                );
                if compromise.ended_for.insert(partner.name) && partner.habit == Habit::Keeps {
                    self.longest_deception = self.longest_deception.max(since_boot.saturating_sub(over_at));
                }
            }
        }
    }

    /// Returns for how many partners each compromise is ended.
    pub(super) fn ended(&self) -> Vec<(AuthorityKind, usize)> {
        self.compromises
            .iter()
            .map(|compromise| (compromise.kind, compromise.ended_for.len()))
            .collect()
    }
}
