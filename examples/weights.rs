//! Weighted members: whoever has weight 3 is in the ring three times, spread out.
//!
//! A weight changes while others pick: a membership more, or one less, is one call, and nobody
//! else's turn changes.
//!
//! ```text
//! big small big big small big
//! big has weight 1: big small big small
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use rondel::{Key, Ring, pin};

struct Server {
    name: &'static str,
}

/// A server's memberships: as many as its weight.
struct Weighted {
    keys: Vec<Key>,
}

impl Weighted {
    fn reduce_to(&mut self, ring: &Ring<Arc<Server>>, weight: usize) {
        for key in self.keys.drain(weight.min(self.keys.len())..) {
            ring.remove(key);
        }
    }
}

fn main() {
    let ring = Ring::new();
    let mut members = add_spread(&ring, &[("big", 4), ("small", 2)]);
    let before = names(&ring, 6);
    println!("{before}");
    assert_eq!(before, "big small big big small big");

    members[0].reduce_to(&ring, 1);
    members[1].reduce_to(&ring, 1);
    let after = names(&ring, 4);
    println!("big has weight 1: {after}");
    assert_eq!(after, "big small big small");
}

/// Inserts each server as often as its weight says, as far apart as possible: whoever has the most
/// saved up is next, and pays with the sum of all weights. (Smooth weighted round robin.)
fn add_spread(ring: &Ring<Arc<Server>>, weights: &[(&'static str, i64)]) -> Vec<Weighted> {
    let servers: Vec<_> = weights.iter().map(|&(name, _)| Arc::new(Server { name })).collect();
    let mut members: Vec<_> = weights.iter().map(|_| Weighted { keys: Vec::new() }).collect();
    let mut saved = vec![0; weights.len()];
    let sum: i64 = weights.iter().map(|&(_, weight)| weight).sum();
    for _ in 0..sum {
        for (saved, (_, weight)) in saved.iter_mut().zip(weights) {
            *saved += weight;
        }
        let Some(richest) = (0..saved.len()).rev().max_by_key(|&server| saved[server]) else {
            break;
        };
        saved[richest] -= sum;
        members[richest].keys.push(ring.push_back(Arc::clone(&servers[richest])));
    }
    members
}

fn names(ring: &Ring<Arc<Server>>, turns: usize) -> String {
    let guard = pin();
    let names: Vec<_> =
        (0..turns).filter_map(|_| ring.next(&guard)).map(|server| server.name).collect();
    names.join(" ")
}
