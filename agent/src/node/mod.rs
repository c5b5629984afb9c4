//! Who this node is: how it joins, what it keeps on disk, how it talks to its server and renews itself.

mod admission;
mod bootstrap;
mod call;
mod client;
mod data_key;
mod ended;
mod identity;
mod keeper;
mod key;
mod leave;
mod membership;
mod refusal;
mod renewal;
mod sealed;
mod unknown_roots;

pub use admission::{Admission, AdmissionError, CertificateAdmission, RootsSource};
pub use bootstrap::{JoinError, join};
pub use call::CallError;
pub use client::ServerClient;
pub use ended::MembershipEnded;
pub use identity::{CurrentIdentity, IdentityRefused, IdentityUnreadable, NodeIdentity};
pub use key::{KeyError, KeyPair};
pub use leave::LeaveError;
pub use refusal::{Refusal, Verdict};
pub use renewal::RenewError;
pub use sealed::{Record, SealedError, SealedRecords};

pub(crate) use call::CALL_DEADLINE;
pub(crate) use keeper::IdentityKeeper;
pub(crate) use leave::Leaver;
pub(crate) use membership::{HEALTH_KEY as IDENTITY_HEALTH, Membership, Standing};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
