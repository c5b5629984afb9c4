//! `troth server`: makes a trust domain and runs its server.

mod backup;
mod bundle_endpoint;
mod rekey;
mod restore;

use std::path::{Path, PathBuf};

use ca_server::authority::upstream::UpstreamFiles;
use ca_server::config::{RawServerConfig, ServerConfig, SigningKeysPlace, UpstreamConfig};
use ca_server::init::{InitParams, InitReport, RecoveryChoice};
use clap::{Args, Subcommand};
use platform::paths::Environment;
use platform::sealing::KeySourceSpec;
use serde::Serialize;
use trust_domains::TrustDomain;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::plan::upstream::AskedUse;

use self::bundle_endpoint::BundleEndpointArgs;
use crate::args::Global;
use crate::environment::{self, Role};
use crate::failure::Failure;
use crate::output::fields;

/// Makes a trust domain and runs its server.
#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Makes a trust domain in an empty data directory: root, first issuing CA and JWT key, sealed keys, recovery key.
    Init(Box<InitArgs>),
    /// Runs the server until it is told to end.
    Run(Box<RunArgs>),
    /// Writes a backup of the whole store, sealed to the recovery key; while the server runs, or when it does not.
    Backup(backup::BackupArgs),
    /// Wraps the store's data key by another key source: a new key file, a passphrase, a systemd credential, a PKCS#11 token.
    Rekey(rekey::RekeyArgs),
    /// Restores a trust domain from a backup, on a machine with nothing but the backup and the recovery key.
    Restore(restore::RestoreArgs),
}

/// Makes a trust domain.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth server init --trust-domain prod.example.org")]
pub(crate) struct InitArgs {
    /// The trust domain's name: lower-case letters, digits, dots, dashes, underscores.
    #[arg(long, value_name = "TD")]
    trust_domain: TrustDomain,
    /// Where the server keeps its data [default: /var/lib/troth/server as root, else under the XDG directories].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The file of the key that seals the secrets [default: DATA_DIR.seal.key]; one that exists is used.
    #[arg(long, value_name = "F")]
    key_file: Option<PathBuf>,
    /// What seals the secrets, where that is no key file: passphrase, passphrase:FILE, passphrase:- (standard input), credential:NAME (systemd), or a PKCS#11 URI; docs/key-sources.md.
    #[arg(long, value_name = "SOURCE", conflicts_with = "key_file")]
    key_source: Option<KeySourceSpec>,
    /// Where root, issuing CA and token keys are made: store (sealed), or a PKCS#11 URI of a token, which they never leave. It is remembered.
    #[arg(long, value_name = "PLACE", default_value = "store")]
    signing_keys: SigningKeysPlace,
    /// Writes the recovery key to this new file instead of printing it.
    #[arg(long, value_name = "F", conflicts_with = "no_recovery")]
    recovery_key_file: Option<PathBuf>,
    /// Goes without a recovery key: who loses the key file loses the trust domain.
    #[arg(long)]
    no_recovery: bool,
    /// What the first JWT key signs with: ES256, or RS256 for relying parties that verify nothing else; `server run` takes the same option.
    #[arg(long, value_name = "ALGORITHM", default_value_t)]
    jwt_algorithm: TokenAlgorithm,
    #[command(flatten)]
    upstream: UpstreamArgs,
}

/// The upstream authority that certifies the root.
#[derive(Debug, Args)]
pub(crate) struct UpstreamArgs {
    /// The certificates of an upstream authority, in PEM, the one that signs first: it certifies the root's key; `server run` looks at it again when it changes.
    #[arg(long, value_name = "F", requires = "upstream_key")]
    upstream_cert: Option<String>,
    /// The private key of the first of them, in PEM; read to sign, never stored.
    #[arg(long, value_name = "F", requires = "upstream_cert")]
    upstream_key: Option<String>,
    /// Declares that the upstream authority issues for this trust domain alone: its root comes into the bundle [default: as at init, there false].
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    upstream_dedicated: Option<bool>,
    /// Sends the cross-certificate along in chains, for those who trust the upstream authority alone [default: as at init, there false].
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    send_cross_certificate: Option<bool>,
}

/// Runs the server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  troth server run\n  troth server run --data-dir /srv/troth --listen 10.0.0.5:8443 --advertise ca.example.org:8443")]
pub(crate) struct RunArgs {
    /// Where the server keeps its data [default: /var/lib/troth/server as root, else under the XDG directories].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The file of the key that seals the secrets [default: DATA_DIR.seal.key].
    #[arg(long, value_name = "F")]
    key_file: Option<String>,
    /// What seals the secrets, where that is no key file: passphrase, passphrase:FILE, passphrase:- (standard input), credential:NAME (systemd), or a PKCS#11 URI; docs/key-sources.md.
    #[arg(long, value_name = "SOURCE", conflicts_with = "key_file")]
    key_source: Option<String>,
    /// Where new signing keys are made: store (sealed), or a PKCS#11 URI of a token, which they never leave [default: as before; it is remembered].
    #[arg(long, value_name = "PLACE")]
    signing_keys: Option<String>,
    /// The node API's address [default: 0.0.0.0:8443].
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The address that join links name [default: a concrete --listen address, else this host's name].
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// The store: sled, embedded in the data directory [default: sled].
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// Where metrics and probes are served, or off [default: 127.0.0.1:9464].
    #[arg(long, value_name = "ADDR|off")]
    telemetry_listen: Option<String>,
    /// The life of an issuing CA [default: 7d].
    #[arg(long, value_name = "D")]
    issuing_ttl: Option<String>,
    /// The life of a node SVID [default: 24h].
    #[arg(long, value_name = "D")]
    node_ttl: Option<String>,
    /// How long after the end of its SVID a node may still renew it; 0s for not at all [default: 7d].
    #[arg(long, value_name = "D")]
    renewal_grace: Option<String>,
    /// The life of a key that signs JWT-SVIDs [default: 7d].
    #[arg(long, value_name = "D")]
    jwt_key_ttl: Option<String>,
    /// What JWT-SVIDs are signed with: ES256, or RS256 for relying parties that verify nothing else [default: as now].
    #[arg(long, value_name = "ALGORITHM")]
    jwt_algorithm: Option<String>,
    /// The life of a key that signs WIT-SVIDs, where they are enabled [default: 7d].
    #[arg(long, value_name = "D")]
    wit_key_ttl: Option<String>,
    /// Features that are off by default, separated by commas: wit (WIT-SVIDs, whose standard is incubating).
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    enable: Vec<String>,
    /// How long a new key waits for nodes to acknowledge it before it signs [default: 24h].
    #[arg(long, value_name = "D")]
    ack_deadline: Option<String>,
    /// How long an emergency waits for connected nodes at each of its steps, as `troth authority replace --compromised` starts one [default: 30s].
    #[arg(long, value_name = "D")]
    emergency_ack_deadline: Option<String>,
    /// The life of the next root [default: 365d].
    #[arg(long, value_name = "D")]
    root_ttl: Option<String>,
    /// The issuer that JWT-SVIDs name, for OpenID Connect relying parties [default: none].
    #[arg(long, value_name = "URL")]
    jwt_issuer: Option<String>,
    /// Claims that entries may have beside those of the standard; names separated by commas, or repeat it [default: none].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    jwt_claims: Vec<String>,
    #[command(flatten)]
    bundle_endpoint: BundleEndpointArgs,
    #[command(flatten)]
    upstream: UpstreamArgs,
    /// Lets the endpoints of partners be on this machine or its link: for trials [default: refused].
    #[arg(long)]
    federation_allow_loopback: bool,
    /// The CAs that are believed for partners' endpoints of the profile https_web, in PEM [default: those of this machine].
    #[arg(long, value_name = "FILE")]
    federation_web_roots: Option<String>,
    /// The proxy through which bundles of partners are fetched, as http://proxy.example.org:3128 [default: none, whatever the environment names].
    #[arg(long, value_name = "URL")]
    federation_proxy: Option<String>,
    /// Follows no redirects of partners' endpoints; in the file: redirects = false [default: at most five are followed].
    #[arg(long)]
    no_redirects: bool,
    /// When revocation lists are delivered: auto, once something was revoked, or always [default: auto].
    #[arg(long, value_name = "WHEN")]
    crl: Option<String>,
    /// The most bytes of all revocation lists together; for a longer set the fullest issuing CA is replaced and revoked [default: 2097152].
    #[arg(long, value_name = "N")]
    crl_max_bytes: Option<String>,
    /// Lets nodes join by certificates of the authorities in this PEM file; it is read at each attestation.
    #[arg(long, value_name = "FILE")]
    x509pop_ca: Option<String>,
    /// The revocation lists of those authorities, in PEM.
    #[arg(long, value_name = "FILE")]
    x509pop_crl: Option<String>,
    /// How such a node is named, with {cn}, {dns}, {fingerprint} or {serial} in it, as edge-{cn} [default: {fingerprint}].
    #[arg(long, value_name = "TEMPLATE")]
    x509pop_name: Option<String>,
    /// A DNS domain that certificates of entries may name, with all below it; repeat it for more [default: any].
    #[arg(long, value_name = "DOMAIN", value_delimiter = ',')]
    allow_dns: Vec<String>,
    /// A DNS domain that new issuing CAs are constrained to; repeat it for more [default: no constraint].
    #[arg(long, value_name = "DOMAIN", value_delimiter = ',')]
    permit_dns: Vec<String>,
    /// An address range that new issuing CAs are constrained to, as 10.0.0.0/8; repeat it for more [default: no constraint].
    #[arg(long, value_name = "RANGE", value_delimiter = ',')]
    permit_ip: Vec<String>,
    /// The longest credential class that entries may have: fast, medium or slow [default: slow].
    #[arg(long, value_name = "CLASS")]
    max_class: Option<String>,
    /// How far the clocks of verifiers may be behind this server's [default: 60s].
    #[arg(long, value_name = "D")]
    clock_skew: Option<String>,
    /// Ends when the process that started it ends.
    #[arg(long, hide = true)]
    die_with_parent: bool,
}

impl UpstreamArgs {
    /// Returns the upstream authority under which a trust domain begins, if one is named.
    fn asked(self) -> Option<UpstreamConfig> {
        let (certificate, key) = self.upstream_cert.zip(self.upstream_key)?;
        Some(UpstreamConfig {
            files: UpstreamFiles {
                certificate: certificate.into(),
                key: key.into(),
            },
            used: AskedUse {
                is_sent: self.send_cross_certificate,
                is_dedicated: self.upstream_dedicated,
            },
        })
    }
}

#[derive(Serialize)]
struct Initialised {
    trust_domain: TrustDomain,
    data_dir: PathBuf,
    key_file: Option<PathBuf>,
    key_source: String,
    recovery_key: Option<String>,
    recovery_key_file: Option<PathBuf>,
    root_sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
}

/// Carries out a server command.
pub(crate) async fn run(command: ServerCommand, global: &Global) -> Result<(), Failure> {
    match command {
        ServerCommand::Init(args) => init(*args, global).await,
        ServerCommand::Run(args) => serve(*args, global).await,
        ServerCommand::Backup(args) => backup::run(args, global).await,
        ServerCommand::Rekey(args) => rekey::run(args, global).await,
        ServerCommand::Restore(args) => restore::run(args, global).await,
    }
}

async fn init(args: InitArgs, global: &Global) -> Result<(), Failure> {
    let data_dir = environment::server_data_dir(args.data_dir.as_deref(), global)?;
    let recovery = match (&args.recovery_key_file, args.no_recovery) {
        (_, true) => RecoveryChoice::None,
        (Some(file), _) => RecoveryChoice::File(file.clone()),
        (None, false) => RecoveryChoice::Print,
    };
    let params = InitParams {
        trust_domain: args.trust_domain,
        data_dir,
        key_source: key_source(args.key_source, args.key_file)?,
        signing_keys: args.signing_keys,
        recovery,
        jwt_algorithm: args.jwt_algorithm,
        upstream: args.upstream.asked(),
        clock: platform::clock::SystemClock::shared(),
    };
    let report = ca_server::init::init(params).await.map_err(|error| Failure::of(&error))?;
    global.output().result(&document(report, args.recovery_key_file), initialised_text)
}

/// Returns the source that is named, with absolute paths: the report, and what is printed, mean the same from everywhere.
fn key_source(source: Option<KeySourceSpec>, file: Option<PathBuf>) -> Result<Option<KeySourceSpec>, Failure> {
    let named = source.or(file.map(KeySourceSpec::File));
    Ok(named.map(KeySourceSpec::absolute).transpose()?)
}

fn document(report: InitReport, recovery_key_file: Option<PathBuf>) -> Initialised {
    Initialised {
        trust_domain: report.trust_domain,
        data_dir: report.data_dir,
        key_file: report.key_source.key_file().map(Path::to_owned),
        key_source: report.key_source.to_string(),
        recovery_key: report.recovery_key.map(|key| key.to_string()),
        recovery_key_file,
        root_sha256: report.root_sha256.to_string(),
        upstream: report.upstream,
    }
}

fn initialised_text(made: &Initialised) -> String {
    let mut text = fields(&[
        ("trust domain", made.trust_domain.to_string()),
        ("data directory", made.data_dir.display().to_string()),
        match &made.key_file {
            Some(file) => ("key file", file.display().to_string()),
            None => ("key source", made.key_source.clone()),
        },
        ("root SHA-256", made.root_sha256.clone()),
    ]);
    if let Some(upstream) = &made.upstream {
        text.push_str(&fields(&[("certified by", upstream.clone())]));
    }
    if let Some(key) = &made.recovery_key {
        text.push_str(&format!("\nrecovery key, shown only now; keep it away from this machine:\n  {key}\n"));
    }
    let source = match &made.key_file {
        Some(_) => String::new(),
        None => format!(" --key-source '{}'", made.key_source),
    };
    text.push_str(&format!("\nnext: troth server run --data-dir {}{source}\n", made.data_dir.display()));
    text
}

async fn serve(args: RunArgs, global: &Global) -> Result<(), Failure> {
    environment::die_with_parent(args.die_with_parent)?;
    let file = environment::config_file(global, Role::Server);
    let from_file = RawServerConfig::read(file.as_deref()).map_err(|error| Failure::of(&error))?;
    let from_flags = RawServerConfig {
        data_dir: args.data_dir,
        key_file: args.key_file,
        key_source: args.key_source,
        signing_keys: args.signing_keys,
        listen: args.listen,
        advertise: args.advertise,
        store: args.store,
        telemetry_listen: args.telemetry_listen,
        issuing_ttl: args.issuing_ttl,
        node_ttl: args.node_ttl,
        renewal_grace: args.renewal_grace,
        jwt_key_ttl: args.jwt_key_ttl,
        jwt_algorithm: args.jwt_algorithm,
        wit_key_ttl: args.wit_key_ttl,
        enable: (!args.enable.is_empty()).then_some(args.enable),
        ack_deadline: args.ack_deadline,
        emergency_ack_deadline: args.emergency_ack_deadline,
        root_ttl: args.root_ttl,
        jwt_issuer: args.jwt_issuer,
        jwt_claims: (!args.jwt_claims.is_empty()).then_some(args.jwt_claims),
        upstream_cert: args.upstream.upstream_cert,
        upstream_key: args.upstream.upstream_key,
        upstream_dedicated: args.upstream.upstream_dedicated,
        send_cross_certificate: args.upstream.send_cross_certificate,
        federation_allow_loopback: args.federation_allow_loopback.then_some(true),
        federation_web_roots: args.federation_web_roots,
        federation_proxy: args.federation_proxy,
        redirects: args.no_redirects.then_some(false),
        crl: args.crl,
        crl_max_bytes: args.crl_max_bytes,
        x509pop_ca: args.x509pop_ca,
        x509pop_crl: args.x509pop_crl,
        x509pop_name: args.x509pop_name,
        allow_dns: (!args.allow_dns.is_empty()).then_some(args.allow_dns),
        permit_dns: (!args.permit_dns.is_empty()).then_some(args.permit_dns),
        permit_ip: (!args.permit_ip.is_empty()).then_some(args.permit_ip),
        max_class: args.max_class,
        clock_skew: args.clock_skew,
        ..RawServerConfig::default()
    };
    let from_flags = args.bundle_endpoint.beside(from_flags);
    let config = from_file.finish(|from_file| ServerConfig::new(from_flags.over(from_file), &Environment::of_process()));
    let config = config.map_err(|error| Failure::of(&error))?;
    environment::start_logging(global)?;
    let shutdown = platform::process::shutdown_signal()?;
    ca_server::server::run(config, platform::clock::SystemClock::shared(), shutdown)
        .await
        .map_err(|error| Failure::of(&error))
}
