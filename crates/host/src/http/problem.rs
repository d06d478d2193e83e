//! RFC 9457 problem documents. They say what the client may know; the log has the rest.

use super::body::{self, OutBody};
use http::{HeaderValue, Response, StatusCode, header};

/// Something that went wrong before or around a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No route matches.
    NotFound,
    /// The request line or the Host header can't be used.
    BadRequest,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body is larger than the limit.
    PayloadTooLarge,
    /// Too many requests at once.
    Overloaded,
    /// Too many requests of one tenant.
    TooManyRequests,
    /// The host is about to stop.
    Stopping,
    /// The largest request would not fit on the disk of a database.
    DiskFull,
    /// The component failed.
    ComponentFailed,
    /// The component took too long.
    ComponentTimeout,
}

impl Problem {
    fn parts(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "not-found",
                "Nothing is here",
                "no route matches this path; compare it with the address you were given",
            ),
            Self::BadRequest => (
                StatusCode::BAD_REQUEST,
                "bad-request",
                "The request can't be understood",
                "the request target or its Host header is not valid",
            ),
            Self::RequestTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                "request-timeout",
                "The request did not arrive in time",
                "the body did not end within the time allowed; send it again",
            ),
            Self::PayloadTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "payload-too-large",
                "The request is too large",
                "the body is larger than this server takes; send less",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Too many requests",
                "the server is busy and has not looked at this request; try again after the time in Retry-After",
            ),
            Self::TooManyRequests => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                "Too many requests for this administration",
                "it has more under way than its share, and the server has not looked at this one; try again after the time in Retry-After",
            ),
            Self::Stopping => (
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "The server is stopping",
                "it takes no new work; try again after the time in Retry-After",
            ),
            Self::DiskFull => (
                StatusCode::SERVICE_UNAVAILABLE,
                "disk-full",
                "The disk is nearly full",
                "the largest request that may come would not fit on the disk of the data folder; make room there",
            ),
            Self::ComponentFailed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "component-failed",
                "The request could not be handled",
                "a component failed; the server's log says why",
            ),
            Self::ComponentTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "component-timeout",
                "The request took too long",
                "a component did not answer in time; the server's log says more",
            ),
        }
    }

    /// The answer.
    pub fn response(self) -> Response<OutBody> {
        let (status, slug, title, detail) = self.parts();
        let document = serde_json::json!({
            "type": format!("https://ventanilla.dev/problems/{slug}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        });
        let mut response = Response::new(body::full(document.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Overloaded | Self::TooManyRequests => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            Self::Stopping => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
            }
            // What is left of the body must not be taken for the next request.
            Self::RequestTimeout | Self::PayloadTooLarge => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
