//! The server's configuration as people write it: in a file, in flags, in the environment.

use std::path::{Path, PathBuf};

use platform::config::{ConfigMistakes, Draft, KeyValue, KnownKey, as_text, number_as_text, read_draft};
use platform::sealing::KeySourceSpec;
use serde::Deserialize;
use trust_domains::class::CredentialClass;
use trust_domains::duration::TextDuration;
use trust_domains::entry::DnsName;
use trust_domains::federation::{EndpointUrl, ProfileName};
use trust_domains::join_link::ServerAddress;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::jwt_svid::{ClaimNames, IssuerUrl};
use trust_domains::node::NodeNameTemplate;
use trust_domains::x509::IpRange;

use super::features::Features;
use super::listen::{Listen, TelemetryListen};
use super::signing_keys::SigningKeysPlace;
use super::store_kind::StoreKind;
use crate::federation::fetch::ProxyUrl;
use crate::revocation::{CrlBytes, CrlUse};

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
    /// What opens what is sealed, `key_file` apart: `file:PATH`, `passphrase`, `passphrase:FILE`, `credential:NAME` or a PKCS#11 URI. Default: the key file.
    pub key_source: Option<String>,
    /// Where the keys of authorities are made: `store`, sealed, or a PKCS#11 URI, in a token. Default: where they were made so far, at first the store. Keys
    /// that exist stay where they are; each is replaced in its time.
    pub signing_keys: Option<String>,
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
    /// How long after the end of its SVID a node may renew it with the key of that SVID, as `7d`. Default: 7 days; `0s`: not at all, and a node that was off
    /// for longer than its SVID needs a new join link. Never for a banned or evicted node.
    pub renewal_grace: Option<String>,
    /// The life of a key that signs JWT-SVIDs, as `7d`. Default: 7 days; at least twice the longest token (that of `max_class`) and four times the wait
    /// between publication and use (`ack_deadline`, or five `bundle_refresh_hint`s).
    pub jwt_key_ttl: Option<String>,
    /// What JWT-SVIDs are signed with: `ES256` or `RS256`. Default: what they are signed with already. After a change the next key takes over as soon as it
    /// is known everywhere.
    pub jwt_algorithm: Option<String>,
    /// The life of a key that signs WIT-SVIDs, as `7d`. Default: 7 days; bounded as `jwt_key_ttl`. It counts where `wit` is enabled.
    pub wit_key_ttl: Option<String>,
    /// What the server does only on demand. Default: nothing. `wit`: issue WIT-SVIDs, whose standard is incubating.
    pub enable: Option<Vec<String>>,
    /// How long a new key waits for nodes to acknowledge it, as `24h`. Default: 24 hours. Then it signs, and who is left behind is named.
    pub ack_deadline: Option<String>,
    /// How long an emergency waits for connected nodes at each of its steps, as `30s`. Default: 30 seconds. Then it goes on, and who is left behind is named.
    pub emergency_ack_deadline: Option<String>,
    /// The life of a root, as `365d`. Default: 365 days; at least twice that of an issuing CA and four times the wait between publication and use
    /// (`ack_deadline`, or five `bundle_refresh_hint`s). It counts for the next root.
    pub root_ttl: Option<String>,
    /// The issuer that JWT-SVIDs name, as `https://id.example.org`. Default: none, and tokens without `iss`. OpenID Connect relying parties fetch the
    /// discovery document from it.
    pub jwt_issuer: Option<String>,
    /// The names of claims that entries may have beside those of the standard. Default: none.
    pub jwt_claims: Option<Vec<String>>,
    /// The bundle endpoint's address, as `0.0.0.0:8444`. Default: none, and the bundle is not served to those outside.
    pub bundle_listen: Option<String>,
    /// How the bundle endpoint proves itself to those who name no host, or one that `bundle_cert` does not name: `https_spiffe`, with the server's own SVID, or
    /// `https_web`, with `bundle_cert`. Default: `https_web` where there are certificate files, else `https_spiffe`. For both profiles at once: certificate
    /// files, `https_spiffe`, and two host names, of which the certificate has one.
    pub bundle_profile: Option<String>,
    /// What partners call the bundle endpoint, as `https://bundle.example.org:8444/`. Default: the host of join links and the endpoint's port. The bundle is
    /// served at its path too.
    pub bundle_url: Option<String>,
    /// Whether to serve no Bundle Map at `/bundle-map`, which tells everybody whose bundles this server holds. Default: `false`.
    pub no_bundle_map: Option<bool>,
    /// The file with the certificate chain of the bundle endpoint, in PEM, leaf first. It is read again when it changes.
    pub bundle_cert: Option<String>,
    /// The file with the private key of that certificate, in PEM.
    pub bundle_key: Option<String>,
    /// The file with the certificates of an upstream authority in PEM, the one that signs first, its root last if it is there. Default: none. It is looked at again
    /// when it changes, and certifies the root; it needs `upstream_key`.
    pub upstream_cert: Option<String>,
    /// The file with the private key of the first of them, in PEM. It is read only to sign, and never stored.
    pub upstream_key: Option<String>,
    /// Whether that upstream authority issues for this trust domain alone: its root comes into the bundle. Default: as at `server init`, there `false`.
    pub upstream_dedicated: Option<bool>,
    /// Whether chains carry the cross-certificate of that upstream authority. Default: as at `server init`, there `false`.
    pub send_cross_certificate: Option<bool>,
    /// How often relying parties shall fetch the bundle, as `5m`. Default: 5 minutes; at least a second.
    pub bundle_refresh_hint: Option<String>,
    /// Whether endpoints of partners may be on this machine or its link: loopback and link-local addresses. Default: `false`, since a partner chooses where its
    /// endpoint's name leads; for trials on one machine.
    pub federation_allow_loopback: Option<bool>,
    /// The file with the CAs that are believed for endpoints of the profile `https_web`, in PEM. Default: those of this machine. It is read again at each fetch.
    pub federation_web_roots: Option<String>,
    /// The proxy through which bundles of partners are fetched, as `http://proxy.example.org:3128`. Default: none, whatever the environment names.
    pub federation_proxy: Option<String>,
    /// Whether redirects of partners' endpoints are followed, at most five, under the same checks. Default: `true`; `false` counts for every relationship.
    pub redirects: Option<bool>,
    /// When revocation lists are delivered: `auto`, once something was revoked, or `always`. Default: `auto`.
    pub crl: Option<String>,
    /// The most bytes of all revocation lists together, from 4096 to 8388608. Default: 2097152, since gRPC clients accept messages of 4 MB. A set that is
    /// longer is not sent.
    #[serde(deserialize_with = "number_as_text")]
    pub crl_max_bytes: Option<String>,
    /// The file with the authorities whose certificates admit nodes (`x509pop`), in PEM. Default: none. It is read again at each attestation.
    pub x509pop_ca: Option<String>,
    /// The file with the revocation lists of those authorities, in PEM; read as that one. Default: none, and nothing counts as revoked. With it the issuer of a
    /// certificate must have a list that is not past its next update.
    pub x509pop_crl: Option<String>,
    /// How a node is named by its certificate, as `edge-{cn}`, with `{cn}`, `{dns}`, `{fingerprint}` or `{serial}` in it. Default: `{fingerprint}`.
    pub x509pop_name: Option<String>,
    /// The DNS names that certificates of entries may have, each with all names below it. Default: any; only an operator on this machine can write one.
    pub allow_dns: Option<Vec<String>>,
    /// The DNS domains that issuing CAs are constrained to (RFC 5280 name constraints), each with all names below it. Default: none, and no constraint.
    pub permit_dns: Option<Vec<String>>,
    /// The address ranges that issuing CAs are constrained to, as `10.0.0.0/8`. Default: none, and no constraint.
    pub permit_ip: Option<Vec<String>>,
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
        KnownKey::text::<KeySourceSpec>("key_source"),
        KnownKey::text::<SigningKeysPlace>("signing_keys"),
        KnownKey::text::<Listen>("listen"),
        KnownKey::text::<ServerAddress>("advertise"),
        KnownKey::text::<StoreKind>("store"),
        KnownKey::text::<TelemetryListen>("telemetry_listen"),
        KnownKey::text::<TextDuration>("issuing_ttl"),
        KnownKey::text::<TextDuration>("node_ttl"),
        KnownKey::text::<TextDuration>("renewal_grace"),
        KnownKey::text::<TextDuration>("jwt_key_ttl"),
        KnownKey::text::<TokenAlgorithm>("jwt_algorithm"),
        KnownKey::text::<TextDuration>("wit_key_ttl"),
        KnownKey::new("enable", KeyValue::Texts(as_text::<Features>)),
        KnownKey::text::<TextDuration>("ack_deadline"),
        KnownKey::text::<TextDuration>("emergency_ack_deadline"),
        KnownKey::text::<TextDuration>("root_ttl"),
        KnownKey::text::<IssuerUrl>("jwt_issuer"),
        KnownKey::new("jwt_claims", KeyValue::Texts(as_text::<ClaimNames>)),
        KnownKey::text::<Listen>("bundle_listen"),
        KnownKey::text::<ProfileName>("bundle_profile"),
        KnownKey::text::<EndpointUrl>("bundle_url"),
        KnownKey::new("no_bundle_map", KeyValue::Bool),
        KnownKey::text::<PathBuf>("bundle_cert"),
        KnownKey::text::<PathBuf>("bundle_key"),
        KnownKey::text::<PathBuf>("upstream_cert"),
        KnownKey::text::<PathBuf>("upstream_key"),
        KnownKey::new("upstream_dedicated", KeyValue::Bool),
        KnownKey::new("send_cross_certificate", KeyValue::Bool),
        KnownKey::text::<TextDuration>("bundle_refresh_hint"),
        KnownKey::new("federation_allow_loopback", KeyValue::Bool),
        KnownKey::text::<PathBuf>("federation_web_roots"),
        KnownKey::text::<ProxyUrl>("federation_proxy"),
        KnownKey::new("redirects", KeyValue::Bool),
        KnownKey::text::<CrlUse>("crl"),
        KnownKey::new("crl_max_bytes", KeyValue::Number(as_text::<CrlBytes>)),
        KnownKey::text::<PathBuf>("x509pop_ca"),
        KnownKey::text::<PathBuf>("x509pop_crl"),
        KnownKey::text::<NodeNameTemplate>("x509pop_name"),
        KnownKey::new("allow_dns", KeyValue::Texts(as_text::<DnsName>)),
        KnownKey::new("permit_dns", KeyValue::Texts(as_text::<DnsName>)),
        KnownKey::new("permit_ip", KeyValue::Texts(as_text::<IpRange>)),
        KnownKey::text::<CredentialClass>("max_class"),
        KnownKey::text::<TextDuration>("clock_skew"),
    ];

    /// Reads a file; without one every option is absent. The draft keeps the mistakes of keys and values, until the whole is checked too.
    ///
    /// # Errors
    /// Every mistake of the file at once, each with its line, where too little of it is understood to check the whole.
    pub fn read(file: Option<&Path>) -> Result<Draft<Self>, ConfigMistakes> {
        file.map_or_else(|| Ok(Draft::of(Self::default())), |file| read_draft(file, Self::KNOWN_KEYS))
    }

    /// Lays these options over others: where one is absent here, the other counts.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        // The two are one option: whoever names one here does not mean the other there.
        let names_source = self.key_file.is_some() || self.key_source.is_some();
        Self {
            key_source: self.key_source.or(under.key_source.filter(|_| !names_source)),
            signing_keys: self.signing_keys.or(under.signing_keys),
            data_dir: self.data_dir.or(under.data_dir),
            key_file: self.key_file.or(under.key_file.filter(|_| !names_source)),
            listen: self.listen.or(under.listen),
            advertise: self.advertise.or(under.advertise),
            store: self.store.or(under.store),
            telemetry_listen: self.telemetry_listen.or(under.telemetry_listen),
            issuing_ttl: self.issuing_ttl.or(under.issuing_ttl),
            node_ttl: self.node_ttl.or(under.node_ttl),
            renewal_grace: self.renewal_grace.or(under.renewal_grace),
            jwt_key_ttl: self.jwt_key_ttl.or(under.jwt_key_ttl),
            jwt_algorithm: self.jwt_algorithm.or(under.jwt_algorithm),
            wit_key_ttl: self.wit_key_ttl.or(under.wit_key_ttl),
            enable: self.enable.or(under.enable),
            ack_deadline: self.ack_deadline.or(under.ack_deadline),
            emergency_ack_deadline: self.emergency_ack_deadline.or(under.emergency_ack_deadline),
            root_ttl: self.root_ttl.or(under.root_ttl),
            jwt_issuer: self.jwt_issuer.or(under.jwt_issuer),
            jwt_claims: self.jwt_claims.or(under.jwt_claims),
            bundle_listen: self.bundle_listen.or(under.bundle_listen),
            bundle_profile: self.bundle_profile.or(under.bundle_profile),
            bundle_url: self.bundle_url.or(under.bundle_url),
            no_bundle_map: self.no_bundle_map.or(under.no_bundle_map),
            bundle_cert: self.bundle_cert.or(under.bundle_cert),
            bundle_key: self.bundle_key.or(under.bundle_key),
            upstream_cert: self.upstream_cert.or(under.upstream_cert),
            upstream_key: self.upstream_key.or(under.upstream_key),
            upstream_dedicated: self.upstream_dedicated.or(under.upstream_dedicated),
            send_cross_certificate: self.send_cross_certificate.or(under.send_cross_certificate),
            bundle_refresh_hint: self.bundle_refresh_hint.or(under.bundle_refresh_hint),
            federation_allow_loopback: self.federation_allow_loopback.or(under.federation_allow_loopback),
            federation_web_roots: self.federation_web_roots.or(under.federation_web_roots),
            federation_proxy: self.federation_proxy.or(under.federation_proxy),
            redirects: self.redirects.or(under.redirects),
            crl: self.crl.or(under.crl),
            crl_max_bytes: self.crl_max_bytes.or(under.crl_max_bytes),
            x509pop_ca: self.x509pop_ca.or(under.x509pop_ca),
            x509pop_crl: self.x509pop_crl.or(under.x509pop_crl),
            x509pop_name: self.x509pop_name.or(under.x509pop_name),
            allow_dns: self.allow_dns.or(under.allow_dns),
            permit_dns: self.permit_dns.or(under.permit_dns),
            permit_ip: self.permit_ip.or(under.permit_ip),
            max_class: self.max_class.or(under.max_class),
            clock_skew: self.clock_skew.or(under.clock_skew),
        }
    }
}
