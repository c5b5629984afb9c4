//! A machine is lost with its disk, and the trust domain goes on from an old backup.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::command::run;
use tests::domain::{Agent, Domain, path_text};
use tests::softhsm::SoftHsm;
use tests::wait::until;
use tests::workload::{Watch, fetch_as, ids, ids_of};

/// Node SVIDs live so long: they are renewed after 12 to 15 s.
const NODE_LIFE: &str = "30s";

/// Each agent with the uid of its one workload.
const FLEET: [(&str, u32); 3] = [("early", 4_951), ("late", 4_952), ("banned", 4_953)];

fn audit(domain: &Domain, action: &str) -> Vec<Value> {
    let records = domain.operator(&["audit", "tail", "-n", "1000"]).exits(0);
    let lines = records.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    lines.filter(|record| record.to_string().contains(action)).collect()
}

fn node_ends(domain: &Domain, name: &str) -> String {
    let node = domain.told(&["node", "show", name]);
    node["expires_at"].as_str().expect("an end").to_owned()
}

fn sequence(domain: &Domain) -> u64 {
    domain.told(&["bundle", "show"])["spiffe_sequence"].as_u64().expect("a sequence")
}

fn backup(domain: &Domain, name: &str) -> PathBuf {
    let to = domain.folder().join(name);
    let _ = domain.told(&["server", "backup", "--to", path_text(&to)]);
    to
}

/// Whether a list that was handed back revokes this serial.
fn is_back(domain: &Domain, serial: &str) -> bool {
    let rules = domain.told(&["svid", "revocations"]);
    let mut rules = rules["items"].as_array().expect("items").iter();
    rules.any(|rule| rule["cause"] == "handed_back" && rule["target"].to_string().contains(serial))
}

/// Joins one agent of the fleet, and opens a stream of its workload.
fn member(domain: &Domain, (node, uid): (&str, u32)) -> (Agent, Watch) {
    let agent = domain.agent(node);
    let _ = domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        &format!("/{node}"),
        "--parent",
        node,
        "--selector",
        &format!("unix:uid:{uid}"),
        "--wait",
    ]);
    let mut watch = Watch::open(uid, &agent.socket);
    let _ = watch.next();
    (agent, watch)
}

/// Destroys the server with everything it had, and restores it from a backup.
fn lose_and_restore(domain: &mut Domain, backup: &Path) -> Value {
    domain.server().kill_9();
    std::fs::remove_dir_all(domain.server_data()).expect("the directory is gone");
    std::fs::remove_file(domain.folder().join("server.seal.key")).expect("the key file is gone");
    let recovery = domain.recovery_key_file();
    domain.told(&[
        "server",
        "restore",
        "--from",
        path_text(backup),
        "--recovery-key-file",
        path_text(&recovery),
        "--old-server-is-gone",
    ])
}

#[test]
fn a_fleet_goes_on_from_an_old_backup_and_what_was_not_in_it_is_said() {
    let mut domain = Domain::init_recoverable("restored.test");
    domain.options = ["--node-ttl", NODE_LIFE].map(str::to_owned).to_vec();
    domain.start_server();
    let (mut early, mut early_watch) = member(&domain, FLEET[0]);
    let (banned, _banned_watch) = member(&domain, FLEET[2]);
    let link = domain.link("never-joined");
    let from = backup(&domain, "old.backup");
    let published = sequence(&domain);
    let known = node_ends(&domain, "early");

    let (mut late, _late_watch) = member(&domain, FLEET[1]);
    let _ = domain.told(&["node", "ban", "banned"]);
    until("the end of the banned agent", || {
        (run(&["health", "agent", "--data-dir", path_text(&banned.data)]).code != 0).then_some(())
    });
    // Revoked after the backup, which cannot know it.
    let stolen = fetch_as(FLEET[0].1, &early.socket).exits(0).json()["svids"][0]["serial"]
        .as_str()
        .expect("a serial")
        .to_owned();
    let _ = domain.told(&["svid", "revoke", "--serial", &stolen, "--because", "stolen", "--wait"]);
    // Two renewals: the record of the backup knows neither key.
    let renewed = until("a renewal", || Some(node_ends(&domain, "early")).filter(|ends| *ends != known));
    let _ = until("the renewal after it", || Some(node_ends(&domain, "early")).filter(|ends| *ends != renewed));

    let report = lose_and_restore(&mut domain, &from);
    assert_eq!(report["void_tokens"].as_u64(), Some(3), "{report}");
    assert_eq!(report["banned"].as_array().map(Vec::len), Some(0), "the ban came after the backup: {report}");
    domain.start_server();

    // The node of the backup renews with the key that it holds, and goes on.
    let record = until("the renewal after the restore", || audit(&domain, "node_renewed_after_restore").pop());
    assert!(record.to_string().contains("/early"), "{record}");
    early.ready();
    let _ = domain.told(&["entry", "update", "spiffe://restored.test/early", "--hint", "after", "--wait"]);
    let told = early_watch.until(|update| update["svids"][0]["hint"] == "after");
    assert_eq!(ids_of(&told), ["spiffe://restored.test/early"]);
    assert!(sequence(&domain) > published, "partners would take the bundle for an old one");

    // The lists that the agent held came back with it.
    until("the revocation that the backup did not have", || is_back(&domain, &stolen).then_some(()));

    // The node that joined later is told so, and serves what it has meanwhile.
    until("the report of the late agent", || {
        let health = late.operator(&["health", "agent"]);
        health.stdout.contains("node_not_restored").then_some(())
    });
    assert_eq!(ids(&fetch_as(FLEET[1].1, &late.socket)), ["spiffe://restored.test/late"]);
    assert!(late.process().is_running());

    // A link that was made before the backup was taken admits nobody.
    let mut stranger = Agent::new(domain.folder(), "never-joined");
    stranger.launch(Some(&link));
    until("the refusal of the old link", || {
        stranger.process().log().contains("token_unknown").then_some(())
    });
}

#[test]
fn keys_in_a_token_are_named_as_not_included_and_the_restored_server_needs_that_token() {
    let hsm = SoftHsm::new();
    let mut domain = Domain::init_recoverable_among("token-restored.test", &["--signing-keys", &hsm.uri(None)], vec![hsm.environment()]);
    domain.start_server();
    let (mut agent, mut watch) = member(&domain, ("n1", 4_954));
    let to = domain.folder().join("token.backup");
    let made = domain.told(&["server", "backup", "--to", path_text(&to)]);
    let named = |document: &Value| {
        let keys = document["keys_not_included"].as_array().cloned().unwrap_or_default();
        let text = serde_json::json!(keys).to_string();
        ["x509-root", "x509-issuing", "jwt"].iter().all(|kind| text.contains(kind))
    };
    assert!(named(&made), "{made}");
    let root = domain.told(&["bundle", "show"])["keys"][0]["x5c"].clone();

    hsm.remove();
    let report = lose_and_restore(&mut domain, &to);
    assert!(named(&report), "{report}");
    domain.launch_server();
    assert_eq!(domain.server().ended().code(), Some(1));
    let said = domain.server().log();
    assert!(said.contains("pkcs11_unavailable"), "without its token: {said}");

    hsm.put_back();
    domain.start_server();
    agent.ready();
    assert_eq!(domain.told(&["bundle", "show"])["keys"][0]["x5c"], root, "the root is the one in the token");
    let _ = domain.told(&["entry", "update", "spiffe://token-restored.test/n1", "--hint", "after", "--wait"]);
    let told = watch.until(|update| update["svids"][0]["hint"] == "after");
    assert_eq!(ids_of(&told), ["spiffe://token-restored.test/n1"]);
    let _ = domain.operator(&["svid", "mint", "jwt", "--spiffe-id", "/probe", "--audience", "a"]).exits(0);
    assert!(agent.process().is_running());
}
