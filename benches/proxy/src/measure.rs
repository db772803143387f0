//! One cell, measured once.

use std::{io, net::SocketAddr, time::Duration};

use crate::{
    cell::{Cell, Pace},
    load::{self, Load},
    process,
};

/// What one round of a cell came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// CPU time of the proxy by request, in microseconds.
    pub(crate) cpu: f64,
    pub(crate) per_second: f64,
    /// In microseconds: the 50th, 99th and 99.9th percentile, and the most.
    pub(crate) times: [f64; 4],
    /// MiB of the proxy; of `Pace::Idle`, KiB for each connection.
    pub(crate) memory: f64,
    /// System calls of the proxy by request, where they were counted.
    pub(crate) system_calls: Option<f64>,
}

const WARM_UP: Duration = Duration::from_millis(300);

pub(crate) async fn cell(
    cell: &Cell,
    address: SocketAddr,
    pid: u32,
    seconds: f64,
    count_calls: bool,
) -> io::Result<Figures> {
    let before = process::memory(pid);
    let clients = load::clients(cell.door, address, cell.ask, cell.connections).await?;
    if cell.pace == Pace::Idle {
        let kib = process::memory(pid).saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "KiB and connections are few")]
        let memory = kib as f64 / cell.connections as f64;
        return Ok(Figures { memory, ..Figures::default() });
    }
    let load = Load::start(clients, cell.pace);
    tokio::time::sleep(WARM_UP).await;
    load.measure();
    let (began, used) = (tokio::time::Instant::now(), process::cpu_time(pid)?);
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let (time, used) = (began.elapsed(), process::cpu_time(pid)?.saturating_sub(used));
    let memory = process::memory(pid);
    let times = load.stop().await?;

    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    let (requests, mib) = (times.len() as f64, memory as f64 / 1024.0);
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a few seconds")]
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let percentile = |quantile| micros(times.value_at_quantile(quantile));
    Ok(Figures {
        cpu: used.as_secs_f64() * 1e6 / requests,
        per_second: requests / time.as_secs_f64(),
        times: [percentile(0.5), percentile(0.99), percentile(0.999), micros(times.max())],
        memory: mib,
        system_calls: if count_calls { calls(cell, address, pid).await? } else { None },
    })
}

/// Counted over a load of its own, which `strace` slows down.
async fn calls(cell: &Cell, address: SocketAddr, pid: u32) -> io::Result<Option<f64>> {
    let clients = load::clients(cell.door, address, cell.ask, cell.connections).await?;
    let mut requests = 0;
    let work = async {
        let load = Load::start(clients, cell.pace);
        load.measure();
        tokio::time::sleep(Duration::from_millis(500)).await;
        requests = load.stop().await.map_or(0, |times| times.len());
    };
    let counted = process::system_calls(pid, work).await;
    #[expect(clippy::cast_precision_loss, reason = "counts of half a second")]
    Ok(counted.filter(|_| requests > 0).map(|calls| calls as f64 / requests as f64))
}
