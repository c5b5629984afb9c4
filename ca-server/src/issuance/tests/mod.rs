//! Issuance over a real trust domain: made by `init`, with its store, its journal and a clock moved by hand.

mod order;
mod shapes;
mod wits;
pub(crate) mod world;
