//! Three proxies, each a process of its own, over one Redis and over a cluster: any of them is
//! killed at any time, under load, and every session goes on.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

#[path = "support/cluster.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod cluster;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;
mod support;

use std::{
    collections::VecDeque,
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use cluster::Cluster;
use redis::RedisServer;
use support::{Answer, Recorder, Server, Wire, free_address, ports, process::ProxyProcess, until};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

const PROXIES: usize = 3;
const CLIENTS: usize = 24;
const KILLS: usize = 9;
/// A proxy that dies takes with it what it had not written yet. That is milliseconds on a machine
/// with nothing else to do; nothing older than this may be lost on any.
const LOST: Duration = Duration::from_secs(1);

/// Keeps in the session whose it is and what its client has counted, and says what it was given.
async fn remember(mut wire: Wire, _: Recorder) {
    while let Some(head) = wire.read_head().await {
        let given = |name| head.field(name).unwrap_or("none");
        let (owner, visit) = (given("x-owner"), given("x-visit"));
        let body = format!(
            "{} {} {}",
            given("rondel-session"),
            given("rondel-session-owner"),
            given("rondel-session-visit"),
        );
        // The owner is written once; from then on the session has to know it.
        let set =
            if visit == "1" { format!("Rondel-Session-Owner: {owner}\r\n") } else { String::new() };
        let length = body.len();
        wire.write(format!(
            "HTTP/1.1 200 OK\r\n{set}Rondel-Session-Visit: {visit}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    }
}

/// A client that knows all proxies, as one behind a name with three addresses does: it stays with
/// the one that answers, and goes to the next where that is gone.
struct Client {
    number: usize,
    proxies: Vec<SocketAddr>,
    at: usize,
    wire: Option<Wire>,
    cookie: String,
    key: String,
    visit: u64,
    /// The visits so far, and when they were answered.
    visits: VecDeque<(Instant, u64)>,
    moves: usize,
    /// Visits at which the proxy knew the session by its cookie alone.
    unknown: usize,
}

impl Client {
    fn new(number: usize, proxies: Vec<SocketAddr>) -> Self {
        let at = number % proxies.len();
        let (cookie, key) = (String::new(), String::new());
        let visits = VecDeque::new();
        Self {
            number,
            proxies,
            at,
            wire: None,
            cookie,
            key,
            visit: 0,
            visits,
            moves: 0,
            unknown: 0,
        }
    }

    /// None: the proxy is gone, or went before it had answered.
    async fn try_ask(&mut self) -> Option<Answer> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::new(TcpStream::connect(self.proxies[self.at]).await.ok()?),
        };
        let cookie = if self.cookie.is_empty() {
            String::new()
        } else {
            format!("Cookie: {}\r\n", self.cookie)
        };
        let (number, visit) = (self.number, self.visit);
        let owner = format!("X-Owner: client-{number}\r\nX-Visit: {visit}\r\n");
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{owner}{cookie}\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut wire.stream, request.as_bytes()).await.ok()?;
        let head = wire.read_head().await?;
        let body = wire.read_body(&head).await.ok()?;
        self.wire = Some(wire);
        Some(Answer { head, body })
    }

    async fn visit(&mut self) {
        self.visit += 1;
        let answer = loop {
            if let Some(answer) = self.try_ask().await {
                break answer;
            }
            (self.at, self.wire) = ((self.at + 1) % self.proxies.len(), None);
            self.moves += 1;
            sleep(Duration::from_millis(1)).await;
        };
        assert_eq!(answer.status(), 200, "client {}: {answer:?}", self.number);
        let words: Vec<_> = answer.text().split(' ').collect();
        let set = answer.head.field("set-cookie");
        if self.key.is_empty() {
            set.expect("a cookie").split(';').next().unwrap().clone_into(&mut self.cookie);
            words[0].clone_into(&mut self.key);
        } else {
            assert_eq!(set, None, "client {} was given another session", self.number);
            assert_eq!(words[0], self.key, "client {}", self.number);
            self.check(words[1], words[2].parse().ok());
        }
        self.visits.push_back((Instant::now(), self.visit));
    }

    /// What the session knew at this visit.
    fn check(&mut self, owner: &str, visit: Option<u64>) {
        // What was not read within the 20 ms that a request may wait for it is not known, but for
        // what this proxy has written itself.
        let (Some(visit), true) = (visit, owner != "none") else {
            self.unknown += 1;
            return;
        };
        let number = self.number;
        assert_eq!(owner, format!("client-{number}"));
        let (last, _) = *self.visits.back().unwrap();
        while self.visits.get(1).is_some_and(|(when, _)| *when + LOST < last) {
            self.visits.pop_front();
        }
        let (when, known) = self.visits[0];
        // It has the visit already if a proxy died between Redis and the client.
        assert!(visit <= self.visit, "client {number}: {visit} at visit {}", self.visit);
        assert!(when + LOST >= last || visit >= known, "client {number}: {visit} after {known}");
    }
}

async fn visit_on(mut client: Client, stop: Arc<AtomicBool>, visits: Arc<AtomicUsize>) -> Client {
    while !stop.load(Ordering::Relaxed) {
        client.visit().await;
        visits.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(15)).await;
    }
    client
}

/// What each proxy is started with: the same secret, the same store, the same servers.
struct Deployment {
    servers: String,
    secret: tempfile::NamedTempFile,
    store: String,
}

impl Deployment {
    async fn start(&self, port: u16) -> ProxyProcess {
        let secret = self.secret.path().to_str().unwrap();
        let flags = [
            "--redis",
            &self.store,
            "--session-secret-file",
            secret,
            "--admin",
            "off",
            "--workers",
            "1",
        ];
        let mut proxy = ProxyProcess::start_on(port, &self.servers, &flags, &[]).await;
        proxy.ignore();
        proxy
    }
}

async fn any_of_three_may_be_killed(store: String) {
    let backends = [Server::start(remember).await, Server::start(remember).await];
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    writeln!(secret, "a secret that three proxies share").unwrap();
    let servers = support::lines(&[&backends[0], &backends[1]]);
    let deployment = Deployment { servers, secret, store };
    let mut proxies = Vec::new();
    for _ in 0..PROXIES {
        proxies.push(deployment.start(free_address().await.port()).await);
    }
    let addresses: Vec<_> = proxies.iter().map(|proxy| proxy.address).collect();
    let (stop, visits) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let client = Client::new(number, addresses.clone());
        clients.push(tokio::spawn(visit_on(client, Arc::clone(&stop), Arc::clone(&visits))));
    }
    for kill in 0..KILLS {
        let seen = visits.load(Ordering::Relaxed);
        // At no particular moment.
        sleep(Duration::from_millis(fastrand::u64(50..400))).await;
        let victim = &mut proxies[kill % PROXIES];
        let port = victim.address.port();
        victim.child.kill().await.unwrap();
        until(|| visits.load(Ordering::Relaxed) > seen + 2 * CLIENTS).await;
        *victim = deployment.start(port).await;
        assert!(clients.iter().all(|client| !client.is_finished()), "a client failed");
    }
    stop.store(true, Ordering::Relaxed);
    let (mut moves, mut unknown) = (0, 0);
    for client in clients {
        let mut client = client.await.unwrap();
        (moves, unknown) = (moves + client.moves, unknown + client.unknown);
        // And each session is the same at every proxy.
        for at in 0..PROXIES {
            (client.at, client.wire) = (at, None);
            client.visit().await;
        }
    }
    let visits = visits.load(Ordering::Relaxed);
    // Hardly any, unless the machine has far more to do than it can.
    assert!(unknown * 4 < visits, "{unknown} of {visits} visits found nothing in the session");
    assert!(moves >= KILLS, "hardly anybody was at the proxies that were killed: {moves} moves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_of_three_proxies_over_one_redis_may_be_killed_under_load() {
    let redis = RedisServer::start();
    timeout(Duration::from_secs(120), any_of_three_may_be_killed(redis.url())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_of_three_proxies_over_a_cluster_may_be_killed_under_load() {
    let cluster = Cluster::start();
    timeout(Duration::from_secs(120), any_of_three_may_be_killed(cluster.url())).await.unwrap();
}
