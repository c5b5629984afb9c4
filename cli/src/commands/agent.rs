//! `troth agent`: runs and asks the agent of this node.

use std::io::Read as _;

use agent::config::{AgentConfig, RawAgentConfig};
use clap::{Args, Subcommand};
use platform::paths::Environment;
use platform::service_manager::HandedSockets;
use trust_domains::wire::agent::{AgentStatus, HookStatus};

use crate::admin::{AdminClient, AgentPlace};
use crate::args::Global;
use crate::environment::{self, Role};
use crate::failure::Failure;
use crate::output::fields;

/// The longest join link: an address, a trust domain name, a token and a few root hashes.
const MAX_LINK: u64 = 4096;

/// Runs and asks the agent of this node.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Runs the agent until it is told to end; the first time it joins by a link or a certificate.
    Run(Box<RunArgs>),
    /// Shows how the agent is.
    #[command(after_help = "Example:\n  troth agent status")]
    Status(PlaceArgs),
    /// Leaves the trust domain: the server forgets this node, the agent deletes its identity and ends.
    #[command(after_help = "Example:\n  troth agent leave")]
    Leave(PlaceArgs),
}

/// Only says where the agent is.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    #[command(flatten)]
    place: AgentPlace,
}

/// Runs the agent.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  troth agent run --join - < link.txt\n  troth agent run --sink spiffe://prod.example.org/web=/etc/nginx/svid")]
pub(crate) struct RunArgs {
    /// Where the agent keeps its data [default: /var/lib/troth/agent as root, else under the XDG directories].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The file of the key that seals what it keeps [default: DATA_DIR.seal.key].
    #[arg(long, value_name = "F")]
    key_file: Option<String>,
    /// What opens what it keeps, where that is no key file: passphrase, passphrase:FILE, credential:NAME or a PKCS#11 URI (docs/key-sources.md).
    #[arg(long, value_name = "SOURCE", conflicts_with = "key_file")]
    key_source: Option<String>,
    /// The join link, or - to read it from standard input. In argv others on this machine can read it; TROTH_JOIN and --join-file keep it out of there.
    #[arg(long, value_name = "LINK|-", conflicts_with = "join_file")]
    join: Option<String>,
    /// The file that holds the join link; it is read only while the agent has no identity.
    #[arg(long, value_name = "F")]
    join_file: Option<String>,
    /// Joins by a certificate instead of a link: x509pop. It needs --attest-cert, --attest-key, --server, --trust-domain, and --trust-bundle or --root-sha256.
    #[arg(long, value_name = "x509pop", conflicts_with_all = ["join", "join_file"])]
    attest: Option<String>,
    /// The certificate chain that it joins by, in PEM, leaf first; read at each attempt.
    #[arg(long, value_name = "FILE")]
    attest_cert: Option<String>,
    /// The private key of that certificate, in PEM.
    #[arg(long, value_name = "FILE")]
    attest_key: Option<String>,
    /// The server to join at, where no link names it.
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
    /// The trust domain to join, where no link names it.
    #[arg(long, value_name = "TD")]
    trust_domain: Option<String>,
    /// The roots by which the server proves itself at the first connection: a SPIFFE bundle, or PEM.
    #[arg(long, value_name = "FILE", conflicts_with = "root_sha256")]
    trust_bundle: Option<String>,
    /// The SHA-256 of such a root; repeat it for more.
    #[arg(long, value_name = "HEX", value_delimiter = ',')]
    root_sha256: Vec<String>,
    /// The Workload API socket [default: /run/troth/workload.sock as root, else under the XDG directories].
    #[arg(long, value_name = "PATH")]
    workload_socket: Option<String>,
    /// The socket of Envoy's secret discovery [default: the workload socket's name with .sds.sock].
    #[arg(long, value_name = "PATH")]
    sds_socket: Option<String>,
    /// Where metrics and probes are served, or off [default: 127.0.0.1:9465].
    #[arg(long, value_name = "ADDR|off")]
    telemetry_listen: Option<String>,
    /// Delivers the identity ID as files in DIR; repeat it for more.
    #[arg(long = "sink", value_name = "ID=DIR")]
    sinks: Vec<String>,
    /// The most workload streams of one user [default: 1000].
    #[arg(long, value_name = "N")]
    max_streams_per_uid: Option<u64>,
    /// How far the clocks of those who issue tokens may differ when a token is validated [default: 30s, at most 5m].
    #[arg(long, value_name = "D")]
    jwt_leeway: Option<String>,
    /// Keeps no workload credentials on disk: after a restart none is served until the server answers.
    #[arg(long)]
    no_cache: bool,
    /// The socket of the Broker API, in a directory of its own; needs --enable broker.
    #[arg(long, value_name = "PATH")]
    broker_socket: Option<String>,
    /// The TCP address of the Broker API; needs --enable broker.
    #[arg(long, value_name = "ADDR")]
    broker_listen: Option<String>,
    /// Lets the identity ID act for other workloads, by references of these types, of pid; repeat it for more.
    #[arg(long, value_name = "ID=TYPE,..")]
    broker_allow: Vec<String>,
    /// Switches on what is off by default, of broker and wit: parts of the SPIFFE standards that may still change.
    #[arg(long, value_name = "FEATURE,..", value_delimiter = ',')]
    enable: Vec<String>,
    /// Ends when the process that started it ends.
    #[arg(long, hide = true)]
    die_with_parent: bool,
}

/// Carries out an agent command.
pub(crate) async fn run(command: AgentCommand, handed: HandedSockets, global: &Global) -> Result<(), Failure> {
    match command {
        AgentCommand::Run(args) => serve(*args, handed, global).await,
        AgentCommand::Status(args) => {
            let status: AgentStatus = AdminClient::find_agent(&args.place, global)?.get("/v1/agent/status").await?;
            global.output().result(&status, status_text)
        }
        AgentCommand::Leave(args) => {
            let () = AdminClient::find_agent(&args.place, global)?
                .post("/v1/agent/leave", &serde_json::json!({}))
                .await?;
            global.output().result(&serde_json::json!({ "left": true }), |_| {
                "left; to join again: troth token create on the server, then troth agent run --join LINK".to_owned()
            })
        }
    }
}

async fn serve(args: RunArgs, handed: HandedSockets, global: &Global) -> Result<(), Failure> {
    environment::die_with_parent(args.die_with_parent)?;
    environment::start_logging(global)?;
    let join = join_link(&args, global)?;
    let file = environment::config_file(global, Role::Agent);
    let from_file = RawAgentConfig::read(file.as_deref()).map_err(|error| Failure::of(&error))?;
    let from_flags = RawAgentConfig {
        data_dir: args.data_dir,
        key_file: args.key_file,
        key_source: args.key_source,
        join,
        join_file: args.join_file,
        attest: args.attest,
        attest_cert: args.attest_cert,
        attest_key: args.attest_key,
        server: args.server,
        trust_domain: args.trust_domain,
        trust_bundle: args.trust_bundle,
        root_sha256: (!args.root_sha256.is_empty()).then_some(args.root_sha256),
        workload_socket: args.workload_socket,
        sds_socket: args.sds_socket,
        telemetry_listen: args.telemetry_listen,
        sinks: args.sinks,
        max_streams_per_uid: args.max_streams_per_uid,
        jwt_leeway: args.jwt_leeway,
        no_cache: args.no_cache.then_some(true),
        broker_socket: args.broker_socket,
        broker_listen: args.broker_listen,
        broker_allow: args.broker_allow,
        enable: (!args.enable.is_empty()).then_some(args.enable),
        ..RawAgentConfig::default()
    };
    let config = from_file.finish(|from_file| AgentConfig::new(from_flags.over(from_file), &Environment::of_process()));
    let config = config.map_err(|error| Failure::of(&error))?;
    let shutdown = platform::process::shutdown_signal()?;
    agent::run::run(config, handed, platform::clock::SystemClock::shared(), shutdown)
        .await
        .map_err(|error| Failure::of(&error))
}

/// The link: from the flag, standard input, or `TROTH_JOIN`; a file that is named counts more than the last.
fn join_link(args: &RunArgs, global: &Global) -> Result<Option<String>, Failure> {
    match args.join.as_deref() {
        Some("-") => read_link(std::io::stdin().lock()).map(Some),
        Some(link) => {
            if std::env::args_os().any(|word| word.to_str().is_some_and(|word| word.contains("troth://"))) {
                global
                    .output()
                    .warn("the join link is a secret and stands in the process list: prefer --join - or --join-file");
            }
            Ok(Some(link.to_owned()))
        }
        None if args.join_file.is_some() => Ok(None),
        None => Ok(std::env::var("TROTH_JOIN").ok().filter(|link| !link.is_empty())),
    }
}

fn read_link(source: impl std::io::Read) -> Result<String, Failure> {
    let mut text = String::new();
    source.take(MAX_LINK).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

fn status_text(status: &AgentStatus) -> String {
    let dash = || "-".to_owned();
    let since = status.since.map(|since| format!(" since {since}")).unwrap_or_default();
    let mut rows = vec![
        ("SPIFFE ID", status.spiffe_id.as_ref().map_or_else(dash, ToString::to_string)),
        ("server", status.server.clone().unwrap_or_else(dash)),
        ("connected", format!("{}{since}", if status.connected { "yes" } else { "no" })),
        ("expires", status.expires_at.map_or_else(dash, |time| time.to_string())),
        ("revision", status.revision.map_or_else(dash, |revision| revision.to_string())),
        ("entries", status.entries.to_string()),
        ("SVIDs", status.svids.to_string()),
        ("JWT-SVIDs", status.jwt_svids.to_string()),
        ("WIT-SVIDs", status.wit_svids.to_string()),
        ("streams", status.streams.to_string()),
        ("socket", status.workload_socket.clone()),
        ("SDS streams", status.sds_streams.to_string()),
        ("SDS socket", status.sds_socket.clone()),
    ];
    if !status.broker_addresses.is_empty() {
        rows.push(("broker streams", status.broker_streams.to_string()));
        rows.push(("broker", status.broker_addresses.join(", ")));
    }
    let mut text = fields(&rows);
    for sink in &status.sinks {
        let state = sink
            .last_error
            .clone()
            .or_else(|| sink.serial.as_ref().map(|serial| format!("serial {serial}")))
            .unwrap_or_else(|| "nothing delivered yet".to_owned());
        text.push_str(&format!("sink {} in {}: {state}\n", sink.spiffe_id, sink.directory));
        for hook in &sink.hooks {
            text.push_str(&format!("  {}: {}\n", hook.hook, reload_state(hook)));
        }
    }
    if let Some(error) = &status.last_error {
        text.push_str(&format!("last error: {error}\n"));
    }
    text
}

/// Says of a reload hook what an operator asks: does the program use what was delivered, and if not, why not and when is it tried again.
fn reload_state(hook: &HookStatus) -> String {
    let success = match (hook.last_success, &hook.serial) {
        (Some(at), Some(serial)) if hook.not_running => format!("the program did not run at {at}, with serial {serial} in place"),
        (Some(at), Some(serial)) => format!("done at {at} with serial {serial}"),
        (Some(at), None) => format!("done at {at}"),
        (None, _) => "not done yet".to_owned(),
    };
    let Some(error) = &hook.last_error else { return success };
    let given_up = if hook.given_up { "given up, and tried on" } else { "failing" };
    let next = hook.next_try.map_or_else(String::new, |at| format!(", next try at {at}"));
    format!("{success}; {given_up}, {} failed{next}: {error}", hook.failures)
}
