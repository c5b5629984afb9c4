//! What a set of files that has something new is to a program.

use trust_domains::delivery::{Changed, Part};
use trust_domains::plan::supervising::Change;

/// Returns what a set brings that has these parts new; nothing if it has none.
pub(super) fn change(changed: &Changed) -> Option<Change> {
    if changed.is_empty() {
        None
    } else if changed.is_only(&[Part::Token]) {
        Some(Change::Tokens)
    } else if changed.is_only(&[Part::Crl, Part::Token]) {
        Some(Change::Lists)
    } else {
        Some(Change::Credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_decides_whether_a_program_is_told() {
        let of = |parts: &[Part]| change(&parts.iter().copied().collect());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[Part::Token]), Some(Change::Tokens));
        assert_eq!(of(&[Part::Crl]), Some(Change::Lists));
        assert_eq!(of(&[Part::Crl, Part::Token]), Some(Change::Lists));
        assert_eq!(of(&[Part::Bundle]), Some(Change::Credentials));
        assert_eq!(of(&[Part::Svid, Part::Crl]), Some(Change::Credentials));
    }
}
