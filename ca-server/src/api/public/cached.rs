//! A document that may be kept for a while, and asked for again by its tag (RFC 9110 section 8.8.3, RFC 9111 section 5.2.2).

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};

/// The media type of the bundle and of the discovery document.
pub(super) const JSON: &str = "application/json";

/// The media type of a JWK set (RFC 7517 section 8.5.2).
pub(super) const JWK_SET: &str = "application/jwk-set+json";

/// A document with its tag.
pub(super) struct Cached {
    media_type: &'static str,
    document: String,
    tag: String,
    max_age: Duration,
}

impl Cached {
    pub(super) fn new(media_type: &'static str, document: String, max_age: Duration) -> Self {
        let hash = digest(&SHA256, document.as_bytes());
        let tag = format!("\"{}\"", hex::encode(hash.as_ref().get(..16).unwrap_or_default()));
        Self {
            media_type,
            document,
            tag,
            max_age,
        }
    }

    /// Answers with the document, or says that who asks has it already.
    pub(super) fn answer(self, asked: &HeaderMap) -> Response {
        let is_known = asked.get_all(IF_NONE_MATCH).iter().any(|value| self.is_in(value));
        let mut response = Response::new(if is_known { Body::empty() } else { Body::from(self.document) });
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        }
        let cache = format!("public, max-age={}", self.max_age.as_secs());
        for (name, value) in [(CACHE_CONTROL, cache), (ETAG, self.tag)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    /// Compares weakly, as `If-None-Match` does (RFC 9110 section 13.1.2).
    fn is_in(&self, value: &HeaderValue) -> bool {
        let tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
        tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag)).any(|tag| tag == "*" || tag == self.tag)
    }
}
