//! Which request headers a session may remember (`--session-header`), and what a request brings.
//!
//! Refused are credentials, which must not rest in a store, and whatever belongs to one message or
//! one connection, which must not be replayed into another.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Credentials, and fields of one message or one hop.
const REFUSED: [&str; 31] = [
    "accept-ranges",
    "authorization",
    "connection",
    "cookie",
    "cookie2",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "set-cookie2",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
    "x-amz-security-token",
    "x-csrf-token",
    "x-http-method-override",
    "x-real-ip",
    "x-request-id",
    "x-xsrf-token",
];

/// Families of such fields.
const REFUSED_STARTS: [&str; 6] =
    ["access-control-", "content-", "if-", "rondel-", "sec-websocket-", "x-forwarded-"];

/// How names of credentials are made: `X-Api-Key`, `ApiKey`, `X-Auth-Token` ...
const REFUSED_PARTS: [&str; 9] = [
    "accesskey",
    "accesstoken",
    "apikey",
    "apitoken",
    "authkey",
    "authtoken",
    "credential",
    "password",
    "secret",
];

/// Checks one `--session-header`.
///
/// # Errors
///
/// Says why the header cannot be remembered.
pub fn check_capture_header(name: &str) -> Result<HeaderName, String> {
    let parsed: HeaderName =
        name.parse().map_err(|_| format!("`{name}` is not the name of a header"))?;
    let text = parsed.as_str();
    let letters: String = text.chars().filter(|c| !matches!(c, '-' | '_')).collect();
    let refused = REFUSED.contains(&text)
        || REFUSED_STARTS.iter().any(|start| text.starts_with(start))
        || REFUSED_PARTS.iter().any(|part| letters.contains(part));
    if refused {
        return Err(format!(
            "the header `{name}` cannot be kept in a session: credentials, API keys, and fields \
             of one message or connection are never stored"
        ));
    }
    Ok(parsed)
}

/// The value of a header as one line: several lines of a list are one list (RFC 9110, 5.3).
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    let mut text = first.as_bytes().to_vec();
    for line in lines {
        text.extend_from_slice(b", ");
        text.extend_from_slice(line.as_bytes());
    }
    HeaderValue::from_bytes(&text).ok()
}

/// Whether the request's value differs from the remembered one, without building it.
pub(crate) fn differs(headers: &HeaderMap, name: &HeaderName, kept: Option<&HeaderValue>) -> bool {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => false,
        (Some(line), None) => kept != Some(line),
        _ => joined(headers, name).as_ref() != kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_headers_can_be_remembered() {
        for name in ["User-Agent", "accept-language", "X-Tenant", "x-region", "DNT"] {
            let parsed = check_capture_header(name).unwrap();
            assert_eq!(parsed.as_str(), name.to_lowercase());
        }
    }

    #[test]
    fn credentials_and_hop_by_hop_headers_cannot() {
        for name in [
            "Authorization",
            "PROXY-AUTHORIZATION",
            "cookie",
            "Set-Cookie",
            "X-Api-Key",
            "api_key",
            "ApiKey",
            "Ocp-Apim-ApiKey",
            "X-Auth-Token",
            "x-client-secret",
            "Connection",
            "keep-alive",
            "TE",
            "Trailer",
            "Upgrade",
            "Transfer-Encoding",
            "Content-Length",
            "Content-Type",
            "Host",
            "Expect",
            "Sec-WebSocket-Key",
            "X-Forwarded-For",
            "Rondel-Session",
        ] {
            let error = check_capture_header(name).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
        assert!(check_capture_header("no such name").is_err());
        assert!(check_capture_header("").is_err());
    }

    #[test]
    fn several_lines_are_remembered_as_one() {
        let name = HeaderName::from_static("accept-language");
        let mut headers = HeaderMap::new();
        assert_eq!(joined(&headers, &name), None);
        assert!(!differs(&headers, &name, None), "nothing brought, nothing changed");
        headers.append(&name, HeaderValue::from_static("de"));
        assert!(differs(&headers, &name, None));
        assert!(!differs(&headers, &name, Some(&HeaderValue::from_static("de"))));
        headers.append(&name, HeaderValue::from_static("en;q=0.5"));
        assert_eq!(joined(&headers, &name).unwrap(), "de, en;q=0.5");
        assert!(!differs(&headers, &name, Some(&HeaderValue::from_static("de, en;q=0.5"))));
    }
}
