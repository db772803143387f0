//! The session layer of a proxy without the rest of it, and clients that speak to it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "lateness.rs"]
pub(crate) mod lateness;

use std::{
    sync::{Arc, LazyLock},
    thread,
    time::{Duration, Instant},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{COOKIE, SET_COOKIE},
};
use rondel_proxy::session::{SessionSettings, Sessions};
use tokio::{runtime::Runtime, sync::oneshot};

use self::lateness::{Lateness, Watch};
use crate::redis::RedisServer;

/// What a request may wait for the store, and what it takes to notice, unoptimized; without what
/// the machine kept everybody waiting.
pub(crate) const LIMIT: Duration = Duration::from_millis(20 + 30);

/// The time from now on, but for what the machine kept everybody waiting.
pub(crate) fn watch() -> Watch<'static> {
    LATENESS.watch()
}

static LATENESS: LazyLock<Lateness> = LazyLock::new(Lateness::new);

/// A proxy's session layer, with its background thread.
pub(crate) struct Proxy {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) workers: Runtime,
    stop: Option<oneshot::Sender<()>>,
    background: Option<thread::JoinHandle<()>>,
}

/// A client with its cookie jar, which holds one cookie.
#[derive(Clone, Default)]
pub(crate) struct Client {
    pub(crate) cookie: Option<String>,
}

/// One exchange, as the backend and as the client see it.
pub(crate) struct Exchange {
    pub(crate) to_backend: HeaderMap,
    pub(crate) to_client: HeaderMap,
    pub(crate) opened_in: Duration,
}

impl Proxy {
    pub(crate) fn new(adjust: impl FnOnce(&mut SessionSettings)) -> Self {
        let mut settings = SessionSettings {
            secrets: vec![b"the secret of these tests".to_vec()],
            ..SessionSettings::default()
        };
        adjust(&mut settings);
        let background = runtime();
        let handle = background.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let background = thread::spawn(move || {
            // The sender is dropped in the end, which is as good as a word.
            let _ = background.block_on(stopped);
        });
        let sessions = Sessions::new(settings, &handle).unwrap();
        Self {
            sessions: Arc::new(sessions),
            workers: runtime(),
            stop: Some(stop),
            background: Some(background),
        }
    }

    pub(crate) fn over(redis: &RedisServer) -> Self {
        Self::new(|settings| settings.redis = Some(redis.url()))
    }

    /// Waits until the store answers: writes a session and waits for it.
    pub(crate) fn connected(self) -> Self {
        self.get(&mut Client::default(), &[]);
        assert!(self.flush(), "the store does not answer");
        self
    }

    pub(crate) fn flush(&self) -> bool {
        self.workers.block_on(self.sessions.flush(Duration::from_secs(10)))
    }

    /// A request with these headers, answered by the backend `b1` with 200 and nothing else.
    pub(crate) fn get(&self, client: &mut Client, request: &[(&str, &str)]) -> Exchange {
        self.exchange(client, request, "b1", &[])
    }

    pub(crate) fn exchange(
        &self,
        client: &mut Client,
        request: &[(&str, &str)],
        backend: &str,
        response: &[(&str, &str)],
    ) -> Exchange {
        self.exchange_with(client, request, backend, StatusCode::OK, response)
    }

    pub(crate) fn exchange_with(
        &self,
        client: &mut Client,
        request: &[(&str, &str)],
        backend: &str,
        status: StatusCode,
        response: &[(&str, &str)],
    ) -> Exchange {
        self.workers.block_on(exchange(&self.sessions, client, request, backend, status, response))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(background) = self.background.take() {
            background.join().unwrap();
        }
    }
}

pub(crate) async fn exchange(
    sessions: &Sessions,
    client: &mut Client,
    request: &[(&str, &str)],
    backend: &str,
    status: StatusCode,
    response: &[(&str, &str)],
) -> Exchange {
    let mut to_backend = headers(request);
    if let Some(cookie) = &client.cookie {
        to_backend.append(COOKIE, HeaderValue::from_str(cookie).unwrap());
    }
    let watch = watch();
    let session = sessions.open(&to_backend).await.expect("fail-open serves");
    let opened_in = watch.elapsed();
    session.to_backend(&mut to_backend);
    let mut to_client = headers(response);
    session.to_client(backend, status, &mut to_client).await;
    client.take(&to_client);
    Exchange { to_backend, to_client, opened_in }
}

impl Client {
    fn take(&mut self, response: &HeaderMap) {
        for value in response.get_all(SET_COOKIE) {
            let value = value.to_str().unwrap();
            let pair = value.split(';').next().unwrap();
            self.cookie = (!value.contains("Max-Age=0")).then(|| pair.to_owned());
        }
    }

    pub(crate) fn cookie(&self) -> &str {
        self.cookie.as_deref().expect("a cookie")
    }
}

impl Exchange {
    pub(crate) fn sent(&self, name: &str) -> Option<&str> {
        self.to_backend.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn got(&self, name: &str) -> Option<&str> {
        self.to_client.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn key(&self) -> &str {
        self.sent("rondel-session").expect("a session")
    }

    pub(crate) fn sets_cookie(&self) -> bool {
        self.to_client.contains_key(SET_COOKIE)
    }
}

pub(crate) fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Nearly all took next to no time, and nobody waited longer than is promised: but for one in a
/// hundred, which may have been held up by whatever else runs on this machine. That none waits longer
/// by the clock of the proxy is shown where that clock can be held (`session/tests.rs`).
pub(crate) fn in_time(mut times: Vec<Duration>) {
    times.sort();
    let [most, nearly_all] = [90, 99].map(|share| times[times.len() * share / 100]);
    let slowest = times[times.len() - 1];
    assert!(most < Duration::from_millis(10), "{most:?} {nearly_all:?} {slowest:?}");
    assert!(nearly_all < LIMIT, "{nearly_all:?} {slowest:?}");
    assert!(slowest < 10 * LIMIT, "{slowest:?}");
}

/// Requests of known and of new clients; each is served, none waits.
pub(crate) fn serve(proxy: &Proxy, clients: &mut [Client], turns: usize) {
    in_time(serve_timed(proxy, clients, turns));
}

/// Requests of known and of new clients; each is served.
pub(crate) fn serve_timed(proxy: &Proxy, clients: &mut [Client], turns: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for turn in 0..turns {
        let known = turn % clients.len();
        let value = turn.to_string();
        let said = [("Rondel-Session-Turn", value.as_str())];
        let answer = proxy.exchange(&mut clients[known], &[], "b1", &said);
        assert!(!answer.sets_cookie(), "a known session goes on");
        times.push(answer.opened_in);
        let answer = proxy.get(&mut Client::default(), &[]);
        assert!(answer.sets_cookie(), "new ones begin");
        times.push(answer.opened_in);
    }
    times
}

/// Runs a test over the embedded store and over Redis.
pub(crate) fn on_both_stores(test: impl Fn(&Proxy)) {
    test(&Proxy::new(|_| {}));
    let redis = RedisServer::start();
    test(&Proxy::over(&redis).connected());
}

/// So many requests of one client, none of which waits for another; how many find this header.
pub(crate) fn open_at_once(proxy: &Proxy, client: &Client, requests: usize, name: &str) -> usize {
    let request = headers(&[("cookie", client.cookie())]);
    proxy.workers.block_on(async {
        let opening = (0..requests).map(|_| {
            let (sessions, request) = (Arc::clone(&proxy.sessions), request.clone());
            tokio::spawn(async move { sessions.open(&request).await.expect("fail-open serves") })
        });
        let (opening, mut found) = (opening.collect::<Vec<_>>(), 0);
        for opened in opening {
            let mut headers = HeaderMap::new();
            opened.await.expect("a session").to_backend(&mut headers);
            found += usize::from(headers.contains_key(name));
        }
        found
    })
}

pub(crate) fn known_clients(proxy: &Proxy) -> Vec<Client> {
    let mut clients = vec![Client::default(); 10];
    for client in &mut clients {
        proxy.get(client, &[]);
    }
    assert!(proxy.flush());
    clients
}
