//! The selectors that the unix attestor proves: `unix:KEY:VALUE`.

use super::{ParseSelectorError, Selector};

/// What the unix attestor can prove about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnixKey {
    /// The effective group id of the caller.
    Gid,
    /// The name of that group.
    Group,
    /// The path of the executable, in the agent's mount namespace.
    Path,
    /// The SHA-256 of the executable.
    Sha256,
    /// One of the supplementary group ids.
    SupplementaryGid,
    /// The effective user id of the caller.
    Uid,
    /// The name of that user.
    User,
}

impl UnixKey {
    /// The kind of these selectors.
    pub const KIND: &'static str = "unix";

    /// Every key.
    pub const ALL: [Self; 7] = [Self::Gid, Self::Group, Self::Path, Self::Sha256, Self::SupplementaryGid, Self::Uid, Self::User];

    /// Returns the word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gid => "gid",
            Self::Group => "group",
            Self::Path => "path",
            Self::Sha256 => "sha256",
            Self::SupplementaryGid => "supplementary_gid",
            Self::Uid => "uid",
            Self::User => "user",
        }
    }

    /// Returns the key and the value behind it of a unix selector with a known key.
    #[must_use]
    pub fn of(selector: &Selector) -> Option<(Self, &str)> {
        if selector.kind() != Self::KIND {
            return None;
        }
        let (word, value) = selector.value().split_once(':')?;
        let key = Self::ALL.into_iter().find(|key| key.as_str() == word)?;
        Some((key, value))
    }

    /// Returns the selector of a value that was proved.
    ///
    /// # Errors
    /// The value is empty, too long or not printable: a path can be all of these.
    pub fn selector(self, value: impl std::fmt::Display) -> Result<Selector, ParseSelectorError> {
        Selector::new(Self::KIND, &format!("{}:{value}", self.as_str()))
    }

    /// Returns whether the attestor could ever prove this value: selectors match octet by octet, so there is one way to write each fact.
    #[must_use]
    pub fn may_be(self, value: &str) -> bool {
        match self {
            Self::Gid | Self::SupplementaryGid | Self::Uid => value.parse::<u32>().is_ok_and(|id| id.to_string() == value),
            Self::Group | Self::User => !value.is_empty() && !value.contains([':', '/']) && !value.contains(char::is_whitespace),
            Self::Path => is_plain_absolute(value),
            Self::Sha256 => value.len() == 64 && value.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f')),
        }
    }

    /// Says how a value is written.
    #[must_use]
    pub const fn form(self) -> &'static str {
        match self {
            Self::Gid | Self::SupplementaryGid => "a group id in decimal digits, like 1000",
            Self::Group => "a group's name",
            Self::Path => "an absolute path without \".\", \"..\" and \"//\", like /usr/bin/web",
            Self::Sha256 => "64 lower-case hex digits",
            Self::Uid => "a user id in decimal digits, like 1000",
            Self::User => "a user's name",
        }
    }

    /// Returns whether the fact says whose process it is. A path or a hash does not: anybody may start that program.
    #[must_use]
    pub const fn tells_whose(self) -> bool {
        !matches!(self, Self::Path | Self::Sha256)
    }
}

fn is_plain_absolute(path: &str) -> bool {
    path.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(|segment| !matches!(segment, "" | "." | "..")))
}

impl std::fmt::Display for UnixKey {
    /// Shows the key with its kind, as `unix:uid`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", Self::KIND, self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_written_in_one_way_only() {
        let table = [
            ("unix:uid:0", true),
            ("unix:uid:4294967295", true),
            ("unix:uid:4294967296", false),
            ("unix:uid:007", false),
            ("unix:uid:+7", false),
            ("unix:uid:-1", false),
            ("unix:uid:root", false),
            ("unix:gid:100", true),
            ("unix:supplementary_gid:27", true),
            ("unix:user:www-data", true),
            ("unix:user:a b", false),
            ("unix:group:adm", true),
            ("unix:group:a/b", false),
            ("unix:path:/usr/bin/x", true),
            ("unix:path:/usr/bin/with space", true),
            ("unix:path:/", false),
            ("unix:path:usr/bin/x", false),
            ("unix:path:/usr//bin", false),
            ("unix:path:/usr/../bin/x", false),
            ("unix:path:/usr/bin/", false),
            ("unix:sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", true),
            ("unix:sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855", false),
            ("unix:sha256:e3b0", false),
        ];
        for (text, expected) in table {
            let selector: Selector = text.parse().unwrap();
            let (key, value) = UnixKey::of(&selector).unwrap();
            assert_eq!(key.may_be(value), expected, "{text}");
            assert_eq!(key.selector(value).unwrap(), selector, "{text}");
        }
    }

    #[test]
    fn other_kinds_and_keys_are_no_unix_facts() {
        for text in ["docker:uid:0", "unix:uuid:0", "unix:uid", "unix:UID:0"] {
            assert_eq!(UnixKey::of(&text.parse().unwrap()), None, "{text}");
        }
    }
}
