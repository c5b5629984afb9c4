//! Measures the figures of docs/performance.md with real processes on this machine.
//!
//! `cargo run --release -p tests --bin load -- all` prints the table; `load p1 p3` takes some figures, `--json` prints them as JSON.

use std::process::ExitCode;

use clap::Parser;
use tests::load::{Effort, Report, Subject};

/// Measures the figures of docs/performance.md.
#[derive(Debug, Parser)]
#[command(
    name = "load",
    after_help = "Example:\n  cargo build --release && cargo run --release -p tests --bin load -- all"
)]
struct Args {
    /// What to measure.
    #[arg(required = true, value_name = "FIGURE")]
    subjects: Vec<Subject>,
    /// Seconds that each measurement of issuing and delivery lasts.
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u64,
    /// Agents of the emergency that `taint` measures, and of the revocations of `revoke-fleet`.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    agents: usize,
    /// Prints one JSON document instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let report = Report::measure(
        &args.subjects,
        Effort {
            seconds: args.seconds,
            agents: args.agents,
        },
    );
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.markdown());
    }
    ExitCode::SUCCESS
}
