//! The selectors of an entry: of processes, or of nodes where the entry is their alias.

use super::{EntryRefused, EntrySpec};
use crate::selector::{Selector, SelectorSet, UnixKey, X509PopKey};

pub(super) fn parse_selectors(texts: &[String]) -> Result<SelectorSet, EntryRefused> {
    check_count(texts.len())?;
    let parse = |text: &String| {
        text.parse::<Selector>()
            .map_err(|reason| EntryRefused::Selector { text: beginning(text), reason })
    };
    texts.iter().map(parse).collect()
}

fn check_count(actual: usize) -> Result<(), EntryRefused> {
    match actual {
        0 => Err(EntryRefused::NoSelectors),
        _ if actual > EntrySpec::MAX_SELECTORS => Err(EntryRefused::TooManySelectors {
            limit: EntrySpec::MAX_SELECTORS,
            actual,
        }),
        _ => Ok(()),
    }
}

pub(super) fn check_selectors(selectors: &SelectorSet) -> Result<(), EntryRefused> {
    check_count(selectors.len())?;
    selectors.iter().try_for_each(check_selector)
}

/// Checks that an attestor of processes can prove a selector: with any other no process is ever found.
///
/// # Errors
/// Its key is not known, or the value cannot be one of that key.
pub fn check_selector(selector: &Selector) -> Result<(), EntryRefused> {
    match UnixKey::of(selector) {
        None => Err(EntryRefused::UnknownSelector {
            text: beginning(selector.as_str()),
            nearest: nearest(selector),
        }),
        Some((key, value)) if !key.may_be(value) => Err(EntryRefused::SelectorValue {
            text: beginning(selector.as_str()),
            key: key.into(),
        }),
        Some(_) => Ok(()),
    }
}

/// Checks the selectors of a node alias: facts that an attestor of nodes proves.
pub(super) fn check_node_selectors(selectors: &SelectorSet) -> Result<(), EntryRefused> {
    check_count(selectors.len())?;
    for selector in selectors {
        let text = || beginning(selector.as_str());
        match X509PopKey::of(selector) {
            None => return Err(EntryRefused::UnknownNodeSelector { text: text() }),
            Some((key, value)) if !key.may_be(value) => return Err(EntryRefused::SelectorValue { text: text(), key: key.into() }),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Returns the key that was perhaps meant by `unx:uid:0`, `unix:uuid:0` or `uid:0`.
fn nearest(selector: &Selector) -> Option<UnixKey> {
    /// Two slips of the finger; with more, every short word is near every other.
    const FARTHEST: usize = 2;
    let first = selector.kind();
    let second = selector.value().split(':').next().unwrap_or_default();
    let both = format!("{first}:{second}");
    let distance = |key: &UnixKey| {
        let whole = strsim::levenshtein(&both, &key.to_string());
        // A kind that is right is not a key that was written without it.
        if first == UnixKey::KIND {
            whole
        } else {
            whole.min(strsim::levenshtein(first, key.as_str()))
        }
    };
    let (key, slips) = UnixKey::ALL.into_iter().map(|key| (key, distance(&key))).min_by_key(|(_, slips)| *slips)?;
    (slips <= FARTHEST).then_some(key)
}

/// Returns enough of a text to find it again.
fn beginning(text: &str) -> String {
    const SHOWN: usize = 80;
    text.chars().take(SHOWN).collect()
}
