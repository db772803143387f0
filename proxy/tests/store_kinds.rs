//! What holds over one Redis, over three nodes of a cluster and over a pair behind a sentinel: known
//! sessions cost nothing, changes are seen soon after every loss, and no request waits.

#[path = "support/changes.rs"]
mod changes;
#[path = "support/cluster.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod cluster;
#[path = "support/layer.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod layer;
#[path = "support/pair.rs"]
mod pair;
#[path = "support/ports.rs"]
mod ports;
#[path = "support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod redis;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use changes::{AT_LAST, end_seen_in, known, seen_in, soon, until_told};
use cluster::Cluster;
use http::HeaderMap;
use layer::{
    Client, LIMIT, Proxy, headers, known_clients, open_at_once, serve, serve_timed, until,
};
use pair::Pair;
use redis::{RedisServer, Reply};
use rondel_proxy::session::{SessionFail, SessionSettings};

#[expect(clippy::large_enum_variant, reason = "there is one of them in each test")]
enum Kind {
    Cluster(Cluster),
    Pair(Pair),
}

macro_rules! over_each_kind {
    ($($test:ident)*) => {
        mod cluster_of_three {
            $(#[test] fn $test() { super::$test(&mut super::Kind::Cluster(super::Cluster::start())); })*
        }
        mod pair_behind_a_sentinel {
            $(#[test] fn $test() { super::$test(&mut super::Kind::Pair(super::Pair::start())); })*
        }
    };
}

over_each_kind! {
    ten_thousand_requests_of_known_sessions_cost_no_command
    a_thousand_first_requests_at_once_are_one_look_up
    changes_and_ends_are_seen_soon_after_an_emptied_database_and_lost_connections
    changes_and_ends_are_seen_soon_after_a_hundred_thousand_at_once
    changes_and_ends_are_seen_soon_after_a_fail_over
    frozen
    full
    two_hundred_milliseconds_slow
    loading
    behind_a_password
    closed
}

impl Kind {
    fn proxy(&self) -> Proxy {
        self.proxy_that(SessionFail::Open).connected()
    }

    fn proxy_that(&self, fail: SessionFail) -> Proxy {
        let url = match self {
            Self::Cluster(cluster) => cluster.url(),
            Self::Pair(pair) => pair.url(),
        };
        let adjust = |settings: &mut SessionSettings| {
            settings.redis = Some(url);
            settings.fail = fail;
        };
        Proxy::new(adjust)
    }

    fn servers(&self) -> Vec<&RedisServer> {
        match self {
            Self::Cluster(cluster) => cluster.nodes.iter().collect(),
            Self::Pair(pair) => vec![&pair.main, &pair.second],
        }
    }

    /// The server that answers for the key, and takes writes.
    fn holder(&self, key: &str) -> &RedisServer {
        let holds = |server: &&RedisServer| {
            let takes_writes = ["HSET", key, "held", "1"];
            matches!(server.try_command(&takes_writes), Some(Reply::Number(_)))
                && server.command(&["HDEL", key, "held"]) == Reply::Number(1)
        };
        self.servers().into_iter().find(holds).expect("somebody has the key")
    }

    fn note(&self, key: &str, value: &str) {
        self.holder(key).command(&["HSET", key, "d:note", value]);
    }

    /// What was asked of the records, by anybody.
    fn commands(&self) -> u64 {
        let names = ["hgetall", "hset", "hdel", "del", "exists", "expireat"];
        let of = |server: &RedisServer| names.map(|name| server.calls(name)).iter().sum::<u64>();
        self.servers().into_iter().map(of).sum()
    }

    /// The first server dies, with the data of its sessions in its copy; gives a key of these.
    fn fail_over(&mut self, keys: &[String]) -> String {
        let moved = match self {
            Self::Pair(_) => keys[0].clone(),
            Self::Cluster(cluster) => {
                let first = cluster.nodes[0].port();
                let of_first = |key: &&String| self.holder(key).port() == first;
                keys.iter().find(of_first).expect("one of many sessions").clone()
            }
        };
        match self {
            Self::Pair(pair) => {
                pair.main.command(&["WAIT", "1", "1000"]);
                pair.main.kill();
                pair.until_taken_over();
            }
            Self::Cluster(cluster) => {
                // Nothing is written meanwhile, so what was sent is all there is.
                cluster.nodes[0].command(&["WAIT", "1", "1000"]);
                cluster.nodes[0].kill();
                let copy = &cluster.nodes[3];
                let copied = |words: &str| {
                    let info = copy.text(&["INFO", "replication"]);
                    info.is_some_and(|info| info.contains(words))
                };
                until("the copy has taken over", || {
                    let state = copy.text(&["CLUSTER", "INFO"]);
                    copied("role:master")
                        && state.is_some_and(|state| state.contains("cluster_state:ok"))
                });
            }
        }
        moved
    }

    /// Does something to every server that can hear of it.
    fn tell_all(&self, words: &[&str]) {
        for server in self.servers() {
            server.command(words);
        }
    }
}

/// A session that both proxies know and are told of.
fn watched(kind: &Kind, proxies: [&Proxy; 2]) -> (Client, String) {
    let (client, key) = known(proxies[0]);
    for proxy in proxies {
        until("it is known", || !proxy.get(&mut client.clone(), &[]).sets_cookie());
        until_told(proxy, &mut client.clone(), |value| kind.note(&key, value));
    }
    (client, key)
}

/// What somebody writes or deletes by hand, and what another proxy does, is seen within 100 ms.
fn all_is_seen_soon(kind: &Kind, one: &Proxy, two: &Proxy) {
    let mut times = Vec::new();
    for turn in 0..8 {
        let (mut client, key) = watched(kind, [one, two]);
        let by_hand = format!("by hand {turn}");
        kind.note(&key, &by_hand);
        times.push(seen_in(one, &mut client.clone(), Some(&by_hand)));
        let by_proxy = format!("by proxy {turn}");
        let said = [("Rondel-Session-Note", by_proxy.as_str())];
        two.exchange(&mut client.clone(), &[], "b2", &said);
        times.push(seen_in(one, &mut client.clone(), Some(&by_proxy)));
        if turn % 2 == 0 {
            kind.holder(&key).command(&["DEL", &key]);
        } else {
            two.exchange(&mut client.clone(), &[], "b2", &[("Rondel-Session", "destroy")]);
        }
        times.push(end_seen_in(one, &client));
        assert!(one.get(&mut client, &[]).sent("rondel-session-note").is_none());
    }
    soon(times);
}

fn ten_thousand_requests_of_known_sessions_cost_no_command(kind: &Kind) {
    let proxy = kind.proxy();
    let mut clients: Vec<_> = (0..10).map(|_| watched(kind, [&proxy, &proxy]).0).collect();
    let mut before = 0;
    until("it is quiet", || {
        thread::sleep(Duration::from_millis(300));
        for client in &mut clients {
            proxy.get(client, &[]);
        }
        let earlier = std::mem::replace(&mut before, kind.commands());
        earlier == before
    });
    for turn in 0..10_000 {
        let answer = proxy.get(&mut clients[turn % 10], &[]);
        assert!(answer.sent("rondel-session-note").is_some());
    }
    assert_eq!(kind.commands(), before);
}

fn a_thousand_first_requests_at_once_are_one_look_up(kind: &Kind) {
    let elsewhere = kind.proxy();
    let mut client = Client::default();
    elsewhere.exchange(&mut client, &[], "b1", &[("Rondel-Session-A", "1")]);
    assert!(elsewhere.flush());
    drop(elsewhere);
    let proxy = kind.proxy();
    let look_ups = || kind.servers().iter().map(|server| server.calls("hgetall")).sum::<u64>();
    let mut before = 0;
    until("it is quiet", || {
        let earlier = std::mem::replace(&mut before, look_ups());
        thread::sleep(Duration::from_millis(300));
        earlier == before
    });
    let found = open_at_once(&proxy, &client, 1_000, "rondel-session-a");
    // On a machine that stops for 20 ms the look-up comes too late for those who wait, and whoever
    // asks after that looks again: a few, never one each.
    let calls = look_ups() - before;
    assert!((1..=3).contains(&calls), "{calls} look-ups");
    assert!(found == 1_000 || calls > 1, "only {found} were given what it brought");
}

fn changes_and_ends_are_seen_soon_after_an_emptied_database_and_lost_connections(kind: &Kind) {
    let (one, two) = (kind.proxy(), kind.proxy());
    all_is_seen_soon(kind, &one, &two);
    let mut times = Vec::new();
    for command in ["FLUSHALL", "FLUSHDB"] {
        let (client, key) = watched(kind, [&one, &two]);
        kind.holder(&key).command(&[command]);
        times.push(end_seen_in(&one, &client));
    }
    soon(times);
    for round in 0..3 {
        let (mut client, key) = watched(kind, [&one, &two]);
        kind.tell_all(&["CLIENT", "KILL", "TYPE", "normal"]);
        let value = format!("meanwhile {round}");
        kind.note(&key, &value);
        let seen = seen_in(&one, &mut client, Some(&value));
        assert!(seen < AT_LAST, "{seen:?}");
    }
    all_is_seen_soon(kind, &one, &two);
}

fn changes_and_ends_are_seen_soon_after_a_hundred_thousand_at_once(kind: &Kind) {
    let (one, two) = (kind.proxy(), kind.proxy());
    let (mut client, key) = watched(kind, [&one, &two]);
    let holder = kind.holder(&key);
    // Keys that could be sessions, in a slot of the same node.
    let name = |tag: char, rest: &str| format!("rondel:s:{{{tag}}}{rest}");
    let is_here =
        |tag: &char| !matches!(holder.command(&["EXISTS", &name(*tag, "")]), Reply::Error(_));
    let tag = ('a'..='z').find(is_here).expect("a third of all slots is here");
    let script = "for i = 1, 100000 do \
                    redis.call('HSET', string.format(ARGV[2], i), 'v', ARGV[1]) \
                    if i == 50000 then redis.call('HSET', KEYS[1], 'd:note', ARGV[1]) end \
                  end return 1";
    let flood = holder.command(&["EVAL", script, "1", &key, "in the flood", &name(tag, "%019d")]);
    assert_eq!(flood, Reply::Number(1));
    let seen = seen_in(&one, &mut client, Some("in the flood"));
    assert!(seen < AT_LAST, "{seen:?}");
    all_is_seen_soon(kind, &one, &two);
}

fn changes_and_ends_are_seen_soon_after_a_fail_over(kind: &mut Kind) {
    let (one, two) = (kind.proxy(), kind.proxy());
    let sessions: Vec<_> = (0..20).map(|_| watched(kind, [&one, &two])).collect();
    let keys: Vec<_> = sessions.iter().map(|(_, key)| key.clone()).collect();
    let moved = kind.fail_over(&keys);
    kind.note(&moved, "at the new one");
    let (client, _) = sessions.iter().find(|(_, key)| *key == moved).expect("its client");
    for proxy in [&one, &two] {
        let seen = seen_in(proxy, &mut client.clone(), Some("at the new one"));
        assert!(seen < AT_LAST, "{seen:?}");
    }
    all_is_seen_soon(kind, &one, &two);
}

fn frozen(kind: &Kind) {
    let proxy = kind.proxy();
    let mut clients = known_clients(&proxy);
    kind.servers().iter().for_each(|server| server.freeze());
    serve(&proxy, &mut clients, 200);
    kind.servers().iter().for_each(|server| server.thaw());
    arrived(kind, &proxy, &mut clients, 200);
}

fn full(kind: &Kind) {
    let proxy = kind.proxy();
    let mut clients = known_clients(&proxy);
    kind.tell_all(&["CONFIG", "SET", "maxmemory", "1"]);
    serve(&proxy, &mut clients, 200);
    kind.tell_all(&["CONFIG", "SET", "maxmemory", "0"]);
    arrived(kind, &proxy, &mut clients, 200);
}

fn two_hundred_milliseconds_slow(kind: &Kind) {
    let proxy = kind.proxy();
    let mut clients = known_clients(&proxy);
    let over = AtomicBool::new(false);
    let mut times = thread::scope(|scope| {
        for server in kind.servers() {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    server.command(&["DEBUG", "SLEEP", "0.2"]);
                }
            });
        }
        let _over = Over(&over);
        serve_timed(&proxy, &mut clients, 200)
    });
    // Between two naps it answers at once, so some are made to hope: but never for longer.
    times.sort();
    let nearly_all = times[times.len() * 99 / 100];
    assert!(nearly_all < LIMIT, "{nearly_all:?}");
    arrived(kind, &proxy, &mut clients, 200);
}

/// One that takes writes is started again, and reads what it had for seconds.
fn loading(kind: &mut Kind) {
    let proxy = kind.proxy();
    let mut clients = known_clients(&proxy);
    let server = match kind {
        // The one that has a copy would not stay what it is.
        Kind::Cluster(cluster) => &mut cluster.nodes[1],
        Kind::Pair(pair) => &mut pair.main,
    };
    let filler = "for i = 1, 200 do redis.call('SET', ARGV[1] .. i, 'x') end return 1";
    let is_here = |tag: &char| {
        server.command(&["EVAL", filler, "1", &format!("{{{tag}}}"), &format!("{{{tag}}}")])
            == Reply::Number(1)
    };
    ('a'..='z').find(is_here).expect("a third of all slots is here");
    server.command(&["SAVE"]);
    server.kill();
    server.add_arguments(&["--key-load-delay", "10000"]);
    server.add_arguments(&["--loading-process-events-interval-bytes", "1024"]);
    server.run();
    let server = &*server;
    let loading = || {
        let info = server.text(&["INFO", "persistence"]);
        info.is_some_and(|info| info.contains("\nloading:1"))
    };
    assert!(loading(), "or this shows nothing");
    serve(&proxy, &mut clients, 100);
    until("it has loaded", || !loading());
    arrived(kind, &proxy, &mut clients, 100);
}

fn behind_a_password(kind: &Kind) {
    let proxy = kind.proxy();
    let mut clients = known_clients(&proxy);
    for server in kind.servers() {
        server.command(&["CONFIG", "SET", "requirepass", "hunter2"]);
        let killed = server.command_as("hunter2", &["CLIENT", "KILL", "TYPE", "normal"]);
        assert!(!matches!(killed, Reply::Error(_)), "{killed:?}");
    }
    serve(&proxy, &mut clients, 200);
    for server in kind.servers() {
        server.command_as("hunter2", &["CONFIG", "SET", "requirepass", ""]);
    }
    arrived(kind, &proxy, &mut clients, 200);
}

/// Without the store nobody is served whom it would have to know, and soon again with it.
fn closed(kind: &Kind) {
    let (elsewhere, proxy) = (kind.proxy(), kind.proxy_that(SessionFail::Closed));
    let mut client = Client::default();
    elsewhere.get(&mut client, &[]);
    assert!(elsewhere.flush());
    let known = headers(&[("cookie", client.cookie())]);
    let open = |request: &HeaderMap| proxy.workers.block_on(proxy.sessions.open(request));
    until("its store answers", || open(&HeaderMap::new()).is_ok());
    kind.servers().iter().for_each(|server| server.freeze());
    for request in [&known, &HeaderMap::new()] {
        let watch = layer::watch();
        assert!(open(request).is_err(), "{request:?}");
        assert!(watch.elapsed() < 10 * LIMIT);
    }
    kind.servers().iter().for_each(|server| server.thaw());
    for request in [&known, &HeaderMap::new()] {
        until("it is served", || open(request).is_ok());
    }
    assert_eq!(open(&known).expect("it is known").backend(), Some("b1"));
}

/// Lets those end who wait for this, whatever comes of the test.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What was written meanwhile is there, and ends when it was to end.
fn arrived(kind: &Kind, proxy: &Proxy, clients: &mut [Client], turns: usize) {
    until("everything is written", || proxy.flush());
    let in_turn = clients.len();
    for (at, client) in clients.iter_mut().enumerate() {
        let key = proxy.get(client, &[]).key().to_owned();
        let holder = kind.holder(&key);
        let field = |name| holder.text(&["HGET", &key, name]).expect("a field");
        assert_eq!(field("d:turn"), (turns - in_turn + at).to_string());
        let end = field("seen").parse::<i64>().expect("seconds") + 1_800;
        assert_eq!(holder.number(&["EXPIRETIME", &key]), end);
    }
}
