//! What the workloads of a node hold, and its renewal by the plan.

use std::collections::BTreeMap;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use trust_domains::jwt_svid::{Expectation, verify_jwt_svid};
use trust_domains::plan::authority::AuthorityId;
use trust_domains::plan::rotation::{Attempt, CredentialState, Demand, HeldCredential, Jitter, RotationAction, RotationPolicy, plan, retry_delay};
use trust_domains::plan::tainted::Tainted;
use trust_domains::token_svid::signing_key_of;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{IssueResult, IssuedLeaf, KeyRequest};
use trust_domains::wire::tokens::{IssuedToken, JwtRequest, TokenResult, TokenText};
use trust_domains::x509::{Certificate, verify_svid};
use trust_domains::{EntryId, Reading, Timestamp};

use super::agent::Agent;
use super::chance::Chance;
use super::membership::signer_of;
use super::running::Running;
use crate::issuance::tests::world::new_key;

pub(super) const AUDIENCE: &str = "spiffe://example.org/everybody";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// How far clocks may differ where tokens are verified.
pub(super) const LEEWAY: Duration = Duration::from_secs(60);

pub(super) struct Svid {
    pub(super) chain: [CertificateDer<'static>; 2],
    signer: AuthorityId,
    held: HeldCredential,
}

pub(super) struct Token {
    pub(super) text: TokenText,
    signer: AuthorityId,
    held: HeldCredential,
}

/// What is signed by an authority and ends.
pub(super) trait Credential {
    fn signer(&self) -> &AuthorityId;
    fn held(&self) -> &HeldCredential;
}

impl Credential for Svid {
    fn signer(&self) -> &AuthorityId {
        &self.signer
    }

    fn held(&self) -> &HeldCredential {
        &self.held
    }
}

impl Credential for Token {
    fn signer(&self) -> &AuthorityId {
        &self.signer
    }

    fn held(&self) -> &HeldCredential {
        &self.held
    }
}

/// A place for a credential of an entry.
pub(super) struct Slot<T> {
    pub(super) credential: Option<T>,
    attempt: Attempt,
    failures: u32,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            credential: None,
            attempt: Attempt::Idle,
            failures: 0,
        }
    }
}

impl<T: Credential> Slot<T> {
    pub(super) fn try_again_now(&mut self) {
        self.attempt = Attempt::Idle;
    }

    pub(super) fn is_tainted(&self, tainted: &Tainted) -> bool {
        self.credential.as_ref().is_some_and(|credential| tainted.holds(credential.signer()))
    }

    /// Returns what is held and has not ended by the true time.
    pub(super) fn unexpired(&self, now: Timestamp) -> Option<&T> {
        self.credential.as_ref().filter(|credential| now < credential.held().not_after())
    }

    pub(super) fn state<K>(&self, id: K, tainted: &Tainted) -> CredentialState<K> {
        CredentialState {
            id,
            demand: if self.is_tainted(tainted) { Demand::IssuerTainted } else { Demand::Current },
            held: self.credential.as_ref().map(|credential| *credential.held()),
            attempt: self.attempt,
        }
    }

    fn fill(&mut self, credential: T) {
        *self = Self {
            credential: Some(credential),
            ..Self::default()
        };
    }

    fn note_failure(&mut self, now: Reading, ttl: Duration, chance: &mut Chance) {
        self.failures += 1;
        self.attempt = Attempt::RetryAt(now.since_boot + retry_delay(self.failures, ttl, Jitter::new(chance.part())));
    }
}

/// Withdraws what the plan withdraws, and returns what it renews.
fn due<T: Credential>(slots: &mut BTreeMap<EntryId, Slot<T>>, tainted: &Tainted, now: Reading) -> Vec<EntryId> {
    let states: Vec<_> = slots.iter().map(|(id, slot)| slot.state(id.clone(), tainted)).collect();
    let mut renewals = Vec::new();
    for action in plan(now, &states, &RotationPolicy::default()) {
        match action {
            RotationAction::Renew { id, .. } => renewals.push(id),
            RotationAction::Withdraw { id, .. } => slots.get_mut(&id).unwrap().credential = None,
        }
    }
    renewals
}

impl Agent {
    /// Asks for what is due: an SVID for each entry, and a token for each that lives long.
    pub(super) async fn replace_what_is_due(&mut self, server: &Running, chance: &mut Chance) {
        for (id, entry) in &self.entries {
            self.svids.entry(id.clone()).or_default();
            if has_token(entry.x509_ttl()) {
                self.tokens.entry(id.clone()).or_default();
            }
        }
        let (now, tainted) = (self.now(), self.trust.tainted.clone());
        let svids = due(&mut self.svids, &tainted, now);
        let tokens = due(&mut self.tokens, &tainted, now);
        if !svids.is_empty() {
            self.ask_for_svids(server, &svids, chance).await;
        }
        if !tokens.is_empty() {
            self.ask_for_tokens(server, &tokens, chance).await;
        }
    }

    async fn ask_for_svids(&mut self, server: &Running, ids: &[EntryId], chance: &mut Chance) {
        let request = |id: &EntryId| KeyRequest {
            entry_id: id.clone(),
            public_key: Base64(new_key().spki().to_vec()),
        };
        let asked = self.now();
        let answer = match &self.line {
            Some(line) => server.rooms.issuance.issue_batch(&line.node, TRACE, ids.iter().map(request).collect()).await,
            None => return self.svids_failed(ids, asked, chance),
        };
        match answer {
            Err(error) => {
                self.trouble = error.to_string();
                self.svids_failed(ids, asked, chance);
            }
            Ok(answer) => {
                for result in answer.results {
                    match result {
                        IssueResult::Issued(leaf) => {
                            let issuer = CertificateDer::from(answer.issuers[leaf.issuer].0.clone());
                            self.take_svid(leaf, issuer, asked, chance);
                        }
                        IssueResult::Refused { entry_id, problem } => {
                            self.trouble = problem.to_string();
                            self.svids_failed(&[entry_id], asked, chance);
                        }
                    }
                }
            }
        }
    }

    fn svids_failed(&mut self, ids: &[EntryId], asked: Reading, chance: &mut Chance) {
        for id in ids {
            let ttl = self.entries[id].x509_ttl();
            self.svids.get_mut(id).unwrap().note_failure(asked, ttl, chance);
        }
    }

    /// Takes an SVID that is whole: for as long as was asked, no longer than its issuer, and believed by the node's own bundle.
    fn take_svid(&mut self, leaf: IssuedLeaf, issuer: CertificateDer<'static>, asked: Reading, chance: &mut Chance) {
        let entry = &self.entries[&leaf.entry_id];
        let chain = [CertificateDer::from(leaf.leaf.0), issuer];
        let peer = verify_svid(&chain, &self.trust.bundle, leaf.issued_at)
            .unwrap_or_else(|error| panic!("{} was given what it does not believe itself: {error}", self.name));
        assert_eq!(peer.spiffe_id(), entry.spiffe_id());
        assert_eq!(leaf.issued_at + entry.x509_ttl(), leaf.expires_at, "a clipped leaf");
        assert_eq!(peer.not_after(), leaf.expires_at);
        let issuer = Certificate::parse(&chain[1]).unwrap();
        assert!(peer.not_after() <= issuer.not_after(), "a leaf that outlives its issuer");
        let expires_in = Duration::from_secs(leaf.expires_in_s);
        let jitter = Jitter::new(chance.part());
        let svid = Svid {
            signer: signer_of(&chain[0]),
            held: HeldCredential::issued(asked, expires_in, leaf.expires_at, jitter, &RotationPolicy::default()),
            chain,
        };
        self.svids.get_mut(&leaf.entry_id).unwrap().fill(svid);
        self.counts.svids += 1;
    }

    async fn ask_for_tokens(&mut self, server: &Running, ids: &[EntryId], chance: &mut Chance) {
        let request = |id: &EntryId| JwtRequest {
            entry_id: id.clone(),
            audience: vec![AUDIENCE.to_owned()],
        };
        let asked = self.now();
        let answer = match &self.line {
            Some(line) => server.rooms.issuance.issue_tokens(&line.node, TRACE, ids.iter().map(request).collect()).await,
            None => return self.tokens_failed(ids, asked, chance),
        };
        match answer {
            Err(error) => {
                self.trouble = error.to_string();
                self.tokens_failed(ids, asked, chance);
            }
            Ok(answer) => {
                for result in answer.results {
                    match result {
                        TokenResult::Issued(token) => self.take_token(token, asked, chance),
                        TokenResult::Refused { entry_id, problem } => {
                            self.trouble = problem.to_string();
                            self.tokens_failed(&[entry_id], asked, chance);
                        }
                    }
                }
            }
        }
    }

    fn tokens_failed(&mut self, ids: &[EntryId], asked: Reading, chance: &mut Chance) {
        for id in ids {
            let ttl = self.entries[id].jwt_ttl();
            self.tokens.get_mut(id).unwrap().note_failure(asked, ttl, chance);
        }
    }

    fn take_token(&mut self, token: IssuedToken, asked: Reading, chance: &mut Chance) {
        let entry = &self.entries[&token.entry_id];
        let expected = Expectation {
            audience: AUDIENCE,
            now: token.issued_at,
            leeway: LEEWAY,
        };
        let verified = verify_jwt_svid(token.token.as_str(), |_| Some(&*self.trust.bundle), &expected)
            .unwrap_or_else(|error| panic!("{} was given what it does not believe itself: {error}", self.name));
        assert_eq!(verified.spiffe_id(), entry.spiffe_id());
        assert_eq!(token.issued_at + entry.jwt_ttl(), token.expires_at, "a clipped token");
        let expires_in = Duration::from_secs(token.expires_in_s);
        let jitter = Jitter::new(chance.part());
        let held = Token {
            signer: signing_key_of(token.token.as_str()).unwrap(),
            held: HeldCredential::issued(asked, expires_in, token.expires_at, jitter, &RotationPolicy::default()),
            text: token.token,
        };
        self.tokens.get_mut(&token.entry_id).unwrap().fill(held);
        self.counts.tokens += 1;
    }
}

/// Whether a workload holds a token all the time: those of the slow class do.
pub(super) fn has_token(x509_ttl: Duration) -> bool {
    x509_ttl > Duration::from_secs(5_400)
}
