//! Requests of all kinds, and what they leave behind: in the database, and in the log.
//!
//! `RONDEL_REQUESTS=1000000 cargo test --release -p rondel-proxy --test mixed` is the long form.

#[path = "support/layer.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod layer;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use layer::{Client, Proxy};
use redis::RedisServer;
use rondel_proxy::session::check_capture_header;

/// What is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tokens whose headers are spelled in every way that a library might.
fn token(random: &mut fastrand::Rng) -> String {
    let algorithm = ["HS256", "RS512", "none", "ECDH-ES", "dir"][random.usize(..5)];
    let spelled = [
        format!("{{\"alg\":\"{algorithm}\"}}"),
        format!("{{ \"typ\" : \"JWT\", \"alg\" : \"{algorithm}\" }}"),
        format!("\n{{\"enc\":\"A256GCM\",\"alg\":\"{algorithm}\"}}"),
        format!("{{\"kid\":\"{}\",\"x\":[1,{{}}],\"alg\":\"{algorithm}\"}}", random.u64(..)),
    ];
    let mut token = URL_SAFE_NO_PAD.encode(&spelled[random.usize(..4)]);
    for _ in 0..[2, 4][random.usize(..2)] {
        let part: Vec<u8> = (0..random.usize(0..40)).map(|_| random.u8(..)).collect();
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(part));
    }
    token
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

/// One request of a random kind. Notes what must be found nowhere.
fn request(
    proxy: &Proxy,
    clients: &mut [Client],
    random: &mut fastrand::Rng,
    secrets: &mut HashSet<String>,
) {
    let mut stranger = Client::default();
    let at = random.usize(..clients.len());
    let bearer = format!("Bearer {}", token(random));
    let hidden = token(random);
    let basic = format!("Basic {}", URL_SAFE_NO_PAD.encode(random.u64(..).to_string()));
    let value = random.u32(..).to_string();
    match random.u32(..10) {
        0 => drop(proxy.get(&mut stranger, &[("authorization", &bearer)])),
        1 => drop(proxy.get(&mut clients[at], &[("authorization", &bearer)])),
        2 => drop(proxy.get(&mut clients[at], &[("authorization", &basic)])),
        3 => drop(proxy.get(&mut stranger, &[])),
        4 => {
            let said = [("Rondel-Session-Token", hidden.as_str()), ("Rondel-Session-N", &value)];
            proxy.exchange(&mut clients[at], &[], "b1", &said);
        }
        5 => drop(proxy.get(&mut clients[at], &[("x-tenant", &hidden)])),
        6 => drop(proxy.exchange(&mut clients[at], &[], "b2", &[("Rondel-Session", "rotate")])),
        7 => {
            proxy.exchange(&mut clients[at], &[], "b2", &[("Rondel-Session", "destroy")]);
        }
        8 => {
            let mut forged = clients[at].clone();
            if let Some(cookie) = &mut forged.cookie {
                cookie.replace_range(cookie.len() - 3.., "xyz");
            }
            proxy.get(&mut forged, &[("x-tenant", &value)]);
        }
        _ => drop(proxy.get(&mut clients[at], &[("x-tenant", &value)])),
    }
    // Enough to be sure of, few enough to search for.
    if secrets.len() < 2_000 {
        secrets.extend([bearer, hidden, basic]);
        let cookies = [&stranger, &clients[at]].into_iter().filter_map(|c| c.cookie.as_ref());
        secrets.extend(cookies.filter_map(|cookie| cookie.split('.').nth(1)).map(str::to_owned));
    }
}

#[test]
fn neither_the_database_nor_the_log_ever_holds_a_token_a_cookie_or_a_credential() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let requests = std::env::var("RONDEL_REQUESTS").ok();
    let requests = requests.map_or(5_000, |count| count.parse().expect("a number of requests"));
    let redis = RedisServer::start_with(&["--requirepass", "hunter2"]);
    let proxy = Proxy::new(|settings| {
        settings.redis = Some(redis.url().replace("redis://", "redis://:hunter2@"));
        settings.capture = vec![check_capture_header("x-tenant").expect("a header to keep")];
    })
    .connected();
    let mut random = fastrand::Rng::with_seed(7);
    let mut clients = vec![Client::default(); 50];
    let mut secrets = HashSet::from(["hunter2".to_owned()]);
    for _ in 0..requests {
        request(&proxy, &mut clients, &mut random, &mut secrets);
    }
    assert!(proxy.flush());
    redis.command_as("hunter2", &["CONFIG", "SET", "requirepass", ""]);
    let database = redis.dump();
    assert!(database.len() > 100, "there are sessions");
    for text in &database {
        assert!(!holds_token(text), "{text}");
        assert!(!text.contains("v1."), "{text}");
    }
    let database = database.join("\n");
    let log = String::from_utf8_lossy(&log.0.lock().expect("the log")).into_owned();
    assert!(log.contains("a session value was dropped"), "there is a log");
    assert!(secrets.len() > 1_000);
    for secret in &secrets {
        assert!(!database.contains(secret.as_str()), "in the database: {secret}");
        assert!(!log.contains(secret.as_str()), "in the log: {secret}");
    }
}
