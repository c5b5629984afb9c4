//! `troth audit`: the issuance journal.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use trust_domains::token_svid::TokenKind;
use trust_domains::wire::audit::{AuditEvent, AuditRecord};

use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::failure::Failure;

/// Reads the issuance journal.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Prints the newest records, one a line.
    #[command(after_help = "Examples:\n  troth audit tail\n  troth audit tail --follow --output json")]
    Tail(TailArgs),
    /// Prints every record that is kept, as JSON Lines.
    #[command(after_help = "Example:\n  troth audit export --to audit.jsonl")]
    Export(ExportArgs),
}

/// Prints the newest records.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// How many of the newest records.
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    lines: u64,
    /// Goes on with each new record until it is interrupted.
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    place: ServerPlace,
}

/// Prints every record.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Writes to this new file instead of standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Only records after this number.
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    after: u64,
    #[command(flatten)]
    place: ServerPlace,
}

/// Carries out an audit command.
pub(crate) async fn run(command: AuditCommand, global: &Global) -> Result<(), Failure> {
    match command {
        AuditCommand::Tail(args) => {
            let path = format!("/v1/admin/audit?last={}&follow={}", args.lines, args.follow);
            let output = global.output();
            AdminClient::find(&args.place, global)?
                .lines(&path, |record: AuditRecord| output.line(&record, record_text))
                .await
        }
        AuditCommand::Export(args) => export(&args, global).await,
    }
}

async fn export(args: &ExportArgs, global: &Global) -> Result<(), Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let path = format!("/v1/admin/audit?after={}&follow=false", args.after);
    let Some(to) = &args.to else {
        let lines = crate::output::Output {
            format: crate::output::Format::Json,
            quiet: global.quiet,
        };
        return client.lines(&path, |record: AuditRecord| lines.line(&record, |_| String::new())).await;
    };
    let file = std::fs::File::create_new(to).map_err(|error| Failure::from(error).with_hint(format!("name a file that is not there yet: {}", to.display())))?;
    let mut writer = std::io::BufWriter::new(file);
    let mut count = 0_u64;
    client
        .lines(&path, |record: AuditRecord| {
            count += 1;
            serde_json::to_writer(&mut writer, &record).map_err(std::io::Error::from)?;
            std::io::Write::write_all(&mut writer, b"\n").map_err(Failure::from)
        })
        .await?;
    let file = writer.into_inner().map_err(|error| Failure::from(error.into_error()))?;
    file.sync_all()?;
    global.output().note(&format!("{count} records written to {}", to.display()));
    Ok(())
}

fn record_text(record: &AuditRecord) -> String {
    let head = format!("{:>8}  {}", record.seq, record.at);
    match &record.event {
        AuditEvent::Issued(issuance) => format!(
            "{head}  issued   {}  serial {}  until {}  by {}",
            issuance.spiffe_id, issuance.serial, issuance.not_after, issuance.actor
        ),
        AuditEvent::TokenIssued(issuance) => {
            let what = match issuance.kind {
                TokenKind::Jwt => format!("token    {}  for {}", issuance.spiffe_id, issuance.audience.join(", ")),
                TokenKind::Wit => format!("wit      {}", issuance.spiffe_id),
            };
            format!("{head}  {what}  id {}  until {}  by {}", issuance.jti, issuance.not_after, issuance.actor)
        }
        AuditEvent::Decided(decision) => {
            let reason = decision.reason.as_deref().map(|reason| format!("  ({reason})")).unwrap_or_default();
            format!("{head}  {}  {}  by {}{reason}", decision.action, decision.subject, decision.actor)
        }
        AuditEvent::TailCut { bytes } => format!("{head}  a torn tail of {bytes} bytes was cut"),
    }
}
