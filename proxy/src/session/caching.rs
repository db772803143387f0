//! May a cache that many people share keep this response? (RFC 9111, RFC 9213)
//!
//! A cookie in such a response would hand one client's session to all of them. So it is not set
//! there, and where it is set, the response is made private.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CACHE_CONTROL};

/// Caches in front of a site may be told apart from the client's own (RFC 9213).
const TARGETED: [HeaderName; 2] =
    [HeaderName::from_static("cdn-cache-control"), HeaderName::from_static("surrogate-control")];

/// Whether a cookie may be set in a response with this head.
pub(crate) fn may_set_cookie(status: StatusCode, headers: &HeaderMap) -> bool {
    !status.is_informational()
        && status != StatusCode::NOT_MODIFIED
        && !shared_by(headers, &CACHE_CONTROL, invites_sharing)
        && !TARGETED.iter().any(|name| headers.contains_key(name) && shared_by_cdn(headers, name))
}

/// Adds `private` to what the backend said about caching, once.
pub(crate) fn make_private(headers: &mut HeaderMap) {
    let mut text = Vec::new();
    for value in headers.get_all(CACHE_CONTROL) {
        if directives(value.as_bytes()).any(|directive| names(directive, b"private")) {
            return;
        }
        if !value.is_empty() {
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b", ");
        }
    }
    text.extend_from_slice(b"private");
    // Built from values that were valid, and so valid.
    let value = HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("private"));
    headers.insert(CACHE_CONTROL, value);
}

fn invites_sharing(directive: &[u8]) -> bool {
    names(directive, b"public") || starts_with(directive, b"s-maxage=")
}

/// A targeted field replaces Cache-Control for those it is meant for: there, storing is allowed
/// unless it says otherwise.
fn shared_by_cdn(headers: &HeaderMap, name: &HeaderName) -> bool {
    shared_by(headers, name, |_| true)
}

fn shared_by(headers: &HeaderMap, name: &HeaderName, invites: impl Fn(&[u8]) -> bool) -> bool {
    let mut shared = false;
    for value in headers.get_all(name) {
        for directive in directives(value.as_bytes()) {
            if names(directive, b"private") || names(directive, b"no-store") {
                return false;
            }
            shared |= invites(directive);
        }
    }
    shared
}

/// The directives of a list, split at commas outside quotes.
fn directives(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(move |byte| {
            let splits = *byte == b',' && !quoted;
            quoted ^= *byte == b'"' && !escaped;
            escaped = quoted && *byte == b'\\' && !escaped;
            splits
        })
        .map(<[u8]>::trim_ascii)
        .filter(|directive| !directive.is_empty())
}

/// `private="field"` speaks of that field alone, so only the bare word counts.
fn names(directive: &[u8], word: &[u8]) -> bool {
    directive.eq_ignore_ascii_case(word)
}

fn starts_with(directive: &[u8], start: &[u8]) -> bool {
    directive.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn allowed(lines: &[(&'static str, &'static str)]) -> bool {
        may_set_cookie(StatusCode::OK, &headers(lines))
    }

    #[test]
    fn an_ordinary_response_may_carry_a_cookie() {
        for value in ["", "no-cache", "max-age=60", "private", "no-store", "must-revalidate"] {
            assert!(allowed(&[("cache-control", value)]), "{value}");
        }
        assert!(allowed(&[]));
        assert!(may_set_cookie(StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new()));
    }

    #[test]
    fn a_response_for_shared_caches_may_not() {
        for value in [
            "public",
            "PUBLIC, max-age=60",
            "max-age=60,public",
            "s-maxage=60",
            "max-age=1 , S-MaxAge=60",
            "private=\"x, y\", public",
            "ext=\"private\", public",
            "public, x=\"a\\\", no-store\"",
        ] {
            assert!(!allowed(&[("cache-control", value)]), "{value}");
        }
        assert!(!allowed(&[("cache-control", "max-age=1"), ("cache-control", "public")]));
        assert!(!allowed(&[("cache-control", "private"), ("cdn-cache-control", "max-age=60")]));
        assert!(!allowed(&[("surrogate-control", "max-age=60")]));
    }

    #[test]
    fn what_must_not_be_kept_is_not_shared() {
        assert!(allowed(&[("cache-control", "public, no-store")]));
        assert!(allowed(&[("cache-control", "public, private")]));
        assert!(allowed(&[("cdn-cache-control", "no-store")]));
    }

    #[test]
    fn interim_and_not_modified_responses_carry_no_cookie() {
        for status in [
            StatusCode::CONTINUE,
            StatusCode::SWITCHING_PROTOCOLS,
            StatusCode::EARLY_HINTS,
            StatusCode::NOT_MODIFIED,
        ] {
            assert!(!may_set_cookie(status, &HeaderMap::new()), "{status}");
        }
    }

    #[test]
    fn private_is_added_to_what_is_there() {
        for (before, after) in [
            (vec![], "private"),
            (vec![("cache-control", "")], "private"),
            (vec![("cache-control", "max-age=60")], "max-age=60, private"),
            (
                vec![("cache-control", "no-cache"), ("cache-control", "a=\"b,c\"")],
                "no-cache, a=\"b,c\", private",
            ),
            (vec![("cache-control", "Private, max-age=1")], "Private, max-age=1"),
            (vec![("cache-control", "private=\"x\"")], "private=\"x\", private"),
        ] {
            let mut map = headers(&before);
            make_private(&mut map);
            let values: Vec<_> = map.get_all(CACHE_CONTROL).iter().collect();
            assert_eq!(values, [after], "{before:?}");
        }
    }
}
