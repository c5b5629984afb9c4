//! Node aliases over a real server: what a node gets by a certificate's facts, and what it is told when they change.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SigningKey as _};
use trust_domains::problem::Code;
use trust_domains::wire::admin::{EntryDraft, EntryView};
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{AttestRequest, Evidence, NodeCredential, possession_message};
use trust_domains::x509::PopAlgorithm;

use super::world::{DEADLINE, Key, Node, Stream, World, code, draft, issue, refusal};
use crate::config::RawServerConfig;

/// The authority of the machines, and the file that names it to the server.
struct Machines {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Machines {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            folder,
        }
    }

    async fn world(&self) -> World {
        World::with(RawServerConfig {
            x509pop_ca: Some(self.folder.path().join("ca.pem").display().to_string()),
            x509pop_name: Some("{cn}".to_owned()),
            ..RawServerConfig::default()
        })
        .await
    }

    /// A machine's certificate, of so many names.
    fn machine(&self, name: &str, dns: &[&str]) -> Machine {
        let mut params = CertificateParams::new(dns.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::ExplicitNoCa;
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Machine { leaf, key }
    }
}

struct Machine {
    leaf: Vec<u8>,
    key: KeyPair,
}

impl Machine {
    async fn request(&self, connection: &platform::tls::Connection, key: &Key, signer: &KeyPair) -> AttestRequest {
        let message = possession_message(connection.exporter(), &key.spki(), &self.leaf);
        AttestRequest {
            evidence: Evidence::X509Pop {
                chain: vec![Base64(self.leaf.clone())],
                algorithm: PopAlgorithm::EcdsaP256Sha256,
                signature: Base64(signer.sign(&message).unwrap()),
            },
            public_key: Base64(key.spki()),
            proof: key.sign(&message),
        }
    }

    async fn join(&self, world: &World, key: Key) -> Result<Node, platform::client::CallError> {
        let connection = world.stranger(&world.token("other").await).await;
        let request = self.request(&connection, &key, &self.key).await;
        let credential: NodeCredential = connection.post("/v1/node/attest", &request, DEADLINE).await?;
        Ok(Node { key, credential })
    }
}

async fn alias(world: &World, path: &str, selector: &str) -> EntryView {
    let alias = EntryDraft {
        selectors: vec![selector.to_owned()],
        ..draft(path, "/troth/server")
    };
    world.create(vec![alias]).await.unwrap().entries.remove(0)
}

#[tokio::test]
async fn a_node_is_told_what_its_aliases_give_and_take_and_is_certified_for_exactly_that() {
    let machines = Machines::new();
    let world = machines.world().await;
    let (web, db) = (machines.machine("web", &["a.web.test"]), machines.machine("db", &["a.db.test"]));
    let web = web.join(&world, Key::new()).await.unwrap();
    let db = db.join(&world, Key::new()).await.unwrap();
    let (on_web, on_db) = (web.connect(&world).await, db.connect(&world).await);
    let (mut told_web, mut told_db) = (Stream::open(&on_web, None).await.unwrap(), Stream::open(&on_db, None).await.unwrap());
    told_web.snapshot().await;
    told_db.snapshot().await;

    let kind = alias(&world, "/nodes/web", "x509pop:san:dns:a.web.test").await;
    let entry = world.entry("/web", "/nodes/web").await;
    assert_eq!(told_web.delta().await.1, std::slice::from_ref(&entry.id));
    let key = Key::new();
    let certified = issue(&on_web, &[(entry.id.clone(), &key)]).await.unwrap();
    assert_eq!(refusal(&certified.results[0]), None);
    let foreign = issue(&on_db, &[(entry.id.clone(), &Key::new())]).await.unwrap();
    assert_eq!(refusal(&foreign.results[0]), Some(Code::EntryNotOfNode));
    let of_nodes = issue(&on_web, &[(kind.id.clone(), &Key::new())]).await.unwrap();
    assert_eq!(refusal(&of_nodes.results[0]), Some(Code::EntryNotOfNode), "an alias's ID is never certified");

    // A second alias of the same ID lets the other node in; without the first one the first node is out.
    let second = alias(&world, "/nodes/web", "x509pop:san:dns:a.db.test").await;
    assert_eq!(told_db.delta().await.1, std::slice::from_ref(&entry.id));
    let () = world
        .admin
        .delete(&format!("/v1/admin/entries/{}", kind.id))
        .await
        .map(|_: serde_json::Value| ())
        .unwrap();
    assert_eq!(told_web.delta().await.2, std::slice::from_ref(&entry.id));
    assert_eq!(
        refusal(&issue(&on_web, &[(entry.id.clone(), &Key::new())]).await.unwrap().results[0]),
        Some(Code::EntryNotOfNode)
    );

    // What is stored is what a restart finds.
    let world = world.restarted_with(RawServerConfig::default()).await;
    let on_db = db.connect(&world).await;
    assert_eq!(Stream::open(&on_db, None).await.unwrap().snapshot().await.1, [entry.id]);
    let _ = second;
}

#[tokio::test]
async fn a_certificate_is_worth_nothing_without_its_key_and_takes_over_only_who_is_away() {
    let machines = Machines::new();
    let world = machines.world().await;
    let machine = machines.machine("web", &[]);
    let connection = world.stranger(&world.token("other").await).await;
    let key = Key::new();
    let stolen = machine.request(&connection, &key, &KeyPair::generate().unwrap()).await;
    assert_eq!(
        code(connection.post::<NodeCredential>("/v1/node/attest", &stolen, DEADLINE).await),
        Code::AttestationRefused
    );
    let good = machine.request(&connection, &key, &machine.key).await;
    let _: NodeCredential = connection.post("/v1/node/attest", &good, DEADLINE).await.unwrap();
    let again: NodeCredential = connection.post("/v1/node/attest", &good, DEADLINE).await.unwrap();
    let node = Node { key, credential: again };
    let elsewhere = world.stranger(&world.token("other").await).await;
    assert_eq!(
        code(elsewhere.post::<NodeCredential>("/v1/node/attest", &good, DEADLINE).await),
        Code::AttestationRefused,
        "a proof is for one connection"
    );

    let line = node.connect(&world).await;
    let mut stream = Stream::open(&line, None).await.unwrap();
    stream.snapshot().await;
    assert_eq!(code(machine.join(&world, Key::new()).await.map(|_| ())), Code::NodeConnected);
    drop((stream, line));
    let taken = super::world::until(async || machine.join(&world, Key::new()).await.ok()).await;
    world.clock.advance(Duration::from_secs(1));
    let late = node.connect(&world).await;
    assert_eq!(
        code(Stream::open(&late, None).await.map(|_| ())),
        Code::NodeUnknown,
        "the machine before is no thief"
    );
    Stream::open(&taken.connect(&world).await, None).await.unwrap();

    // A join token's node is not a certificate's, whatever its name is.
    let _ = world.node("db").await;
    assert_eq!(
        code(machines.machine("db", &[]).join(&world, Key::new()).await.map(|_| ())),
        Code::AttestationRefused
    );
}
