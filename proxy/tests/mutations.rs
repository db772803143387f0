//! Requests with one byte changed, at every place that frames: around the request line, `Host`,
//! `Content-Length`, `Transfer-Encoding` and chunk sizes. Whatever the byte, the judge of
//! `support/oracle.rs` must find nothing wrong.
//!
//! `cargo test` tries a few thousand, with a seed that it prints; `cargo xtask mutate-http` all of
//! them.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]
#![expect(clippy::print_stdout, reason = "the seed is for people")]

mod support;

use std::{sync::Arc, time::Duration};

use support::TestProxy;
use support::client::Delivery;
use support::recorder::Recorder;

/// The end lets a mutant that swallows what is behind it end soon, or not at all.
const BASES: [&str; 7] = [
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: u\r\n\r\n",
    "GET http://a/b?c HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nX: y\r\n\r\n",
    "GET / HTTP/1.0\r\nContent-Length: 10\r\n\r\n0123456789",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\nok",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
];

/// What stands where a byte was, or before it.
#[derive(Clone, Copy, Debug)]
enum Change {
    Replace(u8),
    Insert(u8),
    Remove,
    Twice,
    /// The two bytes there change places.
    Swap,
}

fn mutant(base: &[u8], at: usize, change: Change) -> Vec<u8> {
    let mut bytes = base.to_vec();
    match change {
        Change::Replace(byte) => bytes[at] = byte,
        Change::Insert(byte) => bytes.insert(at, byte),
        Change::Remove => drop(bytes.remove(at)),
        Change::Twice => bytes.insert(at, base[at]),
        Change::Swap => bytes.swap(at, (at + 1) % base.len()),
    }
    bytes
}

fn all_mutants() -> Vec<Vec<u8>> {
    let bytes = 0..=255_u8;
    let changes: Vec<Change> = bytes
        .clone()
        .map(Change::Replace)
        .chain(bytes.map(Change::Insert))
        .chain([Change::Remove, Change::Twice, Change::Swap])
        .collect();
    let places = BASES.iter().flat_map(|base| (0..base.len()).map(move |at| (base.as_bytes(), at)));
    places.flat_map(|(base, at)| changes.iter().map(move |c| mutant(base, at, *c))).collect()
}

/// Two mutations in one request, of any two places.
fn double(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = BASES[random.usize(..BASES.len())].as_bytes().to_vec();
    for _ in 0..2 {
        let at = random.usize(..bytes.len());
        let change = match random.u8(..5) {
            0 => Change::Replace(random.u8(..)),
            1 => Change::Insert(*random.choice(b"\r\n\t :;,0x\0\x0b\xff").unwrap()),
            2 => Change::Remove,
            3 => Change::Twice,
            _ => Change::Swap,
        };
        bytes = mutant(&bytes, at, change);
    }
    bytes
}

#[tokio::test]
async fn a_few_thousand_mutants_fool_nobody() {
    let seed =
        std::env::var("RONDEL_SEED").map_or_else(|_| fastrand::u64(..), |s| s.parse().unwrap());
    println!("RONDEL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut mutants = all_mutants();
    random.shuffle(&mut mutants);
    mutants.truncate(2_000);
    mutants.extend(std::iter::repeat_with(|| double(&mut random)).take(1_000));
    judge_all(mutants, seed).await;
}

#[tokio::test]
#[ignore = "takes minutes: `cargo xtask mutate-http`"]
async fn no_mutant_fools_anybody() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut mutants = all_mutants();
    println!("{} single mutants and as many double ones", mutants.len());
    let doubles = mutants.len();
    mutants.extend(std::iter::repeat_with(|| double(&mut random)).take(doubles));
    judge_all(mutants, 1).await;
}

/// In lanes, each with a proxy and a server of its own, since some mutants have to be waited for.
async fn judge_all(mutants: Vec<Vec<u8>>, seed: u64) {
    const LANES: usize = 8;
    let mutants = Arc::new(mutants);
    let mut lanes = Vec::new();
    for lane in 0..LANES {
        let mutants = Arc::clone(&mutants);
        let mut random = fastrand::Rng::with_seed(seed ^ lane as u64);
        lanes.push(tokio::spawn(async move {
            let recorder = Recorder::start().await;
            let proxy = TestProxy::start(&recorder.line).await;
            for raw in mutants.iter().skip(lane).step_by(LANES) {
                let split = random.usize(1..raw.len());
                for delivery in [Delivery::AtOnce, Delivery::InTwo(split)] {
                    let soon = Duration::from_millis(30);
                    let judged =
                        support::oracle::judge(raw, delivery, soon, proxy.address, &recorder).await;
                    if judged.is_ok() {
                        continue;
                    }
                    // On a busy machine an answer may have been late: once more, with patience.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    recorder.take();
                    let later = Duration::from_secs(2);
                    let judged =
                        support::oracle::judge(raw, delivery, later, proxy.address, &recorder)
                            .await;
                    if let Err(why) = judged {
                        let raw = String::from_utf8_lossy(raw).into_owned();
                        panic!("{why}\n{delivery:?} of {raw:?}");
                    }
                }
            }
        }));
    }
    for lane in lanes {
        lane.await.unwrap();
    }
}
