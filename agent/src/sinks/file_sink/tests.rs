//! The sink against the cache: deliveries, withdrawals, failures that people mend.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use platform::file_set::{KeyMode, Layout};
use trust_domains::Timestamp;
use trust_domains::clock::{Clock as _, ManualClock};

use trust_domains::plan::reloading::DEFAULT_LISTS_INTERVAL;

use super::*;
use crate::jwt_svids::Audience;
use crate::jwt_svids::testing::{TOKEN_LIFE, issue_forever};
use crate::sinks::config::{SinkContents, SinkToken};
use crate::svids::Update;
use crate::svids::testing::{bundle, bundle_of, delta, entry, issue_all, snapshot};
use crate::sync::Link;

fn config(directory: PathBuf, on_withdraw: OnWithdraw) -> FileSinkConfig {
    FileSinkConfig {
        spiffe_id: entry("web", 1).spiffe_id,
        directory,
        layout: Layout::default(),
        owner: None,
        group: None,
        key_mode: KeyMode::default(),
        contents: SinkContents::default(),
        on_withdraw,
        hooks: Vec::new(),
        crl_reload_interval: DEFAULT_LISTS_INTERVAL,
    }
}

struct World {
    clock: ManualClock,
    cache: SvidCache,
    tokens: JwtCache,
    _link: watch::Sender<Link>,
    _root: tempfile::TempDir,
    directory: PathBuf,
    stopping: CancellationToken,
    running: Option<tokio::task::JoinHandle<()>>,
    status: watch::Receiver<SinkStatus>,
}

impl World {
    /// A sink for the identity of the entry `web`, running, before anything is known.
    fn new(on_withdraw: OnWithdraw) -> Self {
        Self::with(on_withdraw, |_| {})
    }

    /// The same, told more.
    fn with(on_withdraw: OnWithdraw, tell: impl FnOnce(&mut FileSinkConfig)) -> Self {
        let clock = ManualClock::new(Timestamp::from_unix(1_000_000));
        let cache = SvidCache::new(Arc::new(clock.clone()));
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("sink");
        let (link, linked) = watch::channel(Link::Open { since: clock.now().wall });
        let tokens = JwtCache::new(Arc::new(clock.clone()), linked);
        let mut config = config(directory.clone(), on_withdraw);
        tell(&mut config);
        let sink = FileSink::new(config);
        let (status, stopping) = (sink.status(), CancellationToken::new());
        let around = SinkSurroundings {
            cache: cache.clone(),
            tokens: tokens.clone(),
            clock: clock.shared(),
            attestor: Arc::new(Attestor::new().unwrap()),
            counts: ReloadCounts::default(),
        };
        let running = tokio::spawn(sink.run(around, stopping.clone()));
        Self {
            clock,
            cache,
            tokens,
            _link: link,
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
    let sink = FileSink::new(config("/sink".into(), OnWithdraw::Remove));
    let before = Wanted::AsItIs(None);
    assert!(sink.wanted(Err(Unserved::Starting), &before).is_none());
    let nothing_valid = |entry_gone| Unserved::NothingValid {
        reason: "the server is away".to_owned(),
        entry_gone,
    };
    assert!(matches!(sink.wanted(Err(nothing_valid(false)), &before), Some(Wanted::AsItIs(Some(_)))));
    assert!(matches!(sink.wanted(Err(nothing_valid(true)), &before), Some(Wanted::Nothing(_))));
    let Some(Wanted::Nothing(reason)) = sink.wanted(Err(Unserved::NotEntitled), &before) else {
        panic!("files without an entry")
    };
    assert!(reason.starts_with("no entry of this node gives spiffe://"), "{reason}");
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

fn with_a_token(config: &mut FileSinkConfig) {
    config.contents.tokens = vec![SinkToken {
        name: "vault".parse().unwrap(),
        audience: Audience::of(vec!["vault.example".to_owned()]).unwrap(),
    }];
}

#[tokio::test(start_paused = true)]
async fn a_token_is_part_of_the_set_and_replaced_before_it_ends() {
    let mut world = World::with(OnWithdraw::Remove, with_a_token);
    let issuing = tokio::spawn(issue_forever(world.tokens.clone(), Arc::new(world.clock.clone())));
    world.cache.apply(snapshot(1, vec![entry("web", 1)]));
    world.issue();
    world.status_where(|status| status.serial.is_some() && status.last_error.is_none()).await;
    let first = world.read("jwt/vault.token").expect("the token came with the certificate");
    let key = world.directory.join("jwt/vault.token").metadata().unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    let written = world.status.borrow().written_at;
    world.clock.advance(TOKEN_LIFE / 2 + Duration::from_secs(1));
    world.status_where(|status| status.written_at > written).await;
    let second = world.read("jwt/vault.token").unwrap();
    assert_ne!(first, second);
    assert!(world.read("svid.pem").is_some());
    issuing.abort();
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_had_holds_up_nothing_and_one_that_ended_is_taken_away() {
    let mut world = World::with(OnWithdraw::Remove, with_a_token);
    let issuing = tokio::spawn(issue_forever(world.tokens.clone(), Arc::new(world.clock.clone())));
    world.cache.apply(snapshot(1, vec![entry("web", 1)]));
    world.issue();
    world.status_where(|status| status.serial.is_some() && status.last_error.is_none()).await;
    assert!(world.read("jwt/vault.token").is_some());

    // The server issues nothing any more; the certificate is good for longer than the token.
    issuing.abort();
    let _ended = issuing.await;
    world.clock.advance(TOKEN_LIFE + Duration::from_secs(1));
    let told = world
        .status_where(|status| status.last_error.as_deref().is_some_and(|error| error.contains("there is no token vault")))
        .await;
    assert_eq!(world.read("jwt/vault.token"), None, "no token past its end stays in place");
    assert!(told.serial.is_some() && world.read("svid.pem").is_some());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_mode_that_somebody_changed_is_set_right_without_a_rotation() {
    let mut world = World::new(OnWithdraw::Remove);
    world.cache.apply(snapshot(1, vec![entry("web", 1)]));
    world.issue();
    world.status_where(|status| status.serial.is_some()).await;
    let key = world.directory.join("svid_key.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let is_private = || key.metadata().unwrap().permissions().mode() & 0o777 == 0o600;
    tokio::time::timeout(LOOK_AFTER * 3, async {
        while !is_private() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("the mode of the key is set again");
    world.stop().await;
}

#[tokio::test]
async fn a_trust_domain_without_a_bundle_here_is_told_and_trusted_by_nothing() {
    let mut world = World::with(OnWithdraw::Remove, |config| {
        config.contents.trust_domain = Some("partner.test".parse().unwrap());
    });
    world.cache.apply(snapshot(1, vec![entry("web", 1)]));
    world.issue();
    let status = world.status_where(|status| status.serial.is_some()).await;
    assert!(status.last_error.unwrap().contains("--federates-with partner.test"));
    assert!(world.read("svid.pem").is_some() && world.read("bundle.pem").is_none());
    world.stop().await;
}
