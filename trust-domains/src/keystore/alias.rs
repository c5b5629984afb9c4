//! Aliases: the names of a store's entries.

use std::collections::BTreeSet;

use super::KeyStoreError;

/// As long as a file name: far under the 65,535 octets that JKS can say.
pub const MAX_ALIAS_CHARACTERS: usize = 255;

/// Checks that both formats can hold an alias, and that Java finds it again.
///
/// A BMPString has the Basic Multilingual Plane and no more (X.680 section 41.15), and within it Java's modified UTF-8 is UTF-8 but for NUL.
pub(super) fn check(alias: &str) -> Result<(), KeyStoreError> {
    let length = alias.chars().count();
    let is_held = |character: char| !character.is_control() && u32::from(character) <= 0xffff;
    if (1..=MAX_ALIAS_CHARACTERS).contains(&length) && alias.chars().all(is_held) {
        return Ok(());
    }
    Err(KeyStoreError::AliasUnacceptable {
        alias: alias.chars().take(32).collect(),
    })
}

/// Checks all aliases of a store; no two may be the same to Java, which knows them in small letters.
pub(super) fn check_all<'a>(aliases: impl Iterator<Item = &'a str>) -> Result<(), KeyStoreError> {
    let mut seen = BTreeSet::new();
    for alias in aliases {
        check(alias)?;
        if !seen.insert(alias.to_lowercase()) {
            return Err(KeyStoreError::AliasTwice { alias: alias.to_owned() });
        }
    }
    Ok(())
}
