//! Health-aware picks: members that are ill are passed over, and cost their neighbours nothing.
//!
//! ```text
//! all well: a b c d
//! b is ill: a c d a c d
//! nobody is well, so anybody is asked: a b c d
//! b is well again: b
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::atomic::{AtomicBool, Ordering};

use rondel::{Entry, Guard, Ring, pin};

struct Server {
    name: char,
    is_well: AtomicBool,
}

impl Server {
    fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }
}

/// Whoever is well and next. If nobody is, the probes may be wrong, and any server is better than
/// none.
fn pick<'g>(ring: &'g Ring<Server>, guard: &'g Guard) -> Option<Entry<'g, Server>> {
    ring.next_where(guard, Server::is_well).or_else(|| ring.next(guard))
}

fn main() {
    let ring: Ring<Server> =
        ('a'..='d').map(|name| Server { name, is_well: AtomicBool::new(true) }).collect();
    show(&ring, "all well", 4, "a b c d");

    set_health(&ring, |name| name != 'b');
    show(&ring, "b is ill", 6, "a c d a c d");

    set_health(&ring, |_| false);
    show(&ring, "nobody is well, so anybody is asked", 4, "a b c d");

    set_health(&ring, |name| name == 'b');
    show(&ring, "b is well again", 1, "b");
}

fn set_health(ring: &Ring<Server>, is_well: impl Fn(char) -> bool) {
    for server in ring.iter(&pin()) {
        server.is_well.store(is_well(server.name), Ordering::Relaxed);
    }
}

fn show(ring: &Ring<Server>, when: &str, turns: usize, expected: &str) {
    let guard = pin();
    let names: Vec<String> =
        (0..turns).filter_map(|_| pick(ring, &guard)).map(|server| server.name.into()).collect();
    println!("{when}: {}", names.join(" "));
    assert_eq!(names.join(" "), expected);
}
