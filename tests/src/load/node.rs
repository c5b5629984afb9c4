//! A node that only asks for certificates: it joins and connects as an agent does, and serves no workload.

use std::sync::Arc;
use std::time::Duration;

use agent::node::{Admission, KeyPair, SealedRecords, join};
use platform::client::JsonLines;
use platform::clock::SystemClock;
use platform::sealing::KeySourceSpec;
use platform::tls::{Connection, ServerTrust, ServerVerifier, TlsIdentity, client_config, connect};
use platform::unix_http::UnixHttpClient;
use trust_domains::join_link::JoinLink;
use trust_domains::plan::rotation::Jitter;
use trust_domains::wire::admin::EntryDraft;
use trust_domains::wire::encoding::Base64;
use trust_domains::wire::node::{IssueRequest, IssueResponse, IssueResult, KeyRequest};
use trust_domains::{EntryId, Serial};

use crate::domain::Domain;

/// The longest that one call of the measurements may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// A joined node with its open connection.
#[derive(Debug, Clone)]
pub(super) struct Node {
    connection: Connection,
}

impl Node {
    /// Joins a node of this name.
    pub(super) async fn join(domain: &Domain, name: &str) -> Self {
        let link: JoinLink = domain.link(name).parse().expect("a join link");
        let folder = domain.folder().join(name);
        std::fs::create_dir(&folder).expect("a directory");
        let records = SealedRecords::open(&folder, &KeySourceSpec::File(folder.join("seal.key"))).expect("sealed records");
        let clock = SystemClock::shared();
        let (identity, _) = join(&Admission::Link(link.clone()), &records, &clock, Jitter::NONE)
            .await
            .expect("the node joins");
        let certificate = TlsIdentity::new(&identity.chain, identity.key.pkcs8()).expect("a TLS identity");
        let trust = ServerTrust::Roots {
            trust_domain: link.trust_domain.clone(),
            roots: link.roots().to_vec(),
        };
        let config = client_config(Some(&certificate), Arc::new(ServerVerifier::new(trust, clock))).expect("a TLS configuration");
        Self {
            connection: connect(&link.server, config, DEADLINE).await.expect("a connection"),
        }
    }

    /// Follows the sync stream from a snapshot on.
    pub(super) async fn follow(&self) -> JsonLines {
        self.connection.lines("/v1/node/sync", DEADLINE).await.expect("a stream")
    }

    /// Has a batch certified, and returns the serials.
    pub(super) async fn issue(&self, batch: &IssueRequest) -> Vec<Serial> {
        let answer: IssueResponse = self.connection.post("/v1/node/issue", batch, DEADLINE).await.expect("an answer");
        assert_eq!(answer.results.len(), batch.requests.len());
        let serial = |result: IssueResult| match result {
            IssueResult::Issued(leaf) => leaf.serial,
            IssueResult::Refused { problem, .. } => panic!("{problem:?}"),
        };
        answer.results.into_iter().map(serial).collect()
    }
}

/// Returns a batch that asks for one certificate for each entry. The keys are new once: what a key costs its owner is not the server's.
pub(super) fn batch_for(entries: &[EntryId]) -> IssueRequest {
    let request = |entry_id: &EntryId| {
        let key = KeyPair::generate().expect("a key");
        KeyRequest {
            entry_id: entry_id.clone(),
            public_key: Base64(key.public().spki().to_vec()),
        }
    };
    IssueRequest {
        requests: entries.iter().map(request).collect(),
    }
}

/// Returns a client of a domain's admin API, as patient as a measurement.
pub(super) fn admin(domain: &Domain) -> UnixHttpClient {
    crate::admin::admin(domain, DEADLINE)
}

/// Makes entries and returns their ids.
pub(super) async fn create(admin: &UnixHttpClient, entries: Vec<EntryDraft>) -> Vec<EntryId> {
    let created = crate::admin::create(admin, entries).await.expect("entries");
    created.entries.into_iter().map(|entry| entry.id).collect()
}
