//! A cluster of real redis-servers.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::redis::{RedisServer, Reply};

/// Three nodes with a third of the slots each, and a replica of the first.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<RedisServer>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let nodes: Vec<_> = (0..4).map(|_| RedisServer::node_of_cluster()).collect();
        for (at, (first, last)) in
            [("0", "5460"), ("5461", "10922"), ("10923", "16383")].iter().enumerate()
        {
            nodes[at].command(&["CLUSTER", "ADDSLOTSRANGE", first, last]);
            nodes[at].command(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
        }
        for node in &nodes[1..] {
            let (port, bus) = (node.port().to_string(), node.bus_port().to_string());
            nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        let first = nodes[0].text(&["CLUSTER", "MYID"]).expect("an id");
        let says_ok = |node: &RedisServer| {
            let info = node.text(&["CLUSTER", "INFO"]).expect("its state");
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:4")
        };
        until("all know of all", || nodes[..3].iter().all(says_ok));
        until("there is a replica", || {
            nodes[3].command(&["CLUSTER", "REPLICATE", &first]) == Reply::Text("OK".into())
        });
        until("it is up to date", || {
            nodes[3]
                .text(&["INFO", "replication"])
                .is_some_and(|info| info.contains("master_link_status:up"))
        });
        Self { nodes }
    }

    pub(crate) fn url(&self) -> String {
        let also = self.nodes[1..3].iter().map(|node| format!("127.0.0.1:{}", node.port()));
        let also: Vec<_> = also.map(|node| format!("node={node}")).collect();
        format!("redis-cluster://127.0.0.1:{}?{}", self.nodes[0].port(), also.join("&"))
    }

    /// A field of a record, wherever it is.
    pub(crate) fn field(&self, key: &str, name: &str) -> Option<String> {
        self.nodes.iter().find_map(|node| match node.try_command(&["HGET", key, name]) {
            Some(Reply::Text(text)) => Some(text),
            _ => None,
        })
    }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
