//! What `--write` leaves in its directory, and what it says where it cannot.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tests::command::{Run, run};
use tests::domain::{Agent, Domain, path_text};
use tests::set_readers::{listed_by_keytool, told, uses_by_python, verify_by_openssl};
use tests::wait::until;

/// A node with every profile on, where whoever runs these tests has three identities.
fn node_with_three(name: &str) -> (Domain, Agent) {
    let domain = Domain::start_with(name, &["--enable", "wit"]);
    let agent = domain.agent_with("n1", &["--enable", "wit"]);
    for path in ["/c1", "/c2", "/c3"] {
        domain.fast_entry("n1", path, nix::unistd::getuid().as_raw(), "60s");
    }
    (domain, agent)
}

fn written(agent: &Agent, what: &[&str], folder: &Path) -> Run {
    let fetch = ["--output", "json", "svid", "fetch"];
    let place = ["--socket", path_text(&agent.socket), "--write", path_text(folder)];
    run(&[&fetch[..], what, &place].concat())
}

#[test]
fn a_directory_that_cannot_be_written_is_named_with_the_code_for_files() {
    let (domain, agent) = node_with_three("unwritable.test");
    let file = domain.folder().join("file");
    std::fs::write(&file, "").expect("a file");
    for what in [&["x509"][..], &["jwt", "--audience", "a"], &["wit"], &["bundles"]] {
        for folder in [Path::new("/proc/nope"), &file] {
            let refused = written(&agent, what, folder).exits(1);
            assert_eq!(refused.problem(), "file_unavailable", "{what:?}");
            let document = refused.json();
            let detail = document["detail"].as_str().expect("a detail");
            assert!(detail.contains(path_text(folder)), "{what:?}: {detail}");
        }
    }
}

/// The names in a directory.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name of UTF-8"))
        .collect()
}

#[test]
fn a_smaller_fetch_leaves_no_secret_of_a_larger_one_and_touches_nothing_else() {
    let (domain, agent) = node_with_three("smaller.test");
    let folder = domain.folder().join("mine");
    let tokens: [(&[&str], &[&str]); 2] = [(&["jwt", "--audience", "a"], &["jwt.N.token"]), (&["wit"], &["wit.N.token", "wit.N.key.json"])];
    let x509 = ["svid.N.pem", "svid.N.key", "bundle.N.pem"];
    let numbered = |patterns: &[&str], numbers: std::ops::Range<u8>| -> BTreeSet<String> {
        numbers
            .flat_map(|number| patterns.iter().map(move |pattern| pattern.replace('N', &number.to_string())))
            .collect()
    };
    let _ = written(&agent, &["x509"], &folder).exits(0);
    assert_eq!(names(&folder), numbered(&x509, 0..3));
    for (what, patterns) in tokens {
        let before = names(&folder);
        let _ = written(&agent, what, &folder).exits(0);
        let three = &before | &numbered(patterns, 0..3);
        assert_eq!(names(&folder), three, "{what:?}");
        let one = [what, &["--spiffe-id", "spiffe://smaller.test/c1"]].concat();
        let fetched = written(&agent, &one, &folder).exits(0).json();
        assert_eq!(names(&folder), &three - &numbered(patterns, 1..3), "{what:?}");
        let kept = numbered(patterns, 0..1);
        for name in &kept {
            let mode = folder.join(name).metadata().expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let token = kept.iter().find(|name| name.ends_with(".token")).expect("a token");
        let text = std::fs::read_to_string(folder.join(token)).expect("a token");
        assert_eq!(fetched["svids"][0]["token"], text);
    }
    let _ = domain.told(&["entry", "delete", "/c2", "--wait"]);
    let _ = domain.told(&["entry", "delete", "/c3", "--wait"]);
    let before = names(&folder);
    let _ = written(&agent, &["x509"], &folder).exits(0);
    assert_eq!(names(&folder), &before - &numbered(&x509, 1..3));
}

#[test]
fn a_fetch_in_other_formats_writes_what_outside_programs_read_keeps_its_password_and_tidies_up() {
    let (domain, agent) = node_with_three("formats.test");
    let folder = domain.folder().join("set");
    let of = |options: &[&str]| written(&agent, &[&["x509"], options].concat(), &folder).exits(0).json();
    let file = |name: &str| path_text(&folder.join(name)).to_owned();
    let second = ["--spiffe-id", "spiffe://formats.test/c2"];
    let _ = of(&[&["--format", "pem,pem-combined,der,pkcs12,jks,jwks,spiffe"], &second[..]].concat());

    let password = verify_by_openssl(&folder);
    let leaf = |arguments: &[&str]| told("openssl", &[&["x509", "-noout", "-ext", "subjectAltName", "-serial"], arguments].concat());
    let (one, two) = (leaf(&["-in", &file("svid.pem")]), leaf(&["-inform", "DER", "-in", &file("svid.der")]));
    assert!(one == two && one.contains("URI:spiffe://formats.test/c2"), "{one} {two}");
    for end in ["p12", "jks"] {
        let listed = listed_by_keytool(&folder.join(format!("keystore.{end}")), &password);
        assert!(listed.contains("svid") && listed.contains("PrivateKeyEntry"), "{listed}");
    }
    for (name, uses) in [("jwks.json", "sig"), ("bundle.json", "jwt-svid x509-svid")] {
        assert_eq!(uses_by_python(&folder.join(name)), uses, "{name}");
    }
    for secret in [
        "svid_key.pem",
        "svid_key.der",
        "svid_combined.pem",
        "keystore.p12",
        "keystore.jks",
        "keystore.password",
    ] {
        let mode = folder.join(secret).metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }

    let fetched = of(&["--format", "pkcs12"]);
    assert_eq!(fetched["crls_unproved"], 0);
    let left: BTreeSet<String> = names(&folder).into_iter().filter(|name| !name.starts_with("..")).collect();
    assert_eq!(left, BTreeSet::from(["keystore.p12", "keystore.password", "truststore.p12"].map(str::to_owned)));
    assert_eq!(std::fs::read_to_string(file("keystore.password")).expect("a password"), password);

    // A file that no fetch wrote stays, and is named; and the forms need a place.
    std::fs::write(file("svid.pem"), "mine").expect("a file");
    let refused = written(&agent, &["x509", "--format", "pem"], &folder).exits(2);
    assert!(
        refused.json()["detail"].as_str().is_some_and(|detail| detail.contains(&file("svid.pem"))),
        "{refused:?}"
    );
    let nowhere = run(&["svid", "fetch", "x509", "--socket", path_text(&agent.socket), "--format", "pem"]);
    assert_eq!(nowhere.code, 2, "{nowhere:?}");
}

#[test]
fn revocation_lists_are_written_of_every_ca_of_the_trust_domain() {
    let (domain, agent) = node_with_three("listed.test");
    let folder = domain.folder().join("lists");
    let serial = written(&agent, &["x509"], &folder).exits(0).json()["svids"][0]["serial"]
        .as_str()
        .expect("a serial")
        .to_owned();
    let _ = domain.told(&["svid", "revoke", "--serial", &serial, "--because", "a test"]);
    let listed = |name: &str, options: &[&str]| {
        let folder = folder.with_extension(name);
        until("the lists of two CAs", || {
            let fetched = written(&agent, &[&["x509"], options].concat(), &folder).exits(0).json();
            assert_eq!(fetched["crls_unproved"], 0);
            let text = std::fs::read(folder.join("crl.pem")).unwrap_or_default();
            let lists = pem::parse_many(&text).expect("PEM");
            (lists.len() == 2 && lists.iter().all(|list| list.tag() == "X509 CRL")).then_some(lists)
        })
    };
    assert_eq!(listed("plain", &[]), listed("set", &["--format", "pem"]));
}
