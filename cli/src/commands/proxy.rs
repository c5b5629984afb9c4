//! `troth proxy`: mTLS in front of a program without TLS, or on behalf of one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use platform::clock::SystemClock;
use sidecar::proxy::{ProxyConfig, RawListener, RawProxyConfig};

use super::svid::socket::SocketArgs;
use crate::args::Global;
use crate::environment;
use crate::failure::{Failure, usage};

/// Speaks mTLS for programs that cannot.
#[derive(Debug, Subcommand)]
pub(crate) enum ProxyCommand {
    /// Takes peers in over mTLS, and passes them on to a program without TLS.
    #[command(
        after_help = "Examples:\n  troth proxy inbound --listen 0.0.0.0:8443 --target 127.0.0.1:8080 --allow spiffe://prod.example.org/web\n  troth proxy inbound --listen 0.0.0.0:5433 --target unix:/run/db.sock --allow /api/* --proxy-protocol"
    )]
    Inbound(Box<InboundArgs>),
    /// Takes a local program without TLS in, and goes on to a peer over mTLS.
    #[command(
        after_help = "Examples:\n  troth proxy outbound --listen 127.0.0.1:8080 --target api.prod.example.org:8443 --allow spiffe://prod.example.org/api\n  troth proxy outbound --listen unix:/run/app/api.sock --target api:8443 --allow spiffe://partner.example"
    )]
    Outbound(Box<OutboundArgs>),
    /// Runs the listeners of a configuration file.
    #[command(after_help = "Example:\n  troth proxy run --config /etc/troth/proxy.toml")]
    Run(Box<WholeArgs>),
}

/// What to do about options that make no listener.
const FLAGS_HINT: &str = "correct the options that are named; troth proxy inbound --help and troth proxy outbound --help list them";

/// What belongs to the proxy as a whole.
#[derive(Debug, Args)]
pub(crate) struct WholeArgs {
    /// The Workload API socket, as a path or unix:// [default: $SPIFFE_ENDPOINT_SOCKET, then /run/troth/workload.sock or that of this user].
    #[arg(long, value_name = "PATH")]
    socket: Option<String>,
    /// Which identity is shown, where the process has several, whole or as a path like /web [default: the first].
    #[arg(long, value_name = "ID")]
    spiffe_id: Option<String>,
    /// Where metrics and probes are served, or off [default: off].
    #[arg(long, value_name = "ADDR|off")]
    telemetry_listen: Option<String>,
    /// How long open connections may go on after the proxy was told to end [default: 30s].
    #[arg(long, value_name = "D")]
    drain: Option<String>,
    /// Ends when the process that started it ends.
    #[arg(long, hide = true)]
    die_with_parent: bool,
}

/// An inbound listener.
#[derive(Debug, Args)]
pub(crate) struct InboundArgs {
    #[command(flatten)]
    listener: ListenerArgs,
    /// Tells the program who the peer is, by the PROXY protocol, version 2 (docs/proxy.md).
    #[arg(long)]
    proxy_protocol: bool,
    #[command(flatten)]
    whole: WholeArgs,
}

/// An outbound listener.
#[derive(Debug, Args)]
pub(crate) struct OutboundArgs {
    #[command(flatten)]
    listener: ListenerArgs,
    #[command(flatten)]
    whole: WholeArgs,
}

/// What both directions have.
#[derive(Debug, Args)]
pub(crate) struct ListenerArgs {
    /// Where connections are accepted.
    #[arg(long, value_name = "ADDR|unix:PATH")]
    listen: String,
    /// Where they go on to.
    #[arg(long, value_name = "HOST:PORT|unix:PATH")]
    target: String,
    /// A peer that is wanted: a SPIFFE ID, all below a path (spiffe://TD/path/*), or a trust domain (spiffe://TD); repeat it for more.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    allow: Vec<String>,
    /// Every workload of the own trust domain is wanted.
    #[arg(long)]
    allow_any: bool,
    /// What it is called in records and metrics [default: its direction].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The least version of TLS, 1.2 or 1.3 [default: 1.3].
    #[arg(long, value_name = "VERSION")]
    min_tls: Option<String>,
    /// An application protocol of ALPN, best first, as h2; repeat it for more [default: none is negotiated].
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    alpn: Vec<String>,
    /// The most open connections [default: 10000, or what the limit of open files leaves room for].
    #[arg(long, value_name = "N")]
    max_connections: Option<u64>,
    /// The most open connections of one address or local user [default: half of all inbound, all outbound].
    #[arg(long, value_name = "N")]
    max_connections_per_source: Option<u64>,
    /// How long a handshake may take [default: 10s].
    #[arg(long, value_name = "D")]
    handshake_deadline: Option<String>,
    /// How long the target may take to accept [default: 5s].
    #[arg(long, value_name = "D")]
    connect_deadline: Option<String>,
    /// How long a connection may be silent [default: for ever].
    #[arg(long, value_name = "D")]
    idle: Option<String>,
    /// Lets the side without TLS be another machine's: what goes there can be read and changed on the way.
    #[arg(long)]
    plaintext_network: bool,
    /// The mode of a listening Unix socket [default: 0600].
    #[arg(long, value_name = "MODE")]
    socket_mode: Option<String>,
}

/// Carries out a proxy command.
pub(crate) async fn run(command: ProxyCommand, global: &Global) -> Result<(), Failure> {
    let (whole, listener) = match command {
        ProxyCommand::Inbound(args) => {
            let listener = RawListener {
                proxy_protocol: args.proxy_protocol,
                ..args.listener.into_raw("inbound")
            };
            (args.whole, Some(listener))
        }
        ProxyCommand::Outbound(args) => (args.whole, Some(args.listener.into_raw("outbound"))),
        ProxyCommand::Run(args) => (*args, None),
    };
    environment::die_with_parent(whole.die_with_parent)?;
    environment::start_logging(global)?;
    let from_flags = RawProxyConfig {
        socket: whole.socket,
        spiffe_id: whole.spiffe_id,
        telemetry_listen: whole.telemetry_listen,
        drain: whole.drain,
        listener: listener.into_iter().collect(),
    };
    let config = if from_flags.listener.is_empty() {
        let draft = RawProxyConfig::read(&config_file(global)?).map_err(|error| Failure::of(&error))?;
        draft
            .finish(|file| ProxyConfig::new(from_flags.over(file)))
            .map_err(|error| Failure::of(&error))
    } else {
        // There is no file: what is wrong is an option.
        ProxyConfig::new(from_flags).map_err(|error| Failure::of(&error).with_hint(FLAGS_HINT))
    }?;
    let socket = SocketArgs::of(config.socket.as_ref().map(ToString::to_string)).find()?;
    let shutdown = platform::process::shutdown_signal()?;
    let ran = sidecar::proxy::run(config, socket, SystemClock::shared(), shutdown).await;
    ran.map_err(|error| Failure::of(&error))
}

/// The file that was named, else the one in the default place.
fn config_file(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(named) = &global.config {
        return Ok(named.clone());
    }
    let default = platform::paths::Environment::of_process().proxy_config().map_err(|error| Failure::of(&error))?;
    if default.is_file() {
        return Ok(default);
    }
    Err(usage(format!("there is no {}", default.display()))
        .with_hint("name the file: troth proxy run --config FILE; one listener needs none: troth proxy inbound"))
}

impl ListenerArgs {
    fn into_raw(self, direction: &str) -> RawListener {
        RawListener {
            name: self.name,
            direction: direction.to_owned(),
            listen: self.listen,
            target: self.target,
            allow: self.allow,
            allow_any: self.allow_any,
            proxy_protocol: false,
            min_tls: self.min_tls,
            alpn: self.alpn,
            max_connections: self.max_connections,
            max_connections_per_source: self.max_connections_per_source,
            handshake_deadline: self.handshake_deadline,
            connect_deadline: self.connect_deadline,
            idle: self.idle,
            plaintext_network: self.plaintext_network,
            socket_mode: self.socket_mode,
        }
    }
}
