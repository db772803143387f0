//! Requests with one byte changed, at every place that frames: around the request line, `Host`,
//! `Content-Length`, `Transfer-Encoding` and chunk sizes. Whatever the byte, the judge of
//! `support/oracle.rs` must find nothing wrong.
//!
//! `cargo test` tries the same few thousand each time, so that what fails fails again; `cargo xtask
//! mutate-http` tries all single changes and as many double ones, new ones each time. Both take a
//! seed from `RONDEL_SEED`.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]
#![expect(clippy::print_stdout, reason = "the seed is for people")]

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use support::TestProxy;
use support::client::Delivery;
use support::naive::Naive;
use support::recorder::Recorder;
use tokio::task::JoinSet;

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

/// What once got through.
const FOUND: [&str; 1] = [
    "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n2;;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: u\r\n\r\n",
];

/// What hyper makes a request of that nobody can find fault with any more.
const HIDDEN_BY_HYPER: [&str; 5] = [
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: a\n\r\n",
    "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    FOUND[0],
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
    const SEED: u64 = 1;
    let seed = seed().unwrap_or(SEED);
    let mutants = a_few_thousand(seed);
    let before = async |recorder: &Recorder| TestProxy::start(&recorder.line).await;
    let faults = judge_all(mutants, seed, before, |proxy| proxy.address).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
#[ignore = "takes minutes: `cargo xtask mutate-http`"]
async fn no_mutant_fools_anybody() {
    let seed = seed().unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut mutants = all_mutants();
    let doubles = mutants.len();
    println!("RONDEL_SEED={seed}: {doubles} single mutants and as many double ones");
    mutants.extend(std::iter::repeat_with(|| double(&mut random)).take(doubles));
    let before = async |recorder: &Recorder| TestProxy::start(&recorder.line).await;
    let faults = judge_all(mutants, seed, before, |proxy| proxy.address).await;
    assert!(faults.is_empty(), "RONDEL_SEED={seed}\n{}", faults.join("\n"));
}

/// What passes here without a fault says something only if proxies that do not look are found out.
#[tokio::test]
async fn proxies_that_do_not_look_at_the_bytes_are_found_out() {
    let recorder = Arc::new(Recorder::start().await);
    for (proxy, inputs) in [
        (Naive::of_hyper(&recorder).await, &HIDDEN_BY_HYPER[..]),
        (Naive::of_bytes(&recorder).await, &HIDDEN_BY_HYPER),
    ] {
        for raw in inputs {
            let why = judge(raw.as_bytes(), Delivery::AtOnce, proxy.address, &recorder).await;
            let why = why.expect_err(raw);
            assert!(why.contains("was seen") || why.contains("the server saw"), "{why}: {raw:?}");
        }
    }
}

#[tokio::test]
async fn the_mutants_find_a_proxy_out_that_takes_the_word_of_hyper() {
    let recorder = Recorder::start().await;
    let proxy = Naive::of_hyper(&recorder).await;
    let mut hidden = 0;
    // What hyper refuses by itself says nothing here.
    for raw in a_few_thousand(1).iter().take(400) {
        let soon = Duration::from_millis(10);
        let judged =
            support::oracle::judge(raw, Delivery::AtOnce, soon, proxy.address, &recorder).await;
        hidden += usize::from(judged.is_err_and(|why| why.contains("was seen, but has a bad")));
    }
    assert!(hidden >= 3, "{hidden} of 400");
}

fn seed() -> Option<u64> {
    std::env::var("RONDEL_SEED").ok().map(|seed| seed.parse().unwrap())
}

fn a_few_thousand(seed: u64) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut mutants = all_mutants();
    random.shuffle(&mut mutants);
    mutants.truncate(2_000);
    mutants.extend(std::iter::repeat_with(|| double(&mut random)).take(1_000));
    mutants.extend(FOUND.map(|raw| raw.as_bytes().to_vec()));
    mutants
}

/// In lanes, each with a proxy and a server of its own, since some mutants have to be waited for.
/// Gives what is wrong; a lane ends with the first.
async fn judge_all<P: Send + 'static>(
    mutants: Vec<Vec<u8>>,
    seed: u64,
    start: impl AsyncFn(&Recorder) -> P,
    address: impl Fn(&P) -> SocketAddr,
) -> Vec<String> {
    const LANES: usize = 24;
    let mutants = Arc::new(mutants);
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let mutants = Arc::clone(&mutants);
        let mut random = fastrand::Rng::with_seed(seed ^ lane as u64);
        let recorder = Arc::new(Recorder::start().await);
        let proxy = start(&recorder).await;
        let address = address(&proxy);
        lanes.spawn(async move {
            let _proxy = proxy;
            for raw in mutants.iter().skip(lane).step_by(LANES) {
                let split = random.usize(1..raw.len());
                for delivery in [Delivery::AtOnce, Delivery::InTwo(split)] {
                    if let Err(why) = judge(raw, delivery, address, &recorder).await {
                        let raw = String::from_utf8_lossy(raw);
                        return Some(format!("{why}\n{delivery:?} of {raw:?}"));
                    }
                }
            }
            None
        });
    }
    lanes.join_all().await.into_iter().flatten().collect()
}

/// What fails is tried once more, with patience: on a busy machine an answer may have been late.
async fn judge(
    raw: &[u8],
    delivery: Delivery,
    proxy: SocketAddr,
    recorder: &Arc<Recorder>,
) -> Result<(), String> {
    let soon = Duration::from_millis(30);
    if judge_within(soon, raw, delivery, proxy, recorder).await.is_ok() {
        return Ok(());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    recorder.take();
    judge_within(Duration::from_secs(2), raw, delivery, proxy, recorder).await
}

/// In a task of its own, so that a client that waits for too long is no more than a fault.
async fn judge_within(
    patience: Duration,
    raw: &[u8],
    delivery: Delivery,
    proxy: SocketAddr,
    recorder: &Arc<Recorder>,
) -> Result<(), String> {
    let (raw, recorder) = (raw.to_vec(), Arc::clone(recorder));
    let judging = tokio::spawn(async move {
        support::oracle::judge(&raw, delivery, patience, proxy, &recorder).await
    });
    judging.await.map_err(|error| error.to_string())?
}
