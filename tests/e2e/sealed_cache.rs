//! What an agent serves that begins again, or runs again, while its server is away: what is still valid, on its own machine, and nothing else.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::domain::{Agent, Domain, path_text};
use tests::process::Process;
use tests::wait::{until, within};
use tests::workload::{fetch_as, ids};

/// The user whose processes are the workload.
const USER: u32 = 4601;

fn is_served(agent: &Agent) -> bool {
    let fetched = fetch_as(USER, &agent.socket);
    fetched.code == 0
}

/// Returns why a process is given nothing.
fn refusal(agent: &Agent) -> String {
    let fetched = fetch_as(USER, &agent.socket);
    assert_ne!(fetched.code, 0, "it is served: {}", fetched.stdout);
    fetched.stdout + &fetched.stderr
}

/// Waits until what the agent holds is sealed.
fn sealed(agent: &Agent) {
    until("the sealed cache", || agent.data.join("cache.sealed").exists().then_some(()));
}

fn problems(agent: &Agent) -> String {
    agent.operator(&["health", "agent"]).stdout
}

#[test]
fn an_agent_that_begins_again_without_its_server_serves_what_was_valid_after_a_proper_end_and_after_none() {
    let mut domain = Domain::start("again.test");
    let mut agent = domain.agent("n1");
    domain.fast_entry("n1", "/job", USER, "3m");
    let serial = fetch_as(USER, &agent.socket).json()["svids"][0]["serial"].clone();
    sealed(&agent);
    domain.server().kill_9();
    for ended in 0..2 {
        match ended {
            0 => drop(agent.process().terminate()),
            _ => agent.process().kill_9(),
        }
        agent.launch(None);
        let again = until("the first SVID", || {
            let fetched = fetch_as(USER, &agent.socket);
            (fetched.code == 0).then_some(fetched)
        });
        assert_eq!(ids(&again), ["spiffe://again.test/job"]);
        assert_eq!(again.json()["svids"][0]["serial"], serial, "nobody was there to issue another");
    }
}

#[test]
fn without_a_cache_nothing_is_kept_and_what_was_kept_before_is_deleted() {
    let mut domain = Domain::start("nocache.test");
    let mut agent = domain.agent("n1");
    domain.fast_entry("n1", "/job", USER, "10s");
    let kept = |agent: &Agent| ["cache.sealed", "last-seen.sealed"].map(|name| agent.data.join(name).exists());
    sealed(&agent);
    let _ = agent.process().terminate();
    assert_eq!(kept(&agent), [true, true], "both are written at the end");
    agent.options = vec!["--no-cache".to_owned()];
    agent.launch(None);
    agent.ready();
    let first = fetch_as(USER, &agent.socket).json()["svids"][0]["serial"].clone();
    until("a rotation", || {
        (fetch_as(USER, &agent.socket).json()["svids"][0]["serial"] != first).then_some(())
    });
    let _ = agent.process().terminate();
    assert_eq!(kept(&agent), [false, false]);
    domain.server().kill_9();
    agent.launch(None);
    until("an agent that knows nothing", || {
        refusal(&agent).contains("has not yet heard from its server").then_some(())
    });
}

/// Runs an agent where the machine has another number, as on another machine.
fn elsewhere(agent: &Agent, folder: &Path, number: &str) -> Process {
    let file = folder.join(format!("machine-id-{number}"));
    std::fs::write(&file, format!("{number}\n")).expect("a file");
    let run = agent.command();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", r#"mount --bind "$0" /etc/machine-id && exec "$@""#, path_text(&file)]);
    command.arg(run.get_program()).args(run.get_args()).args(["--telemetry-listen", "off"]);
    Process::start(command, &folder.join("elsewhere.log"))
}

#[test]
fn a_copied_directory_is_not_served_on_another_machine_and_what_the_server_gives_there_is() {
    let mut domain = Domain::start("moved.test");
    let mut agent = domain.agent("n1");
    domain.fast_entry("n1", "/job", USER, "3m");
    sealed(&agent);
    let _ = agent.process().terminate();
    domain.server().kill_9();
    let folder = domain.folder().to_owned();
    for number in ["0123456789abcdef0123456789abcdef", ""] {
        let mut moved = elsewhere(&agent, &folder, number);
        until("the refused cache", || problems(&agent).contains("cache_of_other_machine").then_some(()));
        assert!(!is_served(&agent), "{}", moved.log());
        let _ = moved.terminate();
    }
    // Its own machine serves it still: a refusal costs nothing.
    agent.launch(None);
    until("the cache on its own machine", || is_served(&agent).then_some(()));
    let _ = agent.process().terminate();

    // With its server there the other machine needs no cache, and then has one of its own.
    domain.start_server();
    let mut moved = elsewhere(&agent, &folder, "0123456789abcdef0123456789abcdef");
    until("the SVID from the server", || is_served(&agent).then_some(()));
    until("health without the problem", || (agent.operator(&["health", "agent"]).code == 0).then_some(()));
    let _ = moved.terminate();
    domain.server().kill_9();
    let mut moved = elsewhere(&agent, &folder, "0123456789abcdef0123456789abcdef");
    until("the cache of the new machine", || is_served(&agent).then_some(()));
    let _ = moved.terminate();
}

#[test]
fn nothing_is_served_past_the_end_of_the_nodes_own_svid_and_all_of_it_again_when_the_server_is_back() {
    let mut domain = Domain::start_with("term.test", &["--node-ttl", "10s"]);
    let mut agent = domain.agent("n1");
    domain.fast_entry("n1", "/job", USER, "3m");
    assert!(is_served(&agent));
    sealed(&agent);
    domain.server().kill_9();
    until("the end of the node", || (!is_served(&agent)).then_some(()));
    assert!(refusal(&agent).contains("this node's own SVID ended"), "{}", refusal(&agent));
    // Nor by an agent that begins again after that end.
    let _ = agent.process().terminate();
    agent.launch(None);
    // A command that finds no socket yet waits for it, and then for an identity.
    until("the agent", || (agent.operator(&["agent", "status"]).code == 0).then_some(()));
    assert!(refusal(&agent).contains("this node's own SVID ended"), "{}", refusal(&agent));
    domain.start_server();
    until("the node to be renewed", || is_served(&agent).then_some(()));
}

/// Returns the SPIFFE IDs for which certificates were issued, in the order of issue.
fn issued(domain: &Domain) -> Vec<String> {
    let exported = domain.operator(&["audit", "export"]).exits(0);
    let events = exported.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let issued = events.filter(|event| event["event"] == "issued");
    issued.filter_map(|event| event["spiffe_id"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_process_that_stood_still_for_longer_than_lives_last_renews_all_at_once_the_least_life_first() {
    let domain = Domain::start("asleep.test");
    let mut agent = domain.agent("n1");
    // Made in another order than they end in. All are past their half after the stop, and one has ended.
    for (path, life) in [("/long", "44s"), ("/short", "20s"), ("/middle", "36s")] {
        domain.fast_entry("n1", path, USER, life);
    }
    let socket = agent.socket.clone();
    let serials = || -> Vec<String> {
        let fetched = fetch_as(USER, &socket);
        if fetched.code != 0 {
            return Vec::new();
        }
        let svids = fetched.json()["svids"].as_array().cloned().unwrap_or_default();
        svids.iter().filter_map(|svid| svid["serial"].as_str().map(str::to_owned)).collect()
    };
    let before = serials();
    assert_eq!(before.len(), 3);
    let count = issued(&domain).len();
    agent.process().signal(Signal::SIGSTOP);
    // It stands still for this long by every clock; there is nothing else to wait for.
    assert!(within(std::time::Duration::from_secs(26), || None::<()>).is_none());
    agent.process().signal(Signal::SIGCONT);
    let after = until("three new SVIDs", || {
        let now = serials();
        (now.len() == 3 && now.iter().all(|serial| !before.contains(serial))).then_some(now)
    });
    assert_eq!(after.len(), 3);
    let order: Vec<String> = issued(&domain).split_off(count).into_iter().take(3).collect();
    assert_eq!(order, ["/short", "/middle", "/long"].map(|path| format!("spiffe://asleep.test{path}")));
    let log = agent.process().log();
    assert!(log.contains("did not run for a while"), "{log}");
    until("the agent to be well", || (agent.operator(&["health", "agent"]).code == 0).then_some(()));
}

/// Returns what the agent says of its only sink.
fn sink_of(agent: &Agent) -> Value {
    agent.operator(&["agent", "status"]).json()["sinks"][0].clone()
}

/// The certificate before is sealed by then; the one of the moment is not, within six seconds of its renewal.
#[test]
fn a_later_certificate_in_place_is_not_replaced_by_the_one_that_was_sealed_before_it() {
    let mut domain = Domain::start("later.test");
    let sink = domain.folder().join("sink");
    let option = format!("/job={}", path_text(&sink));
    let mut agent = domain.agent_with("n1", &["--sink", &option]);
    domain.fast_entry("n1", "/job", USER, "20s");
    let chain = || std::fs::read_to_string(sink.join("svid.pem")).unwrap_or_default();
    let first = until("the first certificate", || Some(chain()).filter(|chain| !chain.is_empty()));
    sealed(&agent);
    let second = until("the second certificate", || Some(chain()).filter(|chain| *chain != first));
    agent.process().kill_9();
    domain.server().kill_9();
    agent.launch(None);
    let served = until("what was sealed", || {
        let fetched = fetch_as(USER, &agent.socket);
        (fetched.code == 0).then(|| fetched.json()["svids"][0]["serial"].clone())
    });
    let delivered = until("the sink", || Some(sink_of(&agent)["serial"].clone()).filter(|serial| !serial.is_null()));
    assert_ne!(served, delivered, "the second was sealed before the kill: this shows nothing");
    assert_eq!(chain(), second);
    assert!(agent.process().log().contains("the SVID in place ends later"), "{}", agent.process().log());

    // The owner's own certificate for the same name is none of our CA's: what was sealed is delivered over it.
    agent.process().kill_9();
    forge(&sink, "spiffe://later.test/job");
    agent.launch(None);
    until("the first certificate again", || (chain() == first).then_some(()));
    assert_eq!(sink_of(&agent)["serial"], served);
}

/// Puts a self-signed certificate of a long life and its key in place of those of a set.
fn forge(sink: &Path, id: &str) {
    let (key, certificate) = (sink.join("..data/svid_key.pem"), sink.join("..data/svid.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "9",
            "-subj",
            "/",
        ])
        .args(["-addext", &format!("subjectAltName=URI:{id}"), "-addext", "keyUsage=critical,digitalSignature"])
        .args(["-keyout", path_text(&key), "-out", path_text(&certificate)])
        .output()
        .expect("openssl, of the Debian package of that name");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn a_token_in_place_stays_until_it_ends_when_the_agent_begins_again_without_its_server() {
    let mut domain = Domain::start("token.test");
    let (sink, config) = (domain.folder().join("sink"), domain.folder().join("agent.toml"));
    let table = format!(
        "[[sink]]\nspiffe_id = \"/job\"\ndirectory = \"{}\"\n[[sink.jwt]]\nname = \"vault\"\naudiences = [\"b\", \"a\"]\n",
        sink.display()
    );
    std::fs::write(&config, table).expect("the configuration");
    let mut agent = domain.agent_with("n1", &["--config", path_text(&config)]);
    domain.fast_entry("n1", "/job", USER, "3m");
    let file = sink.join("jwt/vault.token");
    let token = until("a token", || std::fs::read_to_string(&file).ok());
    sealed(&agent);
    domain.server().kill_9();
    for end in [Signal::SIGTERM, Signal::SIGKILL] {
        agent.process().signal(end);
        let _ended = agent.process().ended();
        agent.launch(None);
        let told = until("the sink", || sink_of(&agent)["last_error"].as_str().map(str::to_owned));
        assert!(told.contains("the token vault cannot be renewed and ends at"), "{told}");
        assert_eq!(std::fs::read_to_string(&file).ok().as_deref(), Some(token.as_str()), "{end}");
    }
    // What proves nothing is taken away.
    agent.process().kill_9();
    let (signed, _signature) = token.rsplit_once('.').expect("a token");
    std::fs::write(&file, format!("{signed}.{}", "A".repeat(86))).expect("a forged token");
    agent.launch(None);
    until("no token", || (!file.exists()).then_some(()));
    assert!(
        sink_of(&agent)["last_error"]
            .as_str()
            .is_some_and(|told| told.contains("there is no token vault"))
    );
}
