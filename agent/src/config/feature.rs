//! What the agent serves only when it is switched on: the parts of the SPIFFE standards that are still being worked out (STB-01).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A part that is off unless it is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// The SPIFFE Broker API.
    Broker,
    /// The WIT profile of the Workload API.
    Wit,
}

impl Feature {
    /// Every feature, in the order of their names.
    pub const ALL: [Self; 2] = [Self::Broker, Self::Wit];

    /// Returns the name by which people switch it on.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Wit => "wit",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Feature {
    type Err = ParseFeatureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|feature| feature.name() == text);
        named.ok_or_else(|| ParseFeatureError { presented: text.to_owned() })
    }
}

/// A word names no feature of this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseFeatureError {
    /// The word.
    pub presented: String,
}

impl fmt::Display for ParseFeatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Feature::ALL.map(Feature::name).join(", ");
        write!(f, "{:?} is nothing that can be switched on; there are: {known}", self.presented)
    }
}

impl std::error::Error for ParseFeatureError {}

/// What is switched on; nothing unless said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features(BTreeSet<Feature>);

impl Features {
    /// Returns whether a feature is switched on.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.0.contains(&feature)
    }
}

impl FromIterator<Feature> for Features {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Self {
        Self(features.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use conformance::covers;

    use super::*;

    #[covers("STB-01")]
    #[test]
    fn nothing_is_on_unless_it_is_named() {
        assert!(Feature::ALL.into_iter().all(|feature| !Features::default().has(feature)));
        let features: Features = ["wit", "wit"].into_iter().map(|name| name.parse::<Feature>().unwrap()).collect();
        assert!(features.has(Feature::Wit) && !features.has(Feature::Broker));
    }

    #[test]
    fn names_are_exact_and_a_wrong_one_is_told_what_there_is() {
        for feature in Feature::ALL {
            assert_eq!(feature.to_string().parse(), Ok(feature));
        }
        for wrong in ["", "WIT", "wit ", "jwt"] {
            let told = wrong.parse::<Feature>().unwrap_err().to_string();
            assert!(told.contains("broker, wit"), "{told}");
        }
    }
}
