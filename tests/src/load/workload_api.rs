//! P5, and what the other figures need of the Workload API: a workload of the user that runs this program.

use std::path::Path;
use std::time::Duration;

use agent::workload_api::client;
use agent::workload_api::messages::{X509svidRequest, X509svidResponse};
use tokio::time::Instant;
use tonic::{Status, Streaming};
use trust_domains::Serial;
use trust_domains::crl::Crl;

use super::meter::{Times, cpu_of, micros, millis};
use super::node::{admin, create};
use super::report::{Figure, Value};
use crate::admin::{draft, runtime};
use crate::domain::Domain;
use crate::wait::PATIENCE;

/// Connections that are measured; a hundred more come before them.
const CONNECTIONS: u32 = 5_000;
const WARM_UP: u32 = 100;

/// An open stream of X509-SVIDs.
pub(super) struct Stream(Streaming<X509svidResponse>);

impl Stream {
    /// Connects and asks; the stream holds the connection.
    pub(super) async fn open(socket: &Path) -> Result<Self, Refused> {
        let mut client = client::connect(socket).await?;
        Ok(Self(client.fetch_x509svid(X509svidRequest {}).await?.into_inner()))
    }

    /// Waits for the next update and returns the SPIFFE IDs in it.
    pub(super) async fn next(&mut self) -> Result<Vec<String>, Refused> {
        let update = tokio::time::timeout(PATIENCE, self.0.message()).await.expect("an update in time")?;
        Ok(update.expect("an open stream").svids.into_iter().map(|svid| svid.spiffe_id).collect())
    }

    /// Waits for an update whose revocation lists name a serial.
    pub(super) async fn until_revoked(&mut self, serial: &Serial) -> Result<(), Refused> {
        loop {
            let update = tokio::time::timeout(PATIENCE, self.0.message()).await.expect("an update in time")?;
            let lists = update.expect("an open stream").crl;
            let mut lists = lists.into_iter().map(|der| Crl::parse(der.to_vec()).expect("a list"));
            if lists.any(|list| list.revokes(serial)) {
                return Ok(());
            }
        }
    }
}

/// There is no SVID now.
#[derive(Debug)]
pub(super) struct Refused;

impl From<Status> for Refused {
    fn from(_: Status) -> Self {
        Self
    }
}

impl From<tonic::transport::Error> for Refused {
    fn from(_: tonic::transport::Error) -> Self {
        Self
    }
}

/// Connects, waits for the first SVID, and says how long that took.
async fn fetch(socket: &Path) -> Duration {
    let started = Instant::now();
    let ids = Stream::open(socket).await.expect("a stream").next().await.expect("an SVID");
    let took = started.elapsed();
    assert_eq!(ids.len(), 1);
    took
}

/// The user that this program runs as.
pub(super) fn own_uid() -> u32 {
    nix::unistd::getuid().as_raw()
}

/// P5.
pub(super) fn connections() -> Figure {
    let (domain, runtime) = (Domain::start("load.test"), runtime());
    let mut agent = domain.agent("n1");
    runtime.block_on(create(&admin(&domain), vec![draft("/web".to_owned(), "n1", own_uid())]));
    let socket = agent.socket.clone();
    let _ = agent.operator(&["health", "agent"]).exits(0);
    runtime.block_on(first(&socket));
    let fetch_all = |count: u32| {
        runtime.block_on(async {
            let mut times = Vec::new();
            for _ in 0..count {
                times.push(fetch(&socket).await);
            }
            Times::of(times)
        })
    };
    fetch_all(WARM_UP);
    let cpu = cpu_of(agent.process());
    let times = fetch_all(CONNECTIONS);
    let cpu = cpu_of(agent.process()) - cpu;
    Figure {
        id: "P5",
        what: "Workload API: connect, attest, first SVID, a new connection each",
        how: format!("{CONNECTIONS} connections, one after the other; the latency holds the client's own time"),
        values: vec![
            Value::judged("agent CPU", micros(cpu) / f64::from(CONNECTIONS), "us", 150.0),
            Value::judged("median", millis(times.percentile(50)), "ms", 0.6),
            Value::plain("p99", millis(times.percentile(99)), "ms"),
        ],
    }
}

/// Waits until the agent serves the first SVID, asking every millisecond.
pub(super) async fn first(socket: &Path) -> Stream {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Ok(mut stream) = Stream::open(socket).await
            && stream.next().await.is_ok()
        {
            return stream;
        }
        assert!(Instant::now() < end, "no SVID within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
