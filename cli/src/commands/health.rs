//! `troth health`: is it ready, and if not, what to do.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use trust_domains::wire::admin::{Health, HealthState};

use crate::admin::{AdminClient, AgentPlace, ServerPlace};
use crate::args::Global;
use crate::failure::Failure;

/// Asks a running server or agent how it is.
#[derive(Debug, Subcommand)]
pub(crate) enum HealthCommand {
    /// The server: exit 0 when ready, 1 when it runs but is not ready, 4 when nobody answers.
    #[command(after_help = "Example:\n  troth health server")]
    Server(ServerArgs),
    /// The agent: ready when it is attested and synced.
    #[command(after_help = "Example:\n  troth health agent")]
    Agent(AgentArgs),
}

/// Says where the server is.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    place: ServerPlace,
}

/// Says where the agent is.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    #[command(flatten)]
    place: AgentPlace,
}

/// Asks, prints, and turns the answer into an exit code.
pub(crate) async fn run(command: HealthCommand, global: &Global) -> Result<ExitCode, Failure> {
    let health: Health = match command {
        HealthCommand::Server(args) => AdminClient::find(&args.place, global)?.get("/v1/admin/health").await?,
        HealthCommand::Agent(args) => AdminClient::find_agent(&args.place, global)?.get("/v1/agent/health").await?,
    };
    global.output().result(&health, health_text)?;
    Ok(if health.state == HealthState::Ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn health_text(health: &Health) -> String {
    let word = match health.state {
        HealthState::Degraded => "degraded",
        HealthState::Ready => "ready",
        HealthState::Starting => "starting",
    };
    let mut text = format!("{word}\n");
    for problem in &health.problems {
        text.push_str(&format!("- {problem}\n"));
    }
    text
}
