//! Round robin over worker threads: jobs from several threads, handed out in one order.
//!
//! Each member is the sending end of a worker's queue. Two threads hand out jobs at once, and yet
//! every worker gets the same number: each `next` is a turn of its own.
//!
//! ```text
//! worker 0 did 3 jobs
//! worker 1 did 3 jobs
//! worker 2 did 3 jobs
//! worker 3 did 3 jobs
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    sync::mpsc::{self, Sender},
    thread,
};

use rondel::{Ring, pin};

type Job = u64;

fn main() {
    let ring: Ring<Sender<Job>> = Ring::new();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (sender, jobs) = mpsc::channel::<Job>();
            ring.push_back(sender);
            // The queue ends when its sending end goes, which is when the ring goes.
            thread::spawn(move || jobs.iter().count())
        })
        .collect();

    thread::scope(|scope| {
        for first in [0, 100] {
            let ring = &ring;
            scope.spawn(move || (first..first + 6).for_each(|job| hand_out(ring, job)));
        }
    });
    drop(ring);

    for (number, worker) in workers.into_iter().enumerate() {
        let done = worker.join().expect("a worker does not panic");
        println!("worker {number} did {done} jobs");
        assert_eq!(done, 3);
    }
}

fn hand_out(ring: &Ring<Sender<Job>>, job: Job) {
    let guard = pin(); // for this pick, no longer
    let worker = ring.next(&guard).expect("there are workers");
    worker.send(job).expect("a worker reads its queue until the ring goes");
}
