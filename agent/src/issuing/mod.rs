//! How credentials of every kind are obtained: a loop asks the rotation plan what is due, asks the server for it one batch at a time, and puts what came of it in
//! place. X509-SVIDs, JWT-SVIDs and WIT-SVIDs differ in what they ask for and how they check the answer; that is theirs.

mod answers;
mod events;
mod outcome;
mod rotation;
mod upstream;

pub(crate) use answers::judged;
pub(crate) use events::{after_each_change, whenever_back, whenever_tainted};
pub(crate) use outcome::{Outcome, Outcomes, all};
pub(crate) use rotation::{Credentials, Due, keep_fresh};
pub(crate) use upstream::{Server, Upstream};
