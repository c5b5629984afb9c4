//! What an operator decides about an entry, and the rules it keeps.

use std::time::Duration;

use super::{EntryRefused, Hint};
use crate::class::{CredentialClass, outage_price};
use crate::jwt_svid::ExtraClaims;
use crate::selector::{Selector, SelectorSet, UnixKey};
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;
use crate::wire::admin::{EntryChange, EntryDraft};

/// An entry but for its id and age: always one that keeps every rule below.
///
/// - The identity and the parent are of one trust domain; the identity has a path, and not a reserved one; the parent is a node.
/// - There are 1 to 64 selectors, each of a kind that an attestor proves and with a value that it may have.
/// - Lives are at least 10 s and at most that of the class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrySpec {
    pub(super) spiffe_id: SpiffeId,
    pub(super) parent_id: SpiffeId,
    pub(super) selectors: SelectorSet,
    pub(super) hint: Option<Hint>,
    pub(super) claims: ExtraClaims,
    pub(super) expires_at: Option<Timestamp>,
    // Seconds in 32 bits: a server holds a million of these.
    pub(super) x509_ttl_s: u32,
    pub(super) jwt_ttl_s: u32,
    pub(super) class: CredentialClass,
}

impl EntrySpec {
    /// The most selectors of an entry: a process has a few dozen facts.
    pub const MAX_SELECTORS: usize = 64;

    /// The shortest life of an SVID: a renewal needs a few round trips, twice.
    pub const LEAST_TTL: Duration = Duration::from_secs(10);

    /// Checks what an operator wrote. `parent` is what the draft's parent resolves to: that takes knowing the nodes.
    ///
    /// # Errors
    /// Names the first rule that the draft breaks.
    pub fn check(draft: &EntryDraft, trust_domain: &TrustDomain, parent: SpiffeId) -> Result<Self, EntryRefused> {
        refuse_unissued(draft)?;
        let class = draft.class.unwrap_or_default();
        let x509_ttl = draft.x509_ttl_s.map_or(class.default_x509_ttl(), Duration::from_secs);
        let jwt_ttl = draft.jwt_ttl_s.map_or(class.default_jwt_ttl(), Duration::from_secs);
        Self {
            spiffe_id: SpiffeId::expand(trust_domain, &draft.spiffe_id)?,
            parent_id: parent,
            selectors: parse_selectors(&draft.selectors)?,
            hint: parse_hint(draft.hint.as_deref())?,
            claims: ExtraClaims::new(draft.claims.clone())?,
            expires_at: draft.expires_at,
            x509_ttl_s: check_ttl("x509_ttl_s", x509_ttl, class)?,
            jwt_ttl_s: check_ttl("jwt_ttl_s", jwt_ttl, class)?,
            class,
        }
        .checked()
    }

    /// See [`super::RegistrationEntry::change`].
    pub(super) fn change(&self, change: &EntryChange, trust_domain: &TrustDomain, parent: Option<SpiffeId>) -> Result<Self, EntryRefused> {
        let class = change.class.unwrap_or(self.class);
        let x509_ttl = match change.x509_ttl_s {
            Some(seconds) => Duration::from_secs(seconds),
            None if self.x509_ttl() == self.class.default_x509_ttl() => class.default_x509_ttl(),
            None => self.x509_ttl(),
        };
        let jwt_ttl = match change.jwt_ttl_s {
            Some(seconds) => Duration::from_secs(seconds),
            None if self.jwt_ttl() == self.class.default_jwt_ttl() => class.default_jwt_ttl(),
            None => self.jwt_ttl(),
        };
        Self {
            spiffe_id: change
                .spiffe_id
                .as_deref()
                .map_or(Ok(self.spiffe_id.clone()), |text| SpiffeId::expand(trust_domain, text))?,
            parent_id: parent.unwrap_or_else(|| self.parent_id.clone()),
            selectors: change.selectors.as_deref().map_or(Ok(self.selectors.clone()), parse_selectors)?,
            hint: change.hint.as_deref().map_or(Ok(self.hint.clone()), |text| parse_hint(Some(text)))?,
            claims: change.claims.clone().map_or(Ok(self.claims.clone()), ExtraClaims::new)?,
            expires_at: change.expires_at.or(self.expires_at),
            x509_ttl_s: check_ttl("x509_ttl_s", x509_ttl, class)?,
            jwt_ttl_s: check_ttl("jwt_ttl_s", jwt_ttl, class)?,
            class,
        }
        .checked()
    }

    /// Checks the rules on the parsed parts. What a store returns comes through here too.
    pub(super) fn checked(self) -> Result<Self, EntryRefused> {
        check_identity(&self.spiffe_id)?;
        if self.parent_id.trust_domain_name() != self.spiffe_id.trust_domain_name() || self.parent_id.as_agent().is_none() {
            return Err(EntryRefused::ParentNotANode { parent_id: self.parent_id });
        }
        check_selectors(&self.selectors)?;
        check_ttl("x509_ttl_s", self.x509_ttl(), self.class)?;
        check_ttl("jwt_ttl_s", self.jwt_ttl(), self.class)?;
        Ok(self)
    }

    /// Returns the identity that the entry gives.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// Returns the node that the entry is on.
    #[must_use]
    pub fn parent_id(&self) -> &SpiffeId {
        &self.parent_id
    }

    /// Returns what a process must have, all of it; never empty.
    #[must_use]
    pub fn selectors(&self) -> &SelectorSet {
        &self.selectors
    }

    /// Returns how long credentials may live.
    #[must_use]
    pub fn class(&self) -> CredentialClass {
        self.class
    }

    /// Returns the life of X509-SVIDs.
    #[must_use]
    pub fn x509_ttl(&self) -> Duration {
        Duration::from_secs(self.x509_ttl_s.into())
    }

    /// Returns the life of JWT-SVIDs.
    #[must_use]
    pub fn jwt_ttl(&self) -> Duration {
        Duration::from_secs(self.jwt_ttl_s.into())
    }

    /// Returns the label for workloads with several identities.
    #[must_use]
    pub fn hint(&self) -> Option<&Hint> {
        self.hint.as_ref()
    }

    /// Returns the claims of its JWT-SVIDs beside those of the standard.
    #[must_use]
    pub fn claims(&self) -> &ExtraClaims {
        &self.claims
    }

    /// Returns when the entry ends.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Returns whether both are one entry: same identity, node and selectors.
    #[must_use]
    pub fn same_identity(&self, other: &Self) -> bool {
        self.spiffe_id == other.spiffe_id && self.parent_id == other.parent_id && self.selectors == other.selectors
    }

    /// Returns the names of the fields that differ.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let fields = [
            ("spiffe_id", self.spiffe_id != other.spiffe_id),
            ("parent_id", self.parent_id != other.parent_id),
            ("selectors", self.selectors != other.selectors),
            ("class", self.class != other.class),
            ("x509_ttl_s", self.x509_ttl_s != other.x509_ttl_s),
            ("jwt_ttl_s", self.jwt_ttl_s != other.jwt_ttl_s),
            ("claims", self.claims != other.claims),
            ("hint", self.hint != other.hint),
            ("expires_at", self.expires_at != other.expires_at),
        ];
        fields.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
    }

    /// Returns the price of the entry's class and life in words: `class fast lives through 90 s without its server`.
    #[must_use]
    pub fn price(&self) -> String {
        format!("class {} {}", self.class, outage_price(self.x509_ttl()))
    }

    /// Returns what the operator should know although the entry is accepted: the price, always, and facts that anybody may have.
    ///
    /// Lines without the entry's ID are equal over many entries: show them once.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let tells_whose = |selector: &Selector| UnixKey::of(selector).is_none_or(|(key, _)| key.tells_whose());
        let mut warnings = Vec::new();
        if !self.selectors.iter().any(tells_whose) {
            warnings.push(format!(
                "{}: only path or sha256 selectors: any user who may start that program gets this identity; add unix:uid or unix:user",
                self.spiffe_id
            ));
        }
        warnings.push(self.price());
        warnings
    }
}

/// Refuses what lists show, files read back, and this version does not issue: dropping it in silence would be an entry that lies.
fn refuse_unissued(draft: &EntryDraft) -> Result<(), EntryRefused> {
    if !draft.dns_names.is_empty() {
        return Err(EntryRefused::NotImplemented { field: "dns_names" });
    }
    if !draft.federates_with.is_empty() {
        return Err(EntryRefused::NotImplemented { field: "federates_with" });
    }
    Ok(())
}

fn check_identity(spiffe_id: &SpiffeId) -> Result<(), EntryRefused> {
    if spiffe_id.path().is_empty() {
        return Err(EntryRefused::RootPath { spiffe_id: spiffe_id.clone() });
    }
    if spiffe_id.is_reserved() {
        return Err(EntryRefused::ReservedPath { spiffe_id: spiffe_id.clone() });
    }
    Ok(())
}

/// Returns the seconds of a life that is within its bounds.
fn check_ttl(field: &'static str, asked: Duration, class: CredentialClass) -> Result<u32, EntryRefused> {
    if asked < EntrySpec::LEAST_TTL {
        return Err(EntryRefused::TtlTooShort {
            field,
            asked,
            least: EntrySpec::LEAST_TTL,
        });
    }
    let seconds = u32::try_from(asked.as_secs()).ok().filter(|_| asked <= class.longest_life());
    seconds.ok_or(EntryRefused::ClassExceeded {
        field,
        asked,
        class,
        allowed_by: CredentialClass::smallest_for(asked),
    })
}

/// Reads a hint; an empty one is none.
fn parse_hint(text: Option<&str>) -> Result<Option<Hint>, EntryRefused> {
    text.filter(|text| !text.is_empty()).map(str::parse).transpose().map_err(EntryRefused::Hint)
}

fn parse_selectors(texts: &[String]) -> Result<SelectorSet, EntryRefused> {
    check_count(texts.len())?;
    let parse = |text: &String| {
        text.parse::<Selector>()
            .map_err(|reason| EntryRefused::Selector { text: beginning(text), reason })
    };
    texts.iter().map(parse).collect()
}

fn check_count(actual: usize) -> Result<(), EntryRefused> {
    match actual {
        0 => Err(EntryRefused::NoSelectors),
        _ if actual > EntrySpec::MAX_SELECTORS => Err(EntryRefused::TooManySelectors {
            limit: EntrySpec::MAX_SELECTORS,
            actual,
        }),
        _ => Ok(()),
    }
}

fn check_selectors(selectors: &SelectorSet) -> Result<(), EntryRefused> {
    check_count(selectors.len())?;
    for selector in selectors {
        match UnixKey::of(selector) {
            None => {
                return Err(EntryRefused::UnknownSelector {
                    text: beginning(selector.as_str()),
                    nearest: nearest(selector),
                });
            }
            Some((key, value)) if !key.may_be(value) => {
                return Err(EntryRefused::SelectorValue {
                    text: beginning(selector.as_str()),
                    key,
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Returns the key that was perhaps meant by `unx:uid:0`, `unix:uuid:0` or `uid:0`.
fn nearest(selector: &Selector) -> Option<UnixKey> {
    /// Two slips of the finger; with more, every short word is near every other.
    const FARTHEST: usize = 2;
    let first = selector.kind();
    let second = selector.value().split(':').next().unwrap_or_default();
    let both = format!("{first}:{second}");
    let distance = |key: &UnixKey| {
        let whole = strsim::levenshtein(&both, &key.to_string());
        // A kind that is right is not a key that was written without it.
        if first == UnixKey::KIND {
            whole
        } else {
            whole.min(strsim::levenshtein(first, key.as_str()))
        }
    };
    let (key, slips) = UnixKey::ALL.into_iter().map(|key| (key, distance(&key))).min_by_key(|(_, slips)| *slips)?;
    (slips <= FARTHEST).then_some(key)
}

/// Returns enough of a text to find it again.
fn beginning(text: &str) -> String {
    const SHOWN: usize = 80;
    text.chars().take(SHOWN).collect()
}
