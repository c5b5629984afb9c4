//! What an operator decides about an entry, and the rules it keeps.

use std::time::Duration;

use super::selectors::{check_node_selectors, check_selectors, parse_selectors};
use super::{CertificateNames, EntryRefused, Hint, Partners};
use crate::class::{CredentialClass, outage_price};
use crate::jwt_svid::ExtraClaims;
use crate::selector::{Selector, SelectorSet, UnixKey};
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;
use crate::wire::admin::{EntryChange, EntryDraft};

/// An entry but for its id and age: always one that keeps every rule below.
///
/// - The identity and the parent are of one trust domain; the identity has a path, and not a reserved one.
/// - The parent is a node, or a node alias: an ID like that of a workload. With the server as its parent the entry is such an alias itself; it has selectors of
///   nodes, and nothing that only certificates and tokens have.
/// - There are 1 to 64 selectors, each of a kind that an attestor proves and with a value that it may have.
/// - Lives are at least 10 s and at most that of the class.
/// - It federates with at most 64 other trust domains, never with its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrySpec {
    pub(super) spiffe_id: SpiffeId,
    pub(super) parent_id: SpiffeId,
    pub(super) selectors: SelectorSet,
    pub(super) hint: Option<Hint>,
    pub(super) claims: ExtraClaims,
    pub(super) federates_with: Partners,
    pub(super) names: CertificateNames,
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
        let class = draft.class.unwrap_or_default();
        let x509_ttl = draft.x509_ttl_s.map_or(class.default_x509_ttl(), Duration::from_secs);
        let jwt_ttl = draft.jwt_ttl_s.map_or(class.default_jwt_ttl(), Duration::from_secs);
        Self {
            spiffe_id: SpiffeId::expand(trust_domain, &draft.spiffe_id)?,
            parent_id: parent,
            selectors: parse_selectors(&draft.selectors)?,
            hint: parse_hint(draft.hint.as_deref())?,
            claims: ExtraClaims::new(draft.claims.clone())?,
            federates_with: Partners::check(draft.federates_with.clone(), trust_domain)?,
            names: CertificateNames::read(&draft.dns_names, draft.subject_cn.as_deref())?,
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
            federates_with: match &change.federates_with {
                Some(partners) => Partners::check(partners.clone(), trust_domain)?,
                None => self.federates_with.clone(),
            },
            names: self.names.changed(change.dns_names.as_deref(), change.subject_cn.as_deref())?,
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
        if self.parent_id.trust_domain_name() != self.spiffe_id.trust_domain_name() {
            return Err(EntryRefused::ParentNotANode { parent_id: self.parent_id });
        }
        match self.parent_kind() {
            Some(ParentKind::Server) => self.check_alias()?,
            Some(ParentKind::Node | ParentKind::Alias) => check_selectors(&self.selectors)?,
            None => return Err(EntryRefused::ParentNotANode { parent_id: self.parent_id }),
        }
        self.federates_with.check_all(self.spiffe_id.trust_domain_name())?;
        check_ttl("x509_ttl_s", self.x509_ttl(), self.class)?;
        check_ttl("jwt_ttl_s", self.jwt_ttl(), self.class)?;
        Ok(self)
    }

    fn parent_kind(&self) -> Option<ParentKind> {
        let parent = &self.parent_id;
        if parent.as_agent().is_some() {
            Some(ParentKind::Node)
        } else if parent.is_server() {
            Some(ParentKind::Server)
        } else {
            (!parent.is_reserved() && !parent.path().is_empty() && *parent != self.spiffe_id).then_some(ParentKind::Alias)
        }
    }

    /// An alias gives no credentials: what only they have would be a promise that nobody keeps.
    fn check_alias(&self) -> Result<(), EntryRefused> {
        let fields = [
            ("claims", !self.claims.is_empty()),
            ("dns_names", !self.names.dns().is_empty()),
            ("expires_at", self.expires_at.is_some()),
            ("federates_with", !self.federates_with.is_empty()),
            ("hint", self.hint.is_some()),
            ("subject_cn", self.names.cn().is_some()),
        ];
        match fields.into_iter().find(|(_, is_there)| *is_there) {
            Some((field, _)) => Err(EntryRefused::AliasField { field }),
            None => check_node_selectors(&self.selectors),
        }
    }

    /// Returns whether the entry is a node alias: its ID is that of nodes, for entries whose parent it is, and never a workload's.
    #[must_use]
    pub fn is_node_alias(&self) -> bool {
        self.parent_id.is_server()
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

    /// Returns the partner trust domains whose bundles its workload gets, in order.
    #[must_use]
    pub fn federates_with(&self) -> &Partners {
        &self.federates_with
    }

    /// Returns the names in its certificates beside the SPIFFE ID.
    #[must_use]
    pub fn names(&self) -> &CertificateNames {
        &self.names
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
            ("federates_with", self.federates_with != other.federates_with),
            ("dns_names", self.names.dns() != other.names.dns()),
            ("subject_cn", self.names.cn() != other.names.cn()),
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
        if self.is_node_alias() {
            return Vec::new();
        }
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

/// What stands where an entry's parent does.
enum ParentKind {
    Alias,
    Node,
    Server,
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
