//! Rules that no test shows, and why: `without-test.txt`.

use crate::standard::fields;

/// The file.
const WITHOUT_TEST: &str = include_str!("../without-test.txt");

/// Why no test shows some rules.
pub(crate) struct Reason {
    pub(crate) ids: Vec<String>,
    pub(crate) text: String,
}

/// The word between ids and reason: the rule binds a part that Troth is not or has not.
const NOT_OURS: &str = "not ours";

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
        (kind == NOT_OURS).then(|| Self {
            ids: ids.split(' ').map(str::to_owned).collect(),
            text,
        })
    }
}
