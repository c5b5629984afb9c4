//! P6, and tokens from the cache: one workload with several calls open on one connection.

use std::path::Path;

use agent::workload_api::client::{WorkloadApiClient, connect};
use agent::workload_api::messages::JwtsvidRequest;
use tokio::time::Instant;

use super::meter::{cpu_of, micros};
use super::node::{admin, create};
use super::report::{Figure, Value};
use super::workload_api::{first, own_uid};
use crate::admin::{draft, runtime};
use crate::domain::Domain;
use crate::wait::PATIENCE;

/// Tokens that are measured; a hundred more come before them.
const TOKENS: u32 = 20_000;
const WARM_UP: u32 = 100;

/// Calls open at once: what a busy gateway has.
const CALLERS: u32 = 16;

/// Which audience each call names.
#[derive(Clone, Copy)]
enum Audiences {
    /// Another each time.
    New,
    /// The same.
    One,
}

/// What a measurement came to.
struct Cost {
    agent_us: f64,
    server_us: f64,
    rate: f64,
}

/// P6.
pub(super) fn new_audiences() -> Figure {
    let cost = measured(Audiences::New);
    Figure {
        id: "P6",
        what: "JWT-SVID, a new audience each",
        how: format!("{TOKENS} tokens, {CALLERS} calls open on one connection; the rate holds the client's own time"),
        values: vec![
            Value::judged("agent CPU", cost.agent_us, "us", 120.0),
            Value::plain("server CPU", cost.server_us, "us"),
            Value::plain("rate", cost.rate, "/s"),
        ],
    }
}

/// Tokens from the cache.
pub(super) fn one_audience() -> Figure {
    let cost = measured(Audiences::One);
    Figure {
        id: "P6 cached",
        what: "JWT-SVID, from the agent's cache",
        how: format!("{TOKENS} calls for one audience, {CALLERS} open on one connection; the rate holds the client's own time"),
        values: vec![Value::plain("agent CPU", cost.agent_us, "us"), Value::plain("rate", cost.rate, "/s")],
    }
}

fn measured(audiences: Audiences) -> Cost {
    let (mut domain, runtime) = (Domain::start("load.test"), runtime());
    let mut agent = domain.agent("n1");
    runtime.block_on(create(&admin(&domain), vec![draft("/web".to_owned(), "n1", own_uid())]));
    let socket = agent.socket.clone();
    runtime.block_on(first(&socket));
    runtime.block_on(fetch_all(&socket, "warm-up", WARM_UP, audiences));
    let before = (cpu_of(agent.process()), cpu_of(domain.server()));
    let started = Instant::now();
    runtime.block_on(fetch_all(&socket, "measured", TOKENS, audiences));
    let took = started.elapsed();
    let each = |cpu| micros(cpu) / f64::from(TOKENS);
    Cost {
        agent_us: each(cpu_of(agent.process()) - before.0),
        server_us: each(cpu_of(domain.server()) - before.1),
        rate: f64::from(TOKENS) / took.as_secs_f64(),
    }
}

async fn fetch_all(socket: &Path, run: &'static str, count: u32, audiences: Audiences) {
    let client = connect(socket).await.expect("the agent answers");
    let callers = (0..CALLERS).map(|caller| {
        let mut client = client.clone();
        tokio::spawn(async move {
            for number in (caller..count).step_by(CALLERS as usize) {
                let audience = match audiences {
                    Audiences::New => format!("https://{run}-{number}.example.com"),
                    Audiences::One => "https://api.example.com".to_owned(),
                };
                fetch(&mut client, audience).await;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("a caller");
    }
}

async fn fetch(client: &mut WorkloadApiClient, audience: String) {
    let request = JwtsvidRequest {
        audience: vec![audience],
        spiffe_id: String::new(),
    };
    let answer = tokio::time::timeout(PATIENCE, client.fetch_jwtsvid(request)).await.expect("an answer in time");
    assert_eq!(answer.expect("a token").into_inner().svids.len(), 1);
}
