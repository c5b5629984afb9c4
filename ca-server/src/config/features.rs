//! What a server does only where an operator wants it: standards that are still incubating.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The features that are switched on; as text their names, separated by commas. None by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// WIT-SVIDs (`wit`).
    pub wit: bool,
}

/// The names of all features.
const KNOWN: &str = "wit";

/// There is no such feature.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name:?} is no feature of this server; there is: {KNOWN}")]
pub struct UnknownFeature {
    /// What was asked for.
    pub name: String,
}

impl Features {
    /// Takes names; one may be there twice.
    ///
    /// # Errors
    /// One is not known.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownFeature> {
        names.into_iter().try_fold(Self::default(), |mut features, name| {
            match name {
                "wit" => features.wit = true,
                _ => return Err(UnknownFeature { name: name.to_owned() }),
            }
            Ok(features)
        })
    }
}

impl FromStr for Features {
    type Err = UnknownFeature;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text.split(',').map(str::trim).filter(|name| !name.is_empty()))
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.wit { "wit" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_on_when_it_is_named_and_one_that_nobody_knows_is_an_error() {
        assert_eq!("".parse(), Ok(Features::default()));
        for text in ["wit", " wit ,wit,", "wit,"] {
            assert_eq!(text.parse(), Ok(Features { wit: true }), "{text}");
        }
        for bad in ["Wit", "wit broker", "broker", "wit,jwt"] {
            let refused = bad.parse::<Features>().unwrap_err();
            assert!(refused.to_string().ends_with("there is: wit"), "{refused}");
        }
    }
}
