//! Many requests over many connections: whether any fails, and whether the proxy grows.

use std::{io, net::SocketAddr, path::Path, time::Duration};

use crate::{
    cell::Ask,
    contender::{Contender, Door},
    load::{self, Load},
    process,
};

const CONNECTIONS: usize = 10_000;
/// How many of them ask at once, so that servers' connections leave files for clients'.
const AT_ONCE: usize = 256;
/// What may come and go by itself: the allocator's own, in KiB.
const SLACK: u64 = 2 * 1024;

/// Sends so many requests; an error of any of them is this function's.
pub(crate) async fn run(
    contender: &Contender,
    requests: u64,
    folder: &Path,
    origin: SocketAddr,
) -> io::Result<()> {
    let started = contender.start(Door::Clear, folder, origin).await?;
    let serving = started.ok_or_else(|| io::Error::other("it is not spoken to in clear"))?;
    let pid = serving.process.pid();
    println!("{}", serving.configuration);
    let clients = load::clients(Door::Clear, serving.address, Ask::Get(100), CONNECTIONS).await?;
    println!("{CONNECTIONS} connections: {:.1} MiB", mib(process::memory(pid)));

    let mut load = Load::in_turn(clients, AT_ONCE);
    load.measure();
    let began = tokio::time::Instant::now();
    let mut quarters = Vec::new();
    for quarter in 1..=4 {
        while load.count() < requests / 4 * quarter {
            tokio::time::sleep(Duration::from_millis(50)).await;
            load.check().await?;
        }
        quarters.push(process::memory(pid));
        println!("{:>9} requests: {:.1} MiB", load.count(), mib(process::memory(pid)));
    }
    let seconds = began.elapsed().as_secs_f64();
    let times = load.stop().await?;
    println!("{} requests in {seconds:.1} s, none failed", times.len());
    // By the first quarter all buffers have been used.
    if quarters[3] > quarters[0] + quarters[0] / 50 + SLACK {
        return Err(io::Error::other("it has grown from the first quarter to the last"));
    }
    Ok(())
}

fn mib(kib: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mib = kib as f64 / 1024.0;
    mib
}
