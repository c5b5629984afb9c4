//! Which rule is shown by which tests, and which is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::reasons::Reason;
use crate::sources::{Test, tests_in};
use crate::standard::{Requirement, Standard};

/// Rules, tests and reasons.
pub(crate) struct Coverage {
    pub(crate) standard: Standard,
    tests: Vec<Test>,
    reasons: Vec<Reason>,
}

/// How a rule stands.
pub(crate) enum Standing<'a> {
    /// These tests show it.
    Shown(Vec<&'a Test>),
    /// No test does, for this reason.
    Explained(&'a Reason),
    /// Neither.
    Open,
}

/// How many rules are open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) all: usize,
    pub(crate) musts: usize,
}

impl Coverage {
    /// Reads the rules, the reasons and every source file of the repository.
    pub(crate) fn of(repository: &Path) -> Result<Self, String> {
        Ok(Self {
            standard: Standard::read()?,
            tests: tests_in(repository)?,
            reasons: Reason::read()?,
        })
    }

    /// Returns how a rule stands.
    pub(crate) fn standing(&self, requirement: &Requirement) -> Standing<'_> {
        let shown: Vec<&Test> = self.tests.iter().filter(|test| test.covers.contains(&requirement.id)).collect();
        match self.reason(&requirement.id) {
            _ if !shown.is_empty() => Standing::Shown(shown),
            Some(reason) => Standing::Explained(reason),
            None => Standing::Open,
        }
    }

    fn reason(&self, id: &str) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.ids.iter().any(|of| of == id))
    }

    /// Counts what is open.
    pub(crate) fn open(&self) -> Open {
        let open = self.standard.requirements().filter(|rule| matches!(self.standing(rule), Standing::Open));
        open.fold(Open::default(), |open, rule| Open {
            all: open.all + 1,
            musts: open.musts + usize::from(rule.is_must()),
        })
    }

    /// Returns what has to be put right, each with what to do.
    pub(crate) fn mistakes(&self, open_at_most: usize) -> Vec<String> {
        let mut mistakes: Vec<String> = self.tests.iter().flat_map(|test| self.mistakes_of_test(test)).collect();
        mistakes.extend(self.mistakes_of_reasons());
        let open = self.open();
        if open.all > open_at_most {
            let ids: Vec<&str> = self
                .standard
                .requirements()
                .filter(|rule| matches!(self.standing(rule), Standing::Open))
                .map(|rule| rule.id.as_str())
                .collect();
            mistakes.push(format!(
                "{} rules are open, {open_at_most} may be; give each a test with #[covers(..)] or a line in conformance/without-test.txt: {}",
                open.all,
                ids.join(" ")
            ));
        }
        mistakes
    }

    fn mistakes_of_test(&self, test: &Test) -> Vec<String> {
        let unknown = test.covers.iter().filter(|id| !self.standard.contains(id));
        let mut mistakes: Vec<String> = unknown
            .map(|id| format!("{}: {}: {id} is no id of conformance/requirements.txt", test.file, test.path))
            .collect();
        let named = |id: &&String| self.standard.contains(id);
        if test.named.iter().filter(named).any(|id| !test.covers.contains(id)) {
            let all: BTreeSet<&String> = test.covers.iter().chain(test.named.iter().filter(named)).collect();
            let all: Vec<String> = all.into_iter().map(|id| format!("\"{id}\"")).collect();
            mistakes.push(format!(
                "{}: {}: its name or comment names more than it claims: #[covers({})]",
                test.file,
                test.path,
                all.join(", ")
            ));
        }
        mistakes
    }

    fn mistakes_of_reasons(&self) -> Vec<String> {
        let mut given = BTreeMap::<&str, usize>::new();
        let mut mistakes = Vec::new();
        for id in self.reasons.iter().flat_map(|reason| &reason.ids) {
            let mut wrong = |what: &str| mistakes.push(format!("conformance/without-test.txt: {id}: {what}"));
            *given.entry(id).or_default() += 1;
            if given.get(id.as_str()) == Some(&2) {
                wrong("is there twice");
            }
            if !self.standard.contains(id) {
                wrong("is no id of conformance/requirements.txt");
            }
            if self.tests.iter().any(|test| test.covers.contains(id)) {
                wrong("a test shows it: take it out");
            }
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(covers: &[&str], named: &[&str]) -> Test {
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Test {
            path: "part::tests::shows".to_owned(),
            file: "part/src/lib.rs".to_owned(),
            covers: owned(covers),
            named: owned(named),
        }
    }

    fn reason(id: &str) -> Reason {
        Reason {
            ids: vec![id.to_owned()],
            text: "why".to_owned(),
        }
    }

    fn mistakes(tests: Vec<Test>, reasons: Vec<Reason>) -> Vec<String> {
        let standard = Standard::read().unwrap();
        Coverage { standard, tests, reasons }.mistakes(usize::MAX)
    }

    #[test]
    fn each_mistake_is_told() {
        for (tests, reasons, expected) in [
            (vec![test(&["ID-99"], &[])], vec![], "ID-99 is no id"),
            (vec![test(&["ID-01"], &["ID-02"])], vec![], "#[covers(\"ID-01\", \"ID-02\")]"),
            (vec![], vec![reason("ID-99")], "ID-99: is no id"),
            (vec![], vec![reason("ID-01"), reason("ID-01")], "ID-01: is there twice"),
            (vec![test(&["ID-01"], &[])], vec![reason("ID-01")], "ID-01: a test shows it"),
        ] {
            let told = mistakes(tests, reasons);
            assert!(told.len() == 1 && told[0].contains(expected), "{expected}: {told:?}");
        }
        assert!(mistakes(vec![test(&["ID-01"], &["ID-01"])], vec![reason("FED-01")]).is_empty());
    }

    #[test]
    fn open_rules_are_counted_and_more_than_allowed_are_named() {
        let standard = Standard::read().unwrap();
        let all = standard.requirements().count();
        let musts = standard.requirements().filter(|rule| rule.is_must()).count();
        let coverage = Coverage {
            standard,
            tests: vec![test(&["ID-01"], &[])],
            reasons: vec![reason("ID-13")],
        };
        assert_eq!(
            coverage.open(),
            Open {
                all: all - 2,
                musts: musts - 1
            }
        );
        assert!(coverage.mistakes(all - 2).is_empty());
        let told = coverage.mistakes(all - 3);
        assert!(told.len() == 1 && told[0].contains("ID-02") && !told[0].contains("ID-01 "), "{told:?}");
    }
}
