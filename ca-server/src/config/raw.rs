//! The server's configuration as people write it: in a file, in flags, in the environment.

use std::path::{Path, PathBuf};

use platform::config::{ConfigMistakes, KnownKey, read_toml};
use serde::Deserialize;
use trust_domains::class::CredentialClass;
use trust_domains::duration::TextDuration;
use trust_domains::join_link::ServerAddress;

use super::listen::{Listen, TelemetryListen};
use super::store_kind::StoreKind;

/// Every option of the server, as text and each optional; what is absent takes the default of [`ServerConfig`](super::ServerConfig).
///
/// The flag `--data-dir`, the variable `TROTH_SERVER_DATA_DIR` and the key `data_dir` are one option; the flag counts most, then the variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawServerConfig {
    /// The data directory. Default: `/var/lib/troth/server` as root, else `troth/server` under the XDG state directory.
    pub data_dir: Option<String>,
    /// The file with the key that opens what is sealed. Default: `DATA_DIR.seal.key`.
    pub key_file: Option<String>,
    /// The node API's address. Default: `0.0.0.0:8443`. Port 0 takes a free one.
    pub listen: Option<String>,
    /// The address that join links name, `HOST:PORT`. Default: a concrete `listen` address, else the host's name.
    pub advertise: Option<String>,
    /// The store. Default and only kind: `sled`, embedded in the data directory.
    pub store: Option<String>,
    /// Where metrics and probes are served, or `off`. Default: `127.0.0.1:9464`.
    pub telemetry_listen: Option<String>,
    /// The life of an issuing CA, as `7d`. Default: 7 days; at least twice the longest life that it grants, and a minute.
    pub issuing_ttl: Option<String>,
    /// The life of node SVIDs and of the server's own, as `24h`. Default: 24 hours. A node that is away for longer needs its grace period, then a new link.
    pub node_ttl: Option<String>,
    /// The longest class that entries may have: `fast`, `medium` or `slow`. Default: `slow`.
    pub max_class: Option<String>,
    /// How far the clocks of verifiers may be behind this server's, as `60s`. Default: 60 seconds. NotBefore lies this much before the moment of issue.
    pub clock_skew: Option<String>,
}

impl RawServerConfig {
    /// The keys of the file.
    pub const KNOWN_KEYS: &'static [KnownKey] = &[
        KnownKey::text::<PathBuf>("data_dir"),
        KnownKey::text::<PathBuf>("key_file"),
        KnownKey::text::<Listen>("listen"),
        KnownKey::text::<ServerAddress>("advertise"),
        KnownKey::text::<StoreKind>("store"),
        KnownKey::text::<TelemetryListen>("telemetry_listen"),
        KnownKey::text::<TextDuration>("issuing_ttl"),
        KnownKey::text::<TextDuration>("node_ttl"),
        KnownKey::text::<CredentialClass>("max_class"),
        KnownKey::text::<TextDuration>("clock_skew"),
    ];

    /// Reads a file; without one every option is absent.
    ///
    /// # Errors
    /// Every mistake of the file at once, each with its line.
    pub fn read(file: Option<&Path>) -> Result<Self, ConfigMistakes> {
        file.map_or_else(|| Ok(Self::default()), |file| read_toml(file, Self::KNOWN_KEYS))
    }

    /// Lays these options over others: where one is absent here, the other counts.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(under.data_dir),
            key_file: self.key_file.or(under.key_file),
            listen: self.listen.or(under.listen),
            advertise: self.advertise.or(under.advertise),
            store: self.store.or(under.store),
            telemetry_listen: self.telemetry_listen.or(under.telemetry_listen),
            issuing_ttl: self.issuing_ttl.or(under.issuing_ttl),
            node_ttl: self.node_ttl.or(under.node_ttl),
            max_class: self.max_class.or(under.max_class),
            clock_skew: self.clock_skew.or(under.clock_skew),
        }
    }
}
