//! A backup, as the octets of its file.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use platform::trace::ApiError;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use super::Api;
use super::caller::Operator;
use crate::backup::{self, Backup, BackupError};
use crate::limits::SLOW_STREAM;

/// Parts that wait for the connection, each about 1 MiB.
const PARTS_WAITING: usize = 2;

pub(super) async fn make(State(api): Api, Operator(cause): Operator) -> Result<Response, ApiError> {
    let now = api.clock.now().wall;
    let elsewhere = api.issuance.authorities().keys_in_token();
    let backup = backup::of_running(api.store.as_ref(), now, elsewhere, &api.decisions, &cause).await?;
    let (parts, body) = mpsc::channel(PARTS_WAITING);
    tokio::spawn(send(backup, parts));
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(body)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(response)
}

/// Sends the parts. One that cannot be made breaks the answer off: what arrived is no backup, and says so when it is read.
async fn send(mut backup: Backup, parts: mpsc::Sender<Result<Bytes, BackupError>>) {
    loop {
        // Sealing a part takes a millisecond of a core: not on a thread that serves others.
        let sealed = tokio::task::spawn_blocking(move || {
            let part = backup.next();
            (backup, part)
        });
        let Ok((rest, Some(part))) = sealed.await else { return };
        backup = rest;
        if let Err(error) = &part {
            tracing::warn!(%error, "a backup was broken off");
        }
        if !matches!(timeout(SLOW_STREAM, parts.send(part)).await, Ok(Ok(()))) {
            return;
        }
    }
}
