//! `troth server backup`: from the running server, or else from its directory.

use std::path::PathBuf;

use ca_server::backup::{self, BackupFile, BackupHeader};
use ca_server::config::DataDir;
use clap::Args;
use serde::Serialize;
use trust_domains::problem::Code;
use trust_domains::{Revision, Timestamp, TrustDomain};

use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::environment;
use crate::failure::Failure;
use crate::output::fields;

/// Writes a backup.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth server backup --to /mnt/backups/troth-2026-11-22.backup")]
pub(crate) struct BackupArgs {
    /// The new file; it is never written over another.
    #[arg(long, value_name = "F")]
    to: PathBuf,
    #[command(flatten)]
    place: ServerPlace,
}

#[derive(Serialize)]
struct Written {
    to: PathBuf,
    octets: u64,
    trust_domain: TrustDomain,
    made_at: Timestamp,
    revision: Revision,
    recovery_key: String,
    keys_not_included: Vec<String>,
    from: &'static str,
}

pub(super) async fn run(args: BackupArgs, global: &Global) -> Result<(), Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let mut file = BackupFile::create(&args.to).map_err(|error| Failure::of(&error))?;
    let mut head = Vec::new();
    let asked = client
        .octets("/v1/admin/backup", |octets| {
            if head.len() < BackupHeader::LONGEST {
                head.extend_from_slice(octets);
            }
            file.write(octets).map_err(|error| Failure::of(&error))
        })
        .await;
    let (header, from) = match asked {
        Ok(()) => (BackupHeader::of(&head).map_err(|error| Failure::of(&error))?, "the running server"),
        Err(failure) if failure.code() == Code::CannotReach && head.is_empty() => {
            (of_stopped(&args, &mut file, global).await?, "the stopped server's directory")
        }
        Err(failure) => return Err(failure),
    };
    let octets = file.finish().map_err(|error| Failure::of(&error))?;
    let written = Written {
        to: args.to,
        octets,
        trust_domain: header.trust_domain,
        made_at: header.made_at,
        revision: header.revision,
        recovery_key: header.recovery_key.to_string(),
        keys_not_included: header.keys_not_included,
        from,
    };
    global.output().result(&written, text)
}

/// Nobody answers: the store is read as it lies there, which fails while a server has it.
async fn of_stopped(args: &BackupArgs, file: &mut BackupFile, global: &Global) -> Result<BackupHeader, Failure> {
    let data_dir = DataDir::new(environment::server_data_dir(args.place.data_dir(), global)?);
    let made = backup::of_stopped(&data_dir, environment::now()).await.map_err(|error| Failure::of(&error))?;
    let header = made.header().clone();
    for part in made {
        let part = part.map_err(|error| Failure::of(&error))?;
        file.write(&part).map_err(|error| Failure::of(&error))?;
    }
    Ok(header)
}

fn text(written: &Written) -> String {
    let mut text = fields(&[
        ("backup", written.to.display().to_string()),
        (
            "of",
            format!("{} at revision {}, from {}", written.trust_domain, written.revision, written.from),
        ),
        ("size", format!("{} bytes", written.octets)),
        ("opens with", format!("the recovery key whose public half is {}", written.recovery_key)),
    ]);
    if !written.keys_not_included.is_empty() {
        text.push_str("\nnot included, as their keys live in a token:\n");
        written.keys_not_included.iter().for_each(|key| text.push_str(&format!("  {key}\n")));
    }
    text.push_str("\nthe issuance journal is not part of it; keep the recovery key away from the backup\n");
    text
}
