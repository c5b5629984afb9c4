//! What every request goes through on its way in and out.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use tracing::Instrument;
use trust_domains::problem::{Code, Problem};

use super::context::TraceContext;
use super::problem::problem_response;

/// The response header that carries the trace id.
pub const TRACE_ID: HeaderName = HeaderName::from_static("trace-id");

tokio::task_local! {
    static CURRENT: Arc<str>;
}

/// Returns the trace id of the request that this task answers.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    CURRENT.try_with(ToString::to_string).ok()
}

/// Completes a router: a [`TraceContext`] in the extensions of each request, a span around it, its trace id in each response, and problem documents
/// where no route matches.
pub fn edge(router: Router) -> Router {
    router.fallback(no_route).method_not_allowed_fallback(no_method).layer(from_fn(trace))
}

async fn trace(mut request: Request, next: Next) -> Response {
    let context = TraceContext::of(request.headers());
    let trace_id: Arc<str> = context.trace_id().into();
    request.extensions_mut().insert(context);
    let span = tracing::info_span!("request", %trace_id, method = %request.method(), path = request.uri().path());
    let mut response = CURRENT.scope(trace_id.clone(), next.run(request)).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&trace_id) {
        response.headers_mut().insert(TRACE_ID, value);
    }
    response
}

async fn no_route(request: Request) -> Response {
    problem_response(Problem::new(Code::NotFound, format!("there is no {}", request.uri().path())))
}

async fn no_method(request: Request) -> Response {
    problem_response(Problem::new(
        Code::MethodNotAllowed,
        format!("{} is not answered at {}", request.method(), request.uri().path()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn answer(method: &str, path: &str) -> (http::response::Parts, Problem) {
        let router = edge(Router::new().route(
            "/refuse",
            get(|| async { problem_response(Problem::new(Code::NodeBanned, "node web-1 is banned")) }),
        ));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let (parts, body) = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().into_parts();
        (parts, serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap())
    }

    #[tokio::test]
    async fn every_answer_carries_the_trace_id_of_its_request() {
        for (method, path, code, status) in [
            ("GET", "/refuse", Code::NodeBanned, 403),
            ("GET", "/nowhere", Code::NotFound, 404),
            ("POST", "/refuse", Code::MethodNotAllowed, 405),
        ] {
            let (parts, problem) = answer(method, path).await;
            assert_eq!((parts.status.as_u16(), problem.code()), (status, code), "{method} {path}");
            assert_eq!(parts.headers[TRACE_ID], "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!(parts.headers["content-type"], Problem::MEDIA_TYPE);
            assert_eq!(problem.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        }
    }

    #[test]
    fn outside_a_request_there_is_no_trace_id() {
        assert_eq!(current_trace_id(), None);
    }
}
