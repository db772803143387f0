//! Which requests and responses are read at all.
//!
//! Owns the refusal of what two parsers could read differently, as far as it shows in a parsed
//! head (RFC 9112, sections 3 to 6). Never changes a message.

use std::net::Ipv6Addr;

use hyper::{
    HeaderMap, Method, Request, Response, Uri, Version,
    header::{self, HeaderValue},
};

use crate::error::Failure;

/// Refuses a request that must not be passed on.
pub(crate) fn check_request<B>(request: &Request<B>) -> Result<(), Failure> {
    if request.method() == Method::CONNECT {
        return Err(Failure::Method);
    }
    check_transfer_encoding(request.headers())?;
    if request.version() == Version::HTTP_2 {
        check_length(request.headers())?;
    }
    check_target(request.method(), request.uri())?;
    check_host(request.version(), request.uri(), request.headers())?;
    check_expectation(request.headers())
}

/// Refuses a response whose end another parser could see elsewhere.
pub(crate) fn check_response<B>(response: &Response<B>) -> Result<(), Failure> {
    let headers = response.headers();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    let several = lengths.next().is_some() || length.is_some_and(|l| l.as_bytes().contains(&b','));
    let coded = headers.contains_key(header::TRANSFER_ENCODING);
    let ambiguous = several || (coded && (length.is_some() || !is_chunked_alone(headers)));
    if ambiguous { Err(Failure::BadResponse) } else { Ok(()) }
}

/// HTTP/1's was read with its head. In HTTP/2 the frames say where a body ends, and a length that
/// nobody has looked at would say it again to an HTTP/1 server.
fn check_length(headers: &HeaderMap) -> Result<(), Failure> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let number = |length: &HeaderValue| {
        let digits = length.as_bytes();
        (1..=19).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
    };
    let (first, second) = (lengths.next(), lengths.next());
    if first.is_none_or(number) && second.is_none() {
        return Ok(());
    }
    Err(Failure::Framing("Content-Length must be one number"))
}

fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Failure> {
    if headers.contains_key(header::TRANSFER_ENCODING) && !is_chunked_alone(headers) {
        return Err(Failure::Framing("Transfer-Encoding must be `chunked` and nothing else"));
    }
    Ok(())
}

fn is_chunked_alone(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let first = codings.next().map(HeaderValue::as_bytes);
    first.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) && codings.next().is_none()
}

/// The target is a path, or a URL with one; `*` belongs to OPTIONS alone.
fn check_target(method: &Method, uri: &Uri) -> Result<(), Failure> {
    match uri.path().as_bytes() {
        [b'/', ..] => Ok(()),
        b"*" if method == Method::OPTIONS => Ok(()),
        _ => Err(Failure::Target("a path is expected")),
    }
}

fn check_host(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else {
        // HTTP/1.0 had no Host.
        let old = version == Version::HTTP_10;
        return if old { Ok(()) } else { Err(Failure::Host("there is none")) };
    };
    if hosts.next().is_some() {
        return Err(Failure::Host("there are several"));
    }
    if !is_authority(host.as_bytes()) {
        return Err(Failure::Host("it is no host name or address"));
    }
    match uri.authority() {
        Some(authority) if !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) => {
            Err(Failure::Host("it differs from the target's"))
        }
        _ => Ok(()),
    }
}

/// `uri-host [":" port]` of RFC 3986, without the characters that nobody uses in a name and that
/// some parsers take for a separator.
fn is_authority(value: &[u8]) -> bool {
    if let [b'[', rest @ ..] = value {
        return is_rest_of_ipv6_authority(rest);
    }
    let colon = value.iter().position(|byte| *byte == b':');
    let (host, port) = value.split_at(colon.unwrap_or(value.len()));
    let name = |b: &u8| b.is_ascii_alphanumeric() || b".-_~%!$&'()*+;=".contains(b);
    !host.is_empty() && host.iter().all(name) && is_colon_and_port(port)
}

/// `[` has been read.
fn is_rest_of_ipv6_authority(rest: &[u8]) -> bool {
    let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
    let address = std::str::from_utf8(&rest[..end]).ok();
    let good = address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    good && is_colon_and_port(&rest[end + 1..])
}

fn is_colon_and_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    }
}

fn is_port(digits: &[u8]) -> bool {
    // An empty port is the default one (RFC 3986, 3.2.3).
    digits.len() <= 5
        && digits.iter().all(u8::is_ascii_digit)
        && digits.iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65_535
}

fn check_expectation(headers: &HeaderMap) -> Result<(), Failure> {
    let mut expectations = headers.get_all(header::EXPECT).iter();
    let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if expectations.all(known) { Ok(()) } else { Err(Failure::Expectation) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, uri: &str, headers: &[(&str, &str)]) -> Result<(), Failure> {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check_request(&request.body(()).unwrap())
    }

    #[test]
    fn a_plain_request_passes() {
        for host in ["a", "a:80", "a:", "[::1]", "[::1]:1", "x_y.local", "10.0.0.1:65535"] {
            assert_eq!(request(Version::HTTP_11, "/a?b", &[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn hosts_that_are_missing_repeated_or_malformed_are_refused() {
        assert!(request(Version::HTTP_11, "/", &[]).is_err());
        assert_eq!(request(Version::HTTP_10, "/", &[]), Ok(()));
        assert!(request(Version::HTTP_11, "/", &[("host", "a"), ("host", "a")]).is_err());
        for host in
            ["", "a@b", "a b", "a/b", "a:b", "a:65536", "a,b", "[::1", "[]", "a:1:2", "a\\b"]
        {
            assert!(request(Version::HTTP_11, "/", &[("host", host)]).is_err(), "{host}");
        }
    }

    #[test]
    fn a_whole_url_is_taken_if_it_agrees_with_the_host() {
        assert_eq!(request(Version::HTTP_11, "http://A:1/x", &[("host", "a:1")]), Ok(()));
        assert!(request(Version::HTTP_11, "http://a:1/x", &[("host", "a")]).is_err());
    }

    #[test]
    fn targets_that_are_no_path_are_refused() {
        assert!(request(Version::HTTP_11, "foo", &[("host", "a")]).is_err());
        assert!(request(Version::HTTP_11, "*", &[("host", "a")]).is_err());
    }

    #[test]
    fn only_one_chunked_is_a_transfer_encoding() {
        let with = |codings: &[&str]| {
            let mut headers = vec![("host", "a")];
            headers.extend(codings.iter().map(|coding| ("transfer-encoding", *coding)));
            request(Version::HTTP_11, "/", &headers)
        };
        assert_eq!(with(&["Chunked"]), Ok(()));
        for bad in
            [&["gzip, chunked"][..], &["chunked", "chunked"], &["chunked, chunked"], &["identity"]]
        {
            assert!(with(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_length_that_http2_does_not_need_is_one_number_all_the_same() {
        let with = |lengths: &[&str]| {
            let mut headers = vec![("host", "a")];
            headers.extend(lengths.iter().map(|length| ("content-length", *length)));
            request(Version::HTTP_2, "http://a/", &headers)
        };
        assert_eq!((with(&[]), with(&["0"])), (Ok(()), Ok(())));
        for bad in [&["1", "1"][..], &["1, 1"], &["+1"], &[""], &["99999999999999999999"]] {
            assert!(with(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_unknown_expectation_is_refused() {
        let with = |value| request(Version::HTTP_11, "/", &[("host", "a"), ("expect", value)]);
        assert_eq!(with("100-Continue"), Ok(()));
        assert_eq!(with("200-ok"), Err(Failure::Expectation));
    }

    #[test]
    fn a_response_with_two_ends_is_refused() {
        let response = |headers: &[(&str, &str)]| {
            let mut response = Response::builder();
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            check_response(&response.body(()).unwrap())
        };
        assert_eq!(response(&[("content-length", "3")]), Ok(()));
        assert_eq!(response(&[("transfer-encoding", "chunked")]), Ok(()));
        assert!(response(&[("content-length", "3"), ("content-length", "3")]).is_err());
        assert!(response(&[("content-length", "3, 3")]).is_err());
        assert!(response(&[("content-length", "3"), ("transfer-encoding", "chunked")]).is_err());
        assert!(response(&[("transfer-encoding", "gzip, chunked")]).is_err());
    }
}
