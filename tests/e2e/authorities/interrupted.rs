//! Replacements that are disturbed: the server is killed, the command interrupted, an agent frozen, two operators at once.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use tests::domain::Domain;
use tests::wait::until;
use tests::workload::fetch_as;
use trust_domains::x509::Certificate;

use super::{Running, authorities, bundle, id_of, node_with_identity, replace, running_step, timed};

/// The deadline that a frozen agent runs into.
const DEADLINE: &str = "3s";

/// Three acknowledgements of [`DEADLINE`] and what a slow machine adds; far below the defaults of 30 s and a day.
const NOT_DELAYED: Duration = Duration::from_secs(30);

#[test]
fn a_server_that_is_killed_in_the_middle_finishes_the_replacement_after_its_restart() {
    let mut domain = Domain::start_with("killed.test", &["--emergency-ack-deadline", "10m"]);
    let mut agent = node_with_identity(&domain, "n1", "/job");
    let old = id_of(&domain, "x509-root", "active");
    // The agent does not answer: the replacement waits for it in the middle.
    agent.process().signal(Signal::SIGSTOP);
    let watching = Running::start(&domain, &replace("x509-issuing", &["--compromised"]));
    let _ = until("a replacement that waits", || running_step(&domain).filter(|step| step == "acknowledge"));
    domain.server().kill_9();
    domain.start_server();
    agent.process().signal(Signal::SIGCONT);
    // The command outlived the server, and a second one shows the same replacement.
    let again = domain.operator(&replace("x509-issuing", &["--compromised"]));
    let first = watching.ended().exits(0);
    if again.stderr.contains("under way") {
        assert_eq!(again.json()["id"], first.json()["id"]);
    }
    assert_ne!(id_of(&domain, "x509-root", "active"), old);
    assert!(bundle(&domain).x509_authorities().iter().all(|root| {
        let id = Certificate::parse(root.der()).expect("a root").subject_key_id().map(hex::encode);
        id.as_deref() != Some(&*old)
    }));
    assert_eq!(
        fetch_as(nix::unistd::getuid().as_raw(), &agent.socket).exits(0).json()["svids"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[test]
fn an_interrupted_command_leaves_the_replacement_to_the_server_and_the_same_command_shows_it() {
    let domain = Domain::start_with("interrupted.test", &["--emergency-ack-deadline", "10m"]);
    let mut agent = node_with_identity(&domain, "n1", "/job");
    agent.process().signal(Signal::SIGSTOP);
    let watching = Running::start(&domain, &replace("jwt", &["--compromised"]));
    let _ = until("a replacement that waits", || running_step(&domain).filter(|step| step == "acknowledge"));
    kill(watching.pid(), Signal::SIGINT).expect("the command runs");
    let interrupted = watching.ended().exits(1);
    assert!(interrupted.stderr.contains("goes on"), "{interrupted:?}");
    assert!(interrupted.json()["finished_at"].is_null());
    agent.process().signal(Signal::SIGCONT);
    let again = domain.operator(&replace("jwt", &["--compromised"])).exits(0);
    assert!(again.json()["finished_at"].is_string());
}

#[test]
fn a_frozen_agent_delays_neither_an_emergency_nor_a_planned_root_past_the_deadline() {
    for more in [&["--compromised"][..], &[]] {
        let domain = Domain::start_with("frozen.test", &["--emergency-ack-deadline", DEADLINE, "--ack-deadline", DEADLINE]);
        let working = node_with_identity(&domain, "n1", "/job");
        let mut frozen = node_with_identity(&domain, "n2", "/job");
        let old = id_of(&domain, "x509-root", "active");
        frozen.process().signal(Signal::SIGSTOP);
        let (done, took) = timed(|| domain.operator(&replace("x509-root", more)));
        frozen.process().signal(Signal::SIGCONT);
        let done = done.exits(1);
        assert!(took < NOT_DELAYED, "{more:?} took {took:?}");
        assert!(done.json()["outcome"].as_str().is_some_and(|outcome| outcome.contains("n2")), "{}", done.stdout);
        assert!(done.stderr.contains("n2"), "{}", done.stderr);
        assert_ne!(id_of(&domain, "x509-root", "active"), old);
        assert_eq!(
            fetch_as(nix::unistd::getuid().as_raw(), &working.socket).exits(0).json()["svids"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
    }
}

#[test]
fn two_operators_at_once_cause_one_replacement() {
    let domain = Domain::start("twice.test");
    let _agent = node_with_identity(&domain, "n1", "/job");
    let both = [(); 2].map(|()| Running::start(&domain, &replace("x509-issuing", &["--compromised"])));
    let [one, two] = both.map(|command| command.ended().exits(0).json());
    assert_eq!(one["id"], two["id"]);
    let active: Vec<_> = authorities(&domain, "x509-issuing").into_iter().filter(|ca| ca["state"] == "active").collect();
    assert_eq!((active.len(), bundle(&domain).x509_authorities().len()), (1, 1));
}
