//! Readers that use what they read: ten thousand swaps, and two hundred writers that are killed while they write.
//!
//! Every set has a root, a certificate and a key of its own, all of one trust domain, so that any mix of two sets is a chain that does not verify or a key
//! that is not the certificate's.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustix::fs::{Mode, OFlags, open, openat};
use trust_domains::delivery::{Credentials, DomainTrust, FileSetSpec, Format, SetFile, compose};
use trust_domains::public_key::PublicKey;
use trust_domains::x509::{X509Svid, verify_svid};
use trust_domains::{SpiffeId, Timestamp, TrustBundle, TrustDomain};

use super::testing::{Sink, ownership};
use super::{Delivery, Directory, Layout, deliver, recover};

/// Tells this test binary to play a writer that is killed, in the directory named.
const WRITER: &str = "TROTH_TEST_SET_WRITER";

/// How many sets take turns: no two swaps in a row have anything in common, and making them is not what is measured.
const SETS: usize = 24;

/// A moment at which the certificates are valid.
const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

/// The files that belong together.
const FILES: [&str; 3] = ["bundle.pem", "svid.pem", "svid_key.pem"];

fn trust_domain() -> TrustDomain {
    "td.example".parse().unwrap()
}

/// Makes a root, a certificate under it and its key, as a sink would deliver them.
fn made() -> Vec<SetFile> {
    let (root_key, key) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let uri = |text: &str| rcgen::SanType::URI(text.try_into().unwrap());
    let mut root = rcgen::CertificateParams::default();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    root.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    root.subject_alt_names = vec![uri("spiffe://td.example")];
    let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
    let mut leaf = rcgen::CertificateParams::default();
    leaf.is_ca = rcgen::IsCa::ExplicitNoCa;
    leaf.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    leaf.subject_alt_names = vec![uri("spiffe://td.example/web")];
    let leaf = leaf.signed_by(&key, &rcgen::Issuer::new(root, root_key)).unwrap().der().to_vec();
    let spiffe_id: SpiffeId = "spiffe://td.example/web".parse().unwrap();
    let bundle = TrustBundle::new(trust_domain()).with_x509_authority(&root_der).unwrap();
    let credentials = Credentials {
        spiffe_id: &spiffe_id,
        chain: vec![&leaf],
        key: &key.serialize_der(),
        own: DomainTrust {
            bundle: &bundle,
            crls: Vec::new(),
        },
        federated: Vec::new(),
        tokens: BTreeMap::new(),
    };
    let spec = FileSetSpec {
        formats: vec![Format::Pem],
        ..FileSetSpec::default()
    };
    compose(&spec, &credentials, &mut |_| {}).unwrap()
}

static MADE: LazyLock<Vec<Vec<SetFile>>> = LazyLock::new(|| (0..SETS).map(|_| made()).collect());

fn put(directory: &Directory, layout: Layout, number: usize) {
    let delivered = deliver(directory, layout, &MADE[number % SETS], &ownership()).unwrap();
    assert_eq!(delivered, Delivery::Published);
}

/// Reads the set as the documentation tells readers of several files to; `None` when it was replaced twice meanwhile.
fn read_linked(path: &Path) -> Option<[Vec<u8>; 3]> {
    let current = open(path.join("..data"), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).ok()?;
    let read = |name| {
        let mut octets = Vec::new();
        let file = std::fs::File::from(openat(&current, name, OFlags::RDONLY, Mode::empty()).ok()?);
        (&file).read_to_end(&mut octets).ok().map(|_| octets)
    };
    let [bundle, svid, key] = FILES.map(read);
    Some([bundle?, svid?, key?])
}

/// Uses each file by itself: none is half, missing or none of its kind.
fn parsed([bundle, svid, key]: &[Vec<u8>; 3]) -> (TrustBundle, X509Svid, PublicKey) {
    let roots = pem_blocks(bundle);
    let bundle = roots
        .iter()
        .fold(TrustBundle::new(trust_domain()), |bundle, root| bundle.with_x509_authority(root).unwrap());
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pem_blocks(key)[0]).unwrap();
    (
        bundle,
        X509Svid::from_pem(svid).unwrap(),
        PublicKey::from_sec1(key.public_key().as_ref()).unwrap(),
    )
}

/// Uses them together: the key is the certificate's, and the chain verifies.
fn assert_whole(files: &[Vec<u8>; 3]) {
    let (bundle, svid, key) = parsed(files);
    let peer = verify_svid(svid.chain(), &bundle, NOW).unwrap();
    assert_eq!(*peer.key_hash(), key.hash(), "key and certificate are of different sets");
}

fn pem_blocks(text: &[u8]) -> Vec<Vec<u8>> {
    pem::parse_many(text).unwrap().into_iter().map(pem::Pem::into_contents).collect()
}

#[test]
fn ten_thousand_swaps_under_tight_readers_never_show_a_mix() {
    const SWAPS: usize = 10_000;
    let sink = Sink::new();
    let directory = Directory::open(&sink.path).unwrap();
    put(&directory, Layout::Linked, 0);
    let (done, read) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _reader in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let Some(files) = read_linked(&sink.path) else { continue };
                    assert_whole(&files);
                    read.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Readers that failed end; then so does this.
        let ended = std::panic::catch_unwind(|| (1..=SWAPS).for_each(|number| put(&directory, Layout::Linked, number)));
        done.store(true, Ordering::Relaxed);
        ended.unwrap();
    });
    assert!(read.load(Ordering::Relaxed) > 0, "the readers read nothing");
    assert_whole(&read_linked(&sink.path).unwrap());
}

#[test]
fn a_reader_of_single_files_never_sees_half_of_one_and_the_last_set_is_whole() {
    const SWAPS: usize = 1_000;
    let sink = Sink::new();
    let directory = Directory::open(&sink.path).unwrap();
    put(&directory, Layout::SingleFiles, 0);
    let read_all = || FILES.map(|name| std::fs::read(sink.path.join(name)).unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _each_is_whole = parsed(&read_all());
            }
        });
        let ended = std::panic::catch_unwind(|| (1..=SWAPS).for_each(|number| put(&directory, Layout::SingleFiles, number)));
        done.store(true, Ordering::Relaxed);
        ended.unwrap();
    });
    assert_whole(&read_all());
}

/// Plays the writer if it is told to, for as long as it lives.
fn write_until_killed(layout: Layout) {
    let Some(path) = std::env::var_os(WRITER) else { return };
    let directory = Directory::open(Path::new(&path)).unwrap();
    recover(&directory).unwrap();
    // From where the last writer was killed on it is another set each time.
    for number in std::process::id() as usize.. {
        deliver(&directory, layout, &MADE[number % SETS], &ownership()).unwrap();
    }
}

/// Kills a writer that often, at another moment each time, and looks at what it left.
fn killed_often(sink: &Sink, test: &str, kills: usize, look: impl Fn()) {
    for kill in 0..kills {
        let marker = || std::fs::read(sink.path.join("svid.pem")).ok();
        let before = marker();
        let mut writer = Command::new(std::env::current_exe().unwrap());
        writer.args(["--exact", &format!("file_set::real_readers::{test}")]).env(WRITER, &sink.path);
        let mut writer = writer.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while marker() == before {
            assert!(writer.try_wait().unwrap().is_none(), "the writer ended by itself");
            std::thread::yield_now();
        }
        // Where in its work it is killed is left to chance.
        for _ in 0..(kill % 40) * 25 {
            std::thread::yield_now();
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        look();
    }
}

/// Only one of the tests that kill at a time: they share two cores with others.
static KILLING: Mutex<()> = Mutex::new(());

#[test]
fn two_hundred_writers_killed_while_they_write_leave_a_whole_set_each_time() {
    write_until_killed(Layout::Linked);
    let _alone = KILLING.lock().unwrap();
    let sink = Sink::new();
    killed_often(&sink, "two_hundred_writers_killed_while_they_write_leave_a_whole_set_each_time", 200, || {
        assert_whole(&read_linked(&sink.path).unwrap());
    });
    let directory = Directory::open(&sink.path).unwrap();
    recover(&directory).unwrap();
    let left = super::testing::names(&sink.path)
        .into_iter()
        .filter(|name| name.starts_with("..generation-"))
        .count();
    assert_eq!(left, 1, "of everything that was killed nothing is left");
}

#[test]
fn a_writer_of_single_files_that_is_killed_leaves_whole_files_and_the_next_one_a_whole_set() {
    write_until_killed(Layout::SingleFiles);
    let _alone = KILLING.lock().unwrap();
    let sink = Sink::new();
    let read_all = || FILES.map(|name| std::fs::read(sink.path.join(name)).unwrap());
    let test = "a_writer_of_single_files_that_is_killed_leaves_whole_files_and_the_next_one_a_whole_set";
    put(&Directory::open(&sink.path).unwrap(), Layout::SingleFiles, 0);
    killed_often(&sink, test, 40, || {
        let _each_is_whole = parsed(&read_all());
    });
    let directory = Directory::open(&sink.path).unwrap();
    recover(&directory).unwrap();
    deliver(&directory, Layout::SingleFiles, &made(), &ownership()).unwrap();
    assert_whole(&read_all());
    assert_eq!(super::testing::names(&sink.path), ["..files", "bundle.pem", "svid.pem", "svid_key.pem"]);
}
