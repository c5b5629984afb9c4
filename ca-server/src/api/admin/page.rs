//! Parts of lists.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::admin::MAX_PAGE;

use crate::registry::ListPosition;

/// A part of a list that cannot be given.
#[derive(Debug, Error)]
pub(super) enum PageRefused {
    /// The place to go on from is none that this server gave.
    #[error("after={after:?} is not what an earlier page said")]
    After {
        /// What was asked.
        after: String,
    },
    /// The length is out of bounds.
    #[error("limit={actual} is not from 1 to {limit}")]
    Limit {
        /// The longest page.
        limit: usize,
        /// What was asked.
        actual: usize,
    },
}

impl Coded for PageRefused {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }

    fn hint(&self) -> String {
        match self {
            Self::After { .. } => "start the list again, without after".to_owned(),
            Self::Limit { limit, .. } => format!("ask for pages of 1 to {limit} items"),
        }
    }
}

/// Returns the length of a page.
pub(super) fn length(asked: Option<usize>) -> Result<usize, PageRefused> {
    match asked {
        None => Ok(MAX_PAGE),
        Some(asked) if (1..=MAX_PAGE).contains(&asked) => Ok(asked),
        Some(actual) => Err(PageRefused::Limit { limit: MAX_PAGE, actual }),
    }
}

/// Reads a name that an earlier page ended with.
pub(super) fn after<T: std::str::FromStr>(text: Option<String>) -> Result<Option<T>, PageRefused> {
    text.map(|text| text.parse().map_err(|_| PageRefused::After { after: text })).transpose()
}

/// Returns the token of a place in the list of entries. The place is a value and no pointer: an entry deleted between two pages loses nothing.
pub(super) fn token_of(position: &ListPosition) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", position.id, position.spiffe_id))
}

/// Reads such a token.
pub(super) fn position_of(token: &str) -> Result<ListPosition, PageRefused> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let (id, spiffe_id) = text.split_once(' ')?;
        Some(ListPosition {
            spiffe_id: spiffe_id.parse().ok()?,
            id: id.parse().ok()?,
        })
    };
    read().ok_or_else(|| PageRefused::After { after: token.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_one_to_a_thousand_items() {
        assert_eq!(length(None).unwrap(), 1_000);
        for (asked, accepted) in [(0, false), (1, true), (1_000, true), (1_001, false), (usize::MAX, false)] {
            assert_eq!(length(Some(asked)).is_ok(), accepted, "{asked}");
        }
    }

    #[test]
    fn a_place_reads_back_from_its_token_and_nothing_else_does() {
        let position = ListPosition {
            spiffe_id: "spiffe://example.org/web".parse().unwrap(),
            id: "e-1".parse().unwrap(),
        };
        assert_eq!(position_of(&token_of(&position)).unwrap(), position);
        for wrong in [
            "",
            "e-1",
            "!!",
            &URL_SAFE_NO_PAD.encode("e-1"),
            &URL_SAFE_NO_PAD.encode("e-1 /web"),
            &URL_SAFE_NO_PAD.encode([0xff]),
        ] {
            assert!(position_of(wrong).is_err(), "{wrong}");
        }
    }
}
