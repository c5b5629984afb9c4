//! Bad input gets a clear error with a stable code and the right exit code, and changes nothing.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use tests::command::run;
use tests::domain::{Agent, Domain, path_text};
use tests::process::Process;
use tests::wait::until;

#[test]
fn mistakes_of_operators_are_named_and_change_nothing() {
    let domain = Domain::start("bad.test");
    let _agent = domain.agent("n1");
    let create = |id: &'static str, selector: &'static str, more: &[&'static str]| {
        let mut arguments = vec!["entry", "create", "--spiffe-id", id, "--selector", selector];
        arguments.extend_from_slice(more);
        domain.operator(&arguments)
    };
    let cases: &[(&str, &str, &[&str], i32, &str)] = &[
        ("/a//b", "unix:uid:1", &[], 2, "invalid_spiffe_id"),
        ("/a/", "unix:uid:1", &[], 2, "invalid_spiffe_id"),
        ("/a/../b", "unix:uid:1", &[], 2, "invalid_spiffe_id"),
        ("/a%2eb", "unix:uid:1", &[], 2, "invalid_spiffe_id"),
        ("/", "unix:uid:1", &[], 2, "invalid_spiffe_id"),
        ("spiffe://other.test/a", "unix:uid:1", &[], 2, "invalid_spiffe_id"),
        ("spiffe://BAD.test/a", "unix:uid:1", &[], 2, "invalid_spiffe_id"),
        ("/troth/server", "unix:uid:1", &[], 1, "reserved_path"),
        ("/troth/agent/join_token/n1", "unix:uid:1", &[], 1, "reserved_path"),
        ("/a", "uid=1", &[], 2, "invalid_selector"),
        ("/a", "unix:udi:1", &[], 2, "invalid_selector"),
        ("/a", "unix:uid:minus", &[], 2, "invalid_selector"),
        ("/a", "unix:uid:1", &["--class", "fast", "--x509-ttl", "90m"], 1, "class_exceeded"),
        ("/a", "unix:uid:1", &["--x509-ttl", "1s"], 2, "invalid_request"),
        ("/a", "unix:uid:1", &["--parent", "nowhere"], 3, "node_not_found"),
    ];
    for (id, selector, more, exit, code) in cases {
        let refused = create(id, selector, more);
        assert_eq!(
            (refused.code, refused.problem().as_str()),
            (*exit, *code),
            "{id} {selector} {more:?}: {refused:?}"
        );
    }
    for (arguments, exit, code) in [
        (&["entry", "show", "nothing"][..], 3, "entry_not_found"),
        (&["entry", "delete", "/nothing"], 3, "entry_not_found"),
        (&["node", "show", "nothing"], 3, "node_not_found"),
        (&["node", "ban", "nothing"], 3, "node_not_found"),
        (&["token", "delete", "nothing"], 3, "token_not_found"),
        (&["token", "create", "--ttl", "1s"], 2, "invalid_request"),
    ] {
        let refused = domain.operator(arguments);
        assert_eq!((refused.code, refused.problem().as_str()), (exit, code), "{arguments:?}: {refused:?}");
    }
    assert_eq!(domain.told(&["entry", "count"])["count"], 0);
}

#[test]
fn a_file_with_one_bad_entry_changes_nothing() {
    let domain = Domain::start("file.test");
    let _agent = domain.agent("n1");
    let file = domain.folder().join("entries.json");
    let good = r#"{"spiffe_id":"/good","selectors":["unix:uid:1"]}"#;
    for bad in [
        r#"{"spiffe_id":"/bad//","selectors":["unix:uid:1"]}"#,
        r#"{"spiffe_id":"/bad","selectors":[]}"#,
        r#"{"spiffe_id":"/bad","selectors":["unix:uid:1"],"surprise":1}"#,
        r#"{"spiffe_id":"/bad","selectors":["unix:uid:1"],"dns_names":["not a name"]}"#,
    ] {
        std::fs::write(&file, format!("[{good},{bad}]")).expect("the file");
        let refused = domain.operator(&["entry", "create", "--file", path_text(&file)]);
        assert_ne!(refused.code, 0, "{bad}: {refused:?}");
        assert!(!refused.problem().is_empty());
        assert_eq!(domain.told(&["entry", "count"])["count"], 0, "{bad}");
    }
    std::fs::write(&file, format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000))).expect("the file");
    assert_eq!(domain.operator(&["entry", "apply", path_text(&file)]).exits(2).problem(), "usage");
}

#[test]
fn a_wrong_link_is_refused_before_anything_is_sent() {
    let domain = Domain::start("link.test");
    let link = domain.link("n1");
    let (head, roots) = link.rsplit_once('/').expect("root hashes");
    let wrong_root = format!("{head}/{}", "0".repeat(roots.split('.').next().expect("a hash").len()));
    let cases = [
        (wrong_root.as_str(), "root_mismatch"),
        ("troth://127.0.0.1:1/join/x", "join_link_invalid"),
        ("not a link", "join_link_invalid"),
    ];
    for (number, (link, code)) in cases.iter().enumerate() {
        let mut agent = Agent::new(domain.folder(), &format!("wrong-{number}"));
        agent.launch(Some(link));
        let told = until("the agent to say what is wrong", || {
            Some(agent.process().log()).filter(|log| log.contains(code))
        });
        assert!(!told.contains(head.rsplit('/').next().expect("a token")), "the log holds the token");
    }
    // The token was not consumed by any of them.
    let mut agent = Agent::new(domain.folder(), "right");
    agent.launch(Some(&link));
    agent.ready();
}

#[test]
fn a_token_that_ended_or_was_used_is_refused() {
    let domain = Domain::start("used.test");
    let link = domain.link("n1");
    let mut first = Agent::new(domain.folder(), "first");
    first.launch(Some(&link));
    first.ready();
    let mut second = Agent::new(domain.folder(), "second");
    second.launch(Some(&link));
    let _ = until("the second to be refused", || {
        Some(second.process().log()).filter(|log| log.contains("token_used"))
    });
    let deleted = domain.told(&["token", "create", "--node-id", "n2"]);
    let _ = domain.told(&["token", "delete", deleted["id"].as_str().expect("an id")]);
    let mut third = Agent::new(domain.folder(), "third");
    third.launch(Some(deleted["link"].as_str().expect("a link")));
    let _ = until("the third to be refused", || {
        Some(third.process().log()).filter(|log| log.contains("token_unknown"))
    });
}

fn resident_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("its status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Octets that mean nothing to any protocol here: a fixed xorshift sequence.
fn garbage(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

fn send_garbage(mut stream: impl std::io::Write + std::io::Read, seed: u64) {
    let prefixes: [&[u8]; 5] = [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v1/admin/entries HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
    ];
    let prefix = prefixes[usize::try_from(seed).expect("a small number") % prefixes.len()];
    // The other side may close at any moment: that is a right answer to garbage.
    let _ = stream.write_all(prefix);
    let _ = stream.write_all(&garbage(seed, 64 * 1024));
    let mut answer = [0; 1024];
    let _ = stream.read(&mut answer);
}

#[test]
fn garbage_on_every_socket_neither_ends_nor_bloats_a_process() {
    let mut domain = Domain::start("garbage.test");
    let mut agent = domain.agent("n1");
    let admin = domain.server_data().join("admin.sock");
    let agent_admin = agent.data.join("agent-admin.sock");
    let before = (resident_kib(domain.server()), resident_kib(agent.process()));
    for seed in 1..=200 {
        for socket in [&admin, &agent_admin, &agent.socket] {
            if let Ok(stream) = UnixStream::connect(socket) {
                stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
                send_garbage(stream, seed);
            }
        }
        if let Ok(stream) = std::net::TcpStream::connect(&domain.address) {
            stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
            send_garbage(stream, seed);
        }
    }
    let after = (resident_kib(domain.server()), resident_kib(agent.process()));
    assert!(
        after.0 < before.0 + 40 * 1024 && after.1 < before.1 + 40 * 1024,
        "resident memory in KiB, before {before:?}, after {after:?}"
    );
    assert_eq!(run(&["health", "server", "--data-dir", path_text(&domain.server_data())]).code, 0);
    assert_eq!(agent.operator(&["health", "agent"]).code, 0);
}
