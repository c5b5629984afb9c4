//! What came of asking for one credential.

/// What came of asking for one credential.
#[derive(Debug)]
pub(crate) enum Outcome<H> {
    /// It is there.
    Issued(H),
    /// The server was not reached: the matter stays open.
    Unreached(String),
    /// The server refused, or answered something unusable.
    Refused(String),
}

/// An outcome for each order of a batch.
pub(crate) type Outcomes<O, H> = Vec<(O, Outcome<H>)>;

/// Returns the same outcome for each.
pub(crate) fn all<O, H>(orders: Vec<O>, reason: &str, outcome: fn(String) -> Outcome<H>) -> Outcomes<O, H> {
    orders.into_iter().map(|order| (order, outcome(reason.to_owned()))).collect()
}
