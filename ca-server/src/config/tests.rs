//! A configuration is valid as a whole or every mistake is named.

use conformance::covers;
use platform::config::{read_draft_text, read_toml_text};
use platform::paths::Environment;
use trust_domains::class::CredentialClass;
use trust_domains::federation::ProfileName;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::problem::{Code, Coded};

use super::*;

fn environment() -> Environment {
    Environment {
        uid: 0,
        ..Environment::default()
    }
}

fn made(text: &str) -> Result<ServerConfig, ConfigMistakes> {
    ServerConfig::new(read_toml_text(text, RawServerConfig::KNOWN_KEYS)?, &environment())
}

#[test]
fn without_a_word_the_defaults_are_those_of_the_manual() {
    let config = made("").unwrap();
    assert_eq!(config.data_dir.path().to_str(), Some("/var/lib/troth/server"));
    assert_eq!(config.key_source.to_string(), "file:/var/lib/troth/server.seal.key");
    assert_eq!(config.signing_keys, None);
    assert_eq!(config.listen.to_string(), "0.0.0.0:8443");
    assert_eq!(config.telemetry_listen.unwrap().to_string(), "127.0.0.1:9464");
    assert_eq!(
        (config.node_ttl, config.max_class, config.clock_skew.as_secs()),
        (DEFAULT_NODE_TTL, CredentialClass::Slow, 60)
    );
    assert_eq!(config.authority_settings().policy.issuing().life(), DEFAULT_ISSUING_TTL);
    assert_eq!(config.authority_settings().policy.jwt().life().life(), DEFAULT_TOKEN_KEY_LIFE);
    assert!(config.authority_settings().policy.wit().is_none(), "WIT-SVIDs are for who asks for them");
    assert!(config.bundle.is_none() && config.jwt_issuer.is_none() && config.jwt_claims == ClaimNames::default());
    assert!(config.advertise.is_none());
    let federation = &config.federation;
    assert!(!federation.allow_loopback && federation.redirects && federation.proxy.is_none() && federation.web_roots.is_none());
}

#[test]
fn every_option_can_stand_in_the_file() {
    let config = made(
        r#"
        data_dir = "/srv/troth"
        key_file = "/etc/troth/seal.key"
        listen = "[::1]:0"
        advertise = "ca.example.org:8443"
        store = "sled"
        telemetry_listen = "off"
        issuing_ttl = "1h"
        node_ttl = "10m"
        jwt_key_ttl = "20m"
        jwt_algorithm = "RS256"
        wit_key_ttl = "30m"
        enable = ["wit"]
        ack_deadline = "1m"
        emergency_ack_deadline = "5s"
        root_ttl = "2d"
        jwt_issuer = "https://id.example.org/td"
        jwt_claims = ["scope", "tier"]
        bundle_listen = "127.0.0.1:8444"
        bundle_profile = "https_spiffe"
        bundle_url = "https://bundle.example.org:8444/"
        no_bundle_map = true
        bundle_cert = "/etc/troth/bundle.pem"
        bundle_key = "/etc/troth/bundle.key"
        upstream_cert = "/etc/troth/corporate.pem"
        upstream_key = "/etc/troth/corporate.key"
        upstream_dedicated = true
        bundle_refresh_hint = "10s"
        federation_allow_loopback = true
        federation_web_roots = "/etc/troth/web-roots.pem"
        federation_proxy = "http://proxy.example.org:3128"
        redirects = false
        max_class = "fast"
        clock_skew = "30s"
        "#,
    )
    .unwrap();
    assert_eq!(config.data_dir.path().to_str(), Some("/srv/troth"));
    assert_eq!(config.key_source.to_string(), "file:/etc/troth/seal.key");
    assert_eq!(config.listen.to_string(), "[::1]:0");
    assert_eq!(config.advertise.as_ref().unwrap().to_string(), "ca.example.org:8443");
    assert_eq!((config.telemetry_listen, config.store), (None, StoreKind::Sled));
    assert_eq!(
        (config.node_ttl.as_secs(), config.max_class, config.clock_skew.as_secs()),
        (600, CredentialClass::Fast, 30)
    );
    assert_eq!(config.jwt_issuer.as_ref().unwrap().path(), "/td");
    assert_eq!(config.jwt_claims.iter().collect::<Vec<_>>(), ["scope", "tier"]);
    let bundle = config.bundle.as_ref().unwrap();
    let files = bundle.certificate.as_ref().unwrap();
    assert_eq!((bundle.listen.port(), files.key.to_str()), (8444, Some("/etc/troth/bundle.key")));
    let url = bundle.url.as_ref().unwrap();
    assert_eq!((url.as_str(), bundle.profile), ("https://bundle.example.org:8444/", ProfileName::HttpsSpiffe));
    assert!(!bundle.serves_map);
    let upstream = config.upstream.as_ref().unwrap();
    assert_eq!(upstream.files.key.to_str(), Some("/etc/troth/corporate.key"));
    assert_eq!((upstream.used.is_dedicated, upstream.used.is_sent), (Some(true), None));
    let federation = &config.federation;
    assert_eq!((federation.allow_loopback, federation.redirects), (true, false));
    assert_eq!(federation.web_roots.as_ref().unwrap().to_str(), Some("/etc/troth/web-roots.pem"));
    assert_eq!(federation.proxy.as_ref().unwrap().port(), 3_128);
    assert_eq!(config.authority_settings().refresh_hint.as_secs(), 10);
    assert_eq!(config.authority_settings().policy.jwt().life().life().as_secs(), 1_200);
    assert_eq!(config.authority_settings().policy.jwt().algorithm(), Some(TokenAlgorithm::Rs256));
    assert_eq!(config.authority_settings().policy.wit().unwrap().life().life().as_secs(), 1_800);
    assert_eq!(config.authority_settings().policy.clock().skew.as_secs(), 30);
    assert_eq!(config.issuance_policy().max_class, CredentialClass::Fast);
}

#[test]
fn every_known_key_is_a_field_and_every_field_a_known_key() {
    let RawServerConfig {
        data_dir,
        key_file,
        key_source,
        signing_keys,
        listen,
        advertise,
        store,
        telemetry_listen,
        issuing_ttl,
        node_ttl,
        renewal_grace,
        jwt_key_ttl,
        jwt_algorithm,
        wit_key_ttl,
        enable,
        ack_deadline,
        emergency_ack_deadline,
        root_ttl,
        jwt_issuer,
        jwt_claims,
        bundle_listen,
        bundle_profile,
        bundle_url,
        no_bundle_map,
        bundle_cert,
        bundle_key,
        upstream_cert,
        upstream_key,
        upstream_dedicated,
        send_cross_certificate,
        bundle_refresh_hint,
        federation_allow_loopback,
        federation_web_roots,
        federation_proxy,
        redirects,
        crl,
        crl_max_bytes,
        x509pop_ca,
        x509pop_crl,
        x509pop_name,
        allow_dns,
        permit_dns,
        permit_ip,
        max_class,
        clock_skew,
    } = RawServerConfig::default();
    let fields = [
        data_dir,
        key_file,
        key_source,
        signing_keys,
        listen,
        advertise,
        store,
        telemetry_listen,
        issuing_ttl,
        node_ttl,
        renewal_grace,
        jwt_key_ttl,
        jwt_algorithm,
        wit_key_ttl,
        enable.map(|_| String::new()),
        ack_deadline,
        emergency_ack_deadline,
        root_ttl,
        jwt_issuer,
        jwt_claims.map(|_| String::new()),
        bundle_listen,
        bundle_profile,
        bundle_url,
        no_bundle_map.map(|_| String::new()),
        bundle_cert,
        bundle_key,
        upstream_cert,
        upstream_key,
        upstream_dedicated.map(|_| String::new()),
        send_cross_certificate.map(|_| String::new()),
        bundle_refresh_hint,
        federation_allow_loopback.map(|_| String::new()),
        federation_web_roots,
        federation_proxy,
        redirects.map(|_| String::new()),
        crl,
        crl_max_bytes,
        x509pop_ca,
        x509pop_crl,
        x509pop_name,
        allow_dns.map(|_| String::new()),
        permit_dns.map(|_| String::new()),
        permit_ip.map(|_| String::new()),
        max_class,
        clock_skew,
    ];
    assert_eq!(fields.len(), RawServerConfig::KNOWN_KEYS.len());
    for known in RawServerConfig::KNOWN_KEYS {
        toml_accepts(known.name);
    }
}

#[test]
fn a_key_source_is_named_once_and_one_in_a_flag_stands_for_the_key_file_of_the_file() {
    let of = |key_source: Option<&str>, key_file: Option<&str>| RawServerConfig {
        key_source: key_source.map(str::to_owned),
        key_file: key_file.map(str::to_owned),
        ..RawServerConfig::default()
    };
    let environment = platform::paths::Environment::default();
    let both = ServerConfig::new(of(Some("passphrase"), Some("/k")), &environment).unwrap_err();
    assert!(both.to_string().contains("name one of them"), "{both}");
    let over = ServerConfig::new(of(Some("passphrase"), None).over(of(None, Some("/k"))), &environment).unwrap();
    assert_eq!(over.key_source.to_string(), "passphrase");
    let pin = ServerConfig::new(of(Some("pkcs11:token=t;object=o?module-path=/m.so&pin-value=1234"), None), &environment).unwrap_err();
    assert!(pin.to_string().contains("pin-source"), "{pin}");
    assert!(!pin.to_string().contains("1234"), "{pin}");
}

#[test]
fn what_needs_several_values_is_checked_though_others_cannot_be_read() {
    let told = |text: &str| {
        let error = made(text).unwrap_err();
        error.mistakes.iter().map(|mistake| mistake.key.clone()).collect::<Vec<_>>()
    };
    // Two that do not go together, and one that cannot be read and has nothing to do with them.
    assert_eq!(
        raw_mistakes(r#"{"clock_skew": "2h", "jwt_key_ttl": "1d", "root_ttl": "2d"}"#),
        ["clock_skew", "jwt_key_ttl", "root_ttl"]
    );
    assert_eq!(told("bundle_listen = \"127.0.0.1:8444\"\nbundle_key = \"k\"\njwt_key_ttl = \"1d\"").len(), 2);
    assert_eq!(
        raw_mistakes(r#"{"enable": ["wit"], "node_ttl": "1s", "wit_key_ttl": "1h"}"#),
        ["node_ttl", "wit_key_ttl"]
    );
    assert_eq!(
        raw_mistakes(r#"{"max_class": "eternal", "root_ttl": "2d", "crl": "never"}"#),
        ["max_class", "root_ttl", "crl"]
    );
}

/// Returns the keys of the mistakes of the second check alone, as flags are checked.
fn raw_mistakes(text: &str) -> Vec<String> {
    let raw: RawServerConfig = serde_json::from_str(text).unwrap();
    let error = ServerConfig::new(raw, &environment()).unwrap_err();
    error.mistakes.into_iter().map(|mistake| mistake.key).collect()
}

#[test]
fn a_number_of_bytes_may_stand_without_quotes() {
    for text in ["crl_max_bytes = 4096", "crl_max_bytes = \"4096\""] {
        assert_eq!(made(text).unwrap().crl_settings().max_bytes, 4_096, "{text}");
    }
    assert!(made("crl_max_bytes = 4095").unwrap_err().to_string().contains("4096 to 8388608"));
}

fn toml_accepts(key: &str) {
    let error = read_toml_text::<RawServerConfig>(&format!("{key} = {{}}"), RawServerConfig::KNOWN_KEYS).unwrap_err();
    assert!(error.to_string().contains("expected "), "{error}");
}

#[test]
fn every_mistake_is_named_at_once_with_its_key() {
    let raw = RawServerConfig {
        listen: Some("8443".to_owned()),
        advertise: Some("nowhere".to_owned()),
        store: Some("etcd".to_owned()),
        telemetry_listen: Some("no".to_owned()),
        issuing_ttl: Some("7".to_owned()),
        node_ttl: Some("5s".to_owned()),
        max_class: Some("eternal".to_owned()),
        clock_skew: Some("2h".to_owned()),
        ..RawServerConfig::default()
    };
    let error = ServerConfig::new(
        raw,
        &Environment {
            uid: 1000,
            ..Environment::default()
        },
    )
    .unwrap_err();
    assert_eq!(error.code(), Code::ConfigInvalid);
    let keys: Vec<&str> = error.mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "data_dir",
            "listen",
            "advertise",
            "store",
            "telemetry_listen",
            "issuing_ttl",
            "node_ttl",
            "max_class",
            "clock_skew"
        ]
    );
}

#[test]
fn an_issuing_ca_that_could_not_outlast_what_it_signs_is_refused_with_the_least_that_works() {
    let error = made("issuing_ttl = \"1h\"").unwrap_err();
    assert_eq!(error.mistakes.len(), 1);
    assert!(error.to_string().contains("issuing_ttl") && error.to_string().contains("max_class"), "{error}");
    made("issuing_ttl = \"1h\"\nmax_class = \"fast\"\nnode_ttl = \"20m\"").unwrap();
}

#[test]
fn a_jwt_key_that_nobody_could_know_in_time_is_refused_with_the_least_that_works() {
    let error = made("jwt_key_ttl = \"1d\"").unwrap_err();
    assert!(
        error.to_string().contains("jwt_key_ttl") && error.to_string().contains("ack_deadline"),
        "{error}"
    );
    let quick = "jwt_key_ttl = \"8m\"\nack_deadline = \"30s\"\nmax_class = \"fast\"";
    made(quick).unwrap();
    // Relying parties that fetch every five minutes need more.
    assert!(made(&format!("{quick}\njwt_issuer = \"https://id.example.org\"")).is_err());
    made(&format!("{quick}\njwt_issuer = \"https://id.example.org\"\nbundle_refresh_hint = \"6s\"")).unwrap();
}

#[test]
fn what_is_enabled_is_named_and_its_bounds_count_only_then() {
    let error = made("enable = [\"wit\", \"sso\"]").unwrap_err();
    assert_eq!(error.mistakes.len(), 1);
    assert!(error.to_string().contains("\"sso\" is no feature of this server; there is: wit"), "{error}");
    made("wit_key_ttl = \"1h\"").unwrap();
    let error = made("enable = [\"wit\"]\nwit_key_ttl = \"1h\"").unwrap_err();
    assert!(
        error.to_string().contains("wit_key_ttl") && error.to_string().contains("a WIT key of 1h is too short"),
        "{error}"
    );
    assert!(made("enable = []").unwrap().authority_settings().policy.wit().is_none());
}

#[covers("FED-12")]
#[test]
fn options_of_the_bundle_endpoint_that_do_not_go_together_are_named() {
    let listen = "bundle_listen = \"127.0.0.1:8444\"";
    let url = |text: &str| format!("{listen}\nbundle_url = \"{text}\"");
    for (text, key, named) in [
        (format!("{listen}\nbundle_key = \"k\""), "bundle_key", "bundle_cert"),
        (format!("{listen}\nbundle_cert = \"c\""), "bundle_cert", "bundle_key"),
        (format!("{listen}\nbundle_profile = \"https_web\""), "bundle_profile", "bundle_cert"),
        (format!("{listen}\nbundle_profile = \"web\""), "bundle_profile", "https_spiffe or https_web"),
        ("bundle_cert = \"c\"".to_owned(), "bundle_cert", "bundle_listen"),
        ("bundle_profile = \"https_spiffe\"".to_owned(), "bundle_profile", "bundle_listen"),
        ("bundle_url = \"https://example.org\"".to_owned(), "bundle_url", "bundle_listen"),
        ("no_bundle_map = true".to_owned(), "no_bundle_map", "bundle_listen"),
        (url("http://example.org"), "bundle_url", "https"),
        (url("https://user@example.org"), "bundle_url", "user"),
        (url("https://example.org/bundle-map"), "bundle_url", "something else"),
        (
            format!("{}\njwt_issuer = \"https://example.org/td\"", url("https://example.org/td/keys")),
            "bundle_url",
            "something else",
        ),
        ("jwt_issuer = \"http://example.org\"".to_owned(), "jwt_issuer", "https://"),
        ("jwt_claims = [\"sub\"]".to_owned(), "jwt_claims", "registered"),
        ("bundle_refresh_hint = \"0s\"".to_owned(), "bundle_refresh_hint", "second"),
    ] {
        let error = made(&text).unwrap_err();
        assert!(error.mistakes.iter().any(|mistake| mistake.key.starts_with(key)), "{text}: {error}");
        assert!(error.to_string().contains(named), "{text}: {error}");
    }
}

#[test]
fn the_endpoint_shows_the_certificate_files_where_there_are_any_else_the_svid() {
    let profile = |more: &str| made(&format!("bundle_listen = \"127.0.0.1:8444\"\n{more}")).unwrap().bundle.unwrap();
    let files = "bundle_cert = \"c\"\nbundle_key = \"k\"";
    for (text, expected) in [
        (String::new(), ProfileName::HttpsSpiffe),
        ("bundle_profile = \"https_spiffe\"".to_owned(), ProfileName::HttpsSpiffe),
        (files.to_owned(), ProfileName::HttpsWeb),
        (format!("{files}\nbundle_profile = \"https_web\""), ProfileName::HttpsWeb),
        (format!("{files}\nbundle_profile = \"https_spiffe\""), ProfileName::HttpsSpiffe),
    ] {
        let endpoint = profile(&text);
        assert_eq!(
            (endpoint.profile, endpoint.certificate.is_some()),
            (expected, text.contains("bundle_cert")),
            "{text}"
        );
        assert!(endpoint.serves_map && endpoint.url.is_none());
    }
    assert!(made("no_bundle_map = false").unwrap().bundle.is_none());
}

#[test]
fn a_flag_counts_more_than_the_file() {
    let flags = RawServerConfig {
        listen: Some("127.0.0.1:1".to_owned()),
        ..RawServerConfig::default()
    };
    let file = RawServerConfig {
        listen: Some("127.0.0.1:2".to_owned()),
        node_ttl: Some("12h".to_owned()),
        ..RawServerConfig::default()
    };
    let config = ServerConfig::new(flags.over(file), &environment()).unwrap();
    assert_eq!((config.listen.port(), config.node_ttl.as_secs()), (1, 43_200));
}

#[test]
fn the_mistakes_of_values_and_of_the_whole_are_told_together() {
    let text = "lisen = ':1'\nmax_class = 'fastest'\nnode_ttl = '1s'\nclock_skew = '2h'\nbundle_refresh_hint = '0s'\nbundle_key = '/k'\nenable = ['x']\n";
    let draft = read_draft_text::<RawServerConfig>(text, RawServerConfig::KNOWN_KEYS).unwrap();
    let told = draft.finish(|raw| ServerConfig::new(raw, &environment())).unwrap_err();
    let mut keys: Vec<_> = told.mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
    keys.sort_unstable();
    let expected = ["bundle_key", "bundle_refresh_hint", "clock_skew", "enable[0]", "lisen", "max_class", "node_ttl"];
    assert_eq!(keys, expected, "{told}");
}
