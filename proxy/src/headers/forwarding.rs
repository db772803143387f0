//! The fields that say who asked, and for what.
//!
//! Owns their names and what stands in them. Never takes any off: who may say them is known before
//! (`headers.rs`).

use std::net::IpAddr;

use hyper::{
    HeaderMap, Version,
    header::{self, HeaderName, HeaderValue},
};

use crate::{client::Client, ids};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const VIA: HeaderValue = HeaderValue::from_static("1.1 rondel");
const VIA_2: HeaderValue = HeaderValue::from_static("2.0 rondel");

/// What a request's `Host` becomes in the headers that quote it.
#[derive(Clone, Debug)]
pub(crate) struct HostValues {
    host: Option<HeaderValue>,
    forwarded: HeaderValue,
}

/// Whether a field is one of them: a client that is not trusted could say anything in it.
pub(super) fn is_one(name: &str) -> bool {
    matches!(name, "forwarded" | "via" | "x-request-id" | "x-real-ip")
        || name.starts_with("x-forwarded-")
}

/// Writes them into a request that this client sent in this version of HTTP.
pub(super) fn set(headers: &mut HeaderMap, client: &Client, version: Version) {
    let via = if version == Version::HTTP_2 { VIA_2 } else { VIA };
    let host = headers.get(header::HOST);
    let kept = client.host_values.get_or_init(|| HostValues::new(host, client));
    if kept.host.as_ref() == host {
        set_as(headers, client, kept.clone(), &via);
    } else {
        let other = HostValues::new(host, client);
        set_as(headers, client, other, &via);
    }
}

/// An untrusted client's own were removed before, so whatever is there may stay.
fn set_as(headers: &mut HeaderMap, client: &Client, values: HostValues, via: &HeaderValue) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trusted_chain_grows_by_one_link_in_one_line() {
        let mut headers = HeaderMap::new();
        for link in ["1.1.1.1", "2.2.2.2"] {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(link));
        }
        let ours = HeaderValue::from_static("3.3.3.3");
        assert_eq!(joined(&headers, &X_FORWARDED_FOR, &ours), "1.1.1.1, 2.2.2.2, 3.3.3.3");
    }

    #[test]
    fn request_ids_are_32_hex_digits_and_differ() {
        let (one, two) = (request_id(), request_id());
        assert_eq!(one.len(), 32);
        assert!(one.as_bytes().iter().all(u8::is_ascii_hexdigit));
        assert_ne!(one, two);
    }
}
