//! The octets of an answer, as many as are taken.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

/// Why a body is not taken.
pub(super) enum BodyRefused {
    /// The connection broke, or what came is not HTTP.
    Broken(hyper::Error),
    /// It is longer than the limit.
    TooLarge,
}

/// Reads a body of at most `limit` octets. One that says it is longer is not begun.
pub(super) async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, BodyRefused> {
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyRefused::TooLarge);
    }
    // Copied together as it comes: a list of the pieces would let a million pieces of one octet hold a million buffers.
    let mut document = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(BodyRefused::Broken)?;
        let Some(piece) = frame.data_ref() else { continue };
        if document.len().saturating_add(piece.len()) > limit {
            return Err(BodyRefused::TooLarge);
        }
        document.extend_from_slice(piece);
    }
    Ok(document.freeze())
}
