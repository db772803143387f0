//! Cookies that are not ours, through the whole proxy and over a real Redis.

mod support;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;

use redis::RedisServer;
use rondel_proxy::session::SessionSettings;
use support::{Server, TestProxy, Wire, until, within};

const FORGED: usize = 10_000;

/// Answers with the key of the session, in a response that no cookie may be set in: so a request
/// that brings no session leaves nothing behind, and every look-up is one of the cookie's.
async fn shared() -> Server {
    Server::start(|mut wire, _| async move {
        while let Some(head) = wire.read_head().await {
            let key = head.field("rondel-session").unwrap_or("none").to_owned();
            let length = key.len();
            let head = "HTTP/1.1 200 OK\r\nCache-Control: public\r\nContent-Length:";
            wire.write(format!("{head} {length}\r\n\r\n{key}")).await;
        }
    })
    .await
}

async fn proxy(server: &Server, redis: &RedisServer, secrets: &[&[u8]]) -> TestProxy {
    TestProxy::start_with(server.line(), |settings| {
        settings.sessions = Some(SessionSettings {
            secrets: secrets.iter().map(|secret| secret.to_vec()).collect(),
            redis: Some(redis.url()),
            ..SessionSettings::default()
        });
    })
    .await
}

/// The value of a cookie that was set in earnest, when its record is in Redis.
async fn minted(redis: &RedisServer, secret: &[u8]) -> String {
    let server = Server::named("plain").await;
    let proxy = proxy(&server, redis, &[secret]).await;
    let before = redis.keys().len();
    let answer = proxy.get("/").await;
    let set = answer.head.field("set-cookie").expect("a cookie").to_owned();
    until(|| redis.keys().len() > before).await;
    let pair = set.split(';').next().expect("a pair");
    pair.strip_prefix("rondel_sid=").expect("our name").to_owned()
}

async fn key_for(wire: &mut Wire, cookies: &str) -> String {
    wire.write(format!("GET / HTTP/1.1\r\nHost: x\r\n{cookies}\r\n")).await;
    let answer = wire.read_answer().await;
    assert_eq!(answer.status(), 200, "{cookies}");
    assert!(answer.head.all("set-cookie").is_empty());
    answer.text().to_owned()
}

/// A cookie line that is like a good one, and is none.
fn forge(good: &str, foreign: &str, random: &mut fastrand::Rng) -> String {
    let mut bytes = good.as_bytes().to_vec();
    let letter = |random: &mut fastrand::Rng| random.alphanumeric() as u8;
    let forged = match random.u32(..8) {
        // One letter is another one.
        0 | 1 => loop {
            let (at, other) = (random.usize(..bytes.len()), letter(random));
            // The last letter has spare bits, and those of our own spelling are all zero.
            if bytes[at] != other {
                bytes[at] = other;
                break bytes;
            }
        },
        2 => bytes[..random.usize(..bytes.len())].to_vec(),
        3 => {
            let more = random.usize(1..3_000);
            bytes.extend((0..more).map(|_| letter(random)));
            bytes
        }
        // Every part is good, and they do not belong together.
        4 => {
            let (ours, theirs): (Vec<_>, Vec<_>) =
                (good.split('.').collect(), foreign.split('.').collect());
            format!("v1.{}.{}.{}", theirs[1], ours[2], ours[3]).into_bytes()
        }
        // Another backend, to be sent there.
        5 => good.replace(good.split('.').nth(2).expect("a backend"), "admin").into_bytes(),
        6 => foreign.as_bytes().to_vec(),
        _ => (0..random.usize(..200)).map(|_| letter(random)).collect(),
    };
    let forged = String::from_utf8(forged).expect("plain text");
    match random.u32(..4) {
        0 => format!("Cookie: a=b; rondel_sid={forged}; rondel_sid={forged}\r\n"),
        1 => format!("Cookie: rondel_sid={forged}\r\nCookie: rondel_sid={forged};\r\n"),
        2 => format!("Cookie: rondel_sid=\"{forged}\"; rondel_sid={forged}\r\n"),
        _ => format!("Cookie: rondel_sid={forged}\r\n"),
    }
}

#[tokio::test]
async fn of_ten_thousand_forged_cookies_none_is_adopted_and_none_costs_a_look_up() {
    let redis = RedisServer::start();
    let good = minted(&redis, &[b'a'; 32]).await;
    // Replayed from somewhere else: good there.
    let foreign = minted(&redis, &[b'b'; 32]).await;
    let server = shared().await;
    let proxy = proxy(&server, &redis, &[&[b'a'; 32]]).await;
    let mut wire = proxy.connect().await;
    let mut key = String::new();
    within(async {
        // Until the proxy is connected: then the record is found, and not only believed.
        while redis.calls("hgetall") == 0 || key.is_empty() {
            key = key_for(&mut wire, &format!("Cookie: rondel_sid={good}\r\n")).await;
        }
    })
    .await;
    let known = redis.keys();
    assert!(known.contains(&key));
    let calls = || ["hgetall", "exists", "hset", "del"].map(|command| redis.calls(command));
    let before = calls();
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..FORGED {
        let forged = forge(&good, &foreign, &mut random);
        let given = key_for(&mut wire, &forged).await;
        assert!(!known.contains(&given), "{forged}");
    }
    assert_eq!(calls(), before);
    assert_eq!(key_for(&mut wire, &format!("Cookie: rondel_sid={good}\r\n")).await, key);
    // With a good one among them, it is that one.
    let among = format!("Cookie: rondel_sid=x; rondel_sid={foreign}; rondel_sid={good}\r\n");
    assert_eq!(key_for(&mut wire, &among).await, key);
}

#[tokio::test]
async fn a_key_is_changed_without_losing_a_session() {
    let redis = RedisServer::start();
    let old = minted(&redis, &[b'a'; 32]).await;
    let server = shared().await;
    let both = proxy(&server, &redis, &[&[b'b'; 32], &[b'a'; 32]]).await;
    let after = proxy(&server, &redis, &[&[b'b'; 32]]).await;
    let known = redis.keys();
    let cookie = format!("Cookie: rondel_sid={old}\r\n");
    within(async {
        let mut wire = both.connect().await;
        while !known.contains(&key_for(&mut wire, &cookie).await) {}
    })
    .await;
    let given = key_for(&mut after.connect().await, &cookie).await;
    assert!(!known.contains(&given), "the old key is retired");
}
