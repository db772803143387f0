//! What comes from a server.
//!
//! Owns the status line, and which responses are awaited: what a server sends unasked would
//! otherwise be taken for the answer to the next request.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use hyper::Method;

use crate::error::Failure;

use super::{Body, Framing, Messages, Version, head::has_control, stream::Side};

/// What a connection is to bring next, told by whoever sends the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected(Arc<AtomicU8>);

const NOTHING: u8 = 0;
const RESPONSE: u8 = 1;
/// Its head says how long a body would be, and none comes.
const RESPONSE_TO_HEAD: u8 = 2;

impl Expected {
    pub(crate) fn response_to(&self, method: &Method) {
        let kind = if method == Method::HEAD { RESPONSE_TO_HEAD } else { RESPONSE };
        // ORDERING: Relaxed here and below; a connection and its requests share one thread.
        self.0.store(kind, Ordering::Relaxed);
    }
}

/// The responses of a server, one after the other.
#[derive(Debug)]
pub(crate) struct Responses {
    expected: Expected,
    status: u16,
}

impl Responses {
    pub(crate) fn new(expected: Expected) -> Self {
        Self { expected, status: 0 }
    }

    fn kind(&self) -> u8 {
        self.expected.0.load(Ordering::Relaxed)
    }
}

impl Messages for Responses {
    fn may_begin(&mut self) -> bool {
        self.kind() != NOTHING
    }

    fn start_line(&mut self, line: &[u8]) -> Result<Option<Version>, Failure> {
        let (version, status) = status_line(line).ok_or(Failure::BadResponse)?;
        self.status = status;
        Ok(Some(version))
    }

    fn body(&mut self, framing: Framing) -> Result<Body, Failure> {
        let framed = framing.chunked || framing.length.is_some_and(|length| length > 0);
        match self.status {
            // HTTP ends with its head.
            101 if !framed => return Ok(Body::ToTheEnd),
            100..=199 if !framed => return Ok(Body::Head),
            204 if !framed => {}
            // A server that means to send a body here will be followed by some parsers.
            100..=199 | 204 => return Err(Failure::BadResponse),
            _ => {}
        }
        let to_head = self.kind() == RESPONSE_TO_HEAD;
        self.expected.0.store(NOTHING, Ordering::Relaxed);
        if to_head || matches!(self.status, 204 | 304) {
            return Ok(Body::Length(0));
        }
        let length = framing.length.map_or(Body::ToTheEnd, Body::Length);
        Ok(if framing.chunked { Body::Chunked } else { length })
    }
}

impl Side for Responses {
    const KEEPS_EARLY: bool = false;

    fn bytes_came(&mut self) {}

    fn park(&mut self) {}

    /// Whoever awaits it is told by the error.
    fn refuse(&mut self, _: Failure) -> Option<&'static [u8]> {
        None
    }
}

/// A server may leave the reason out, and the space before it.
fn status_line(line: &[u8]) -> Option<(Version, u16)> {
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', a, b, c, reason @ ..] = line else {
        return None;
    };
    let version = match minor {
        b'0' => Version::Http10,
        b'1' => Version::Http11,
        _ => return None,
    };
    let digits = [a, b, c].iter().all(|digit| digit.is_ascii_digit());
    if !digits || *a == b'0' || !matches!(reason, [] | [b' ', ..]) || has_control(reason) {
        return None;
    }
    let status = [a, b, c].iter().fold(0, |status, digit| status * 10 + u16::from(**digit - b'0'));
    Some((version, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_has_three_digits_and_maybe_a_reason() {
        for (good, status) in
            [("HTTP/1.1 200 OK", 200), ("HTTP/1.1 599 ", 599), ("HTTP/1.1 404", 404)]
        {
            assert_eq!(status_line(good.as_bytes()), Some((Version::Http11, status)));
        }
        assert_eq!(status_line(b"HTTP/1.0 200 \xe9").map(|line| line.0), Some(Version::Http10));
        for bad in [
            "",
            "HTTP/1.1",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 099 OK",
            "HTTP/1.1  200 OK",
            "HTTP/1.2 200 OK",
            "HTTP/2 200",
            "http/1.1 200 OK",
            "HTTP/1.1 200 O\0K",
            "HTTP/1.1 200\tOK",
            "HTTP/1.1 200 O\rK",
            "HTTP/1.1\t200 OK",
            "ICY 200 OK",
            " HTTP/1.1 200 OK",
        ] {
            assert_eq!(status_line(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn how_a_response_ends_depends_on_what_was_asked() {
        let body = |status, method: Method, length, chunked| {
            let expected = Expected::default();
            expected.response_to(&method);
            let mut responses = Responses { expected, status };
            responses.body(Framing { length, chunked, ..Framing::default() })
        };
        assert_eq!(body(200, Method::GET, Some(3), false), Ok(Body::Length(3)));
        assert_eq!(body(200, Method::GET, None, true), Ok(Body::Chunked));
        assert_eq!(body(200, Method::GET, None, false), Ok(Body::ToTheEnd));
        assert_eq!(body(200, Method::HEAD, Some(3), false), Ok(Body::Length(0)));
        assert_eq!(body(304, Method::GET, Some(3), false), Ok(Body::Length(0)));
        assert_eq!(body(204, Method::GET, Some(0), false), Ok(Body::Length(0)));
        assert_eq!(body(103, Method::HEAD, None, false), Ok(Body::Head));
        assert_eq!(body(101, Method::GET, None, false), Ok(Body::ToTheEnd));
        for status in [100, 101, 103, 204] {
            assert!(body(status, Method::GET, Some(3), false).is_err());
            assert!(body(status, Method::GET, None, true).is_err());
        }
    }
}
