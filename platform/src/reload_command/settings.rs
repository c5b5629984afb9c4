//! What is run.

use std::fmt;

use super::error::ParseCommandError;

/// The shell that runs a command which asks for one.
const SHELL: &str = "/bin/sh";

/// A command.
#[derive(Clone, PartialEq, Eq)]
pub struct ReloadCommand {
    program: String,
    arguments: Vec<String>,
}

impl ReloadCommand {
    /// Reads the settings: a program by its absolute path and its arguments; or, with `shell`, one text that `/bin/sh -c` runs.
    ///
    /// # Errors
    /// [`ParseCommandError`].
    pub fn parse(words: &[String], shell: bool) -> Result<Self, ParseCommandError> {
        if words.iter().any(|word| word.contains('\0')) {
            return Err(ParseCommandError::Zero);
        }
        match words {
            [] => Err(ParseCommandError::Empty),
            [text] if shell && !text.trim().is_empty() => Ok(Self {
                program: SHELL.to_owned(),
                arguments: vec!["-c".to_owned(), text.clone()],
            }),
            _ if shell => Err(ParseCommandError::Shell),
            [program, ..] if !program.starts_with('/') => Err(ParseCommandError::NotAbsolute { program: program.clone() }),
            [program, arguments @ ..] => Ok(Self {
                program: program.clone(),
                arguments: arguments.to_vec(),
            }),
        }
    }

    /// Returns the program's path.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    pub(super) fn arguments(&self) -> &[String] {
        &self.arguments
    }
}

impl fmt::Display for ReloadCommand {
    /// The program alone: arguments may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)
    }
}

impl fmt::Debug for ReloadCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadCommand").field("program", &self.program).finish_non_exhaustive()
    }
}
