//! Redis as a cluster and behind sentinels, and several proxies over each, while parts of them die.

#[path = "support/cluster.rs"]
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
    thread,
    time::{Duration, Instant},
};

use cluster::Cluster;
use layer::{Client, Proxy, known_clients, serve, until};
use pair::Pair;
use redis::{RedisServer, Reply};

fn over(url: &str) -> Proxy {
    Proxy::new(|settings| settings.redis = Some(url.to_owned())).connected()
}

/// Each client counts on, at whichever proxy; says how far.
fn count(proxies: &[Proxy], clients: &mut [(Client, u32)], turns: usize) {
    for turn in 0..turns {
        let (at, proxy) = (turn % clients.len(), &proxies[turn % proxies.len()]);
        let (client, count) = &mut clients[at];
        let next = (*count + 1).to_string();
        let answer = proxy.exchange(client, &[], "b1", &[("Rondel-Session-Count", &next)]);
        assert!(!answer.sets_cookie(), "turn {turn}: a session is lost");
        *count += 1;
        // The next proxy hears of it in its own time.
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn sessions_are_spread_over_three_nodes_and_outlive_one_of_them() {
    let mut cluster = Cluster::start();
    let proxy = over(&cluster.url());
    let mut clients = known_clients(&proxy);
    serve(&proxy, &mut clients, 100);
    assert!(proxy.flush());
    let keys: Vec<_> =
        clients.iter_mut().map(|client| proxy.get(client, &[]).key().to_owned()).collect();
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(cluster.field(key, "d:turn"), Some((90 + at).to_string()));
    }
    cluster.nodes[0].kill();
    serve(&proxy, &mut clients, 100);
    until("the replica has taken over", || match cluster.nodes[3].command(&["ROLE"]) {
        Reply::List(role) => role.first() == Some(&Reply::Text("master".into())),
        other => panic!("{other:?}"),
    });
    for (at, client) in clients.iter_mut().enumerate() {
        proxy.exchange(client, &[], "b1", &[("Rondel-Session-After", &at.to_string())]);
    }
    assert!(proxy.flush(), "writes arrive at the new node");
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(cluster.field(key, "d:after"), Some(at.to_string()));
    }
}

#[test]
fn the_rights_of_the_handbook_are_enough_for_a_cluster() {
    let cluster = Cluster::start();
    let handbook = include_str!("../../docs/sessions.md");
    let (_, rights) = handbook.split_once("ACL SETUSER rondel on >PASSWORD").expect("the rights");
    let (rights, _) = rights.split_once("```").expect("their end");
    assert!(handbook.contains("`+cluster|info +cluster|slots`"), "the handbook says otherwise");
    let words = ["ACL", "SETUSER", "rondel", "on", ">hunter2"].into_iter();
    let more = ["+cluster|info", "+cluster|slots"];
    let words: Vec<_> = words.chain(rights.split_whitespace()).chain(more).collect();
    for node in &cluster.nodes {
        assert_eq!(node.command(&words), Reply::Text("OK".into()));
    }
    let proxy = over(&cluster.url().replace("://", "://rondel:hunter2@"));
    let mut clients = known_clients(&proxy);
    serve(&proxy, &mut clients, 100);
    assert!(proxy.flush());
    for node in &cluster.nodes[..3] {
        until("it tells of changes", || {
            let clients = node.text(&["INFO", "clients"]).expect("its clients");
            !clients.contains("tracking_clients:0")
        });
        assert_eq!(node.command(&["ACL", "LOG"]), Reply::List(Vec::new()), "nothing was refused");
    }
}

#[test]
fn sessions_outlive_the_server_that_sentinels_watch_over() {
    let mut pair = Pair::start();
    let proxy = over(&pair.url());
    let mut clients = known_clients(&proxy);
    serve(&proxy, &mut clients, 100);
    assert!(proxy.flush());
    // Frozen is worse than dead: its connections stay.
    pair.main.freeze();
    serve(&proxy, &mut clients, 100);
    pair.until_taken_over();
    let mut value = 0;
    let start = Instant::now();
    let answer = proxy.get(&mut clients[0], &[]);
    until("writes arrive at the new one", || {
        value += 1;
        let said = [("Rondel-Session-After", value.to_string())];
        proxy.exchange(&mut clients[0], &[], "b1", &[(said[0].0, said[0].1.as_str())]);
        thread::sleep(Duration::from_millis(50));
        pair.second.text(&["HGET", answer.key(), "d:after"]).is_some()
    });
    assert!(start.elapsed() < Duration::from_secs(20));
    pair.main.thaw();
    pair.main.kill();
}

/// Three proxies; one after the other is dropped and replaced while clients go on.
fn any_of_three_may_die(url: &str) {
    let mut proxies: Vec<_> = (0..3).map(|_| over(url)).collect();
    let mut clients: Vec<_> =
        known_clients(&proxies[0]).into_iter().map(|client| (client, 0)).collect();
    for victim in 0..3 {
        count(&proxies, &mut clients, 120);
        // No goodbye: what it has not written yet, milliseconds at most, is lost with it.
        drop(proxies.remove(victim));
        count(&proxies, &mut clients, 120);
        proxies.insert(victim, over(url));
    }
    assert!(proxies.iter().all(Proxy::flush));
    for (client, count) in &mut clients {
        for proxy in &proxies {
            let start = Instant::now();
            until("all agree", || {
                proxy.get(client, &[]).sent("rondel-session-count") == Some(&*count.to_string())
            });
            assert!(start.elapsed() < Duration::from_millis(5_500), "{:?}", start.elapsed());
        }
    }
}

#[test]
fn any_of_three_proxies_over_one_redis_may_die() {
    let redis = RedisServer::start();
    any_of_three_may_die(&redis.url());
}

#[test]
fn any_of_three_proxies_over_a_cluster_may_die() {
    let cluster = Cluster::start();
    any_of_three_may_die(&cluster.url());
}
