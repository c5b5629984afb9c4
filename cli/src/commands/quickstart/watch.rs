//! The workload's side: fetches its own SVID as any workload would, and verifies every update.

use std::time::Duration;

use platform::clock::SystemClock;
use sidecar::source::{SourceError, WorkloadClient, X509Context};
use trust_domains::duration::format_duration;
use trust_domains::x509::X509Svid;
use trust_domains::{SpiffeId, TrustDomain};

use super::directory::Directory;
use super::events::{Delivery, Show};
use super::parts::Parts;
use crate::failure::{Failure, usage};

/// The longest wait for an update: a life of 60 s is renewed at half of it.
const UPDATE_WITHIN: Duration = Duration::from_secs(45);

/// How long the file sink may be behind the stream.
const FILES_WITHIN: Duration = Duration::from_secs(5);

/// Watches until `wanted` rotations were verified, or for ever when it is 0; `after_each` is done after each of them.
pub(super) async fn rotations(
    directory: &Directory,
    trust_domain: &TrustDomain,
    wanted: u64,
    parts: &mut Parts,
    show: &mut Show,
    mut after_each: impl AsyncFnMut(&mut Show) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let demo = SpiffeId::expand(trust_domain, "/demo").map_err(|error| Failure::of(&error))?;
    let socket = directory.workload_socket();
    let opened = async { WorkloadClient::connect(&socket).await?.watch_x509().await };
    let mut updates = opened.await.map_err(|error: SourceError| Failure::of(&error))?;
    let mut last: Option<Delivery> = None;
    loop {
        let update = tokio::time::timeout(UPDATE_WITHIN, updates.next(&SystemClock)).await;
        parts.check()?;
        let received = update.map_err(|_| late())?.map_err(|error| Failure::of(&error))?;
        let delivery = delivered(&received, &demo, last.as_ref())?;
        files_follow(directory, &delivery).await?;
        show.delivered(&delivery);
        if last.as_ref().is_some_and(|last| last.rotations < delivery.rotations) {
            after_each(show).await?;
        }
        let done = wanted > 0 && delivery.rotations >= wanted;
        last = Some(delivery);
        if done {
            return Ok(());
        }
    }
}

fn late() -> Failure {
    usage(format!("no rotation within {}", format_duration(UPDATE_WITHIN)))
        .with_hint("look at the agent: eval \"$(troth quickstart --env)\"; troth agent status")
}

/// Reads what was delivered, which was verified when it came; it must bring a new certificate whenever the serial changed.
fn delivered(received: &X509Context, demo: &SpiffeId, last: Option<&Delivery>) -> Result<Delivery, Failure> {
    let svid = received
        .svids()
        .iter()
        .find(|svid| svid.spiffe_id() == demo)
        .ok_or_else(|| usage(format!("the agent delivered no {demo}")).with_hint("see why: troth explain"))?;
    let (issued_at, expires_at) = (svid.issued_at(), svid.not_after());
    let rotated = last.is_some_and(|last| last.serial != *svid.serial());
    Ok(Delivery {
        spiffe_id: svid.spiffe_id().clone(),
        serial: *svid.serial(),
        issued_at,
        expires_at,
        next_rotation: issued_at + Duration::from_secs(issued_at.seconds_until(expires_at).max(0).unsigned_abs() / 2),
        deliveries: last.map_or(0, |last| last.deliveries) + 1,
        rotations: last.map_or(0, |last| last.rotations) + u64::from(rotated),
    })
}

/// The files of the sink must show the same certificate.
async fn files_follow(directory: &Directory, delivery: &Delivery) -> Result<(), Failure> {
    let waiting = async {
        while file_serial(directory) != Some(delivery.serial) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let sink = directory.sink();
    tokio::time::timeout(FILES_WITHIN, waiting)
        .await
        .map_err(|_| usage(format!("{} does not show serial {}", sink.display(), delivery.serial)).with_hint("look at the sinks: troth agent status"))
}

fn file_serial(directory: &Directory) -> Option<trust_domains::Serial> {
    let pem = std::fs::read(directory.sink().join("svid.pem")).ok()?;
    X509Svid::from_pem(&pem).ok().map(|svid| *svid.leaf().serial())
}
