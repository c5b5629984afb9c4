//! All mistakes of a configuration.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use trust_domains::problem::{Code, Coded};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The key, as `sink[1].directory`; empty when it is about the file.
    pub key: String,
    /// What is wrong.
    pub text: String,
}

impl Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

/// Collects mistakes while a configuration is made.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Returns an empty collection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a mistake about a key.
    pub fn add(&mut self, key: impl Into<String>, text: impl Display) {
        self.0.push(Mistake {
            line: None,
            key: key.into(),
            text: text.to_string(),
        });
    }

    /// Adds a mistake at a line.
    pub fn add_at(&mut self, line: usize, key: impl Into<String>, text: impl Display) {
        self.0.push(Mistake {
            line: Some(line),
            key: key.into(),
            text: text.to_string(),
        });
    }

    /// Takes a value out of a result, or notes why there is none.
    pub fn check<T, E: Display>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(key, error)).ok()
    }

    /// Returns a collector for one table: its keys are those within `table`, as `sink[1]`.
    pub fn within(&mut self, table: impl Into<String>) -> TableMistakes<'_> {
        TableMistakes {
            mistakes: self,
            table: table.into(),
        }
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value when there are no mistakes, and all mistakes otherwise.
    ///
    /// # Errors
    /// [`ConfigMistakes`]; also when there is neither a value nor a mistake.
    pub fn finish<T>(mut self, file: Option<&Path>, value: Option<T>) -> Result<T, ConfigMistakes> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => {
                if self.0.is_empty() {
                    self.add("", "the configuration is not complete");
                }
                Err(ConfigMistakes {
                    file: file.map(Path::to_owned),
                    mistakes: self.0,
                })
            }
        }
    }
}

/// Collects the mistakes of one table of a file.
#[derive(Debug)]
pub struct TableMistakes<'a> {
    mistakes: &'a mut Mistakes,
    table: String,
}

impl TableMistakes<'_> {
    /// Adds a mistake about a key of the table; an empty one means the table.
    pub fn add(&mut self, key: &str, text: impl Display) {
        let key = self.whole(key);
        self.mistakes.add(key, text);
    }

    /// Takes a value out of a result, or notes why there is none.
    pub fn check<T, E: Display>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(key, error)).ok()
    }

    /// Returns a collector for a table in this one.
    pub fn within(&mut self, key: &str) -> TableMistakes<'_> {
        let table = self.whole(key);
        self.mistakes.within(table)
    }

    fn whole(&self, key: &str) -> String {
        if key.is_empty() {
            self.table.clone()
        } else {
            format!("{}.{key}", self.table)
        }
    }
}

/// A configuration is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMistakes {
    /// The file, if it is about one.
    pub file: Option<PathBuf>,
    /// Every mistake.
    pub mistakes: Vec<Mistake>,
}

impl Display for ConfigMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "the configuration {} has {}", file.display(), count(self.mistakes.len()))?,
            None => write!(f, "the configuration has {}", count(self.mistakes.len()))?,
        }
        for mistake in &self.mistakes {
            write!(f, "\n  {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigMistakes {}

impl Coded for ConfigMistakes {
    fn code(&self) -> Code {
        Code::ConfigInvalid
    }
}

fn count(mistakes: usize) -> String {
    if mistakes == 1 {
        "a mistake:".to_owned()
    } else {
        format!("{mistakes} mistakes:")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_all_told() {
        let mut mistakes = Mistakes::new();
        assert_eq!(mistakes.check("a", "7".parse::<u8>()), Some(7));
        assert_eq!(mistakes.check("b", "x".parse::<u8>()), None);
        mistakes.add_at(4, "c", "is not known");
        let told = mistakes.finish(Some(Path::new("/etc/troth/server.toml")), Some(())).unwrap_err();
        assert_eq!(
            told.to_string(),
            "the configuration /etc/troth/server.toml has 2 mistakes:\n  b: invalid digit found in string\n  line 4: c: is not known"
        );
    }

    #[test]
    fn a_table_has_its_own_keys() {
        let mut mistakes = Mistakes::new();
        let mut sink = mistakes.within("sink[1]");
        sink.add("", "is empty");
        assert_eq!(sink.check("mode", "x".parse::<u8>()), None);
        sink.within("jwt[0]").add("name", "is no name");
        let told = mistakes.finish::<()>(None, None).unwrap_err();
        let keys: Vec<_> = told.mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
        assert_eq!(keys, ["sink[1]", "sink[1].mode", "sink[1].jwt[0].name"]);
    }

    #[test]
    fn nothing_is_not_a_configuration() {
        Mistakes::new().finish(None, None::<()>).unwrap_err();
        Mistakes::new().finish(None, Some(())).unwrap();
    }
}
