//! The endpoint's accept loop and its limits.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use trust_domains::jwt_svid::MAX_JWT_SVID_BYTES;

use super::connection;
use super::service::{Authority, Served, WorkloadService};
use super::workload_api::server::SpiffeWorkloadApiServer;
use super::workload_api::{DESCRIPTORS, SERVICE_NAME};
use crate::svids::SvidCache;
use crate::workload::{Caller, UidShares};

/// How many calls one user may have open when nothing else is configured: every process of a large machine under one uid.
pub const DEFAULT_STREAMS_PER_UID: usize = 1_000;

/// How many connections are open at once, of all users: about 160 MB of buffers at worst.
const MAX_CONNECTIONS: usize = 8_192;

/// How many connections a user may have above its calls, so that one call too many is told why instead of being hung up on.
const CONNECTIONS_ABOVE_CALLS: usize = 64;

/// The largest request message: a token of the longest that is read, and the audience that it is checked for.
const MAX_REQUEST: usize = MAX_JWT_SVID_BYTES + 4 * 1024;

/// How long accepting pauses after it failed: out of file descriptors, it would fail again at once.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// The Workload API endpoint: the service itself, server reflection and health, each behind the same checks.
#[derive(Clone)]
pub struct WorkloadEndpoint {
    authority: Arc<Authority>,
    calls: UidShares,
    connections: UidShares,
    max_calls_per_uid: usize,
}

impl WorkloadEndpoint {
    /// Returns an endpoint that serves what the caches hold.
    #[must_use]
    pub fn new(served: Served, max_streams_per_uid: usize) -> Self {
        Self {
            authority: Arc::new(Authority::new(served)),
            calls: UidShares::new(max_streams_per_uid),
            connections: UidShares::new(max_streams_per_uid.saturating_add(CONNECTIONS_ABOVE_CALLS)),
            max_calls_per_uid: max_streams_per_uid,
        }
    }

    /// Returns how many calls are open: streams, nearly all of them.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.calls.held()
    }

    /// Serves every connection of the listener until `stopping` is cancelled; then streams end with `Unavailable`, and it returns when all
    /// connections are closed.
    pub async fn serve(&self, listener: UnixListener, stopping: CancellationToken) {
        let (health, routes) = self.routes().await;
        let tasks = TaskTracker::new();
        tasks.spawn(report_health(health, self.authority.cache.clone(), stopping.clone()));
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = stopping.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _unnamed)) => match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => drop(tasks.spawn(self.clone().welcome(stream, routes.clone(), place, stopping.clone()))),
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
    async fn welcome(self, stream: UnixStream, routes: Routes, _place: OwnedSemaphorePermit, stopping: CancellationToken) {
        let caller = match Caller::of_stream(&stream) {
            Ok(caller) => caller,
            Err(error) => return tracing::debug!(error = %error, "workload connection closed: its process cannot be told"),
        };
        let Some(_share) = self.connections.try_take(caller.uid()) else {
            return tracing::debug!(uid = caller.uid(), "workload connection refused: its user has too many open");
        };
        let max_calls = u32::try_from(self.max_calls_per_uid.saturating_add(CONNECTIONS_ABOVE_CALLS)).unwrap_or(u32::MAX);
        connection::serve(stream, caller, routes, self.calls, max_calls, &stopping).await;
    }

    async fn routes(&self) -> (HealthReporter, Routes) {
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_service_status("", ServingStatus::NotServing).await;
        health.set_service_status(SERVICE_NAME, ServingStatus::NotServing).await;
        let workload_api = SpiffeWorkloadApiServer::new(WorkloadService::new(Arc::clone(&self.authority))).max_decoding_message_size(MAX_REQUEST);
        let mut routes = Routes::new(workload_api).add_service(health_service);
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Both versions: many tools still ask for the older one.
        match (reflection().build_v1(), reflection().build_v1alpha()) {
            (Ok(v1), Ok(v1alpha)) => routes = routes.add_service(v1).add_service(v1alpha),
            (Err(error), _) | (_, Err(error)) => tracing::error!(error = %error, "server reflection is off"),
        }
        (health, routes.prepare())
    }
}

/// Says `SERVING` once there is something to serve: the first sync, or the sealed cache, brought a bundle.
async fn report_health(health: HealthReporter, cache: SvidCache, stopping: CancellationToken) {
    let mut bundle = cache.bundle();
    loop {
        let status = if bundle.borrow_and_update().is_some() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        health.set_service_status("", status).await;
        health.set_service_status(SERVICE_NAME, status).await;
        tokio::select! {
            () = stopping.cancelled() => return,
            changed = bundle.changed() => if changed.is_err() { return },
        }
    }
}
