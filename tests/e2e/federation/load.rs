//! A steady load over mutual TLS across trust domains, by the public clients of Rust and Go: every workload calls every service of the other domains, on a
//! connection of its own each time.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use spiffe_rustls::TrustDomainPolicy;
use tests::admin::runtime;
use tests::domain::path_text;
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
        let go_services: Vec<_> = trio.members.iter().map(|member| GoService::start(member, &trio.partners_of(member))).collect();
        let mut services: Vec<_> = go_services.iter().map(|started| started.service.clone()).collect();
        for member in &trio.members {
            services.push(runtime.block_on(rust_service(member, &trio.partners_of(member))));
        }
        let of_partners = |member: &Member| services.iter().filter(|service| service.id != member.id).cloned().collect::<Vec<_>>();
        let mut go: Vec<_> = trio.members.iter().map(|member| GoCaller::start(member, &of_partners(member))).collect();
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
        all.extend(self.go.into_iter().map(GoCaller::end));
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

/// The client in Go with these arguments, which goes on until its standard input ends.
fn go_client(socket: &Path, id: &str, word: &str, arguments: &[String]) -> (Child, BufReader<ChildStdout>) {
    let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let client = std::env::var_os("TROTH_GO_CLIENT").map_or_else(|| checkout.join("build/go-client"), PathBuf::from);
    let mut command = Command::new(&client);
    command.args([word, path_text(socket), id]).args(arguments);
    command.env_remove("SPIFFE_ENDPOINT_SOCKET").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; build it: tests/run e2e", client.display()));
    let told = BufReader::new(child.stdout.take().expect("a pipe"));
    (child, told)
}

fn line(told: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    told.read_line(&mut line).expect("a line");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
}

/// A service in Go, by go-spiffe.
pub(super) struct GoService {
    child: Child,
    service: Service,
}

impl GoService {
    fn start(member: &Member, partners: &[&Member]) -> Self {
        let admitted: Vec<_> = partners.iter().map(|partner| partner.id.clone()).collect();
        Self::admitting(&member.agent.socket, &member.id, &admitted)
    }

    /// Starts one that admits these identities.
    pub(super) fn admitting(socket: &Path, id: &str, admitted: &[String]) -> Self {
        let (child, mut told) = go_client(socket, id, "admit", admitted);
        let address = line(&mut told)["address"].as_str().expect("an address").parse().expect("an address");
        let service = Service { address, id: id.to_owned() };
        Self { child, service }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.service.address
    }
}

impl Drop for GoService {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A caller in Go, by go-spiffe.
struct GoCaller {
    child: Child,
    told: BufReader<ChildStdout>,
}

impl GoCaller {
    fn start(member: &Member, services: &[Service]) -> Self {
        let mut arguments = vec![EVERY.as_millis().to_string()];
        arguments.extend(services.iter().flat_map(|service| [service.address.to_string(), service.id.clone()]));
        let (child, told) = go_client(&member.agent.socket, &member.id, "load", &arguments);
        Self { child, told }
    }

    /// Waits until every service has answered once; the client gives up by itself.
    fn ready(&mut self) {
        assert_eq!(line(&mut self.told)["ready"], true);
    }

    fn end(mut self) -> Counted {
        drop(self.child.stdin.take());
        let mut counted = Counted::default();
        loop {
            let line = line(&mut self.told);
            if let Some(asked) = line["asked"].as_u64() {
                counted.asked = asked;
                counted.asked_again = line["asked_again"].as_u64().expect("how often it asked again");
                return counted;
            }
            counted.failures.push(line.to_string());
        }
    }
}

impl Drop for GoCaller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
