//! Requests of all kinds through the proxy as it is run, and what they leave behind: in Redis, in
//! the access log and in the events, at their most talkative.
//!
//! `cargo xtask mixed` is the long form: a million requests.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;
mod support;

use std::{collections::HashSet, path::PathBuf, time::Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fastrand::Rng;
use redis::RedisServer;
use support::{Recorder, Server, Wire, ports, process::ProxyProcess};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const CONNECTIONS: usize = 12;
/// Sent before the first of their answers is read.
const PIPELINED: usize = 8;
/// Clients of each connection.
const CLIENTS: usize = 40;
/// Events are written at the level `trace` for so many requests.
const TRACED: usize = 4_000;

/// Every token and every credential holds this, encoded: whatever shows it has shown one.
const MARK: &[u8; 9] = b"a secret!";

fn mark() -> String {
    URL_SAFE_NO_PAD.encode(MARK)
}

/// Ends with the mark and with something that no other one has.
fn marked(random: &mut Rng) -> String {
    URL_SAFE_NO_PAD.encode([&MARK[..], &random.u64(..).to_le_bytes()].concat())
}

/// Tokens whose headers are spelled in every way that a library might.
fn token(random: &mut Rng) -> String {
    let algorithm = ["HS256", "RS512", "none", "ECDH-ES", "dir"][random.usize(..5)];
    let spelled = [
        format!("{{\"alg\":\"{algorithm}\"}}"),
        format!("{{ \"typ\" : \"JWT\", \"alg\" : \"{algorithm}\" }}"),
        format!("\n{{\"enc\":\"A256GCM\",\"alg\":\"{algorithm}\"}}"),
        format!("{{\"kid\":\"{}\",\"x\":[1,{{}}],\"alg\":\"{algorithm}\"}}", random.u64(..)),
    ];
    let mut token = URL_SAFE_NO_PAD.encode(&spelled[random.usize(..4)]);
    for _ in 0..[1, 3][random.usize(..2)] {
        let part: Vec<u8> = (0..random.usize(1..40)).map(|_| random.u8(..)).collect();
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(part));
    }
    token + "." + &marked(random)
}

/// Whether a token stands anywhere in the text, by another way than the proxy's own.
fn holds_token(text: &str) -> bool {
    let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.split(|c| !belongs(c)).any(|word| {
        let parts: Vec<_> = word.split('.').collect();
        matches!(parts.len(), 3 | 5)
            && URL_SAFE_NO_PAD
                .decode(parts[0])
                .ok()
                .and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok())
                .is_some_and(|header| header.get("alg").is_some())
    })
}

/// A backend that does what the request tells it to: sets values, rotates, destroys.
async fn obey(mut wire: Wire, _: Recorder) {
    while let Some(head) = wire.read_head().await {
        if wire.read_body(&head).await.is_err() {
            return;
        }
        let mut fields = String::new();
        for line in head.all("x-say") {
            fields.extend(["Rondel-Session", line, "\r\n"]);
        }
        wire.write(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok")).await;
    }
}

/// One request of a random kind; `cookie`: the line of the client that sends it, if it has one.
fn request(random: &mut Rng, cookie: &str) -> String {
    let hidden = token(random);
    let number = random.u32(..);
    let (path, body) = match random.u32(..10) {
        0 => (format!("/?access_token={hidden}"), String::new()),
        1 => ("/form".to_owned(), format!("id_token={hidden}")),
        _ => ("/".to_owned(), String::new()),
    };
    let fields = match random.u32(..12) {
        0 => format!("Authorization: Bearer {hidden}\r\n"),
        1 => format!("{cookie}Authorization: bearer   {hidden}\r\n"),
        2 => format!("{cookie}Authorization: Basic {}\r\n", marked(random)),
        3 => String::new(),
        4 => format!("{cookie}X-Say: -Token: {hidden}\r\nX-Say: -N: {number}\r\n"),
        5 => format!("{cookie}X-Say: -Token: Bearer {hidden}\r\n"),
        6 => format!("{cookie}X-Tenant: {hidden}\r\n"),
        7 => format!("{cookie}X-Say: : rotate\r\nX-Say: -N: {number}\r\n"),
        8 => format!("{cookie}X-Say: : destroy\r\n"),
        9 => format!("Cookie: rondel_sid={hidden}; app={hidden}\r\nX-Tenant: t{number}\r\n"),
        10 => format!("{}Cookie: app={hidden}\r\n", cookie.replace("\r\n", "x\r\n")),
        _ => format!("{cookie}X-Tenant: t{number}\r\nX-Say: -N: {number}\r\n"),
    };
    let method = if body.is_empty() { "GET" } else { "POST" };
    let length = body.len();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\ntraceparent: {traceparent}\r\n{fields}\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// One connection's share of the requests. Gives some of the ids that stood in cookies.
async fn ask(proxy: std::net::SocketAddr, requests: usize, seed: u64) -> Vec<String> {
    let mut random = Rng::with_seed(seed);
    let mut wire = Wire::connect(proxy).await;
    let mut cookies = vec![String::new(); CLIENTS];
    let mut ids = Vec::new();
    for batch in 0..requests / PIPELINED {
        // Of different clients, so that none of them uses what another answer has taken away.
        let first = batch * PIPELINED % CLIENTS;
        let batch: String = (0..PIPELINED)
            .map(|at| request(&mut random, &cookies[(first + at) % CLIENTS]))
            .collect();
        wire.write(&batch).await;
        for at in 0..PIPELINED {
            let answer = wire.read_answer().await;
            assert_eq!(answer.status(), 200);
            let Some(set) = answer.head.field("set-cookie") else { continue };
            let pair = set.split(';').next().unwrap();
            let gone = set.contains("Max-Age=0");
            // Some go on with a cookie whose session has ended.
            if gone && random.bool() {
                continue;
            }
            let line = if gone { String::new() } else { format!("Cookie: {pair}\r\n") };
            cookies[(first + at) % CLIENTS] = line;
            if ids.len() < 200 && !gone {
                ids.push(pair.split('.').nth(1).unwrap().to_owned());
            }
        }
    }
    ids
}

struct Run {
    proxy: ProxyProcess,
    access: PathBuf,
    events: JoinHandle<Vec<u8>>,
    _folder: TempDir,
}

impl Run {
    async fn start(servers: &str, redis: &RedisServer, level: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let access = folder.path().join("access.log");
        let store = redis.url().replace("redis://", "redis://:hunter2@");
        let flags = ["--redis", &store, "--session-header", "x-tenant", "--admin", "off"];
        let log = ["--access-log", access.to_str().unwrap()];
        let environment = [("RUST_LOG", level)];
        let flags = [&flags[..], &log[..]].concat();
        let mut proxy = ProxyProcess::start_on(0, servers, &flags, &environment).await;
        let events = proxy.keep();
        Self { proxy, access, events, _folder: folder }
    }

    async fn serve(&self, requests: usize) -> HashSet<String> {
        let share = requests.div_ceil(CONNECTIONS * PIPELINED) * PIPELINED;
        let asking = (0..CONNECTIONS as u64).map(|seed| ask(self.proxy.address, share, seed));
        let asking: Vec<_> = asking.map(tokio::spawn).collect();
        let mut ids = HashSet::new();
        for asked in asking {
            ids.extend(asked.await.unwrap());
        }
        ids
    }

    /// Ends the proxy, and gives all that it wrote down.
    async fn end(mut self) -> Vec<String> {
        self.proxy.signal(rustix::process::Signal::TERM);
        assert_eq!(self.proxy.ended().await, 0);
        let events = String::from_utf8_lossy(&self.events.await.unwrap()).into_owned();
        vec![events, std::fs::read_to_string(&self.access).unwrap()]
    }
}

fn shows_nothing(name: &str, text: &str, ids: &HashSet<String>) {
    for secret in [mark().as_str(), "hunter2", "v1."] {
        let at = text.find(secret);
        let around = at.map(|at| &text[at.saturating_sub(200)..(at + 60).min(text.len())]);
        assert_eq!(around, None, "{name} shows `{secret}`");
    }
    assert!(!holds_token(text), "{name} holds a token");
    let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let shown = text.split(|c| !belongs(c)).find(|word| ids.contains(*word));
    assert_eq!(shown, None, "{name} shows the id of a session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kind_of_request_leaves_a_token_a_cookie_or_a_credential_anywhere() {
    let requests = std::env::var("RONDEL_REQUESTS").ok();
    let requests: usize = requests.map_or(TRACED, |count| count.parse().unwrap());
    let redis = RedisServer::start_with(&["--requirepass", "hunter2"]);
    let backends = [Server::start(obey).await, Server::start(obey).await];
    let servers = support::lines(&[&backends[0], &backends[1]]);

    let traced = Run::start(&servers, &redis, "trace").await;
    let mut ids = traced.serve(TRACED).await;
    assert!(ids.len() > 300, "{}", ids.len());
    let [events, access] = &traced.end().await[..] else { panic!("two logs") };
    assert!(events.contains("\"level\":\"WARN\""), "or this shows nothing");
    assert!(events.contains("a session value was dropped"), "or this shows nothing");
    assert!(access.lines().count() >= TRACED);
    for result in ["hit", "new", "miss", "bypass"] {
        assert!(access.contains(&format!("\"session\":\"{result}\"")), "{result}");
    }
    shows_nothing("the log of events", events, &ids);
    shows_nothing("the access log", access, &ids);

    let rest = requests.saturating_sub(TRACED);
    if rest > 0 {
        let run = Run::start(&servers, &redis, "info").await;
        let start = Instant::now();
        ids.extend(run.serve(rest).await);
        let took = start.elapsed();
        for (name, text) in ["the log of events", "the access log"].iter().zip(&run.end().await) {
            shows_nothing(name, text, &ids);
        }
        say(&format!("{rest} requests in {took:.1?}"));
    }
    let open = redis.command_as("hunter2", &["CONFIG", "SET", "requirepass", ""]);
    assert!(!matches!(open, redis::Reply::Error(_)));
    // The proxies have ended, so everything that they wrote is there.
    let database = redis.dump();
    assert!(database.len() > 100, "there are sessions");
    for text in &database {
        shows_nothing("the database", text, &ids);
    }
    let kept = database.len();
    say(&format!("{requests} requests, {kept} keys and values, and no token among them"));
}

#[expect(clippy::print_stderr, reason = "figures for people")]
fn say(what: &str) {
    eprintln!("{what}");
}
