//! The authorities that a trust domain begins with.

use trust_domains::jws::TokenAlgorithm;
use trust_domains::plan::authority::{AuthorityKind, DEFAULT_TOKEN_KEY_LIFE, Phase};
use trust_domains::plan::validity::DEFAULT_CLOCK_SKEW;
use trust_domains::wire::audit::{AuditEvent, Decision};
use trust_domains::x509::PermittedNames;
use trust_domains::{SpiffeId, Timestamp, TrustDomain};

use super::{InitError, ROOT_LIFE};
use crate::authority::KeyStore;
use crate::authority::create::{CreateError, Making, NewAuthority, NewTokenKey};
use crate::authority::trial;
use crate::config::DEFAULT_ISSUING_TTL;
use crate::journal::Journal;

/// What a trust domain begins with.
pub(super) struct First {
    pub(super) root: NewAuthority,
    pub(super) issuing: NewAuthority,
    pub(super) jwt: NewTokenKey,
}

impl First {
    /// Makes the root, its first issuing CA and the first JWT key, active at once: nobody holds anything older.
    pub(super) async fn make(
        trust_domain: &TrustDomain,
        keys: &KeyStore,
        algorithm: TokenAlgorithm,
        journal: &Journal,
        now: Timestamp,
    ) -> Result<Self, InitError> {
        let actor = SpiffeId::server(trust_domain);
        let mut making = Making {
            trust_domain,
            keys,
            recorder: journal,
            now,
            skew: DEFAULT_CLOCK_SKEW,
            not_after: now + ROOT_LIFE,
            permitted: &PermittedNames::default(),
            actor: actor.as_str(),
        };
        let root = making.root(Phase::Active).await?;
        making.not_after = now + DEFAULT_ISSUING_TTL;
        let issuing = making.issuing(&root.issuer, Phase::Active).await?;
        trial::stand(trust_domain, &issuing.issuer, &root.issuer, journal, now, DEFAULT_CLOCK_SKEW).await?;
        making.not_after = now + DEFAULT_TOKEN_KEY_LIFE;
        let jwt = making.token_key(AuthorityKind::Jwt, algorithm, Phase::Active).await?;
        let decided = Decision {
            action: "authority_activated".to_owned(),
            subject: jwt.id.to_string(),
            actor: actor.to_string(),
            reason: Some("the first of the trust domain".to_owned()),
            // No request caused it: W3C trace context keeps this value for none.
            trace_id: "0".repeat(32),
        };
        journal.append(vec![AuditEvent::Decided(decided)]).await.map_err(CreateError::Journal)?;
        Ok(First { root, issuing, jwt })
    }
}
