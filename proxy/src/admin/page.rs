//! The dashboard: one page with everything in it.
//!
//! Owns putting it together and the policy that lets a browser run exactly this script and this
//! style, known by their digests, and nothing else.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{
    Response,
    header::{self, HeaderName, HeaderValue},
};
use sha2::{Digest as _, Sha256};

use super::answer::{self, Body};

const FRAME: &str = include_str!("dashboard/page.html");
const STYLE: &str = include_str!("dashboard/style.css");
const SCRIPT: &str = include_str!("dashboard/script.js");

pub(super) struct Page {
    html: String,
    policy: HeaderValue,
}

impl Page {
    pub(super) fn new() -> Self {
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; \
             connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            digest(SCRIPT),
            digest(STYLE)
        );
        let html = FRAME.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
        let policy = HeaderValue::try_from(policy);
        // Digests in base64 are always fit for a header; with no policy nothing would run at all.
        let policy = policy.unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
        Self { html, policy }
    }

    pub(super) fn response(&self) -> Response<Body> {
        let mut response = answer::text("text/html; charset=utf-8", self.html.clone());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        );
        response
    }
}

fn digest(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}
