//! What `docs/sessions.md` shows and says of Redis, held against a real one.

#[path = "support/layer.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod layer;
#[path = "support/ports.rs"]
mod ports;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;

use std::process::Command;

use layer::{Client, Proxy, until};
use redis::RedisServer;

const HANDBOOK: &str = include_str!("../../docs/sessions.md");
const PROMPT: &str = "127.0.0.1:6379> ";

/// The transcript: each command, and what it says.
fn transcript() -> Vec<(&'static str, String)> {
    let (_, rest) = HANDBOOK.split_once("```text\n127.0.0.1:6379> ").expect("a transcript");
    let (text, _) = rest.split_once("```").expect("its end");
    let steps = text.split(PROMPT).map(|step| step.split_once('\n').expect("an answer"));
    steps.map(|(command, answer)| (command, answer.to_owned())).collect()
}

/// The same for every key, every time, and every order that the fields of a hash may have.
fn plain(command: &str, text: &str, key: &str) -> String {
    let mut plain = text.replace(key, "KEY");
    if command.starts_with("HGETALL") {
        let words: Vec<_> = plain.lines().filter_map(|line| line.split_once(") ")).collect();
        let mut fields: Vec<_> = words.chunks(2).map(|pair| [pair[0].1, pair[1].1]).collect();
        fields.sort_unstable();
        plain = fields.concat().join("\n");
    }
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).count();
    let times: Vec<_> = plain
        .match_indices("17")
        .filter(|(at, _)| digits(&plain[*at..]) == 10)
        .map(|(at, _)| plain[at..at + 10].to_owned())
        .collect();
    for time in times {
        plain = plain.replace(&time, "TIME");
    }
    plain
}

#[test]
fn the_transcript_is_what_redis_cli_says() {
    let redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    redis.command(&["FLUSHALL"]);
    let mut client = Client::default();
    let mut key = String::new();
    for visit in 1..=7 {
        let visit = visit.to_string();
        let answer = proxy.exchange(&mut client, &[], "one", &[("Rondel-Session-Visits", &visit)]);
        answer.key().clone_into(&mut key);
        assert!(proxy.flush());
    }
    let steps = transcript();
    let shown = steps[0].1.split('"').find(|word| word.starts_with("rondel:s:")).expect("a key");
    for (command, answer) in &steps {
        let words = command.split_whitespace().take_while(|word| *word != "#");
        let words = words.map(|word| word.replace(shown, &key));
        let said = Command::new("redis-cli")
            .args(["-p", &redis.port().to_string(), "--no-raw"])
            .args(words)
            .output()
            .expect("redis-cli: apt-get install redis-tools");
        let said = String::from_utf8(said.stdout).expect("text");
        assert_eq!(plain(command, &said, &key), plain(command, answer, shown), "{command}");
        match command.split(' ').next() {
            Some("HSET") => until("the proxy has heard", || {
                proxy.get(&mut client.clone(), &[]).sent("rondel-session-note") == Some("hello")
            }),
            Some("DEL") => until("the client is logged out", || {
                proxy.get(&mut client.clone(), &[]).sets_cookie()
            }),
            _ => {}
        }
    }
    let commands: Vec<_> = steps.iter().filter_map(|(step, _)| step.split(' ').next()).collect();
    assert_eq!(commands, ["SCAN", "HGETALL", "EXPIRETIME", "HSET", "DEL"]);
}

/// The number that stands before these words.
fn said(words: &str) -> f64 {
    let (before, _) = HANDBOOK.split_once(words).unwrap_or_else(|| panic!("`{words}` is not said"));
    before.split_whitespace().next_back().and_then(|word| word.parse().ok()).expect("a number")
}

#[test]
fn the_sizes_are_those_that_redis_has_for_them() {
    let (small, large) = ("bytes for a\nsession without values", "for one with three values");
    for (words, values) in [(small, 0), (large, 3)] {
        let redis = RedisServer::start();
        let proxy = Proxy::over(&redis).connected();
        let used = || {
            let memory = redis.text(&["INFO", "memory"]).expect("its memory");
            let line = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
            line.and_then(|text| text.trim().parse::<f64>().ok()).expect("a number")
        };
        let (before, begun) = (used(), redis.keys().len());
        let longs = ["a".repeat(40), "b".repeat(200), "c".repeat(2)];
        let names = ["Rondel-Session-One", "Rondel-Session-Two", "Rondel-Session-Three"];
        for _ in 0..4_000 {
            let said: Vec<_> =
                names.iter().zip(&longs).map(|(name, text)| (*name, text.as_str())).collect();
            proxy.exchange(&mut Client::default(), &[], "one", &said[..values]);
        }
        assert!(proxy.flush());
        let keys = redis.keys().len() - begun;
        assert_eq!(keys, 4_000);
        let each = (used() - before) / 4_000.0;
        let ratio = each / said(words);
        assert!((0.7..1.4).contains(&ratio), "{each:.0} bytes with {values} values");
    }
}

#[test]
fn with_the_policy_of_the_handbook_a_full_redis_gives_up_what_was_not_used_for_longest() {
    assert!(HANDBOOK.contains("`maxmemory-policy volatile-lru` or `volatile-ttl`"));
    for policy in ["volatile-lru", "volatile-ttl"] {
        let redis = RedisServer::start_with(&["--maxmemory-policy", policy]);
        let proxy = Proxy::over(&redis).connected();
        let mut oldest = Client::default();
        proxy.get(&mut oldest, &[]);
        assert!(proxy.flush());
        let memory = redis.text(&["INFO", "memory"]).expect("its memory");
        let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
        let used: u64 = used.expect("a line").trim().parse().expect("a number");
        // Room for a few thousand sessions more.
        redis.command(&["CONFIG", "SET", "maxmemory", &(used + 2_000_000).to_string()]);
        let mut newest = Client::default();
        for session in 0..20_000 {
            newest = Client::default();
            proxy.get(&mut newest, &[]);
            if session % 1_000 == 0 {
                assert!(proxy.flush());
            }
        }
        assert!(proxy.flush(), "{policy}: nothing is refused");
        assert_eq!(proxy.sessions.stats().writes_dropped.count(), 0, "{policy}");
        assert!(redis.keys().len() < 15_000, "{policy}: {} keys", redis.keys().len());
        let key = proxy.get(&mut newest, &[]).key().to_owned();
        assert_eq!(redis.number(&["EXISTS", &key]), 1, "{policy}");
        until("the proxy has heard that the oldest is gone", || {
            proxy.get(&mut oldest.clone(), &[]).sets_cookie()
        });
    }
}
