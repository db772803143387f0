//! What comes from a client.
//!
//! Owns the request line, and how a request that is refused here is answered: hyper cannot be told
//! to answer what it has not read, so it is given a request to read that stands for the refused
//! one. So every refusal takes the one path of all answers (`proxy.rs`), is counted and logged.

use std::sync::Arc;

use hyper::Uri;

use crate::{client::Client, error::Failure};

use super::{Body, Framing, Messages, Version, head::is_token, stream::Side};

/// Its method and target are what the access log shows.
const STAND_IN: &[u8] = b"- * HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n";

/// The requests of a client, one after the other.
pub(crate) struct Requests {
    client: Arc<Client>,
    empty_line: bool,
}

impl Requests {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        Self { client, empty_line: false }
    }
}

impl Messages for Requests {
    fn may_begin(&mut self) -> bool {
        self.client.gate.may_ask()
    }

    fn start_line(&mut self, line: &[u8]) -> Result<Option<Version>, Failure> {
        // One empty line may come before a request (RFC 9112, 2.2).
        if line.is_empty() && !self.empty_line {
            self.empty_line = true;
            return Ok(None);
        }
        let (version, target) = request_line(line)?;
        // hyper would take the connection out of HTTP, whatever the answer is.
        if line.starts_with(b"CONNECT ") {
            return Err(Failure::Method);
        }
        if !target.starts_with(b"/") {
            self.client.set_without_path(is_without_path(target));
        }
        Ok(Some(version))
    }

    fn body(&mut self, framing: Framing) -> Result<Body, Failure> {
        self.empty_line = false;
        self.client.gate.asks();
        let length = Body::Length(framing.length.unwrap_or(0));
        Ok(if framing.chunked { Body::Chunked } else { length })
    }
}

impl Side for Requests {
    const KEEPS_EARLY: bool = true;

    fn bytes_came(&mut self) {
        self.client.bytes_came();
    }

    fn park(&mut self) {
        self.client.gate.park();
    }

    fn written(&mut self, taken: bool) {
        self.client.reads(taken);
    }

    fn refuse(&mut self, failure: Failure) -> Option<&'static [u8]> {
        self.client.refuse(failure);
        Some(STAND_IN)
    }
}

fn request_line(line: &[u8]) -> Result<(Version, &[u8]), Failure> {
    let (rest, version) = match line {
        [rest @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'] => {
            (rest, Version::Http11)
        }
        [rest @ .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'] => {
            (rest, Version::Http10)
        }
        _ => return Err(Failure::Syntax("its first line does not end with HTTP/1.1 or HTTP/1.0")),
    };
    let method = rest.iter().position(|byte| !is_token(*byte)).unwrap_or(rest.len());
    match &rest[method..] {
        [b' ', target @ ..] if method > 0 => check_target(target).map(|()| (version, target)),
        _ => Err(Failure::Syntax("its first line does not begin with a method")),
    }
}

/// Whether hyper will read the target, and read all of it. What it means is looked at later
/// (`framing.rs`).
fn check_target(target: &[u8]) -> Result<(), Failure> {
    let kinds = target.iter().fold(0, |kinds, byte| kinds | TARGET[usize::from(*byte)]);
    if kinds & NOWHERE != 0 {
        return Err(Failure::Target("it has a byte that must be percent-encoded, or a fragment"));
    }
    let in_path = || target.iter().take_while(|byte| **byte != b'?').any(|byte| *byte == b'`');
    if kinds & IN_QUERIES != 0 && in_path() {
        return Err(Failure::Target("it has a byte that must be percent-encoded in a path"));
    }
    let plain = matches!(target, [b'/', ..] | b"*");
    if plain || Uri::try_from(target).is_ok() {
        return Ok(());
    }
    Err(Failure::Target("a path is expected"))
}

fn is_without_path(url: &[u8]) -> bool {
    let mut parts = url.splitn(2, |byte| *byte == b':');
    let behind_scheme = parts.nth(1).and_then(|rest| rest.strip_prefix(b"//"));
    behind_scheme.is_some_and(|rest| !rest.iter().any(|byte| matches!(byte, b'/' | b'?')))
}

/// May stand anywhere in a target.
const ANYWHERE: u8 = 0;
/// Browsers send it in queries as it is.
const IN_QUERIES: u8 = 1;
const NOWHERE: u8 = 2;

/// What RFC 3986 allows, and what browsers send beside that.
const TARGET: [u8; 256] = {
    let mut table = [NOWHERE; 256];
    let mut byte = 0x21_u8;
    while byte < 0x7f {
        table[byte as usize] = match byte {
            b'"' | b'#' | b'<' | b'>' => NOWHERE,
            b'`' => IN_QUERIES,
            _ => ANYWHERE,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_a_method_a_target_and_a_version() {
        for good in
            ["GET / HTTP/1.1", "x * HTTP/1.1", "GET http://a/b?c HTTP/1.1", "GET a:1 HTTP/1.1"]
        {
            let line = request_line(good.as_bytes());
            assert!(line.is_ok_and(|(version, _)| version == Version::Http11), "{good}");
        }
        let target: &[u8] = b"/?`|^{}\\";
        assert_eq!(request_line(b"GET /?`|^{}\\ HTTP/1.0"), Ok((Version::Http10, target)));
        for bad in [
            "",
            "GET",
            "GET /",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / http/1.1",
            "GET / HTTP/1.2",
            "GET / HTTP/2.0",
            "GET / HTTP/01.1",
            " GET / HTTP/1.1",
            "GET /\tHTTP/1.1",
            "GET\t/ HTTP/1.1",
            "G(T / HTTP/1.1",
            " / HTTP/1.1",
            "/ HTTP/1.1",
            "GET HTTP/1.1",
            "GET / a HTTP/1.1",
            "GET /# HTTP/1.1",
            "GET /\0 HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET /` HTTP/1.1",
            "GET /\x7f HTTP/1.1",
            "GET ?a HTTP/1.1",
            "GET http:// HTTP/1.1",
            "GET \\ HTTP/1.1",
        ] {
            assert!(request_line(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    /// Whatever passes here must not be refused by hyper, whose own answer says less.
    #[test]
    fn what_passes_is_a_target_to_hyper_too() {
        for byte in 0..=255_u8 {
            for target in [vec![b'/', byte], vec![b'/', b'?', byte], vec![byte], vec![byte, b'a']] {
                if check_target(&target).is_ok() {
                    let uri = Uri::try_from(target.as_slice());
                    assert!(
                        uri.is_ok_and(|uri| uri.to_string().len() >= target.len()),
                        "{target:?}"
                    );
                }
            }
        }
    }
}
