//! Cross-certificates over a real store and journal, by upstream authorities in files and by those that are elsewhere.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use conformance::covers;
use platform::telemetry::HealthHandle;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    SignatureAlgorithm,
};
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;
use trust_domains::clock::Clock as _;
use trust_domains::plan::upstream::{AskedUse, CrossUse};
use trust_domains::problem::{Code, Coded as _};
use trust_domains::public_key::PublicKey;
use trust_domains::wire::audit::AuditEvent;
use trust_domains::wire::upstreams::{CrossSource, CrossView};
use trust_domains::x509::verify_svid;
use trust_domains::{Timestamp, TrustBundle};

use super::{Following, TakeCross, UpstreamFiles};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use crate::authority::{KeyId, Subject, shape};
use crate::config::UpstreamConfig;
use crate::decisions::Cause;
use crate::issuance::tests::world::{World, new_key, request, trust_domain};
use crate::store::Prefix;

const DAY: Duration = Duration::from_secs(86_400);

/// An upstream authority that knows nothing of SPIFFE.
struct Corporate {
    issuer: rcgen::Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Corporate {
    fn new(now: Timestamp) -> Self {
        Self::with(now, &PKCS_ECDSA_P256_SHA256, |_| {})
    }

    fn with(now: Timestamp, algorithm: &'static SignatureAlgorithm, change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::of_key(now, KeyPair::generate_for(algorithm).unwrap(), change)
    }

    fn of_key(now: Timestamp, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, "Example Corp");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (now - DAY).to_offset_date_time();
        params.not_after = (now + DAY * 200).to_offset_date_time();
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: rcgen::Issuer::new(params, key),
            certificate,
        }
    }

    fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Does as an offline CA does with a request: takes the key from it, and returns its own certificate behind the new one.
    fn sign(&self, csr_pem: &str, now: Timestamp) -> String {
        let request = CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes()).unwrap();
        let (_, read) = X509CertificationRequest::from_der(&request).unwrap();
        let key = PublicKey::from_spki(read.certification_request_info.subject_pki.raw).unwrap();
        let mut params = shape::root(&trust_domain(), KeyId::of(&key), now - DAY, now + DAY * 100).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.use_authority_key_identifier_extension = true;
        format!("{}{}", params.signed_by(&Subject(&key), &self.issuer).unwrap().pem(), self.certificate.pem())
    }
}

/// A server with the files of an upstream authority.
struct Certified {
    world: World,
    folder: tempfile::TempDir,
    following: Following,
    health: HealthHandle,
}

impl Certified {
    async fn by(corporate: &Corporate, world: World, used: AskedUse) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = UpstreamFiles {
            certificate: folder.path().join("upstream.pem"),
            key: folder.path().join("upstream.key"),
        };
        write(&files.certificate, &corporate.certificate.pem());
        write(&files.key, &corporate.key_pem());
        let health = HealthHandle::starting();
        let following = Following::start(std::sync::Arc::clone(&world.authorities), Some(UpstreamConfig { files, used }), health.clone()).await;
        Self {
            world,
            folder,
            following,
            health,
        }
    }

    fn replace(&self, corporate: &Corporate) {
        write(&self.folder.path().join("upstream.pem"), &corporate.certificate.pem());
        write(&self.folder.path().join("upstream.key"), &corporate.key_pem());
    }

    fn the_only_one(&self) -> CrossView {
        let [one] = &self.world.authorities.upstreams()[..] else {
            panic!("{:?}", self.world.authorities.upstreams())
        };
        one.clone()
    }

    fn problems(&self) -> Vec<String> {
        self.health.snapshot().problems
    }
}

fn write(path: &PathBuf, text: &str) {
    std::fs::write(path, text).unwrap();
}

fn used(is_sent: bool, is_dedicated: bool) -> AskedUse {
    AskedUse {
        is_sent: Some(is_sent),
        is_dedicated: Some(is_dedicated),
    }
}

fn operator() -> Cause {
    Cause {
        actor: "local:uid:0".to_owned(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
    }
}

fn believing(root: &[u8]) -> TrustBundle {
    TrustBundle::new(trust_domain()).with_x509_authority(root).unwrap()
}

/// Issues a leaf, and returns its chain as an agent puts it together.
async fn chain(world: &World) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    let entry = world.entry(|_| {});
    let response = world.issue(vec![request(&entry, &new_key())]).await.unwrap();
    let [trust_domains::wire::node::IssueResult::Issued(leaf)] = &response.results[..] else {
        panic!("{:?}", response.results)
    };
    let above = [&leaf.leaf, &response.issuers[0]].into_iter().chain(&response.above);
    above.map(|der| der.0.clone().into()).collect()
}

#[covers("X509-16")]
#[tokio::test]
async fn who_trusts_the_upstream_authority_alone_believes_leaves_whose_chain_carries_the_cross_certificate() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519, &PKCS_RSA_SHA256] {
        let world = World::new().await;
        let corporate = Corporate::with(world.now(), algorithm, |_| {});
        let server = Certified::by(&corporate, world, used(true, false)).await;
        assert_eq!(server.problems(), [] as [String; 0]);
        let (chain, now) = (chain(&server.world).await, server.world.now());
        assert_eq!(chain.len(), 3);
        verify_svid(&chain, &believing(corporate.certificate.der()), now).unwrap();
        verify_svid(&chain, &believing(&server.world.root()), now).unwrap();
        verify_svid(&chain[..2], &believing(corporate.certificate.der()), now).unwrap_err();
        let bundle = server.world.authorities.bundle().borrow().clone();
        assert_eq!(bundle.x509_ders().count(), 1, "its root is nobody's business here");
    }
}

#[tokio::test]
async fn chains_and_bundle_stay_as_they_are_unless_it_is_asked_for() {
    let world = World::new().await;
    let corporate = Corporate::new(world.now());
    let server = Certified::by(&corporate, world, AskedUse::default()).await;
    let made = server.the_only_one();
    assert_eq!((made.sent, made.dedicated, made.source), (false, false, CrossSource::Files));
    assert_eq!(chain(&server.world).await.len(), 2);
    assert_eq!(server.world.authorities.bundle().borrow().x509_ders().count(), 1);
}

#[covers("BUN-03")]
#[tokio::test]
async fn the_root_of_a_dedicated_authority_comes_and_goes_with_a_greater_sequence() {
    let world = World::new().await;
    let corporate = Corporate::new(world.now());
    let seen = |world: &World| {
        let bundle = world.authorities.bundle().borrow().clone();
        (bundle.x509_ders().any(|der| der == corporate.certificate.der()), bundle.sequence())
    };
    let (_, first) = seen(&world);
    let server = Certified::by(&corporate, world, used(false, true)).await;
    let (is_there, second) = seen(&server.world);
    assert!(is_there && second > first);
    let Certified { world, folder, following, .. } = server;
    drop(following);
    let world = world.restarted().await;
    assert_eq!(seen(&world), (true, second), "nor does a restart change it");

    let server = Certified::by(&corporate, world, used(false, false)).await;
    let (is_there, third) = seen(&server.world);
    assert!(!is_there && third > second, "the configuration took it back");
    drop(folder);
}

#[tokio::test]
async fn a_new_certificate_of_the_authority_makes_a_new_cross_certificate_in_place_of_the_old() {
    let world = World::new().await;
    let now = world.now();
    let corporate = Corporate::new(now);
    let mut server = Certified::by(&corporate, world, used(true, false)).await;
    let first = server.the_only_one();
    server.following.look().await;
    assert_eq!(server.the_only_one(), first, "nothing changed, nothing is signed");

    let key = KeyPair::from_pem(&corporate.key_pem()).unwrap();
    let renewed = Corporate::of_key(now, key, |params| params.not_after = (now + DAY * 300).to_offset_date_time());
    server.replace(&renewed);
    server.following.look().await;
    let second = server.the_only_one();
    assert_eq!(second.id, first.id);
    assert_eq!(second.not_after, now + DAY * 300);
}

#[tokio::test]
async fn files_that_are_no_good_are_told_and_leave_everything_as_it_is() {
    let world = World::new().await;
    let now = world.now();
    let corporate = Corporate::new(now);
    let mut server = Certified::by(&corporate, world, used(true, false)).await;
    let made = server.the_only_one();
    let path = |name: &str| server.folder.path().join(name);
    let (certificate, key) = (path("upstream.pem"), path("upstream.key"));
    let other = Corporate::new(now);
    let bad = [
        ("the certificate of another key", other.certificate.pem(), corporate.key_pem(), "does not fit"),
        ("no key", other.certificate.pem(), "nothing".to_owned(), "no usable private key"),
        ("no certificate", "nothing".to_owned(), corporate.key_pem(), "no certificate in PEM"),
        (
            "a path length of 1",
            Corporate::with(now, &PKCS_ECDSA_P256_SHA256, |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)))
                .certificate
                .pem(),
            corporate.key_pem(),
            "path length",
        ),
    ];
    for (what, certificate_pem, key_pem, told) in bad {
        write(&certificate, &certificate_pem);
        write(&key, &key_pem);
        for _ in 0..3 {
            server.following.look().await;
        }
        let problems = server.problems();
        assert!(problems.len() == 1 && problems[0].contains(told), "{what}: {problems:?}");
        assert_eq!(server.the_only_one(), made, "{what}");
        assert_eq!(chain(&server.world).await.len(), 3, "{what}: chains go on");
        server.replace(&corporate);
        server.following.look().await;
        assert_eq!(server.problems(), [] as [String; 0], "{what}: put right");
    }
    std::fs::remove_file(&certificate).unwrap();
    server.following.look().await;
    assert_eq!(
        server.problems(),
        [] as [String; 0],
        "one look is no alarm: two files are not replaced at one moment"
    );
}

#[tokio::test]
async fn nothing_is_signed_that_the_journal_did_not_take_and_no_upstream_key_is_stored() {
    let world = World::new().await;
    let corporate = Corporate::new(world.now());
    world.tap.fails.store(true, Ordering::SeqCst);
    let mut server = Certified::by(&corporate, world, used(true, true)).await;
    assert_eq!(server.world.authorities.upstreams(), []);
    assert!(server.problems()[0].contains("cannot be recorded"), "{:?}", server.problems());
    server.world.tap.fails.store(false, Ordering::SeqCst);
    server.following.look().await;
    let made = server.the_only_one();
    let taken = server.world.tap.taken.lock().unwrap().clone();
    let recorded = |event: &AuditEvent| matches!(event, AuditEvent::Issued(issued) if issued.issuer == made.upstream_key_id.to_string());
    assert_eq!(taken.iter().filter(|event| recorded(event)).count(), 1);

    let items = server.world.store.snapshot(Prefix::UPSTREAMS).await.unwrap().items;
    let vault = server.world.vault();
    let opened: serde_json::Value = vault.records.open_item(&items[0]).unwrap();
    assert!(!String::from_utf8_lossy(&items[0].value).contains("Example Corp"), "it is sealed");
    let text = opened.to_string();
    let secret = corporate.key_pem();
    let line = secret.lines().nth(1).unwrap();
    assert!(!text.contains("private") && !text.contains(line));
}

#[tokio::test]
async fn a_request_is_carried_to_an_offline_authority_and_its_answer_taken() {
    let world = World::new().await;
    let now = world.now();
    let corporate = Corporate::new(now);
    let csr = world.authorities.csr(None, &operator()).await.unwrap();
    assert!(csr.subject.contains("Troth root"), "{}", csr.subject);
    let chain_pem = corporate.sign(&csr.csr_pem, now);
    let taken = TakeCross {
        root: None,
        chain_pem: &chain_pem,
        used: CrossUse {
            is_sent: true,
            is_dedicated: true,
        },
    };
    let taken = world.authorities.cross_sign(&taken, &operator()).await.unwrap();
    assert_eq!((taken.root, taken.source), (csr.root, CrossSource::Request));
    assert!(taken.upstream.contains("Example Corp"));
    let chain = chain(&world).await;
    verify_svid(&chain, &believing(corporate.certificate.der()), now).unwrap();
    assert_eq!(world.authorities.bundle().borrow().x509_ders().count(), 2);

    world.authorities.remove_upstream(taken.id.as_str(), &operator()).await.unwrap();
    assert_eq!(world.authorities.bundle().borrow().x509_ders().count(), 1);
    let again = world.authorities.remove_upstream(taken.id.as_str(), &operator()).await.unwrap_err();
    assert_eq!(again.code(), Code::UpstreamNotFound);
}

#[tokio::test]
async fn what_an_authority_returns_for_another_key_or_root_is_refused() {
    let (world, other) = (World::new().await, World::new().await);
    let now = world.now();
    let corporate = Corporate::new(now);
    let csr = other.authorities.csr(None, &operator()).await.unwrap();
    let for_other = corporate.sign(&csr.csr_pem, now);
    let unknown = "00".repeat(20);
    for (root, code) in [
        (None, Code::UpstreamRefused),
        (Some(unknown.as_str()), Code::AuthorityNotFound),
        (Some(csr.root.as_str()), Code::AuthorityNotFound),
    ] {
        let take = TakeCross {
            root,
            chain_pem: &for_other,
            used: CrossUse::default(),
        };
        assert_eq!(world.authorities.cross_sign(&take, &operator()).await.unwrap_err().code(), code);
    }
    let own = world.authorities.csr(None, &operator()).await.unwrap();
    let alone = corporate.sign(&own.csr_pem, now);
    let intermediate_only = format!("{}-----END CERTIFICATE-----\n", alone.split("-----END").next().unwrap());
    let take = TakeCross {
        root: None,
        chain_pem: &intermediate_only,
        used: CrossUse::default(),
    };
    let refused = world.authorities.cross_sign(&take, &operator()).await.unwrap_err();
    assert!(refused.hint().contains("cat cross.pem"), "{}", refused.hint());
    assert_eq!(world.authorities.upstreams(), []);
}

#[tokio::test]
async fn one_whose_files_are_configured_is_not_removed_by_hand() {
    let world = World::new().await;
    let corporate = Corporate::new(world.now());
    let server = Certified::by(&corporate, world, AskedUse::default()).await;
    let id = server.the_only_one().id;
    let refused = server.world.authorities.remove_upstream(id.as_str(), &operator()).await.unwrap_err();
    assert_eq!(refused.code(), Code::UpstreamInUse);
}

#[tokio::test]
async fn one_that_ended_is_sent_no_more_and_forgotten() {
    let world = World::new().await;
    let now = world.now();
    let corporate = Corporate::with(now, &PKCS_ECDSA_P256_SHA256, |params| params.not_after = (now + DAY * 5).to_offset_date_time());
    let mut server = Certified::by(&corporate, world, used(true, true)).await;
    assert!(server.problems()[0].contains("ends at"), "{:?}", server.problems());
    for _ in 0..6 {
        for _ in 0..6 {
            server.world.clock.advance(DAY / 6);
            server.world.authorities.look().await.unwrap();
        }
        server.following.look().await;
    }
    assert_eq!(chain(&server.world).await.len(), 2);
    assert_eq!(server.world.authorities.upstreams(), []);
    assert_eq!(server.world.authorities.bundle().borrow().x509_ders().count(), 1);
    assert!(server.world.clock.now().wall > now + DAY * 5);
}
