//! The accept loop of every socket that workloads use, and the limits that they share.

use std::sync::Arc;
use std::time::Duration;

use platform::tls::TlsConfigError;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust_domains::token_svid::MAX_TOKEN_BYTES;
use trust_domains::wire::tokens::MAX_AUDIENCE_TOTAL;

use super::broker::{BrokerListeners, BrokerService, Brokers, Gate};
use super::broker_api;
use super::broker_api::server::ApiServer;
use super::connection::{self, CallLimits, Connection};
use super::sds::{self, SecretService};
use super::sds_api;
use super::sds_api::server::SecretDiscoveryServiceServer;
use super::service::{Authority, Served, WorkloadService};
use super::surface::{Metadata, OpenCalls, Surface};
use super::workload_api::server::SpiffeWorkloadApiServer;
use super::workload_api::{DESCRIPTORS, SECURITY_HEADER};
use crate::metrics::SdsCounts;
use crate::workload::{Caller, Shares, UidShares};

/// How many calls one user may have open when nothing else is configured: every process of a large machine under one uid.
pub const DEFAULT_STREAMS_PER_UID: usize = 1_000;

/// How many connections are open at once, of all users: about 160 MB of buffers at worst.
const MAX_CONNECTIONS: usize = 8_192;

/// How many connections a user may have above its calls, so that one call too many is told why instead of being hung up on.
const CONNECTIONS_ABOVE_CALLS: usize = 64;

/// The largest request message of the Workload API: a token of the longest that is read, and the audience that it is checked for.
const MAX_WORKLOAD_REQUEST: usize = MAX_TOKEN_BYTES + 4 * 1024;

/// The largest request message of the Broker API: the longest audience with its lengths, a SPIFFE ID, and a reference.
const MAX_BROKER_REQUEST: usize = MAX_AUDIENCE_TOTAL + 4 * 1024;

/// How long accepting pauses after it failed: out of file descriptors, it would fail again at once.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What workloads connect to: the Workload API and secret discovery, each service on a socket of its own, all behind the same checks and the same limits.
#[derive(Clone)]
pub struct Endpoints {
    authority: Arc<Authority>,
    connections: UidShares,
    places: Arc<Semaphore>,
    calls: CallLimits<u32>,
    workload_api: OpenCalls,
    sds: OpenCalls,
    sds_counts: SdsCounts,
    broker: OpenCalls,
    streams_each: usize,
}

/// How many calls are open: streams, nearly all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenStreams {
    /// On the Workload API.
    pub workload_api: usize,
    /// On secret discovery.
    pub sds: usize,
    /// On the Broker API.
    pub broker: usize,
}

impl Endpoints {
    /// Returns endpoints that serve what the caches hold. A user may have so many streams open, on all of them together.
    #[must_use]
    pub fn new(served: Served, max_streams_per_uid: usize, sds_counts: SdsCounts) -> Self {
        let connections_per_uid = max_streams_per_uid.saturating_add(CONNECTIONS_ABOVE_CALLS);
        Self {
            authority: Arc::new(Authority::new(served)),
            connections: UidShares::new(connections_per_uid),
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            calls: CallLimits {
                each: UidShares::new(max_streams_per_uid),
                per_connection: u32::try_from(connections_per_uid).unwrap_or(u32::MAX),
            },
            workload_api: OpenCalls::default(),
            sds: OpenCalls::default(),
            sds_counts,
            broker: OpenCalls::default(),
            streams_each: max_streams_per_uid,
        }
    }

    /// Returns how many streams are open.
    #[must_use]
    pub fn open_streams(&self) -> OpenStreams {
        OpenStreams {
            workload_api: self.workload_api.count(),
            sds: self.sds.count(),
            broker: self.broker.count(),
        }
    }

    /// Serves the Workload API to every connection of the listener until `stopping` is cancelled; then streams end with `Unavailable`, and it
    /// returns when all connections are closed.
    pub async fn serve_workload_api(&self, listener: UnixListener, stopping: CancellationToken) {
        let service = SpiffeWorkloadApiServer::new(WorkloadService::new(Arc::clone(&self.authority))).max_decoding_message_size(MAX_WORKLOAD_REQUEST);
        let surface = Surface::new(service, DESCRIPTORS, Metadata::SecurityHeader(SECURITY_HEADER), self.workload_api.clone()).await;
        self.serve(surface, listener, stopping).await;
    }

    /// Serves Envoy's secret discovery as [`Endpoints::serve_workload_api`] does the Workload API, without its security header: Envoy sends none.
    pub async fn serve_sds(&self, listener: UnixListener, stopping: CancellationToken) {
        let service = SecretService::new(Arc::clone(&self.authority), self.sds_counts.clone());
        let service = SecretDiscoveryServiceServer::new(service).max_decoding_message_size(sds::MAX_REQUEST);
        let surface = Surface::new(service, sds_api::DESCRIPTORS, Metadata::Any, self.sds.clone()).await;
        self.serve(surface, listener, stopping).await;
    }

    /// Serves the Broker API, by mutual TLS, to every connection of the listeners until `stopping` is cancelled, as [`Endpoints::serve_workload_api`] does the
    /// Workload API. A broker may have as many streams open as a user of the machine.
    ///
    /// # Errors
    /// [`TlsConfigError`] when the provider cannot do TLS.
    pub async fn serve_broker(&self, brokers: Brokers, listeners: BrokerListeners, stopping: CancellationToken) -> Result<(), TlsConfigError> {
        let service = ApiServer::new(BrokerService::new(Arc::clone(&self.authority), brokers.counts.clone())).max_decoding_message_size(MAX_BROKER_REQUEST);
        let metadata = Metadata::SecurityHeader(broker_api::SECURITY_HEADER);
        let surface = Surface::new(service, broker_api::DESCRIPTORS, metadata, self.broker.clone()).await;
        let calls = CallLimits {
            each: Shares::new(self.streams_each),
            per_connection: self.calls.per_connection,
        };
        let (cache, clock) = (&self.authority.cache, self.authority.clock.clone());
        let gate = Gate::new(brokers, cache, clock, surface.clone(), calls)?;
        tokio::join!(surface.report_health(cache.clone(), stopping.clone()), gate.serve(listeners, stopping));
        Ok(())
    }

    async fn serve(&self, surface: Surface, listener: UnixListener, stopping: CancellationToken) {
        let tasks = TaskTracker::new();
        tasks.spawn(surface.clone().report_health(self.authority.cache.clone(), stopping.clone()));
        loop {
            let accepted = tokio::select! {
                () = stopping.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _unnamed)) => match Arc::clone(&self.places).try_acquire_owned() {
                    Ok(place) => drop(tasks.spawn(self.clone().welcome(stream, surface.clone(), place, stopping.clone()))),
                    Err(_full) => tracing::warn!(limit = MAX_CONNECTIONS, "workload connection refused: too many are open"),
                },
                Err(error) => {
                    tracing::warn!(error = %error, "workload connection could not be accepted");
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
        }
        drop(listener);
        tasks.close();
        tasks.wait().await;
    }

    /// Takes hold of the process that connected, before anything of it is read, and serves it.
    async fn welcome(self, stream: UnixStream, surface: Surface, _place: OwnedSemaphorePermit, stopping: CancellationToken) {
        let caller = match Caller::of_stream(&stream) {
            Ok(caller) => caller,
            Err(error) => return tracing::debug!(error = %error, "workload connection closed: its process cannot be told"),
        };
        let Some(_share) = self.connections.try_take(caller.uid()) else {
            return tracing::debug!(uid = caller.uid(), "workload connection refused: its user has too many open");
        };
        connection::serve(stream, Connection::new(caller, stopping.child_token()), surface, self.calls).await;
    }
}
