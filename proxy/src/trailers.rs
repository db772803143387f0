//! What may come behind a body.
//!
//! Owns which trailers are passed on: none that frames, routes, authorises, or says who asked,
//! since all of that was decided at the head (RFC 9110, 6.5.1). Those of a body that was not
//! announced in `Trailer` are dropped by hyper.

use hyper::{
    HeaderMap,
    header::{self, HeaderName},
};

use crate::headers;

/// Takes out what could only have been meant to be overlooked.
pub(crate) fn strip(trailers: &mut HeaderMap) {
    let bad: Vec<HeaderName> = trailers.keys().filter(|name| !may_trail(name)).cloned().collect();
    for name in bad {
        trailers.remove(name);
    }
}

fn may_trail(name: &HeaderName) -> bool {
    const NEVER: [HeaderName; 18] = [
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::COOKIE,
        header::EXPECT,
        header::HOST,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::LOCATION,
        header::MAX_FORWARDS,
        header::RANGE,
        header::SET_COOKIE,
        header::TRAILER,
        header::VARY,
        header::WWW_AUTHENTICATE,
    ];
    !NEVER.contains(name) && !headers::ends_here(name)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn only_what_decides_nothing_may_trail() {
        let mut trailers = HeaderMap::new();
        let names = [
            "x-sum",
            "grpc-status",
            "content-length",
            "transfer-encoding",
            "host",
            "cookie",
            "authorization",
            "x-forwarded-for",
            "rondel-session",
            "connection",
            "content_length",
        ];
        for name in names {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        strip(&mut trailers);
        let left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-sum", "grpc-status"]);
    }
}
