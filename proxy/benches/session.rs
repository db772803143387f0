//! What sessions add to a request: everything between its headers and those of its answer.
//!
//! The headers are those of a browser. A request through the proxy without sessions takes about
//! 22 us of a core, of which a known session may cost 3 %: 660 ns. `off` is what the measuring itself
//! costs; subtract it.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::{
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{COOKIE, SET_COOKIE},
};
use rondel_proxy::session::{SessionSettings, Sessions};

const TOKEN: &str = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2lnbmF0dXJl";

/// Nothing here ever waits: the store is this process.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
    };
    lines.iter().map(line).collect()
}

fn request(more: &[(&str, &str)]) -> HeaderMap {
    let mut request = headers(&[
        ("host", "www.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "de,en-US;q=0.7,en;q=0.3"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("x-forwarded-for", "192.0.2.7"),
    ]);
    request.extend(headers(more));
    request
}

fn response() -> HeaderMap {
    headers(&[
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", "1234"),
        ("date", "Tue, 15 Nov 1994 08:12:31 GMT"),
        ("server", "example"),
        ("etag", "\"33a64df5\""),
    ])
}

/// Those of one exchange, with room for what is added: a clone has none.
fn fresh(request: &HeaderMap, response: &HeaderMap) -> (HeaderMap, HeaderMap) {
    let (mut request, mut response) = (request.clone(), response.clone());
    request.reserve(8);
    response.reserve(8);
    (request, response)
}

fn exchange(sessions: &Sessions, request: &mut HeaderMap, response: &mut HeaderMap) {
    let session = now(sessions.open(request)).unwrap();
    session.to_backend(request);
    now(session.to_client("web-1", StatusCode::OK, response));
}

fn compare(criterion: &mut Criterion) {
    let background = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let settings = SessionSettings { secrets: vec![vec![7; 32]], ..SessionSettings::default() };
    let sessions = Sessions::new(settings, background.handle()).unwrap();
    let mut first = response();
    exchange(&sessions, &mut request(&[]), &mut first);
    let set = first[SET_COOKIE].to_str().unwrap();
    let cookie = set.split(';').next().unwrap();
    let known = format!("theme=dark; {cookie}; _ga=GA1.2.1234567890.1700000000");

    let mut group = criterion.benchmark_group("session");
    let cases = [
        ("off", request(&[("cookie", &known)]), false),
        ("known", request(&[("cookie", &known)]), true),
        ("token", request(&[("cookie", &known), ("authorization", TOKEN)]), true),
        ("new", request(&[]), true),
    ];
    let response = response();
    for (name, request, on) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || fresh(&request, &response),
                |(request, response)| {
                    if on {
                        exchange(&sessions, request, response);
                    }
                    black_box((request.get(COOKIE), response.len()));
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, compare);
criterion_main!(benches);
