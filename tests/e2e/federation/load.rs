//! A steady load over mutual TLS across trust domains, by the public clients of Rust and Go: every workload calls every service of the other domains, on a
//! connection of its own each time.

use std::net::SocketAddr;
use std::time::Duration;

use spiffe_rustls::TrustDomainPolicy;
use tests::admin::runtime;
use tests::go_peers::{GoCaller, GoCalls, GoService};
use tests::wait::{PATIENCE, until_async};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::three::{Member, Trio};
use crate::mtls_service::{Caller, serve_admitting, source};

/// Each workload calls each service that often.
const EVERY: Duration = Duration::from_millis(400);

/// Somebody to call.
#[derive(Clone)]
struct Service {
    address: SocketAddr,
    id: String,
}

/// How often was asked, and what went wrong.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) asked: u64,
    pub(super) asked_again: u64,
    pub(super) failures: Vec<String>,
}

impl From<GoCalls> for Counted {
    fn from(GoCalls { asked, asked_again, failures }: GoCalls) -> Self {
        Self { asked, asked_again, failures }
    }
}

/// The load while it lasts: two services and two callers of each domain.
pub(super) struct Load {
    runtime: Runtime,
    stop: CancellationToken,
    rust: Vec<JoinHandle<Counted>>,
    go: Vec<GoCaller>,
    _go_services: Vec<GoService>,
}

impl Load {
    /// Starts services and callers. Each caller has been answered by every service once when this returns.
    pub(super) fn start(trio: &Trio) -> Self {
        let runtime = runtime();
        let stop = CancellationToken::new();
        let (go_services, mut services): (Vec<_>, Vec<_>) = trio.members.iter().map(|member| go_service(member, &trio.partners_of(member))).unzip();
        for member in &trio.members {
            services.push(runtime.block_on(rust_service(member, &trio.partners_of(member))));
        }
        let of_partners = |member: &Member| services.iter().filter(|service| service.id != member.id).cloned().collect::<Vec<_>>();
        let mut go: Vec<_> = trio.members.iter().map(|member| go_caller(member, of_partners(member))).collect();
        let rust = trio.members.iter().map(|member| {
            let callers = runtime.block_on(rust_callers(member, of_partners(member)));
            runtime.spawn(call_until(stop.clone(), callers))
        });
        let rust = rust.collect();
        go.iter_mut().for_each(GoCaller::ready);
        Self {
            runtime,
            stop,
            rust,
            go,
            _go_services: go_services,
        }
    }

    /// Ends the load and returns what came of it.
    pub(super) fn end(self) -> Counted {
        self.stop.cancel();
        let rust = self.rust.into_iter().map(|caller| self.runtime.block_on(caller).expect("a caller's end"));
        let mut all: Vec<_> = rust.collect();
        all.extend(self.go.into_iter().map(|caller| Counted::from(caller.end())));
        let mut sum = Counted::default();
        for counted in all {
            sum.asked += counted.asked;
            sum.asked_again += counted.asked_again;
            sum.failures.extend(counted.failures);
        }
        sum
    }

    /// Ends the load, in which there was so much and nothing failed.
    pub(super) fn ends_without_a_failure(self, least: u64) {
        let counted = self.end();
        assert!(
            counted.failures.is_empty(),
            "{} of {} failed: {:?}",
            counted.failures.len(),
            counted.asked,
            counted.failures
        );
        assert!(counted.asked >= least, "{} requests are no load", counted.asked);
        println!("{} requests, none failed, {} asked again", counted.asked, counted.asked_again);
    }
}

fn go_service(member: &Member, partners: &[&Member]) -> (GoService, Service) {
    let admitted: Vec<_> = partners.iter().map(|partner| partner.id.clone()).collect();
    let started = GoService::admitting(&member.agent.socket, &member.id, &admitted);
    let service = Service {
        address: started.address(),
        id: member.id.clone(),
    };
    (started, service)
}

fn go_caller(member: &Member, services: Vec<Service>) -> GoCaller {
    let services: Vec<_> = services.into_iter().map(|Service { address, id }| (address, id)).collect();
    GoCaller::start(&member.agent.socket, &member.id, EVERY, &services)
}

async fn rust_service(member: &Member, partners: &[&Member]) -> Service {
    let admitted: Vec<_> = partners.iter().map(|partner| partner.id.clone()).collect();
    let address = serve_admitting(source(&member.agent).await, TrustDomainPolicy::AnyInBundleSet, &admitted).await;
    Service {
        address,
        id: member.id.clone(),
    }
}

async fn rust_callers(member: &Member, services: Vec<Service>) -> Vec<(Caller, String)> {
    let source = source(&member.agent).await;
    let mut callers = Vec::new();
    for Service { address, id } in services {
        let caller = Caller::new(source.clone(), address, &id);
        let pair = format!("{} to {id} at {address}", member.id);
        let _ = until_async(&pair, async || caller.request().await.ok()).await;
        callers.push((caller, pair));
    }
    callers
}

async fn call_until(stop: CancellationToken, callers: Vec<(Caller, String)>) -> Counted {
    let mut counted = Counted::default();
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return counted,
            _ = tick.tick() => {}
        }
        for (caller, pair) in &callers {
            counted.asked += 1;
            match tokio::time::timeout(PATIENCE, caller.request_until_converted()).await {
                Ok(Ok(answered)) => counted.asked_again += answered.asked_again,
                Ok(Err(error)) => counted.failures.push(format!("{pair}: {error}")),
                Err(_) => counted.failures.push(format!("{pair}: no answer")),
            }
        }
    }
}
