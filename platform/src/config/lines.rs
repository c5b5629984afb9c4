//! Where a file says what: for the mistakes that are found after it was read.

use std::collections::BTreeMap;

use super::mistakes::{ConfigMistakes, Mistake};

/// Where the lines of a text end.
#[derive(Debug)]
pub(super) struct LineEnds(Vec<usize>);

impl LineEnds {
    pub(super) fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n').map(|(at, _)| at).collect())
    }

    /// Returns the line, from 1, that an octet is in.
    pub(super) fn line_at(&self, at: usize) -> usize {
        self.0.partition_point(|end| *end < at) + 1
    }
}

/// The line of each key of a file, as `data_dir`, `sink[1]` or `sink[1].reload[0].timeout`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyLines(BTreeMap<String, usize>);

impl KeyLines {
    /// Returns those of no file.
    pub(super) const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// Notes where a key is, or a table of several.
    pub(super) fn note(&mut self, key: &str, line: usize) {
        self.0.insert(key.to_owned(), line);
    }

    /// Returns the line of a key, or of the nearest table or list around it that the file has: where a key that is missing belongs.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some(line) = self.0.get(key) {
                return Some(*line);
            }
            let end = key.rfind(['.', '['])?;
            key = &key[..end];
        }
    }

    /// Leaves out the keys that are in no table.
    pub(super) fn within_tables(mut self) -> Self {
        self.0.retain(|key, _| key.contains(['.', '[']));
        self
    }

    /// Gives each mistake that has none the line of its key.
    pub(super) fn complete(&self, mistakes: ConfigMistakes) -> ConfigMistakes {
        let complete = |mistake: Mistake| Mistake {
            line: mistake.line.or_else(|| self.of(&mistake.key)),
            ..mistake
        };
        ConfigMistakes {
            mistakes: mistakes.mistakes.into_iter().map(complete).collect(),
            ..mistakes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(of: &[(&str, usize)]) -> KeyLines {
        let mut lines = KeyLines::none();
        for (key, line) in of {
            lines.note(key, *line);
        }
        lines
    }

    #[test]
    fn a_key_that_is_not_there_has_the_line_of_what_is_around_it() {
        let lines = lines(&[("sink[0]", 3), ("sink[0].formats", 5), ("sink[0].reload[1]", 8), ("ttl", 1)]);
        for (key, line) in [
            ("ttl", Some(1)),
            ("sink[0].directory", Some(3)),
            ("sink[0].formats[2]", Some(5)),
            ("sink[0].reload[1].probe.within", Some(8)),
            ("sink[1].directory", None),
            ("sink", None),
            ("", None),
        ] {
            assert_eq!(lines.of(key), line, "{key}");
        }
    }

    #[test]
    fn an_octet_is_in_a_line() {
        let ends = LineEnds::of("a\n\nbc");
        assert_eq!([0, 1, 2, 3, 4, 9].map(|at| ends.line_at(at)), [1, 1, 2, 3, 3, 3]);
    }

    #[test]
    fn keys_that_flags_have_too_can_be_left_out() {
        let lines = lines(&[("sink[0]", 3), ("ttl", 1), ("tls.cert", 4)]).within_tables();
        assert_eq!((lines.of("ttl"), lines.of("sink[0]"), lines.of("tls.cert")), (None, Some(3), Some(4)));
    }
}
