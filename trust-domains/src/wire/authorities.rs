//! Authorities: what an operator sees of them, and what he orders.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `GET /v1/admin/authorities` | - | [`Page`](super::admin::Page) of [`AuthorityView`], all at once |
//! | `POST /v1/admin/authorities/prepare` | [`PrepareRequest`] | [`AuthorityView`] of the new one |
//! | `POST /v1/admin/authorities/{id}/activate` | [`Because`] | [`AuthorityView`]: it signs as soon as everybody who is waited for knows it |
//! | `POST /v1/admin/authorities/{id}/taint` | [`Because`] | [`OrderAnswer`] |
//! | `POST /v1/admin/authorities/{id}/revoke` | [`Because`] | [`OrderAnswer`] |
//! | `POST /v1/admin/authorities/replace` | [`ReplaceRequest`] | [`ReplacementView`]; with `dry_run` the steps, and nothing is done |
//! | `GET /v1/admin/authorities/replacements` | - | [`Page`](super::admin::Page) of [`ReplacementView`], the newest first |
//! | `POST /v1/admin/authorities/clock-ok` | [`Because`] | [`ClockAccepted`] |

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::jws::TokenAlgorithm;
use crate::node::NodeName;
use crate::plan::authority::{AuthorityId, AuthorityKind, Phase};
use crate::timestamp::Timestamp;
use crate::trust_domain::TrustDomain;

/// The longest reason that an operator may give: it is kept with the authority and in the journal.
pub const MAX_BECAUSE: usize = 500;

/// An authority as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthorityView {
    /// What it is known by: its key identifier in hex.
    pub id: AuthorityId,
    /// What it signs.
    pub kind: AuthorityKind,
    /// Where it is in its life.
    pub state: Phase,
    /// The subject of its certificate; absent for a token key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The subject key identifier of its certificate, or the `kid` of its tokens, in hex.
    pub key_id: String,
    /// The root that signed it; absent for roots and token keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<AuthorityId>,
    /// What it signs tokens with; absent for CAs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<TokenAlgorithm>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The first second of its validity.
    pub not_before: Timestamp,
    /// The last second of its validity.
    pub not_after: Timestamp,
    /// Why it is in this state; absent where an earlier version moved it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Who has acknowledged it; absent for what travels in the chain, and needs nobody to know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
    /// The partners that need not have fetched it yet: five of their refreshes have not passed since it was published.
    pub partners_behind: Vec<TrustDomain>,
    /// How many unexpired certificates or tokens it has signed, as this server's journal knows; absent where that is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<u64>,
}

/// How many nodes have acknowledged something, and who has not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Acknowledged {
    /// How many nodes with an unexpired SVID have.
    pub nodes: usize,
    /// Some of those that have not, by name.
    pub missing: Vec<NodeName>,
    /// How many have not.
    pub missing_count: usize,
}

/// Makes a successor ahead of its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrepareRequest {
    /// Of which kind.
    pub kind: AuthorityKind,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// Why an operator orders something, for the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// Replaces the authorities of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceRequest {
    /// Of which kind.
    pub kind: AuthorityKind,
    /// Whether their keys may be in other hands: then nothing that they signed is believed in the end, and of an issuing CA its root goes too.
    #[serde(default)]
    pub compromised: bool,
    /// Why, for the record.
    pub because: String,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of an order about one authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderAnswer {
    /// The authority as it is now.
    pub authority: AuthorityView,
    /// What goes on because of it.
    pub replacement: ReplacementView,
}

/// A replacement: what is done, step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplacementView {
    /// What it is known by; absent for one that is only asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Of which kind.
    pub kind: AuthorityKind,
    /// Whether nothing that the old ones signed is believed in the end.
    pub compromised: bool,
    /// The authorities that go.
    pub replaces: Vec<AuthorityId>,
    /// Why it was ordered.
    pub because: String,
    /// When it was ordered; absent for one that is only asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_at: Option<Timestamp>,
    /// The steps, in their order.
    pub steps: Vec<ReplacementStep>,
    /// When it came to its end; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// How it ended, where there is more to say than that all was done: who was left behind, or what took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The partners that show what they hold and still hold what was withdrawn, or were not seen since: over `https_web` they follow at their next refresh, over `https_spiffe` by a new link.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partners_behind: Vec<TrustDomain>,
}

/// One step of a replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplacementStep {
    /// What is done.
    pub what: StepKind,
    /// How far it is.
    pub state: StepState,
    /// The same, as a sentence for people.
    pub text: String,
    /// Some of the nodes that are waited for now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<NodeName>,
    /// How many nodes are waited for now.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiting_for_count: usize,
    /// When it is waited for no longer; absent where nobody is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What a step of a replacement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(rename_all = "snake_case")]
pub enum StepKind {
    /// The successor is made, and published.
    Prepare,
    /// Nodes, and where it is planned those outside, come to know it.
    Acknowledge,
    /// It signs.
    Activate,
    /// An issuing CA under it signs.
    Issuing,
    /// The old ones are tainted: agents ask anew for what they signed.
    Taint,
    /// What the old ones signed is replaced on every connected node.
    Reissue,
    /// The old ones leave the bundle.
    Withdraw,
    /// Every connected node has heard of that; the old ones are revoked.
    Revoked,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(rename_all = "snake_case")]
pub enum StepState {
    /// It is done.
    Done,
    /// It waits for those before it.
    Pending,
    /// It is under way.
    Running,
}

/// The clock is believed as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockAccepted {
    /// What it said.
    pub at: Timestamp,
    /// What had been held until then, as the plan's problem said it; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_replace_is_not_compromised_unless_it_says_so() {
        let request: ReplaceRequest = serde_json::from_str(r#"{"kind":"x509-issuing","because":"drill"}"#).unwrap();
        assert_eq!((request.kind, request.compromised, request.dry_run), (AuthorityKind::X509Issuing, false, false));
        assert!(
            serde_json::from_str::<ReplaceRequest>(r#"{"kind":"x509-issuing"}"#).is_err(),
            "why is asked for"
        );
        assert!(serde_json::from_str::<ReplaceRequest>(r#"{"kind":"rsa","because":"x"}"#).is_err());
    }

    #[test]
    fn a_step_that_waits_for_nobody_says_nothing_of_it() {
        let step = ReplacementStep {
            what: StepKind::Withdraw,
            state: StepState::Pending,
            text: "the old root leaves the bundle".to_owned(),
            waiting_for: Vec::new(),
            waiting_for_count: 0,
            until: None,
        };
        let written = serde_json::to_string(&step).unwrap();
        assert_eq!(written, r#"{"what":"withdraw","state":"pending","text":"the old root leaves the bundle"}"#);
    }
}
