//! The bundle endpoint in the eyes of others: go-spiffe's federation client over both profiles, OpenSSL's command line, Python's own TLS and HTTP.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use conformance::covers;
use serde_json::Value;
use tests::command::Run;
use tests::domain::{Domain, path_text};
use tests::ports::free_port;
use tests::python::run_script;
use tests::wait::until;
use tests::web::Web;

use super::outside_clients::run_go;

/// A server with both profiles on one listener: `localhost` is a name of the certificate files, the address itself is none.
struct Endpoint {
    domain: Domain,
    web: Web,
    port: u16,
}

impl Endpoint {
    fn start(name: &str, more: &[&str]) -> Self {
        let mut domain = Domain::init(name);
        let (web, port) = (Web::issue(domain.folder(), "first"), free_port());
        let address = format!("127.0.0.1:{port}");
        let files = ["--bundle-cert", path_text(&web.certificate), "--bundle-key", path_text(&web.key)];
        let options = ["--bundle-listen", &address, "--bundle-profile", "https_spiffe"];
        domain.options.extend([&options[..], &files, more].concat().into_iter().map(str::to_owned));
        domain.start_server();
        Self { domain, web, port }
    }

    /// The address, by which the SVID is shown.
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn endpoint_id(&self) -> String {
        format!("spiffe://{}/troth/server", self.domain.name)
    }

    /// The own bundle in a file, as it is now.
    fn bundle_file(&self, format: &str) -> PathBuf {
        let file = self.domain.folder().join(format!("own-bundle.{format}"));
        std::fs::write(&file, self.own_bundle(format)).expect("a file");
        file
    }

    fn own_bundle(&self, format: &str) -> String {
        self.domain.operator(&["bundle", "show", "--format", format]).exits(0).stdout
    }

    /// Fetches with Python: from the SVID where no host is asked for, else from the certificate files.
    fn fetched(&self, host: &str, tls: &str, more: &[&str]) -> Run {
        let cas = match host {
            "-" => self.bundle_file("pem"),
            _ => self.web.ca.clone(),
        };
        let address = self.address();
        run_script(
            "json",
            "bundle_endpoint.py",
            &[&["fetch", &address, host, path_text(&cas), tls], more].concat(),
            "",
        )
    }

    fn answered(&self, host: &str, tls: &str, more: &[&str]) -> Value {
        self.fetched(host, tls, more).exits(0).json()
    }
}

#[covers("FED-07", "FED-15", "FED-22")]
#[test]
fn go_spiffe_fetches_the_bundle_by_both_profiles_from_one_listener() {
    let endpoint = Endpoint::start("fetch-go.test", &["--bundle-refresh-hint", "90s"]);
    let (by_svid, by_web) = (format!("https://{}/", endpoint.address()), format!("https://localhost:{}/", endpoint.port));
    let (id, known, cas) = (endpoint.endpoint_id(), endpoint.bundle_file("spiffe"), path_text(&endpoint.web.ca).to_owned());
    let shown: Value = serde_json::from_str(&endpoint.own_bundle("spiffe")).expect("a bundle");
    for arguments in [["bundle", &by_svid, &id, path_text(&known)], ["web-bundle", &by_web, &id, &cas]] {
        let fetched = run_go(&arguments).exits(0).json();
        assert_eq!(
            (&fetched["roots"], &fetched["jwt_keys"], &fetched["hint_s"]),
            (&1.into(), &1.into(), &90.into()),
            "{arguments:?}"
        );
        assert_eq!(fetched["sequence"], shown["spiffe_sequence"]);
    }
    // Neither certificate stands in for the other, and the SVID proves the server's ID alone.
    let other = format!("spiffe://{}/other", endpoint.domain.name);
    for arguments in [
        ["bundle", &by_web, &id, path_text(&known)],
        ["web-bundle", &by_svid, &id, &cas],
        ["bundle", &by_svid, &other, path_text(&known)],
    ] {
        let refused = run_go(&arguments);
        assert_ne!(refused.code, 0, "{arguments:?}: {refused:?}");
    }
}

#[covers("FED-01", "FED-14", "FED-15", "FED-22")]
#[test]
fn a_program_with_tls_1_2_or_1_3_and_no_certificate_fetches_once_and_hears_that_nothing_changed() {
    let endpoint = Endpoint::start("fetch-python.test", &[]);
    let own = endpoint.own_bundle("spiffe");
    for (host, name) in [("-", endpoint.endpoint_id()), ("localhost", "localhost".to_owned())] {
        for tls in ["1.2", "1.3"] {
            let answer = endpoint.answered(host, tls, &["/"]);
            assert_eq!((&answer["status"], &answer["tls"]), (&200.into(), &format!("TLSv{tls}").into()));
            assert!(answer["names"].as_array().is_some_and(|names| names.contains(&name.clone().into())), "{answer}");
            let body: Value = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
            assert_eq!(body, serde_json::from_str::<Value>(&own).expect("JSON"));
            let headers = &answer["headers"];
            assert_eq!(
                (&headers["content-type"], &headers["cache-control"]),
                (&"application/json".into(), &"public, max-age=300".into())
            );
            let tag = headers["etag"].as_str().expect("a tag");
            let again = endpoint.answered(host, tls, &["/", "GET", tag]);
            assert_eq!(
                (&again["status"], &again["body"], &again["headers"]["etag"]),
                (&304.into(), &"".into(), &tag.into())
            );
            let head = endpoint.answered(host, tls, &["/", "HEAD"]);
            assert_eq!(
                (&head["status"], &head["body"], &head["headers"]["etag"]),
                (&200.into(), &"".into(), &tag.into())
            );
            let refused = endpoint.answered(host, tls, &["/", "POST"]);
            assert_eq!((&refused["status"], &refused["headers"]["allow"]), (&405.into(), &"GET,HEAD".into()));
        }
    }
}

/// Shakes hands as OpenSSL's command line does, with the SVID verified strictly; no host is asked for.
fn openssl_connects(endpoint: &Endpoint, bundle: &str, options: &[&str]) -> bool {
    let address = endpoint.address();
    let connect = [
        "s_client",
        "-connect",
        &address,
        "-noservername",
        "-CAfile",
        bundle,
        "-verify_return_error",
        "-x509_strict",
        "-brief",
    ];
    let mut openssl = Command::new("openssl");
    openssl.args(connect).args(options).stdin(Stdio::null());
    openssl.output().expect("openssl starts; install it: tests/run e2e").status.success()
}

/// The suites of Mozilla's intermediate configuration that an ECDSA certificate takes part in (<https://wiki.mozilla.org/Security/Server_Side_TLS>).
#[covers("FED-08")]
#[test]
fn openssl_shakes_hands_by_the_intermediate_suites_of_mozilla_and_by_no_older_ones() {
    let endpoint = Endpoint::start("suites.test", &[]);
    let bundle = endpoint.bundle_file("pem");
    let connects = |options: &[&str]| openssl_connects(&endpoint, path_text(&bundle), options);
    for suite in [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ] {
        assert!(connects(&["-tls1_2", "-cipher", suite]), "{suite}");
    }
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] {
        assert!(connects(&["-tls1_3", "-ciphersuites", suite]), "{suite}");
    }
    for group in ["X25519", "P-256", "P-384"] {
        assert!(connects(&["-tls1_3", "-groups", group]), "{group}");
    }
    for old in [
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES128-SHA:@SECLEVEL=0"],
    ] {
        assert!(!connects(old), "{old:?}");
    }
}

#[covers("FED-13", "FED-22")]
#[test]
fn new_certificate_files_and_a_renewed_svid_are_shown_while_it_runs() {
    let endpoint = Endpoint::start("renewed.test", &["--node-ttl", "20s"]);
    let serial = |endpoint: &Endpoint, host: &str| endpoint.fetched(host, "any", &["/"]);
    let (first_svid, first_web) = (serial(&endpoint, "-").exits(0).json(), serial(&endpoint, "localhost").exits(0).json());
    let second = Web::issue(endpoint.domain.folder(), "second");
    let endpoint = Endpoint { web: second, ..endpoint };
    let web = until("the new certificate", || {
        let run = serial(&endpoint, "localhost");
        (run.code == 0).then(|| run.json())
    });
    assert_ne!(web["serial"], first_web["serial"]);
    until("the renewed SVID", || {
        let shown = serial(&endpoint, "-").exits(0).json();
        (shown["serial"] != first_svid["serial"]).then_some(())
    });
    let (url, known) = (format!("https://{}/", endpoint.address()), endpoint.bundle_file("spiffe"));
    let _ = run_go(&["bundle", &url, &endpoint.endpoint_id(), path_text(&known)]).exits(0);
}

#[covers("BUN-12", "BUN-14")]
#[test]
fn the_bundle_map_shows_what_is_held_of_partners_without_refresh_hints() {
    let endpoint = Endpoint::start("map.test", &[]);
    let partner = Domain::start("mapped.test");
    let file = endpoint.domain.folder().join("partner.json");
    std::fs::write(&file, partner.operator(&["bundle", "show", "--format", "spiffe"]).exits(0).stdout).expect("a file");
    let map = || -> Value {
        let answer = endpoint.answered("-", "any", &["/bundle-map"]);
        assert_eq!(answer["status"], 200, "{answer}");
        serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON")
    };
    assert_eq!(map()["trust_domains"].as_object().map(serde_json::Map::len), Some(1));
    let set = ["bundle", "set", "--trust-domain", "mapped.test", path_text(&file)];
    let _ = endpoint.domain.told(&set);
    let shown = map();
    let held = &shown["trust_domains"]["mapped.test"];
    let theirs: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect("a file")).expect("JSON");
    assert_eq!((&held["keys"], &held["spiffe_sequence"]), (&theirs["keys"], &theirs["spiffe_sequence"]));
    assert!(theirs["spiffe_refresh_hint"].is_u64() && !shown.to_string().contains("refresh_hint"), "{shown}");
    let _ = endpoint.domain.told(&["bundle", "delete", "--trust-domain", "mapped.test"]);
    assert!(map()["trust_domains"].get("mapped.test").is_none());
}

#[test]
fn one_address_that_asks_without_end_is_told_to_wait_and_all_others_are_answered() {
    let endpoint = Endpoint::start("flood.test", &[]);
    let (address, bundle) = (endpoint.address(), endpoint.bundle_file("pem"));
    let flood = ["flood", &address, "-", path_text(&bundle), "3000", "127.0.0.2"];
    let flooded = run_script("json", "bundle_endpoint.py", &flood, "").exits(0).json();
    let count = |status: &str| flooded["statuses"][status].as_u64().unwrap_or(0);
    assert!(count("200") >= 500 && count("429") > 0, "{flooded}");
    assert_eq!(count("200") + count("429"), 3_000, "{flooded}");
    assert!(flooded["waits"].as_array().is_some_and(|waits| !waits.is_empty()), "{flooded}");
    assert_eq!(endpoint.answered("-", "any", &["/"])["status"], 200);
    assert_eq!(endpoint.domain.operator(&["health", "server"]).json()["state"], "ready");
}

#[test]
fn options_that_do_not_go_together_are_named_with_their_keys() {
    let folder = tests::domain::open_directory();
    let file = folder.path().join("server.toml");
    std::fs::write(
        &file,
        "bundle_listen = \"127.0.0.1:8444\"\nbundle_profile = \"https_web\"\nbundle_url = \"http://b.test/\"\n",
    )
    .expect("a file");
    let refused = tests::command::run(&["config", "check", path_text(&file)]).exits(2);
    for part in [
        "bundle_profile: https_web needs bundle_cert and bundle_key",
        "line 3: bundle_url: the URL is not an https one",
    ] {
        assert!(refused.stderr.contains(part), "{refused:?}");
    }
    std::fs::write(
        &file,
        "bundle_listen = \"127.0.0.1:8444\"\nbundle_url = \"https://b.test/x\"\nno_bundle_map = true\n",
    )
    .expect("a file");
    let _ = tests::command::run(&["config", "check", path_text(&file)]).exits(0);
}
