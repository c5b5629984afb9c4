//! What handlers take in: JSON bodies with a limit and a deadline, query and path, all refused as problem documents.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use trust_domains::duration::format_duration;
use trust_domains::problem::{Code, Problem};

use super::problem::ApiError;

/// The longest body unless a handler says otherwise: far above any request that is no batch.
pub const DEFAULT_BODY_LIMIT: usize = 64 * 1024;

/// How long a body may take to arrive: a caller that dribbles it holds a stream and its buffers.
pub const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// A JSON body of at most `LIMIT` octets, in or out.
///
/// Nesting is bounded by serde_json at 128 levels.
#[derive(Debug, Clone, Copy)]
pub struct ApiJson<T, const LIMIT: usize = DEFAULT_BODY_LIMIT>(pub T);

impl<S: Send + Sync, T: DeserializeOwned, const LIMIT: usize> FromRequest<S> for ApiJson<T, LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(&request) {
            return Err(refused(Code::UnsupportedMediaType, "the body is not application/json".to_owned()));
        }
        let body = Limited::new(request.into_body(), LIMIT).collect();
        let body = match tokio::time::timeout(BODY_DEADLINE, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(refused(Code::BodyTooLarge, format!("the body is longer than {LIMIT} bytes")));
            }
            Ok(Err(_)) => return Err(refused(Code::InvalidRequest, "the body did not arrive whole".to_owned())),
            Err(_) => {
                return Err(refused(
                    Code::InvalidRequest,
                    format!("the body took longer than {}", format_duration(BODY_DEADLINE)),
                ));
            }
        };
        serde_json::from_slice(&body)
            .map(Self)
            .map_err(|error| refused(Code::InvalidRequest, format!("the body is not what is expected: {error}")))
    }
}

impl<T: Serialize, const LIMIT: usize> IntoResponse for ApiJson<T, LIMIT> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The query of a request.
#[derive(Debug, Clone, Copy)]
pub struct ApiQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(refused(Code::InvalidRequest, rejection.body_text())),
        }
    }
}

/// The variable parts of a request's path.
#[derive(Debug, Clone, Copy)]
pub struct ApiPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(refused(Code::InvalidRequest, rejection.body_text())),
        }
    }
}

fn refused(code: Code, detail: String) -> ApiError {
    ApiError::new(Problem::new(code, detail))
}

/// Returns whether the body calls itself `application/json`, with or without parameters.
fn is_json(request: &Request) -> bool {
    let essence = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::routing::{get, post};
    use bytes::Bytes;
    use serde::Deserialize;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tower::ServiceExt;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sum {
        terms: Vec<u64>,
    }

    #[derive(Deserialize)]
    struct Limit {
        limit: Option<u8>,
    }

    fn router() -> Router {
        Router::new()
            .route(
                "/sum",
                post(|ApiJson(sum): ApiJson<Sum, 100>| async move { sum.terms.iter().sum::<u64>().to_string() }),
            )
            .route("/any", post(|ApiJson(_): ApiJson<serde_json::Value, 1_000_000>| async {}))
            .route(
                "/list/{part}",
                get(|ApiPath(part): ApiPath<u8>, ApiQuery(limit): ApiQuery<Limit>| async move { format!("{part} {:?}", limit.limit) }),
            )
    }

    async fn answer(request: http::Request<Body>) -> (u16, String) {
        let response = router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap(),
        )
    }

    async fn posted(path: &str, media: &str, body: impl Into<Body>) -> (u16, String) {
        answer(http::Request::post(path).header("content-type", media).body(body.into()).unwrap()).await
    }

    fn code(answer: &(u16, String)) -> Code {
        serde_json::from_str::<Problem>(&answer.1).unwrap().code()
    }

    #[tokio::test]
    async fn a_json_body_is_taken_in() {
        for media in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
            assert_eq!(posted("/sum", media, r#"{"terms":[1,2]}"#).await, (200, "3".to_owned()));
        }
    }

    #[tokio::test]
    async fn what_is_not_the_body_expected_is_refused_by_its_reason() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for (path, media, body, status, expected) in [
            ("/sum", "text/plain", r#"{"terms":[]}"#.to_owned(), 415, Code::UnsupportedMediaType),
            ("/sum", "", r#"{"terms":[]}"#.to_owned(), 415, Code::UnsupportedMediaType),
            ("/sum", "application/json", String::new(), 400, Code::InvalidRequest),
            ("/sum", "application/json", "{".to_owned(), 400, Code::InvalidRequest),
            ("/sum", "application/json", r#"{"terms":[],"more":1}"#.to_owned(), 400, Code::InvalidRequest),
            (
                "/sum",
                "application/json",
                format!(r#"{{"terms":[{}1]}}"#, "1,".repeat(100)),
                413,
                Code::BodyTooLarge,
            ),
            ("/any", "application/json", deep, 400, Code::InvalidRequest),
        ] {
            let answer = posted(path, media, body).await;
            assert_eq!((answer.0, code(&answer)), (status, expected), "{}", answer.1);
        }
    }

    #[tokio::test]
    async fn query_and_path_are_refused_as_problems() {
        let get = |uri: &str| http::Request::get(uri).body(Body::empty()).unwrap();
        assert_eq!(answer(get("/list/7?limit=8")).await, (200, "7 Some(8)".to_owned()));
        for uri in ["/list/7?limit=-1", "/list/7?limit=8&limit=9", "/list/x", "/list/256"] {
            let answer = answer(get(uri)).await;
            assert_eq!((answer.0, code(&answer)), (400, Code::InvalidRequest), "{uri}: {}", answer.1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let never = Body::new(Endless);
        let answer = posted("/sum", "application/json", never).await;
        assert_eq!((answer.0, code(&answer)), (400, Code::InvalidRequest));
    }

    /// A body whose next octet never comes.
    struct Endless;

    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }
}
