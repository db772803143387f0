//! Changes that others make in Redis, and a Redis that answers late, half or not at all.

#[path = "support/changes.rs"]
mod changes;
#[path = "support/layer.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod layer;
#[path = "support/ports.rs"]
mod ports;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;
#[path = "support/relay.rs"]
mod relay;

use std::{
    thread,
    time::{Duration, Instant},
};

use changes::{AT_LAST, SOON, end_seen_in, known, seen_in, soon};
use layer::{Client, Proxy, known_clients, serve, until};
use redis::{RedisServer, Reply};
use relay::Relay;

/// Waits until changes are told of again.
fn until_told(redis: &RedisServer, proxy: &Proxy, client: &mut Client, key: &str) {
    changes::until_told(proxy, client, |value| {
        redis.command(&["HSET", key, "d:note", value]);
    });
}

#[test]
fn what_somebody_else_writes_is_seen_soon() {
    let redis = RedisServer::start();
    let (one, two) = (Proxy::over(&redis).connected(), Proxy::over(&redis).connected());
    let (mut client, key) = known(&one);
    until_told(&redis, &one, &mut client, &key);
    let by_hand = (0..20).map(|turn| {
        let value = format!("by hand {turn}");
        redis.command(&["HSET", &key, "d:note", &value]);
        seen_in(&one, &mut client.clone(), Some(&value))
    });
    soon(by_hand.collect());
    let by_proxy = (0..20).map(|turn| {
        let value = format!("by proxy {turn}");
        let said = [("Rondel-Session-Note", value.as_str())];
        two.exchange(&mut client.clone(), &[], "b2", &said);
        seen_in(&one, &mut client.clone(), Some(&value))
    });
    soon(by_proxy.collect());
    redis.command(&["HDEL", &key, "d:note"]);
    let fields = seen_in(&one, &mut client, None);
    redis.command(&["DEL", &key]);
    let end = end_seen_in(&one, &client);
    let ends = (0..10).map(|_| {
        let (client, _) = known(&one);
        until("the other one knows it", || !two.get(&mut client.clone(), &[]).sets_cookie());
        two.exchange(&mut client.clone(), &[], "b2", &[("Rondel-Session", "destroy")]);
        end_seen_in(&one, &client)
    });
    soon(ends.chain([fields, end]).collect());
}

#[test]
fn a_session_in_steady_use_costs_no_command_however_long_it_is_used() {
    let redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let (mut client, key) = known(&proxy);
    until_told(&redis, &proxy, &mut client, &key);
    proxy.get(&mut client, &[]);
    let commands = || {
        let stats = redis.text(&["INFO", "commandstats"]).unwrap_or_default();
        let others = stats.lines().filter(|line| !line.starts_with("cmdstat_info"));
        others.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = commands();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(7) {
        for _ in 0..500 {
            assert!(!proxy.get(&mut client, &[]).sets_cookie());
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(commands(), before);
}

#[test]
fn an_emptied_database_is_noticed_soon() {
    let redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let mut times = Vec::new();
    for command in ["FLUSHALL", "FLUSHDB", "FLUSHALL", "FLUSHALL"] {
        let (mut client, key) = known(&proxy);
        until_told(&redis, &proxy, &mut client, &key);
        redis.command(&[command]);
        times.push(end_seen_in(&proxy, &client));
    }
    soon(times);
}

#[test]
fn where_redis_may_not_tell_of_changes_they_are_seen_within_five_seconds() {
    let redis = RedisServer::start();
    let rights = ["ACL", "SETUSER", "rondel", "on", ">hunter2"].into_iter();
    let rights = rights.chain(RIGHTS.split_whitespace().filter(|word| !word.contains("tracking")));
    assert_eq!(redis.command(&rights.collect::<Vec<_>>()), Reply::Text("OK".into()));
    let url = redis.url().replace("redis://", "redis://rondel:hunter2@");
    let proxy = Proxy::new(|settings| settings.redis = Some(url)).connected();
    let mut slowest = Duration::ZERO;
    for round in 0..3 {
        let (mut client, key) = known(&proxy);
        let value = format!("by hand {round}");
        redis.command(&["HSET", &key, "d:note", &value]);
        slowest = slowest.max(seen_in(&proxy, &mut client, Some(&value)));
        redis.command(&["DEL", &key]);
        let end = end_seen_in(&proxy, &client);
        slowest = slowest.max(end);
        assert!(slowest < AT_LAST, "{slowest:?}");
    }
    assert!(slowest > SOON, "it was told of, and this shows nothing: {slowest:?}");
}

/// How long a proxy that was cut off takes until it is connected again and told of changes.
const RECONNECTED: Duration = Duration::from_secs(1);

#[test]
fn changes_are_told_of_again_after_every_loss() {
    let mut redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let (mut client, key) = known(&proxy);
    until_told(&redis, &proxy, &mut client, &key);
    for round in 0..4 {
        redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        let value = format!("meanwhile {round}");
        redis.command(&["HSET", &key, "d:note", &value]);
        let seen = seen_in(&proxy, &mut client, Some(&value));
        assert!(seen < RECONNECTED, "{seen:?}");
        until_told(&redis, &proxy, &mut client, &key);
    }
    redis.kill();
    redis.run();
    let (mut client, key) = known(&proxy);
    until_told(&redis, &proxy, &mut client, &key);
}

#[test]
fn a_hundred_thousand_changes_at_once_hide_none() {
    let redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let (mut client, key) = known(&proxy);
    until_told(&redis, &proxy, &mut client, &key);
    let mut times = Vec::new();
    for round in 0..3 {
        // Of keys that could be sessions, in one step, with the one that matters among them.
        let script = "for i = 1, 100000 do \
                        redis.call('HSET', string.format('rondel:s:%022d', i), 'v', ARGV[1]) \
                        if i == 50000 then redis.call('HSET', KEYS[1], 'd:note', ARGV[1]) end \
                      end return 1";
        let value = format!("flood {round}");
        assert_eq!(redis.command(&["EVAL", script, "1", &key, &value]), Reply::Number(1));
        times.push(seen_in(&proxy, &mut client, Some(&value)));
        until_told(&redis, &proxy, &mut client, &key);
    }
    times.sort();
    // Redis takes its time to write 100,000 names, and the client to read them, above all if it is
    // not optimized. What changes after that is seen soon again, as above.
    let limit = if cfg!(debug_assertions) { AT_LAST } else { 3 * SOON };
    assert!(times[2] < limit, "{times:?}");
}

#[test]
fn writers_at_once_lose_no_field_and_agree_on_each() {
    let redis = RedisServer::start();
    let proxies = [Proxy::over(&redis).connected(), Proxy::over(&redis).connected()];
    let (client, key) = known(&proxies[0]);
    thread::scope(|scope| {
        for (at, proxy) in proxies.iter().enumerate() {
            let mut client = client.clone();
            scope.spawn(move || {
                for turn in 0..100 {
                    let own = format!("Rondel-Session-Own{at}");
                    let value = turn.to_string();
                    let said = [(own.as_str(), value.as_str()), ("Rondel-Session-Both", &value)];
                    proxy.exchange(&mut client, &[], "b1", &said);
                }
            });
        }
    });
    assert!(proxies.iter().all(Proxy::flush));
    let kept = |name: &str| redis.text(&["HGET", &key, name]);
    for field in ["d:own0", "d:own1", "d:both"] {
        assert_eq!(kept(field).as_deref(), Some("99"), "{field}");
    }
    for proxy in &proxies {
        let start = Instant::now();
        until("both see all", || {
            let seen = proxy.get(&mut client.clone(), &[]);
            let names = ["own0", "own1", "both"].map(|name| format!("rondel-session-{name}"));
            names.iter().all(|name| seen.sent(name) == Some("99"))
        });
        assert!(start.elapsed() < AT_LAST, "{:?}", start.elapsed());
    }
}

#[test]
fn writes_of_one_session_become_one_and_those_of_many_go_together() {
    const SESSIONS: u64 = 40;
    let redis = RedisServer::start();
    let relay = Relay::to(redis.port());
    let proxy = Proxy::new(|settings| settings.redis = Some(relay.url())).connected();
    let mut clients: Vec<_> = (0..SESSIONS).map(|_| known(&proxy)).collect();
    let reads = || {
        let stats = redis.text(&["INFO", "stats"]).expect("statistics");
        let line = stats.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
        line.and_then(|count| count.trim().parse::<u64>().ok()).expect("a number")
    };
    relay.delay(Duration::from_millis(400));
    let (hset, before) = (redis.calls("hset"), reads());
    for turn in 0..25 {
        for (client, _) in &mut clients {
            let value = turn.to_string();
            proxy.exchange(client, &[], "b1", &[("Rondel-Session-Turn", &value)]);
        }
    }
    assert!(proxy.flush());
    let (hset, reads) = (redis.calls("hset") - hset, reads() - before);
    for (_, key) in &clients {
        assert_eq!(redis.text(&["HGET", key, "d:turn"]).as_deref(), Some("24"));
    }
    // A thousand changes; what comes while a round trip is under way makes up the next one.
    assert!(hset <= 8 * SESSIONS, "{hset} writes");
    // With each, it is asked whether the record is there, and then it is dated and read: four commands.
    assert!(reads <= 2 * hset, "{hset} writes of four commands came in {reads} pieces");
}

// ------------------------------------------------------------------ an end is an end for good

#[test]
fn a_beginning_that_is_written_again_does_not_undo_an_end() {
    let redis = RedisServer::start();
    let relay = Relay::to(redis.port());
    let far = Proxy::new(|settings| settings.redis = Some(relay.url())).connected();
    let near = Proxy::over(&redis).connected();
    let mut client = Client::default();
    // The record arrives, and the proxy that wrote it never learns so.
    relay.mute(true);
    let key = far.exchange(&mut client, &[], "b1", &[("Rondel-Session-A", "1")]).key().to_owned();
    until("the record is there", || redis.number(&["EXISTS", &key]) == 1);
    let mut copy = client.clone();
    let end = near.exchange(&mut copy, &[], "b2", &[("Rondel-Session", "destroy")]);
    assert_eq!(end.key(), key, "the other proxy serves it");
    assert!(near.flush());
    assert_eq!(redis.number(&["EXISTS", &key]), 0);
    let writes = redis.calls("hset");
    relay.cut();
    relay.mute(false);
    assert!(far.flush());
    assert!(redis.calls("hset") > writes, "it was written again, or this shows nothing");
    assert_eq!(redis.number(&["EXISTS", &key]), 0, "and stayed ended");
    until("the proxy that began it has heard", || far.get(&mut client.clone(), &[]).sets_cookie());
    assert!(near.get(&mut client, &[]).sets_cookie());
}

#[test]
fn an_end_is_written_also_when_redis_is_full_and_nothing_else_is() {
    let redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let mut clients = known_clients(&proxy);
    let keys: Vec<_> =
        clients.iter_mut().map(|client| proxy.get(client, &[]).key().to_owned()).collect();
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for (at, client) in clients.iter_mut().enumerate() {
        let said = match at % 2 {
            0 => ("Rondel-Session", "destroy"),
            _ => ("Rondel-Session-A", "kept"),
        };
        proxy.exchange(client, &[], "b1", &[said]);
    }
    until("the ended ones are gone", || {
        keys.iter().step_by(2).all(|key| redis.number(&["EXISTS", key]) == 0)
    });
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(proxy.flush());
    for (at, key) in keys.iter().enumerate() {
        let kept = redis.text(&["HGET", key, "d:a"]);
        assert_eq!(
            kept.as_deref(),
            (at % 2 == 1).then_some("kept"),
            "{at}: none takes another's answer"
        );
    }
}

/// The rights that `docs/sessions.md` gives to the proxy; it needs no other ones.
const RIGHTS: &str = "resetkeys ~rondel:* resetchannels -@all +hello +ping +client|tracking \
                      +client|id +info +hgetall +hset +hdel +del +exists +expireat";

#[test]
fn the_least_rights_of_the_handbook_are_enough_and_are_not_more() {
    let redis = RedisServer::start();
    let rights = ["ACL", "SETUSER", "rondel", "on", ">hunter2"];
    let rights: Vec<_> = rights.into_iter().chain(RIGHTS.split_whitespace()).collect();
    assert_eq!(redis.command(&rights), Reply::Text("OK".into()));
    let handbook = include_str!("../../docs/sessions.md");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(handbook).contains(&words(RIGHTS)), "the handbook says otherwise");
    let url = redis.url().replace("redis://", "redis://rondel:hunter2@");
    let proxy = Proxy::new(|settings| settings.redis = Some(url)).connected();
    let (mut client, key) = known(&proxy);
    until_told(&redis, &proxy, &mut client, &key);
    proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-A", "1")]);
    proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session-A", "")]);
    proxy.exchange(&mut client, &[], "b1", &[("Rondel-Session", "destroy")]);
    assert!(proxy.flush());
    assert_eq!(redis.number(&["EXISTS", &key]), 0);
    let log = redis.command(&["ACL", "LOG"]);
    assert_eq!(log, Reply::List(Vec::new()), "nothing was refused");
}

// ------------------------------------------------------------------------- slow, or not ready

#[test]
fn with_200_ms_to_redis_no_request_waits_and_every_write_arrives() {
    let redis = RedisServer::start();
    let relay = Relay::to(redis.port());
    let proxy = Proxy::new(|settings| settings.redis = Some(relay.url())).connected();
    let mut clients = known_clients(&proxy);
    relay.delay(Duration::from_millis(200));
    serve(&proxy, &mut clients, 300);
    assert!(proxy.flush(), "writes have the time they need");
    let answer = proxy.get(&mut clients[9], &[]);
    assert_eq!(redis.text(&["HGET", answer.key(), "d:turn"]).as_deref(), Some("299"));
    let created = redis.text(&["HGET", answer.key(), "created"]).expect("a record");
    let seen = redis.text(&["HGET", answer.key(), "seen"]).expect("a record");
    let end = redis.number(&["EXPIRETIME", answer.key()]);
    assert!(created <= seen);
    assert_eq!(end, seen.parse::<i64>().expect("a number") + 1_800, "an absolute end");
    relay.delay(Duration::ZERO);
    relay.cut();
    until_told(&redis, &proxy, &mut clients[9], answer.key());
}

#[test]
fn while_redis_loads_its_data_sessions_go_on() {
    let mut redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let mut clients = known_clients(&proxy);
    for filler in 0..300 {
        redis.command(&["SET", &format!("filler:{filler}"), "x"]);
    }
    redis.command(&["SAVE"]);
    redis.kill();
    redis.add_arguments(&[
        "--key-load-delay",
        "10000",
        "--loading-process-events-interval-bytes",
        "1024",
    ]);
    redis.run();
    let loading =
        || matches!(redis.command(&["GET", "x"]), Reply::Error(why) if why.starts_with("LOADING"));
    assert!(loading(), "or this shows nothing");
    serve(&proxy, &mut clients, 100);
    until("it has loaded", || !loading());
    assert!(proxy.flush());
    let answer = proxy.get(&mut clients[9], &[]);
    assert_eq!(redis.text(&["HGET", answer.key(), "d:turn"]).as_deref(), Some("99"));
}

#[test]
fn a_redis_that_begins_to_ask_for_a_password_is_away_and_comes_back() {
    let redis = RedisServer::start();
    let proxy = Proxy::over(&redis).connected();
    let mut clients = known_clients(&proxy);
    redis.command(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let killed = redis.command_as("hunter2", &["CLIENT", "KILL", "TYPE", "normal"]);
    assert!(!matches!(killed, Reply::Error(_)), "{killed:?}");
    serve(&proxy, &mut clients, 200);
    redis.command_as("hunter2", &["CONFIG", "SET", "requirepass", ""]);
    assert!(proxy.flush(), "it comes back by itself");
    let answer = proxy.get(&mut clients[9], &[]);
    assert_eq!(redis.text(&["HGET", answer.key(), "d:turn"]).as_deref(), Some("199"));
}
