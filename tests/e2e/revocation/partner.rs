//! A revoked certificate of a partner in front of verifiers that are not ours: its lists come from the partner's own server, and stay with its bundle.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conformance::covers;
use tests::domain::{Agent, Domain, path_text};
use tests::ports::free_port;
use tests::wait::until;

use super::envoy::WebEnvoy;
use super::gate::{Gate as _, admitted, refused};
use super::{CLIENT_UID, Copied, TRUST_DOMAIN, World, serial_of};

const PARTNER: &str = "two.test";

/// The partner: a client of its own, delivered as files, and an endpoint for its bundle and its lists.
struct Partner {
    domain: Domain,
    _agent: Agent,
    endpoint: String,
}

impl Partner {
    fn start() -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let domain = Domain::start_with(PARTNER, &["--bundle-listen", &listen, "--crl", "always"]);
        let sink = format!("/client={}", path_text(&domain.folder().join("client")));
        let agent = domain.agent_with("n1", &["--sink", &sink]);
        let selector = format!("unix:uid:{CLIENT_UID}");
        let _ = domain.told(&["entry", "create", "--spiffe-id", "/client", "--selector", &selector, "--wait"]);
        Self {
            domain,
            _agent: agent,
            endpoint: format!("https://{listen}/"),
        }
    }

    /// Copies what its client has now, once that is another certificate than this.
    fn copy_after(&self, before: Option<&Copied>, name: &str) -> Copied {
        let current = self.domain.folder().join("client").join("svid.pem");
        let before = before.map(Copied::serial);
        until("a certificate of the partner's client", || {
            serial_of(&current).filter(|serial| Some(serial) != before.as_ref())
        });
        let folder = self.domain.folder().join(name);
        std::fs::create_dir(&folder).expect("a directory");
        let from = std::fs::canonicalize(self.domain.folder().join("client").join("..data")).expect("the generation");
        for file in ["svid.pem", "svid_key.pem", "bundle.pem"] {
            std::fs::copy(from.join(file), folder.join(file)).expect("a copy");
        }
        Copied { folder }
    }

    fn revoke(&self, copied: &Copied) {
        let serial = copied.serial();
        let _ = self.domain.told(&["svid", "revoke", "--serial", &serial, "--because", "stolen", "--wait"]);
    }
}

/// Sets up the relationship with the partner, its lists among it, and has the service federate.
fn federate(world: &World, partner: &Partner) {
    let bundle = world.domain.folder().join("bootstrap.json");
    let shown = partner.domain.operator(&["bundle", "show", "--format", "spiffe"]).exits(0).stdout;
    std::fs::write(&bundle, shown).expect("the partner's bundle");
    let crl_url = format!("{}crls.pem", partner.endpoint);
    let endpoint_id = format!("spiffe://{PARTNER}/troth/server");
    let _ = world.domain.told(&[
        "federation",
        "create",
        "--trust-domain",
        PARTNER,
        "--url",
        &partner.endpoint,
        "--profile",
        "https_spiffe",
        "--endpoint-id",
        &endpoint_id,
        "--bootstrap-bundle",
        path_text(&bundle),
        "--crl-url",
        &crl_url,
    ]);
    let _ = world.domain.told(&["entry", "update", "/web", "--federates-with", PARTNER, "--wait"]);
    let lists = files(world).1;
    until("the partner's lists", || lists.exists().then_some(()));
}

/// Returns the files of the partner's roots and lists.
fn files(world: &World) -> (PathBuf, PathBuf) {
    let folder = world.sink("web").join("federated");
    (folder.join(format!("{PARTNER}.pem")), folder.join(format!("{PARTNER}.crl")))
}

/// Verifies with OpenSSL, roots and lists of one trust domain; returns what it says when it refuses.
fn openssl(client: &Copied, roots: &Path, lists: &Path) -> Result<(), String> {
    let chain = client.chain();
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-check_ss_sig", "-crl_check_all", "-purpose", "sslclient"])
        .args(["-CAfile", path_text(roots), "-CRLfile", path_text(lists), "-untrusted", path_text(&chain)])
        .arg(&chain)
        .stdin(Stdio::null())
        .output()
        .expect("openssl starts; install it: tests/run e2e");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Fetches from the partner now, and returns the relationship.
fn refreshed(world: &World) -> serde_json::Value {
    world.domain.told(&["federation", "refresh", PARTNER])
}

#[covers("FED-06")]
#[test]
fn a_partners_revoked_certificate_is_refused_by_envoy_and_openssl_and_stays_refused_without_the_partner() {
    let mut partner = Partner::start();
    let mut world = World::start("root", &["--federation-allow-loopback"]);
    federate(&world, &partner);
    let expected = format!("spiffe://{TRUST_DOMAIN}/client");
    let mut envoy = WebEnvoy::start(&world, &[("name: ROOTCA", "name: ALL"), (&expected, &format!("spiffe://{PARTNER}/client"))]);
    let (roots, lists) = files(&world);

    let stolen = partner.copy_after(None, "stolen");
    admitted(&envoy, &stolen);
    assert_eq!(openssl(&stolen, &roots, &lists), Ok(()));
    partner.revoke(&stolen);
    let shown = refreshed(&world);
    assert_eq!(
        (shown["crls"]["revoked"].as_u64(), &shown["crls"]["last_error"]),
        (Some(1), &serde_json::Value::Null),
        "{shown}"
    );
    refused(&envoy, &stolen);
    until("the list in the file", || openssl(&stolen, &roots, &lists).err());
    assert!(openssl(&stolen, &roots, &lists).is_err_and(|said| said.contains("certificate revoked")));
    let fresh = partner.copy_after(Some(&stolen), "fresh");
    admitted(&envoy, &fresh);
    assert_eq!(openssl(&fresh, &roots, &lists), Ok(()));
    // The lists are the partner's alone: those of the own trust domain have none of them.
    assert!(!world.sink("web").join("crl.pem").exists());

    // Without the partner, and with a server and an agent that start again, nothing is un-revoked.
    partner.domain.server().kill_9();
    let _ = world.domain.server().terminate();
    world.domain.start_server();
    let _ = world.agent.process().terminate();
    world.agent.launch(None);
    world.agent.ready();
    envoy.restart();
    admitted(&envoy, &fresh);
    refused(&envoy, &stolen);
    let shown = world.domain.operator(&["federation", "refresh", PARTNER]).exits(1).json();
    assert!(shown["crls"]["last_error"]["code"].is_string() && shown["crls"]["delivered"] == true, "{shown}");
}
