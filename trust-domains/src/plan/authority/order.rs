//! What an operator ordered: a record that the plan carries out, through any crash, until it is done.

use std::fmt;
use std::str::FromStr;

use super::id::AuthorityId;
use super::state::{AuthorityKind, AuthorityState, Phase};
use crate::text::serde_as_text;
use crate::timestamp::Timestamp;

/// The longest identifier of an order.
const MAX_ID_LEN: usize = 64;

/// What an order is known by: lower-case hex.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(String);

impl OrderId {
    /// Returns the identifier made of these octets.
    #[must_use]
    pub fn from_octets(octets: [u8; 8]) -> Self {
        Self(hex::encode(octets))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrderId {
    type Err = ParseOrderIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match text.is_empty() || text.len() > MAX_ID_LEN || !is_hex {
            true => Err(ParseOrderIdError),
            false => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrderId({self})")
    }
}

serde_as_text!(OrderId, "an order's id in lower-case hex");

/// The text is not the identifier of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an order's id: lower-case hex digits, at most {MAX_ID_LEN}")]
pub struct ParseOrderIdError;

/// How far an order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Successors take over, with the waits of a planned change; the old ones stay believed until what they signed has ended.
    Replace,
    /// Of an issuing CA whose revocation list is too long: a successor takes over, what the old one signed is replaced everywhere, and it is revoked, which
    /// one entry on the list of its root says. The root stays: no key is in other hands.
    Relieve,
    /// What the old ones signed is replaced everywhere; they stay in the bundle.
    Taint,
    /// And then they leave the bundle, and are revoked.
    Withdraw,
}

/// An order that is not done yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What it is known by.
    pub id: OrderId,
    /// What it was given for. An order about issuing CAs that are believed no more is about the roots above them.
    pub kind: AuthorityKind,
    /// How far it goes.
    pub extent: Extent,
    /// The authorities that go: settled when it was given, so that a successor is never among them.
    pub replaces: Vec<AuthorityId>,
}

/// The order cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// Another order about the same authorities goes on.
    #[error("order {running} about {kind} authorities goes on")]
    Running {
        /// The one that goes on.
        running: OrderId,
        /// What it is about.
        kind: AuthorityKind,
    },
    /// The authority signs, and nothing would take its place.
    #[error("authority {id} is the {kind} authority that signs")]
    Signs {
        /// Which.
        id: AuthorityId,
        /// What it signs.
        kind: AuthorityKind,
    },
    /// The authority is revoked already.
    #[error("authority {id} is revoked already")]
    Revoked {
        /// Which.
        id: AuthorityId,
    },
    /// There is nothing to replace.
    #[error("there is no {kind} authority to replace")]
    Nothing {
        /// The kind.
        kind: AuthorityKind,
    },
}

impl Order {
    /// Returns the order to replace the authorities of a kind as they are now.
    ///
    /// - [`Extent::Replace`]: those that are active.
    /// - Otherwise all, in any phase but revoked: whoever has one key of a place may have the others. Of issuing CAs the roots above them, since relying
    ///   parties believe each CA under a root of the bundle.
    ///
    /// # Errors
    /// There is nothing to replace.
    pub fn replacing(id: OrderId, kind: AuthorityKind, extent: Extent, authorities: &[AuthorityState], now: Timestamp) -> Result<Self, OrderRefused> {
        let of_kind = || authorities.iter().filter(|authority| authority.kind == kind);
        let mut replaces: Vec<AuthorityId> = match (extent, kind) {
            (Extent::Replace, _) => of_kind()
                .filter(|member| member.phase == Phase::Active)
                .map(|member| member.id.clone())
                .collect(),
            (_, AuthorityKind::X509Issuing) => {
                let believed = of_kind().filter(|member| member.phase != Phase::Revoked && now < member.not_after);
                let above: Vec<_> = believed.filter_map(|member| member.issuer.as_ref()).collect();
                let roots = authorities
                    .iter()
                    .filter(|root| root.kind == AuthorityKind::X509Root && root.phase != Phase::Revoked);
                roots.filter(|root| above.contains(&&root.id)).map(|root| root.id.clone()).collect()
            }
            (_, AuthorityKind::X509Root | AuthorityKind::Jwt | AuthorityKind::Wit) => of_kind()
                .filter(|member| member.phase != Phase::Revoked)
                .map(|member| member.id.clone())
                .collect(),
        };
        replaces.sort_unstable();
        match replaces.is_empty() {
            true => Err(OrderRefused::Nothing { kind }),
            false => Ok(Self { id, kind, extent, replaces }),
        }
    }

    /// Returns the order to taint or revoke one authority.
    ///
    /// One that is prepared has signed nothing and is forgotten. One that is old or tainted goes. An issuing CA that signed takes its root along, and a new
    /// root comes.
    ///
    /// # Errors
    /// It is revoked already, or it signs: a root or a token key is replaced, so that its successor comes first.
    pub fn about(id: OrderId, authority: &AuthorityState, extent: Extent) -> Result<Self, OrderRefused> {
        let kind = authority.kind;
        let order = |extent, about: &AuthorityId| Self {
            id,
            kind,
            extent,
            replaces: vec![about.clone()],
        };
        match (authority.phase, kind, &authority.issuer) {
            (Phase::Revoked, _, _) => Err(OrderRefused::Revoked { id: authority.id.clone() }),
            (Phase::Prepared, _, _) => Ok(order(Extent::Withdraw, &authority.id)),
            (Phase::Active | Phase::Old | Phase::Tainted, AuthorityKind::X509Issuing, Some(root)) => Ok(order(Extent::Withdraw, root)),
            (Phase::Active, _, _) => Err(OrderRefused::Signs {
                id: authority.id.clone(),
                kind,
            }),
            (Phase::Old | Phase::Tainted, _, _) => Ok(order(extent, &authority.id)),
        }
    }

    /// Returns the order to relieve an issuing CA of a revocation list that is too long: its root names it instead.
    ///
    /// # Errors
    /// It is revoked already, or it is no issuing CA.
    pub fn relieving(id: OrderId, full: &AuthorityState) -> Result<Self, OrderRefused> {
        match (full.kind, full.phase) {
            (_, Phase::Revoked) => Err(OrderRefused::Revoked { id: full.id.clone() }),
            (AuthorityKind::X509Issuing, _) => Ok(Self {
                id,
                kind: full.kind,
                extent: Extent::Relieve,
                replaces: vec![full.id.clone()],
            }),
            (AuthorityKind::X509Root | AuthorityKind::Jwt | AuthorityKind::Wit, _) => Err(OrderRefused::Nothing {
                kind: AuthorityKind::X509Issuing,
            }),
        }
    }

    /// Returns whether it is an emergency: it waits for nobody but connected nodes, and not long.
    #[must_use]
    pub fn is_emergency(&self) -> bool {
        self.extent != Extent::Replace
    }

    /// Returns whether the handover of a kind is a part of it: with a root its issuing CAs go.
    #[must_use]
    pub fn concerns(&self, kind: AuthorityKind) -> bool {
        let is_x509 = |kind| matches!(kind, AuthorityKind::X509Root | AuthorityKind::X509Issuing);
        self.kind == kind || (self.line() == AuthorityKind::X509Root && is_x509(kind))
    }

    /// Returns the kind of the authorities that go.
    #[must_use]
    pub fn line(&self) -> AuthorityKind {
        match self.kind {
            AuthorityKind::X509Issuing if matches!(self.extent, Extent::Taint | Extent::Withdraw) => AuthorityKind::X509Root,
            kind => kind,
        }
    }

    /// Judges an order against one that goes on.
    ///
    /// # Errors
    /// That one is about the same authorities. An emergency does not wait for a planned change, nor for a list that is too long: it takes its place. What a
    /// list that is too long asks for goes on beside a planned change, which an operator ordered.
    pub fn judge_beside(&self, running: &Self) -> Result<Beside, OrderRefused> {
        let meet = self.concerns(running.kind) || running.concerns(self.kind);
        match (meet, self.extent, running.extent) {
            (false, _, _) | (true, Extent::Relieve, Extent::Replace) => Ok(Beside::Both),
            (true, Extent::Taint | Extent::Withdraw, Extent::Replace | Extent::Relieve) => Ok(Beside::Supersedes),
            (true, _, _) => Err(OrderRefused::Running {
                running: running.id.clone(),
                kind: running.kind,
            }),
        }
    }
}

/// How a new order stands to one that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Both go on.
    Both,
    /// The new one takes its place.
    Supersedes,
}
