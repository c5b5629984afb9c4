//! The one edge where an error becomes text, a hint and an exit code.

use std::io::{self, Write as _};

use trust_domains::problem::{Code, Coded, Problem, whole_detail};

use crate::output::Format;

/// Why a command did not do what it was asked.
///
/// The exit code is that of the stable code: 1 refused or failed, 2 usage, 3 not found, 4 cannot reach the server or agent.
#[derive(Debug)]
pub(crate) struct Failure {
    problem: Box<Problem>,
}

impl Failure {
    /// A failure with this code and what happened in this case.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            problem: Box::new(Problem::new(code, detail)),
        }
    }

    /// The failure of an error that knows its code; its causes are part of the text.
    pub(crate) fn of(error: &(impl Coded + ?Sized)) -> Self {
        let mut problem = Problem::of(error);
        problem.detail = whole_detail(error);
        Self { problem: Box::new(problem) }
    }

    /// Replaces the hint by one that fits this case better.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.problem.hint = hint.into();
        self
    }

    /// The stable code.
    pub(crate) fn code(&self) -> Code {
        self.problem.code()
    }

    /// The document, as scripts get it.
    #[cfg(test)]
    pub(crate) fn problem(&self) -> Problem {
        (*self.problem).clone()
    }

    /// The exit code of the process.
    pub(crate) fn exit(&self) -> u8 {
        self.code().facts().exit
    }

    /// Tells the person on standard error, or the script on standard output.
    pub(crate) fn report(&self, format: Format) {
        // A reader that went away must not turn an error into a panic, so failed writes are let go.
        let _ = match format {
            Format::Json => self.report_json(),
            Format::Text => self.report_text(),
        };
    }

    fn report_json(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &self.problem)?;
        out.write_all(b"\n")
    }

    fn report_text(&self) -> io::Result<()> {
        let mut err = io::stderr().lock();
        writeln!(err, "error: {} ({})", self.problem.detail, self.problem.code)?;
        writeln!(err, "hint: {}", self.problem.hint)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem) }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Code::Internal, error.to_string())
    }
}

/// Makes the failure of a command line that is not complete.
pub(crate) fn usage(detail: impl Into<String>) -> Failure {
    Failure::new(Code::Usage, detail)
}
