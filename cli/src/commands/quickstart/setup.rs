//! Brings a quickstart up: trust domain, server, agent, entry.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use trust_domains::TrustDomain;
use trust_domains::duration::format_duration;
use trust_domains::problem::Code;
use trust_domains::wire::admin::{EntryView, Health, HealthState, TokenCreated};

use super::directory::{Directory, Mark};
use super::events::Show;
use super::parts::{Parts, call, failed};
use crate::failure::Failure;

/// The name of the one node.
const NODE: &str = "quickstart";

/// The life of the demo's SVIDs: a rotation is seen within half a minute.
const DEMO_TTL: &str = "60s";

/// How long a part may take until it is ready; it takes a tenth of a second on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How often a part that starts is asked.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Whether a trust domain is shown by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// By itself.
    Alone,
    /// With a bundle endpoint, so that a partner fetches its bundle.
    Federated,
}

/// Brings everything of one trust domain up and returns its name, which an earlier run may have chosen.
pub(super) async fn bring_up(
    directory: &Directory,
    trust_domain: TrustDomain,
    reach: Reach,
    parts: &mut Parts,
    show: &mut Show,
) -> Result<TrustDomain, Failure> {
    let mark = prepare(directory, trust_domain, reach, show).await?;
    start_server(directory, &mark, reach, parts, show).await?;
    start_agent(directory, &mark, parts, show).await?;
    make_entry(directory, &mark, show).await?;
    Ok(mark.trust_domain)
}

async fn start_server(directory: &Directory, mark: &Mark, reach: Reach, parts: &mut Parts, show: &mut Show) -> Result<(), Failure> {
    let data = text(&directory.server_data());
    let address = loopback(mark.port);
    let bundles = mark.bundle_port.filter(|_| reach == Reach::Federated).map(loopback);
    let mut arguments = vec!["server", "run", "--data-dir", &data, "--listen", &address];
    arguments.extend(["--telemetry-listen", "off", "--die-with-parent"]);
    if let Some(bundles) = &bundles {
        arguments.extend(["--bundle-listen", bundles, "--bundle-profile", "https_spiffe", "--federation-allow-loopback"]);
    }
    let (name, log) = (directory.part("server"), directory.log("server"));
    parts.start(&name, &log, &arguments, None).await?;
    ready(&name, &log, &["health", "server", "--data-dir", &data], parts).await?;
    let endpoint = bundles.map(|bundles| format!(", its bundle endpoint on {bundles}")).unwrap_or_default();
    show.step(&format!("the server of {} answers on {address}{endpoint}", mark.trust_domain));
    Ok(())
}

fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Makes the trust domain, or goes on with the one that is there; a port that was taken since is replaced.
async fn prepare(directory: &Directory, trust_domain: TrustDomain, reach: Reach, show: &mut Show) -> Result<Mark, Failure> {
    let mark = prepare_alone(directory, trust_domain, show).await?;
    if reach == Reach::Alone || mark.bundle_port.is_some_and(is_free) {
        return Ok(mark);
    }
    let mark = Mark {
        bundle_port: Some(free_port()?),
        ..mark
    };
    directory.set_mark(&mark)?;
    Ok(mark)
}

async fn prepare_alone(directory: &Directory, trust_domain: TrustDomain, show: &mut Show) -> Result<Mark, Failure> {
    let server_data = text(&directory.server_data());
    match directory.mark()? {
        Some(mark) if is_free(mark.port) => {
            show.step(&format!("going on with {} in {}", mark.trust_domain, directory.root().display()));
            Ok(mark)
        }
        Some(mark) => {
            let mark = Mark { port: free_port()?, ..mark };
            // The agent keeps the old address with its identity: without it, it joins again under the new one.
            forget_agent(directory)?;
            directory.set_mark(&mark)?;
            show.step(&format!("the old port is taken: the server moves to {}", mark.port));
            Ok(mark)
        }
        None => {
            forget_half_made(directory)?;
            let _: serde_json::Value = call(&[
                "server",
                "init",
                "--trust-domain",
                trust_domain.as_str(),
                "--data-dir",
                &server_data,
                "--no-recovery",
            ])
            .await?;
            let mark = Mark {
                trust_domain,
                port: free_port()?,
                bundle_port: None,
            };
            directory.set_mark(&mark)?;
            show.step(&format!("made the trust domain {} in {}", mark.trust_domain, directory.root().display()));
            Ok(mark)
        }
    }
}

/// A run that was interrupted before it left its mark made nothing that anyone uses.
fn forget_half_made(directory: &Directory) -> Result<(), Failure> {
    let data = directory.server_data();
    for path in [data.clone(), with_suffix(&data)] {
        remove_if_there(&path)?;
    }
    forget_agent(directory)
}

fn forget_agent(directory: &Directory) -> Result<(), Failure> {
    let data = directory.agent_data();
    remove_if_there(&with_suffix(&data))?;
    remove_if_there(&data)
}

/// The sealing key beside a data directory.
fn with_suffix(data: &Path) -> std::path::PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(".seal.key");
    name.into()
}

fn remove_if_there(path: &Path) -> Result<(), Failure> {
    let removed = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

async fn start_agent(directory: &Directory, mark: &Mark, parts: &mut Parts, show: &mut Show) -> Result<(), Failure> {
    let data = text(&directory.agent_data());
    let sink = format!("spiffe://{}/demo={}", mark.trust_domain, directory.sink().display());
    let socket = text(&directory.workload_socket());
    let mut arguments = vec![
        "agent",
        "run",
        "--data-dir",
        &data,
        "--workload-socket",
        &socket,
        "--sink",
        &sink,
        "--telemetry-listen",
        "off",
        "--die-with-parent",
    ];
    let link = if has_identity(directory) { None } else { Some(join_link(directory).await?) };
    if link.is_some() {
        arguments.extend(["--join", "-"]);
    }
    let (name, log) = (directory.part("agent"), directory.log("agent"));
    parts.start(&name, &log, &arguments, link.as_deref()).await?;
    ready(&name, &log, &["health", "agent", "--data-dir", &data], parts).await?;
    show.step(&format!("the agent of node {NODE} of {} serves {socket}", mark.trust_domain));
    Ok(())
}

fn has_identity(directory: &Directory) -> bool {
    directory.agent_data().join("identity.sealed").exists()
}

async fn join_link(directory: &Directory) -> Result<String, Failure> {
    let token: TokenCreated = call(&[
        "token",
        "create",
        "--node-id",
        NODE,
        "--ttl",
        "10m",
        "--data-dir",
        &text(&directory.server_data()),
    ])
    .await?;
    Ok(token.link.to_link().clone())
}

/// One entry for whoever runs this: any process of the calling user gets the demo identity.
async fn make_entry(directory: &Directory, mark: &Mark, show: &mut Show) -> Result<(), Failure> {
    let uid = format!("unix:uid:{}", rustix::process::getuid().as_raw());
    let server_data = text(&directory.server_data());
    let arguments = [
        "entry",
        "create",
        "--spiffe-id",
        "/demo",
        "--selector",
        &uid,
        "--class",
        "fast",
        "--x509-ttl",
        DEMO_TTL,
        "--parent",
        NODE,
        "--wait",
        "--data-dir",
        &server_data,
    ];
    let entry: EntryView = match call(&arguments).await {
        // An earlier run, or whoever played with it, has changed the entry: it is shown as it is.
        Err(error) if error.code() == Code::EntryExists => call(&["entry", "show", "/demo", "--data-dir", &server_data]).await?,
        made => made?,
    };
    show.step(&format!("every process with {uid} is {} on {}", entry.spiffe_id, mark.trust_domain));
    Ok(())
}

async fn ready(name: &str, log: &Path, question: &[&str], parts: &mut Parts) -> Result<(), Failure> {
    let waiting = async {
        loop {
            parts.check()?;
            // While it starts nobody answers, or it says `starting`.
            if call::<Health>(question).await.is_ok_and(|health| health.state == HealthState::Ready) {
                return Ok(());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, waiting)
        .await
        .unwrap_or_else(|_| Err(failed(name, log, &format!("it was not ready within {}", format_duration(READY_WITHIN)))))
}

fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
