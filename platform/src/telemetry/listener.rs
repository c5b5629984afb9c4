//! `/metrics`, `/livez` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust_domains::problem::with_causes;
use trust_domains::wire::admin::HealthState;

use super::health::HealthHandle;
use super::metrics::Metrics;
use crate::serving::{Protocol, serve_connection};
use crate::sockets::listen_tcp;
use crate::trace::edge;

/// Scrapers and probes at once: a few of each.
const CONNECTIONS: usize = 64;

/// The media type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The part of health that this listener reports under.
const HEALTH_KEY: &str = "telemetry";

/// Where telemetry is served: `ADDR` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TelemetryListen {
    /// At an address.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl std::str::FromStr for TelemetryListen {
    type Err = ParseTelemetryListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| ParseTelemetryListenError { text: text.to_owned() })
    }
}

impl std::fmt::Display for TelemetryListen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Off => f.write_str("off"),
        }
    }
}

impl TryFrom<String> for TelemetryListen {
    type Error = ParseTelemetryListenError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TelemetryListen> for String {
    fn from(listen: TelemetryListen) -> Self {
        listen.to_string()
    }
}

/// A text is neither an address nor `off`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither ADDRESS:PORT nor \"off\"")]
pub struct ParseTelemetryListenError {
    /// The text.
    pub text: String,
}

/// Starts serving telemetry. Returns the address it has, `None` when it is off or the address cannot be had.
///
/// An address that is taken never stops a start: it becomes a problem of `health`, with the option that changes it. Must run inside a Tokio runtime.
pub fn serve_telemetry(listen: TelemetryListen, metrics: Metrics, health: HealthHandle, shutdown: CancellationToken) -> Option<SocketAddr> {
    let TelemetryListen::At(address) = listen else { return None };
    match listen_tcp(address) {
        Ok(listener) => {
            health.clear(HEALTH_KEY);
            let bound = listener.local_addr().ok();
            tokio::spawn(accept(listener, router(metrics, health), shutdown));
            bound
        }
        Err(error) => {
            let problem = format!(
                "no metrics and probes: {}; choose another address or none: --telemetry-listen ADDR|off",
                with_causes(&error)
            );
            tracing::warn!(problem, "telemetry is off");
            health.set_problem(HEALTH_KEY, problem);
            None
        }
    }
}

fn router(metrics: Metrics, health: HealthHandle) -> Router {
    let routes = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(show_readiness));
    edge(routes.with_state((metrics, health)))
}

async fn show_metrics(State((metrics, _)): State<(Metrics, HealthHandle)>) -> Response {
    ([(CONTENT_TYPE, OPEN_METRICS)], metrics.render()).into_response()
}

/// A degraded process works, so it is ready. One that ends is not: new work goes elsewhere, while it finishes what it has.
async fn show_readiness(State((_, health)): State<(Metrics, HealthHandle)>) -> (StatusCode, &'static str) {
    if health.is_ending() {
        return (StatusCode::SERVICE_UNAVAILABLE, "ending\n");
    }
    match health.snapshot().state {
        HealthState::Ready => (StatusCode::OK, "ready\n"),
        HealthState::Degraded => (StatusCode::OK, "degraded\n"),
        HealthState::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
    }
}

async fn accept(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        // A place first: scrapers that wait in the backlog cost nothing.
        let Ok(permit) = room.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let (router, end) = (router.clone(), shutdown.child_token());
        connections.spawn(async move {
            serve_connection(stream, Protocol::Http1, router, (), end).await;
            drop(permit);
        });
    }
    connections.close();
    connections.wait().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    async fn get_text(address: SocketAddr, path: &'static str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn probes_follow_health() {
        let health = HealthHandle::starting();
        let listen = "127.0.0.1:0".parse().unwrap();
        let address = serve_telemetry(listen, Metrics::default(), health.clone(), CancellationToken::new()).unwrap();
        assert!(get_text(address, "/livez").await.starts_with("HTTP/1.1 200"));
        assert!(get_text(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        health.set_ready();
        health.set_problem("x", "something needs a person");
        assert!(get_text(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        let metrics = get_text(address, "/metrics").await;
        assert!(metrics.contains("application/openmetrics-text") && metrics.ends_with("# EOF\n"), "{metrics}");
        assert!(get_text(address, "/secrets").await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn a_taken_port_is_a_problem_and_no_failure() {
        let taken = listen_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let listen = TelemetryListen::At(taken.local_addr().unwrap());
        let health = HealthHandle::starting();
        health.set_ready();
        assert_eq!(serve_telemetry(listen, Metrics::default(), health.clone(), CancellationToken::new()), None);
        let snapshot = health.snapshot();
        assert_eq!(snapshot.state, HealthState::Degraded);
        assert!(snapshot.problems[0].contains("--telemetry-listen"), "{snapshot:?}");
    }

    #[tokio::test]
    async fn idle_connections_do_not_shut_scrapers_out_for_ever() {
        let health = HealthHandle::starting();
        let address = serve_telemetry("127.0.0.1:0".parse().unwrap(), Metrics::default(), health, CancellationToken::new()).unwrap();
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        // All are accepted when one more is not answered; the silent ones are dropped at the deadline for a first request.
        let late = tokio::spawn(get_text(address, "/livez"));
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!(!late.is_finished());
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(11)).await;
        tokio::time::resume();
        assert!(late.await.unwrap().starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn who_ends_is_not_ready_and_still_answers() {
        let health = HealthHandle::starting();
        health.set_ready();
        let address = serve_telemetry("127.0.0.1:0".parse().unwrap(), Metrics::default(), health.clone(), CancellationToken::new()).unwrap();
        assert!(get_text(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        health.set_ending();
        health.set_ready();
        let answer = get_text(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("ending\n"), "{answer}");
        assert!(get_text(address, "/livez").await.starts_with("HTTP/1.1 200"));
    }

    #[test]
    fn an_address_or_off() {
        assert_eq!("off".parse(), Ok(TelemetryListen::Off));
        assert_eq!("[::1]:9464".parse::<TelemetryListen>().unwrap().to_string(), "[::1]:9464");
        for wrong in ["", "on", "9464", "localhost:9464"] {
            wrong.parse::<TelemetryListen>().unwrap_err();
        }
    }
}
