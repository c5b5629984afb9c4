//! `troth svid lint`: a certificate against every rule of the standard.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use trust_domains::x509::{Severity, lint};

use crate::args::Global;
use crate::failure::{Failure, usage};

/// The largest file that is read: a chain of eight certificates is under 16 KiB.
const MAX_FILE: usize = 1024 * 1024;

/// Checks a certificate file.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth svid lint svid.pem")]
pub(crate) struct LintArgs {
    /// The file: PEM, leaf first.
    file: PathBuf,
}

#[derive(Serialize)]
struct Report {
    file: PathBuf,
    ok: bool,
    findings: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    rule: &'static str,
    severity: String,
    certificate: usize,
    text: String,
}

/// Prints every finding; exit 1 when a rule is broken.
pub(crate) fn run(args: &LintArgs, global: &Global) -> Result<ExitCode, Failure> {
    let pem = platform::files::read_limited(&args.file, MAX_FILE)
        .map_err(|error| usage(format!("cannot read {}: {error}", args.file.display())).with_hint("check the path and its rights"))?;
    let blocks = pem::parse_many(&pem)
        .map_err(|error| usage(format!("{} is not PEM: {error}", args.file.display())).with_hint("make it PEM: openssl x509 -inform der -in FILE"))?;
    let chain: Vec<_> = blocks
        .into_iter()
        .filter(|block| block.tag() == "CERTIFICATE")
        .map(|block| block.into_contents().into())
        .collect();
    let found = lint(&chain);
    let ok = !found.iter().any(|finding| finding.severity == Severity::Error);
    let findings = found
        .into_iter()
        .map(|finding| Item {
            rule: finding.rule,
            severity: finding.severity.to_string(),
            certificate: finding.position,
            text: finding.text,
        })
        .collect();
    global.output().result(
        &Report {
            file: args.file.clone(),
            ok,
            findings,
        },
        report_text,
    )?;
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report_text(report: &Report) -> String {
    let mut text: String = report
        .findings
        .iter()
        .map(|finding| format!("{} {} certificate {}: {}\n", finding.severity, finding.rule, finding.certificate, finding.text))
        .collect();
    if report.ok {
        text.push_str(&format!("{} keeps every rule of X509-SVID that is a MUST\n", report.file.display()));
    }
    text
}
