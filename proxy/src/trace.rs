//! W3C trace context: one id for a request wherever it goes.
//!
//! Owns what a `traceparent` looks like. What a client sent is passed on as it is, since the proxy
//! adds no span of its own; where there is none that holds, a trace begins here.

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};

use crate::ids;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Sees to it that the request belongs to a trace.
pub(crate) fn pass_on_or_begin(headers: &mut HeaderMap) {
    if parent(headers).is_some() {
        return;
    }
    // Its state says nothing without the parent that it belongs to.
    headers.remove(TRACESTATE);
    headers.insert(TRACEPARENT, begin());
}

/// The id of the request's trace, if it belongs to one.
pub(crate) fn id(headers: &HeaderMap) -> Option<&str> {
    parent(headers).map(|parent| &parent[3..35])
}

/// The one parent, if it is well-formed: version, trace, parent, flags.
fn parent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?;
    let (known, more) = text.split_at_checked(55)?;
    let bytes = known.as_bytes();
    let is_hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = |part: &[u8]| is_hex(part) && part.iter().any(|byte| *byte != b'0');
    let parts = [2, 35, 52].iter().all(|at| bytes[*at] == b'-')
        && is_hex(&bytes[..2])
        && is_id(&bytes[3..35])
        && is_id(&bytes[36..52])
        && is_hex(&bytes[53..]);
    // Later versions may have more to say, after a dash; this one has not.
    let ends = more.is_empty() || (more.starts_with('-') && &bytes[..2] != b"00");
    (parts && ends && &bytes[..2] != b"ff").then_some(text)
}

/// A parent that nobody has had. It says "sampled": whoever records traces behind us would record
/// none if it said no, and can decide otherwise.
fn begin() -> HeaderValue {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    for at in [3, 19, 36] {
        text[at..at + 16].copy_from_slice(&ids::sixteen_digits());
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn passed(parents: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TRACESTATE, HeaderValue::from_static("vendor=1"));
        for parent in parents {
            headers.append(TRACEPARENT, HeaderValue::from_str(parent).unwrap());
        }
        pass_on_or_begin(&mut headers);
        headers
    }

    #[test]
    fn a_trace_is_passed_on_as_it_is() {
        for good in [GOOD, &GOOD.replacen("00", "cc", 1), &(GOOD.replacen("00", "01", 1) + "-more")]
        {
            let headers = passed(&[good]);
            assert_eq!(headers[TRACEPARENT], *good);
            assert!(headers.contains_key(TRACESTATE));
            assert_eq!(id(&headers), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        }
    }

    #[test]
    fn what_does_not_hold_gives_way_to_a_trace_of_our_own() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let no_parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        for bad in [
            &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"][..],
            &[&GOOD.to_uppercase()],
            &[&GOOD[1..]],
            &[&(GOOD.to_owned() + "-more")],
            &[zeros],
            &[no_parent],
            &[GOOD, GOOD],
            &["\u{e9}"],
            &[],
        ] {
            let headers = passed(bad);
            assert!(!headers.contains_key(TRACESTATE), "{bad:?}");
            assert_eq!(headers.get_all(TRACEPARENT).iter().count(), 1);
            let begun = id(&headers).expect("one that holds");
            assert_ne!(begun, "4bf92f3577b34da6a3ce929d0e0e4736", "{bad:?}");
        }
        assert_ne!(id(&passed(&[])), id(&passed(&[])));
    }
}
