//! Which headers go on, in both directions.
//!
//! Owns hop-by-hop removal (RFC 9110, 7.6.1). Who asked is written down in `forwarding`; what the
//! versions of HTTP say differently is in `versions`. Never looks at a body and never touches what
//! the session adds.

mod forwarding;
mod versions;

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    header::{self, HeaderName, HeaderValue},
};

use self::versions::origin_form;
pub(crate) use self::{
    forwarding::HostValues,
    versions::{from_http2, to_http1, to_http2},
};
use crate::{client::Client, trace};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Makes a client's request one that a server may get. True: the client asks for an upgrade.
pub(crate) fn to_backend<B>(request: &mut Request<B>, client: &Client) -> bool {
    let old = request.version() == Version::HTTP_10;
    let upgrade = strip_request(request.headers_mut(), client.trusted, old);
    let version = request.version();
    forwarding::set(request.headers_mut(), client, version);
    if client.worker.proxy.trace {
        trace::pass_on_or_begin(request.headers_mut());
    }
    *request.version_mut() = Version::HTTP_11;
    if matches!(*request.method(), Method::OPTIONS | Method::TRACE) {
        count_hop(request.headers_mut());
    }
    if let Some(authority) = request.uri().authority() {
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            request.headers_mut().entry(header::HOST).or_insert(host);
        }
        let server_itself = *request.method() == Method::OPTIONS && client.asks_without_path();
        *request.uri_mut() =
            if server_itself { Uri::from_static("*") } else { origin_form(request.uri()) };
    }
    upgrade
}

/// Makes a server's response one that the client may get. With sessions on, what the server says
/// to them (`keep_ours`) stays for them to take.
pub(crate) fn to_client<B>(response: &mut Response<B>, keep_ours: bool) {
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let mut gone = Vec::new();
    for name in response.headers().keys() {
        let text = name.as_str();
        if may_be_special(text) && (is_hop_by_hop(text) || (!keep_ours && is_ours(text))) {
            gone.push(name.clone());
        }
    }
    let headers = response.headers_mut();
    let upgrade = upgraded.then(|| headers.get(header::UPGRADE).cloned()).flatten();
    if headers.contains_key(header::CONNECTION) {
        gone.extend(nominated(headers));
    }
    for name in gone {
        headers.remove(name);
    }
    if let Some(protocol) = upgrade {
        headers.insert(header::UPGRADE, protocol);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    *response.version_mut() = Version::HTTP_11;
}

/// Whether a field is for us alone, or from us alone.
pub(crate) fn ends_here(name: &HeaderName) -> bool {
    let text = name.as_str();
    let disguised = text.contains('_') && is_disguised(text);
    is_hop_by_hop(text) || is_ours(text) || forwarding::is_one(text) || disguised
}

/// How long the server says that it keeps an idle connection, in seconds.
pub(crate) fn keep_alive_timeout(headers: &HeaderMap) -> Option<u32> {
    let value = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    value.split(',').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| value.trim().parse().ok()).flatten()
    })
}

/// Takes off what ends here, what only a trusted peer may say, and what is ours alone.
fn strip_request(headers: &mut HeaderMap, trusted: bool, old: bool) -> bool {
    let mut gone = Vec::new();
    for name in headers.keys() {
        let text = name.as_str();
        let special = may_be_special(text)
            && (is_hop_by_hop(text)
                || is_ours(text)
                || (!trusted && forwarding::is_one(text))
                || text == "expect"); // answered here, by hyper, when the body is asked for
        if special || (text.contains('_') && is_disguised(text)) {
            gone.push(name.clone());
        }
    }
    if gone.is_empty() {
        return false;
    }
    let upgrade = if old { None } else { upgrade_asked_for(headers) };
    let trailers = accepts_trailers(headers);
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    gone.extend(nominated(headers));
    for name in gone {
        headers.remove(name);
    }
    if chunked {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    let Some(protocol) = upgrade else { return false };
    headers.insert(header::UPGRADE, protocol);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    true
}

/// Whether a name can be one of those that are looked for below: mostly its first letter and its
/// length say that it is not. Each request has a dozen names, and each response some.
fn may_be_special(name: &str) -> bool {
    match (name.as_bytes().first(), name.len()) {
        (Some(b'c'), length) => length == "connection".len(),
        (Some(b'e'), length) => length == "expect".len(),
        (Some(b'f'), length) => length == "forwarded".len(),
        (Some(b'h'), length) => length == "http2-settings".len(),
        (Some(b'k'), length) => length == "keep-alive".len(),
        (Some(b'u'), length) => length == "upgrade".len(),
        (Some(b'v'), length) => length == "via".len(),
        (first, _) => matches!(first, Some(b'p' | b'r' | b't' | b'x')),
    }
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "transfer-encoding"
            | "upgrade"
            | "te"
            | "keep-alive"
            | "proxy-authorization"
            | "proxy-authenticate"
            | "proxy-connection"
            | "http2-settings"
    )
}

/// Only the proxy and the servers speak in these.
fn is_ours(name: &str) -> bool {
    name.starts_with("rondel-")
}

/// Some servers read `_` as `-`, and would take this for a header that was checked here.
fn is_disguised(name: &str) -> bool {
    let plain = name.replace('_', "-");
    is_ours(&plain)
        || forwarding::is_one(&plain)
        || matches!(
            plain.as_str(),
            "content-length"
                | "transfer-encoding"
                | "host"
                | "connection"
                | "expect"
                | "te"
                | "keep-alive"
                | "proxy-connection"
                | "proxy-authorization"
                | "upgrade"
                | "trailer"
        )
}

/// The names that `Connection` says end here; never those that the message cannot be read without.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let needed = [header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::TRAILER];
    tokens(headers, &header::CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| !needed.contains(name))
        .collect()
}

fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// `Upgrade` counts only where `Connection` names it. HTTP/2 in clear is not spoken to servers in
/// the middle of a connection, so an offer of it is not passed on.
fn upgrade_asked_for(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(header::UPGRADE)?;
    let named = tokens(headers, &header::CONNECTION).any(|t| t.eq_ignore_ascii_case("upgrade"));
    let h2c = tokens(headers, &header::UPGRADE).any(|t| t.eq_ignore_ascii_case("h2c"));
    (named && !h2c).then(|| protocol.clone())
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    tokens(headers, &header::TE).any(|token| token.eq_ignore_ascii_case("trailers"))
}

/// One hop less is left to a request that counts them (RFC 9110, 7.6.2).
fn count_hop(headers: &mut HeaderMap) {
    if let Some(left) = headers.get_mut(header::MAX_FORWARDS)
        && let Some(number) = left.to_str().ok().and_then(|text| text.parse::<u32>().ok())
    {
        *left = HeaderValue::from(number.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn what_ends_here_goes_and_so_does_what_connection_names() {
        let mut headers = map(&[
            ("host", "a"),
            ("connection", "close, X-Secret"),
            ("connection", "host"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("x-secret", "1"),
            ("accept", "*/*"),
        ]);
        assert!(!strip_request(&mut headers, false, false));
        assert_eq!(names(&headers), ["host", "accept"]);
    }

    #[test]
    fn names_that_are_ours_or_read_as_others_go() {
        let mut headers = map(&[
            ("rondel-session", "x"),
            ("rondel_session", "x"),
            ("content_length", "3"),
            ("x_forwarded_for", "1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
            ("my_own", "stays"),
        ]);
        strip_request(&mut headers, false, false);
        assert_eq!(names(&headers), ["my_own"]);
    }

    #[test]
    fn whatever_ends_here_may_be_special() {
        let names = [
            "connection",
            "transfer-encoding",
            "upgrade",
            "te",
            "keep-alive",
            "proxy-authorization",
            "proxy-authenticate",
            "proxy-connection",
            "http2-settings",
            "expect",
            "forwarded",
            "via",
            "x-request-id",
            "x-real-ip",
            "x-forwarded-any",
            "rondel-any",
        ];
        for name in names {
            assert!(may_be_special(name), "{name}");
            assert!(name == "expect" || ends_here(&HeaderName::from_static(name)), "{name}");
        }
        let usual = ["host", "user-agent", "accept", "cookie", "content-type", "date", "server"];
        assert!(!usual.into_iter().any(may_be_special));
    }

    #[test]
    fn an_upgrade_passes_only_where_connection_names_it() {
        let asked = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
        let mut headers = map(&asked);
        assert!(strip_request(&mut headers, false, false));
        assert_eq!(headers[header::CONNECTION], "upgrade");
        assert_eq!(headers[header::UPGRADE], "websocket");

        assert!(!strip_request(&mut map(&asked), false, true), "HTTP/1.0 has no upgrade");
        let mut headers = map(&[("upgrade", "websocket")]);
        assert!(!strip_request(&mut headers, false, false));
        assert!(headers.is_empty());
        let mut headers = map(&[("connection", "upgrade, http2-settings"), ("upgrade", "h2c")]);
        assert!(!strip_request(&mut headers, false, false));
        assert!(headers.is_empty());
    }

    #[test]
    fn keep_alive_says_how_long() {
        assert_eq!(keep_alive_timeout(&map(&[("keep-alive", "max=9, Timeout = 5")])), Some(5));
        assert_eq!(keep_alive_timeout(&map(&[("keep-alive", "max=9")])), None);
    }
}
