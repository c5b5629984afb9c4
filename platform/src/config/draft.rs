//! A configuration between the two checks of it: so that the mistakes of both are told together.

use std::path::{Path, PathBuf};

use super::lines::KeyLines;
use super::mistakes::{ConfigMistakes, Mistake};

/// What a file says, as far as it can be understood, with the mistakes found in its keys and values.
#[derive(Debug)]
pub struct Draft<T> {
    value: T,
    file: Option<PathBuf>,
    lines: KeyLines,
    told: Option<ConfigMistakes>,
}

impl<T> Draft<T> {
    /// Returns a draft without mistakes: there is no file.
    pub const fn of(value: T) -> Self {
        Self {
            value,
            file: None,
            lines: KeyLines::none(),
            told: None,
        }
    }

    /// Returns what a file says, or a text that is in none.
    pub(super) fn new(value: T, file: Option<&Path>, lines: KeyLines, told: Option<ConfigMistakes>) -> Self {
        let file = file.map(Path::to_owned);
        Self { value, file, lines, told }
    }

    /// Returns where the file says what.
    pub const fn lines(&self) -> &KeyLines {
        &self.lines
    }

    /// Makes the configuration of it and of the flags and variables that lie over it. What the second check finds anew about a value that the first named is
    /// left out.
    ///
    /// Its mistakes get the lines of keys within tables, which are in the file alone. The value of any other key may be that of a flag.
    ///
    /// # Errors
    /// The mistakes of both checks.
    pub fn finish<U>(self, check: impl FnOnce(T) -> Result<U, ConfigMistakes>) -> Result<U, ConfigMistakes> {
        let lines = self.lines.clone().within_tables();
        self.finish_with(&lines, check)
    }

    /// Makes the configuration of the file alone: each mistake about a key of it gets its line.
    ///
    /// # Errors
    /// The mistakes of both checks.
    pub fn finish_alone<U>(self, check: impl FnOnce(T) -> Result<U, ConfigMistakes>) -> Result<U, ConfigMistakes> {
        let lines = self.lines.clone();
        self.finish_with(&lines, check)
    }

    fn finish_with<U>(self, lines: &KeyLines, check: impl FnOnce(T) -> Result<U, ConfigMistakes>) -> Result<U, ConfigMistakes> {
        let checked = check(self.value).map_err(|mistakes| lines.complete(mistakes));
        let told = match (self.told, checked) {
            (None, Ok(value)) => return Ok(value),
            (None, Err(mistakes)) => ConfigMistakes {
                file: mistakes.file.or(self.file),
                ..mistakes
            },
            (Some(told), Ok(_)) => told,
            (Some(told), Err(more)) => both(told, more),
        };
        Err(in_order(told))
    }
}

fn both(mut told: ConfigMistakes, more: ConfigMistakes) -> ConfigMistakes {
    let new = more.mistakes.into_iter().filter(|mistake| !is_told(mistake, &told.mistakes));
    let new: Vec<_> = new.collect();
    told.mistakes.extend(new);
    told
}

/// As somebody goes through the file; what has no line comes last.
fn in_order(mut told: ConfigMistakes) -> ConfigMistakes {
    told.mistakes.sort_by_key(|mistake| mistake.line.unwrap_or(usize::MAX));
    told
}

/// The checks name one value by one key; or the second names the table or list (`broker[0]`) whose value (`broker[0].spiffe_id`) the first named.
fn is_told(mistake: &Mistake, told: &[Mistake]) -> bool {
    told.iter().any(|told| match told.key.strip_prefix(&mistake.key) {
        Some("") => true,
        Some(rest) if rest.starts_with('.') => true,
        Some(rest) if rest.starts_with('[') => mistake.text.contains(&told.text),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::mistakes::Mistakes;
    use super::*;

    fn mistakes(told: &[(&str, &str)]) -> ConfigMistakes {
        let mut mistakes = Mistakes::new();
        for (key, text) in told {
            mistakes.add(*key, text);
        }
        mistakes.finish::<()>(None, None).unwrap_err()
    }

    #[test]
    fn the_mistakes_of_both_checks_are_told_and_each_once() {
        let first = mistakes(&[("ttl", "no duration"), ("broker[0].id", "is missing"), ("enable[1]", "no x")]);
        let second = mistakes(&[
            ("ttl", "no duration"),
            ("broker[0]", "no identity"),
            ("enable", "no x"),
            ("enable", "needs an address"),
            ("broker[1]", "no type"),
            ("tt", "too long"),
        ]);
        let told = Draft::new((), None, KeyLines::none(), Some(first))
            .finish(|()| Err::<(), _>(second))
            .unwrap_err();
        let told: Vec<_> = told.mistakes.iter().map(ToString::to_string).collect();
        let new = ["enable: needs an address", "broker[1]: no type", "tt: too long"];
        assert_eq!(told, [&["ttl: no duration", "broker[0].id: is missing", "enable[1]: no x"][..], &new].concat());
    }

    #[test]
    fn mistakes_are_told_line_by_line_and_flags_have_none() {
        let lines = || {
            let mut lines = KeyLines::none();
            lines.note("ttl", 1);
            lines.note("sink[0]", 2);
            lines
        };
        let found = || mistakes(&[("enable", "no x"), ("sink[0].mode", "no y"), ("ttl", "no z")]);
        let draft = || Draft::new((), None, lines(), None);
        let lines_of = |told: ConfigMistakes| told.mistakes.iter().map(|mistake| mistake.line).collect::<Vec<_>>();
        let alone = draft().finish_alone(|()| Err::<(), _>(found())).unwrap_err();
        assert_eq!(lines_of(alone), [Some(1), Some(2), None]);
        let with_flags = draft().finish(|()| Err::<(), _>(found())).unwrap_err();
        assert_eq!(lines_of(with_flags), [Some(2), None, None]);
    }

    #[test]
    fn a_draft_is_a_configuration_when_neither_check_finds_a_mistake() {
        assert_eq!(Draft::of(1).finish(Ok), Ok(1));
        assert!(Draft::of(1).finish(|_| Err::<(), _>(mistakes(&[("a", "b")]))).is_err());
        assert!(Draft::new(1, None, KeyLines::none(), Some(mistakes(&[("a", "b")]))).finish(Ok).is_err());
    }

    #[test]
    fn what_the_second_check_alone_finds_is_a_mistake_of_the_file_too() {
        let file = Path::new("/etc/troth/server.toml");
        let told = Draft::new(1, Some(file), KeyLines::none(), None)
            .finish(|_| Err::<(), _>(mistakes(&[("a", "b")])))
            .unwrap_err();
        assert_eq!(told.file.as_deref(), Some(file));
    }
}
