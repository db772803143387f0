//! Who may do what here.
//!
//! Owns the checks that come before everything else: the name that we were called by, the token,
//! and for a change that no other site's page is behind it. A page on the web can make a browser on
//! this machine send requests here; it cannot make it send them with our name in `Host` once its
//! own name points here (rebinding), nor with this content type without being asked first.

use std::net::IpAddr;

use hyper::{
    HeaderMap, Method, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
    http::{request::Parts, uri::Authority},
};
use sha2::{Digest as _, Sha256};

use super::answer::{self, Body};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Reads that say nothing about what runs here.
const OPEN: [&str; 4] = ["/", "/healthz", "/readyz", "/api/openapi.json"];

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the Host is not one of this listener's (--admin-host adds a name)")]
    Host,
    #[error("a token is needed: Authorization: Bearer TOKEN")]
    NoToken,
    #[error("the token is not the right one")]
    WrongToken,
    #[error("a change cannot come from a page of another site")]
    CrossSite,
    #[error("a change needs Content-Type: application/json")]
    ContentType,
}

impl Refusal {
    pub(super) fn response(self) -> Response<Body> {
        let status = match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        };
        let mut response = answer::error(status, &self.to_string());
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"rondel\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Checks a request's head; `local` is the address that it came in on.
pub(super) fn check(
    head: &Parts,
    local: IpAddr,
    token: Option<&str>,
    names: &[String],
) -> Result<(), Refusal> {
    let host = host(head).ok_or(Refusal::Host)?;
    if !is_ours(&host, local, names) {
        return Err(Refusal::Host);
    }
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    if let Some(token) = token
        && !(reads && OPEN.contains(&head.uri.path()))
    {
        check_token(&head.headers, token)?;
    }
    if reads { Ok(()) } else { check_change(&head.headers, &host) }
}

/// The one name that the request was sent to.
fn host(head: &Parts) -> Option<Authority> {
    let mut values = head.headers.get_all(header::HOST).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let host: Authority = value.to_str().ok()?.parse().ok()?;
    let agrees = head.uri.authority().is_none_or(|authority| *authority == host);
    (agrees && !host.as_str().contains('@')).then_some(host)
}

/// A name can be pointed at us by anybody, so only known ones are ours; the port says nothing,
/// since forwarded ones differ.
fn is_ours(host: &Authority, local: IpAddr, names: &[String]) -> bool {
    let name = host.host();
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    match bare.parse::<IpAddr>() {
        Ok(ip) => {
            let ip = ip.to_canonical();
            ip.is_loopback() || ip == local.to_canonical() || names.iter().any(|own| own == bare)
        }
        Err(_) => {
            name.eq_ignore_ascii_case("localhost")
                || names.iter().any(|own| own.eq_ignore_ascii_case(name))
        }
    }
}

fn check_token(headers: &HeaderMap, token: &str) -> Result<(), Refusal> {
    let value = headers.get(header::AUTHORIZATION).ok_or(Refusal::NoToken)?.as_bytes();
    let (scheme, given) = value.split_at_checked("Bearer ".len()).ok_or(Refusal::NoToken)?;
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return Err(Refusal::NoToken);
    }
    if same(given.trim_ascii(), token.as_bytes()) { Ok(()) } else { Err(Refusal::WrongToken) }
}

/// Compares without telling by the time it takes how much is right: digests have one length, and
/// all of their bytes are looked at.
fn same(given: &[u8], right: &[u8]) -> bool {
    let (given, right) = (Sha256::digest(given), Sha256::digest(right));
    let differing = given.iter().zip(right).fold(0, |bits, (a, b)| bits | (a ^ b));
    std::hint::black_box(differing) == 0
}

fn check_change(headers: &HeaderMap, host: &Authority) -> Result<(), Refusal> {
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    if !matches!(site, None | Some(b"same-origin" | b"none")) {
        return Err(Refusal::CrossSite);
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let (scheme, authority) = origin.split_once("://").ok_or(Refusal::CrossSite)?;
        let ours =
            matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host.as_str());
        if !ours {
            return Err(Refusal::CrossSite);
        }
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Refusal::ContentType)
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5));

    fn checked(method: &str, path: &str, fields: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        check(&head, LOCAL, Some("a secret token"), &["lb.example".to_owned()])
    }

    #[test]
    fn only_our_own_names_are_served() {
        for host in [
            "localhost",
            "LOCALHOST:7778",
            "127.0.0.1:1",
            "[::1]:7778",
            "10.0.0.5",
            "lb.example:80",
        ] {
            assert_eq!(checked("GET", "/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "10.0.0.6", "localhost.evil.example", "a@localhost", "", "127.1"]
        {
            assert_eq!(checked("GET", "/", &[("host", host)]), Err(Refusal::Host), "{host}");
        }
        assert_eq!(checked("GET", "/", &[]), Err(Refusal::Host));
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(checked("GET", "/", &two), Err(Refusal::Host));
    }

    #[test]
    fn what_tells_something_or_changes_something_needs_the_token() {
        let with = |method, path, token| {
            checked(
                method,
                path,
                &[
                    ("host", "localhost"),
                    ("content-type", "application/json"),
                    ("authorization", token),
                ],
            )
        };
        for path in ["/metrics", "/api/servers", "/api/events"] {
            assert_eq!(with("GET", path, "Bearer a secret token"), Ok(()));
            assert_eq!(with("GET", path, "Bearer a secret"), Err(Refusal::WrongToken));
            assert_eq!(with("GET", path, "Basic YTpi"), Err(Refusal::NoToken));
            assert_eq!(checked("GET", path, &[("host", "localhost")]), Err(Refusal::NoToken));
        }
        assert_eq!(with("DELETE", "/api/servers/a", "bearer a secret token"), Ok(()));
        assert_eq!(with("POST", "/", "Bearer wrong"), Err(Refusal::WrongToken));
        for path in OPEN {
            assert_eq!(checked("GET", path, &[("host", "localhost")]), Ok(()));
        }
    }

    #[test]
    fn a_change_comes_from_our_page_or_from_no_page() {
        let change = |field: (&str, &str)| {
            let fixed = [
                ("host", "localhost:7778"),
                ("content-type", "application/json; charset=utf-8"),
                ("authorization", "Bearer a secret token"),
            ];
            checked("PATCH", "/api/servers/a", &[&fixed[..], &[field]].concat())
        };
        for field in [
            ("origin", "http://localhost:7778"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
            ("accept", "*/*"),
        ] {
            assert_eq!(change(field), Ok(()), "{field:?}");
        }
        for field in [
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:8080"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(change(field), Err(Refusal::CrossSite), "{field:?}");
        }
    }

    #[test]
    fn a_change_without_the_content_type_is_refused_since_a_form_could_send_it() {
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
        {
            let fields = [
                ("host", "localhost"),
                ("content-type", content_type),
                ("authorization", "Bearer a secret token"),
            ];
            assert_eq!(checked("POST", "/api/servers", &fields), Err(Refusal::ContentType));
        }
    }
}
