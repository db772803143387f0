//! One request, said in the words of HTTP/1.1 or of HTTP/2.
//!
//! Owns what the two say in different places. Never decides which fields go on.

use http::uri::{self, Authority, Scheme};
use hyper::{
    Request, Uri, Version,
    header::{self, HeaderValue},
};

use crate::error::Failure;

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
/// When its `Host` or its target cannot be put so.
pub(crate) fn to_http2<B>(request: &mut Request<B>, scheme: Scheme) -> Result<(), Failure> {
    let bad_host = |_| Failure::Host("it cannot be said in HTTP/2");
    let bad_target = |_| Failure::Target("it cannot be said in HTTP/2");
    let host = request.headers().get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let mut parts = uri::Parts::default();
    parts.authority = Some(Authority::try_from(host).map_err(bad_host)?);
    parts.scheme = Some(scheme);
    parts.path_and_query = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from_parts(parts).map_err(bad_target)?;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    for name in [header::HOST, header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    Ok(())
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

/// Path and query alone, as a server expects them.
pub(super) fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from)
}
