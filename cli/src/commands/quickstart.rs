//! `troth quickstart`: a whole trust domain on this machine, seen at work.
//!
//! It runs the same commands that an operator runs, as processes of their own, on loopback and free ports, and then fetches its own identity as any workload would.

mod directory;
mod events;
mod federated;
mod parts;
mod setup;
mod watch;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use trust_domains::TrustDomain;

use crate::args::Global;
use crate::failure::Failure;
use directory::Directory;
use events::Show;
use setup::Reach;

/// The rotations that a run without a terminal shows before it ends.
const ROTATIONS_WITHOUT_TERMINAL: u64 = 2;

/// Starts a whole trust domain on this machine and shows a workload identity rotate.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth quickstart\n  troth quickstart --rotations 1\n  troth quickstart --federated --rotations 1\n  eval \"$(troth quickstart --env)\"\n  troth quickstart --remove"
)]
pub(crate) struct QuickstartArgs {
    /// Where everything is kept [default: $XDG_STATE_HOME/troth/quickstart].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The trust domain, when it is made.
    #[arg(long, value_name = "TD", default_value = "quickstart.test")]
    trust_domain: TrustDomain,
    /// Ends after so many verified rotations; 0 goes on until it is interrupted [default: 0 on a terminal, else 2].
    #[arg(long, value_name = "N")]
    rotations: Option<u64>,
    /// Starts a second trust domain beside it, lets both federate, and shows a workload of each doing mutual TLS with the other.
    #[arg(long)]
    federated: bool,
    /// Prints the shell variables that let other commands find this trust domain.
    #[arg(long, conflicts_with_all = ["remove", "rotations"])]
    env: bool,
    /// Removes everything that quickstart made.
    #[arg(long, conflicts_with = "rotations")]
    remove: bool,
}

/// Runs, prints the environment, or removes.
pub(crate) async fn run(args: QuickstartArgs, global: &Global) -> Result<ExitCode, Failure> {
    let directory = Directory::find(args.dir.as_deref())?;
    if args.env {
        global.output().raw(&directory.environment()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.remove {
        global.output().note(&directory.remove()?);
        return Ok(ExitCode::SUCCESS);
    }
    let terminal = std::io::stdout().is_terminal();
    let rotations = args.rotations.unwrap_or(if terminal { 0 } else { ROTATIONS_WITHOUT_TERMINAL });
    let show = Show::new(global.output(), terminal);
    let reach = if args.federated { Reach::Federated } else { Reach::Alone };
    demonstrate(&directory, args.trust_domain, reach, rotations, show).await
}

async fn demonstrate(directory: &Directory, trust_domain: TrustDomain, reach: Reach, rotations: u64, mut show: Show) -> Result<ExitCode, Failure> {
    let _held = directory.hold()?;
    let interrupted = platform::process::shutdown_signal()?;
    let mut parts = parts::Parts::default();
    let work = async {
        let trust_domain = setup::bring_up(directory, trust_domain, reach, &mut parts, &mut show).await?;
        match reach {
            Reach::Alone => watch::rotations(directory, &trust_domain, rotations, &mut parts, &mut show, async |_| Ok(())).await,
            Reach::Federated => federated::demonstrate(directory, trust_domain, rotations, &mut parts, &mut show).await,
        }
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = interrupted.cancelled() => Ok(()),
    };
    parts.stop().await;
    ended?;
    show.farewell(directory)?;
    Ok(ExitCode::SUCCESS)
}
