//! An operator's order as the store keeps it, until some newer ones are done.

use serde::{Deserialize, Serialize};
use trust_domains::Timestamp;
use trust_domains::plan::authority::{AuthorityId, AuthorityKind, Extent, Order, OrderId};

use crate::store::{Key, RecordName};

/// The version of the record.
const FORMAT: u32 = 1;

/// How many orders that are done are kept to be shown.
pub(super) const KEPT_DONE: usize = 10;

/// One order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OrderRecord {
    pub(super) format: u32,
    pub(super) id: OrderId,
    pub(super) kind: AuthorityKind,
    pub(super) extent: Extent,
    pub(super) replaces: Vec<AuthorityId>,
    /// Why, in the operator's words.
    pub(super) because: String,
    /// Who gave it.
    pub(super) actor: String,
    pub(super) ordered_at: Timestamp,
    /// When it came to its end; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) finished_at: Option<Timestamp>,
    /// What there is to say about its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<String>,
}

impl OrderRecord {
    pub(super) fn new(order: Order, because: String, actor: String, ordered_at: Timestamp) -> Self {
        let Order { id, kind, extent, replaces } = order;
        Self {
            format: FORMAT,
            id,
            kind,
            extent,
            replaces,
            because,
            actor,
            ordered_at,
            finished_at: None,
            outcome: None,
        }
    }

    /// Returns whether this version knows the form of the record.
    pub(super) fn is_known(&self) -> bool {
        self.format == FORMAT
    }

    /// Returns what the plan sees of it.
    pub(super) fn order(&self) -> Order {
        Order {
            id: self.id.clone(),
            kind: self.kind,
            extent: self.extent,
            replaces: self.replaces.clone(),
        }
    }

    /// Returns the record of the order at its end; what was noted on the way is its outcome where there is nothing else to say.
    pub(super) fn finished(&self, at: Timestamp, outcome: Option<String>) -> Self {
        Self {
            finished_at: Some(at),
            outcome: outcome.or_else(|| self.outcome.clone()),
            ..self.clone()
        }
    }

    /// Returns the record of an order that went on without somebody.
    pub(super) fn noting(&self, outcome: String) -> Self {
        Self {
            outcome: Some(outcome),
            ..self.clone()
        }
    }
}

/// Returns the key of an order in the store.
#[expect(clippy::expect_used, reason = "an order's id is 1 to 64 hex digits, and those are a record name")]
pub(super) fn order_key(id: &OrderId) -> Key {
    Key::order(&RecordName::new(id.as_str()).expect("hex digits are a record name"))
}
