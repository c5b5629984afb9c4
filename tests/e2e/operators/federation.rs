//! `troth federation`: what is shown, what is refused, and what each command leaves behind.

mod relationships;
mod watching;

use std::io::Write as _;
use std::process::{Command, Stdio};

use conformance::covers;
use serde_json::Value;
use tests::command::{Run, troth, troth_path};
use tests::domain::{Domain, path_text};
use tests::ports::free_port;

use super::{has_fields, is_time, items, text_of, typed};

/// A trust domain whose bundle endpoint is on loopback, and whose server fetches from there.
fn federated(name: &str) -> Domain {
    let endpoint = format!("127.0.0.1:{}", free_port());
    Domain::start_with(name, &["--bundle-listen", &endpoint, "--federation-allow-loopback"])
}

/// The link that a trust domain gives to partners.
fn link_of(domain: &Domain) -> String {
    text_of(&domain.told(&["federation", "invite"]), "link").to_owned()
}

/// The SHA-256 of the one root of a trust domain.
fn root_of(domain: &Domain) -> String {
    let invite = domain.told(&["federation", "invite"]);
    let [root] = invite["root_sha256"].as_array().expect("a list").as_slice() else {
        panic!("not one root: {invite}");
    };
    root.as_str().expect("a hash").to_owned()
}

fn accepts(domain: &Domain, partner: &Domain) -> Value {
    domain.told(&["federation", "accept", &link_of(partner), "--yes"])
}

fn relationships(domain: &Domain) -> Vec<Value> {
    items(&domain.told(&["federation", "list"])).clone()
}

/// Runs a command of the operator with text on its standard input.
fn given(domain: &Domain, arguments: &[&str], input: &str) -> Run {
    let data = domain.server_data();
    let mut command = troth();
    command.args(["--output", "json"]).args(arguments).args(["--data-dir", path_text(&data)]);
    piped(command, input)
}

fn piped(mut command: Command, input: &str) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    Run::of(&child.wait_with_output().expect("its end"))
}

/// Runs an operator's command on a terminal, where somebody types `answer`.
fn on_a_terminal(domain: &Domain, arguments: &[&str], answer: &str) -> Run {
    let data = domain.server_data();
    let program = troth_path();
    let words = [&[path_text(&program)], arguments, &["--data-dir", path_text(&data)]].concat();
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
    piped(command, answer)
}

#[test]
fn an_invitation_is_one_line_on_standard_output_and_explained_beside_it() {
    let domain = federated("invite.test");
    let invite = domain.told(&["federation", "invite"]);
    has_fields(&invite, &["link", "trust_domain", "url", "profile", "endpoint_id", "root_sha256"]);
    assert_eq!(text_of(&invite, "profile"), "https_spiffe");
    assert_eq!(text_of(&invite, "endpoint_id"), "spiffe://invite.test/troth/server");
    let roots = invite["root_sha256"].as_array().expect("a list");
    let link = text_of(&invite, "link");
    assert!(link.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_:/".contains(&octet)), "{link}");
    assert!(roots.iter().all(|root| link.contains(root.as_str().expect("a hash"))), "{link}");

    let text = typed(&domain, &["federation", "invite"]).exits(0);
    assert_eq!(text.stdout, format!("{link}\n"), "it can be piped");
    assert!(text.stderr.contains("one way") && text.stderr.contains("troth federation accept"), "{text:?}");
    let alone = Domain::start("alone.test");
    assert_eq!(alone.operator(&["federation", "invite"]).exits(1).problem(), "federation_no_endpoint");
}

#[covers("FED-09")]
#[test]
fn a_link_is_shown_and_asked_about_before_anything_is_believed() {
    let (ours, partner) = (federated("asked.test"), federated("inviting.test"));
    let link = link_of(&partner);
    let refused = ours.operator(&["federation", "accept", &link]).exits(1);
    assert_eq!(refused.problem(), "unconfirmed");
    assert!(text_of(&refused.json(), "hint").contains("--yes"), "{refused:?}");
    let root = root_of(&partner);
    for shown in [
        root.as_str(),
        "inviting.test",
        "https_spiffe",
        "spiffe://inviting.test/troth/server",
        "https://127.0.0.1:",
        "ends 20",
        "JWT keys: 1",
    ] {
        assert!(refused.stderr.contains(shown), "no {shown:?} in {}", refused.stderr);
    }
    let planned = ours.told(&["federation", "accept", &link, "--dry-run"]);
    assert_eq!((&planned["dry_run"], text_of(&planned, "result")), (&true.into(), "created"));
    assert_eq!(text_of(&planned["bundle"]["roots"][0], "sha256"), root);
    let no = on_a_terminal(&ours, &["federation", "accept", &link], "n\n");
    assert!(no.code == 1 && no.stdout.contains("[y/N]") && no.stdout.contains("unconfirmed"), "{no:?}");
    assert!(relationships(&ours).is_empty(), "nobody has said yes");
    assert_eq!(
        ours.operator(&["bundle", "show", "--trust-domain", "inviting.test"]).exits(3).problem(),
        "bundle_not_found"
    );

    let yes = on_a_terminal(&ours, &["federation", "accept", &link], "y\n").exits(0);
    assert!(yes.stdout.contains("created: we believe the workloads of inviting.test"), "{yes:?}");
    let held = &relationships(&ours)[0];
    assert_eq!((text_of(held, "trust_domain"), text_of(held, "status")), ("inviting.test", "current"));
    assert_eq!(
        ours.told(&["bundle", "show", "--trust-domain", "inviting.test"])["keys"],
        partner.told(&["bundle", "show"])["keys"]
    );
    assert!(relationships(&partner).is_empty(), "a relationship is one way");

    // The same again changes nothing, so nobody is asked; from standard input as well.
    assert_eq!(text_of(&ours.told(&["federation", "accept", &link]), "result"), "unchanged");
    let piped = given(&ours, &["federation", "accept", "-"], &format!("{link}\n")).exits(0);
    assert_eq!(text_of(&piped.json(), "result"), "unchanged");
    assert!(
        piped.stderr.contains("the other way: ") && piped.stderr.contains("troth federation invite"),
        "{piped:?}"
    );
}

#[test]
fn a_link_that_differs_is_shown_beside_what_there_is_and_needs_replace() {
    let (ours, partner) = (federated("replacing.test"), federated("moving.test"));
    let _ = accepts(&ours, &partner);
    // Over https_spiffe the host's name takes no part, so this link leads to the same endpoint.
    let moved = link_of(&partner).replace("127.0.0.1", "localhost");
    let refused = ours.operator(&["federation", "accept", &moved, "--yes"]).exits(1);
    assert_eq!(refused.problem(), "federation_exists");
    assert!(text_of(&refused.json(), "hint").contains("--replace"), "{refused:?}");
    let url = |start: &str| refused.stderr.contains(&format!("https://{start}:"));
    assert!(url("127.0.0.1") && url("localhost"), "one of the two is not shown: {}", refused.stderr);
    assert!(text_of(&relationships(&ours)[0], "url").starts_with("https://127.0.0.1:"));

    let replaced = ours.told(&["federation", "accept", &moved, "--yes", "--replace"]);
    assert_eq!(text_of(&replaced, "result"), "updated");
    assert!(text_of(&replaced["existing"], "url").starts_with("https://127.0.0.1:"), "{replaced}");
    assert!(text_of(&relationships(&ours)[0], "url").starts_with("https://localhost:"));
}

#[test]
fn a_link_that_cannot_be_right_is_refused_with_what_is_wrong() {
    let (ours, partner) = (federated("careful.test"), federated("honest.test"));
    let link = link_of(&partner);
    let accept = |link: &str| ours.operator(&["federation", "accept", link, "--yes"]);
    let short = link.rsplit_once('/').expect("parts").0;
    for wrong in [
        "",
        "https://honest.test",
        "troth://honest.test:1/federation/honest.test",
        short,
        &link.replace("https_spiffe", "https"),
    ] {
        assert_eq!(accept(wrong).exits(2).problem(), "federation_link_invalid", "{wrong:?}");
    }
    assert_eq!(accept(&ours.link("n1")).exits(2).problem(), "federation_link_invalid", "that is a join link");

    // Another root than that of whoever answers: neither its chain nor its bundle is believed.
    let invite = partner.told(&["federation", "invite"]);
    let pinned = accept(&link.replace(&root_of(&partner), &root_of(&ours))).exits(1);
    assert!(
        ["federation_pin_mismatch", "endpoint_untrusted"].contains(&pinned.problem().as_str()),
        "{pinned:?}"
    );
    // Another identity than that of whoever answers.
    let other = accept(&link.replace(":troth:server", ":other")).exits(1);
    assert_eq!(other.problem(), "endpoint_untrusted");
    // Nobody there.
    let port = text_of(&invite, "url").trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    let nobody = accept(&link.replace(&format!(":{port}/"), &format!(":{}/", free_port()))).exits(1);
    assert_eq!(nobody.problem(), "endpoint_unreachable");
    assert!(relationships(&ours).is_empty());
}

#[test]
fn a_trust_domain_does_not_federate_with_itself() {
    let domain = federated("self.test");
    let invite = domain.told(&["federation", "invite"]);
    let (link, url) = (text_of(&invite, "link"), text_of(&invite, "url"));
    let own = domain.folder().join("own.json");
    std::fs::write(&own, domain.operator(&["bundle", "show"]).exits(0).stdout).expect("the bundle");
    let create = ["federation", "create", "--trust-domain", "self.test", "--url", url, "--profile", "https_web"];
    for (arguments, code) in [
        (&["federation", "accept", link, "--yes"][..], "federation_own"),
        (&create, "federation_own"),
        (&["bundle", "set", "--trust-domain", "self.test", path_text(&own)], "bundle_own"),
        (&["bundle", "delete", "--trust-domain", "self.test"], "bundle_own"),
    ] {
        assert_eq!(domain.operator(arguments).exits(2).problem(), code, "{arguments:?}");
    }
    assert!(relationships(&domain).is_empty());
}
