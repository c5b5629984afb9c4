//! Revocation with real processes: the command line, and a server that is killed meanwhile.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tests::command::troth;
use tests::domain::{Domain, path_text};
use tests::workload::Watch;

/// How often the server is killed.
const KILLS: u64 = 8;

fn serial_of(update: &Value) -> String {
    update["svids"][0]["serial"].as_str().expect("a serial").to_owned()
}

fn rules(domain: &Domain) -> Vec<Value> {
    domain.told(&["svid", "revocations"])["items"].as_array().expect("items").clone()
}

#[test]
fn an_operator_revokes_by_serial_entry_identity_and_node_and_is_told_what_it_concerned() {
    let domain = Domain::start("revoke.test");
    let agent = domain.agent("n1");
    let _ = domain.told(&["entry", "create", "--spiffe-id", "/web", "--selector", "unix:uid:4411", "--parent", "n1"]);
    let mut watch = Watch::open(4411, &agent.socket);
    let serial = serial_of(&watch.next());
    let unknown = domain.operator(&["svid", "revoke", "--serial", "01a1b2c3d40102030405060708090a0b"]);
    assert!(unknown.exits(3).problem().contains("certificate_not_found"));
    let _ = domain.operator(&["svid", "revoke"]).exits(2);

    let revoked = domain.told(&["svid", "revoke", "--serial", &serial, "--because", "key was in a log", "--wait"]);
    assert_eq!(revoked["certificates"], 1);
    assert_eq!(revoked["rule"]["target"]["serial"], serial.as_str());
    let text = domain.operator(&["svid", "revocations"]).exits(0).stdout;
    assert!(text.contains("key was in a log"), "{text}");

    for (flag, name) in [("--spiffe-id", "/web"), ("--entry", "spiffe://revoke.test/web"), ("--node", "n1")] {
        let concerned = domain.told(&["svid", "revoke", flag, name])["certificates"].as_u64().expect("a number");
        assert!(concerned >= 1, "{flag} {name}");
    }
    assert_eq!(rules(&domain).len(), 4);
    let recorded = domain.operator(&["audit", "export"]).exits(0).stdout;
    assert_eq!(recorded.lines().filter(|line| line.contains("certificates_revoked")).count(), 4);
}

#[test]
fn what_was_said_to_be_revoked_stays_so_however_often_the_server_is_killed() {
    let mut domain = Domain::start("revoke.test");
    let agent = domain.agent("n1");
    let mut watches = Vec::new();
    for number in 0..KILLS {
        let uid = 4_420 + u32::try_from(number).expect("few");
        let (path, selector) = (format!("/w{number}"), format!("unix:uid:{uid}"));
        let _ = domain.told(&["entry", "create", "--spiffe-id", &path, "--selector", &selector, "--parent", "n1"]);
        watches.push(serial_of(&Watch::open(uid, &agent.socket).next()));
    }
    let (mut said, mut round) = (BTreeSet::new(), 0);
    for serial in watches {
        let data = domain.server_data();
        let arguments = ["svid", "revoke", "--serial", &serial, "--data-dir", path_text(&data), "-q"];
        let mut order = troth().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("an order");
        // A different moment of the order each time.
        std::thread::sleep(Duration::from_millis(4 * round));
        domain.server().kill_9();
        if order.wait().expect("an end").success() {
            said.insert(serial);
        }
        domain.start_server();
        let there: BTreeSet<_> = rules(&domain)
            .iter()
            .map(|rule| rule["target"]["serial"].as_str().unwrap_or_default().to_owned())
            .collect();
        let lost: Vec<_> = said.difference(&there).collect();
        assert!(lost.is_empty(), "round {round}: revoked and forgotten: {lost:?}");
        round += 1;
    }
}
