//! Real commands that fail often, and a clock of our own.

use std::collections::BTreeMap;
use std::path::Path;

use platform::reload_command::ReloadCommand;
use trust_domains::clock::ManualClock;
use trust_domains::{Serial, Timestamp};

use super::*;
use crate::reload::ReloadAction;
use crate::svids::testing::{bundle, entry, held, revision, with_empty_list};
use crate::svids::{IssuedSvid, RevocationLists, SvidCache};

/// Longer than anything here takes on a loaded machine.
const LONG: Duration = Duration::from_secs(300);

/// Waits of a millisecond or a few: a thousand rotations are to be over in seconds.
const QUICK: Policy = Policy {
    settle: Duration::from_millis(1),
    longest_settle: Duration::from_millis(2),
    first_retry: Duration::from_millis(1),
    longest_retry: Duration::from_millis(4),
    lists_interval: Duration::from_millis(10),
    patience: Duration::from_secs(3_600),
};

struct World {
    clock: ManualClock,
    deliveries: Deliveries,
    status: watch::Receiver<SinkStatus>,
    running: tokio::task::JoinHandle<()>,
    root: tempfile::TempDir,
}

fn shell(text: &str) -> ReloadHook {
    ReloadHook {
        action: ReloadAction::Command(ReloadCommand::parse(&[text.to_owned()], true).unwrap()),
        timeout: Duration::from_secs(60),
        probe: None,
    }
}

/// A set that was put in place now, with lists and without tokens.
fn set(view: &Arc<IdentityView>) -> Delivered<'_> {
    Delivered {
        view,
        is_new: true,
        has_tokens: false,
        tokens_changed: false,
    }
}

impl World {
    fn new(policy: Policy, hooks: impl FnOnce(&Path) -> Vec<ReloadHook>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp::from_unix(1_000_000));
        let cache = SvidCache::new(clock.shared());
        let spiffe_id = entry("web", 1).spiffe_id;
        let ticket = cache.register_sink(&spiffe_id);
        let status = watch::Sender::new(SinkStatus::new(spiffe_id.clone(), root.path().display().to_string()));
        let hooks = Hooks {
            hooks: hooks(root.path()),
            policy,
            spiffe_id,
            directory: root.path().to_owned(),
            owner: None,
            group: None,
            attestor: Arc::new(Attestor::new().unwrap()),
            counts: ReloadCounts::default(),
        };
        let receiver = status.subscribe();
        let (deliveries, reloader) = Reloader::new(hooks, ticket, clock.shared(), status);
        Self {
            clock,
            deliveries,
            status: receiver,
            running: tokio::spawn(reloader.run(CancellationToken::new())),
            root,
        }
    }

    /// Puts a set with another serial in place, and returns that.
    fn deliver(&mut self, number: u16) -> Serial {
        let [high, low] = number.to_be_bytes();
        let serial = Serial::from_parts([0; 4], [1, 0, 0, 0, 0, 0, 0, 0, 0, high, low]);
        let svid = held(&entry("web", 1), self.clock.now()).svid;
        let svid = IssuedSvid {
            entry_id: svid.entry_id.clone(),
            spiffe_id: svid.spiffe_id.clone(),
            hint: None,
            chain: svid.chain.clone(),
            key_pkcs8: svid.key_pkcs8.clone(),
            serial,
            issued_at: svid.issued_at,
            expires_at: svid.expires_at,
            next_renewal: svid.next_renewal,
            is_of_earlier_run: false,
        };
        let view = IdentityView {
            svids: vec![Arc::new(svid)],
            bundle: Arc::new(bundle()),
            federated: BTreeMap::new(),
            federated_crls: BTreeMap::new(),
            crls: Arc::default(),
            revision: revision(u64::from(number)),
        };
        std::fs::write(self.root.path().join("serial"), format!("{serial}\n")).unwrap();
        self.deliveries.delivered(&set(&Arc::new(view)), Some(revision(u64::from(number))));
        serial
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.root.path().join(name)).unwrap_or_default()
    }

    /// Lets time pass until the sink is as wanted.
    async fn until(&self, wanted: impl Fn(&SinkStatus) -> bool) {
        let passing = async {
            while !wanted(&self.status.borrow()) {
                self.clock.advance(Duration::from_millis(5));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LONG, passing).await.expect("it never comes");
    }

    async fn stop(self) {
        drop(self.deliveries);
        tokio::time::timeout(LONG, self.running).await.unwrap().unwrap();
    }
}

/// A program that reads its files when it is told to, and does not hear three times of ten. It starts no other, so that a thousand rotations are over soon.
const DEAF: &str = "cd $TROTH_SINK_DIRECTORY; read n < runs; n=$((n + 1)); echo $n > runs; [ $((n * 7 % 10)) -lt 3 ] && exit 1; read serial < serial; echo $serial > presented";

#[tokio::test]
async fn after_a_thousand_rotations_with_three_of_ten_runs_failing_the_newest_serial_is_presented() {
    let mut world = World::new(QUICK, |root| {
        std::fs::write(root.join("runs"), "0\n").unwrap();
        vec![shell(DEAF)]
    });
    for number in 1..=1_000 {
        let serial = world.deliver(number);
        world.until(|sink| sink.hooks[0].serial == Some(serial)).await;
        assert_eq!(world.read("presented").trim(), serial.to_string());
    }
    let runs: u32 = world.read("runs").trim().parse().unwrap();
    // Each of ten runs is one of seven that succeed or three that fail: a thousand successes take well over a thousand runs.
    assert!(runs > 1_400, "{runs}");
    world.stop().await;
}

#[tokio::test]
async fn a_thousand_changes_at_once_are_a_handful_of_reloads_and_the_last_is_presented() {
    let mut world = World::new(QUICK, |_| vec![shell("cd $TROTH_SINK_DIRECTORY; echo x >> runs; /bin/cat serial > presented")]);
    let mut newest = None;
    for number in 1..=1_000 {
        newest = Some(world.deliver(number));
    }
    world.until(|sink| sink.hooks[0].serial == newest).await;
    assert_eq!(world.read("presented").trim(), newest.unwrap().to_string());
    assert!(world.read("runs").lines().count() <= 10, "{}", world.read("runs").lines().count());
    world.stop().await;
}

#[tokio::test]
async fn a_hook_that_never_works_is_told_and_the_next_one_runs_all_the_same() {
    let policy = Policy {
        patience: Duration::from_millis(50),
        ..QUICK
    };
    let mut world = World::new(policy, |_| {
        vec![
            shell("exit 3"),
            shell("/bin/cat $TROTH_SINK_DIRECTORY/serial > $TROTH_SINK_DIRECTORY/presented"),
        ]
    });
    let serial = world.deliver(1);
    world.until(|sink| sink.hooks[0].given_up && sink.hooks[0].failures > 2).await;
    let hook = world.status.borrow().hooks[0].clone();
    assert!(hook.last_error.unwrap().contains("exit status: 3"));
    world.until(|sink| sink.hooks[1].serial == Some(serial)).await;
    assert_eq!(world.read("presented").trim(), serial.to_string());
    world.stop().await;
}

#[test]
fn the_list_of_another_ca_is_as_urgent_as_credentials_and_another_list_of_the_same_is_not() {
    let (sender, mut told) = mpsc::unbounded_channel();
    let mut deliveries = Deliveries { sender, last: None };
    let (whole, (_, one), (_, two)) = (Arc::new(bundle()), with_empty_list("td.example"), with_empty_list("td.example"));
    let lists = |set| Arc::new(RevocationLists::of(set));
    let view = |crls, of_partner| {
        Arc::new(IdentityView {
            svids: Vec::new(),
            bundle: Arc::clone(&whole),
            federated: BTreeMap::new(),
            federated_crls: BTreeMap::from([("partner.test".parse().unwrap(), of_partner)]),
            crls,
            revision: revision(1),
        })
    };
    let (own, partners) = (lists(&one), lists(&one));
    let mut change_by = |crls: &Arc<RevocationLists>, of_partner: &Arc<RevocationLists>| {
        deliveries.delivered(&set(&view(Arc::clone(crls), Arc::clone(of_partner))), None);
        match told.try_recv() {
            Ok((Done::Delivered { news, .. }, None)) => news.map(|(change, _)| change),
            _ => panic!("nothing was delivered"),
        }
    };
    assert_eq!(change_by(&Arc::default(), &partners), Some(Change::Credentials), "the first set");
    assert_eq!(change_by(&own, &partners), Some(Change::Credentials), "the first list");
    let newer = lists(&one);
    assert_eq!(change_by(&newer, &partners), Some(Change::Lists), "a newer list of the same CA");
    let other = lists(&two);
    assert_eq!(change_by(&other, &partners), Some(Change::Credentials), "another CA");
    assert_eq!(change_by(&other, &lists(&two)), Some(Change::Lists), "another CA of a partner");
    assert_eq!(change_by(&Arc::default(), &partners), Some(Change::Lists), "none any more");
}
