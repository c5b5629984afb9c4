//! The agent's configuration as people write it: in a file, in flags, in the environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use platform::config::{ConfigMistakes, Draft, KeyValue, KnownKey, as_text, read_draft};
use platform::file_set::{KeyMode, Layout};
use platform::sealing::KeySourceSpec;
use platform::sockets::SocketPath;
use platform::telemetry::TelemetryListen;
use serde::Deserialize;
use trust_domains::TrustDomain;
use trust_domains::delivery::{Format, TokenName};
use trust_domains::duration::TextDuration;
use trust_domains::join_link::{RootHash, ServerAddress};

use super::MOST_STREAMS_PER_UID;
use super::feature::Feature;
use super::one_trust_domain::{ONE_TRUST_DOMAIN, OneTrustDomain};
use super::reload::{RELOAD_KEYS, RawReload};
use crate::endpoints::ReferenceType;
use crate::sinks::OnWithdraw;
use trust_domains::ConfiguredId;

/// Every option of the agent, each optional; what is absent takes the default of [`AgentConfig`](super::AgentConfig).
///
/// The flag `--data-dir`, the variable `TROTH_AGENT_DATA_DIR` and the key `data_dir` are one option; the flag counts most, then the variable.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAgentConfig {
    /// The data directory. Default: `/var/lib/troth/agent` as root, else `troth/agent` under the XDG state directory.
    pub data_dir: Option<String>,
    /// The file with the key that opens what is sealed. Default: `DATA_DIR.seal.key`.
    pub key_file: Option<String>,
    /// What opens what is sealed, `key_file` apart: `file:PATH`, `passphrase`, `passphrase:FILE`, `credential:NAME` or a PKCS#11 URI. Default: the key file.
    pub key_source: Option<String>,
    /// The join link: a secret, so it is no key of the file.
    #[serde(skip)]
    pub join: Option<String>,
    /// A file that holds the join link; it is read only while the agent has no identity.
    pub join_file: Option<String>,
    /// How the node joins other than by a link: `x509pop`, by a certificate. Default: by a link.
    pub attest: Option<String>,
    /// The file with the certificate chain that it joins by, in PEM, leaf first; read at each attempt.
    pub attest_cert: Option<String>,
    /// The file with the private key of that certificate, in PEM.
    pub attest_key: Option<String>,
    /// The server, `HOST:PORT`, when the node joins by a certificate; a join link names it itself.
    pub server: Option<String>,
    /// The trust domain, when the node joins by a certificate.
    pub trust_domain: Option<String>,
    /// The file with the roots by which the server proves itself, when the node joins by a certificate: a SPIFFE bundle, or PEM.
    pub trust_bundle: Option<String>,
    /// The SHA-256 of each of those roots instead of a file.
    pub root_sha256: Option<Vec<String>>,
    /// The Workload API socket, a path or `unix://`. Default: `/run/troth/workload.sock` as root, else under the XDG directories.
    pub workload_socket: Option<String>,
    /// The secret discovery socket, a path or `unix://`. Default: the name of the workload socket with `.sds.sock` in place of `.sock`.
    pub sds_socket: Option<String>,
    /// Where metrics and probes are served, or `off`. Default: `127.0.0.1:9465`.
    pub telemetry_listen: Option<String>,
    /// The sinks of flags, `ID=DIR`; in the file they are tables.
    #[serde(skip)]
    pub sinks: Vec<String>,
    /// The sinks of the file.
    pub sink: Vec<RawSink>,
    /// The most workload streams of one user. Default: 1,000.
    pub max_streams_per_uid: Option<u64>,
    /// How far the clocks of those who issue tokens may differ from this machine's when a token is validated, as `30s`. Default: 30 seconds; at most 5 minutes.
    /// A token is believed for this long after its end.
    pub jwt_leeway: Option<String>,
    /// Whether workload credentials are not kept on disk: after a restart none is served until the server answers. Default: false.
    pub no_cache: Option<bool>,
    /// The Broker API socket, a path or `unix://`, in a directory of its own. Default: none.
    pub broker_socket: Option<String>,
    /// The TCP address of the Broker API, as `127.0.0.1:9466`. Default: none.
    pub broker_listen: Option<String>,
    /// The brokers of flags, `ID=TYPE,..`; in the file they are tables.
    #[serde(skip)]
    pub broker_allow: Vec<String>,
    /// The brokers of the file. Default: nobody may use the Broker API.
    pub broker: Vec<RawBroker>,
    /// What is switched on that is off by default, of `broker` and `wit`: parts of the SPIFFE standards that may still change. Default: nothing.
    pub enable: Option<Vec<String>>,
}

/// A `[[sink]]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSink {
    /// The identity: a SPIFFE ID, or its path (`/web`).
    pub spiffe_id: String,
    /// The directory, an absolute path.
    pub directory: String,
    /// Whose the files are, a name or number. Default: the agent's own user.
    pub owner: Option<String>,
    /// The group of the files, a name or number. Default: the agent's own group.
    pub group: Option<String>,
    /// The mode of the key file, as `0640`. Default: 0600.
    pub mode: Option<String>,
    /// What happens when the identity is withdrawn: `remove` (default) or `keep`.
    pub on_withdraw: Option<String>,
    /// The formats, of `der`, `jks`, `jwks`, `pem`, `pem-combined`, `pkcs12` and `spiffe`. Default: `pem`. None at all is for a sink of tokens alone.
    pub formats: Option<Vec<String>>,
    /// The one trust domain whose roots and revocation lists `bundle.pem`, `crl.pem` and trust stores hold. Default: the agent's own.
    pub trust_domain: Option<String>,
    /// `linked` (default), or `single-files` for programs that do not follow links.
    pub layout: Option<String>,
    /// The file with the password of key stores. Default: one is generated and delivered as `keystore.password`.
    pub keystore_password_file: Option<String>,
    /// The least time between two runs of the hooks for revocation lists alone. Default: `1m`; from one second to a day.
    pub crl_reload_interval: Option<String>,
    /// What makes the program read the files, in this order. Default: nothing does.
    pub reload: Vec<RawReload>,
    /// JWT-SVIDs that are delivered as `jwt/NAME.token` and kept fresh.
    pub jwt: Vec<RawSinkToken>,
}

/// A `[[sink.jwt]]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSinkToken {
    /// What the token is called; letters, digits, `.`, `-` and `_`.
    pub name: String,
    /// Whom the token is for.
    pub audiences: Vec<String>,
}

/// A `[[broker]]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawBroker {
    /// The identity: a SPIFFE ID, or the path of one of the agent's own trust domain.
    pub spiffe_id: String,
    /// The types of workload references that it may use, of `pid`.
    pub reference_types: Vec<String>,
}

/// The keys of a `[[broker]]` table.
const BROKER_KEYS: &[KnownKey] = &[
    KnownKey::text::<ConfiguredId>("spiffe_id").required(),
    KnownKey::new("reference_types", KeyValue::Texts(as_text::<ReferenceType>)).required(),
];

/// The keys of a `[[sink]]` table.
const SINK_KEYS: &[KnownKey] = &[
    KnownKey::text::<ConfiguredId>("spiffe_id").required(),
    KnownKey::text::<PathBuf>("directory").required(),
    KnownKey::text::<String>("owner"),
    KnownKey::text::<String>("group"),
    KnownKey::text::<KeyMode>("mode"),
    KnownKey::text::<OnWithdraw>("on_withdraw"),
    KnownKey::new("formats", KeyValue::Texts(as_text::<Format>)),
    KnownKey::new("trust_domain", KeyValue::One(as_text::<OneTrustDomain>, ONE_TRUST_DOMAIN)),
    KnownKey::text::<Layout>("layout"),
    KnownKey::text::<PathBuf>("keystore_password_file"),
    KnownKey::text::<TextDuration>("crl_reload_interval"),
    KnownKey::new("reload", KeyValue::Tables(RELOAD_KEYS)),
    KnownKey::new("jwt", KeyValue::Tables(TOKEN_KEYS)),
];

/// The keys of a `[[sink.jwt]]` table.
const TOKEN_KEYS: &[KnownKey] = &[
    KnownKey::text::<TokenName>("name").required(),
    KnownKey::new("audiences", KeyValue::Texts(as_text::<String>)).required(),
];

impl RawAgentConfig {
    /// The keys of the file.
    pub const KNOWN_KEYS: &'static [KnownKey] = &[
        KnownKey::text::<PathBuf>("data_dir"),
        KnownKey::text::<PathBuf>("key_file"),
        KnownKey::text::<KeySourceSpec>("key_source"),
        KnownKey::text::<PathBuf>("join_file"),
        KnownKey::text::<String>("attest"),
        KnownKey::text::<PathBuf>("attest_cert"),
        KnownKey::text::<PathBuf>("attest_key"),
        KnownKey::text::<ServerAddress>("server"),
        KnownKey::text::<TrustDomain>("trust_domain"),
        KnownKey::text::<PathBuf>("trust_bundle"),
        KnownKey::new("root_sha256", KeyValue::Texts(as_text::<RootHash>)),
        KnownKey::text::<SocketPath>("workload_socket"),
        KnownKey::text::<SocketPath>("sds_socket"),
        KnownKey::text::<TelemetryListen>("telemetry_listen"),
        KnownKey::new("sink", KeyValue::Tables(SINK_KEYS)),
        KnownKey::new(
            "max_streams_per_uid",
            KeyValue::Integer {
                least: 1,
                most: MOST_STREAMS_PER_UID.cast_signed(),
            },
        ),
        KnownKey::text::<TextDuration>("jwt_leeway"),
        KnownKey::new("no_cache", KeyValue::Bool),
        KnownKey::text::<SocketPath>("broker_socket"),
        KnownKey::text::<SocketAddr>("broker_listen"),
        KnownKey::new("broker", KeyValue::Tables(BROKER_KEYS)),
        KnownKey::new("enable", KeyValue::Texts(as_text::<Feature>)),
    ];

    /// Reads a file; without one every option is absent. The draft keeps the mistakes of keys and values, until the whole is checked too.
    ///
    /// # Errors
    /// Every mistake of the file at once, each with its line, where too little of it is understood to check the whole.
    pub fn read(file: Option<&Path>) -> Result<Draft<Self>, ConfigMistakes> {
        file.map_or_else(|| Ok(Draft::of(Self::default())), |file| read_draft(file, Self::KNOWN_KEYS))
    }

    /// Lays these options over others: where one is absent here, the other counts. Sinks and brokers add up.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        let joins = self.join.is_some() || self.join_file.is_some();
        // The two are one option: whoever names one here does not mean the other there.
        let names_source = self.key_file.is_some() || self.key_source.is_some();
        Self {
            data_dir: self.data_dir.or(under.data_dir),
            key_file: self.key_file.or(under.key_file.filter(|_| !names_source)),
            key_source: self.key_source.or(under.key_source.filter(|_| !names_source)),
            join: if joins { self.join } else { under.join },
            join_file: if joins { self.join_file } else { under.join_file },
            attest: self.attest.or(under.attest),
            attest_cert: self.attest_cert.or(under.attest_cert),
            attest_key: self.attest_key.or(under.attest_key),
            server: self.server.or(under.server),
            trust_domain: self.trust_domain.or(under.trust_domain),
            trust_bundle: self.trust_bundle.or(under.trust_bundle),
            root_sha256: self.root_sha256.or(under.root_sha256),
            workload_socket: self.workload_socket.or(under.workload_socket),
            sds_socket: self.sds_socket.or(under.sds_socket),
            telemetry_listen: self.telemetry_listen.or(under.telemetry_listen),
            sinks: [self.sinks, under.sinks].concat(),
            sink: [self.sink, under.sink].concat(),
            max_streams_per_uid: self.max_streams_per_uid.or(under.max_streams_per_uid),
            jwt_leeway: self.jwt_leeway.or(under.jwt_leeway),
            no_cache: self.no_cache.or(under.no_cache),
            broker_socket: self.broker_socket.or(under.broker_socket),
            broker_listen: self.broker_listen.or(under.broker_listen),
            broker_allow: [self.broker_allow, under.broker_allow].concat(),
            broker: [self.broker, under.broker].concat(),
            enable: self.enable.or(under.enable),
        }
    }
}

impl std::fmt::Debug for RawAgentConfig {
    /// Leaves the join link out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawAgentConfig")
            .field("data_dir", &self.data_dir)
            .field("workload_socket", &self.workload_socket)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::config::{read_draft_text, read_toml_text};

    #[test]
    fn a_whole_file_is_read() {
        let text = "data_dir = '/d'\nkey_file = '/k'\njoin_file = '/j'\nworkload_socket = '/w.sock'\nsds_socket = '/s.sock'\ntelemetry_listen = 'off'\nmax_streams_per_uid = 10\n\
                    no_cache = true\njwt_leeway = '1m'\nenable = ['wit', 'broker']\nbroker_socket = '/b/b.sock'\nbroker_listen = '127.0.0.1:9466'\n[[broker]]\nspiffe_id = '/mesh'\nreference_types = ['pid']\n[[sink]]\nspiffe_id = '/web'\ndirectory = '/etc/web'\nowner = 'www-data'\ngroup = '33'\nmode = '0640'\non_withdraw = 'keep'\n";
        let raw: RawAgentConfig = read_toml_text(text, RawAgentConfig::KNOWN_KEYS).unwrap();
        assert_eq!((raw.max_streams_per_uid, raw.no_cache, raw.sink.len()), (Some(10), Some(true), 1));
        assert_eq!(raw.enable.unwrap(), ["wit", "broker"]);
        assert_eq!(
            (raw.broker_socket.as_deref(), raw.broker[0].reference_types.as_slice()),
            (Some("/b/b.sock"), &["pid".to_owned()][..])
        );
    }

    #[test]
    fn a_sink_that_asks_for_several_trust_domains_in_one_file_is_refused_with_what_to_do() {
        let sink = |rest: &str| format!("[[sink]]\nspiffe_id = '/web'\ndirectory = '/etc/web'\n{rest}\n");
        let raw: RawAgentConfig = read_toml_text(&sink("trust_domain = 'partner.test'"), RawAgentConfig::KNOWN_KEYS).unwrap();
        assert_eq!(raw.sink[0].trust_domain.as_deref(), Some("partner.test"));
        for several in ["['a.test', 'b.test']", "['a.test']", "'a.test, b.test'", "'a.test b.test'"] {
            let told = read_toml_text::<RawAgentConfig>(&sink(&format!("trust_domain = {several}")), RawAgentConfig::KNOWN_KEYS).unwrap_err();
            assert_eq!((told.mistakes.len(), told.mistakes[0].line), (1, Some(4)), "{told}");
            assert_eq!(told.mistakes[0].key, "sink[0].trust_domain");
            assert!(told.mistakes[0].text.contains("give each trust domain a [[sink]] of its own"), "{told}");
        }
    }

    #[test]
    fn the_sample_of_the_page_on_sinks_is_valid_and_every_key_is_on_the_page() {
        let page = include_str!("../../../docs/sinks.md");
        let (_, sample) = page.split_once("```toml\n").unwrap();
        let (sample, _) = sample.split_once("```").unwrap();
        let raw: RawAgentConfig = read_toml_text(sample, RawAgentConfig::KNOWN_KEYS).unwrap();
        let config = crate::config::AgentConfig::new(raw, &platform::paths::Environment::default());
        let sinks: Vec<_> = config.map(|config| config.sinks).unwrap_or_default();
        assert_eq!(sinks.iter().map(|sink| sink.contents.tokens.len()).collect::<Vec<_>>(), [1, 0]);
        for key in SINK_KEYS.iter().chain(TOKEN_KEYS).filter(|key| key.name != "reload" && key.name != "jwt") {
            assert!(page.contains(&format!("`{}`", key.name)), "{} is not on the page", key.name);
        }
    }

    #[test]
    fn the_sample_of_the_broker_page_is_valid() {
        let page = include_str!("../../../docs/broker.md");
        let (_, sample) = page.split_once("```toml\n").unwrap();
        let (sample, _) = sample.split_once("```").unwrap();
        let raw: RawAgentConfig = read_toml_text(sample, RawAgentConfig::KNOWN_KEYS).unwrap();
        let config = crate::config::AgentConfig::new(raw, &platform::paths::Environment::default())
            .unwrap()
            .broker
            .unwrap();
        assert_eq!((config.socket.is_some(), config.grants.len()), (true, 1));
    }

    #[test]
    fn a_file_with_mistakes_names_each() {
        let text = "workload_sokcet = '/w.sock'\nenable = ['wti']\njoin = 'troth://x'\n[[sink]]\nspiffe_id = 'web'\ndirectory = '/etc/web'\nmode = '0777'\n";
        let told = read_toml_text::<RawAgentConfig>(text, RawAgentConfig::KNOWN_KEYS).unwrap_err();
        let keys: Vec<_> = told.mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
        assert_eq!(keys.len(), 5, "{told}");
        for key in ["workload_sokcet", "enable[0]", "join", "sink[0].spiffe_id", "sink[0].mode"] {
            assert!(keys.contains(&key), "{told}");
        }
    }

    #[test]
    fn the_mistakes_of_values_and_of_the_whole_are_told_together() {
        let text = "jwt_leeway = '10m'\nenable = ['broker', 'x']\nmax_streams_per_uid = 0\n[[broker]]\nreference_types = ['pid']\n[[sink]]\nspiffe_id = '/web'\ndirectory = 'web'\n";
        let draft = read_draft_text::<RawAgentConfig>(text, RawAgentConfig::KNOWN_KEYS).unwrap();
        let told = draft
            .finish(|raw| crate::config::AgentConfig::new(raw, &platform::paths::Environment::default()))
            .unwrap_err();
        let mut keys: Vec<_> = told.mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "broker[0].spiffe_id",
                "enable",
                "enable[1]",
                "jwt_leeway",
                "max_streams_per_uid",
                "sink[0].directory"
            ],
            "{told}"
        );
    }

    #[test]
    fn flags_lie_over_the_file_and_sinks_add_up() {
        let flags = RawAgentConfig {
            no_cache: Some(true),
            sinks: vec!["/a=/a".to_owned()],
            join: Some("link".to_owned()),
            ..RawAgentConfig::default()
        };
        let file = RawAgentConfig {
            data_dir: Some("/d".to_owned()),
            sink: vec![RawSink::default()],
            join_file: Some("/j".to_owned()),
            ..RawAgentConfig::default()
        };
        let both = flags.over(file);
        assert_eq!((both.data_dir.as_deref(), both.no_cache), (Some("/d"), Some(true)));
        assert_eq!((both.sinks.len(), both.sink.len()), (1, 1));
        assert_eq!((both.join.is_some(), both.join_file), (true, None));
    }
}
