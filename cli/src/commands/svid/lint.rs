//! `troth svid lint`: certificates and revocation lists against every rule of the standards.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use trust_domains::TrustDomain;
use trust_domains::bundle::ParsedBundle;
use trust_domains::crl;
use trust_domains::x509::{Severity, lint};

use crate::args::Global;
use crate::environment::now;
use crate::failure::{Failure, usage};

/// The largest file that is read: a set of revocation lists at its limit is 8 MiB, and a third more in PEM.
const MAX_FILE: usize = 16 * 1024 * 1024;

/// What `BEGIN` says of a list in PEM (RFC 7468 section 6).
const LIST: &str = "X509 CRL";

/// Checks a file of certificates or revocation lists.
///
/// Certificates are read as one chain, leaf first. Lists are read as a set: one for each CA. With --ca their signatures are verified, and a list that is missing is
/// told.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  troth svid lint svid.pem\n  troth svid lint crl.pem --ca bundle.pem --ca svid.pem")]
pub(crate) struct LintArgs {
    /// The file: PEM, or one certificate or list in DER.
    file: PathBuf,
    /// Certificates of the CAs whose lists these are: PEM (a bundle, or a chain with its leaf), DER or a SPIFFE bundle. May be given again.
    #[arg(long, visible_alias = "bundle", value_name = "FILE")]
    ca: Vec<PathBuf>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<usize>,
    text: String,
}

/// What a file holds.
#[derive(Default)]
struct Content {
    certificates: Vec<Vec<u8>>,
    lists: Vec<Vec<u8>>,
}

/// Prints every finding; exit 1 when a rule is broken.
pub(crate) fn run(args: &LintArgs, global: &Global) -> Result<ExitCode, Failure> {
    let content = read(&args.file)?;
    let mut authorities = Vec::new();
    for path in &args.ca {
        authorities.extend(certificates(path)?);
    }
    let mut findings = Vec::new();
    if content.lists.is_empty() || !content.certificates.is_empty() {
        let chain: Vec<_> = content.certificates.into_iter().map(Into::into).collect();
        findings.extend(lint(&chain).into_iter().map(|finding| (finding.severity, Item::of_certificate(finding))));
    }
    if !content.lists.is_empty() {
        let found = crl::lint(&content.lists, &authorities, now());
        findings.extend(found.into_iter().map(|finding| (finding.severity, Item::of_list(finding))));
    }
    let ok = !findings.iter().any(|(severity, _)| *severity == Severity::Error);
    global.output().result(
        &Report {
            file: args.file.clone(),
            ok,
            findings: findings.into_iter().map(|(_, item)| item).collect(),
        },
        report_text,
    )?;
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Item {
    fn of_certificate(finding: trust_domains::x509::Finding) -> Self {
        Self {
            rule: finding.rule,
            severity: finding.severity.to_string(),
            certificate: Some(finding.position),
            list: None,
            text: finding.text,
        }
    }

    fn of_list(finding: crl::CrlFinding) -> Self {
        Self {
            rule: finding.rule,
            severity: finding.severity.to_string(),
            certificate: None,
            list: Some(finding.position),
            text: finding.text,
        }
    }
}

/// Reads PEM, or one document in DER.
fn read(path: &Path) -> Result<Content, Failure> {
    let octets = octets(path)?;
    // PEM is text; DER begins with the tag of a SEQUENCE.
    if octets.first() == Some(&0x30) {
        return Ok(of_der(octets));
    }
    let blocks = pem::parse_many(&octets).map_err(|error| not_pem(path, &error))?;
    let mut content = Content::default();
    for block in blocks {
        match block.tag() {
            "CERTIFICATE" => content.certificates.push(block.into_contents()),
            LIST => content.lists.push(block.into_contents()),
            _ => {}
        }
    }
    Ok(content)
}

fn of_der(octets: Vec<u8>) -> Content {
    match trust_domains::x509::Certificate::parse(&octets) {
        Ok(_) => Content {
            certificates: vec![octets],
            ..Content::default()
        },
        // What is neither is told as a list that cannot be read.
        Err(_) => Content {
            lists: vec![octets],
            ..Content::default()
        },
    }
}

/// Reads certificates of CAs: PEM, DER, or a SPIFFE bundle.
fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let octets = octets(path)?;
    if octets.first() == Some(&b'{') {
        // Of which trust domain the bundle is says nothing about its keys.
        let any: TrustDomain = "any.invalid".parse().map_err(|error| usage(format!("{error}")))?;
        let parsed = ParsedBundle::parse(&any, &octets).map_err(|error| {
            usage(format!("{} is not a SPIFFE bundle: {error}", path.display())).with_hint("give certificates in PEM, or what troth bundle show prints")
        })?;
        return Ok(parsed.bundle.x509_authorities().iter().map(|root| root.der().to_vec()).collect());
    }
    Ok(read(path)?.certificates)
}

fn octets(path: &Path) -> Result<Vec<u8>, Failure> {
    platform::files::read_limited(path, MAX_FILE)
        .map_err(|error| usage(format!("cannot read {}: {error}", path.display())).with_hint("check the path and its rights"))
}

fn not_pem(path: &Path, error: &pem::PemError) -> Failure {
    usage(format!("{} is neither PEM nor DER: {error}", path.display())).with_hint("make it PEM: openssl x509 (or crl) -inform der -in FILE")
}

fn report_text(report: &Report) -> String {
    let place = |item: &Item| match (item.certificate, item.list) {
        (Some(position), _) => format!("certificate {position}"),
        (None, list) => format!("list {}", list.unwrap_or_default()),
    };
    let lines = report.findings.iter();
    let mut text: String = lines
        .map(|item| format!("{} {} {}: {}\n", item.severity, item.rule, place(item), item.text))
        .collect();
    if report.ok {
        text.push_str(&format!("{} keeps every rule that is a MUST\n", report.file.display()));
    }
    text
}
