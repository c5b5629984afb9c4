//! kill -9 of the agent while it writes the files of a sink, again and again: a reader always finds a whole set.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use platform::clock::SystemClock;
use tests::admin::admin;
use tests::domain::{Domain, path_text};
use tests::wait::until;
use trust_domains::public_key::PublicKey;
use trust_domains::wire::admin::{EntryChange, EntryView};
use trust_domains::x509::{X509Svid, verify_svid};
use trust_domains::{TrustBundle, TrustDomain};

/// How often the agent is killed.
const KILLS: u64 = 200;

/// The names that a reader needs.
const FILES: [&str; 3] = ["svid.pem", "svid_key.pem", "bundle.pem"];

/// A set of files as one reader saw it.
struct Set {
    generation: PathBuf,
    files: [Vec<u8>; 3],
}

/// Reads the set as documented: follows `..data` once. A set that is replaced twice while it is read is read again.
fn read_set(sink: &Path) -> Option<Set> {
    loop {
        let generation = match std::fs::read_link(sink.join("..data")) {
            Ok(generation) => generation,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => panic!("..data: {error}"),
        };
        let read = FILES.map(|name| std::fs::read(sink.join(&generation).join(name)));
        let moved_on = || std::fs::read_link(sink.join("..data")).is_ok_and(|now| now != generation);
        match read {
            [Ok(svid), Ok(key), Ok(bundle)] => {
                return Some(Set {
                    generation,
                    files: [svid, key, bundle],
                });
            }
            _ if moved_on() => {}
            incomplete => panic!(
                "{} is no whole set: {:?}",
                generation.display(),
                incomplete.map(|file| file.map(|octets| octets.len()))
            ),
        }
    }
}

fn bundle_of(trust_domain: &TrustDomain, text: &[u8]) -> TrustBundle {
    let certificates = pem::parse_many(text).expect("bundle.pem is PEM");
    let add = |bundle: TrustBundle, certificate: &pem::Pem| bundle.with_x509_authority(certificate.contents()).expect("a root");
    certificates.iter().fold(TrustBundle::new(trust_domain.clone()), add)
}

/// Checks that key, certificate and bundle belong together.
fn assert_whole(set: &Set, trust_domain: &TrustDomain) {
    let at = set.generation.display();
    let [svid, key, bundle] = &set.files;
    let svid = X509Svid::from_pem(svid).unwrap_or_else(|error| panic!("{at}: {error}"));
    let peer = verify_svid(svid.chain(), &bundle_of(trust_domain, bundle), SystemClock::shared().now().wall).unwrap_or_else(|error| panic!("{at}: {error}"));
    let key = pem::parse(key).unwrap_or_else(|error| panic!("{at}: {error}"));
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.contents()).unwrap_or_else(|error| panic!("{at}: {error}"));
    let public = PublicKey::from_sec1(key.public_key().as_ref()).expect("a point");
    assert_eq!(*peer.key_hash(), public.hash(), "{at}: key and certificate are of different sets");
}

/// Returns the names in the sink that only the agent's own bookkeeping has.
fn bookkeeping(sink: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(sink)
        .expect("the sink")
        .map(|entry| entry.expect("its entry").file_name().into_string().expect("a name"));
    names.filter(|name| name.starts_with("..") && name != "..data").collect()
}

/// A thread that does something over and over until it is dropped; its panic is that of the test.
struct Meanwhile {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Meanwhile {
    fn start(mut work: impl FnMut() + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                work();
            }
        });
        Self { over, thread: Some(thread) }
    }

    fn check(&self) {
        assert!(
            !self.thread.as_ref().is_some_and(std::thread::JoinHandle::is_finished),
            "what goes on meanwhile has failed"
        );
    }

    fn end(mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().expect("a thread").join().expect("it went on to the end");
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn two_hundred_kills_while_files_are_written_leave_a_whole_set_each_time() {
    let domain = Domain::start("sink.test");
    let trust_domain: TrustDomain = domain.name.parse().expect("a name");
    let sink = domain.folder().join("svid");
    let mut agent = domain.agent_with("n1", &["--sink", &format!("spiffe://sink.test/web={}", path_text(&sink))]);
    let entry = domain.told(&[
        "entry",
        "create",
        "--spiffe-id",
        "/web",
        "--selector",
        "unix:uid:4501",
        "--class",
        "fast",
        "--wait",
    ]);

    // The entry's TTL changes all the time, and each change is a new SVID and a new set of files.
    let client = admin(&domain, Duration::from_secs(30));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let path = format!("/v1/admin/entries/{}", entry["id"].as_str().expect("an id"));
    let mut ttl = 0;
    let changing = Meanwhile::start(move || {
        ttl = (ttl + 1) % 60;
        let change = EntryChange {
            x509_ttl_s: Some(120 + ttl),
            ..EntryChange::default()
        };
        let _: EntryView = runtime.block_on(client.patch(&path, &change)).expect("the entry is changed");
    });
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let reading = {
        let (sink, trust_domain, seen) = (sink.clone(), trust_domain.clone(), Arc::clone(&seen));
        Meanwhile::start(move || {
            let set = read_set(&sink).expect("a set is there from the first on");
            assert_whole(&set, &trust_domain);
            seen.lock().expect("nobody panicked with it").insert(set.generation);
            std::thread::sleep(Duration::from_millis(2));
        })
    };

    let mut interrupted = 0;
    for round in 0..KILLS {
        let before = read_set(&sink).expect("a set").generation;
        until("the next set of files", || {
            reading.check();
            changing.check();
            (read_set(&sink)?.generation != before).then_some(())
        });
        // A different moment of its writing each time.
        std::thread::sleep(Duration::from_micros((round * 173) % 7_000));
        agent.process().kill_9();
        let set = read_set(&sink).expect("a set");
        assert_whole(&set, &trust_domain);
        let unfinished = |name: &String| name.as_str() == "..data-next" || sink.join(name).join("bundle.pem").metadata().is_err();
        interrupted += u64::from(bookkeeping(&sink).iter().any(unfinished));
        agent.launch(None);
    }
    assert!(interrupted > 0, "no kill met a set that was being written");
    changing.end();
    agent.ready();
    reading.end();
    assert!(seen.lock().expect("nobody panicked with it").len() as u64 > KILLS / 2, "the reader followed");

    // One more set, with nothing going on: the current and the one before, which a reader may have open, are all that is left.
    let _ = domain.told(&["entry", "update", entry["id"].as_str().expect("an id"), "--x509-ttl", "100s", "--wait"]);
    let left = bookkeeping(&sink);
    assert!(
        left.len() <= 2 && left.iter().all(|name| name.starts_with("..generation-")),
        "left behind: {left:?}"
    );
    assert_whole(&read_set(&sink).expect("a set"), &trust_domain);
}
