//! Which headers go on, in both directions.
//!
//! Owns hop-by-hop removal (RFC 9110, 7.6.1) and the headers that say who asked. Never looks at
//! a body and never touches what the session adds.

use std::net::IpAddr;

use http::uri::{self, Authority, Scheme};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    header::{self, HeaderName, HeaderValue},
};

use crate::{client::Client, error::Failure, ids, trace};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// What a request's `Host` becomes in the headers that quote it.
#[derive(Clone, Debug)]
pub(crate) struct HostValues {
    host: Option<HeaderValue>,
    forwarded: HeaderValue,
}

/// Writes what HTTP/2 says in its own way as HTTP/1.1 does: whom the request is for, and its
/// cookies (RFC 9113, 8.3.1 and 8.2.3).
pub(crate) fn from_http2<B>(request: &mut Request<B>) {
    if !request.headers().contains_key(header::HOST)
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    let headers = request.headers_mut();
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if let (Some(first), Some(second)) = (cookies.next(), cookies.next()) {
        let rest = std::iter::once(second).chain(cookies);
        let line = rest.fold(first.as_bytes().to_vec(), |mut line, crumb| {
            line.extend_from_slice(b"; ");
            line.extend_from_slice(crumb.as_bytes());
            line
        });
        if let Ok(line) = HeaderValue::from_bytes(&line) {
            headers.insert(header::COOKIE, line);
        }
    }
}

/// Writes a request to an HTTP/1.1 server as one to an HTTP/2 server (RFC 9113, 8.2.2 and 8.3.1).
/// `to_http1` takes it back.
///
/// # Errors
///
/// When its `Host` cannot be put so.
pub(crate) fn to_http2<B>(request: &mut Request<B>, scheme: Scheme) -> Result<(), Failure> {
    let bad = |_| Failure::Host("it cannot be said in HTTP/2");
    let host = request.headers().get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let mut parts = uri::Parts::default();
    parts.authority = Some(Authority::try_from(host).map_err(bad)?);
    parts.scheme = Some(scheme);
    parts.path_and_query = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| bad_target())?;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    for name in [header::HOST, header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    Ok(())
}

fn bad_target() -> Failure {
    Failure::Target("it cannot be said in HTTP/2")
}

/// What `to_http2` wrote, for whichever server gets the request instead. Its body is framed anew
/// in any case.
pub(crate) fn to_http1<B>(request: &mut Request<B>) {
    if let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    *request.uri_mut() = origin_form(request.uri());
    *request.version_mut() = Version::HTTP_11;
    if request.headers().contains_key(header::TE) {
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Makes a client's request one that a server may get. True: the client asks for an upgrade.
pub(crate) fn to_backend<B>(request: &mut Request<B>, client: &Client) -> bool {
    let old = request.version() == Version::HTTP_10;
    let upgrade = strip_request(request.headers_mut(), client.trusted, old);
    let received = if request.version() == Version::HTTP_2 { VIA_2 } else { VIA };
    set_forwarding(request.headers_mut(), client, &received);
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
    is_hop_by_hop(text) || is_ours(text) || is_forwarding(text) || disguised
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
                || (!trusted && is_forwarding(text))
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

/// Says who asked: a client that is not trusted could say anything.
fn is_forwarding(name: &str) -> bool {
    matches!(name, "forwarded" | "via" | "x-request-id" | "x-real-ip")
        || name.starts_with("x-forwarded-")
}

/// Some servers read `_` as `-`, and would take this for a header that was checked here.
fn is_disguised(name: &str) -> bool {
    let plain = name.replace('_', "-");
    is_ours(&plain)
        || is_forwarding(&plain)
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

fn set_forwarding(headers: &mut HeaderMap, client: &Client, via: &HeaderValue) {
    let host = headers.get(header::HOST);
    let kept = client.host_values.get_or_init(|| HostValues::new(host, client));
    if kept.host.as_ref() == host {
        set_forwarding_as(headers, client, kept.clone(), via);
    } else {
        let other = HostValues::new(host, client);
        set_forwarding_as(headers, client, other, via);
    }
}

const VIA: HeaderValue = HeaderValue::from_static("1.1 rondel");
const VIA_2: HeaderValue = HeaderValue::from_static("2.0 rondel");

/// An untrusted client's own were removed before, so whatever is there may stay.
fn set_forwarding_as(
    headers: &mut HeaderMap,
    client: &Client,
    values: HostValues,
    via: &HeaderValue,
) {
    let scheme = HeaderValue::from_static(client.scheme());

    if client.trusted {
        let chain = joined(headers, &X_FORWARDED_FOR, &client.forwarded_for);
        headers.insert(X_FORWARDED_FOR, chain);
        headers.entry(X_FORWARDED_PROTO).or_insert(scheme);
        if let Some(host) = values.host {
            headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
        let chain = joined(headers, &header::FORWARDED, &values.forwarded);
        headers.insert(header::FORWARDED, chain);
        let chain = joined(headers, &header::VIA, via);
        headers.insert(header::VIA, chain);
        headers.entry(X_REQUEST_ID).or_insert_with(request_id);
    } else {
        headers.insert(X_FORWARDED_FOR, client.forwarded_for.clone());
        headers.insert(X_FORWARDED_PROTO, scheme);
        if let Some(host) = values.host {
            headers.insert(X_FORWARDED_HOST, host);
        }
        headers.insert(header::FORWARDED, values.forwarded);
        headers.insert(header::VIA, via.clone());
        headers.insert(X_REQUEST_ID, request_id());
    }
}

/// One line with all values and ours as the last: many servers read only the first line.
fn joined(headers: &HeaderMap, name: &HeaderName, ours: &HeaderValue) -> HeaderValue {
    let mut line = Vec::new();
    for value in headers.get_all(name) {
        line.extend_from_slice(value.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(ours.as_bytes());
    HeaderValue::from_bytes(&line).unwrap_or_else(|_| ours.clone())
}

impl HostValues {
    fn new(host: Option<&HeaderValue>, client: &Client) -> Self {
        let mut line = match client.peer {
            IpAddr::V4(ip) => format!("for={ip}"),
            IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
        };
        // `framing.rs` has seen to it that a Host has no character that a quoted string could not.
        if let Some(host) = host.and_then(|host| host.to_str().ok()) {
            line.push_str(";host=\"");
            line.push_str(host);
            line.push('"');
        }
        line.push_str(";proto=");
        line.push_str(client.scheme());
        let forwarded = HeaderValue::try_from(line);
        // A copy: a clone would keep the whole buffer that the request was read into.
        let copy = |host: &HeaderValue| HeaderValue::from_bytes(host.as_bytes()).ok();
        Self {
            host: host.and_then(copy),
            forwarded: forwarded.unwrap_or_else(|_| HeaderValue::from_static("for=unknown")),
        }
    }
}

/// 16 random bytes in hex: to find one request in the logs of several systems, so it need not be
/// hard to guess.
fn request_id() -> HeaderValue {
    let mut id = [0; 32];
    for half in id.chunks_exact_mut(16) {
        half.copy_from_slice(&ids::sixteen_digits());
    }
    HeaderValue::from_bytes(&id).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

/// One hop less is left to a request that counts them (RFC 9110, 7.6.2).
fn count_hop(headers: &mut HeaderMap) {
    if let Some(left) = headers.get_mut(header::MAX_FORWARDS)
        && let Some(number) = left.to_str().ok().and_then(|text| text.parse::<u32>().ok())
    {
        *left = HeaderValue::from(number.saturating_sub(1));
    }
}

/// Path and query alone, as a server expects them.
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from)
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
    fn a_trusted_chain_grows_by_one_link_in_one_line() {
        let headers = map(&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2")]);
        let ours = HeaderValue::from_static("3.3.3.3");
        assert_eq!(joined(&headers, &X_FORWARDED_FOR, &ours), "1.1.1.1, 2.2.2.2, 3.3.3.3");
    }

    #[test]
    fn keep_alive_says_how_long() {
        assert_eq!(keep_alive_timeout(&map(&[("keep-alive", "max=9, Timeout = 5")])), Some(5));
        assert_eq!(keep_alive_timeout(&map(&[("keep-alive", "max=9")])), None);
    }

    #[test]
    fn request_ids_are_32_hex_digits_and_differ() {
        let (one, two) = (request_id(), request_id());
        assert_eq!(one.len(), 32);
        assert!(one.as_bytes().iter().all(u8::is_ascii_hexdigit));
        assert_ne!(one, two);
    }
}
