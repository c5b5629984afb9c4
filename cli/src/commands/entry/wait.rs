//! `--wait`: read your own writes, on every node concerned.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use trust_domains::duration::TextDuration;
use trust_domains::problem::Code;
use trust_domains::wire::admin::{WaitOutcome, WaitRequest};
use trust_domains::{Revision, SpiffeId};

use crate::admin::AdminClient;
use crate::args::Global;
use crate::failure::Failure;

/// Whether to wait for the nodes.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Waits until every connected node concerned shows the change, 30s unless said otherwise.
    #[arg(long, value_name = "D", num_args = 0..=1, require_equals = true, default_missing_value = "30s")]
    wait: Option<TextDuration>,
}

impl WaitArgs {
    /// Returns whether it is asked for.
    pub(crate) const fn is_asked(&self) -> bool {
        self.wait.is_some()
    }
}

/// Waits if asked to, and says who shows the change. The change itself is kept whatever comes of it.
pub(crate) async fn wait(client: &AdminClient, args: &WaitArgs, revision: Revision, nodes: Vec<SpiffeId>, global: &Global) -> Result<ExitCode, Failure> {
    let Some(limit) = &args.wait else { return Ok(ExitCode::SUCCESS) };
    let limit = limit.0.max(Duration::from_secs(1));
    let request = WaitRequest {
        revision,
        nodes,
        timeout_s: limit.as_secs(),
    };
    let outcome: WaitOutcome = client.post("/v1/admin/wait", &request).await?;
    if outcome.missing.is_empty() {
        global.output().note(&summary(&outcome));
        return Ok(ExitCode::SUCCESS);
    }
    let missing: Vec<String> = outcome.missing.iter().map(ToString::to_string).collect();
    let detail = format!("{}; the change is kept; still missing: {}", summary(&outcome), missing.join(", "));
    // The result was printed already: a second document on standard output would break scripts.
    global.output().warn(&detail);
    let first = outcome.missing.first().map(ToString::to_string).unwrap_or_default();
    global.output().note(&format!("hint: look at the node: troth node show {first}"));
    Ok(ExitCode::from(Code::WaitTimedOut.facts().exit))
}

fn summary(outcome: &WaitOutcome) -> String {
    let connected = outcome.acknowledged.len() + outcome.missing.len();
    if connected == 0 && outcome.away.is_empty() {
        return "no node is concerned".to_owned();
    }
    let mut text = match connected {
        0 => "no connected node is concerned".to_owned(),
        1 => format!("{} of 1 connected node", outcome.acknowledged.len()),
        many => format!("{} of {many} connected nodes", outcome.acknowledged.len()),
    };
    for node in &outcome.away {
        match node.since {
            Some(since) => text.push_str(&format!(", {} away since {since}", node.name)),
            None => text.push_str(&format!(", {} away", node.name)),
        }
    }
    text
}
