//! A configuration between the two checks of it: so that the mistakes of both are told together.

use std::path::{Path, PathBuf};

use super::mistakes::{ConfigMistakes, Mistake};

/// What a file says, as far as it can be understood, with the mistakes found in its keys and values.
#[derive(Debug)]
pub struct Draft<T> {
    value: T,
    file: Option<PathBuf>,
    told: Option<ConfigMistakes>,
}

impl<T> Draft<T> {
    /// Returns a draft without mistakes: there is no file.
    pub const fn of(value: T) -> Self {
        Self { value, file: None, told: None }
    }

    /// Returns what a file says, or a text that is in none.
    pub(super) fn new(value: T, file: Option<&Path>, told: Option<ConfigMistakes>) -> Self {
        let file = file.map(Path::to_owned);
        Self { value, file, told }
    }

    /// Makes the configuration of it. What the second check finds anew about a value that the first named is left out.
    ///
    /// # Errors
    /// The mistakes of both checks.
    pub fn finish<U>(self, check: impl FnOnce(T) -> Result<U, ConfigMistakes>) -> Result<U, ConfigMistakes> {
        match (self.told, check(self.value)) {
            (None, checked) => checked.map_err(|mistakes| ConfigMistakes {
                file: mistakes.file.or(self.file),
                ..mistakes
            }),
            (Some(told), Ok(_)) => Err(told),
            (Some(mut told), Err(more)) => {
                let new = more.mistakes.into_iter().filter(|mistake| !is_told(mistake, &told.mistakes));
                let new: Vec<_> = new.collect();
                told.mistakes.extend(new);
                Err(told)
            }
        }
    }
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
        let told = Draft::new((), None, Some(first)).finish(|()| Err::<(), _>(second)).unwrap_err();
        let told: Vec<_> = told.mistakes.iter().map(ToString::to_string).collect();
        let new = ["enable: needs an address", "broker[1]: no type", "tt: too long"];
        assert_eq!(told, [&["ttl: no duration", "broker[0].id: is missing", "enable[1]: no x"][..], &new].concat());
    }

    #[test]
    fn a_draft_is_a_configuration_when_neither_check_finds_a_mistake() {
        assert_eq!(Draft::of(1).finish(Ok), Ok(1));
        assert!(Draft::of(1).finish(|_| Err::<(), _>(mistakes(&[("a", "b")]))).is_err());
        assert!(Draft::new(1, None, Some(mistakes(&[("a", "b")]))).finish(Ok).is_err());
    }

    #[test]
    fn what_the_second_check_alone_finds_is_a_mistake_of_the_file_too() {
        let file = Path::new("/etc/troth/server.toml");
        let told = Draft::new(1, Some(file), None).finish(|_| Err::<(), _>(mistakes(&[("a", "b")]))).unwrap_err();
        assert_eq!(told.file.as_deref(), Some(file));
    }
}
