//! `troth explain`: why a process gets what it gets, and the one command that would change it.

use std::process::{Child, Command, Stdio};

use serde_json::json;
use tests::command::run;
use tests::domain::{Agent, Domain, path_text};
use tests::workload::{fetch_as, ids};

use super::{has_fields, is_time, text_of};

/// A process of a user that does nothing.
struct Sleeper(Child);

impl Sleeper {
    fn of(uid: u32) -> Self {
        let id = uid.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--", "sleep", "300"]);
        Self(command.stdin(Stdio::null()).spawn().expect("setpriv starts; install it: tests/run e2e"))
    }

    /// Asks about the process once it runs as its user: before that it is still `setpriv`.
    fn explained(&self, agent: &Agent, uid: u32) -> serde_json::Value {
        let pid = self.0.id().to_string();
        let wanted = format!("unix:uid:{uid}");
        tests::wait::until("the process to run as its user", || {
            let told = agent.operator(&["explain", "--pid", &pid]);
            (told.code == 0)
                .then(|| told.json())
                .filter(|told| told["selectors"].as_array().is_some_and(|list| list.contains(&json!(wanted))))
        })
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn near_misses_show_what_was_lacking_and_the_remedy_works() {
    let domain = Domain::start("explain.test");
    let agent = domain.agent("n1");
    let _ = domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        "/near",
        "--selector",
        "unix:uid:4701",
        "--selector",
        "unix:gid:1",
        "--wait",
    ]);
    let sleeper = Sleeper::of(4701);
    let told = sleeper.explained(&agent, 4701);
    has_fields(&told, &["pid", "selectors", "unknown", "entries", "identities", "remedy"]);
    let near = &told["entries"][0];
    assert_eq!((text_of(near, "spiffe_id"), &near["matches"]), ("spiffe://explain.test/near", &json!(false)));
    assert_eq!((&near["matched"], &near["missing"]), (&json!(["unix:uid:4701"]), &json!(["unix:gid:1"])));
    assert_eq!(told["identities"], json!([]));

    // The remedy is a command: it is typed as it stands.
    let remedy = text_of(&told, "remedy");
    let words: Vec<&str> = remedy.split(' ').collect();
    assert_eq!(words.first(), Some(&"troth"), "{remedy}");
    let made = domain.told(&[&words[1..], &["--wait"]].concat());
    assert_eq!(ids(&fetch_as(4701, &agent.socket)), [text_of(&made, "spiffe_id")]);

    let told = sleeper.explained(&agent, 4701);
    assert!(told["remedy"].is_null(), "{told}");
    let now = &told["identities"][0];
    assert_eq!(now["spiffe_id"], made["spiffe_id"]);
    assert_eq!(now["serial"], fetch_as(4701, &agent.socket).json()["svids"][0]["serial"]);
    for field in ["issued_at", "expires_at", "next_renewal"] {
        is_time(now, field);
    }
    let text = run(&["explain", "--pid", &sleeper.0.id().to_string(), "--data-dir", path_text(&agent.data)])
        .exits(0)
        .stdout;
    for words in ["does not match", "lacks: unix:gid:1", "has: unix:uid:4701", "it gets now:"] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
}

#[test]
fn a_process_that_is_gone_is_said_to_be_gone() {
    let domain = Domain::start("gone.test");
    let agent = domain.agent("n1");
    // Above the largest pid that Linux gives.
    let refused = agent.operator(&["explain", "--pid", "4194305"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert_eq!(refused.problem(), "not_found");
    assert_eq!(agent.operator(&["explain", "--pid", "0"]).exits(3).problem(), "not_found");
    // Without a pid it is about the shell, here this test.
    let told = agent.operator(&["explain"]).exits(0).json();
    assert_eq!(told["pid"], std::process::id());
}
