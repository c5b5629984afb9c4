//! `troth federation list --watch`: every change, one line each.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};
use trust_domains::problem::Code;
use trust_domains::wire::federation::{FederationChanges, RelationshipView};
use trust_domains::{Timestamp, TrustDomain};

use super::text;
use crate::admin::AdminClient;
use crate::failure::Failure;
use crate::output::Output;

/// How long a server that does not answer is waited for: it may be restarting.
const SERVER_BACK_WITHIN: Duration = Duration::from_secs(60);

/// How often a server that does not answer is asked.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// What no server has counted: it tells all that there is.
const NOTHING_SEEN: u64 = 0;

/// One line.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    /// A relationship as it is now: at the start each, then those that changed.
    Changed {
        at: Timestamp,
        #[serde(flatten)]
        relationship: &'a RelationshipView,
    },
    /// A relationship that is gone.
    Deleted { at: Timestamp, trust_domain: &'a TrustDomain },
}

/// Prints what there is, then each change, until it is interrupted.
pub(super) async fn run(client: &AdminClient, output: Output) -> Result<(), Failure> {
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let (mut since, mut answered) = (NOTHING_SEEN, None::<Instant>);
    let mut shown = BTreeSet::new();
    loop {
        let path = changes_path(since);
        let asked = tokio::select! {
            asked = client.get::<FederationChanges>(&path) => asked,
            _ = &mut interrupted => return Ok(()),
        };
        match asked {
            Ok(mut changes) => {
                complete(&mut changes, &mut shown);
                print(&changes, output)?;
                (since, answered) = (changes.since, Some(Instant::now()));
            }
            Err(error) if error.code() == Code::CannotReach && answered.is_some_and(|at| at.elapsed() < SERVER_BACK_WITHIN) => sleep(ASK_EVERY).await,
            Err(error) => return Err(error),
        }
    }
}

fn changes_path(since: u64) -> String {
    format!("/v1/admin/federation-changes?since={since}")
}

/// Keeps which relationships were shown. A server that began anew tells all that there is, and not what went meanwhile.
fn complete(changes: &mut FederationChanges, shown: &mut BTreeSet<TrustDomain>) {
    if changes.whole {
        let is_there = |name: &&TrustDomain| changes.items.iter().any(|item| item.trust_domain == **name);
        changes.deleted = shown.iter().filter(|name| !is_there(name)).cloned().collect();
    }
    changes.deleted.retain(|name| shown.remove(name));
    shown.extend(changes.items.iter().map(|item| item.trust_domain.clone()));
}

fn print(changes: &FederationChanges, output: Output) -> Result<(), Failure> {
    let at = crate::environment::now();
    for relationship in &changes.items {
        output.line(&Line::Changed { at, relationship }, |_| format!("{at}  {}", text::change(relationship)))?;
    }
    for trust_domain in &changes.deleted {
        output.line(&Line::Deleted { at, trust_domain }, |_| format!("{at}  {trust_domain}  deleted"))?;
    }
    Ok(())
}
