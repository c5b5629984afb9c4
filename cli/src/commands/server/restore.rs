//! `troth server restore`: a trust domain goes on from a backup.

use std::path::PathBuf;

use ca_server::backup::{RestoreParams, RestoreReport, restore};
use clap::Args;
use platform::sealing::KeySourceSpec;
use serde::Serialize;
use trust_domains::node::NodeName;
use trust_domains::{Revision, Timestamp, TrustDomain};

use crate::args::Global;
use crate::environment;
use crate::failure::{Failure, usage};
use crate::output::fields;

/// Restores a trust domain.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  troth server restore --from troth.backup --recovery-key-file recovery.key --old-server-is-gone\n\nThe old server must never run again: two servers of one trust domain that know nothing of each other would each issue what the other cannot revoke. This cannot be proved, so the command asks for your word."
)]
pub(crate) struct RestoreArgs {
    /// The backup.
    #[arg(long, value_name = "F")]
    from: PathBuf,
    /// The file with the recovery key that `troth server init` printed.
    #[arg(long, value_name = "K")]
    recovery_key_file: PathBuf,
    /// Your word that the server from which the backup was made is gone for good.
    #[arg(long)]
    old_server_is_gone: bool,
    /// The new data directory, absent or empty [default: /var/lib/troth/server as root, else under the XDG directories].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The file of the key that seals the secrets from now on [default: DATA_DIR.seal.key]; one that exists is used.
    #[arg(long, value_name = "F")]
    key_file: Option<PathBuf>,
    /// What seals the secrets from now on, where that is no key file: passphrase, passphrase:FILE, passphrase:-, credential:NAME, or a PKCS#11 URI; docs/key-sources.md.
    #[arg(long, value_name = "SOURCE", conflicts_with = "key_file")]
    key_source: Option<KeySourceSpec>,
}

#[derive(Serialize)]
struct Restored {
    trust_domain: TrustDomain,
    data_dir: PathBuf,
    key_source: String,
    made_at: Timestamp,
    from_revision: Revision,
    revision: Revision,
    entries: usize,
    nodes: usize,
    banned: Vec<NodeName>,
    void_tokens: usize,
    keys_not_included: Vec<String>,
}

pub(super) async fn run(args: RestoreArgs, global: &Global) -> Result<(), Failure> {
    if !args.old_server_is_gone {
        return Err(usage("a restore needs your word that the old server is gone for good")
            .with_hint("stop it and keep it from ever starting again, then repeat the command with --old-server-is-gone"));
    }
    let params = RestoreParams {
        from: args.from,
        recovery_key_file: args.recovery_key_file,
        data_dir: environment::server_data_dir(args.data_dir.as_deref(), global)?,
        key_source: args.key_source.or_else(|| args.key_file.map(KeySourceSpec::File)),
        clock: platform::clock::SystemClock::shared(),
    };
    let report = restore(params).await.map_err(|error| Failure::of(&error))?;
    global.output().result(&document(report), text)
}

fn document(report: RestoreReport) -> Restored {
    Restored {
        trust_domain: report.header.trust_domain,
        data_dir: report.data_dir,
        key_source: report.key_source.to_string(),
        made_at: report.header.made_at,
        from_revision: report.header.revision,
        revision: report.revision,
        entries: report.entries,
        nodes: report.nodes,
        banned: report.banned,
        void_tokens: report.void_tokens,
        keys_not_included: report.header.keys_not_included,
    }
}

fn text(restored: &Restored) -> String {
    let banned: Vec<_> = restored.banned.iter().map(NodeName::as_str).collect();
    let mut text = fields(&[
        ("trust domain", restored.trust_domain.to_string()),
        ("data directory", restored.data_dir.display().to_string()),
        ("key source", restored.key_source.clone()),
        ("as of", format!("{}, revision {}", restored.made_at, restored.from_revision)),
        ("entries", restored.entries.to_string()),
        ("nodes", restored.nodes.to_string()),
        ("banned", if banned.is_empty() { "none".to_owned() } else { banned.join(", ") }),
        ("void join tokens", restored.void_tokens.to_string()),
    ]);
    text.push_str(&format!(
        "\nwhat happened after {} is not in the backup:\n  \
         bans and evictions must be repeated: compare `troth node list` with your records\n  \
         nodes that joined since need a new link: troth token create\n  \
         entries that were made or changed since must be made again\n\
         issuing CAs and token keys are replaced when the server runs; nodes that renewed since renew once more by themselves,\n\
         within one life of a node SVID; agents hand back the revocation lists that they hold\n",
        restored.made_at
    ));
    if !restored.keys_not_included.is_empty() {
        text.push_str(&format!(
            "keys that live in a token are not in the backup: {}\n",
            restored.keys_not_included.join(", ")
        ));
    }
    text.push_str(&format!("\nnext: troth server run --data-dir {}\n", restored.data_dir.display()));
    text
}
