//! What does each policy's choice cost, and how does that grow with the pool?
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::AtomicU64},
};

use criterion::{Criterion, criterion_group, criterion_main};
use rondel_proxy::{policy::Algorithm, roster::Roster, servers};

const ALL: [(&str, Algorithm); 5] = [
    ("rr", Algorithm::Rr),
    ("sigma", Algorithm::Sigma),
    ("least-conn", Algorithm::LeastConn),
    ("p2c", Algorithm::P2c),
    ("peak-ewma", Algorithm::PeakEwma),
];

/// So many servers, each with a request in hand or two.
fn pool(algorithm: Algorithm, servers: usize) -> (Roster, Vec<rondel_proxy::backend::InFlight>) {
    let mut text = String::new();
    for number in 0..servers {
        writeln!(text, "http://10.0.0.1:{}", number + 1).unwrap();
    }
    let clock = Arc::new(AtomicU64::new(1));
    let roster = Roster::simulated(servers::parse(&text).unwrap(), algorithm, clock);
    let held = (0..servers * 3 / 2).map(|_| roster.next().unwrap()).collect();
    (roster, held)
}

fn pick(criterion: &mut Criterion) {
    for servers in [4, 16, 64, 256] {
        let mut group = criterion.benchmark_group(format!("pick of {servers}"));
        for (name, algorithm) in ALL {
            let (roster, _held) = pool(algorithm, servers);
            group.bench_function(name, |bencher| bencher.iter(|| roster.next().unwrap()));
        }
        group.finish();
    }
}

criterion_group!(benches, pick);
criterion_main!(benches);
