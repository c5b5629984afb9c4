//! `troth server rekey`: over the running server's socket, or else in its directory.

use std::path::PathBuf;

use ca_server::config::{DataDir, RawServerConfig, ServerConfig};
use ca_server::decisions::Cause;
use ca_server::rekey::Rekeying;
use clap::Args;
use platform::paths::Environment;
use platform::sealing::{KeySourceSpec, Opening};
use trust_domains::problem::Code;
use trust_domains::wire::admin::{NewPassphrase, RekeyRequest, Rekeyed};

use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::environment::{self, Role};
use crate::failure::Failure;
use crate::output::fields;

/// Wraps the store's data key by another key source, in one commit; while the server runs, or when it does not.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth server rekey\n  troth server rekey --key-source passphrase\n  troth server rekey --key-source credential:troth.seal\n\nIt protects from what opened the store before: a copied key file, a passphrase that somebody knows. The data key itself and the signing keys stay: whoever opened a copy of the store with the old source has them already, and only new authorities help (troth authority replace). Until the commit the old source opens the store, from it on the new one: name it at the next start. The recovery key goes on working, and backups are not concerned."
)]
pub(crate) struct RekeyArgs {
    /// What shall open the store from now on: file:PATH, passphrase, passphrase:FILE, credential:NAME or a PKCS#11 URI [default: a new key in the same key file].
    #[arg(long, value_name = "NEW")]
    key_source: Option<KeySourceSpec>,
    /// What opens the store now, when no server runs [default: as the configuration file says, else DATA_DIR.seal.key].
    #[arg(long, value_name = "OLD")]
    old_key_source: Option<String>,
    #[command(flatten)]
    place: ServerPlace,
}

pub(super) async fn run(args: RekeyArgs, global: &Global) -> Result<(), Failure> {
    let new = args.key_source.map(KeySourceSpec::absolute).transpose()?;
    let request = request(new.as_ref())?;
    let client = AdminClient::find(&args.place, global)?;
    let rekeyed = match client.post("/v1/admin/rekey", &request).await {
        Ok(rekeyed) => rekeyed,
        Err(failure) if failure.code() == Code::CannotReach => of_stopped(args.old_key_source, &args.place, request, global).await?,
        Err(failure) => return Err(failure),
    };
    global.output().result(&rekeyed, text)
}

/// A passphrase is asked for here, where the person is.
fn request(new: Option<&KeySourceSpec>) -> Result<RekeyRequest, Failure> {
    let passphrase = match new {
        Some(KeySourceSpec::Passphrase(place)) => Some(place.read(Opening::New).map_err(|error| Failure::of(&error))?),
        _ => None,
    };
    Ok(RekeyRequest {
        key_source: new.map(ToString::to_string),
        passphrase: passphrase.map(|passphrase| NewPassphrase::new(passphrase.expose())),
    })
}

/// Nobody answers: the store is opened as it lies there, which fails while a server has it.
async fn of_stopped(old: Option<String>, place: &ServerPlace, request: RekeyRequest, global: &Global) -> Result<Rekeyed, Failure> {
    let data_dir = DataDir::new(environment::server_data_dir(place.data_dir(), global)?);
    let current = current_source(old, data_dir.path().to_owned(), global)?;
    let clock = platform::clock::SystemClock::shared();
    let (rekeying, _lock) = Rekeying::of_stopped(&data_dir, current, clock).await.map_err(|error| Failure::of(&error))?;
    let cause = Cause {
        actor: format!("local:uid:{}", platform::process::effective_uid()),
        trace_id: String::new(),
    };
    rekeying.rekey(request, &cause).await.map_err(|error| Failure::of(&error))
}

/// Returns what opens the store now, as a server that starts would find it.
fn current_source(old: Option<String>, data_dir: PathBuf, global: &Global) -> Result<KeySourceSpec, Failure> {
    let file = environment::config_file(global, Role::Server);
    let from_file = RawServerConfig::read(file.as_deref()).map_err(|error| Failure::of(&error))?;
    let named = RawServerConfig {
        data_dir: Some(data_dir.display().to_string()),
        key_source: old,
        ..RawServerConfig::default()
    };
    let config = from_file.finish(|from_file| ServerConfig::new(named.over(from_file), &Environment::of_process()));
    let source = config.map_err(|error| Failure::of(&error))?.key_source;
    Ok(source.absolute()?)
}

fn text(rekeyed: &Rekeyed) -> String {
    let mut text = fields(&[("opened by", rekeyed.key_source.clone())]);
    match &rekeyed.replaced {
        Some(before) => text.push_str(&format!(
            "\nthe next start needs it: troth server run --key-source '{}'\n{before} opens this store no more; destroy it where nothing else needs it\n",
            rekeyed.key_source
        )),
        None => text.push_str("\nthe key before is gone from the file; a copy of it opens this store no more\n"),
    }
    text
}
