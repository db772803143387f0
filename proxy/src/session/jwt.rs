//! Is this a JSON Web Token? Three (JWS) or five (JWE) base64url parts, the first of them JSON
//! with `alg` (RFC 7515, RFC 7516).
//!
//! A request that brings one as its bearer token has its state with it: no session is opened for
//! it. And no value that holds one is ever stored. Nothing here checks a signature: whether the
//! token is any good is the backend's business.

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, header::AUTHORIZATION};
use serde_json::{Map, Value};

/// Reads what lenient decoders read too: what one of them takes for a token must not be stored.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether the request authorises itself with a JWT or JWE.
pub(crate) fn bears_token(headers: &HeaderMap) -> bool {
    headers
        .get_all(AUTHORIZATION)
        .iter()
        .any(|value| bearer(value.as_bytes()).is_some_and(is_token))
}

/// Whether a JWT or JWE stands anywhere in the value, as in `Bearer eyJ...` or `token="eyJ..."`.
pub(crate) fn holds_token(value: &[u8]) -> bool {
    value.split(|byte| !is_token_byte(*byte)).any(is_token)
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(b"bearer".len())?;
    if !scheme.eq_ignore_ascii_case(b"bearer") || !matches!(rest.first(), Some(b' ' | b'\t')) {
        return None;
    }
    Some(rest.trim_ascii())
}

fn is_token(value: &[u8]) -> bool {
    // The cheap questions come first, so that hardly anything else is ever decoded.
    let mut parts = value.split(|byte| *byte == b'.');
    let header = parts.next().unwrap_or_default();
    matches!(parts.count(), 2 | 4) && value.iter().copied().all(is_token_byte) && is_header(header)
}

fn is_header(part: &[u8]) -> bool {
    let Ok(json) = LENIENT.decode(part) else { return false };
    serde_json::from_slice::<Map<String, Value>>(&json)
        .is_ok_and(|header| header.get("alg").is_some_and(Value::is_string))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    // The example of RFC 7515 appendix A.1, and a JWE header in RFC 7516 appendix A.1.
    const JWS: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVP";
    const JWE: &str = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOa.48V1.5eym.XFBo";

    fn bears(value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        bears_token(&headers)
    }

    #[test]
    fn a_jws_and_a_jwe_pass_the_session_by() {
        for token in [JWS, JWE] {
            assert!(bears(&format!("Bearer {token}")));
            assert!(bears(&format!("bEARER   {token} ")), "scheme and white space are free");
        }
    }

    #[test]
    fn empty_parts_are_legal_but_not_an_empty_header() {
        let header = JWS.split('.').next().unwrap();
        assert!(bears(&format!("Bearer {header}..")), "an unsecured or detached one");
        assert!(!bears("Bearer .."));
    }

    #[test]
    fn other_credentials_open_a_session() {
        let header = JWS.split('.').next().unwrap();
        let four = format!("Bearer {header}.a.b.c");
        let spaced = format!("Bearer {header}.a b.c");
        let no_scheme = JWS.to_owned();
        let glued = format!("Bearer{JWS}");
        for value in [
            "Basic dXNlcjpwYXNz",
            "Bearer",
            "Bearer ",
            "Bearer opaque-token",
            "Bearer a.b.c",
            "Bearer e30.e30.e30",      // {}: no `alg`
            "Bearer eyJhbGciOjF9.a.b", // {"alg":1}
            "Bearer W10.a.b",          // []
            &four,
            &spaced,
            &no_scheme,
            &glued,
        ] {
            assert!(!bears(value), "{value}");
        }
    }

    #[test]
    fn a_token_is_found_inside_a_value() {
        for value in [
            JWS.to_owned(),
            JWE.to_owned(),
            format!("Bearer {JWS}"),
            format!("{{\"token\":\"{JWS}\"}}"),
            format!("a, {JWE}; b"),
        ] {
            assert!(holds_token(value.as_bytes()), "{value}");
        }
        for value in ["", "1.2.3", "www.example.com", "a.b.c.d.e", "{\"alg\":\"none\"}"] {
            assert!(!holds_token(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn what_a_lenient_decoder_reads_is_a_token_too() {
        // {"alg":"HS256"} ends in two spare bits here; padding is what strict encoders leave out.
        let header = "eyJhbGciOiJIUzI1NiIgfQ==";
        assert!(holds_token(format!("{header}.e30.c2ln").as_bytes()));
        assert!(holds_token(b"eyJhbGciOiJIUzI1NiIgfR.e30.c2ln"), "spare bits set");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = holds_token(&value);
            let _ = bearer(&value).is_some_and(is_token);
        }

        #[test]
        fn any_header_with_alg_is_found(
            alg in "[A-Za-z0-9+-]{1,12}",
            extra in "[a-z]{1,8}",
            tail in "[A-Za-z0-9_-]{0,40}",
            five in any::<bool>(),
        ) {
            let json = format!("{{ \"{extra}_\" : [1,{{}}], \"alg\":\"{alg}\" }}");
            let mut token = LENIENT.encode(json);
            for _ in 0..if five { 4 } else { 2 } {
                token.push('.');
                token.push_str(&tail);
            }
            prop_assert!(is_token(token.as_bytes()));
            let value = format!("Bearer {token}");
            prop_assert!(bears(&value));
        }
    }
}
