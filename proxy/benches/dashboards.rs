//! What do a hundred open dashboards cost clients? `cargo xtask dashboards`
//!
//! Two proxies, one of them with a hundred dashboards open, take turns under load: CPU time per
//! request of the thread that serves clients and of the whole process, and times at p50 and p99.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![expect(clippy::print_stdout, reason = "figures for people")]

mod load;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use load::{Contender, Load, at, backend, middle};

const DASHBOARDS: usize = 100;
const CONNECTIONS: usize = 64;
const WINDOW: Duration = Duration::from_millis(500);
const ROUNDS: usize = 60;

fn main() {
    load::pin(std::process::id(), 0);
    let backend = backend();
    let start = |name| Contender::start(name, backend, &["--admin", "127.0.0.1:0"]);
    let contenders = [start("nobody looks on"), start("100 dashboards")];
    let events = Arc::new(AtomicU64::new(0));
    for _ in 0..DASHBOARDS {
        open(contenders[1].admin.unwrap(), Arc::clone(&events));
    }
    load::runtime().block_on(compare(&contenders, &events));
}

/// Reads what a dashboard is sent, as fast as it comes.
fn open(admin: SocketAddr, events: Arc<AtomicU64>) {
    let mut stream = TcpStream::connect(admin).unwrap();
    write!(stream, "GET /api/events HTTP/1.1\r\nHost: {admin}\r\n\r\n").unwrap();
    thread::spawn(move || {
        let mut some = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut some) {
            let begun = some[..count].windows(7).filter(|window| window == b"event: ").count();
            events.fetch_add(begun as u64, Ordering::Relaxed);
        }
    });
}

async fn compare(contenders: &[Contender; 2], events: &AtomicU64) {
    let mut loads = Vec::new();
    for contender in contenders {
        let mut load = Load::new(contender.address, CONNECTIONS, "").await;
        load.run(Duration::from_secs(1)).await;
        loads.push(load);
    }
    let mut figures: [[Vec<f64>; 4]; 2] = Default::default();
    let before = events.load(Ordering::Relaxed);
    for round in 0..ROUNDS {
        for which in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let contender = &contenders[which];
            let start = [contender.cpu("worker"), contender.cpu("")];
            let mut window = loads[which].run(WINDOW).await;
            let end = [contender.cpu("worker"), contender.cpu("")];
            window.times.sort();
            #[expect(clippy::cast_precision_loss, reason = "a ratio")]
            let each = |part: usize| (end[part] - start[part]) as f64 / window.answers as f64 / 1e3;
            let time = |share| at(&window.times, share).as_secs_f64() * 1e6;
            for (list, figure) in
                figures[which].iter_mut().zip([each(0), each(1), time(0.5), time(0.99)])
            {
                list.push(figure);
            }
        }
    }
    let came = events.load(Ordering::Relaxed) - before;
    assert!(came > (DASHBOARDS * ROUNDS) as u64, "the dashboards were shown {came} pictures only");
    println!("{CONNECTIONS} connections, medians of {ROUNDS} rounds, {came} pictures sent:");
    let names = ["CPU us, worker", "CPU us, process", "p50 us", "p99 us"];
    let [alone, watched] = figures;
    for ((name, alone), watched) in names.iter().zip(&alone).zip(&watched) {
        let ratios = watched.iter().zip(alone).map(|(with, without)| with / without).collect();
        let (ratio, low, high) = middle(ratios);
        println!(
            "  {name:16} {:8.2} alone, {:8.2} watched, {ratio:.3} (quartiles {low:.3} to {high:.3})",
            middle(alone.clone()).0,
            middle(watched.clone()).0,
        );
    }
}
