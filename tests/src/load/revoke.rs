//! P12: how soon a revocation is on every node's stream, what it costs the server, and how many octets each node is sent.

use std::collections::BTreeSet;
use std::time::Duration;

use platform::client::JsonLines;
use platform::unix_http::UnixHttpClient;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use trust_domains::crl::CrlSet;
use trust_domains::wire::admin::{RevokeRequest, RevokeTarget, Revoked};
use trust_domains::wire::crls::CrlsChange;
use trust_domains::wire::node::{MAX_ISSUE_BATCH, SyncMessage};
use trust_domains::{EntryId, Serial};

use super::meter::{Times, cpu_of, millis};
use super::node::{Node, admin, batch_for, create};
use super::report::{Figure, Value};
use crate::admin::{draft, runtime};
use crate::domain::Domain;

/// How many certificates are revoked already.
const LIVE: [(usize, &str); 3] = [(100, "P12, 100 revoked"), (10_000, "P12, 10,000 revoked"), (100_000, "P12, 100,000 revoked")];

/// Revocations that are measured, one after the other.
pub(super) const REVOCATIONS: usize = 30;

/// The server signs once a second at most: what comes sooner waits, and would be measured as slow.
pub(super) const APART: Duration = Duration::from_millis(1_100);

/// For the lists of 100,000 serials.
const LIMIT: [&str; 2] = ["--crl-max-bytes", "8388608"];

/// P12, at each length of the lists.
pub(super) fn revocations() -> Vec<Figure> {
    LIVE.iter().map(|(live, id)| measure(*live, id)).collect()
}

fn measure(live: usize, id: &'static str) -> Figure {
    let (mut domain, runtime) = (Domain::start_with("load.test", &LIMIT), runtime());
    let mut desk = runtime.block_on(Desk::open(&domain, live));
    let cpu = cpu_of(domain.server());
    let (times, octets) = desk.revoke_all(&runtime);
    let cpu = cpu_of(domain.server()) - cpu;
    let times = Times::of(times);
    Figure {
        id,
        what: "svid revoke → the list is on the node's stream",
        how: format!(
            "{REVOCATIONS} serials, {} ms apart, from the admin call to the verified list; server CPU with its idle work",
            APART.as_millis()
        ),
        values: vec![
            Value::plain("p50", millis(times.percentile(50)), "ms"),
            Value::judged("p99", millis(times.percentile(99)), "ms", 200.0),
            Value::plain("server CPU each", millis(cpu) / REVOCATIONS as f64, "ms"),
            Value::plain("bytes to each node", octets as f64 / REVOCATIONS as f64, ""),
            Value::plain("whole set", desk.held.octets() as f64, "bytes"),
        ],
    }
}

/// A node that follows the lists, and certificates to be revoked.
struct Desk {
    admin: UnixHttpClient,
    stream: JsonLines,
    held: CrlSet,
    serials: Vec<Serial>,
}

impl Desk {
    /// Issues and revokes as many certificates as shall be revoked already, and some more that are not yet.
    async fn open(domain: &Domain, live: usize) -> Self {
        let node = Node::join(domain, "load").await;
        let admin = admin(domain);
        let entries = create(&admin, vec![draft("/bulk".to_owned(), "load", 1), draft("/one".to_owned(), "load", 1)]).await;
        let [bulk, one] = entries.as_slice() else { panic!("two entries") };
        issue(&node, bulk, live).await;
        let revoked = revoke(&admin, RevokeTarget::Entry(bulk.to_string())).await;
        assert_eq!(revoked.certificates, live);
        let serials = issue(&node, one, REVOCATIONS).await;
        let mut stream = node.follow().await;
        let held = loop {
            match stream.next().await.expect("a message") {
                Some(SyncMessage::Snapshot { crls: Some(crls), .. }) => break CrlSet::read(&crls).expect("a believed set"),
                Some(_) => {}
                None => panic!("the stream ended"),
            }
        };
        assert_eq!(held.lists().map(|(_, crl)| crl.len()).sum::<usize>(), live);
        Self {
            admin,
            stream,
            held,
            serials: serials.into_iter().collect(),
        }
    }

    /// Revokes the rest one by one; returns how long each took, and the octets of all changes.
    fn revoke_all(&mut self, runtime: &Runtime) -> (Vec<Duration>, usize) {
        let (mut times, mut octets) = (Vec::new(), 0);
        for serial in std::mem::take(&mut self.serials) {
            runtime.block_on(async {
                tokio::time::sleep(APART).await;
                let started = Instant::now();
                let request = revoke(&self.admin, RevokeTarget::Serial(serial));
                let (_, sent) = tokio::join!(request, until_revoked(&mut self.stream, &mut self.held, &serial));
                times.push(started.elapsed());
                octets += sent;
            });
        }
        (times, octets)
    }
}

/// Follows the stream until the lists name the serial; returns the octets of the changes.
async fn until_revoked(stream: &mut JsonLines, held: &mut CrlSet, serial: &Serial) -> usize {
    let mut octets = 0;
    loop {
        let message = stream.next().await.expect("a message").expect("an open stream");
        if let SyncMessage::Delta { crls: Some(change), .. } = message {
            octets += serde_json::to_vec::<CrlsChange>(&change).expect("JSON").len();
            *held = held.changed(&change).expect("a believed change").expect("lists");
            if held.lists().any(|(_, crl)| crl.revokes(serial)) {
                return octets;
            }
        }
    }
}

pub(super) async fn issue(node: &Node, entry: &EntryId, count: usize) -> BTreeSet<Serial> {
    let mut serials = BTreeSet::new();
    // The same keys again and again: a certificate is revoked by its serial.
    let batch = batch_for(&vec![entry.clone(); MAX_ISSUE_BATCH.min(count)]);
    while serials.len() < count {
        let mut batch = batch.clone();
        batch.requests.truncate(count - serials.len());
        serials.extend(node.issue(&batch).await);
    }
    serials
}

pub(super) async fn revoke(admin: &UnixHttpClient, target: RevokeTarget) -> Revoked {
    let request = RevokeRequest { target, because: None };
    admin.post("/v1/admin/revocations", &request).await.expect("a revocation")
}
