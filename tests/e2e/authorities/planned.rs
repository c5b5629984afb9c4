//! A root replaced as planned, under open streams of the public clients: each sees good chains and bundles at every moment, and no request fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conformance::covers;
use spiffe::{TrustDomain, WorkloadApiClient, X509Context};
use spiffe_rustls::LocalOnly;
use tests::admin::runtime;
use tests::domain::{Agent, Domain, path_text};
use tests::wait::until;
use tokio_stream::StreamExt as _;
use trust_domains::TrustBundle;
use trust_domains::x509::{Certificate, verify_svid};

use super::{Running, authorities, id_of, node_with_identity, replace};
use crate::mtls_service::{Caller, serve_under, source};
use crate::outside_clients::{run_go, run_java};

const TRUST_DOMAIN: &str = "roots.test";

/// A new connection with a request starts that often.
const REQUEST_EVERY: Duration = Duration::from_millis(20);

/// What one update of the stream showed: the roots of the bundle, and the key identifier of the root above the leaf.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    roots: BTreeSet<String>,
    above: String,
}

/// Checks an update as a peer would that has this very bundle.
fn checked(context: &X509Context) -> Shown {
    let svid = context.default_svid().expect("an SVID");
    let name: TrustDomain = svid.spiffe_id().trust_domain().clone();
    let roots: Vec<_> = context.bundle_set().get(&name).expect("the bundle").authorities().to_vec();
    let empty = TrustBundle::new(TRUST_DOMAIN.parse().expect("a trust domain"));
    let bundle = roots
        .iter()
        .fold(empty, |bundle, root| bundle.with_x509_authority(root.as_bytes()).expect("a root"));
    let chain: Vec<_> = svid.cert_chain().iter().map(|certificate| certificate.as_bytes().into()).collect();
    let parse = |der: &[u8]| Certificate::parse(der).expect("a certificate");
    let leaf = parse(svid.leaf().as_bytes());
    verify_svid(&chain, &bundle, leaf.not_before()).unwrap_or_else(|error| panic!("an update does not verify by its own bundle: {error}"));
    let id = |id: Option<&[u8]>| hex::encode(id.expect("a key identifier"));
    Shown {
        roots: roots.iter().map(|root| id(parse(root.as_bytes()).subject_key_id())).collect(),
        above: id(parse(&chain[1]).authority_key_id()),
    }
}

/// Follows the stream until the leaf is under this root, and returns what each update showed.
async fn watch_until(agent: &Agent, root: impl Fn(&str) -> bool) -> Vec<Shown> {
    let client = WorkloadApiClient::connect_to(format!("unix://{}", path_text(&agent.socket)))
        .await
        .expect("a connection");
    let mut updates = client.stream_x509_contexts().await.expect("a stream");
    let mut seen: Vec<Shown> = Vec::new();
    loop {
        let shown = checked(&updates.next().await.expect("the stream goes on").expect("an update"));
        let is_last = root(&shown.above);
        if seen.last() != Some(&shown) {
            seen.push(shown);
        }
        if is_last {
            return seen;
        }
    }
}

#[covers("X509-17", "WAPI-05")]
#[test]
fn a_root_is_replaced_as_planned_and_no_request_fails() {
    let domain = Domain::start(TRUST_DOMAIN);
    let service = domain.agent("n1");
    let caller = domain.agent("n2");
    let uid = nix::unistd::getuid().as_raw();
    // Short lives: the public clients hold certificates of both roots while the test looks on.
    domain.fast_entry("n1", "/service", uid, "10s");
    domain.fast_entry("n2", "/caller", uid, "10s");
    let old = id_of(&domain, "x509-root", "active");
    let (service_id, caller_id) = (format!("spiffe://{TRUST_DOMAIN}/service"), format!("spiffe://{TRUST_DOMAIN}/caller"));
    let over = Arc::new(AtomicBool::new(false));
    let runtime = runtime();
    let asking = runtime.spawn({
        let (over, service, caller) = (Arc::clone(&over), source(&service), source(&caller));
        let (service, caller) = runtime.block_on(async { tokio::join!(service, caller) });
        let (service_id, caller_id) = (service_id.clone(), caller_id.clone());
        async move {
            let policy = LocalOnly(TRUST_DOMAIN.try_into().expect("a trust domain"));
            let address = serve_under(service, policy, &caller_id).await;
            let caller = Caller::new(caller, address, &service_id);
            let (mut requests, mut ticks) = (0_u32, tokio::time::interval(REQUEST_EVERY));
            while !over.load(Ordering::Relaxed) {
                ticks.tick().await;
                requests += 1;
                caller
                    .request_until_converted()
                    .await
                    .unwrap_or_else(|error| panic!("request {requests} was dropped: {error}"));
            }
            requests
        }
    });
    let outside: Vec<_> = [run_go as fn(&[&str]) -> tests::command::Run, run_java]
        .map(|client| {
            let (socket, id) = (path_text(&service.socket).to_owned(), service_id.clone());
            std::thread::spawn(move || client(&["x509", &socket, &id, "4"]))
        })
        .into();
    let ordered = Running::start(&domain, &replace("x509-root", &[]));
    let seen = runtime.block_on(async {
        let watching = watch_until(&service, |above| above != old);
        tokio::time::timeout(Duration::from_secs(100), watching)
            .await
            .expect("a leaf under the new root")
    });
    let done = ordered.ended().exits(0);
    assert!(done.json()["outcome"].is_null(), "{}", done.stdout);
    let new = id_of(&domain, "x509-root", "active");
    let both: BTreeSet<String> = [old.clone(), new.clone()].into();
    let [first, .., last] = &*seen else { panic!("{seen:?}") };
    assert_eq!((first.roots.len(), &first.above), (1, &old));
    assert_eq!(
        (&last.roots, &last.above),
        (&both, &new),
        "the old root stays until what it vouches for has ended"
    );
    assert!(
        seen.iter().any(|shown| shown.roots == both && shown.above == old),
        "the new root is known before anything is under it: {seen:?}"
    );
    assert_eq!(authorities(&domain, "x509-root").iter().filter(|root| root["state"] == "old").count(), 1);
    for client in outside {
        let watched = client.join().expect("a client").exits(0);
        assert_eq!(watched.stdout.lines().count(), 5, "{watched:?}");
    }
    over.store(true, Ordering::Relaxed);
    assert!(runtime.block_on(asking).expect("the requests") > 50);
    // Who joins now is pinned to roots by which it finds the server.
    let late = node_with_identity(&domain, "n3", "/late");
    until("an SVID on the new node", || {
        (tests::workload::fetch_as(uid, &late.socket).code == 0).then_some(())
    });
}
