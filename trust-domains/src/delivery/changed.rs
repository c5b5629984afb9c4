//! Which parts of a set are new, for whoever is told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::file_name::FileName;
use super::set_file::SetFile;

/// A part of what is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The X509-SVID: certificate, issuers and key.
    Svid,
    /// The bundle of the own trust domain, or of a partner.
    Bundle,
    /// Revocation lists.
    Crl,
    /// JWT-SVIDs.
    Token,
}

impl Part {
    /// Every part, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::Svid, Self::Bundle, Self::Crl, Self::Token];

    /// Returns its word, as commands and requests of hooks are told it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Svid => "svid",
            Self::Bundle => "bundle",
            Self::Crl => "crl",
            Self::Token => "token",
        }
    }

    /// Returns the part that a file of a set is of, by its name: those that [`compose`](super::compose) writes.
    #[must_use]
    pub fn of(name: &FileName) -> Self {
        match (name.folder(), name.as_str()) {
            (Some("jwt"), _) => Self::Token,
            (Some("crl"), _) => Self::Crl,
            (_, text) if text == "crl.pem" || text.ends_with(".crl") => Self::Crl,
            (Some("chain"), _) => Self::Svid,
            (None, text) if text.starts_with("svid") || text.starts_with("keystore") => Self::Svid,
            _ => Self::Bundle,
        }
    }
}

/// The parts of a set that the one before had not so. Its text is their words: `svid,bundle`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed(BTreeSet<Part>);

impl Changed {
    /// Compares two sets of files that are the same where the credentials are: such as have no key stores, in which salts are by chance.
    #[must_use]
    pub fn between(before: &[SetFile], after: &[SetFile]) -> Self {
        let by_name = |set| -> BTreeMap<_, _> { <[SetFile]>::iter(set).map(|file| (&file.name, file)).collect() };
        let (before, after) = (by_name(before), by_name(after));
        let names = before.keys().chain(after.keys());
        names.filter(|name| before.get(*name) != after.get(*name)).map(|name| Part::of(name)).collect()
    }

    /// Returns whether nothing did.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether something did, and nothing but these.
    #[must_use]
    pub fn is_only(&self, parts: &[Part]) -> bool {
        !self.is_empty() && self.0.iter().all(|part| parts.contains(part))
    }

    /// Returns the parts.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        self.0.iter().copied()
    }
}

impl FromIterator<Part> for Changed {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl Extend<Part> for Changed {
    fn extend<I: IntoIterator<Item = Part>>(&mut self, parts: I) {
        self.0.extend(parts);
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, part) in self.parts().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{}", part.word())?;
        }
        Ok(())
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
    fn each_file_is_of_the_part_that_it_holds() {
        for (part, names) in [
            (
                Part::Svid,
                &[
                    "svid.pem",
                    "svid_key.pem",
                    "svid_combined.pem",
                    "chain/1.der",
                    "keystore.p12",
                    "keystore.password",
                ][..],
            ),
            (
                Part::Bundle,
                &[
                    "bundle.pem",
                    "bundle/0.der",
                    "bundle.json",
                    "jwks.json",
                    "truststore.jks",
                    "federated/svid.example.pem",
                ],
            ),
            (Part::Crl, &["crl.pem", "crl/0.der", "federated/partner.example.crl"]),
            (Part::Token, &["jwt/vault.token"]),
        ] {
            for name in names {
                assert_eq!(Part::of(&name.parse().unwrap()), part, "{name}");
            }
        }
    }

    #[test]
    fn what_is_new_gone_or_other_has_changed_and_is_told_in_one_order() {
        let before = set(&[("svid.pem", "1"), ("bundle.pem", "r"), ("crl.pem", "x"), ("jwt/vault.token", "a")]);
        assert!(Changed::between(&before, &before).is_empty());
        assert_eq!(Changed::between(&[], &before).to_string(), "svid,bundle,crl,token");
        let without_list = set(&[("bundle.pem", "r"), ("svid.pem", "2"), ("jwt/vault.token", "a")]);
        let changed = Changed::between(&before, &without_list);
        assert_eq!(changed.to_string(), "svid,crl");
        assert!(changed.is_only(&[Part::Crl, Part::Svid]) && !changed.is_only(&[Part::Crl]) && !Changed::default().is_only(&[Part::Crl]));
    }
}
