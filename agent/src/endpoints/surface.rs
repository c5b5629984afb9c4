//! One gRPC service as it stands on a socket of its own: with health and server reflection beside it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::IntoResponse;
use http::Request;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Service;

use crate::svids::SvidCache;

/// What a call has to carry beside what HTTP/2 asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metadata {
    /// Nothing: the standard clients of the service send none.
    Any,
    /// The security header of this name, with the value `true` (EP-04, BEP-03).
    SecurityHeader(&'static str),
}

/// A service with what belongs to it. A clone is the same service.
#[derive(Clone)]
pub(super) struct Surface {
    name: &'static str,
    metadata: Metadata,
    routes: Routes,
    health: HealthReporter,
    open: OpenCalls,
}

impl Surface {
    /// Puts health and reflection beside a service. `open` counts the calls on it.
    pub(super) async fn new<S>(service: S, descriptors: &'static [u8], metadata: Metadata, open: OpenCalls) -> Self
    where
        S: Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_service_status("", ServingStatus::NotServing).await;
        health.set_service_status(S::NAME, ServingStatus::NotServing).await;
        let mut routes = Routes::new(service).add_service(health_service);
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(descriptors)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Both versions: many tools still ask for the older one.
        match (reflection().build_v1(), reflection().build_v1alpha()) {
            (Ok(v1), Ok(v1alpha)) => routes = routes.add_service(v1).add_service(v1alpha),
            (Err(error), _) | (_, Err(error)) => tracing::error!(service = S::NAME, error = %error, "server reflection is off"),
        }
        Self {
            name: S::NAME,
            metadata,
            routes: routes.prepare(),
            health,
            open,
        }
    }

    /// Returns what each call has to carry.
    pub(super) fn metadata(&self) -> Metadata {
        self.metadata
    }

    /// Returns what answers calls.
    pub(super) fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// Returns the count of the calls that are open.
    pub(super) fn open(&self) -> &OpenCalls {
        &self.open
    }

    /// Says `SERVING` once there is something to serve: the first sync, or the sealed cache, brought a bundle.
    pub(super) async fn report_health(self, cache: SvidCache, stopping: CancellationToken) {
        let mut bundle = cache.bundle();
        loop {
            let status = if bundle.borrow_and_update().is_some() {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            self.health.set_service_status("", status).await;
            self.health.set_service_status(self.name, status).await;
            tokio::select! {
                () = stopping.cancelled() => return,
                changed = bundle.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// How many calls are open on one surface. A clone is the same count.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenCalls(Arc<AtomicUsize>);

impl OpenCalls {
    /// Counts a call until what is returned is dropped.
    pub(super) fn begin(&self) -> OpenCall {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenCall(self.clone())
    }

    /// Returns how many are open.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A call that is counted.
#[derive(Debug)]
pub(super) struct OpenCall(OpenCalls);

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
