//! Two real redis-servers, one the copy of the other, and a sentinel that watches over them.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::redis::{RedisServer, Reply};

/// `main` has the data; `second` follows it, and takes its place.
pub(crate) struct Pair {
    pub(crate) main: RedisServer,
    pub(crate) second: RedisServer,
    sentinel: RedisServer,
}

impl Pair {
    pub(crate) fn start() -> Self {
        let start = || RedisServer::start_with(&["--enable-debug-command", "yes"]);
        let (main, second) = (start(), start());
        let sentinel = RedisServer::sentinel_of(&main);
        second.command(&["REPLICAOF", "127.0.0.1", &main.port().to_string()]);
        until("the sentinel knows the second", || {
            says(&sentinel, "sentinel", "slaves=1")
                && says(&second, "replication", "master_link_status:up")
        });
        Self { main, second, sentinel }
    }

    pub(crate) fn url(&self) -> String {
        self.sentinel.url().replace("redis://", "redis-sentinel://") + "?sentinelServiceName=main"
    }

    /// Waits until the second has taken over.
    pub(crate) fn until_taken_over(&self) {
        until("the second has taken over", || says(&self.second, "replication", "role:master"));
    }
}

/// A sentinel ends all connections to a server that it makes the first one, also ours.
fn says(server: &RedisServer, section: &str, words: &str) -> bool {
    let answer = server.try_command(&["INFO", section]);
    matches!(answer, Some(Reply::Text(info)) if info.contains(words))
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
