//! The server's configuration: [`RawServerConfig`] is what people write, [`ServerConfig`] is what the program uses.

mod bundle_endpoint;
mod data_dir;
mod features;
mod federation;
mod listen;
mod raw;
mod signing_keys;
mod store_kind;
#[cfg(test)]
mod tests;
mod upstream;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use platform::config::{ConfigMistakes, Mistakes};
use platform::paths::Environment;
use platform::sealing::KeySourceSpec;
use thiserror::Error;
use trust_domains::bundle::DEFAULT_REFRESH;
use trust_domains::class::CredentialClass;
use trust_domains::duration::{TextDuration, format_duration};
use trust_domains::entry::DnsName;
use trust_domains::join_link::ServerAddress;
use trust_domains::jwt_svid::{ClaimNames, IssuerUrl};
use trust_domains::node::NodeNameTemplate;
use trust_domains::plan::authority::{
    AuthorityPolicy, DEFAULT_ACK_DEADLINE, DEFAULT_EMERGENCY_ACK_DEADLINE, DEFAULT_ROOT_LIFE, DEFAULT_TOKEN_KEY_LIFE, RootPolicy, RootPolicyRefused,
    TokenPolicy, TokenPolicyRefused,
};
use trust_domains::plan::clock_evidence::ClockPolicy;
use trust_domains::plan::validity::{DEFAULT_CLOCK_SKEW, SHORTEST_LIFE};
use trust_domains::token_svid::TokenKind;
use trust_domains::x509::PermittedNames;

pub use bundle_endpoint::BundleEndpoint;
pub use data_dir::DataDir;
pub use features::{Features, UnknownFeature};
pub use federation::FederationConfig;
pub use listen::{Listen, ParseListenError, TelemetryListen};
pub use raw::RawServerConfig;
pub use signing_keys::{ParseSigningKeysError, SigningKeysPlace};
pub use store_kind::{ParseStoreKindError, StoreKind};
pub use upstream::UpstreamConfig;

use crate::attestation::{RenewalGrace, X509PopPolicy};
use crate::authority::AuthoritySettings;
use crate::issuance::IssuancePolicy;
use crate::revocation::{CrlBytes, CrlSettings, CrlUse};

/// The life of an issuing CA: a week bounds what a stolen one can do, and leaves days to mend a failed handover.
pub const DEFAULT_ISSUING_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The life of a node SVID: a node may be off overnight and still renew with its certificate.
pub const DEFAULT_NODE_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// The largest skew: with more, a certificate would be valid long before anybody may have it.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// The shortest refresh hint: bundles say it in whole seconds, and none means something else.
pub const SHORTEST_REFRESH_HINT: Duration = Duration::from_secs(1);

/// A configuration that is valid as a whole.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where the server keeps its data.
    pub data_dir: DataDir,
    /// What opens the sealed data key.
    pub key_source: KeySourceSpec,
    /// Where new keys of authorities are made; `None` for where they were made so far.
    pub signing_keys: Option<SigningKeysPlace>,
    /// The node API's address.
    pub listen: SocketAddr,
    /// The address that join links name, when it is configured.
    pub advertise: Option<ServerAddress>,
    /// The store.
    pub store: StoreKind,
    /// Where metrics and probes are served, unless off.
    pub telemetry_listen: Option<SocketAddr>,
    /// The life of node SVIDs and of the server's own.
    pub node_ttl: Duration,
    /// How long after the end of its SVID a node may renew it.
    pub renewal_grace: RenewalGrace,
    /// Which certificates admit nodes, if any do.
    pub x509pop: Option<X509PopPolicy>,
    /// The DNS names that entries may have; any where there is none here.
    pub allow_dns: Vec<DnsName>,
    /// What issuing CAs are constrained to.
    pub permitted: PermittedNames,
    /// The longest class that entries may have.
    pub max_class: CredentialClass,
    /// The issuer that JWT-SVIDs name.
    pub jwt_issuer: Option<IssuerUrl>,
    /// The claims that entries may have beside those of the standard.
    pub jwt_claims: ClaimNames,
    /// Where the bundle is served to those outside, if it is.
    pub bundle: Option<BundleEndpoint>,
    /// The upstream authority that certifies the root, if one is configured.
    pub upstream: Option<UpstreamConfig>,
    /// How partners' endpoints are reached.
    pub federation: FederationConfig,
    /// How often relying parties shall fetch the bundle.
    pub bundle_refresh_hint: Duration,
    /// How far the clocks of verifiers may be behind this server's.
    pub clock_skew: Duration,
    crl: CrlSettings,
    authority_policy: AuthorityPolicy,
}

/// A value is outside of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum OutOfBounds {
    #[error("{} is shorter than {}, the shortest life of an SVID", format_duration(*.actual), format_duration(*.least))]
    TooShort { actual: Duration, least: Duration },
    #[error("{} is more than {}", format_duration(*.actual), format_duration(*.most))]
    TooLong { actual: Duration, most: Duration },
    #[error(
        "an issuing CA of {} is too short: with certificates of up to {} (max_class, node_ttl) it needs at least {}",
        format_duration(*.actual), format_duration(*.longest), format_duration(*.least)
    )]
    IssuingTooShort { actual: Duration, longest: Duration, least: Duration },
    #[error(
        "a {kind} key of {} is too short: with tokens of up to {} (max_class) and {} between its publication and its use (ack_deadline, five times bundle_refresh_hint) it needs at least {}",
        format_duration(*.actual), format_duration(*.longest), format_duration(*.wait), format_duration(*.least)
    )]
    TokenKeyTooShort {
        kind: TokenKind,
        actual: Duration,
        longest: Duration,
        wait: Duration,
        least: Duration,
    },
    #[error(
        "a root of {} is too short: with issuing CAs of {} (issuing_ttl) and {} between its publication and its use (ack_deadline, five times bundle_refresh_hint) it needs at least {}",
        format_duration(*.actual), format_duration(*.issuing), format_duration(*.wait), format_duration(*.least)
    )]
    RootTooShort {
        actual: Duration,
        issuing: Duration,
        wait: Duration,
        least: Duration,
    },
    #[error("{} is shorter than a second", format_duration(*.actual))]
    HintTooShort { actual: Duration },
    #[error("certificates admit nodes only with x509pop_ca")]
    NeedsAuthorities,
}

impl ServerConfig {
    /// Makes a valid configuration.
    ///
    /// # Errors
    /// Every mistake at once, each with its key.
    pub fn new(raw: RawServerConfig, environment: &Environment) -> Result<Self, ConfigMistakes> {
        let mut mistakes = Mistakes::new();
        let config = Self::check(&raw, environment, &mut mistakes);
        mistakes.finish(None, config)
    }

    fn check(raw: &RawServerConfig, environment: &Environment, mistakes: &mut Mistakes) -> Option<Self> {
        let data_dir = match &raw.data_dir {
            Some(path) => Some(PathBuf::from(path)),
            None => mistakes.check("data_dir", environment.server_data()),
        };
        let listen = parse(mistakes, "listen", raw.listen.as_deref(), Listen::default);
        let advertise = raw.advertise.as_deref().map(|text| mistakes.check("advertise", text.parse()));
        let store = parse(mistakes, "store", raw.store.as_deref(), StoreKind::default);
        let telemetry_listen = parse(mistakes, "telemetry_listen", raw.telemetry_listen.as_deref(), TelemetryListen::default);
        let issuing_ttl = duration(mistakes, "issuing_ttl", raw.issuing_ttl.as_deref(), DEFAULT_ISSUING_TTL);
        let node_ttl = duration(mistakes, "node_ttl", raw.node_ttl.as_deref(), DEFAULT_NODE_TTL).and_then(|ttl| mistakes.check("node_ttl", long_enough(ttl)));
        let renewal_grace = duration(mistakes, "renewal_grace", raw.renewal_grace.as_deref(), RenewalGrace::default().0);
        let x509pop = x509pop(raw, mistakes);
        let allow_dns = texts(mistakes, "allow_dns", raw.allow_dns.as_deref());
        let permit_dns = texts(mistakes, "permit_dns", raw.permit_dns.as_deref());
        let permit_ip = texts(mistakes, "permit_ip", raw.permit_ip.as_deref());
        let max_class = parse(mistakes, "max_class", raw.max_class.as_deref(), || CredentialClass::Slow);
        let clock_skew = duration(mistakes, "clock_skew", raw.clock_skew.as_deref(), DEFAULT_CLOCK_SKEW);
        let clock_skew = clock_skew.and_then(|skew| mistakes.check("clock_skew", small_enough(skew)));
        let jwt_key_ttl = duration(mistakes, "jwt_key_ttl", raw.jwt_key_ttl.as_deref(), DEFAULT_TOKEN_KEY_LIFE);
        let jwt_algorithm = raw.jwt_algorithm.as_deref().map(|text| mistakes.check("jwt_algorithm", text.parse()));
        let ack_deadline = duration(mistakes, "ack_deadline", raw.ack_deadline.as_deref(), DEFAULT_ACK_DEADLINE);
        let emergency_ack_deadline = duration(
            mistakes,
            "emergency_ack_deadline",
            raw.emergency_ack_deadline.as_deref(),
            DEFAULT_EMERGENCY_ACK_DEADLINE,
        );
        let root_ttl = duration(mistakes, "root_ttl", raw.root_ttl.as_deref(), DEFAULT_ROOT_LIFE);
        let wit_key_ttl = duration(mistakes, "wit_key_ttl", raw.wit_key_ttl.as_deref(), DEFAULT_TOKEN_KEY_LIFE);
        let enable = raw.enable.iter().flatten().map(String::as_str);
        let features = mistakes.check("enable", Features::new(enable));
        let jwt_issuer = raw.jwt_issuer.as_deref().map(|text| mistakes.check("jwt_issuer", text.parse()));
        let jwt_claims = mistakes.check("jwt_claims", ClaimNames::new(raw.jwt_claims.iter().flatten().cloned()));
        let bundle = bundle_endpoint::read(raw, mistakes);
        let upstream = upstream::read(raw, mistakes);
        let federation = federation::read(raw, mistakes);
        let refresh_hint = duration(mistakes, "bundle_refresh_hint", raw.bundle_refresh_hint.as_deref(), DEFAULT_REFRESH);
        let refresh_hint = refresh_hint.and_then(|hint| mistakes.check("bundle_refresh_hint", frequent_enough(hint)));
        let lives = issuing_ttl.zip(node_ttl).zip(max_class).zip(clock_skew);
        let authority_policy = lives.and_then(|(((issuing, node), class), skew)| mistakes.check("issuing_ttl", policy(issuing, node, class, skew)));
        // Somebody outside fetches the keys: they hear of a new one at their next refresh.
        let is_fetched = raw.bundle_listen.is_some() || raw.jwt_issuer.is_some();
        let hint = refresh_hint.filter(|_| is_fetched);
        // What needs several values is checked wherever those can be read: a mistake in one of the others hides nothing.
        let mut token_policy = |kind, key: &str, key_ttl: Option<Duration>| {
            let (key_ttl, (class, ack_deadline)) = key_ttl.zip(max_class.zip(ack_deadline))?;
            let policy = TokenPolicy::new(key_ttl, class.longest_life(), ack_deadline, hint);
            mistakes.check(key, policy.map_err(|refused| token_key_too_short(kind, refused)))
        };
        let jwt_policy = token_policy(TokenKind::Jwt, "jwt_key_ttl", jwt_key_ttl);
        let wants_wit = features.as_ref().is_some_and(|features| features.wit);
        let wit_policy = wants_wit.then(|| token_policy(TokenKind::Wit, "wit_key_ttl", wit_key_ttl));
        let root_lives = root_ttl.zip(issuing_ttl).zip(ack_deadline);
        let root_policy = root_lives.and_then(|((root, issuing), ack_deadline)| {
            let policy = RootPolicy::new(root, issuing, ack_deadline, hint);
            mistakes.check("root_ttl", policy.map_err(root_too_short))
        });

        let usage = parse(mistakes, "crl", raw.crl.as_deref(), CrlUse::default);
        let max_bytes = parse(mistakes, "crl_max_bytes", raw.crl_max_bytes.as_deref(), CrlBytes::default);

        let data_dir = data_dir.map(DataDir::new);
        let key_file = raw.key_file.as_deref().map(Path::new);
        // Without a data directory nothing comes of it; the key source is looked at all the same.
        let default_key_file = || data_dir.as_ref().map_or_else(|| PathBuf::from("/"), DataDir::default_key_file);
        let key_source = KeySourceSpec::configured(raw.key_source.as_deref(), key_file, default_key_file);
        let key_source = mistakes.check("key_source", key_source);
        let key_source = key_source.and_then(|source| mistakes.check("key_source", source.absolute()));
        let signing_keys = raw.signing_keys.as_deref().map(|text| mistakes.check("signing_keys", text.parse()));

        let authority_policy = authority_policy?.with_root(root_policy?).with_emergency_ack_deadline(emergency_ack_deadline?);
        let authority_policy = authority_policy.with_jwt(jwt_policy?.with_algorithm(jwt_algorithm.map_or(Some(None), |algorithm| algorithm.map(Some))?));
        let authority_policy = match wit_policy {
            Some(wit) => authority_policy.with_wit(wit?),
            None => authority_policy,
        };
        features?;
        Some(Self {
            key_source: key_source?,
            signing_keys: signing_keys.map_or(Some(None), |place| place.map(Some))?,
            data_dir: data_dir?,
            listen: listen?.0,
            advertise: advertise.map_or(Some(None), |address| address.map(Some))?,
            store: store?,
            telemetry_listen: telemetry_listen?.0,
            node_ttl: node_ttl?,
            renewal_grace: RenewalGrace(renewal_grace?),
            x509pop: x509pop?,
            allow_dns: allow_dns?,
            permitted: PermittedNames::new(permit_dns?, permit_ip?),
            max_class: max_class?,
            clock_skew: clock_skew?,
            jwt_issuer: jwt_issuer.map_or(Some(None), |issuer| issuer.map(Some))?,
            jwt_claims: jwt_claims?,
            bundle: bundle?,
            upstream: upstream?,
            federation: federation?,
            bundle_refresh_hint: refresh_hint?,
            crl: CrlSettings {
                usage: usage?,
                max_bytes: max_bytes?.get(),
                renewal_grace: renewal_grace?,
            },
            authority_policy,
        })
    }

    /// Returns how the authorities live under this configuration.
    #[must_use]
    pub fn authority_settings(&self) -> AuthoritySettings {
        AuthoritySettings {
            policy: self.authority_policy,
            skew: self.clock_skew,
            refresh_hint: self.bundle_refresh_hint,
            permitted: self.permitted.clone(),
        }
    }

    /// Returns how revocation lists go out under this configuration.
    #[must_use]
    pub const fn crl_settings(&self) -> CrlSettings {
        self.crl
    }

    /// Returns how certificates and tokens are issued under this configuration.
    #[must_use]
    pub fn issuance_policy(&self) -> IssuancePolicy {
        IssuancePolicy {
            node_ttl: self.node_ttl,
            server_ttl: self.node_ttl,
            max_class: self.max_class,
            skew: self.clock_skew,
            jwt_issuer: self.jwt_issuer.clone(),
            jwt_claims: self.jwt_claims.clone(),
        }
    }
}

/// An issuing CA must outlast everything that it may sign, with time to hand over.
fn policy(issuing_ttl: Duration, node_ttl: Duration, max_class: CredentialClass, skew: Duration) -> Result<AuthorityPolicy, OutOfBounds> {
    let longest = max_class.longest_life().max(node_ttl);
    let policy = AuthorityPolicy::new(issuing_ttl, longest).map_err(|refused| OutOfBounds::IssuingTooShort {
        actual: refused.issuing_life,
        longest: refused.longest_life,
        least: refused.least,
    })?;
    Ok(policy.with_clock(ClockPolicy {
        skew,
        ..ClockPolicy::default()
    }))
}

/// Reads the options of nodes' certificates: the others mean nothing without the authorities.
fn x509pop(raw: &RawServerConfig, mistakes: &mut Mistakes) -> Option<Option<X509PopPolicy>> {
    let names = parse(mistakes, "x509pop_name", raw.x509pop_name.as_deref(), NodeNameTemplate::default);
    let Some(authorities) = &raw.x509pop_ca else {
        let alone = [("x509pop_crl", &raw.x509pop_crl), ("x509pop_name", &raw.x509pop_name)];
        return match alone.into_iter().find(|(_, value)| value.is_some()) {
            Some((name, _)) => mistakes.check(name, Err(OutOfBounds::NeedsAuthorities)),
            None => Some(None),
        };
    };
    Some(Some(X509PopPolicy {
        authorities: PathBuf::from(authorities),
        crls: raw.x509pop_crl.as_ref().map(PathBuf::from),
        names: names?,
    }))
}

fn texts<T: FromStr<Err: std::fmt::Display>>(mistakes: &mut Mistakes, key: &str, texts: Option<&[String]>) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = texts.unwrap_or_default().iter().map(|text| mistakes.check(key, text.parse())).collect();
    read.into_iter().collect()
}

fn token_key_too_short(kind: TokenKind, refused: TokenPolicyRefused) -> OutOfBounds {
    OutOfBounds::TokenKeyTooShort {
        kind,
        actual: refused.key_life,
        longest: refused.longest_life,
        wait: refused.wait,
        least: refused.least,
    }
}

fn root_too_short(refused: RootPolicyRefused) -> OutOfBounds {
    OutOfBounds::RootTooShort {
        actual: refused.root_life,
        issuing: refused.issuing_life,
        wait: refused.wait,
        least: refused.least,
    }
}

fn frequent_enough(actual: Duration) -> Result<Duration, OutOfBounds> {
    match actual >= SHORTEST_REFRESH_HINT {
        true => Ok(actual),
        false => Err(OutOfBounds::HintTooShort { actual }),
    }
}

fn long_enough(actual: Duration) -> Result<Duration, OutOfBounds> {
    if actual < SHORTEST_LIFE {
        Err(OutOfBounds::TooShort { actual, least: SHORTEST_LIFE })
    } else {
        Ok(actual)
    }
}

fn small_enough(actual: Duration) -> Result<Duration, OutOfBounds> {
    if actual > MAX_CLOCK_SKEW {
        Err(OutOfBounds::TooLong { actual, most: MAX_CLOCK_SKEW })
    } else {
        Ok(actual)
    }
}

fn duration(mistakes: &mut Mistakes, key: &str, text: Option<&str>, default: Duration) -> Option<Duration> {
    parse(mistakes, key, text, || TextDuration(default)).map(|TextDuration(duration)| duration)
}

fn parse<T: FromStr<Err: std::fmt::Display>>(mistakes: &mut Mistakes, key: &str, text: Option<&str>, default: impl FnOnce() -> T) -> Option<T> {
    match text {
        Some(text) => mistakes.check(key, text.parse()),
        None => Some(default()),
    }
}
