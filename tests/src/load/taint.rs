//! An emergency: from the taint of an authority to the last SVID replaced on the last agent, and what it costs the server.
//!
//! The agents are whole: they join, follow the stream, renew their own SVID, ask for the others and acknowledge, in this process. They hold their SVIDs ahead
//! and nobody watches them, so that what is measured is the replacement and not this program's reading of it.

use std::time::Duration;

use platform::unix_http::UnixHttpClient;
use tokio::time::Instant;
use trust_domains::plan::authority::AuthorityKind;
use trust_domains::wire::admin::Page;
use trust_domains::wire::authorities::{ReplaceRequest, ReplacementView, StepKind, StepState};

use super::fleet::{Fleet, signed};
use super::meter::{cpu_of, millis};
use super::node::admin;
use super::report::{Figure, Value};
use super::subject::Effort;
use crate::admin::runtime;
use crate::domain::Domain;
use crate::wait::until_within;

/// The user of the entries: nobody watches them.
const NOBODY: u32 = 1;

/// SVIDs of each agent.
const SVIDS: usize = 10;

/// Longer than anything here takes: nobody is left behind because of a slow machine.
const DEADLINE: &str = "10m";

/// The longest wait for the replacement.
const LIMIT: Duration = Duration::from_secs(600);

/// How often the steps are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Measures it.
pub(super) fn replacement(effort: Effort) -> Figure {
    let agents = effort.agents;
    let (mut domain, runtime) = (Domain::start_with("load.test", &["--emergency-ack-deadline", DEADLINE]), runtime());
    let fleet = Fleet::start(&domain, &runtime, agents, SVIDS, NOBODY);
    let client = admin(&domain);
    let before = cpu_of(domain.server());
    let begun = Instant::now();
    let times = runtime.block_on(replace(&client));
    let (whole, cpu) = (begun.elapsed(), cpu_of(domain.server()) - before);
    let signed = runtime.block_on(signed(&client));
    drop(fleet);
    let svids = agents * (SVIDS + 1);
    assert!(signed >= svids as u64, "{signed} of {svids} SVIDs were replaced");
    Figure {
        id: "taint",
        what: "an issuing CA in other hands: taint → the last SVID replaced",
        how: format!(
            "`replace --kind x509-issuing --compromised` with {agents} agents of {SVIDS} SVIDs each in the process that measures; each agent acknowledges when all of its SVIDs and its own are replaced"
        ),
        values: vec![
            Value::plain("taint to last", millis(times.reissued - times.tainted), "ms"),
            Value::plain("order to taint", millis(times.tainted - begun), "ms"),
            Value::plain("order to revoked", millis(whole), "ms"),
            Value::plain("server CPU", millis(cpu), "ms"),
            Value::plain("server CPU an SVID", millis(cpu) * 1e3 / svids as f64, "us"),
        ],
    }
}

/// When what was seen.
struct Seen {
    tainted: Instant,
    reissued: Instant,
}

/// Orders the replacement and follows it to its end.
async fn replace(client: &UnixHttpClient) -> Seen {
    let request = ReplaceRequest {
        kind: AuthorityKind::X509Issuing,
        compromised: true,
        because: "a measurement".to_owned(),
        dry_run: false,
    };
    let begun: ReplacementView = client.post("/v1/admin/authorities/replace", &request).await.expect("a replacement");
    let (mut tainted, mut reissued) = (None, None);
    until_within(LIMIT, LOOK_EVERY, "the replacement", async || {
        let all: Page<ReplacementView> = client.get("/v1/admin/authorities/replacements").await.expect("the replacements");
        let view = all.items.into_iter().find(|view| view.id == begun.id).expect("the replacement");
        let is_done = |what| view.steps.iter().any(|step| step.what == what && step.state == StepState::Done);
        let now = Instant::now();
        tainted = tainted.or_else(|| is_done(StepKind::Taint).then_some(now));
        reissued = reissued.or_else(|| is_done(StepKind::Reissue).then_some(now));
        if let (Some(tainted), Some(reissued), Some(_)) = (tainted, reissued, view.finished_at) {
            assert_eq!(view.outcome, None, "nobody is left behind");
            return Some(Seen { tainted, reissued });
        }
        None
    })
    .await
}
