//! Cookies that are not ours, through the whole proxy and over a real Redis.

mod support;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;

use redis::RedisServer;
use rondel_proxy::session::SessionSettings;
use support::{Server, TestProxy, Wire, ports, until, within};

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
async fn an_id_with_a_good_mac_whose_record_is_gone_is_looked_up_and_not_adopted() {
    const COOKIES: usize = 200;
    let redis = RedisServer::start();
    let (server, plain) = (shared().await, Server::named("plain").await);
    let minting = proxy(&plain, &redis, &[&[b'a'; 32]]).await;
    let (mut wire, mut cookies) = (minting.connect().await, Vec::new());
    for _ in 0..COOKIES {
        let answer = wire.get("/").await;
        let set = answer.head.field("set-cookie").expect("a cookie").to_owned();
        cookies.push(format!("Cookie: {}\r\n", set.split(';').next().expect("a pair")));
    }
    until(|| redis.keys().len() >= COOKIES).await;
    let known = redis.keys();
    let proxy = proxy(&server, &redis, &[&[b'a'; 32]]).await;
    let mut wire = proxy.connect().await;
    within(async {
        while !known.contains(&key_for(&mut wire, &cookies[0]).await) || redis.calls("hgetall") == 0
        {
        }
    })
    .await;
    redis.command(&["FLUSHALL"]);
    within(async { while known.contains(&key_for(&mut wire, &cookies[0]).await) {} }).await;
    let before = redis.calls("hgetall");
    for cookie in &cookies {
        // While the answer of a busy machine is late, the MAC is believed.
        within(async { while known.contains(&key_for(&mut wire, cookie).await) {} }).await;
    }
    let calls = redis.calls("hgetall") - before;
    // Its owner may be a proxy that is about to write it: a record that is missing is looked for twice.
    assert!((COOKIES as u64 - 1..=3 * COOKIES as u64).contains(&calls), "{calls} look-ups");
}

/// Says what it is told to, and answers with the key of the session.
async fn obedient() -> Server {
    Server::start(|mut wire, _| async move {
        while let Some(head) = wire.read_head().await {
            let key = head.field("rondel-session").unwrap_or("none").to_owned();
            let status = head.field("x-status").unwrap_or("200 OK");
            let said = head.field("x-say").map(|line| format!("{line}\r\n")).unwrap_or_default();
            let bodiless = status.starts_with("304") || status.starts_with("101");
            let body = if bodiless { String::new() } else { key };
            let length = if bodiless {
                String::new()
            } else {
                format!("Content-Length: {}\r\n", body.len())
            };
            wire.write(format!("HTTP/1.1 {status}\r\n{said}{length}\r\n{body}")).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_log_in_changes_the_id_and_a_log_out_ends_it() {
    let redis = RedisServer::start();
    let server = obedient().await;
    let proxy = proxy(&server, &redis, &[&[b'a'; 32]]).await;
    let mut wire = proxy.connect().await;
    let mut ask = async |cookie: &str, said: &str| {
        let fields = if said.is_empty() { String::new() } else { format!("X-Say: {said}\r\n") };
        wire.write(format!("GET / HTTP/1.1\r\nHost: x\r\n{cookie}{fields}\r\n")).await;
        let answer = wire.read_answer().await;
        assert!(answer.head.fields.iter().all(|(name, _)| !name.starts_with("rondel-")));
        let set = answer.head.field("set-cookie").map(str::to_owned);
        (answer.text().to_owned(), set)
    };
    let line = |set: &str| format!("Cookie: {}\r\n", set.split(';').next().expect("a pair"));
    let (before, set) = ask("", "").await;
    let visitor = line(&set.expect("a cookie"));
    let (_, set) = ask(&visitor, "Rondel-Session: rotate").await;
    let set = set.expect("another cookie");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
    let member = line(&set);
    assert_ne!(member, visitor);
    let (after, set) = ask(&member, "").await;
    assert_eq!(set, None);
    assert_ne!(after, before);
    // Who had the old id, or planted it, has nothing of the session.
    let (planted, set) = ask(&visitor, "").await;
    assert!(set.is_some() && planted != after && planted != before);
    let (_, set) = ask(&member, "Rondel-Session: destroy").await;
    let set = set.expect("a cookie that takes the old one away");
    assert_eq!(set, "rondel_sid=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    let (gone, set) = ask(&member, "").await;
    assert!(set.is_some() && gone != after);
    until(|| ![&before, &after].iter().any(|key| redis.number(&["EXISTS", key]) == 1)).await;
}

#[tokio::test]
async fn no_cookie_is_set_where_it_must_not_be() {
    let redis = RedisServer::start();
    let server = obedient().await;
    let proxy = proxy(&server, &redis, &[&[b'a'; 32]]).await;
    let token = "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln\r\n";
    let upgrade = "Connection: upgrade\r\nUpgrade: x\r\nX-Status: 101 Switching Protocols\r\n\
                   X-Say: Upgrade: x\r\n";
    for fields in [
        "X-Say: Cache-Control: public, max-age=60\r\n",
        "X-Say: Cache-Control: s-maxage=60\r\n",
        "X-Status: 304 Not Modified\r\n",
        token,
        upgrade,
    ] {
        let mut wire = proxy.connect().await;
        wire.write(format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n")).await;
        let head = wire.read_head().await.expect("an answer");
        assert!(head.all("set-cookie").is_empty(), "{fields}");
    }
    // With an interim response before it, the last one has the cookie.
    let mut wire = proxy.connect().await;
    let upload = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n";
    wire.write(upload).await;
    let mut head = wire.read_head().await.expect("an answer");
    if head.start.contains(" 100 ") {
        assert!(head.all("set-cookie").is_empty());
        head = wire.read_head().await.expect("the last one");
    }
    assert_eq!(head.all("set-cookie").len(), 1);
    assert_eq!(head.field("cache-control"), Some("private"));
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
