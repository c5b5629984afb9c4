//! Lists of a CA in miniature through the cache: complete or not, older, forgotten, and with a serial of this node.

use std::time::Duration;

use conformance::covers;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType,
};
use time::OffsetDateTime;
use trust_domains::clock::{Clock as _, ManualClock};
use trust_domains::plan::rotation::{HeldCredential, Jitter, RotationPolicy};
use trust_domains::{SelectorSet, Serial};
use zeroize::Zeroizing;

use super::*;
use crate::svids::state::{Outcome, Removed, Update};
use crate::svids::testing::{TTL, entry};
use crate::svids::{IssuedSvid, Subscription};

const NOW: i64 = 1_800_000_000;
const CA_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// A CA that signs lists.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    public: CrlIssuer,
}

impl Ca {
    fn root(name: &str) -> Self {
        let (params, key) = (ca_params(name), KeyPair::generate().unwrap());
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self::new(params, key, der)
    }

    fn issuing(&self, name: &str) -> Self {
        let (mut params, key) = (ca_params(name), KeyPair::generate().unwrap());
        params.use_authority_key_identifier_extension = true;
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Self::new(params, key, der)
    }

    fn new(params: CertificateParams, key: KeyPair, der: Vec<u8>) -> Self {
        Self {
            issuer: Issuer::new(params, key),
            public: CrlIssuer::parse(der).unwrap(),
        }
    }

    fn list(&self, number: u64, serials: &[Serial]) -> (CrlIssuer, Crl) {
        let mut serials = serials.to_vec();
        serials.sort_by_key(|serial| serial.as_bytes().to_vec());
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: serial.as_bytes().to_vec().into(),
            revocation_time: at(NOW),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: at(NOW),
            next_update: at(NOW + 86_400),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let der = params.signed_by(&self.issuer).unwrap().der().to_vec();
        (self.public.clone(), Crl::parse(der).unwrap())
    }

    fn leaf(&self, serial: Serial) -> Bytes {
        let mut params = CertificateParams::default();
        params.serial_number = Some(serial.as_bytes().to_vec().into());
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap();
        Bytes::copy_from_slice(certificate.der())
    }
}

fn at(unix: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix).unwrap()
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![SanType::URI("spiffe://td.example".try_into().unwrap())];
    params.not_before = at(NOW - 60);
    params.not_after = at(NOW) + CA_LIFE;
    params
}

fn serial(number: u8) -> Serial {
    Serial::from_parts([1, 2, 3, 4], [number; 11])
}

/// One root, one issuing CA, and a node with one entry.
struct World {
    root: Ca,
    /// Its list never changes.
    root_list: (CrlIssuer, Crl),
    issuing: Ca,
    clock: ManualClock,
    cache: SvidCache,
    issued: u8,
}

impl World {
    fn new() -> Self {
        let root = Ca::root("root");
        let clock = ManualClock::new(Timestamp::from_unix(NOW));
        Self {
            issuing: root.issuing("issuing"),
            root_list: root.list(1, &[]),
            root,
            cache: SvidCache::new(clock.shared()),
            clock,
            issued: 0,
        }
    }

    fn bundle(&self, roots: &[&Ca]) -> TrustBundle {
        roots.iter().fold(TrustBundle::new("td.example".parse().unwrap()), |bundle, root| {
            bundle.with_x509_authority(root.public.der()).unwrap()
        })
    }

    fn set(&self, number: u64, serials: &[Serial]) -> CrlSet {
        CrlSet::new([self.root_list.clone(), self.issuing.list(number, serials)]).unwrap()
    }

    fn snapshot(&self, epoch: u64, counter: u64, crls: CrlSet) {
        self.cache.apply(Update {
            revision: Revision { epoch, counter },
            upserted: vec![entry("web", 1)],
            removed: Removed::Others,
            bundle: Some(self.bundle(&[&self.root])),
            federated: Some(Vec::new().into()),
            federated_crls: Vec::new(),
            tainted: Some(Vec::new()),
            crls: Some(crls),
        });
    }

    fn delta(&self, counter: u64, bundle: Option<TrustBundle>, crls: Option<CrlSet>) {
        self.cache.apply(Update {
            revision: Revision { epoch: 1, counter },
            upserted: Vec::new(),
            removed: Removed::These(Vec::new()),
            bundle,
            federated: None,
            federated_crls: Vec::new(),
            tainted: None,
            crls,
        });
    }

    /// Issues what is due, each with the next serial. Returns how many.
    fn issue(&mut self) -> usize {
        let due = self.cache.due(&RotationPolicy::default()).issue;
        let now = self.clock.now();
        let count = due.len();
        let outcomes = due.into_iter().map(|entry| {
            self.issued += 1;
            let serial = serial(self.issued);
            let svid = IssuedSvid {
                entry_id: entry.id.clone(),
                spiffe_id: entry.spiffe_id.clone(),
                hint: None,
                chain: vec![self.issuing.leaf(serial), Bytes::copy_from_slice(self.issuing.public.der())],
                key_pkcs8: Zeroizing::new(Vec::new()),
                serial,
                issued_at: now.wall,
                expires_at: now.wall + TTL,
                next_renewal: now.wall + TTL / 2,
                is_of_earlier_run: false,
            };
            let held = Held {
                svid: Arc::new(svid),
                entry_revision: entry.revision,
                times: HeldCredential::issued(now, TTL, now.wall + TTL, Jitter::NONE, &RotationPolicy::default()),
            };
            (entry, Outcome::Issued(held))
        });
        let outcomes = outcomes.collect();
        self.cache.settle(outcomes, Jitter::NONE);
        count
    }

    fn subscribe(&self) -> Subscription {
        let proven: SelectorSet = ["unix:uid:1000".parse().unwrap()].into_iter().collect();
        self.cache.subscribe(proven)
    }

    /// Returns the numbers of the lists; which CA comes first is chance.
    fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<_> = self.cache.lists().borrow().lists().map(|(_, crl)| crl.number()).collect();
        numbers.sort_unstable();
        numbers
    }
}

#[covers("WAPI-05")]
#[tokio::test]
async fn open_subscriptions_get_new_lists_at_once_and_keep_their_svids() {
    let mut world = World::new();
    world.snapshot(1, 1, CrlSet::default());
    world.issue();
    let mut subscription = world.subscribe();
    let first = subscription.next().await.unwrap();
    assert!(first.crls.is_empty());
    world.delta(2, None, Some(world.set(2, &[serial(99)])));
    let second = subscription.next().await.unwrap();
    assert!(second.same_svids(&first));
    assert_eq!(second.crls.ders().len(), 2);
    assert_eq!(second.crls.to_pem().matches("-----BEGIN X509 CRL-----").count(), 2);
    assert_eq!(*world.cache.acknowledgeable().borrow(), Some(Revision { epoch: 1, counter: 2 }));
    world.delta(3, None, Some(CrlSet::default()));
    assert!(subscription.next().await.unwrap().crls.is_empty(), "withdrawn");
}

#[tokio::test]
async fn an_own_svid_on_a_list_is_replaced_at_once_and_its_commit_waits_for_that() {
    let mut world = World::new();
    world.snapshot(1, 1, CrlSet::default());
    world.issue();
    let mut subscription = world.subscribe();
    assert_eq!(subscription.next().await.unwrap().svids[0].serial, serial(1));
    assert_eq!(world.issue(), 0);
    world.delta(2, None, Some(world.set(2, &[serial(1)])));
    assert_eq!(
        subscription.next().await.unwrap().svids[0].serial,
        serial(1),
        "it is shown until there is another"
    );
    assert_eq!(*world.cache.acknowledgeable().borrow(), Some(Revision { epoch: 1, counter: 1 }));
    assert_eq!(world.issue(), 1);
    assert_eq!(subscription.next().await.unwrap().svids[0].serial, serial(2));
    assert_eq!(*world.cache.acknowledgeable().borrow(), Some(Revision { epoch: 1, counter: 2 }));
    assert_eq!(world.issue(), 0);
}

#[tokio::test]
async fn one_that_was_revoked_on_its_way_is_replaced_too() {
    let mut world = World::new();
    world.snapshot(1, 1, world.set(2, &[serial(1)]));
    let mut subscription = world.subscribe();
    assert_eq!((world.issue(), world.issue(), world.issue()), (1, 1, 0));
    assert_eq!(subscription.next().await.unwrap().svids[0].serial, serial(2));
}

#[test]
fn the_same_serial_on_the_list_of_another_ca_is_another_certificate() {
    let mut world = World::new();
    world.snapshot(1, 1, CrlSet::default());
    world.issue();
    let set = CrlSet::new([world.root.list(2, &[serial(1)]), world.issuing.list(1, &[])]).unwrap();
    world.delta(2, None, Some(set));
    assert_eq!(world.issue(), 0);
}

#[tokio::test]
async fn a_set_without_a_list_of_a_new_root_changes_nothing_until_it_is_complete() {
    let mut world = World::new();
    world.snapshot(1, 1, world.set(1, &[]));
    world.issue();
    let mut subscription = world.subscribe();
    let before = subscription.next().await.unwrap();
    let next = Ca::root("next");
    world.delta(2, Some(world.bundle(&[&world.root, &next])), None);
    let between = subscription.next().await.unwrap();
    assert_eq!((between.bundle.x509_authorities().len(), &between.crls), (2, &before.crls));
    let complete = [world.root.list(1, &[]), world.issuing.list(1, &[]), next.list(1, &[])];
    world.delta(3, None, Some(CrlSet::new(complete).unwrap()));
    assert_eq!(subscription.next().await.unwrap().crls.ders().len(), 3);
}

#[tokio::test]
async fn lists_of_cas_outside_the_bundle_are_not_delivered() {
    let mut world = World::new();
    let foreign = Ca::root("foreign");
    let set = CrlSet::new([world.root.list(1, &[]), world.issuing.list(1, &[]), foreign.list(1, &[])]).unwrap();
    world.snapshot(1, 1, set);
    world.issue();
    assert_eq!(world.subscribe().next().await.unwrap().crls.ders().len(), 2);
}

#[test]
fn a_list_with_a_lower_number_never_replaces_one_that_is_held_and_is_handed_back_once() {
    for epoch in [1, 2] {
        let world = World::new();
        let held = world.set(7, &[serial(1)]);
        world.snapshot(1, 1, held.clone());
        assert!(world.cache.lists_to_hand_back().is_none());
        world.snapshot(epoch, 2, world.set(6, &[]));
        assert!(world.numbers().contains(&7), "{:?}", world.numbers());
        assert_eq!(world.cache.resume_after(), None, "a change of the server's lists does not fit those held");
        let handed = world.cache.lists_to_hand_back().unwrap();
        let (handed, issuing) = (CrlSet::read(&handed).unwrap(), world.issuing.public.id());
        assert_eq!((handed.len(), handed.list_of(issuing)), (2, held.list_of(issuing)));
        assert!(world.cache.lists_to_hand_back().is_none());
        // The server has learned, and goes on from there.
        world.snapshot(epoch, 3, world.set(8, &[serial(1)]));
        assert!(world.cache.lists_to_hand_back().is_none());
        assert!(world.cache.resume_after().is_some() && world.numbers().contains(&8));
    }
}

#[tokio::test]
async fn a_restored_server_that_has_forgotten_all_lists_revokes_nothing_less() {
    let mut world = World::new();
    world.snapshot(1, 9, world.set(7, &[serial(1)]));
    for _ in 0..2 {
        world.snapshot(2, 3, CrlSet::default());
        world.issue();
        assert_eq!(world.subscribe().next().await.unwrap().crls.ders().len(), 2);
        assert!(world.cache.lists_to_hand_back().is_some());
    }
    // Until the CAs have ended.
    world.clock.advance(CA_LIFE);
    world.snapshot(2, 4, CrlSet::default());
    assert!(world.numbers().is_empty() && world.cache.lists_to_hand_back().is_none());
}

#[test]
fn a_restored_server_that_goes_on_above_every_number_is_told_what_its_lists_forgot() {
    let world = World::new();
    world.snapshot(1, 1, world.set(7, &[serial(1), serial(2)]));
    world.snapshot(2, 2, world.set(9, &[serial(1)]));
    assert_eq!(world.numbers(), [1, 7], "nothing is revoked less meanwhile");
    let handed = CrlSet::read(&world.cache.lists_to_hand_back().unwrap()).unwrap();
    assert!(handed.revokes(world.issuing.public.id(), &serial(2)));
    assert!(world.cache.lists_to_hand_back().is_none(), "once");
    world.snapshot(2, 3, world.set(10, &[serial(1), serial(2), serial(3)]));
    assert_eq!(world.numbers(), [1, 10]);
    world.snapshot(2, 4, world.set(11, &[serial(3)]));
    assert_eq!(world.numbers(), [1, 11], "a server that remembers may drop what has ended");
    assert!(world.cache.lists_to_hand_back().is_none());
}

#[test]
fn the_server_of_the_same_epoch_may_withdraw_its_lists() {
    let world = World::new();
    world.snapshot(1, 1, world.set(7, &[]));
    world.snapshot(1, 2, CrlSet::default());
    assert!(world.numbers().is_empty() && world.cache.lists_to_hand_back().is_none());
}
