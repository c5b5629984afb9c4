//! What sinks of others cost: a helper process for each owner and directory.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::meter::{millis, resident_of};
use super::node::{admin, create};
use super::report::{Figure, Value};
use super::workload_api::own_uid;
use crate::admin::{draft, runtime};
use crate::domain::{Domain, path_text};
use crate::wait::until;

/// Sinks of the one agent and of the other.
const SINKS: u32 = 50;

/// The first owner; each sink has its own.
const OWNER: u32 = 41_000;

/// Memory and time of fifty helpers, beside fifty sinks of root's that need none.
pub(super) fn helpers() -> Figure {
    let (own, of_root) = delivery(None);
    let (others, of_others) = delivery(Some(OWNER));
    assert!(of_root.is_empty(), "a sink of the agent's own user has no helper");
    let count = f64::from(u32::try_from(of_others.len()).expect("so many helpers"));
    let mean = |part: fn(&(f64, f64)) -> f64| of_others.iter().map(part).sum::<f64>() / count;
    Figure {
        id: "Helpers",
        what: "sinks that belong to other users",
        how: format!(
            "{SINKS} sinks of one agent as root, each with an owner and an identity of its own, beside {SINKS} of root's; from the creation of their entries to the last file; VmRSS and RssAnon of the helpers"
        ),
        values: vec![
            Value::plain("all delivered, root's", millis(own), "ms"),
            Value::plain("all delivered, of others", millis(others), "ms"),
            Value::plain("helpers", count, ""),
            Value::plain("a helper", mean(|memory| memory.0), "MB"),
            Value::plain("of it its own", mean(|memory| memory.1), "MB"),
        ],
    }
}

/// Returns how long it took until every sink had its files, and the memory of each helper.
fn delivery(first_owner: Option<u32>) -> (Duration, Vec<(f64, f64)>) {
    let (domain, runtime) = (Domain::start("load.test"), runtime());
    let directories: Vec<PathBuf> = (0..SINKS).map(|number| domain.folder().join(format!("sink-{number}"))).collect();
    let mut text = String::new();
    for (number, directory) in (0..).zip(&directories) {
        let _ = write!(text, "[[sink]]\nspiffe_id = \"/web/{number}\"\ndirectory = \"{}\"\n", directory.display());
        if let Some(first) = first_owner {
            let _ = write!(text, "owner = \"{0}\"\ngroup = \"{0}\"\n", first + number);
        }
    }
    let config = domain.folder().join("agent.toml");
    std::fs::write(&config, text).expect("the agent's configuration");
    let mut agent = domain.agent_with("n1", &["--config", path_text(&config)]);
    let drafts = (0..SINKS).map(|number| draft(format!("/web/{number}"), "n1", own_uid() + 1 + number));
    let began = Instant::now();
    runtime.block_on(create(&admin(&domain), drafts.collect()));
    until("every sink", || {
        directories.iter().all(|directory| directory.join("svid.pem").exists()).then_some(())
    });
    let took = began.elapsed();
    let helpers = agent.process().children();
    (took, helpers.into_iter().map(resident_of).map(|memory| (memory.all, memory.own)).collect())
}
