//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>), the part that identifies a request.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::random;

/// The header that carries the context.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Identifies a request across processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    sampled: bool,
}

impl TraceContext {
    /// Starts a new trace.
    #[must_use]
    pub fn start() -> Self {
        Self {
            trace_id: identifier(),
            span_id: identifier(),
            sampled: true,
        }
    }

    /// Continues the trace that the headers name, in a span of its own; starts one when they name none.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut named = headers.get_all(TRACEPARENT).iter();
        // More than one header is invalid (section 3.2.1).
        match (named.next().and_then(parse), named.next()) {
            (Some(parent), None) => parent.child(),
            _ => Self::start(),
        }
    }

    /// Returns a new span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span_id: identifier(), ..self }
    }

    /// Returns the trace id: 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hex::encode(self.trace_id)
    }

    /// Returns the value of the `traceparent` header for a call that this request makes.
    #[must_use]
    pub fn to_traceparent(&self) -> HeaderValue {
        let text = format!("00-{}-{}-{:02x}", hex::encode(self.trace_id), hex::encode(self.span_id), u8::from(self.sampled));
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Reads a header of version 00, or as much of a later one as 00 defines (section 3.2.4).
fn parse(value: &HeaderValue) -> Option<TraceContext> {
    let text = value.to_str().ok()?;
    let mut fields = text.split('-');
    let version = octets::<1>(fields.next()?)?;
    let trace_id = octets::<16>(fields.next()?)?;
    let span_id = octets::<8>(fields.next()?)?;
    let [flags] = octets::<1>(fields.next()?)?;
    let surplus = fields.next().is_some();
    let valid = version != [0xff] && !(version == [0] && surplus) && trace_id != [0; 16] && span_id != [0; 8];
    valid.then_some(TraceContext {
        trace_id,
        span_id,
        sampled: flags & 1 == 1,
    })
}

/// Reads exactly `N` octets of lower-case hex.
fn octets<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut octets = [0; N];
    hex::decode_to_slice(text, &mut octets).ok()?;
    Some(octets)
}

/// Returns an identifier that is not all zero.
///
/// Without randomness a count does: the id ties log lines together and protects nothing.
fn identifier<const N: usize>() -> [u8; N] {
    static FALLBACK: AtomicU64 = AtomicU64::new(1);
    match random::array::<N>() {
        Ok(octets) if octets != [0; N] => octets,
        _ => {
            let count = FALLBACK.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let mut octets = [0xff; N];
            for (to, from) in octets.iter_mut().rev().zip(count.iter().rev()) {
                *to = *from;
            }
            octets
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (TRACEPARENT, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_named_trace_is_continued_in_a_new_span() {
        let context = TraceContext::of(&headers(&[PARENT]));
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let onwards = context.to_traceparent();
        assert!(onwards.to_str().unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert_ne!(onwards, PARENT);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-will-be";
        assert_eq!(TraceContext::of(&headers(&[later])).trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn what_is_no_trace_context_starts_a_new_one() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-surplus",
            "00-4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-01",
        ] {
            let trace_id = TraceContext::of(&headers(&[wrong])).trace_id();
            assert_ne!(trace_id, "4bf92f3577b34da6a3ce929d0e0e4736", "{wrong}");
            assert_eq!(trace_id.len(), 32);
        }
        assert_ne!(TraceContext::of(&headers(&[PARENT, PARENT])).trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    proptest! {
        #[test]
        fn any_header_gives_a_context_that_reads_back(value in "[ -~]{0,80}") {
            let context = TraceContext::of(&headers(&[&value]));
            let again = parse(&context.to_traceparent()).unwrap();
            prop_assert_eq!(again, context);
        }
    }
}
