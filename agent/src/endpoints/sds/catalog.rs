//! What one process may have at one moment: names, and a version for the contents behind each.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

/// The octets of a version: two contents of one name do not share 128 bits of a hash by chance.
const VERSION_OCTETS: usize = 16;

/// A name for contents: the same contents have the same version, on every stream and after every restart.
///
/// It is made from public parts alone. A certificate stands for its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(Arc<str>);

impl Version {
    /// Returns the version of contents in parts; where one ends and the next begins counts.
    pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Context::new(&SHA256);
        for part in parts {
            hash.update(&part.len().to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finish();
        Self(hex::encode(digest.as_ref().get(..VERSION_OCTETS).unwrap_or_default()).into())
    }

    /// Returns the version of several resources together: other names, or another version of one, make another.
    pub(super) fn of_all<'a>(resources: impl IntoIterator<Item = (&'a str, &'a Self)>) -> Self {
        Self::of(resources.into_iter().flat_map(|(name, version)| [name.as_bytes(), version.0.as_bytes()]))
    }

    /// Takes a version that a client says it has; one that was never given out equals none. Of a longer text than any version no more is kept than shows
    /// that.
    pub(super) fn claimed(text: &str) -> Self {
        Self(text.chars().take(2 * VERSION_OCTETS + 1).collect::<String>().into())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who is sent a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// Who asks for it by its name: it is another resource under a second name.
    OnRequest,
    /// Also who asks for everything.
    ToAll,
}

/// The names that a process is entitled to.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalog(BTreeMap<String, (Version, Sent)>);

impl Catalog {
    /// Adds a resource, unless the name is taken. Returns whether it was added.
    pub(super) fn add(&mut self, name: &str, version: Version, sent: Sent) -> bool {
        let free = !self.0.contains_key(name);
        if free {
            self.0.insert(name.to_owned(), (version, sent));
        }
        free
    }

    /// Returns the version of what has this name.
    pub(super) fn version(&self, name: &str) -> Option<&Version> {
        self.0.get(name).map(|(version, _)| version)
    }

    /// Returns whether who asks for everything is sent what has this name.
    pub(super) fn is_sent_to_all(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|(_, sent)| *sent == Sent::ToAll)
    }

    /// Returns every name with its version.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Version)> {
        self.0.iter().map(|(name, (version, _))| (name.as_str(), version))
    }
}

/// Returns the catalog of these resources, and of `default`, which is sent on request only: what tests of both kinds of streams tell.
#[cfg(test)]
pub(super) fn catalog(resources: &[(&str, &str)]) -> Catalog {
    let mut catalog = Catalog::default();
    for (name, version) in resources {
        catalog.add(name, Version::claimed(version), Sent::ToAll);
    }
    catalog.add("default", Version::claimed("d"), Sent::OnRequest);
    catalog
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_of_the_contents_and_of_where_they_are_parted() {
        let version = |parts: &[&[u8]]| Version::of(parts.iter().copied());
        assert_eq!(version(&[b"leaf", b"issuer"]), version(&[b"leaf", b"issuer"]));
        assert_eq!(version(&[b"leaf"]).to_string().len(), 2 * VERSION_OCTETS);
        for other in [
            &[&b"leafi"[..], b"ssuer"][..],
            &[b"issuer", b"leaf"],
            &[b"leafissuer"],
            &[b"leaf", b"issuer", b""],
        ] {
            assert_ne!(version(other), version(&[b"leaf", b"issuer"]), "{other:?}");
        }
    }

    #[test]
    fn the_version_of_all_tells_names_and_versions_apart() {
        let (one, two) = (Version::claimed("1"), Version::claimed("2"));
        let both = Version::of_all([("a", &one), ("b", &two)]);
        for other in [vec![("a", &two), ("b", &one)], vec![("a", &one)], vec![("c", &one), ("b", &two)]] {
            assert_ne!(Version::of_all(other), both);
        }
    }
}
