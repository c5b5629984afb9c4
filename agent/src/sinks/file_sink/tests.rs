//! The sink against the cache: deliveries, withdrawals, failures that people mend.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use trust_domains::Timestamp;
use trust_domains::clock::{Clock as _, ManualClock};

use super::*;
use crate::svids::Update;
use crate::svids::testing::{bundle, bundle_of, delta, entry, issue_all, snapshot};

struct World {
    clock: ManualClock,
    cache: SvidCache,
    _root: tempfile::TempDir,
    directory: PathBuf,
    stopping: CancellationToken,
    running: Option<tokio::task::JoinHandle<()>>,
    status: watch::Receiver<SinkStatus>,
}

fn surroundings(cache: &SvidCache, clock: &ManualClock) -> SinkSurroundings {
    SinkSurroundings {
        cache: cache.clone(),
        clock: clock.shared(),
        attestor: Arc::new(Attestor::new().unwrap()),
        counts: ReloadCounts::default(),
    }
}

impl World {
    /// A sink for the identity of the entry `web`, running, before anything is known.
    fn new(on_withdraw: OnWithdraw) -> Self {
        let clock = ManualClock::new(Timestamp::from_unix(1_000_000));
        let cache = SvidCache::new(Arc::new(clock.clone()));
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("sink");
        let spiffe_id = entry("web", 1).spiffe_id;
        let config = FileSinkConfig {
            spiffe_id,
            directory: directory.clone(),
            owner: None,
            group: None,
            key_mode: KeyMode::default(),
            on_withdraw,
            hooks: Vec::new(),
            crl_reload_interval: Duration::from_secs(60),
        };
        let sink = FileSink::new(config);
        let (status, stopping) = (sink.status(), CancellationToken::new());
        let running = tokio::spawn(sink.run(surroundings(&cache, &clock), stopping.clone()));
        Self {
            clock,
            cache,
            _root: root,
            directory,
            stopping,
            running: Some(running),
            status,
        }
    }

    fn issue(&self) {
        issue_all(&self.cache, self.clock.now());
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.directory.join(name)).ok()
    }

    async fn status_where(&mut self, condition: impl FnMut(&SinkStatus) -> bool) -> SinkStatus {
        self.status.wait_for(condition).await.unwrap().clone()
    }

    async fn stop(mut self) {
        self.stopping.cancel();
        self.running.take().unwrap().await.unwrap();
    }
}

#[tokio::test]
async fn files_are_removed_when_the_node_is_taken_out_even_if_the_agent_ends_at_once() {
    let mut world = World::new(OnWithdraw::Remove);
    world.cache.apply(snapshot(1, vec![entry("web", 1)]));
    world.issue();
    let _ = world.status_where(|status| status.serial.is_some()).await;
    let directory = world.directory.clone();
    world.cache.withdraw("the server has banned this node");
    world.stop().await;
    assert!(!directory.join("svid.pem").exists(), "the files are still there");
}

#[tokio::test]
async fn the_chain_its_key_and_the_bundle_are_delivered_as_pem() {
    let mut world = World::new(OnWithdraw::Remove);
    world.cache.apply(snapshot(1, vec![entry("web", 1), entry("other", 1)]));
    world.issue();
    let status = world.status_where(|status| status.serial.is_some()).await;
    assert_eq!((status.last_error, status.written_at), (None, Some(world.clock.now().wall)));
    let chain = pem::parse_many(world.read("svid.pem").unwrap()).unwrap();
    assert_eq!(
        chain.iter().map(|block| (block.tag(), block.contents())).collect::<Vec<_>>(),
        [("CERTIFICATE", &b"leaf"[..]), ("CERTIFICATE", b"issuer")]
    );
    let key = pem::parse(world.read("svid_key.pem").unwrap()).unwrap();
    assert_eq!((key.tag(), key.contents()), ("PRIVATE KEY", &b"key"[..]));
    assert_eq!(world.read("bundle.pem").unwrap(), bundle().to_pem());
    world.stop().await;
}

#[tokio::test]
async fn a_deleted_entry_empties_the_directory_or_leaves_it_as_configured() {
    for (on_withdraw, kept) in [(OnWithdraw::Remove, false), (OnWithdraw::Keep, true)] {
        let mut world = World::new(on_withdraw);
        world.cache.apply(snapshot(1, vec![entry("web", 1)]));
        world.issue();
        world.status_where(|status| status.serial.is_some()).await;
        world.cache.apply(delta(2, vec![], &["web"]));
        // The commit is acknowledged when the sink has done its part.
        world
            .cache
            .acknowledgeable()
            .wait_for(|revision| revision.is_some_and(|revision| revision.counter == 2))
            .await
            .unwrap();
        assert_eq!(world.read("svid.pem").is_some(), kept, "{on_withdraw}");
        assert_eq!(std::fs::read_dir(&world.directory).unwrap().count() > 0, kept, "{on_withdraw}");
        world.stop().await;
    }
}

#[test]
fn files_stay_while_the_agent_is_starting_or_its_server_is_away() {
    let spiffe_id = entry("web", 1).spiffe_id;
    let config = FileSinkConfig {
        spiffe_id,
        directory: "/sink".into(),
        owner: None,
        group: None,
        key_mode: KeyMode::default(),
        on_withdraw: OnWithdraw::Remove,
    };
    let sink = FileSink::new(config);
    assert!(sink.wanted(Err(Unserved::Starting)).is_none());
    let nothing_valid = |entry_gone| Unserved::NothingValid {
        reason: "the server is away".to_owned(),
        entry_gone,
    };
    assert!(matches!(sink.wanted(Err(nothing_valid(false))), Some(Wanted::AsItIs(Some(_)))));
    assert!(matches!(sink.wanted(Err(nothing_valid(true))), Some(Wanted::Nothing)));
    assert!(matches!(sink.wanted(Err(Unserved::NotEntitled)), Some(Wanted::Nothing)));
}

#[tokio::test(start_paused = true)]
async fn a_failure_shows_in_the_status_and_is_mended_without_a_restart() {
    let mut world = World::new(OnWithdraw::Remove);
    let parent = world.directory.parent().unwrap().to_owned();
    let set_mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    set_mode(&parent, 0o777);
    world.cache.apply(snapshot(1, vec![entry("web", 1)]));
    world.issue();
    let status = world.status_where(|status| status.last_error.is_some()).await;
    assert!(status.last_error.unwrap().contains("can be written by others"));
    assert_eq!((status.serial, world.read("svid.pem")), (None, None));
    set_mode(&parent, 0o700);
    let status = world.status_where(|status| status.serial.is_some()).await;
    assert_eq!(status.last_error, None);
    assert!(world.read("svid.pem").is_some());
    world.stop().await;
}

#[test]
fn the_text_forms_of_on_withdraw_round_trip() {
    for value in [OnWithdraw::Keep, OnWithdraw::Remove] {
        assert_eq!(value.to_string().parse(), Ok(value));
    }
    assert!("delete".parse::<OnWithdraw>().is_err());
}

#[tokio::test]
async fn each_partner_has_a_file_of_its_own_until_it_is_withdrawn() {
    let mut world = World::new(OnWithdraw::Remove);
    let (partner, second) = (bundle_of("partner.test"), bundle_of("second.test"));
    let federating = trust_domains::wire::node::NodeEntry {
        federates_with: vec!["partner.test".parse().unwrap(), "second.test".parse().unwrap()],
        ..entry("web", 1)
    };
    world.cache.apply(Update {
        federated: Some(vec![partner.clone(), second.clone()].into()),
        ..snapshot(1, vec![federating])
    });
    world.issue();
    let first = world.status_where(|status| status.serial.is_some()).await;
    assert_eq!(world.read("federated/partner.test.pem"), Some(partner.to_pem()));
    assert_eq!(world.read("federated/second.test.pem"), Some(second.to_pem()));
    assert_eq!(world.read("bundle.pem"), Some(bundle().to_pem()), "never pooled");

    world.clock.advance(Duration::from_secs(1));
    world.cache.apply(Update {
        federated: Some(vec![second.clone()].into()),
        ..delta(2, vec![], &[])
    });
    world.status_where(|status| status.written_at > first.written_at).await;
    assert_eq!(world.read("federated/partner.test.pem"), None);
    assert_eq!(world.read("federated/second.test.pem"), Some(second.to_pem()));
    world.stop().await;
}
