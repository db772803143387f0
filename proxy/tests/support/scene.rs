//! A Redis that something is wrong with, a proxy as it is run in front of it, and clients whose time is
//! taken.

use std::{io::Write as _, time::Duration};

use tempfile::NamedTempFile;

use crate::{
    lateness::Lateness,
    redis::RedisServer,
    support::{Answer, Recorder, Server, Wire, process::ProxyProcess, until, within},
};

/// What the contract allows a request to wait for the store.
pub(crate) const PROMISED: Duration = Duration::from_millis(20);
/// And what it takes apart from that, unoptimized, there and back and through a backend.
pub(crate) const OWN: Duration = Duration::from_millis(15);
/// Keeps `X-Note` in the session, and answers with the key of the session and the note before.
pub(crate) async fn note(mut wire: Wire, _: Recorder) {
    while let Some(head) = wire.read_head().await {
        let given = |name| head.field(name).unwrap_or("none");
        let body = format!("{} {}", given("rondel-session"), given("rondel-session-note"));
        let set = head.field("x-note").map(|note| format!("Rondel-Session-Note: {note}\r\n"));
        let (set, length) = (set.unwrap_or_default(), body.len());
        wire.write(format!("HTTP/1.1 200 OK\r\n{set}Content-Length: {length}\r\n\r\n{body}")).await;
    }
}

/// A client with a connection and a cookie.
pub(crate) struct Client {
    pub(crate) wire: Wire,
    pub(crate) cookie: String,
}

impl Client {
    pub(crate) async fn of(proxy: &ProxyProcess) -> Self {
        Self { wire: Wire::connect(proxy.address).await, cookie: String::new() }
    }

    pub(crate) async fn ask(&mut self, fields: &str) -> Answer {
        let cookie = &self.cookie;
        self.wire.write(format!("GET / HTTP/1.1\r\nHost: x\r\n{cookie}{fields}\r\n")).await;
        let answer = self.wire.read_answer().await;
        if let Some(set) = answer.head.field("set-cookie") {
            self.cookie = format!("Cookie: {}\r\n", set.split(';').next().unwrap());
        }
        answer
    }

    /// Leaves a note; the key of the session.
    pub(crate) async fn leave(&mut self, note: &str) -> String {
        let answer = self.ask(&format!("X-Note: {note}\r\n")).await;
        assert_eq!(answer.status(), 200);
        answer.text().split(' ').next().unwrap().to_owned()
    }
}

/// A proxy without sessions, asked in turn with the one that has them: on a busy machine both are
/// late, and what the store may add to that is known.
pub(crate) struct Yardstick {
    pub(crate) client: Client,
    lateness: Lateness,
    without: Vec<Duration>,
    with: Vec<Duration>,
    _proxy: ProxyProcess,
}

impl Yardstick {
    pub(crate) async fn beside(backend: &Server) -> Self {
        let flags = ["--session", "off", "--admin", "off", "--workers", "1"];
        let mut proxy = ProxyProcess::start(&backend.line(), &flags).await;
        proxy.ignore();
        let (client, lateness) = (Client::of(&proxy).await, Lateness::new());
        Self { client, lateness, without: Vec::new(), with: Vec::new(), _proxy: proxy }
    }

    /// Takes the time of a request that goes through the store.
    pub(crate) async fn time<T>(&mut self, request: impl Future<Output = T>) -> T {
        let watch = self.lateness.watch();
        assert_eq!(self.client.ask("").await.status(), 200);
        self.without.push(watch.elapsed());
        let watch = self.lateness.watch();
        let answer = request.await;
        self.with.push(watch.elapsed());
        answer
    }

    /// None took longer than is promised, and nearly all took next to no time.
    pub(crate) fn in_time(&mut self) {
        let [without, with] = [&mut self.without, &mut self.with].map(std::mem::take);
        let of = |mut times: Vec<Duration>| {
            times.sort();
            (times[times.len() * 9 / 10], times[times.len() - 1])
        };
        let (usual, (most, slowest)) = (of(without), of(with));
        assert!(most < OWN + 2 * usual.0, "{most:?}, without sessions {usual:?}");
        assert!(slowest < PROMISED + OWN + 2 * usual.1, "{slowest:?}, without sessions {usual:?}");
    }

    /// Nobody was refused later than is promised.
    pub(crate) fn refused_in_time(&mut self) {
        let [without, with] = [&mut self.without, &mut self.with].map(std::mem::take);
        let [usual, slowest] = [without, with].map(|times| times.into_iter().max().unwrap());
        assert!(slowest < PROMISED + OWN + 2 * usual, "{slowest:?}, without sessions {usual:?}");
    }
}

pub(crate) struct Scene {
    pub(crate) redis: RedisServer,
    pub(crate) backend: Server,
    pub(crate) secret: NamedTempFile,
    pub(crate) proxy: ProxyProcess,
    pub(crate) client: Client,
    pub(crate) key: String,
    pub(crate) yardstick: Yardstick,
}

impl Scene {
    pub(crate) async fn set(redis: RedisServer, url: &str) -> Self {
        let backend = Server::start(note).await;
        let mut secret = NamedTempFile::new().unwrap();
        writeln!(secret, "the secret of these tests").unwrap();
        let proxy = start(&backend, &secret, url, &[]).await;
        let mut client = Client::of(&proxy).await;
        let key = client.leave("before").await;
        until(|| redis.text(&["HGET", &key, "d:note"]).as_deref() == Some("before")).await;
        let yardstick = Yardstick::beside(&backend).await;
        Self { redis, backend, secret, proxy, client, key, yardstick }
    }

    pub(crate) async fn plain() -> Self {
        let redis = RedisServer::start();
        let url = redis.url();
        Self::set(redis, &url).await
    }

    /// Visits of a client that is known and of as many new ones: each is served, and in time. The
    /// key of the last new session.
    pub(crate) async fn endure(&mut self, turns: usize) -> String {
        let mut last = String::new();
        for turn in 0..turns {
            let note = format!("X-Note: {turn}\r\n");
            let answer = self.yardstick.time(self.client.ask(&note)).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.head.field("set-cookie"), None, "a known session goes on");
            let before = if turn == 0 { "before".to_owned() } else { (turn - 1).to_string() };
            assert_eq!(answer.text(), format!("{} {before}", self.key));
            let mut stranger = Client::of(&self.proxy).await;
            last = self.yardstick.time(stranger.leave("new")).await;
            assert!(!stranger.cookie.is_empty(), "new ones begin");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.yardstick.in_time();
        last
    }

    /// The store is back: what was written meanwhile arrives, with the end that it had.
    pub(crate) async fn recover(&mut self, turns: usize, last: &str) {
        let note = (turns - 1).to_string();
        self.arrives(&self.key.clone(), &note).await;
        self.arrives(last, "new").await;
        within(async {
            while self.proxy.metric("rondel_session_store_up{store=\"redis\"}").await != 1 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(self.client.ask("").await.text(), format!("{} {note}", self.key));
    }

    /// The note is there, and the record has its absolute end, which is written right behind it.
    pub(crate) async fn arrives(&self, key: &str, note: &str) {
        until(|| self.redis.text(&["HGET", key, "d:note"]).as_deref() == Some(note)).await;
        let field = |name| self.redis.text(&["HGET", key, name]).unwrap().parse::<i64>().unwrap();
        until(|| self.redis.number(&["EXPIRETIME", key]) == field("seen") + 30 * 60).await;
        assert!(field("created") <= field("seen"));
    }

    /// After three failures nobody asks any more; and writes go on to fail, so this comes.
    pub(crate) async fn is_given_up(&self) {
        within(async {
            while self.proxy.metric("rondel_session_store_up{store=\"redis\"}").await != 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

pub(crate) async fn start(
    backend: &Server,
    secret: &NamedTempFile,
    url: &str,
    more: &[&str],
) -> ProxyProcess {
    let secret = secret.path().to_str().unwrap();
    let mut flags = vec!["--redis", url, "--session-secret-file", secret, "--workers", "1"];
    flags.extend(["--admin", "127.0.0.1:0"]);
    flags.extend(more);
    let mut proxy = ProxyProcess::start(&backend.line(), &flags).await;
    proxy.ignore();
    proxy
}
