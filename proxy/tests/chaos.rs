//! Everything at once: servers die, freeze, come back, are added and taken out, Redis is frozen and
//! killed, and nobody notices.
//!
//! Takes a minute; `cargo xtask chaos` takes ten.
//! A failure prints the seed, which `RONDEL_CHAOS_SEED` plays again.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;
mod support;

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use redis::RedisServer;
use rustix::process::Signal;
use support::{Recorder, Server, Wire, free_address, ports, process::ProxyProcess, until};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

const CLIENTS: usize = 8;
const WEBSOCKETS: usize = 3;
const RELOADS_A_MINUTE: u64 = 100;
/// The least time between two servers that die.
const KILLS: Duration = Duration::from_millis(500);
/// Besides the one that is never harmed.
const MORTALS: usize = 5;

/// A server that can be killed, frozen and brought back.
struct Mortal {
    address: SocketAddr,
    frozen: Arc<AtomicBool>,
    running: Option<Server>,
    listed: bool,
}

impl Mortal {
    async fn new() -> Self {
        let frozen = Arc::new(AtomicBool::new(false));
        let address = free_address().await;
        let mut mortal = Self { address, frozen, running: None, listed: true };
        mortal.start().await;
        mortal
    }

    async fn start(&mut self) {
        let frozen = Arc::clone(&self.frozen);
        let talk = move |wire, recorder| answer_unless_frozen(wire, recorder, Arc::clone(&frozen));
        self.running = Some(Server::start_on(self.address, talk).await);
    }

    fn serves(&self) -> bool {
        self.listed && self.running.is_some() && !self.frozen.load(Ordering::Relaxed)
    }
}

async fn answer_unless_frozen(mut wire: Wire, _: Recorder, frozen: Arc<AtomicBool>) {
    while wire.read_head().await.is_some() {
        while frozen.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(5)).await;
        }
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    }
}

/// The handshake that RFC 6455 gives as its example: a key, and the only answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// A whole message of text in one frame.
const TEXT: u8 = 0x81;
const MASKED: u8 = 0x80;

/// Answers, and becomes a WebSocket that says everything again where it is asked to.
async fn answer_or_echo(mut wire: Wire, _: Recorder) {
    while let Some(head) = wire.read_head().await {
        if head.field("upgrade").is_none() {
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            continue;
        }
        assert_eq!(head.field("sec-websocket-key"), Some(KEY));
        wire.write(format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
        ))
        .await;
        while let Ok(start) = wire.read_exact(6).await {
            let (length, mask) = (start[1] & !MASKED, &start[2..]);
            let Ok(text) = wire.read_exact(length.into()).await else { return };
            let plain = text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
            wire.write([TEXT, length].into_iter().chain(plain).collect::<Vec<_>>()).await;
        }
        return;
    }
}

struct Stage {
    proxy: ProxyProcess,
    eternal: Server,
    eternal_listed: bool,
    mortals: Vec<Mortal>,
    redis: RedisServer,
    redis_is: Store,
    random: fastrand::Rng,
    reloads: usize,
    killed: Instant,
    /// How often Redis was frozen, and how often it was killed.
    store_troubles: [usize; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    Well,
    Frozen,
    Dead,
}

impl Stage {
    fn list(&self) -> String {
        let eternal = self.eternal_listed.then(|| self.eternal.line());
        let mortals = self.mortals.iter().filter(|mortal| mortal.listed);
        let mortals = mortals.map(|mortal| {
            format!("http://{} weight={}", mortal.address, 1 + mortal.address.port() % 3)
        });
        eternal.into_iter().chain(mortals).collect::<Vec<_>>().join("\n")
    }

    fn reload(&mut self) {
        fs::write(self.proxy.file(), self.list()).unwrap();
        self.proxy.signal(Signal::HUP);
        self.reloads += 1;
    }

    /// How many serve besides this one.
    fn others(&self, at: usize) -> usize {
        let mortals = self.mortals.iter().enumerate();
        mortals.filter(|(other, mortal)| *other != at && mortal.serves()).count()
    }

    /// Something happens. One server is always left in peace, or there would be nobody to answer.
    async fn act(&mut self) {
        let at = self.random.usize(..MORTALS);
        let may_go = self.others(at) >= 2;
        match self.random.u8(..13) {
            10..=12 => self.trouble_the_store(),
            // A request is sent to a second server and to no third: none may meet two that die.
            0 | 1 if may_go && self.mortals[at].serves() && self.killed.elapsed() > KILLS => {
                if let Some(server) = self.mortals[at].running.take() {
                    server.kill().await;
                    self.killed = Instant::now();
                }
            }
            2 if may_go => self.mortals[at].frozen.store(true, Ordering::Relaxed),
            3 | 4 => self.mortals[at].frozen.store(false, Ordering::Relaxed),
            5 | 6 if self.mortals[at].running.is_none() => self.mortals[at].start().await,
            7 if may_go => {
                self.mortals[at].listed = false;
                self.reload();
            }
            8 => {
                self.mortals[at].listed = true;
                self.reload();
            }
            _ => {
                self.eternal_listed = !self.eternal_listed;
                self.reload();
            }
        }
    }

    /// It comes back more often than not, or hardly anything would ever be well.
    fn trouble_the_store(&mut self) {
        // Its start is waited for, by this thread.
        tokio::task::block_in_place(|| match self.redis_is {
            Store::Well if self.random.bool() => {
                self.redis.freeze();
                self.redis_is = Store::Frozen;
                self.store_troubles[0] += 1;
            }
            Store::Well => {
                self.redis.kill();
                self.redis_is = Store::Dead;
                self.store_troubles[1] += 1;
            }
            Store::Frozen | Store::Dead => self.mend_the_store(),
        });
    }

    fn mend_the_store(&mut self) {
        match self.redis_is {
            Store::Well => {}
            Store::Frozen => self.redis.thaw(),
            Store::Dead => self.redis.run(),
        }
        self.redis_is = Store::Well;
    }

    async fn all_well(&mut self) {
        self.mend_the_store();
        for at in 0..MORTALS {
            self.mortals[at].frozen.store(false, Ordering::Relaxed);
            self.mortals[at].listed = true;
            if self.mortals[at].running.is_none() {
                self.mortals[at].start().await;
            }
        }
        self.eternal_listed = true;
        self.reload();
    }
}

/// Asks without a pause over one connection, which must outlive everything; with the cookie of a
/// session, which begins anew when Redis was restarted empty.
async fn ask_on(mut client: Wire, until: Arc<AtomicBool>, asked: Arc<AtomicUsize>) {
    let mut cookie = String::new();
    while !until.load(Ordering::Relaxed) {
        client.write(format!("GET / HTTP/1.1\r\nHost: x\r\n{cookie}\r\n")).await;
        let answer = client.read_answer().await;
        assert_eq!((answer.status(), answer.error()), (200, ""));
        if let Some(set) = answer.head.field("set-cookie") {
            cookie = format!("Cookie: {}\r\n", set.split(';').next().unwrap());
        }
        asked.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(2)).await;
    }
}

async fn open_websocket(address: SocketAddr) -> Wire {
    let mut client = Wire::connect(address).await;
    client
        .write(format!(
            "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        ))
        .await;
    let head = client.read_head().await.unwrap();
    assert_eq!((head.status(), head.field("sec-websocket-accept")), (101, Some(ACCEPT)));
    client
}

/// Says something now and then over a WebSocket, which must outlive everything; gives how often.
async fn talk_on(mut client: Wire, until: Arc<AtomicBool>) -> usize {
    let mut said = 0;
    while !until.load(Ordering::Relaxed) {
        let text = format!("message {said}");
        let length = u8::try_from(text.len()).unwrap();
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let masked = text.bytes().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let start = [TEXT, MASKED | length].into_iter().chain(mask);
        client.write(start.chain(masked).collect::<Vec<_>>()).await;
        let echo = client.read_exact(2 + text.len()).await.expect("a WebSocket was closed");
        assert_eq!(echo, [&[TEXT, length], text.as_bytes()].concat());
        said += 1;
        sleep(Duration::from_millis(50)).await;
    }
    said
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_servers_no_client_sees_an_error_or_a_closed_connection() {
    let time = Duration::from_secs(from_environment("RONDEL_CHAOS_SECONDS").unwrap_or(60));
    let seed = from_environment("RONDEL_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..));
    show(&format!("RONDEL_CHAOS_SEED={seed}"));

    let eternal = Server::start(answer_or_echo).await;
    let redis = RedisServer::start();
    let (url, store) = (redis.url(), "--redis");
    let flags = [store, &url, "--admin", "off", "--health", "on", "--health-interval", "200ms"];
    let mut proxy = ProxyProcess::start(&eternal.line(), &flags).await;
    proxy.ignore();
    let stop = Arc::new(AtomicBool::new(false));
    let mut talking = Vec::new();
    for _ in 0..WEBSOCKETS {
        let client = open_websocket(proxy.address).await;
        talking.push(tokio::spawn(talk_on(client, Arc::clone(&stop))));
    }
    let mut mortals = Vec::new();
    for _ in 0..MORTALS {
        mortals.push(Mortal::new().await);
    }
    let random = fastrand::Rng::with_seed(seed);
    let mut stage = Stage {
        proxy,
        eternal,
        eternal_listed: true,
        mortals,
        redis,
        redis_is: Store::Well,
        random,
        reloads: 0,
        killed: Instant::now(),
        store_troubles: [0; 2],
    };
    stage.reload();

    let asked = Arc::new(AtomicUsize::new(0));
    let mut clients: Vec<JoinHandle<()>> = Vec::new();
    for _ in 0..CLIENTS {
        let client = Wire::connect(stage.proxy.address).await;
        clients.push(tokio::spawn(ask_on(client, Arc::clone(&stop), Arc::clone(&asked))));
    }
    until(|| asked.load(Ordering::Relaxed) > 200).await;
    let (files, memory) = (stage.proxy.files(), stage.proxy.memory());

    let end = Instant::now() + time;
    while Instant::now() < end {
        stage.act().await;
        assert!(clients.iter().all(|client| !client.is_finished()), "seed {seed}: a client failed");
        assert!(talking.iter().all(|talk| !talk.is_finished()), "seed {seed}: a WebSocket failed");
        sleep(Duration::from_millis(stage.random.u64(20..120))).await;
    }
    stage.all_well().await;
    let before = asked.load(Ordering::Relaxed);
    until(|| asked.load(Ordering::Relaxed) > before + 200).await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let mut said = 0;
    for talk in talking {
        said += talk.await.unwrap();
    }
    let [frozen, killed] = stage.store_troubles;
    show(&format!(
        "{} requests and {said} messages; {} reloads, Redis frozen {frozen} times, killed {killed}",
        asked.load(Ordering::Relaxed),
        stage.reloads
    ));
    assert!(stage.reloads as u64 >= RELOADS_A_MINUTE * time.as_secs() / 60);
    assert!(frozen > 0 && killed > 0);
    // Idle connections to servers are closed after some seconds.
    until(|| stage.proxy.files() <= files).await;
    let now = stage.proxy.memory();
    show(&format!("{files} files at the start and no more at the end; {memory} KiB, then {now}"));
    assert!(now < memory + 16 * 1024, "seed {seed}: memory grows");
}

#[expect(clippy::print_stderr, reason = "shown when the test fails")]
fn show(what: &str) {
    eprintln!("{what}");
}
