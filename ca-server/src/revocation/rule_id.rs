//! The names of rules.

use platform::random::{RandomError, array};
use trust_domains::Timestamp;
use trust_domains::node::NodeName;

use crate::store::RecordName;

/// Returns the name of a new rule: they sort by the moment of their making.
#[expect(clippy::expect_used, reason = "hex digits are a record name")]
pub(crate) fn rule_id(now: Timestamp) -> Result<RecordName, RandomError> {
    let random: [u8; 8] = array()?;
    let moment = u64::try_from(now.unix()).unwrap_or_default();
    Ok(RecordName::new(&format!("{moment:010x}{}", hex::encode(random))).expect("hex digits"))
}

/// Returns the name of the rule of a node that is banned or was evicted: a node has one, which the next ban takes over.
#[expect(
    clippy::expect_used,
    reason = "the characters of a node's name are those of a record's, and there are at most 64"
)]
pub(super) fn rule_of_node(node: &NodeName) -> RecordName {
    RecordName::new(&format!("node-{node}")).expect("a node's name")
}
