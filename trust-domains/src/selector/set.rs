//! Sets of selectors.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Selector;

/// A set of selectors: always sorted and without duplicates. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Selector>", into = "Vec<Selector>")]
pub struct SelectorSet(Arc<[Selector]>);

impl SelectorSet {
    /// Returns whether the set has this selector.
    #[must_use]
    pub fn contains(&self, selector: &Selector) -> bool {
        self.0.binary_search(selector).is_ok()
    }

    /// Returns whether the other set has every selector of this one. The empty set is a subset of all: never match by it.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.len() <= other.len() && self.iter().all(|selector| other.contains(selector))
    }

    /// Returns the selectors in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Selector> {
        self.0.iter()
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the selectors in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[Selector] {
        &self.0
    }

    /// Returns the selectors in their order, as a list.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Selector> {
        self.0.to_vec()
    }
}

impl From<Vec<Selector>> for SelectorSet {
    fn from(mut selectors: Vec<Selector>) -> Self {
        selectors.sort_unstable();
        selectors.dedup();
        Self(selectors.into())
    }
}

impl From<SelectorSet> for Vec<Selector> {
    fn from(set: SelectorSet) -> Self {
        set.to_vec()
    }
}

impl FromIterator<Selector> for SelectorSet {
    fn from_iter<I: IntoIterator<Item = Selector>>(selectors: I) -> Self {
        selectors.into_iter().collect::<Vec<_>>().into()
    }
}

impl<'a> IntoIterator for &'a SelectorSet {
    type Item = &'a Selector;
    type IntoIter = std::slice::Iter<'a, Selector>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some_selectors() -> impl Strategy<Value = Vec<Selector>> {
        proptest::collection::vec("unix:uid:[0-9]", 0..12).prop_map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    proptest! {
        #[test]
        fn a_set_does_not_depend_on_order_or_repetition(selectors in some_selectors()) {
            let set: SelectorSet = selectors.iter().cloned().collect();
            let again: SelectorSet = selectors.iter().rev().chain(&selectors).cloned().collect();
            prop_assert_eq!(&set, &again);
            prop_assert!(set.as_slice().windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(selectors.iter().all(|selector| set.contains(selector)));
            let json = serde_json::to_string(&set).unwrap();
            prop_assert_eq!(serde_json::from_str::<SelectorSet>(&json).unwrap(), set);
        }

        #[test]
        fn a_subset_is_one_whose_every_selector_is_in_the_other(one in some_selectors(), other in some_selectors()) {
            let expected = one.iter().all(|selector| other.contains(selector));
            prop_assert_eq!(SelectorSet::from(one).is_subset_of(&SelectorSet::from(other)), expected);
        }
    }
}
