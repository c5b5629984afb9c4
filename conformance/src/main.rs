//! Writes `docs/conformance.md`: which test shows which rule of the SPIFFE standards.
//!
//! `cargo run -p conformance`

mod coverage;
mod page;
mod reasons;
mod sources;
mod standard;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use coverage::Coverage;

/// The most rules that are neither shown nor explained.
const OPEN_AT_MOST: usize = 0;

fn main() -> ExitCode {
    match write_page(&repository()) {
        Ok(said) => {
            #[expect(clippy::print_stdout, reason = "what it did")]
            {
                println!("{said}");
            }
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            #[expect(clippy::print_stderr, reason = "what went wrong")]
            {
                eprintln!("{mistakes}");
            }
            ExitCode::FAILURE
        }
    }
}

fn write_page(repository: &Path) -> Result<String, String> {
    let coverage = Coverage::of(repository)?;
    let place = repository.join(page::PLACE);
    std::fs::write(&place, page::render(&coverage)).map_err(|error| format!("{}: {error}", place.display()))?;
    let mistakes = coverage.mistakes(OPEN_AT_MOST);
    let open = coverage.open();
    match mistakes.is_empty() {
        true => Ok(format!("{} written; {} open, {} of them a MUST", page::PLACE, open.all, open.musts)),
        false => Err(mistakes.join("\n")),
    }
}

/// This package's folder is in the repository's.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_tests_say() {
        let coverage = Coverage::of(&repository()).unwrap();
        let written = std::fs::read_to_string(repository().join(page::PLACE)).unwrap_or_default();
        assert!(written == page::render(&coverage), "{} is out of date: cargo run -p conformance", page::PLACE);
    }

    #[test]
    fn every_rule_is_shown_by_a_test_or_has_a_reason() {
        let mistakes = Coverage::of(&repository()).unwrap().mistakes(OPEN_AT_MOST);
        assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    }
}
