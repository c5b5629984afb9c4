use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use trust_domains::Clock as _;
use trust_domains::clock::ManualClock;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::audit::{Decision, Issuance};

use super::*;
use crate::store::disk::RESERVE;

const NOW: Timestamp = Timestamp::from_unix(1_900_000_000);

/// A journal in a directory of its own, with a clock moved by hand.
struct World {
    directory: tempfile::TempDir,
    clock: ManualClock,
    disk: Disk,
    segment_len: u64,
}

impl World {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            clock: ManualClock::new(NOW),
            disk: Disk::real(),
            segment_len: segment::MAX_LEN,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("journal")
    }

    fn try_open(&self) -> Result<(Journal, OpenReport), JournalOpenError> {
        Journal::open_with(&self.path(), self.clock.shared(), self.disk.clone(), self.segment_len)
    }

    fn open(&self) -> Journal {
        self.try_open().unwrap().0
    }

    fn files(&self) -> Vec<PathBuf> {
        segment::list(&self.path()).unwrap().into_iter().map(|(_, path)| path).collect()
    }

    fn only_file(&self) -> PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1);
        files[0].clone()
    }
}

fn serial(number: u64) -> Serial {
    let mut random = [0; 11];
    random[3..].copy_from_slice(&number.to_be_bytes());
    Serial::from_parts([1, 2, 3, 4], random)
}

/// An issuance that ends so many seconds after the beginning of the test.
fn issued(number: u64, seconds: u64) -> AuditEvent {
    AuditEvent::Issued(Issuance {
        serial: serial(number),
        spiffe_id: "spiffe://prod.example.org/web".parse().unwrap(),
        entry: None,
        node: None,
        issuer: "00ff".to_owned(),
        not_after: NOW + Duration::from_secs(seconds),
        actor: "agent".to_owned(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
    })
}

fn decided(action: &str) -> AuditEvent {
    AuditEvent::Decided(Decision {
        action: action.to_owned(),
        subject: "web-1".to_owned(),
        actor: "uid 0".to_owned(),
        reason: None,
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
    })
}

async fn append_each(journal: &Journal, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        journal.append(vec![issued(number, 3_600)]).await.unwrap();
    }
}

async fn seqs(journal: &Journal, after: u64, limit: usize) -> Vec<u64> {
    journal.read(after, limit).await.unwrap().into_iter().map(|record| record.seq).collect()
}

#[tokio::test]
async fn records_have_consecutive_numbers_the_time_and_a_chain_of_hashes() {
    let world = World::new();
    let journal = world.open();
    assert_eq!(journal.append(vec![issued(1, 60), decided("node_banned")]).await, Ok(2));
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(journal.append(vec![issued(2, 60)]).await, Ok(3));
    assert_eq!(journal.append(Vec::new()).await, Ok(3));
    let records = journal.read(0, 10).await.unwrap();
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(
        records.iter().map(|record| record.at).collect::<Vec<_>>(),
        [NOW, NOW, NOW + Duration::from_secs(5)]
    );
    assert_eq!(records[1].event, decided("node_banned"));
    assert_eq!(records[2].event, issued(2, 60));
    let file = fs::read(world.only_file()).unwrap();
    let mut chain = frame::ChainEnd::START;
    let mut offset = segment::HEADER_LEN;
    for record in &records {
        let frame = frame::Frame::parse(&file[offset..]).unwrap();
        assert_eq!(chain.follow(&frame).unwrap().seq, record.seq);
        assert_eq!(record.hash, hex::encode(chain.hash));
        offset += frame.len();
    }
    assert_eq!(offset, file.len());
}

#[tokio::test]
async fn everything_is_there_after_reopening_and_the_chain_goes_on() {
    let world = World::new();
    let journal = world.open();
    append_each(&journal, 1..=3).await;
    let before = journal.read(0, 10).await.unwrap();
    drop(journal);
    let (journal, report) = world.try_open().unwrap();
    assert_eq!(
        report,
        OpenReport {
            cut_bytes: 0,
            last_seq: 3,
            records: 3
        }
    );
    assert_eq!(journal.read(0, 10).await.unwrap(), before);
    assert_eq!(journal.append(vec![issued(4, 60)]).await, Ok(4));
    drop(journal);
    assert_eq!(world.try_open().unwrap().1.records, 4);
}

#[tokio::test]
async fn the_index_holds_the_unexpired_serials_after_reopening_too() {
    let world = World::new();
    let journal = world.open();
    journal.append(vec![issued(1, 60), issued(2, 600)]).await.unwrap();
    assert!(journal.contains(&serial(1)) && journal.contains(&serial(2)) && !journal.contains(&serial(3)));
    drop(journal);
    world.clock.advance(Duration::from_secs(60));
    let journal = world.open();
    assert!(journal.contains(&serial(1)), "NotAfter itself is valid");
    journal.prune(world.clock.now().wall + Duration::from_secs(1)).await.unwrap();
    assert!(!journal.contains(&serial(1)) && journal.contains(&serial(2)));
}

#[tokio::test]
async fn what_each_authority_signed_is_counted_until_it_ends_after_reopening_too() {
    let world = World::new();
    let journal = world.open();
    journal.append(vec![issued(1, 60), issued(2, 600), issued(3, 600)]).await.unwrap();
    let AuditEvent::Issued(Issuance { issuer, .. }) = issued(1, 60) else {
        panic!("an issuance")
    };
    let now = world.clock.now().wall;
    let counts = |journal: &Journal| [0, 60, 61, 601].map(|later| journal.signed_by(&issuer, now + Duration::from_secs(later)));
    assert_eq!(counts(&journal), [3, 3, 2, 0]);
    assert_eq!(journal.signed_by("00", now), 0);
    drop(journal);
    world.clock.advance(Duration::from_secs(61));
    let journal = world.open();
    assert_eq!(counts(&journal), [2, 2, 2, 0]);
    journal.prune(now + Duration::from_secs(601)).await.unwrap();
    assert_eq!(counts(&journal), [0, 0, 0, 0]);
}

#[tokio::test]
async fn a_tail_torn_at_any_octet_is_cut_and_the_cut_is_recorded() {
    let world = World::new();
    let journal = world.open();
    append_each(&journal, 1..=2).await;
    let kept = fs::metadata(world.only_file()).unwrap().len();
    append_each(&journal, 3..=3).await;
    drop(journal);
    let whole = fs::read(world.only_file()).unwrap();
    for end in kept..whole.len() as u64 {
        fs::write(world.only_file(), &whole[..usize::try_from(end).unwrap()]).unwrap();
        let (journal, report) = world.try_open().unwrap();
        let cut = end - kept;
        assert_eq!(report.cut_bytes, cut, "torn at {end}");
        assert_eq!(report.records, 2, "torn at {end}");
        assert!(!journal.contains(&serial(3)), "torn at {end}");
        let records = journal.read(0, 10).await.unwrap();
        if cut == 0 {
            assert_eq!(records.len(), 2, "nothing was torn");
        } else {
            assert_eq!((records.len(), &records[2].event), (3, &AuditEvent::TailCut { bytes: cut }), "torn at {end}");
        }
        // And it goes on: the chain holds over the cut.
        let next = journal.append(vec![issued(4, 3_600)]).await.unwrap();
        drop(journal);
        assert_eq!(
            world.try_open().unwrap().1,
            OpenReport {
                cut_bytes: 0,
                last_seq: next,
                records: next
            },
            "torn at {end}"
        );
    }
}

#[tokio::test]
async fn a_group_of_which_only_some_pages_reached_the_disk_is_cut_where_it_breaks() {
    let world = World::new();
    let journal = world.open();
    append_each(&journal, 1..=2).await;
    let start = usize::try_from(fs::metadata(world.only_file()).unwrap().len()).unwrap();
    journal.append((3..=40).map(|number| issued(number, 3_600)).collect()).await.unwrap();
    drop(journal);
    let whole = fs::read(world.only_file()).unwrap();
    for lost in (start..whole.len()).step_by(1_111) {
        let mut torn = whole.clone();
        let end = torn.len().min(lost + 512);
        torn[lost..end].fill(0);
        fs::write(world.only_file(), &torn).unwrap();
        let (journal, report) = world.try_open().unwrap();
        assert!(report.records >= 2 && report.cut_bytes > 0, "lost at {lost}");
        assert!(journal.contains(&serial(2)), "what was acknowledged before is there");
    }
}

#[tokio::test]
async fn a_changed_octet_of_what_was_acknowledged_is_damage_and_not_cut() {
    let world = World::new();
    let journal = world.open();
    append_each(&journal, 1..=4).await;
    drop(journal);
    let whole = fs::read(world.only_file()).unwrap();
    let first = frame::Frame::parse(&whole[segment::HEADER_LEN..]).unwrap().len();
    // Record 2 from its first octet to its last, its fields that the hash does not cover aside: they say nothing about what happened.
    let unhashed = 8..16;
    for at in (0..first).filter(|at| !unhashed.contains(at)) {
        let mut changed = whole.clone();
        changed[segment::HEADER_LEN + first + at] ^= 0x20;
        fs::write(world.only_file(), &changed).unwrap();
        let error = world.try_open().unwrap_err();
        assert!(matches!(error, JournalOpenError::Damaged { seq: 2, .. }), "octet {at}: {error}");
        assert_eq!(fs::read(world.only_file()).unwrap(), changed, "nothing is changed");
    }
}

#[tokio::test]
async fn a_record_that_was_taken_out_swapped_or_repeated_is_damage() {
    let world = World::new();
    let journal = world.open();
    append_each(&journal, 1..=4).await;
    drop(journal);
    let whole = fs::read(world.only_file()).unwrap();
    let (header, mut rest) = whole.split_at(segment::HEADER_LEN);
    let mut records = Vec::new();
    while let Some(frame) = frame::Frame::parse(rest) {
        let (record, behind) = rest.split_at(frame.len());
        records.push(record);
        rest = behind;
    }
    let orders: [&[usize]; 4] = [&[0, 2, 3], &[0, 2, 1, 3], &[0, 0, 1, 2, 3], &[1, 2, 3]];
    for order in orders {
        let changed = order.iter().fold(header.to_vec(), |file, at| [&file[..], records[*at]].concat());
        fs::write(world.only_file(), changed).unwrap();
        assert!(matches!(world.try_open(), Err(JournalOpenError::Damaged { .. })), "{order:?}");
    }
}

#[tokio::test]
async fn a_segment_whose_making_was_interrupted_is_made_again() {
    let world = World {
        segment_len: 1,
        ..World::new()
    };
    let journal = world.open();
    append_each(&journal, 1..=3).await;
    drop(journal);
    let last = world.files().pop().unwrap();
    let header = fs::read(&last).unwrap();
    for len in 0..segment::HEADER_LEN {
        fs::write(&last, &header[..len]).unwrap();
        let (journal, report) = world.try_open().unwrap();
        assert_eq!((report.records, report.cut_bytes), (2, len as u64));
        assert_eq!(
            journal.append(vec![issued(4, 60)]).await,
            Ok(3 + u64::from(len > 0)),
            "the cut of {len} octets is record 3"
        );
        drop(journal);
        assert_eq!(world.try_open().unwrap().1.cut_bytes, 0);
        for made in world.files().into_iter().skip(2) {
            fs::remove_file(made).unwrap();
        }
    }
}

#[tokio::test]
async fn a_damaged_header_a_missing_record_between_segments_and_an_unknown_format_are_errors() {
    let world = World {
        segment_len: 1,
        ..World::new()
    };
    let journal = world.open();
    append_each(&journal, 1..=3).await;
    drop(journal);
    let files = world.files();
    assert_eq!(files.len(), 3);
    let second = fs::read(&files[1]).unwrap();
    let changed = |at: usize| {
        let mut octets = second.clone();
        octets[at] ^= 1;
        fs::write(&files[1], octets).unwrap();
        world.try_open().unwrap_err()
    };
    assert!(matches!(changed(0), JournalOpenError::Damaged { .. }), "magic");
    assert!(matches!(changed(11), JournalOpenError::FormatUnknown { found: 0, known: 1, .. }), "version");
    assert!(matches!(changed(19), JournalOpenError::Damaged { .. }), "first number");
    assert!(matches!(changed(30), JournalOpenError::Damaged { .. }), "hash before");
    fs::write(&files[1], &second[..second.len() - 1]).unwrap();
    assert!(
        matches!(world.try_open(), Err(JournalOpenError::Damaged { seq: 2, .. })),
        "a closed segment is never torn"
    );
}

#[tokio::test]
async fn segments_are_dropped_when_all_in_them_has_expired_and_the_drop_is_recorded() {
    let world = World {
        segment_len: 1,
        ..World::new()
    };
    let journal = world.open();
    for (number, seconds) in [(1, 60), (2, 600), (3, 60), (4, 60)] {
        journal.append(vec![issued(number, seconds)]).await.unwrap();
    }
    assert_eq!(world.files().len(), 4);
    assert_eq!(
        journal.prune(NOW + Duration::from_secs(60)).await,
        Ok(PruneReport::default()),
        "NotAfter itself is valid"
    );
    let report = journal.prune(NOW + Duration::from_secs(61)).await.unwrap();
    // The fourth was still being written when the drop was decided.
    assert_eq!(report, PruneReport { segments: 2, records: 2 });
    assert!(!journal.contains(&serial(1)) && journal.contains(&serial(2)));
    let records = journal.read(0, 10).await.unwrap();
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [2, 4, 5, 6]);
    assert!(matches!(&records[2].event, AuditEvent::Decided(decision) if decision.subject == "records 1 to 1"));
    drop(journal);
    let (journal, report) = world.try_open().unwrap();
    assert_eq!((report.records, report.last_seq), (4, 6));
    assert_eq!(seqs(&journal, 2, 10).await, [4, 5, 6]);
}

#[tokio::test]
async fn reading_pages_through_segments_from_any_number() {
    let world = World {
        segment_len: 3_000,
        ..World::new()
    };
    let journal = world.open();
    append_each(&journal, 1..=50).await;
    assert!(world.files().len() > 3);
    for after in 0..=50 {
        assert_eq!(seqs(&journal, after, 7).await, (after + 1..=50.min(after + 7)).collect::<Vec<_>>());
    }
    assert!(seqs(&journal, 51, 7).await.is_empty() && seqs(&journal, 0, 0).await.is_empty());
}

#[tokio::test]
async fn a_follower_is_woken_by_each_append() {
    let world = World::new();
    let journal = world.open();
    let mut following = journal.subscribe();
    assert_eq!(*following.borrow_and_update(), 0);
    journal.append(vec![issued(1, 60)]).await.unwrap();
    following.changed().await.unwrap();
    assert_eq!(*following.borrow_and_update(), 1);
    drop(journal);
    assert!(following.changed().await.is_err(), "it ends with the journal");
}

#[tokio::test]
async fn nothing_is_recorded_while_too_little_is_free_and_it_goes_on_by_itself() {
    let free = Arc::new(AtomicU64::new(RESERVE - 1));
    let probe = Arc::clone(&free);
    let world = World {
        disk: Disk::real().with_free_space(move |_| Ok(probe.load(Ordering::SeqCst))),
        ..World::new()
    };
    let journal = world.open();
    let full = journal.append(vec![issued(1, 60)]).await.unwrap_err();
    assert_eq!(
        full,
        JournalError::DiskFull {
            free: RESERVE - 1,
            reserve: RESERVE
        }
    );
    assert_eq!((full.code(), journal.last_seq(), journal.contains(&serial(1))), (Code::DiskFull, 0, false));
    free.store(RESERVE, Ordering::SeqCst);
    assert_eq!(journal.append(vec![issued(2, 60)]).await, Ok(1));
}

#[tokio::test]
async fn a_failed_sync_latches_until_the_next_start() {
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    // The first is that of the opening, the second that of record 1.
    let fail = move |file: &fs::File| {
        if counted.fetch_add(1, Ordering::SeqCst) == 2 {
            Err(io::Error::other("lost"))
        } else {
            file.sync_data()
        }
    };
    let mut world = World {
        disk: Disk::real().with_sync(fail),
        ..World::new()
    };
    let journal = world.open();
    append_each(&journal, 1..=1).await;
    for _ in 0..3 {
        let error = journal.append(vec![issued(2, 3_600)]).await.unwrap_err();
        assert_eq!((error.code(), &error), (Code::JournalUnavailable, &JournalError::Unavailable));
    }
    assert_eq!(
        journal.prune(NOW + Duration::from_secs(7_200)).await,
        Ok(PruneReport::default()),
        "nothing to drop, nothing to record"
    );
    assert_eq!((journal.last_seq(), journal.contains(&serial(2))), (1, false));
    assert_eq!(seqs(&journal, 0, 10).await, [1], "what is not durable is not shown");
    drop(journal);
    world.disk = Disk::real();
    assert!(world.open().append(vec![issued(3, 60)]).await.is_ok());
}

#[tokio::test]
async fn waiting_appends_share_one_sync() {
    const APPENDS: u64 = 100;
    let (go_on, held) = std::sync::mpsc::channel();
    let (held, syncs) = (Mutex::new(held), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&syncs);
    let disk = Disk::real().with_sync(move |file| {
        // The second, that of the first append, waits until all others have come.
        if counted.fetch_add(1, Ordering::SeqCst) == 1 {
            held.lock().unwrap().recv().unwrap();
        }
        file.sync_data()
    });
    let world = World { disk, ..World::new() };
    let journal = world.open();
    let appends: Vec<_> = (0..APPENDS)
        .map(|number| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(vec![issued(2 * number, 60), issued(2 * number + 1, 60)]).await.unwrap() })
        })
        .collect();
    // On this runtime of one thread every task has run once, so far as its place in the queue, when this one runs again.
    tokio::task::yield_now().await;
    go_on.send(()).unwrap();
    let mut lasts = Vec::new();
    for append in appends {
        lasts.push(append.await.unwrap());
    }
    lasts.sort_unstable();
    assert_eq!(lasts, (1..=APPENDS).map(|number| 2 * number).collect::<Vec<_>>());
    assert!(syncs.load(Ordering::SeqCst) <= 4, "{} syncs", syncs.load(Ordering::SeqCst));
}

#[tokio::test]
async fn an_append_over_the_limits_is_refused_alone() {
    let world = World::new();
    let journal = world.open();
    let many = vec![issued(1, 60); Journal::MAX_EVENTS + 1];
    assert!(matches!(
        journal.append(many).await,
        Err(JournalError::TooLarge {
            limit: Journal::MAX_EVENTS,
            ..
        })
    ));
    let long = vec![issued(1, 60), decided(&"x".repeat(frame::MAX_LEN))];
    let (refused, accepted) = futures_util::future::join(journal.append(long), journal.append(vec![issued(2, 60)])).await;
    assert!(matches!(refused, Err(JournalError::TooLarge { limit: frame::MAX_LEN, .. })));
    assert_eq!(accepted, Ok(1));
    assert!(!journal.contains(&serial(1)));
    drop(journal);
    assert_eq!(world.try_open().unwrap().1.records, 1);
}
