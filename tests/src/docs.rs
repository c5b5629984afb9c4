//! Configurations of the pages in `docs`, word for word.

use std::path::Path;

/// Returns a page under `docs`.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn text(page: &str) -> String {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).join(page);
    std::fs::read_to_string(path).expect("the page")
}

/// Returns the block of this language whose first line, a comment, names it so, of a page under `docs`.
///
/// # Panics
///
/// When the page has none.
#[must_use]
pub fn block(page: &str, language: &str, name: &str) -> String {
    let text = text(page);
    let comment = if ["java", "js"].contains(&language) { "//" } else { "#" };
    let start = format!("```{language}\n{comment} {name}\n");
    let block = text.split(&start).nth(1).unwrap_or_else(|| panic!("{page} has no {name}"));
    block.split("```").next().unwrap_or_default().to_owned()
}

/// Puts other texts in place of some, each of which must be there.
///
/// # Panics
///
/// When one is not.
#[must_use]
pub fn replaced(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(text.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old:?} is not in the configuration");
        text.replace(old, new)
    })
}
