//! The agent's configuration: [`RawAgentConfig`] is what people write, [`AgentConfig`] is what the program uses.

mod attest;
mod broker;
mod feature;
mod machine;
mod one_trust_domain;
mod raw;
mod reload;
mod sink;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use platform::config::{ConfigMistakes, Mistakes};
use platform::paths::{self, Environment};
use platform::sealing::KeySourceSpec;
use platform::sockets::SocketPath;
use platform::telemetry::TelemetryListen;
use trust_domains::duration::{format_duration, parse_duration};
use trust_domains::token_svid::DEFAULT_LEEWAY;
use zeroize::Zeroizing;

pub use broker::{BrokerConfig, BrokerGrant, ParseGrantError};
pub use feature::{Feature, Features, ParseFeatureError};
pub use machine::lacking;
pub use raw::{RawAgentConfig, RawBroker, RawSink, RawSinkToken};
pub use reload::{RawHttp, RawProbe, RawReload};
pub use sink::{ParseSinkError, SinkConfig};
pub use trust_domains::ConfiguredId;

use crate::endpoints::DEFAULT_STREAMS_PER_UID;
use crate::node::CertificateAdmission;

/// Where metrics and probes are served when nothing is said (design section 7).
pub const DEFAULT_TELEMETRY: &str = "127.0.0.1:9465";

/// The most streams that one user may be granted: each costs about 20 KB.
pub const MOST_STREAMS_PER_UID: u64 = 100_000;

/// The longest leeway for the clocks of those who issue tokens: with more, a token of usual life would be believed for twice as long.
pub const LONGEST_JWT_LEEWAY: Duration = Duration::from_secs(300);

/// What the node joins by.
#[derive(Clone)]
pub enum JoinSource {
    /// A certificate.
    Certificate(CertificateAdmission),
    /// A file that holds a join link.
    File(PathBuf),
    /// The text of a join link, not read yet: a secret.
    Link(Zeroizing<String>),
}

impl std::fmt::Debug for JoinSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Certificate(admission) => f.debug_tuple("Certificate").field(admission).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Link(_) => f.write_str("Link(..)"),
        }
    }
}

/// A configuration that is valid as a whole.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Where the agent keeps its data: an absolute path.
    pub data_dir: PathBuf,
    /// What opens the key that seals it.
    pub key_source: KeySourceSpec,
    /// What the node joins by at the first start.
    pub join: Option<JoinSource>,
    /// The Workload API socket.
    pub workload_socket: SocketPath,
    /// The secret discovery socket.
    pub sds_socket: SocketPath,
    /// The admin socket, in the data directory.
    pub admin_socket: SocketPath,
    /// Where metrics and probes are served, unless off.
    pub telemetry_listen: TelemetryListen,
    /// File sinks.
    pub sinks: Vec<SinkConfig>,
    /// The most workload streams of one user.
    pub max_streams_per_uid: usize,
    /// How far the clocks of those who issue tokens may differ from this machine's.
    pub jwt_leeway: Duration,
    /// Whether nothing but the node's own identity is kept on disk.
    pub no_cache: bool,
    /// What is switched on.
    pub features: Features,
    /// The Broker API, if it is switched on.
    pub broker: Option<BrokerConfig>,
}

impl AgentConfig {
    /// Makes a valid configuration.
    ///
    /// # Errors
    /// Every mistake at once, each with its key.
    pub fn new(raw: RawAgentConfig, environment: &Environment) -> Result<Self, ConfigMistakes> {
        let mut mistakes = Mistakes::new();
        let config = Self::check(raw, environment, &mut mistakes);
        mistakes.finish(None, config)
    }

    fn check(raw: RawAgentConfig, environment: &Environment, mistakes: &mut Mistakes) -> Option<Self> {
        let data_dir = path(mistakes, "data_dir", raw.data_dir.as_deref(), || environment.agent_data());
        let workload_socket = match raw.workload_socket.as_deref() {
            Some(text) => mistakes.check("workload_socket", text.parse::<SocketPath>()),
            None => mistakes
                .check("workload_socket", environment.workload_socket())
                .and_then(|default| mistakes.check("workload_socket", SocketPath::new(&default))),
        };
        let sds_socket = match (raw.sds_socket.as_deref(), &workload_socket) {
            (Some(text), _) => mistakes.check("sds_socket", text.parse::<SocketPath>()),
            (None, Some(workload)) => mistakes.check("sds_socket", SocketPath::new(&paths::sds_socket(workload.path()))),
            // That mistake is told already.
            (None, None) => None,
        };
        if let (Some(workload), Some(sds)) = (&workload_socket, &sds_socket)
            && workload == sds
        {
            mistakes.add("sds_socket", "this is the workload socket; each service has its own");
        }
        let telemetry_listen = mistakes.check("telemetry_listen", raw.telemetry_listen.as_deref().unwrap_or(DEFAULT_TELEMETRY).parse());
        let max_streams_per_uid = mistakes.check("max_streams_per_uid", streams(raw.max_streams_per_uid));
        let jwt_leeway = mistakes.check("jwt_leeway", jwt_leeway(raw.jwt_leeway.as_deref()));
        let features = features(mistakes, raw.enable.as_deref().unwrap_or_default());
        let admin_socket = data_dir
            .as_deref()
            .and_then(|directory| mistakes.check("data_dir", SocketPath::new(&paths::agent_admin_socket(directory))));
        let other_sockets: Vec<&SocketPath> = workload_socket.iter().chain(&sds_socket).chain(&admin_socket).collect();
        let broker = BrokerConfig::check(&raw, &features, &other_sockets, mistakes);
        let sinks = sink::sinks(mistakes, &raw);
        let certificate = attest::certificate(&raw, mistakes);
        let join = match (raw.join, raw.join_file) {
            (Some(link), _) => Some(JoinSource::Link(Zeroizing::new(link))),
            (None, Some(file)) => Some(JoinSource::File(file.into())),
            (None, None) => certificate.clone().flatten().map(JoinSource::Certificate),
        };

        let data_dir = data_dir?;
        certificate?;
        let key_file = raw.key_file.as_deref().map(Path::new);
        let key_source = KeySourceSpec::configured(raw.key_source.as_deref(), key_file, || paths::default_key_file(&data_dir));
        let key_source = mistakes.check("key_source", key_source);
        let key_source = key_source.and_then(|source| mistakes.check("key_source", source.absolute()));
        Some(Self {
            key_source: key_source?,
            join,
            workload_socket: workload_socket?,
            sds_socket: sds_socket?,
            admin_socket: admin_socket?,
            telemetry_listen: telemetry_listen?,
            sinks,
            max_streams_per_uid: max_streams_per_uid?,
            jwt_leeway: jwt_leeway?,
            no_cache: raw.no_cache.unwrap_or(false),
            features,
            broker,
            data_dir,
        })
    }
}

/// Takes a path as said, else the default; made absolute, so that nothing depends on where the process was started once it runs.
fn path<E: Display>(mistakes: &mut Mistakes, key: &str, said: Option<&str>, default: impl FnOnce() -> Result<PathBuf, E>) -> Option<PathBuf> {
    let chosen = match said {
        Some("") => return mistakes.check(key, Err::<PathBuf, _>("the path is empty")),
        Some(said) => PathBuf::from(said),
        None => mistakes.check(key, default())?,
    };
    mistakes.check(key, std::path::absolute(chosen))
}

fn streams(said: Option<u64>) -> Result<usize, String> {
    match said {
        None => Ok(DEFAULT_STREAMS_PER_UID),
        Some(count @ 1..=MOST_STREAMS_PER_UID) => usize::try_from(count).map_err(|error| error.to_string()),
        Some(_) => Err(format!("the number is not between 1 and {MOST_STREAMS_PER_UID}")),
    }
}

fn jwt_leeway(said: Option<&str>) -> Result<Duration, String> {
    let Some(said) = said else { return Ok(DEFAULT_LEEWAY) };
    let leeway = parse_duration(said).map_err(|error| error.to_string())?;
    if leeway > LONGEST_JWT_LEEWAY {
        return Err(format!("the leeway is over {}", format_duration(LONGEST_JWT_LEEWAY)));
    }
    Ok(leeway)
}

fn features(mistakes: &mut Mistakes, named: &[String]) -> Features {
    named.iter().filter_map(|name| mistakes.check("enable", name.parse::<Feature>())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user's, with a home.
    pub(super) fn environment() -> Environment {
        Environment {
            uid: 1_000,
            home: Some("/home/ada".into()),
            ..Environment::default()
        }
    }

    fn mistakes(raw: RawAgentConfig) -> Vec<String> {
        AgentConfig::new(raw, &environment())
            .unwrap_err()
            .mistakes
            .iter()
            .map(|mistake| mistake.key.clone())
            .collect()
    }

    #[test]
    fn nothing_said_gives_the_users_own_places() {
        let config = AgentConfig::new(RawAgentConfig::default(), &environment()).unwrap();
        assert_eq!(config.data_dir, Path::new("/home/ada/.local/state/troth/agent"));
        assert_eq!(config.key_source.to_string(), "file:/home/ada/.local/state/troth/agent.seal.key");
        assert_eq!(config.admin_socket.path(), Path::new("/home/ada/.local/state/troth/agent/agent-admin.sock"));
        assert_eq!(config.workload_socket.path(), Path::new("/home/ada/.local/state/troth/run/workload.sock"));
        assert_eq!(config.sds_socket.path(), Path::new("/home/ada/.local/state/troth/run/workload.sds.sock"));
        assert_eq!(config.telemetry_listen.to_string(), DEFAULT_TELEMETRY);
        assert_eq!((config.max_streams_per_uid, config.no_cache, config.sinks.len()), (1_000, false, 0));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let raw = RawAgentConfig {
            data_dir: Some(String::new()),
            workload_socket: Some(format!("/{}", "x".repeat(200))),
            telemetry_listen: Some("9465".to_owned()),
            sinks: vec!["spiffe://td/web".to_owned()],
            max_streams_per_uid: Some(0),
            ..RawAgentConfig::default()
        };
        let mut told = mistakes(raw);
        told.sort();
        assert_eq!(told, ["data_dir", "max_streams_per_uid", "sink", "telemetry_listen", "workload_socket"]);
    }

    #[test]
    fn the_sds_socket_stands_beside_the_workload_socket_unless_it_is_named() {
        let sds = |workload: &str, sds: Option<&str>| {
            let raw = RawAgentConfig {
                workload_socket: Some(workload.to_owned()),
                sds_socket: sds.map(str::to_owned),
                ..RawAgentConfig::default()
            };
            AgentConfig::new(raw, &environment()).map(|config| config.sds_socket.to_string())
        };
        assert_eq!(sds("unix:///run/a/web.sock", None).unwrap(), "/run/a/web.sds.sock");
        assert_eq!(sds("/run/a/web", None).unwrap(), "/run/a/web.sds.sock");
        assert_eq!(sds("/run/a/web.sock", Some("unix:///run/b/envoy.sock")).unwrap(), "/run/b/envoy.sock");
        for wrong in [
            sds("/run/a.sock", Some("/run/a.sock")),
            sds("/run/a.sock", Some("")),
            sds(&format!("/{}.sock", "x".repeat(101)), None),
        ] {
            assert_eq!(wrong.unwrap_err().mistakes[0].key, "sds_socket");
        }
    }

    #[test]
    fn the_leeway_for_tokens_is_bounded() {
        for (said, accepted) in [("0s", true), ("5m", true), ("301s", false), ("30", false)] {
            let raw = RawAgentConfig {
                jwt_leeway: Some(said.to_owned()),
                ..RawAgentConfig::default()
            };
            assert_eq!(AgentConfig::new(raw, &environment()).is_ok(), accepted, "{said}");
        }
        assert_eq!(AgentConfig::new(RawAgentConfig::default(), &environment()).unwrap().jwt_leeway.as_secs(), 30);
    }

    #[test]
    fn features_are_off_unless_named_and_a_wrong_name_is_a_mistake() {
        let features = |named: Option<&[&str]>| {
            let raw = RawAgentConfig {
                enable: named.map(|named| named.iter().map(|&name| name.to_owned()).collect()),
                ..RawAgentConfig::default()
            };
            AgentConfig::new(raw, &environment()).map(|config| config.features)
        };
        assert_eq!(features(None).unwrap(), Features::default());
        assert_eq!(features(Some(&["wit"])).unwrap(), Features::from_iter([Feature::Wit]));
        let wrong = features(Some(&["wit", "wits"])).unwrap_err();
        assert_eq!((wrong.mistakes.len(), wrong.mistakes[0].key.as_str()), (1, "enable"));
    }

    #[test]
    fn a_data_directory_too_deep_for_its_socket_is_refused() {
        let raw = RawAgentConfig {
            data_dir: Some(format!("/{}", "deep/".repeat(30))),
            ..RawAgentConfig::default()
        };
        assert_eq!(mistakes(raw), ["data_dir"]);
    }

    #[test]
    fn the_join_link_is_never_shown() {
        let raw = RawAgentConfig {
            join: Some("troth://secret".to_owned()),
            ..RawAgentConfig::default()
        };
        assert!(!format!("{raw:?}").contains("secret"));
        assert!(!format!("{:?}", AgentConfig::new(raw, &environment()).unwrap()).contains("secret"));
    }
}
