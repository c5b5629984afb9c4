//! Secret discovery: one rotation on many streams.

use std::time::Duration;

use agent::sds_api::messages::DiscoveryRequest;
use tokio::time::Instant;

use super::meter::{Times, cpu_of, micros, millis};
use super::report::{Figure, Value};
use super::workload_api::{first, own_uid};
use crate::admin::runtime;
use crate::domain::Domain;
use crate::sds::{StateStream, asking, client};

/// Streams that are open at once, each on its own connection as those of different Envoys are.
const STREAMS: usize = 200;

/// Rotations that are measured; one more comes before them.
const ROTATIONS: u32 = 5;

/// The life of the certificates: a rotation every five seconds.
const LIFE: &str = "10s";

/// Takes the next secret, accepts it as Envoy does, and says when it came.
async fn accept(stream: &mut StateStream) -> Instant {
    let response = stream.next().await.expect("a secret");
    let at = Instant::now();
    stream.say(DiscoveryRequest {
        version_info: response.version_info,
        response_nonce: response.nonce,
        ..asking(&["default"])
    });
    at
}

/// Waits for one rotation on every stream, and says how long after the first the last had it.
async fn rotation(streams: &mut [StateStream]) -> Duration {
    let all = futures_util::future::join_all(streams.iter_mut().map(accept)).await;
    let (first, last) = (all.iter().min().expect("a stream"), all.iter().max().expect("a stream"));
    last.duration_since(*first)
}

/// 200 streams through rotations.
pub(super) fn rotations() -> Figure {
    let (domain, runtime) = (Domain::start("load.test"), runtime());
    let mut agent = domain.agent("n1");
    domain.fast_entry("n1", "/web", own_uid(), LIFE);
    let mut streams = runtime.block_on(async {
        drop(first(&agent.socket).await);
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            let mut sds = client(&agent.sds_socket).await;
            let mut stream = StateStream::open(&mut sds, asking(&["default"])).await.expect("a stream");
            accept(&mut stream).await;
            streams.push(stream);
        }
        streams
    });
    // The first may come to streams that were opened before and after it.
    runtime.block_on(rotation(&mut streams));
    let cpu = cpu_of(agent.process());
    let times = runtime.block_on(async {
        let mut times = Vec::new();
        for _ in 0..ROTATIONS {
            times.push(rotation(&mut streams).await);
        }
        Times::of(times)
    });
    let cpu = (cpu_of(agent.process()) - cpu) / ROTATIONS;
    Figure {
        id: "SDS",
        what: "secret discovery: one rotation on 200 streams",
        how: format!(
            "{STREAMS} streams, each on its own connection, through {ROTATIONS} rotations of one identity; from the first stream that has the new secret to the last; CPU of a whole rotation, with making the key and having it certified"
        ),
        values: vec![
            Value::plain("median until the last has it", millis(times.percentile(50)), "ms"),
            Value::plain("longest", millis(times.percentile(100)), "ms"),
            Value::plain("agent CPU a rotation", micros(cpu) / 1e3, "ms"),
            Value::plain("agent CPU a stream", micros(cpu) / 200.0, "us"),
        ],
    }
}
