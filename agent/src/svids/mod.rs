//! What the agent holds for its workloads: entries, keys, SVIDs and bundles, and the loop that keeps them fresh.
//!
//! Who needs an identity subscribes and gets whole values; nobody else sees how they are obtained.

mod batch;
mod cache;
mod index;
mod issuing;
mod lists;
mod partner_facts;
pub(crate) mod partner_lists;
mod partners;
mod pem;
mod recency;
mod saved;
mod settlement;
mod slot;
mod state;
mod subscription;
mod taint;
mod term;
mod view;
mod views;

pub use cache::{EntryReport, SinkTicket, SvidCache};
pub use lists::RevocationLists;
pub use subscription::Subscription;
pub use view::{IdentityView, IssuedSvid, Unserved, WantedFacts};

pub(crate) use issuing::Issuing;
pub(crate) use partners::Federated;
pub(crate) use recency::Recency;
pub(crate) use saved::{LastSeen, SavedUnreadable, Saver, last_seen, load};
pub(crate) use state::{Removed, Update};
pub(crate) use taint::Replacer;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
