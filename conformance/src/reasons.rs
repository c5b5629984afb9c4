//! Rules that no test shows, and why: `without-test.txt`.

use crate::standard::fields;

/// The file.
const WITHOUT_TEST: &str = include_str!("../without-test.txt");

/// Why no test shows some rules.
pub(crate) struct Reason {
    pub(crate) ids: Vec<String>,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// What is with a rule that no test shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It binds a part that Troth is not or has not.
    NotOurs,
    /// It will be built.
    Planned,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        match name {
            "not ours" => Some(Self::NotOurs),
            "planned" => Some(Self::Planned),
            _ => None,
        }
    }
}

impl Reason {
    /// Reads all reasons.
    pub(crate) fn read() -> Result<Vec<Self>, String> {
        let lines = WITHOUT_TEST.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|line| Self::parse(line).ok_or_else(|| format!("without-test.txt: cannot be read: {line}")))
            .collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let [ids, kind, text] = fields(line)?;
        Some(Self {
            ids: ids.split(' ').map(str::to_owned).collect(),
            kind: Kind::named(&kind)?,
            text,
        })
    }
}

/// Only these may be planned: the issue that builds federation brings them.
pub(crate) fn may_be_planned(id: &str) -> bool {
    id.starts_with("FED-") || ["BUN-12", "BUN-13", "BUN-14"].contains(&id)
}
