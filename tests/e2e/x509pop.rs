//! Machines that join by a certificate of their own, and entries for all of a kind of machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::domain::{Agent, Domain, path_text};
use tests::wait::until;
use tests::workload::{fetch_as, ids};

/// An organisation's authority for its machines, made by OpenSSL.
struct Machines {
    folder: PathBuf,
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("openssl");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Machines {
    fn new(folder: &Path) -> Self {
        let machines = Self { folder: folder.to_owned() };
        let (key, certificate) = (machines.file("ca.key"), machines.file("ca.pem"));
        let ca = [
            "-subj",
            "/CN=Machines",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ];
        let new = [
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ];
        openssl(&[&new[..], &ca].concat());
        machines
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// A machine's certificate with a key of this kind.
    fn certify(&self, name: &str, kind: &[&str]) {
        let (key, request, certificate) = (
            self.file(&format!("{name}.key")),
            self.file(&format!("{name}.csr")),
            self.file(&format!("{name}.pem")),
        );
        let subject = format!("/CN={name}");
        openssl(&[&["req", "-new", "-nodes", "-subj", &subject, "-keyout", &key, "-out", &request], kind].concat());
        let extensions = self.file("extensions");
        std::fs::write(
            &extensions,
            "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n",
        )
        .expect("a file");
        let (ca, ca_key) = (self.file("ca.pem"), self.file("ca.key"));
        let sign = [
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-days",
            "1",
            "-out",
            &certificate,
            "-extfile",
            &extensions,
        ];
        openssl(&sign);
    }

    /// An agent that will join by a machine's certificate.
    fn agent(&self, domain: &Domain, name: &str, place: &str) -> Agent {
        let mut agent = Agent::new(domain.folder(), place);
        let bundle = self.file("bundle.pem");
        let text = tests::command::run(&["bundle", "show", "--format", "pem", "--data-dir", path_text(&domain.server_data())])
            .exits(0)
            .stdout;
        std::fs::write(&bundle, text).expect("a file");
        let (certificate, key) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        let options = [
            "--attest",
            "x509pop",
            "--attest-cert",
            &certificate,
            "--attest-key",
            &key,
            "--server",
            &domain.address,
            "--trust-domain",
            &domain.name,
            "--trust-bundle",
            &bundle,
        ];
        agent.options = options.iter().map(|&option| option.to_owned()).collect();
        agent
    }
}

fn recorded(domain: &Domain, action: &str) -> usize {
    let exported = domain.operator(&["audit", "export"]).exits(0);
    let events = exported.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["action"] == action).count()
}

#[test]
fn machines_with_certificates_get_the_entries_of_their_kind_and_an_imaged_one_is_the_same_again() {
    let mut domain = Domain::init("pop.test");
    let machines = Machines::new(domain.folder());
    domain.options = ["--x509pop-ca", &machines.file("ca.pem"), "--x509pop-name", "m-{cn}"]
        .map(str::to_owned)
        .to_vec();
    domain.start_server();
    machines.certify("web-1", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"]);
    machines.certify("web-2", &["-newkey", "rsa:2048"]);
    let mut agents = ["web-1", "web-2"].map(|name| machines.agent(&domain, name, name));
    for agent in &mut agents {
        agent.launch(None);
        agent.ready();
    }
    let node = domain.told(&["node", "show", "m-web-1"]);
    assert_eq!(node["spiffe_id"], "spiffe://pop.test/troth/agent/x509pop/m-web-1");
    let facts: Vec<_> = node["selectors"].as_array().expect("selectors").iter().filter_map(Value::as_str).collect();
    let authority = facts
        .iter()
        .find(|fact| fact.starts_with("x509pop:ca:fingerprint:"))
        .expect("the authority's fingerprint");
    assert!(facts.contains(&"x509pop:subject:cn:web-1"), "{facts:?}");

    // One alias for every machine of that authority; an entry under it is on both.
    let alias = domain.told(&["entry", "create", "--node", "--spiffe-id", "/nodes/web", "--selector", authority]);
    assert_eq!(alias["parent_id"], "spiffe://pop.test/troth/server");
    let _ = domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        "/web",
        "--parent",
        "/nodes/web",
        "--selector",
        "unix:uid:4701",
        "--wait",
    ]);
    for agent in &agents {
        assert_eq!(ids(&fetch_as(4701, &agent.socket)), ["spiffe://pop.test/web"]);
    }

    // A machine that was imaged anew has nothing but its certificate.
    let [first, second] = &mut agents;
    let _ = first.process().terminate();
    std::fs::remove_dir_all(&first.data).expect("the agent's directory");
    until("the node to be away", || {
        (domain.told(&["node", "show", "m-web-1"])["connected"] == false).then_some(())
    });
    first.launch(None);
    first.ready();
    assert_eq!(domain.told(&["node", "list"])["items"].as_array().expect("items").len(), 2);
    until("its entries", || {
        (ids(&fetch_as(4701, &first.socket)) == ["spiffe://pop.test/web"]).then_some(())
    });
    assert_eq!(recorded(&domain, "node_taken_over"), 1);

    // While it is there, nobody else with its certificate is let in.
    let mut twin = machines.agent(&domain, "web-1", "twin");
    twin.launch(None);
    until("the refusal", || (recorded(&domain, "attest_refused") > 0).then_some(()));
    assert!(
        twin.process().log().contains("node_connected") || twin.process().log().contains("connected with another key"),
        "{}",
        twin.process().log()
    );
    assert_eq!(ids(&fetch_as(4701, &first.socket)), ["spiffe://pop.test/web"]);

    // Without the alias both lose what came with it.
    let _ = domain.told(&["entry", "delete", "/nodes/web"]);
    for agent in [first, second] {
        until("the entry to go", || (fetch_as(4701, &agent.socket).code != 0).then_some(()));
    }
}

#[test]
fn a_certificate_of_another_authority_admits_nobody_and_an_alias_is_no_workload() {
    let mut domain = Domain::init("nopop.test");
    let machines = Machines::new(domain.folder());
    let other = domain.folder().join("other");
    std::fs::create_dir(&other).expect("a directory");
    let others = Machines::new(&other);
    domain.options = ["--x509pop-ca", &machines.file("ca.pem")].map(str::to_owned).to_vec();
    domain.start_server();
    others.certify("web-1", &["-newkey", "rsa:2048"]);
    let mut agent = others.agent(&domain, "web-1", "web-1");
    agent.launch(None);
    assert_eq!(agent.process().ended().code(), Some(1));
    assert!(agent.process().log().contains("attestation_refused"), "{}", agent.process().log());
    assert_eq!(domain.told(&["node", "list"])["items"], serde_json::json!([]));

    let alias = [
        "entry",
        "create",
        "--node",
        "--spiffe-id",
        "/nodes/web",
        "--selector",
        "x509pop:subject:cn:web-1",
    ];
    let _ = domain.told(&alias);
    let workload = [
        "entry",
        "create",
        "--spiffe-id",
        "/nodes/web",
        "--parent",
        "/nodes/web",
        "--selector",
        "unix:uid:1",
    ];
    assert_eq!(domain.operator(&workload).exits(2).problem(), "invalid_request");
    let unknown = ["entry", "create", "--spiffe-id", "/web", "--parent", "/nodes/db", "--selector", "unix:uid:1"];
    assert_eq!(domain.operator(&unknown).exits(2).problem(), "invalid_request");
    let wrong = ["entry", "create", "--node", "--spiffe-id", "/nodes/x", "--selector", "unix:uid:1"];
    assert_eq!(domain.operator(&wrong).exits(2).problem(), "invalid_selector");
}
