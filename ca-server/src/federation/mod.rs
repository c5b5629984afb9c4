//! Federation: relationships with other trust domains, and their bundles, fetched each by itself.
//!
//! What is to be fetched is in the store, and the [registry](crate::registry) has it; here is what a process knows beside: when a partner is due, how the last
//! fetch ended, and whom to tell. Whatever a partner does costs that partner's bundle at most: its last good one stays in use, every other partner is fetched
//! on time, and no identity waits for any of it.
//!
//! One loop ([`Federation::run`]) looks every second who is due and starts a task for each; [`fetch`] brings a document, [`plan::fetching`] says when and
//! what is made of it, and the registry's editor keeps it.
//!
//! [`plan::fetching`]: trust_domains::plan::fetching

mod accepting;
mod attempt;
mod beside;
mod changes;
mod error;
pub mod fetch;
mod operating;
mod partner;
mod poller;
mod recorded;
mod remembered;
mod room;
mod views;

pub use error::{FederationRefused, FetchFailed};
pub(crate) use remembered::FetchRecord;
pub use room::{Federation, Room};
