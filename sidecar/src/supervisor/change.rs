//! What a set of files has that the one before had not.

use trust_domains::delivery::SetFile;
use trust_domains::plan::supervising::Change;

use super::tokens::FOLDER;

/// The file of revocation lists.
const CRL: &str = "crl.pem";

/// The end of the files of partners' lists.
const PARTNERS_CRL: &str = ".crl";

/// Returns what a set has that the one before had not; nothing if they are the same.
pub(super) fn change(before: &[SetFile], after: &[SetFile]) -> Option<Change> {
    let without = |set: &[SetFile], is: fn(&SetFile) -> bool| -> Vec<SetFile> { set.iter().filter(|file| !is(file)).cloned().collect() };
    let is_token: fn(&SetFile) -> bool = |file| file.name.folder() == Some(FOLDER);
    let is_light: fn(&SetFile) -> bool = |file| {
        let name = file.name.as_str();
        file.name.folder() == Some(FOLDER) || name == CRL || name.ends_with(PARTNERS_CRL)
    };
    if before == after {
        None
    } else if without(before, is_token) == without(after, is_token) {
        Some(Change::Tokens)
    } else if without(before, is_light) == without(after, is_light) {
        Some(Change::Lists)
    } else {
        Some(Change::Credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(files: &[(&str, &str)]) -> Vec<SetFile> {
        let file = |(name, text): &(&str, &str)| SetFile {
            name: name.parse().unwrap(),
            secret: false,
            content: text.as_bytes().to_vec().into(),
        };
        files.iter().map(file).collect()
    }

    #[test]
    fn what_changed_decides_whether_a_program_is_told() {
        let before = set(&[("svid.pem", "1"), ("jwt/vault.token", "a")]);
        assert_eq!(change(&before, &before), None);
        assert_eq!(change(&before, &set(&[("svid.pem", "1"), ("jwt/vault.token", "b")])), Some(Change::Tokens));
        assert_eq!(
            change(&before, &set(&[("svid.pem", "1"), (CRL, "x"), ("jwt/vault.token", "b")])),
            Some(Change::Lists)
        );
        let of_a_partner = set(&[("svid.pem", "1"), ("federated/td.crl", "x"), ("jwt/vault.token", "a")]);
        assert_eq!(change(&before, &of_a_partner), Some(Change::Lists));
        assert_eq!(change(&before, &set(&[("svid.pem", "2"), (CRL, "x")])), Some(Change::Credentials));
        assert_eq!(change(&[], &before), Some(Change::Credentials));
    }
}
