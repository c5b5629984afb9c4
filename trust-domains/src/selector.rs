//! Selectors: proven facts about a process or a node, as `type:value`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::problem::{Code, Coded};
use crate::text::serde_as_text;

mod set;
mod unix;
mod x509pop;

pub use set::SelectorSet;
pub use unix::UnixKey;
pub use x509pop::X509PopKey;

/// A selector: always `KIND:VALUE`, a kind of `a-z 0-9 _` and a value of 1 to 1,024 bytes of printable text.
///
/// The first colon splits, so a value may have colons: `unix:path:/usr/bin/x` is kind `unix`, value `path:/usr/bin/x`. Selectors match octet by octet.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector(Arc<str>);

impl Selector {
    /// The longest kind in bytes: no attestor's name comes near it.
    pub const MAX_KIND_LEN: usize = 64;

    /// The longest value in bytes: a path that long is no sensible identity, and a thousand selectors stay under 1 MiB.
    pub const MAX_VALUE_LEN: usize = 1024;

    /// Returns the selector of a kind and a value.
    ///
    /// # Errors
    /// Names the rule that the kind or the value breaks.
    pub fn new(kind: &str, value: &str) -> Result<Self, ParseSelectorError> {
        check_kind(kind)?;
        check_value(value)?;
        Ok(Self(format!("{kind}:{value}").into()))
    }

    /// Returns what proves the fact, as `unix`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.split().0
    }

    /// Returns the fact, as `uid:1000`.
    #[must_use]
    pub fn value(&self) -> &str {
        self.split().1
    }

    /// Returns the whole selector as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once(':').unwrap_or((&self.0, ""))
    }
}

fn check_kind(kind: &str) -> Result<(), ParseSelectorError> {
    let allowed = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'_');
    if kind.is_empty() || kind.len() > Selector::MAX_KIND_LEN || !kind.bytes().all(allowed) {
        return Err(ParseSelectorError::BadKind { limit: Selector::MAX_KIND_LEN });
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), ParseSelectorError> {
    if value.is_empty() {
        return Err(ParseSelectorError::EmptyValue);
    }
    if value.len() > Selector::MAX_VALUE_LEN {
        return Err(ParseSelectorError::ValueTooLong {
            limit: Selector::MAX_VALUE_LEN,
            actual: value.len(),
        });
    }
    match value.chars().any(char::is_control) {
        true => Err(ParseSelectorError::NotPrintable),
        false => Ok(()),
    }
}

impl FromStr for Selector {
    type Err = ParseSelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, value) = text.split_once(':').ok_or(ParseSelectorError::NoColon)?;
        check_kind(kind)?;
        check_value(value)?;
        Ok(Self(text.into()))
    }
}

impl AsRef<str> for Selector {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Selector {
    /// Shows the kind only: values describe people and machines, and stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Selector({}:..)", self.kind())
    }
}

serde_as_text!(Selector, "a selector, type:value");

/// What a selector of a known kind is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectorKey {
    /// A process, proved by the unix attestor.
    Unix(UnixKey),
    /// A node, proved by the x509pop attestor.
    X509Pop(X509PopKey),
}

impl SelectorKey {
    /// Says how a value is written.
    #[must_use]
    pub const fn form(self) -> &'static str {
        match self {
            Self::Unix(key) => key.form(),
            Self::X509Pop(key) => key.form(),
        }
    }
}

impl From<UnixKey> for SelectorKey {
    fn from(key: UnixKey) -> Self {
        Self::Unix(key)
    }
}

impl From<X509PopKey> for SelectorKey {
    fn from(key: X509PopKey) -> Self {
        Self::X509Pop(key)
    }
}

impl fmt::Display for SelectorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(key) => key.fmt(f),
            Self::X509Pop(key) => key.fmt(f),
        }
    }
}

/// The text is not a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSelectorError {
    /// What stands before the colon is no kind.
    #[error("the type of a selector has 1 to {limit} of a-z, 0-9 and '_'")]
    BadKind {
        /// The most bytes.
        limit: usize,
    },
    /// Nothing stands behind the colon.
    #[error("the value of the selector is empty")]
    EmptyValue,
    /// There is no colon.
    #[error("a selector has the form type:value")]
    NoColon,
    /// A control character.
    #[error("the value of the selector has a control character")]
    NotPrintable,
    /// More bytes than a value may have.
    #[error("the value of the selector has {actual} bytes, more than {limit}")]
    ValueTooLong {
        /// The most bytes.
        limit: usize,
        /// The bytes there are.
        actual: usize,
    },
}

impl Coded for ParseSelectorError {
    fn code(&self) -> Code {
        Code::InvalidSelector
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_colon_splits() {
        let selector: Selector = "unix:path:/usr/bin/x".parse().unwrap();
        assert_eq!((selector.kind(), selector.value()), ("unix", "path:/usr/bin/x"));
        assert_eq!(Selector::new("unix", "path:/usr/bin/x").unwrap(), selector);
    }

    #[test]
    fn texts_that_are_no_selectors_are_refused_with_the_reason() {
        let long_kind = format!("{}:x", "k".repeat(65));
        let long_value = format!("unix:{}", "v".repeat(1025));
        let bad_kind = ParseSelectorError::BadKind { limit: 64 };
        let table = [
            ("", ParseSelectorError::NoColon),
            ("unix", ParseSelectorError::NoColon),
            (":x", bad_kind),
            ("Unix:uid:0", bad_kind),
            (" unix:uid:0", bad_kind),
            ("un-ix:uid:0", bad_kind),
            ("ünix:uid:0", bad_kind),
            (&long_kind, bad_kind),
            ("unix:", ParseSelectorError::EmptyValue),
            ("unix:a\nb", ParseSelectorError::NotPrintable),
            ("unix:a\0", ParseSelectorError::NotPrintable),
            ("unix:\u{9b}31m", ParseSelectorError::NotPrintable),
            (&long_value, ParseSelectorError::ValueTooLong { limit: 1024, actual: 1025 }),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Selector>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn the_longest_selector_is_accepted() {
        let text = format!("{}:{}", "k".repeat(64), "v".repeat(1024));
        assert_eq!(text.parse::<Selector>().unwrap().as_str(), text);
    }

    #[test]
    fn debug_output_leaves_the_value_out() {
        let set: SelectorSet = ["unix:user:alice".parse().unwrap()].into_iter().collect();
        assert_eq!(format!("{set:?}"), "SelectorSet([Selector(unix:..)])");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_comes_back_unchanged(text in any::<String>().prop_union("[a-z_]{0,3}:?\\PC{0,20}")) {
            if let Ok(selector) = text.parse::<Selector>() {
                prop_assert_eq!(selector.to_string(), text);
                prop_assert_eq!(&Selector::new(selector.kind(), selector.value()).unwrap(), &selector);
                let json = serde_json::to_string(&selector).unwrap();
                prop_assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), selector);
            }
        }
    }
}
