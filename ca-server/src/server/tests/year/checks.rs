//! What must hold at every step.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use trust_domains::jwt_svid::{Expectation, verify_jwt_svid};
use trust_domains::plan::authority::{AuthorityId, AuthorityKind, AuthorityProblem, Phase};
use trust_domains::x509::verify_svid;
use trust_domains::{Timestamp, TrustBundle};

use super::agent::Agent;
use super::chance::Chance;
use super::credential::{AUDIENCE, Credential as _, LEEWAY, Svid, Token, has_token};
use super::running::Running;

/// The most roots in a bundle: the one that signs, the one before it or after it, and in an emergency those that come and go together.
const MOST_ROOTS: usize = 3;

/// The most keys for JWT-SVIDs in a bundle: the same.
const MOST_JWT_KEYS: usize = 4;

/// The most authorities that a server holds: of each of three kinds one prepared, one active, and those whose work has not ended.
const MOST_AUTHORITIES: usize = 16;

/// At one step in so many a pair that was verified before is verified again.
const SAMPLED: usize = 4;

/// How often all authorities are looked at though nothing shows that one has changed.
const LOOKED_AT_EVERY: usize = 20;

/// What shows from outside that an authority has changed.
#[derive(PartialEq, Eq)]
struct Outside {
    issuing: AuthorityId,
    jwt: AuthorityId,
    sequence: Option<u64>,
    tainted: Arc<[AuthorityId]>,
}

/// What was seen, and what need not be verified again.
#[derive(Default)]
pub(super) struct Checks {
    /// Who was found to be believed under which bundle. What holds for one leaf of an issuer holds for all that have not ended: each was verified when
    /// it came, and ends before its issuer does.
    believed: HashSet<(AuthorityId, u64)>,
    /// When each authority ends.
    ends: BTreeMap<AuthorityId, Timestamp>,
    looked_at: Option<Outside>,
    /// Those that were revoked then.
    revoked: BTreeSet<AuthorityId>,
    pub(super) active: BTreeMap<AuthorityKind, BTreeSet<AuthorityId>>,
    pub(super) steps: usize,
    pub(super) verified: usize,
    pub(super) most_roots: usize,
    pub(super) most_jwt_keys: usize,
    pub(super) most_authorities: usize,
    pub(super) longest_bundle: usize,
}

fn fingerprint(bundle: &TrustBundle) -> u64 {
    let mut hasher = DefaultHasher::new();
    for root in bundle.x509_authorities() {
        root.hash().to_string().hash(&mut hasher);
    }
    for key in bundle.jwt_authorities() {
        key.key_id().hash(&mut hasher);
    }
    hasher.finish()
}

/// A bundle that connected agents verify others by.
struct Verifier<'a> {
    bundle: &'a TrustBundle,
    fingerprint: u64,
    /// Whose it is.
    name: &'a str,
}

impl<'a> Verifier<'a> {
    fn new(bundle: &'a TrustBundle, name: &'a str) -> Self {
        Self {
            bundle,
            fingerprint: fingerprint(bundle),
            name,
        }
    }
}

/// Returns each different bundle of these agents once.
fn verifiers<'a>(agents: impl Iterator<Item = &'a Agent>) -> Vec<Verifier<'a>> {
    let mut different: Vec<Verifier<'a>> = Vec::new();
    for agent in agents {
        let bundle: &TrustBundle = &agent.trust.bundle;
        if !different.iter().any(|other| std::ptr::eq(other.bundle, bundle)) {
            different.push(Verifier::new(bundle, agent.name.as_str()));
        }
    }
    different
}

impl Checks {
    /// Checks a step of a server that runs. Those that an emergency left behind are no measure for others; what a revoked authority signed is refused.
    pub(super) fn step(&mut self, server: &Running, agents: &[Agent], now: Timestamp, is_left_behind: &dyn Fn(&Agent) -> bool, chance: &mut Chance) {
        self.steps += 1;
        self.authorities(server);
        let revoked = self.revoked.clone();
        for agent in agents.iter().filter(|agent| agent.is_here()) {
            assert!(agent.is_connected(), "{} is here and not connected at {now}: {}", agent.name, agent.trouble);
        }
        self.nobody_is_without(server, agents, now);
        let verifiers = verifiers(agents.iter().filter(|agent| agent.is_connected() && !is_left_behind(agent)));
        self.everybody_believes(&svids(agents, now, &revoked), &verifiers, now, chance, verify_chain);
        self.everybody_believes(&tokens(agents, now, &revoked), &verifiers, now, chance, verify_token);
        self.nothing_outlives_its_issuer(agents);
    }

    /// Checks the fleet alone, while its server is astray: nobody is without what everybody believes, by the true time.
    pub(super) fn fleet(&mut self, server: &Running, agents: &[Agent], now: Timestamp, chance: &mut Chance) {
        self.nobody_is_without(server, agents, now);
        let (verifiers, nothing) = (verifiers(agents.iter()), BTreeSet::new());
        self.everybody_believes(&svids(agents, now, &nothing), &verifiers, now, chance, verify_chain);
        self.everybody_believes(&tokens(agents, now, &nothing), &verifiers, now, chance, verify_token);
    }

    /// Takes note of what is revoked.
    pub(super) fn note_revoked(&mut self, server: &Running) {
        let views = server.rooms.authorities.views(&[]);
        self.revoked = views.into_iter().filter(|view| view.state == Phase::Revoked).map(|view| view.id).collect();
    }

    /// Everything that is good is believed under each of these bundles, whose owners are named.
    pub(super) fn all_believe<'a>(&mut self, agents: &[Agent], bundles: impl Iterator<Item = (&'a str, &'a TrustBundle)>, now: Timestamp, chance: &mut Chance) {
        let verifiers: Vec<_> = bundles.map(|(name, bundle)| Verifier::new(bundle, name)).collect();
        let revoked = self.revoked.clone();
        self.everybody_believes(&svids(agents, now, &revoked), &verifiers, now, chance, verify_chain);
        self.everybody_believes(&tokens(agents, now, &revoked), &verifiers, now, chance, verify_token);
    }

    /// Returns whether a bundle vouches for everything that is good.
    pub(super) fn believes_all(&self, agents: &[Agent], bundle: &TrustBundle, now: Timestamp) -> bool {
        let mut chains = svids(agents, now, &self.revoked).into_values().map(|(_, svid)| verify_chain(svid, bundle, now));
        let mut texts = tokens(agents, now, &self.revoked)
            .into_values()
            .map(|(_, token)| verify_token(token, bundle, now));
        chains.all(|verified| verified.is_ok()) && texts.all(|verified| verified.is_ok())
    }

    /// Somebody signs everything, and no problem is told that only neglect would bring.
    fn authorities(&mut self, server: &Running) {
        let (authorities, now) = (&server.rooms.authorities, server.now());
        let issuing = authorities.issuing(now).unwrap_or_else(|error| panic!("at {}: {error}", now.wall));
        let jwt = authorities.jwt_key(now).unwrap_or_else(|error| panic!("at {}: {error}", now.wall));
        let is_neglect = |problem: &&AuthorityProblem| !matches!(problem, AuthorityProblem::Unacknowledged { .. });
        let neglected: Vec<_> = authorities.problems().borrow().iter().filter(is_neglect).cloned().collect();
        assert!(neglected.is_empty(), "at {}: {neglected:?}", now.wall);
        let looked_at = Outside {
            issuing: issuing.id().clone(),
            jwt: jwt.id().clone(),
            sequence: server.bundle().sequence(),
            tainted: authorities.tainted().borrow().clone(),
        };
        if self.looked_at.as_ref() != Some(&looked_at) || self.steps.is_multiple_of(LOOKED_AT_EVERY) {
            self.all_authorities(server);
            self.looked_at = Some(looked_at);
        }
    }

    /// One of each kind is active, and nothing piles up.
    fn all_authorities(&mut self, server: &Running) {
        let (now, views) = (server.now(), server.rooms.authorities.views(&[]));
        for view in &views {
            self.ends.insert(view.id.clone(), view.not_after);
            if view.state == Phase::Active {
                self.active.entry(view.kind).or_default().insert(view.id.clone());
            }
        }
        for kind in [AuthorityKind::X509Root, AuthorityKind::X509Issuing, AuthorityKind::Jwt] {
            let active = views.iter().filter(|view| view.kind == kind && view.state == Phase::Active).count();
            assert_eq!(active, 1, "{kind} authorities that are active at {}", now.wall);
        }
        let bundle = server.bundle();
        let (roots, keys) = (bundle.x509_authorities().len(), bundle.jwt_authorities().len());
        assert!(roots <= MOST_ROOTS, "{roots} roots at {}", now.wall);
        assert!(keys <= MOST_JWT_KEYS, "{keys} JWT keys at {}", now.wall);
        assert!(views.len() <= MOST_AUTHORITIES, "{} authorities at {}", views.len(), now.wall);
        self.most_roots = self.most_roots.max(roots);
        self.most_jwt_keys = self.most_jwt_keys.max(keys);
        self.most_authorities = self.most_authorities.max(views.len());
        self.longest_bundle = self.longest_bundle.max(bundle.x509_der_concat().len());
        self.revoked = views.into_iter().filter(|view| view.state == Phase::Revoked).map(|view| view.id).collect();
    }

    /// Every workload of an agent that is here holds an SVID that has not ended, and a token where it wants one.
    fn nobody_is_without(&self, server: &Running, agents: &[Agent], now: Timestamp) {
        for agent in agents.iter().filter(|agent| agent.is_here()) {
            let (name, trouble) = (&agent.name, &agent.trouble);
            let wanted: Vec<_> = server
                .rooms
                .registry
                .view(|state| state.entries.under(&agent.id).map(|held| Arc::clone(&held.entry)).collect());
            for entry in wanted {
                let holds_svid = agent.svids.get(entry.id()).and_then(|slot| slot.unexpired(now)).is_some();
                assert!(holds_svid, "{} of {name} has no SVID at {now}: {trouble}", entry.spiffe_id());
                let holds_token = agent.tokens.get(entry.id()).and_then(|slot| slot.unexpired(now)).is_some();
                assert!(
                    holds_token || !has_token(entry.x509_ttl()),
                    "{} of {name} has no token at {now}: {trouble}",
                    entry.spiffe_id()
                );
            }
        }
    }

    /// Every credential is believed under every bundle: once for each signer and bundle, and some of them again each time.
    fn everybody_believes<T>(
        &mut self,
        held: &BTreeMap<AuthorityId, (&Agent, &T)>,
        verifiers: &[Verifier<'_>],
        now: Timestamp,
        chance: &mut Chance,
        verify: fn(&T, &TrustBundle, Timestamp) -> Result<(), String>,
    ) {
        for verifier in verifiers {
            for (signer, (holder, credential)) in held {
                let pair = (signer.clone(), verifier.fingerprint);
                if !self.believed.contains(&pair) || chance.one_in(SAMPLED * verifiers.len() * held.len()) {
                    verify(credential, verifier.bundle, now)
                        .unwrap_or_else(|error| panic!("at {now} {} refuses what {} holds of {signer}: {error}", verifier.name, holder.name));
                    self.believed.insert(pair);
                    self.verified += 1;
                }
            }
        }
    }

    fn nothing_outlives_its_issuer(&self, agents: &[Agent]) {
        let ends = |signer: &AuthorityId| self.ends.get(signer).copied().unwrap_or_else(|| panic!("{signer} was never seen"));
        for agent in agents {
            let svids = agent.svids.values().filter_map(|slot| slot.credential.as_ref());
            let tokens = agent.tokens.values().filter_map(|slot| slot.credential.as_ref());
            let all = svids
                .map(|svid| (svid.signer(), svid.held()))
                .chain(tokens.map(|token| (token.signer(), token.held())));
            for (signer, held) in all {
                assert!(held.not_after() <= ends(signer), "a credential outlives {signer}");
            }
        }
    }
}

/// Returns one unexpired SVID of each signer, those of agents that are away too.
fn svids<'a>(agents: &'a [Agent], now: Timestamp, revoked: &BTreeSet<AuthorityId>) -> BTreeMap<AuthorityId, (&'a Agent, &'a Svid)> {
    let all = agents.iter().flat_map(|agent| {
        let unexpired = agent.svids.values().filter_map(move |slot| slot.unexpired(now));
        unexpired.map(move |svid| (agent, svid))
    });
    all.filter(|(agent, svid)| is_to_be_believed(agent, svid.signer(), revoked))
        .map(|(agent, svid)| (svid.signer().clone(), (agent, svid)))
        .collect()
}

/// The same of tokens.
fn tokens<'a>(agents: &'a [Agent], now: Timestamp, revoked: &BTreeSet<AuthorityId>) -> BTreeMap<AuthorityId, (&'a Agent, &'a Token)> {
    let all = agents.iter().flat_map(|agent| {
        let unexpired = agent.tokens.values().filter_map(move |slot| slot.unexpired(now));
        unexpired.map(move |token| (agent, token))
    });
    all.filter(|(agent, token)| is_to_be_believed(agent, token.signer(), revoked))
        .map(|(agent, token)| (token.signer().clone(), (agent, token)))
        .collect()
}

/// Nobody who takes part holds what a revoked authority signed; who was away in the emergency may.
fn is_to_be_believed(agent: &Agent, signer: &AuthorityId, revoked: &BTreeSet<AuthorityId>) -> bool {
    let is_revoked = revoked.contains(signer);
    assert!(
        !is_revoked || !agent.is_here(),
        "{} is here and shows what {signer} signed, which is revoked",
        agent.name
    );
    !is_revoked
}

/// By our verifier, and by webpki alone.
fn verify_chain(svid: &Svid, bundle: &TrustBundle, now: Timestamp) -> Result<(), String> {
    verify_svid(&svid.chain, bundle, now).map_err(|error| error.to_string())?;
    let anchors: Vec<_> = bundle.x509_ders().map(|root| webpki::anchor_from_trusted_cert(root).unwrap()).collect();
    let leaf = webpki::EndEntityCert::try_from(&svid.chain[0]).map_err(|error| error.to_string())?;
    let moment = UnixTime::since_unix_epoch(Duration::from_secs(now.unix().unsigned_abs()));
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        &svid.chain[1..],
        moment,
        webpki::KeyUsage::client_auth(),
        None,
        None,
    )
    .map_err(|error| error.to_string())?;
    Ok(())
}

fn verify_token(token: &Token, bundle: &TrustBundle, now: Timestamp) -> Result<(), String> {
    let expected = Expectation {
        audience: AUDIENCE,
        now,
        leeway: LEEWAY,
    };
    verify_jwt_svid(token.text.as_str(), |_| Some(bundle), &expected)
        .map(drop)
        .map_err(|error| error.to_string())
}
