//! The one place where an error becomes a problem document (RFC 9457).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use trust_domains::problem::{Coded, Problem, with_causes};

use super::layer::current_trace_id;

/// What a handler returns instead of its answer. `?` makes one of every [`Coded`] error.
#[derive(Debug)]
pub struct ApiError(Box<Problem>);

impl ApiError {
    /// Refuses with a document that is ready.
    #[must_use]
    pub fn new(problem: Problem) -> Self {
        Self(Box::new(problem))
    }

    /// Returns the document.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0
    }
}

impl<E: Coded> From<E> for ApiError {
    fn from(error: E) -> Self {
        let problem = Problem::of(&error);
        if problem.status >= 500 {
            // The caller gets the first line only: causes name files and peers.
            tracing::error!(code = %problem.code, error = %with_causes(&error), "request failed");
        }
        Self::new(problem)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        problem_response(*self.0)
    }
}

/// Renders a problem document, with the trace id of the current request.
#[must_use]
pub fn problem_response(mut problem: Problem) -> Response {
    if problem.trace_id.is_none() {
        problem.trace_id = current_trace_id();
    }
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileError;
    use http_body_util::BodyExt;
    use trust_domains::problem::Code;

    fn full_disk() -> FileError {
        FileError::Io {
            action: "write",
            path: "/var/lib/troth".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        }
    }

    #[tokio::test]
    async fn an_error_becomes_the_document_of_its_code() {
        let response = ApiError::from(full_disk()).into_response();
        assert_eq!(response.status(), 507);
        let problem: Problem = serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!((problem.code(), problem.detail.as_str()), (Code::DiskFull, "cannot write /var/lib/troth"));
    }

    #[test]
    fn causes_are_for_the_log() {
        assert_eq!(with_causes(&full_disk()), "cannot write /var/lib/troth: no storage space");
    }
}
