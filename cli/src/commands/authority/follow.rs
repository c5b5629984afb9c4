//! Following a replacement that the server performs, to its end.
//!
//! The server does the work, so that nothing depends on this process: when it is interrupted, or the server restarts meanwhile, the same command shows the
//! same replacement again.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep, sleep_until};
use trust_domains::duration::TextDuration;
use trust_domains::problem::Code;
use trust_domains::wire::authorities::ReplacementView;

use super::progress::Told;
use super::text;
use crate::admin::AdminClient;
use crate::args::Global;
use crate::failure::Failure;
use crate::output::{List, Output};

/// How often it is looked at: a person sees each step, and the server does not notice.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How long a server that does not answer is waited for: it may be restarting.
const SERVER_BACK_WITHIN: Duration = Duration::from_secs(60);

/// How long a command follows what it ordered.
#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    /// Does not ask before it begins. It asks on a terminal only.
    #[arg(long)]
    pub(super) yes: bool,
    /// Follows it at most this long, as 30s or 10m; without it to its end.
    #[arg(long, value_name = "D")]
    pub(super) wait: Option<TextDuration>,
    /// Orders it and does not follow it.
    #[arg(long, conflicts_with = "wait")]
    pub(super) no_wait: bool,
}

/// Why following is over.
enum Over {
    Finished,
    Interrupted,
    TooLong,
}

/// Follows a replacement as far as asked, and prints how it stands then. Exit code 0 when it was finished and
/// there is no more to say of it, or it is not followed; 1 when somebody was left behind, something else took its place, or it goes on.
pub(super) async fn follow(client: &AdminClient, begun: ReplacementView, args: &FollowArgs, global: &Global) -> Result<ExitCode, Failure> {
    let output = global.output();
    if args.no_wait {
        output.result(&begun, text::outcome)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (view, over) = watch(client, begun, args.wait.map(|wait| wait.0), output).await?;
    output.result(&view, text::outcome)?;
    let refused = ExitCode::from(Code::WaitTimedOut.facts().exit);
    match over {
        Over::Finished => {
            let Some(outcome) = &view.outcome else { return Ok(ExitCode::SUCCESS) };
            output.warn(outcome);
            output.note(
                "hint: a node that is left behind replaces what it holds when it connects; one that does not know the new root joins again: docs/replacing-authorities.md",
            );
            Ok(refused)
        }
        Over::Interrupted => {
            output.note("interrupted: the server goes on with it; run the same command again to watch, or: troth authority list");
            Ok(refused)
        }
        Over::TooLong => {
            output.warn("it is not finished yet; the server goes on with it; run the same command again to watch");
            Ok(refused)
        }
    }
}

async fn watch(client: &AdminClient, begun: ReplacementView, limit: Option<Duration>, output: Output) -> Result<(ReplacementView, Over), Failure> {
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let (mut told, mut view) = (Told::default(), begun);
    let ends = limit.map(|limit| Instant::now() + limit);
    let mut answered = Instant::now();
    loop {
        told.news(&view).iter().for_each(|line| output.note(line));
        if view.finished_at.is_some() {
            return Ok((view, Over::Finished));
        }
        let look = async {
            sleep(LOOK_EVERY).await;
            again(client, &view).await
        };
        let looked = tokio::select! {
            looked = look => looked,
            _ = &mut interrupted => return Ok((view, Over::Interrupted)),
            () = sleep_until(ends.unwrap_or(answered)), if ends.is_some() => return Ok((view, Over::TooLong)),
        };
        match looked {
            Ok(now) => (view, answered) = (now, Instant::now()),
            Err(error) if error.code() == Code::CannotReach && answered.elapsed() < SERVER_BACK_WITHIN => {}
            Err(error) => return Err(error),
        }
    }
}

async fn again(client: &AdminClient, before: &ReplacementView) -> Result<ReplacementView, Failure> {
    let gone = || Failure::new(Code::NotFound, "the server does not know of the replacement any more").with_hint("look how it stands: troth authority list");
    replacements(client).await?.items.into_iter().find(|view| view.id == before.id).ok_or_else(gone)
}

/// Returns the replacements that the server knows, the newest first.
pub(super) async fn replacements(client: &AdminClient) -> Result<List<ReplacementView>, Failure> {
    client.pages("/v1/admin/authorities/replacements", &[], None).await
}
