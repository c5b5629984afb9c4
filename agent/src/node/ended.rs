//! How the life of a node in its trust domain ends against its will.

use trust_domains::SpiffeId;
use trust_domains::problem::{Code, Coded};

use super::bootstrap::JoinError;

/// This node is no member of its trust domain, and will not be one without an operator.
#[derive(Debug, thiserror::Error)]
pub enum MembershipEnded {
    /// The server has banned the node.
    #[error("the server has banned this node, {spiffe_id}; everything that it delivered is withdrawn")]
    Banned {
        /// Who the node was.
        spiffe_id: SpiffeId,
    },
    /// The server has forgotten the node, and there is no join link that works.
    #[error("this node, {spiffe_id}, was evicted; everything that it delivered is withdrawn")]
    Evicted {
        /// Who the node was.
        spiffe_id: SpiffeId,
    },
    /// It never became one.
    #[error("this node could not join")]
    Join(#[from] JoinError),
    /// The node's SVID was revoked, and there is no join link that works.
    #[error("the SVID of this node, {spiffe_id}, was revoked; everything that it delivered is withdrawn")]
    Revoked {
        /// Who the node was.
        spiffe_id: SpiffeId,
    },
}

impl Coded for MembershipEnded {
    fn code(&self) -> Code {
        match self {
            Self::Banned { .. } => Code::NodeBanned,
            Self::Evicted { .. } => Code::NodeUnknown,
            Self::Join(error) => error.code(),
            Self::Revoked { .. } => Code::NodeRevoked,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Banned { spiffe_id } => {
                let name = name(spiffe_id);
                format!(
                    "to lift the ban, on the server: troth node evict {name}; then troth token create --node-id {name}, and here troth agent run --join LINK"
                )
            }
            Self::Evicted { spiffe_id } | Self::Revoked { spiffe_id } => {
                let name = name(spiffe_id);
                format!("to let it join again, on the server: troth token create --node-id {name}; then here troth agent run --join LINK")
            }
            Self::Join(error) => error.hint(),
        }
    }
}

/// Returns the name by which operators call the node: the last part of its ID.
pub(super) fn name(spiffe_id: &SpiffeId) -> &str {
    spiffe_id.path().rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_banned_or_evicted_is_told_the_next_commands_by_name() {
        let spiffe_id: SpiffeId = "spiffe://td.example/troth/agent/join_token/web-1".parse().unwrap();
        let banned = MembershipEnded::Banned { spiffe_id: spiffe_id.clone() };
        let revoked = MembershipEnded::Revoked { spiffe_id: spiffe_id.clone() };
        let evicted = MembershipEnded::Evicted { spiffe_id };
        assert_eq!((banned.code(), evicted.code()), (Code::NodeBanned, Code::NodeUnknown));
        assert!(banned.hint().contains("troth node evict web-1;"), "{}", banned.hint());
        assert_eq!(revoked.code(), Code::NodeRevoked);
        for ended in [banned, evicted, revoked] {
            assert!(ended.hint().contains("troth token create --node-id web-1"), "{}", ended.hint());
            assert_eq!(ended.code().facts().exit, 1);
        }
    }
}
