//! A document that may be kept for a while, and asked for again by its tag (RFC 9110 section 8.8.3, RFC 9111 section 5.2.2).

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::Mutex;

/// The media type of the bundle, of the Bundle Map and of the discovery document.
pub(super) const JSON: &str = "application/json";

/// The media type of a JWK set (RFC 7517 section 8.5.2).
pub(super) const JWK_SET: &str = "application/jwk-set+json";

/// A document with its tag. Answers share its octets.
pub(super) struct Cached {
    media_type: &'static str,
    document: Bytes,
    tag: String,
    max_age: Duration,
}

impl Cached {
    pub(super) fn new(media_type: &'static str, document: String, max_age: Duration) -> Self {
        let hash = digest(&SHA256, document.as_bytes());
        let tag = format!("\"{}\"", hex::encode(hash.as_ref().get(..16).unwrap_or_default()));
        Self {
            media_type,
            document: document.into(),
            tag,
            max_age,
        }
    }

    /// Answers with the document, or says that who asks has it already.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response {
        let is_known = asked.get_all(IF_NONE_MATCH).iter().any(|value| self.is_in(value));
        let mut response = Response::new(if is_known { Body::empty() } else { Body::from(self.document.clone()) });
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        }
        let cache = format!("public, max-age={}", self.max_age.as_secs());
        for (name, value) in [(CACHE_CONTROL, cache.as_str()), (ETAG, self.tag.as_str())] {
            if let Ok(value) = HeaderValue::from_str(value) {
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

/// What is made of something that changes: made when it is first asked for after a change, once, however many ask meanwhile.
pub(super) struct MadeOf<K, V> {
    newest: Mutex<Option<(K, Arc<V>)>>,
}

impl<K, V> Default for MadeOf<K, V> {
    fn default() -> Self {
        Self { newest: Mutex::default() }
    }
}

impl<K: PartialEq, V> MadeOf<K, V> {
    /// Returns what belongs to this state, and makes it when there is another's only. Whoever drops this in the middle leaves it to the next who asks.
    pub(super) async fn at<E>(&self, state: K, make: impl Future<Output = Result<V, E>>) -> Result<Arc<V>, E> {
        let mut newest = self.newest.lock().await;
        match newest.as_ref() {
            Some((of, made)) if *of == state => Ok(Arc::clone(made)),
            _ => {
                let made = Arc::new(make.await?);
                *newest = Some((state, Arc::clone(&made)));
                Ok(made)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_document_is_made_once_for_all_who_ask_and_anew_after_a_change() {
        let (made_of, times) = (MadeOf::default(), AtomicUsize::new(0));
        let ask = async |state: u32| {
            let make = async {
                times.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(state * 10)
            };
            *made_of.at(state, make).await.unwrap()
        };
        assert_eq!(tokio::join!(ask(1), ask(1), ask(1)), (10, 10, 10));
        assert_eq!((ask(2).await, ask(2).await, times.load(Ordering::SeqCst)), (20, 20, 2));
    }
}
