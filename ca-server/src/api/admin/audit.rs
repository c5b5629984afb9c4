//! The journal, as lines.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use platform::trace::{ApiError, ApiQuery};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::{AdminState, Api};
use crate::journal::JournalError;
use crate::limits::SLOW_STREAM;

/// Records that are read and sent at a time: about 100 KiB.
const RECORDS_AT_ONCE: usize = 256;

/// Parts that wait for the connection.
const PARTS_WAITING: usize = 2;

/// Which records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    #[serde(default)]
    after: u64,
    last: Option<u64>,
    #[serde(default)]
    follow: bool,
    limit: Option<u64>,
}

impl AuditQuery {
    /// Returns the number that the answer starts after: the newest `last` records are asked for by how many they are.
    fn start(&self, newest: u64) -> u64 {
        self.last.map_or(self.after, |last| newest.saturating_sub(last).max(self.after))
    }
}

pub(super) async fn read(State(api): Api, ApiQuery(query): ApiQuery<AuditQuery>) -> Result<Response, ApiError> {
    // What cannot be read at all is said as a problem, and not in the middle of the lines.
    let after = query.start(api.journal.last_seq());
    api.journal.read(after, 1).await?;
    let (lines, body) = mpsc::channel(PARTS_WAITING);
    tokio::spawn(async move {
        if let Err(error) = send(&api, after, query, &lines).await {
            tracing::warn!(%error, "the journal could not be sent to its end");
        }
    });
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(body).map(Ok::<_, std::convert::Infallible>)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    Ok(response)
}

/// Sends what there is, and what comes, until the limit is reached or the reader is gone. A reader that does not read for 30 s is.
async fn send(api: &Arc<AdminState>, mut after: u64, query: AuditQuery, lines: &mpsc::Sender<Bytes>) -> Result<(), JournalError> {
    let mut left = query.limit.unwrap_or(u64::MAX);
    let mut newest = api.journal.subscribe();
    while left > 0 {
        newest.mark_unchanged();
        let records = api
            .journal
            .read(after, RECORDS_AT_ONCE.min(usize::try_from(left).unwrap_or(RECORDS_AT_ONCE)))
            .await?;
        let Some(last) = records.last() else {
            if !query.follow || !something_new(api, &mut newest, lines).await {
                return Ok(());
            }
            continue;
        };
        after = last.seq;
        left -= records.len() as u64;
        let mut part = Vec::new();
        for record in &records {
            // A record that was read serializes.
            if serde_json::to_writer(&mut part, record).is_ok() {
                part.push(b'\n');
            }
        }
        if !matches!(timeout(SLOW_STREAM, lines.send(part.into())).await, Ok(Ok(()))) {
            return Ok(());
        }
    }
    Ok(())
}

async fn something_new(api: &AdminState, newest: &mut tokio::sync::watch::Receiver<u64>, lines: &mpsc::Sender<Bytes>) -> bool {
    tokio::select! {
        changed = newest.changed() => changed.is_ok(),
        () = lines.closed() => false,
        () = api.shutdown.cancelled() => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_records_are_counted_from_the_end() {
        let query = |after, last| AuditQuery {
            after,
            last,
            follow: false,
            limit: None,
        };
        assert_eq!(query(7, None).start(100), 7);
        assert_eq!(query(0, Some(20)).start(100), 80);
        assert_eq!(query(0, Some(20)).start(3), 0);
        assert_eq!(query(90, Some(20)).start(100), 90, "both hold");
    }
}
