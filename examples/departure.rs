//! Removal from inside a worker: whoever does the last piece of a member's work removes it, with
//! the member in its hands, while others pick.
//!
//! `remove` is true for exactly one caller, so that the end of each download is told once. The
//! workers stop when the ring is empty.
//!
//! ```text
//! a is complete
//! b is complete
//! c is complete
//! 18 chunks by 3 workers
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
};

use rondel::{Ring, pin};

const WORKERS: usize = 3;

struct Download {
    name: char,
    chunks: u32,
    claimed: AtomicU32,
    fetched: AtomicU32,
}

impl Download {
    fn new(name: char, chunks: u32) -> Self {
        Self { name, chunks, claimed: AtomicU32::new(0), fetched: AtomicU32::new(0) }
    }

    /// Fetches one chunk, if there is one that nobody has claimed.
    fn fetch(&self) -> bool {
        if self.claimed.fetch_add(1, Ordering::Relaxed) >= self.chunks {
            return false;
        }
        self.fetched.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn is_complete(&self) -> bool {
        self.fetched.load(Ordering::Relaxed) == self.chunks
    }
}

fn main() {
    let ring: Ring<Download> =
        [Download::new('a', 3), Download::new('b', 6), Download::new('c', 9)].into_iter().collect();
    let (tell, told) = mpsc::channel();
    let chunks: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(|| work(&ring, &tell))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).sum()
    });
    drop(tell);

    let mut complete: Vec<char> = told.iter().collect();
    complete.sort_unstable(); // by chance, two may end in either order
    for name in &complete {
        println!("{name} is complete");
    }
    println!("{chunks} chunks by {WORKERS} workers");
    assert_eq!((&complete[..], chunks), (&['a', 'b', 'c'][..], 18));
    assert!(ring.is_empty());
}

/// Fetches chunks of one download after the other, until there is none; how many.
fn work(ring: &Ring<Download>, tell: &mpsc::Sender<char>) -> usize {
    let mut chunks = 0;
    let mut guard = pin();
    loop {
        guard.repin(); // what was shown before may go
        let Some(download) = ring.next(&guard) else { return chunks };
        chunks += usize::from(download.fetch());
        if download.is_complete() && ring.remove(download.key()) {
            // Removed, and shown by this guard still: its value is dropped later.
            tell.send(download.name).expect("the main thread listens");
        }
    }
}
