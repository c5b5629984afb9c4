//! How much of a message the bundles of partners may take: what a partner publishes may cost that partner's bundle, and never the workload's own.

/// The most octets of partners' bundles and revocation lists in one message: with the rest it stays below the 4 MiB that gRPC clients take unless told otherwise.
pub(super) const ROOM: usize = 2 * 1024 * 1024;

/// Returns the bundles of partners that have room together; where not all have, the largest are left out.
pub(super) fn with_room<T: AsRef<[u8]>>(mut partners: Vec<(String, T)>) -> Vec<(String, T)> {
    partners.sort_by_key(|(_, bundle)| bundle.as_ref().len());
    let mut room = ROOM;
    partners.retain(|(partner, bundle)| match room.checked_sub(bundle.as_ref().len()) {
        Some(left) => {
            room = left;
            true
        }
        None => {
            let octets = bundle.as_ref().len();
            tracing::warn!(%partner, octets, "a partner's bundle is left out of a message: together they are too large");
            false
        }
    });
    partners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_bundles_are_left_out_where_not_all_have_room() {
        let of = |name: &str, octets: usize| (name.to_owned(), "x".repeat(octets));
        let names = |bundles: Vec<(String, String)>| bundles.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(with_room(vec![of("b", 2), of("a", 1)])), ["a", "b"]);
        assert_eq!(names(with_room(vec![of("all", ROOM)])), ["all"]);
        assert_eq!(
            names(with_room(vec![of("huge", ROOM), of("small", 1), of("half", ROOM / 2)])),
            ["small", "half"]
        );
    }
}
