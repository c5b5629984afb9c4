//! What a refusal by the server means for this node's identity.

use trust_domains::problem::{Code, Problem};

/// What a refusal means for the identity that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The node is banned: no join link overrides that.
    Banned,
    /// The identity ended, or is not known to a server that was restored, and is not renewed any more: a join link may be used. It was not taken from the node.
    Expired,
    /// The server forgot the node, for good: a join link may be used.
    Gone,
    /// It says nothing about the identity: try again.
    Passing,
    /// The identity is good for one thing only: to be renewed, now.
    Renew,
    /// The identity was revoked: a join link may be used.
    Revoked,
}

impl Verdict {
    /// Returns what a code says about the identity with which the call was made.
    #[must_use]
    pub fn of(code: Code) -> Self {
        match code {
            Code::NodeBanned => Self::Banned,
            Code::NodeExpired | Code::NodeNotRestored => Self::Expired,
            Code::NodeIssuerTainted | Code::NodeRecordOutdated => Self::Renew,
            Code::NodeNotFound | Code::NodeUnknown => Self::Gone,
            Code::NodeRevoked => Self::Revoked,
            _ => Self::Passing,
        }
    }

    /// Returns whether the server has no further use for the identity.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Banned | Self::Expired | Self::Gone | Self::Revoked)
    }

    /// Returns what a code says about an identity that had ended when it was presented: if its proof is not accepted, it never will be.
    #[must_use]
    pub fn of_late_renewal(code: Code) -> Self {
        if code == Code::AttestationRefused { Self::Expired } else { Self::of(code) }
    }
}

/// The server refused this node's identity.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// One of those that [`Verdict::is_final`] for the identity.
    pub verdict: Verdict,
    /// What the server said.
    pub problem: Problem,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_of_the_identity_itself_end_it_or_renew_it() {
        for code in Code::ALL {
            let expected = match code.word() {
                "node_banned" => Verdict::Banned,
                "node_expired" | "node_not_restored" => Verdict::Expired,
                "node_issuer_tainted" | "node_record_outdated" => Verdict::Renew,
                "node_not_found" | "node_unknown" => Verdict::Gone,
                "node_revoked" => Verdict::Revoked,
                _ => Verdict::Passing,
            };
            assert_eq!(Verdict::of(*code), expected, "{code}");
        }
    }
}
