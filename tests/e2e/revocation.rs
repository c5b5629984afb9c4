//! Revoked certificates in front of verifiers and servers that are not ours, with the files and secrets that an agent delivers.

mod envoy;
pub(crate) mod gate;
mod hostile;
pub(crate) mod nginx;
mod orders;
mod over_limit;
mod partner;
mod postgresql;
mod verifiers;

use std::path::{Path, PathBuf};

use tests::domain::{Agent, Domain, path_text};
use tests::wait::until;
use trust_domains::x509::X509Svid;

/// The name of the trust domain in the pages of `docs/integrations`.
const TRUST_DOMAIN: &str = "prod.example.org";

const WEB_UID: u32 = 5_001;
const CLIENT_UID: u32 = 5_002;

/// A trust domain with a service and a client on one node, both delivered as files.
pub(crate) struct World {
    pub(crate) domain: Domain,
    agent: Agent,
}

impl World {
    /// Starts one; the files of the service are this user's. `options` are those of the server.
    pub(crate) fn start(owner: &str, options: &[&str]) -> Self {
        let domain = Domain::start_with(TRUST_DOMAIN, options);
        let sink = |name: &str, owner: &str| {
            let directory = domain.folder().join(name);
            format!(
                "[[sink]]\nspiffe_id = \"spiffe://{TRUST_DOMAIN}/{name}\"\ndirectory = \"{}\"\nowner = \"{owner}\"\ngroup = \"{owner}\"\n",
                directory.display()
            )
        };
        let config = domain.folder().join("agent.toml");
        std::fs::write(&config, sink("web", owner) + &sink("client", "root")).expect("the agent's configuration");
        let agent = domain.agent_with("n1", &["--config", path_text(&config)]);
        for (path, uid) in [("/web", WEB_UID), ("/client", CLIENT_UID)] {
            let selector = format!("unix:uid:{uid}");
            let _ = domain.told(&["entry", "create", "--spiffe-id", path, "--selector", &selector, "--wait"]);
        }
        Self { domain, agent }
    }

    /// Returns the directory of the service's files, or the client's.
    pub(crate) fn sink(&self, name: &str) -> PathBuf {
        self.domain.folder().join(name)
    }

    /// Copies what the client has now, as a thief would.
    fn copy(&self, name: &str) -> Copied {
        let folder = self.domain.folder().join(name);
        std::fs::create_dir(&folder).expect("a directory");
        // One generation: files of two never fit.
        let from = std::fs::canonicalize(self.sink("client").join("..data")).expect("the generation");
        for file in ["svid.pem", "svid_key.pem", "bundle.pem"] {
            std::fs::copy(from.join(file), folder.join(file)).expect("a copy");
        }
        Copied { folder }
    }

    /// Copies what the client has once it is another certificate than this.
    fn copy_after(&self, before: &Copied, name: &str) -> Copied {
        let serial = before.serial();
        let current = self.sink("client").join("svid.pem");
        until("another certificate of the client", || (serial_of(&current)? != serial).then_some(()));
        self.copy(name)
    }

    /// Revokes one certificate and waits until every node delivers the lists.
    fn revoke(&self, copied: &Copied) {
        let revoked = self
            .domain
            .told(&["svid", "revoke", "--serial", &copied.serial(), "--because", "stolen", "--wait"]);
        assert_eq!(revoked["certificates"], 1, "{revoked}");
    }

    /// Puts another issuing CA in place of the one that signs. Both are alive then.
    fn replace_issuing_ca(&self) {
        let _ = self
            .domain
            .told(&["authority", "replace", "--kind", "x509-issuing", "--because", "drill", "--yes"]);
    }

    /// Lets the client have another certificate.
    fn reissue(&self, life: &str) {
        let _ = self.domain.told(&["entry", "update", "/client", "--x509-ttl", life, "--wait"]);
    }

    /// Takes the server away, and starts the agent again without it.
    fn lose_server(&mut self) {
        self.domain.server().kill_9();
        let _ = self.agent.process().terminate();
        self.agent.launch(None);
        until("the sinks of the agent that started again", || {
            let status = self.agent.operator(&["agent", "status"]);
            let status = (status.code == 0).then(|| status.json())?;
            let sinks = status["sinks"].as_array()?;
            (sinks.len() == 2 && sinks.iter().all(|sink| sink["serial"].is_string())).then_some(())
        });
    }
}

/// A copy of somebody's files: whoever has them is that somebody, until they end or are revoked.
pub(crate) struct Copied {
    folder: PathBuf,
}

impl Copied {
    fn chain(&self) -> PathBuf {
        self.folder.join("svid.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("svid_key.pem")
    }

    fn bundle(&self) -> PathBuf {
        self.folder.join("bundle.pem")
    }

    fn serial(&self) -> String {
        serial_of(&self.chain()).expect("a certificate")
    }
}

/// Returns the serial of the first certificate of a file.
fn serial_of(file: &Path) -> Option<String> {
    let svid = X509Svid::from_pem(&std::fs::read(file).ok()?).ok()?;
    Some(svid.leaf().serial().to_string())
}

/// Returns which issuing CA a serial names: five octets of it.
fn issuer_of(copied: &Copied) -> String {
    copied.serial().chars().take(10).collect()
}

#[test]
fn a_trust_domain_that_revoked_nothing_delivers_no_lists_and_each_channel_has_them_after_the_first() {
    let world = World::start("root", &[]);
    assert!(!world.sink("web").join("crl.pem").exists());
    let folder = world.domain.folder().join("fetched");
    std::fs::create_dir(&folder).expect("a directory");
    nix::unistd::chown(&folder, Some(CLIENT_UID.into()), None).expect("its owner");
    let fetched = || {
        let output = tests::workload::as_user(CLIENT_UID)
            .args([
                "--output",
                "json",
                "svid",
                "fetch",
                "x509",
                "--socket",
                path_text(&world.agent.socket),
                "--write",
                path_text(&folder),
            ])
            .output()
            .expect("it starts");
        tests::command::Run::of(&output).exits(0).json()
    };
    assert_eq!(fetched()["crls"], 0);
    assert!(!folder.join("crl.pem").exists());
    let mut watch = tests::workload::Watch::open(CLIENT_UID, &world.agent.socket);
    let before = watch.next();
    let stolen = world.copy("stolen");
    assert_eq!(before["svids"][0]["serial"], stolen.serial());
    world.revoke(&stolen);
    // The open stream: lists for root and issuing CA, then, or with them, another certificate.
    let after = watch.until(|update| update["crls"] == 2 && update["svids"][0]["serial"] != before["svids"][0]["serial"]);
    assert_ne!(after["svids"][0]["serial"], stolen.serial());
    assert_eq!(fetched()["crls"], 2);
    for place in [folder, world.sink("web"), world.sink("client")] {
        let lists = std::fs::read_to_string(place.join("crl.pem")).expect("lists");
        assert_eq!(lists.matches("BEGIN X509 CRL").count(), 2, "{}", place.display());
    }
}
