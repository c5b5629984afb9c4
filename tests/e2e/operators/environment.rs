//! Environment variables and configuration files: the flag counts most, then the variable, then the file.

use std::process::Stdio;

use tests::command::{Run, run, troth};
use tests::domain::{Agent, Domain, open_directory, path_text};
use tests::process::Process;
use tests::wait::until;

use super::text_of;

fn with(variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let output = troth().args(arguments).envs(variables.iter().copied()).stdin(Stdio::null()).output();
    Run::of(&output.expect("troth starts"))
}

#[test]
fn every_side_reads_its_own_variables_and_a_flag_counts_more() {
    let domain = Domain::start("env.test");
    let agent = domain.agent("n1");
    let server_data = domain.server_data();
    let variables = [
        ("TROTH_SERVER_DATA_DIR", path_text(&server_data)),
        ("TROTH_AGENT_DATA_DIR", path_text(&agent.data)),
        ("TROTH_OUTPUT", "json"),
    ];
    for arguments in [
        &["entry", "count"][..],
        &["node", "list"],
        &["token", "list"],
        &["bundle", "show"],
        &["health", "server"],
        &["health", "agent"],
        &["agent", "status"],
        &["explain"],
    ] {
        let _ = with(&variables, arguments).exits(0).json();
    }
    assert_eq!(
        with(&variables, &["entry", "count", "--data-dir", "/nowhere"]).exits(4).problem(),
        "cannot_reach"
    );
    assert_eq!(with(&variables, &["--output", "text", "entry", "count"]).exits(0).stdout, "0\n");
    let ttl = with(&[&variables[..], &[("TROTH_SERVER_TTL", "never")]].concat(), &["token", "create"]).exits(2);
    assert_eq!(ttl.problem(), "usage");
}

#[test]
fn an_agent_takes_its_link_from_the_environment_or_a_file_and_warns_about_argv() {
    let domain = Domain::start("link-from.test");
    let start = |node: &str, prepare: &dyn Fn(&mut std::process::Command, &str)| {
        let agent = Agent::new(domain.folder(), node);
        let mut command = agent.command();
        command.env("TROTH_AGENT_TELEMETRY_LISTEN", "off");
        prepare(&mut command, &domain.link(node));
        let process = Process::start(command, &domain.folder().join(format!("{node}.log")));
        until("the agent", || (agent.operator(&["health", "agent"]).code == 0).then_some(()));
        (agent, process)
    };
    let (_, by_variable) = start("n1", &|command, link| {
        command.env("TROTH_JOIN", link);
    });
    let file = domain.folder().join("link.txt");
    let (agent, mut by_file) = start("n2", &|command, link| {
        std::fs::write(&file, format!("{link}\n")).expect("the file");
        command.args(["--join-file", path_text(&file)]);
    });
    let (_, by_argv) = start("n3", &|command, link| {
        command.args(["--join", link]);
    });
    assert!(by_argv.log().contains("--join -"), "no warning about argv: {}", by_argv.log());
    assert!(!by_variable.log().contains("process list") && !by_file.log().contains("process list"));

    // Once joined the link is not needed: the file may be gone.
    assert!(by_file.terminate().success());
    std::fs::remove_file(&file).expect("the file");
    let mut command = agent.command();
    command.args(["--telemetry-listen", "off"]);
    command.args(["--join-file", path_text(&file)]);
    let _again = Process::start(command, &domain.folder().join("again.log"));
    until("the agent", || (agent.operator(&["health", "agent"]).code == 0).then_some(()));
}

#[test]
fn a_server_runs_by_its_file_and_flags_count_more() {
    let domain = Domain::init("file-run.test");
    let file = domain.folder().join("server.toml");
    let text = format!(
        "data_dir = \"{}\"\nlisten = \"{}\"\ntelemetry_listen = \"off\"\nadvertise = \"from-file.example:1\"\n",
        domain.server_data().display(),
        domain.address
    );
    std::fs::write(&file, text).expect("the file");
    let mut command = troth();
    command.args(["--config", path_text(&file), "server", "run", "--advertise", "from-flag.example:2"]);
    let _server = Process::start(command, &domain.folder().join("server.log"));
    let operator = |arguments: &[&str]| run(&[&["--output", "json", "--config", path_text(&file)], arguments].concat());
    until("the server", || (operator(&["health", "server"]).code == 0).then_some(()));
    let created = operator(&["token", "create"]).exits(0).json();
    assert_eq!(text_of(&created, "server"), "from-flag.example:2");
}

#[test]
fn config_check_names_every_mistake_at_once() {
    let folder = open_directory();
    let check = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("the file");
        run(&["--output", "json", "config", "check", path_text(&file)])
    };
    let server = check(
        "server.toml",
        "data_dri = \"/srv\"\nlisten = \"nowhere\"\nissuing_ttl = 7\nmax_class = \"quick\"\nnode_ttl = \"soon\"\n",
    );
    assert_eq!(server.code, 2, "{server:?}");
    assert_eq!(server.problem(), "config_invalid");
    let detail = server.json()["detail"].as_str().expect("a detail").to_owned();
    for mistake in [
        "data_dri",
        "data_dir",
        "listen",
        "issuing_ttl",
        "max_class",
        "node_ttl",
        "line 1",
        "server.toml",
    ] {
        assert!(detail.contains(mistake), "no {mistake:?} in {detail}");
    }
    let agent = check(
        "agent.toml",
        "workload_sokcet = \"/run/x\"\ntelemetry_listen = \"on\"\n[[sink]]\nspiffe_id = \"/web\"\ndirectory = \"relative\"\nmode = \"999\"\n",
    );
    assert_eq!(agent.code, 2, "{agent:?}");
    let detail = agent.json()["detail"].as_str().expect("a detail").to_owned();
    for mistake in ["workload_sokcet", "workload_socket", "telemetry_listen", "mode"] {
        assert!(detail.contains(mistake), "no {mistake:?} in {detail}");
    }
    let bounds = check("server.toml", "node_ttl = \"1s\"\nclock_skew = \"2h\"\n").exits(2).json()["detail"].to_string();
    assert!(bounds.contains("node_ttl") && bounds.contains("clock_skew"), "{bounds}");
    assert_eq!(
        check("server.toml", "listen = \"127.0.0.1:8443\"\nmax_class = \"fast\"\n").exits(0).json()["ok"],
        true
    );
    assert_eq!(check("agent.toml", "no_cache = true\n").exits(0).json()["kind"], "agent");
    assert_eq!(check("other.toml", "").exits(2).problem(), "usage");
    assert_eq!(check("server.toml", "this is = = no TOML").exits(2).problem(), "config_invalid");
    let text = run(&["config", "check", path_text(&folder.path().join("server.toml"))]).exits(2);
    assert!(text.stdout.is_empty() && text.stderr.contains("(config_invalid)"), "{text:?}");
    assert_eq!(
        run(&["--output", "json", "config", "check", "/nowhere/server.toml"]).exits(2).problem(),
        "usage"
    );
}

#[test]
fn config_check_gives_lines_to_what_does_not_fit_together_and_warns_of_what_the_machine_lacks() {
    let folder = open_directory();
    let file = folder.path().join("agent.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).expect("the file");
        run(&["config", "check", path_text(&file)])
    };
    let told = check(
        "jwt_leeway = \"10m\"\n[[sink]]\nspiffe_id = \"/web\"\ndirectory = \"/tmp/a\"\n[[sink.jwt]]\nname = \"v\"\naudiences = []\n[[sink.reload]]\nsignal = \"HUP\"\n",
    );
    let told = told.exits(2).stderr;
    for mistake in [
        "line 1: jwt_leeway: ",
        "line 7: sink[0].jwt[0].audiences: ",
        "line 9: sink[0].reload[0].signal: ",
    ] {
        assert!(told.contains(mistake), "no {mistake:?} in {told}");
    }
    let warned = check("[[sink]]\nspiffe_id = \"/web\"\ndirectory = \"/tmp/a\"\nowner = \"no-such-user-here\"\n").exits(0);
    assert!(
        warned.stderr.contains("warning: line 4: sink[0].owner: there is no user no-such-user-here"),
        "{warned:?}"
    );
    let json = run(&["--output", "json", "config", "check", path_text(&file)]).exits(0).json();
    assert_eq!(
        (json["lacking"][0]["key"].as_str(), json["lacking"][0]["line"].as_u64()),
        (Some("sink[0].owner"), Some(4))
    );
}
