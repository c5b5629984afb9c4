//! What opens the store, and where the keys that sign are: a passphrase, a credential, a token; and moving from one to another.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tests::command::troth;
use tests::domain::{Domain, open_directory, path_text};
use tests::process::Process;
use tests::softhsm::SoftHsm;
use tests::wait::until;
use tests::workload::{as_user, fetch_as, ids, program_as};

/// How often the server is killed while its key file gets a new key.
const KILLS: u64 = 12;

fn secret_file(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    path
}

/// Starts a server that must end by itself, and returns the code of its problem.
fn refused(domain: &mut Domain, options: &[&str]) -> String {
    domain.options = ["--output", "json"].iter().chain(options).map(|&option| option.to_owned()).collect();
    domain.launch_server();
    // 2 where what is configured cannot be: exit codes are those of the problem.
    assert!(matches!(domain.server().ended().code(), Some(1 | 2)));
    let log = domain.server().log();
    let problem = log
        .lines()
        .rev()
        .find(|line| line.contains("\"code\""))
        .unwrap_or_else(|| panic!("no problem in {log}"));
    let document = log.rfind("{\n").map_or(problem, |start| &log[start..]);
    let document: serde_json::Value = serde_json::from_str(document.trim()).unwrap_or_else(|error| panic!("{error}: {document}"));
    document["code"].as_str().expect("a code").to_owned()
}

fn starts(domain: &mut Domain, options: &[&str]) {
    domain.options = options.iter().map(|&option| option.to_owned()).collect();
    domain.start_server();
}

/// Returns the issuing CA that signs now.
fn issuing(domain: &Domain) -> String {
    let list = domain.told(&["authority", "list"]);
    let mut items = list["items"].as_array().expect("items").iter();
    let active = items.find(|item| item["kind"] == "x509-issuing" && item["state"] == "active");
    active.expect("an active issuing CA")["id"].as_str().expect("an id").to_owned()
}

/// Signs one token by the server's key.
fn mints(domain: &Domain) -> bool {
    domain.operator(&["svid", "mint", "jwt", "--spiffe-id", "/probe", "--audience", "a"]).code == 0
}

#[test]
fn a_store_behind_a_passphrase_opens_with_it_and_nothing_else() {
    let secrets = open_directory();
    let right = secret_file(secrets.path(), "right", b"correct horse battery staple\n");
    let wrong = secret_file(secrets.path(), "wrong", b"correct horse battery stable\n");
    let short = secret_file(secrets.path(), "short", b"horse\n");
    let source = |path: &Path| format!("passphrase:{}", path_text(path));
    let too_short = troth()
        .args(["server", "init", "--trust-domain", "short.test", "--no-recovery", "--data-dir"])
        .arg(secrets.path().join("server"))
        .args(["--key-source", &source(&short)])
        .output()
        .expect("troth starts");
    assert!(String::from_utf8_lossy(&too_short.stderr).contains("at least 12 characters"));

    let mut domain = Domain::init_with("passphrase.test", &["--key-source", &source(&right)]);
    assert!(!domain.folder().join("server.seal.key").exists(), "no key file is made");
    assert_eq!(refused(&mut domain, &["--key-source", &source(&wrong)]), "key_source_unavailable");
    assert_eq!(refused(&mut domain, &[]), "key_source_unavailable");
    assert!(domain.server().log().contains("--key-source passphrase"), "{}", domain.server().log());
    starts(&mut domain, &["--key-source", &source(&right)]);
    assert!(mints(&domain));
}

#[test]
fn a_credential_that_systemd_hands_over_opens_the_store() {
    let credentials = open_directory();
    let path = secret_file(credentials.path(), "troth.seal", &[7; 32]);
    // As systemd leaves it: readable by an access list, whose mask shows as the group's.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).expect("its mode");
    let environment = || vec![("CREDENTIALS_DIRECTORY".to_owned(), credentials.path().to_owned())];
    let source = ["--key-source", "credential:troth.seal"];
    let mut domain = Domain::init_among("credential.test", &source, environment());
    starts(&mut domain, &source);
    assert!(mints(&domain));
    let _ = domain.server().terminate();
    domain.environment.clear();
    assert_eq!(refused(&mut domain, &source), "key_source_unavailable");
    assert!(domain.server().log().contains("LoadCredentialEncrypted="));
    domain.environment = environment();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).expect("its mode");
    assert_eq!(refused(&mut domain, &source), "key_source_unavailable");
}

#[test]
fn the_keys_of_the_authorities_live_in_a_token_through_issuing_a_restart_and_its_removal() {
    let hsm = SoftHsm::new();
    let (seal, sign) = (hsm.uri(Some("seal")), hsm.uri(None));
    let options = ["--key-source", &seal, "--signing-keys", &sign];
    let mut domain = Domain::init_among("token.test", &options, vec![hsm.environment()]);
    // Where the signing keys are is remembered.
    starts(&mut domain, &["--key-source", &seal]);
    let agent = domain.agent("n1");
    domain.fast_entry("n1", "/web", 4411, "10s");
    assert_eq!(ids(&fetch_as(4411, &agent.socket).exits(0)), ["spiffe://token.test/web"]);
    assert!(mints(&domain));

    let _ = domain.server().terminate();
    domain.start_server();
    assert!(mints(&domain), "a restart finds its keys");

    let before = issuing(&domain);
    let replaced = ["authority", "replace", "--kind", "x509-issuing", "--because", "a drill", "--wait", "60s"];
    let _ = domain.told(&replaced);
    assert_ne!(issuing(&domain), before, "the next issuing CA is made in the token, and signs");
    assert!(hsm.labels().iter().filter(|label| *label == "troth token.test x509-issuing").count() >= 2);

    hsm.remove();
    let said = domain.operator(&["svid", "mint", "jwt", "--spiffe-id", "/probe", "--audience", "a"]);
    assert_eq!((said.code, said.problem()), (1, "signing_key_unavailable".to_owned()));
    until("health to name the token", || {
        let health = domain.operator(&["health", "server"]);
        (health.code == 1 && health.stdout.contains("signing keys")).then_some(())
    });
    hsm.put_back();
    until("signatures by the token that is back", || mints(&domain).then_some(()));
    until("health without a problem", || (domain.operator(&["health", "server"]).code == 0).then_some(()));
    // Its SVIDs live for ten seconds: what is fetched now was signed after the token came back, or is about to be.
    until("an SVID after it", || (fetch_as(4411, &agent.socket).code == 0).then_some(()));

    let _ = domain.server().terminate();
    hsm.remove();
    assert_eq!(refused(&mut domain, &["--key-source", &seal]), "pkcs11_unavailable");
    hsm.put_back();
    hsm.write_pin("9999");
    assert_eq!(refused(&mut domain, &["--key-source", &seal]), "pkcs11_pin_refused");
    hsm.write_pin("1234");
    assert_eq!(refused(&mut domain, &["--key-source", &hsm.uri(Some("other"))]), "pkcs11_unavailable");
    assert_eq!(refused(&mut domain, &["--key-source", &seal, "--jwt-algorithm", "RS256"]), "config_invalid");
    starts(&mut domain, &["--key-source", &seal]);
    assert!(mints(&domain));
}

#[test]
fn a_key_whose_authority_is_forgotten_is_destroyed_in_its_token() {
    const LABEL: &str = "troth forgotten.test jwt";
    let hsm = SoftHsm::new();
    let mut domain = Domain::init_among("forgotten.test", &["--signing-keys", &hsm.uri(None)], vec![hsm.environment()]);
    domain.start_server();
    let keys = || hsm.labels().iter().filter(|label| *label == LABEL).count();
    let in_use = keys();
    let _ = domain.told(&["authority", "prepare", "--kind", "jwt", "--because", "a drill"]);
    let prepared = until("a prepared key", || {
        let list = domain.told(&["authority", "list"]);
        let mut items = list["items"].as_array()?.iter();
        let prepared = items.find(|item| item["kind"] == "jwt" && item["state"] == "prepared")?;
        prepared["id"].as_str().map(str::to_owned)
    });
    assert_eq!(keys(), in_use + 1, "it is made in the token");
    let _ = domain
        .operator(&["authority", "revoke", &prepared, "--because", "a drill", "--wait", "60s"])
        .exits(0);
    until("the key to be gone from the token", || (keys() == in_use).then_some(()));
    assert!(!domain.told(&["authority", "list"]).to_string().contains(&prepared));
    assert!(mints(&domain), "the key in use is there");
}

#[test]
fn two_servers_keep_their_keys_in_one_token() {
    let hsm = SoftHsm::new();
    let sign = hsm.uri(None);
    let mut domains = ["one.test", "two.test"].map(|name| {
        let mut domain = Domain::init_among(name, &["--signing-keys", &sign], vec![hsm.environment()]);
        domain.start_server();
        domain
    });
    for domain in &mut domains {
        assert!(mints(domain));
        let _ = domain.server().terminate();
        domain.start_server();
        assert!(mints(domain));
    }
}

#[test]
fn a_store_moves_to_another_source_under_load_and_no_request_fails() {
    let secrets = open_directory();
    let passphrase = secret_file(secrets.path(), "passphrase", b"correct horse battery staple\n");
    let source = format!("passphrase:{}", path_text(&passphrase));
    let mut domain = Domain::start("rekey.test");
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    assert!(mints(&domain), "a request failed");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for key_source in [None, Some(source.as_str()), Some("file:"), None] {
            let file = format!("file:{}", path_text(&domain.folder().join("moved.key")));
            let named = key_source.map(|text| if text == "file:" { file.as_str() } else { text });
            let option: Vec<&str> = named.into_iter().flat_map(|text| ["--key-source", text]).collect();
            let rekeyed = domain.told(&[&["server", "rekey"], option.as_slice()].concat());
            assert!(named.is_none_or(|text| rekeyed["key_source"] == text), "{rekeyed}");
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(asked.load(Ordering::Relaxed) > 0);
    let _ = domain.server().terminate();
    assert_eq!(refused(&mut domain, &[]), "key_source_unavailable", "the key file before opens nothing");
    assert_eq!(refused(&mut domain, &["--key-source", &source]), "key_source_unavailable");
    let moved = domain.folder().join("moved.key");
    starts(&mut domain, &["--key-file", path_text(&moved)]);
    assert!(mints(&domain));
}

#[test]
fn a_server_that_is_killed_while_its_key_file_gets_a_new_key_opens_with_that_file() {
    let mut domain = Domain::start("killed.test");
    for round in 0..KILLS {
        let data = domain.server_data();
        std::thread::scope(|scope| {
            let rekeying = scope.spawn(|| {
                let mut command = troth();
                command.args(["server", "rekey", "--data-dir", path_text(&data)]);
                command.output().expect("troth starts")
            });
            std::thread::sleep(Duration::from_millis(round * 4));
            domain.server().kill_9();
            let _ = rekeying.join().expect("a thread");
        });
        domain.start_server();
    }
    assert!(mints(&domain));
    let _ = domain.told(&["server", "rekey"]);
    let key_file = std::fs::read_to_string(domain.folder().join("server.seal.key")).expect("the key file");
    assert_eq!(key_file.lines().count(), 1, "what was interrupted is over: one key is left");
}

#[test]
fn a_stopped_store_is_moved_too_and_the_old_source_is_named_where_it_is_no_file() {
    let secrets = open_directory();
    let passphrase = secret_file(secrets.path(), "passphrase", b"correct horse battery staple\n");
    let source = format!("passphrase:{}", path_text(&passphrase));
    let mut domain = Domain::init_with("stopped.test", &["--key-source", &source]);
    let file = format!("file:{}", path_text(&domain.folder().join("new.key")));
    let unnamed = domain.operator(&["server", "rekey", "--key-source", &file]);
    assert_eq!((unnamed.code, unnamed.problem()), (1, "key_source_unavailable".to_owned()));
    let rekeyed = domain.told(&["server", "rekey", "--key-source", &file, "--old-key-source", &source]);
    assert_eq!(
        (rekeyed["key_source"].as_str(), rekeyed["replaced"].as_str()),
        (Some(file.as_str()), Some(source.as_str()))
    );
    starts(&mut domain, &["--key-source", &file]);
}

#[test]
fn an_agent_seals_what_it_keeps_with_the_same_sources() {
    let secrets = open_directory();
    let passphrase = secret_file(secrets.path(), "passphrase", b"correct horse battery staple\n");
    let source = format!("passphrase:{}", path_text(&passphrase));
    let domain = Domain::start("agent-source.test");
    let mut agent = domain.agent_with("n1", &["--key-source", &source]);
    let _ = agent.process().terminate();
    agent.options.clear();
    agent.launch(None);
    assert_eq!(agent.process().ended().code(), Some(1));
    assert!(agent.process().log().contains("--key-source passphrase"), "{}", agent.process().log());
    agent.options = vec!["--key-source".to_owned(), source];
    agent.launch(None);
    agent.ready();
}

/// Whether a user may look into a process as a debugger would: the kernel asks the same of `/proc/PID/environ`.
fn may_look_into(uid: u32, pid: i32) -> bool {
    let output = program_as(uid, "cat").arg(format!("/proc/{pid}/environ")).output();
    output.expect("setpriv starts (apt-get install util-linux)").status.success()
}

#[test]
fn nobody_of_the_same_user_looks_into_the_memory_of_a_server() {
    const UID: u32 = 4412;
    let folder = open_directory();
    let home = folder.path().join("home");
    std::fs::create_dir(&home).expect("a directory");
    chown(&home, Some(UID), Some(UID)).expect("its owner");
    let data = home.join("server");
    let mut init = as_user(UID);
    init.args([
        "server",
        "init",
        "--trust-domain",
        "memory.test",
        "--no-recovery",
        "--data-dir",
        path_text(&data),
    ]);
    assert!(init.output().expect("setpriv starts").status.success());
    let mut command = as_user(UID);
    command.args([
        "server",
        "run",
        "--listen",
        "127.0.0.1:0",
        "--telemetry-listen",
        "off",
        "--data-dir",
        path_text(&data),
    ]);
    let server = Process::start(command, &folder.path().join("server.log"));
    until("the admin socket", || data.join("admin.sock").exists().then_some(()));

    let mut bystander = program_as(UID, "sleep");
    bystander.arg("60");
    let bystander = Process::start(bystander, &folder.path().join("sleep.log"));
    until("a process that the same user looks into", || may_look_into(UID, bystander.pid()).then_some(()));
    assert!(!may_look_into(UID, server.pid()), "the server is not dumpable");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let traced = program_as(UID, "strace").args(["-p", &server.pid().to_string()]).output();
    assert!(!traced.expect("setpriv starts").status.success(), "a tracer of the same user is refused");
}
