//! The stream by which a node follows its entries and the trust bundle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use platform::tls::ConnectionInfo;
use platform::trace::{ApiError, ApiJson, ApiQuery};
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use trust_domains::plan::authority::AuthorityId;
use trust_domains::problem::{Code, Coded, Problem};
use trust_domains::revision::ParseRevisionError;
use trust_domains::wire::crls::CrlsChange;
use trust_domains::wire::node::{Ack, HEARTBEAT_S, SyncMessage};
use trust_domains::{EntryId, Revision, SpiffeBundle, TrustBundle};

use super::caller::NodeCaller;
use super::messages::{Trust, Whole};
use super::told_partners::ToldPartners;
use super::{NodeState, messages};
use crate::attestation::AuthenticatedNode;
use crate::limits::{NODE_BODY, SLOW_STREAM, STREAM_END_GRACE};
use crate::registry::feed::{FeedEvent, PartnerSet};
use crate::registry::{HeldEntry, OpenStream, Start, StreamEnd};

/// Lines that wait for the connection: one that is sent while the next is made.
const LINES_WAITING: usize = 2;

/// Where an agent resumes.
#[derive(Debug, Deserialize)]
pub(super) struct SyncQuery {
    epoch: Option<String>,
    after: Option<String>,
}

/// A request about a revision does not fit this server.
#[derive(Debug, Error)]
pub(super) enum RevisionRefused {
    /// The agent acknowledges what was never sent.
    #[error("revision {acknowledged} is acknowledged, the newest is {newest}")]
    NotYet {
        /// What it acknowledges.
        acknowledged: Revision,
        /// The newest commit.
        newest: Revision,
    },
    /// The place to resume at is no revision.
    #[error("epoch and after do not make a revision")]
    Unreadable(#[source] ParseRevisionError),
}

impl Coded for RevisionRefused {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }
}

impl SyncQuery {
    fn shows(self) -> Result<Option<Revision>, RevisionRefused> {
        match (self.epoch, self.after) {
            (None, None) => Ok(None),
            (epoch, after) => {
                let text = format!("{}.{}", epoch.unwrap_or_default(), after.unwrap_or_default());
                text.parse().map(Some).map_err(RevisionRefused::Unreadable)
            }
        }
    }
}

pub(super) async fn ack(State(api): State<Arc<NodeState>>, caller: NodeCaller, ApiJson(ack): ApiJson<Ack, NODE_BODY>) -> Result<StatusCode, ApiError> {
    let newest = api.registry.revision();
    if !newest.includes(ack.revision) {
        return Err(RevisionRefused::NotYet {
            acknowledged: ack.revision,
            newest,
        }
        .into());
    }
    api.registry.presence().acknowledge(caller.node.spiffe_id(), ack.revision.counter);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn sync(State(api): State<Arc<NodeState>>, caller: NodeCaller, ApiQuery(query): ApiQuery<SyncQuery>) -> Result<Response, ApiError> {
    let shows = query.shows()?;
    let (stream, start) = api.registry.open_stream(caller.node.spiffe_id(), *caller.node.key(), shows)?;
    let (lines, body) = mpsc::channel(LINES_WAITING);
    let teller = Teller {
        bundle: api.bundle.clone(),
        tainted: api.tainted.clone(),
        api,
        node: caller.node,
        connection: caller.connection,
        stream,
        lines,
        shows,
        told_crls: 0,
        told_partners: ToldPartners::default(),
    };
    tokio::spawn(teller.run(start));
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(body).map(Ok::<_, std::convert::Infallible>)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    Ok(response)
}

/// Tells one stream what concerns it, until it ends.
struct Teller {
    api: Arc<NodeState>,
    node: AuthenticatedNode,
    connection: Arc<ConnectionInfo>,
    stream: Arc<OpenStream>,
    bundle: watch::Receiver<Arc<TrustBundle>>,
    tainted: watch::Receiver<Arc<[AuthorityId]>>,
    lines: mpsc::Sender<Bytes>,
    /// The commit that the agent shows once it took everything that was sent.
    shows: Option<Revision>,
    /// The commit up to which it was told of the revocation lists.
    told_crls: u64,
    /// What it was told of partners.
    told_partners: ToldPartners,
}

/// Why a stream is over.
enum Over {
    /// It must end, and is told why.
    Ended(StreamEnd),
    /// The other end is gone.
    Gone,
    /// The other end does not read.
    Slow,
}

impl From<StreamEnd> for Over {
    fn from(end: StreamEnd) -> Self {
        Self::Ended(end)
    }
}

impl Teller {
    async fn run(mut self, start: Start) {
        let _counted = self.api.metrics.stream();
        let over = self.tell_all(start).await;
        if let Err(Over::Ended(end)) = &over {
            tracing::info!(node = %self.node.spiffe_id(), code = %end.code(), "a sync stream was ended");
            // It may not take this line either.
            let _ = timeout(STREAM_END_GRACE, self.send(&SyncMessage::End { problem: Problem::of(end) })).await;
        }
        self.api.registry.close_stream(self.node.spiffe_id(), &self.stream, self.api.clock.now().wall);
        if let Err(Over::Slow | Over::Ended(StreamEnd::Refused(_) | StreamEnd::Renewed { .. })) = over {
            self.connection.close.cancel();
        }
    }

    async fn tell_all(&mut self, start: Start) -> Result<(), Over> {
        self.tell_start(start).await?;
        let mut heartbeat = interval(Duration::from_secs(HEARTBEAT_S));
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        loop {
            let (api, stream) = (Arc::clone(&self.api), Arc::clone(&self.stream));
            tokio::select! {
                // An end goes before everything else that is ready.
                biased;
                () = stream.ended.cancelled() => return Err(stream.cause().into()),
                () = self.connection.close.cancelled() => return Err(self.end_of_connection()),
                () = self.lines.closed() => return Err(Over::Gone),
                event = api.registry.next_event(&stream) => self.tell_event(event).await?,
                changed = self.bundle.changed() => {
                    changed.map_err(|_| StreamEnd::Shutdown)?;
                    self.bundle.mark_changed();
                    self.tell_trust().await?;
                }
                changed = self.tainted.changed() => {
                    changed.map_err(|_| StreamEnd::Shutdown)?;
                    self.tainted.mark_changed();
                    self.tell_trust().await?;
                }
                _ = heartbeat.tick() => self.tell_heartbeat().await?,
            }
            heartbeat.reset();
        }
    }

    async fn tell_start(&mut self, start: Start) -> Result<(), Over> {
        match start {
            Start::Snapshot {
                revision,
                entries,
                federated,
                crls,
            } => {
                self.told_crls = revision.counter;
                let tainted = self.current_tainted();
                let bundle = self.current_bundle();
                self.told_partners.start_over();
                let federated = self.told_partners.news(federated);
                let api = Arc::clone(&self.api);
                let state = Whole {
                    bundle,
                    federated,
                    tainted,
                    crls,
                };
                for message in messages::snapshot(&api.registry, revision, &entries, state) {
                    self.say(message).await?;
                }
                self.shows = Some(revision);
                Ok(())
            }
            Start::Resume {
                revision,
                changes,
                federated: None,
                crls,
            } if changes.is_empty() && crls.is_empty() && self.has_current_trust() => {
                self.told_crls = revision.counter;
                self.shows = Some(revision);
                self.say(SyncMessage::Current { revision }).await
            }
            Start::Resume {
                revision,
                changes,
                federated,
                crls,
            } => {
                self.told_crls = revision.counter;
                let tainted = Some(self.current_tainted());
                let own = Some(self.current_bundle());
                let federated = federated.map(|federated| self.told_partners.news(federated));
                let trust = Trust { own, federated, tainted, crls };
                self.tell_changes(revision, changes, trust).await
            }
        }
    }

    async fn tell_event(&mut self, event: FeedEvent) -> Result<(), Over> {
        match event {
            FeedEvent::Lost => {
                let start = self.api.registry.restart_stream(self.node.spiffe_id(), &self.stream);
                self.tell_start(start).await
            }
            FeedEvent::Changed { counter, changes, partners } => {
                // New trust goes along: it may be what the change is about.
                let (own, tainted) = self.new_trust();
                let federated = (partners == PartnerSet::Changed).then(|| self.api.registry.federated(self.node.spiffe_id()));
                let federated = federated.map(|federated| self.told_partners.news(federated));
                let trust = Trust {
                    own,
                    federated,
                    tainted,
                    crls: self.new_crls(),
                };
                self.tell_changes(self.api.registry.at(counter), changes, trust).await
            }
        }
    }

    async fn tell_changes(&mut self, revision: Revision, changes: BTreeMap<EntryId, Option<HeldEntry>>, trust: Trust) -> Result<(), Over> {
        let api = Arc::clone(&self.api);
        let before = self.shows.unwrap_or(revision);
        for message in messages::delta(&api.registry, before, revision, changes, trust) {
            self.say(message).await?;
        }
        self.shows = Some(revision);
        Ok(())
    }

    /// Tells a new bundle, a new list of tainted authorities, or both.
    async fn tell_trust(&mut self) -> Result<(), Over> {
        let revision = self.shows.unwrap_or_else(|| self.api.registry.revision());
        let (own, tainted) = self.new_trust();
        let trust = Trust {
            own,
            tainted,
            ..Trust::default()
        };
        self.tell_changes(revision, BTreeMap::new(), trust).await
    }

    /// Returns what became of the revocation lists since they were told.
    fn new_crls(&mut self) -> Vec<CrlsChange> {
        let (crls, told) = self.api.registry.crls_since(self.told_crls);
        self.told_crls = told;
        crls
    }

    /// Returns what has changed since it was told. The list first: whoever hears that an authority is tainted has the bundle with its successor.
    fn new_trust(&mut self) -> (Option<SpiffeBundle>, Option<Vec<AuthorityId>>) {
        let tainted = self.tainted.has_changed().unwrap_or(false).then(|| self.current_tainted());
        let own = self.bundle.has_changed().unwrap_or(false).then(|| self.current_bundle());
        (own, tainted)
    }

    async fn tell_heartbeat(&mut self) -> Result<(), Over> {
        match self.api.registry.quiet_at(&self.stream) {
            Some(revision) => {
                self.shows = Some(revision);
                let partners = self.told_partners.new_standings(self.api.registry.standings_of(self.node.spiffe_id()));
                self.say(SyncMessage::Heartbeat { revision, partners }).await
            }
            // Something waits: it is told at once.
            None => Ok(()),
        }
    }

    /// Sends a message to a node that may still be served, now.
    async fn say(&self, message: SyncMessage) -> Result<(), Over> {
        self.node.check_again(&self.api.registry, self.api.clock.now().wall).map_err(StreamEnd::from)?;
        tokio::select! {
            biased;
            () = self.stream.ended.cancelled() => Err(self.stream.cause().into()),
            sent = timeout(SLOW_STREAM, self.send(&message)) => sent.unwrap_or(Err(Over::Slow)),
        }
    }

    async fn send(&self, message: &SyncMessage) -> Result<(), Over> {
        let mut line = serde_json::to_vec(message).map_err(|_| Over::Gone)?;
        line.push(b'\n');
        self.lines.send(Bytes::from(line)).await.map_err(|_| Over::Gone)?;
        self.api.metrics.message();
        Ok(())
    }

    fn current_tainted(&mut self) -> Vec<AuthorityId> {
        self.tainted.borrow_and_update().to_vec()
    }

    fn current_bundle(&mut self) -> SpiffeBundle {
        SpiffeBundle::from(&**self.bundle.borrow_and_update())
    }

    /// An agent that was connected to this very process, while the bundle never changed and nothing was tainted, needs nothing.
    fn has_current_trust(&self) -> bool {
        self.shows.is_some_and(|shows| self.api.registry.is_of_this_process(shows))
            && Arc::ptr_eq(&self.bundle.borrow(), &self.api.first_bundle)
            && self.tainted.borrow().is_empty()
    }

    /// The connection ends: with its certificate, or because the process does.
    fn end_of_connection(&self) -> Over {
        match self.node.check_again(&self.api.registry, self.api.clock.now().wall) {
            Err(refused) => StreamEnd::from(refused).into(),
            Ok(()) => StreamEnd::Shutdown.into(),
        }
    }
}
