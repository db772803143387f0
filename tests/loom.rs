#![cfg(rondel_loom)]
use rondel::{Ring, pin};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

fn model(floor: usize, bound: Option<usize>, body: impl Fn() + Sync + Send + 'static) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let mut b = loom::model::Builder::new();
    b.preemption_bound = bound;
    b.max_branches = 100_000;
    let t = std::time::Instant::now();
    b.check(move || {
        count.fetch_add(1, Relaxed);
        body();
    });
    let seen = seen.load(Relaxed);
    eprintln!("{seen} executions {:?}", t.elapsed());
    assert!(seen >= floor, "only {seen} executions");
}

#[test]
fn next_against_remove() {
    model(1, Some(3), || {
        let ring = Arc::new(Ring::new());
        let a = ring.push_back(0_u32);
        let _b = ring.push_back(1);
        let c = ring.push_back(2);
        let r = Arc::clone(&ring);
        let t = loom::thread::spawn(move || {
            assert!(r.remove(a));
        });
        let got = {
            let g = pin();
            ring.next(&g).map(|e| *e)
        };
        assert!(got == Some(0) || got == Some(1));
        t.join().unwrap();
        let g = pin();
        let second = ring.next(&g).map(|e| *e);
        if got == Some(0) {
            assert_eq!(second, Some(1));
        } else {
            assert_eq!(second, Some(2));
        }
        let _ = c;
    });
}
#[test]
fn next_against_remove_unbounded() {
    model(1, None, || {
        let ring = Arc::new(Ring::new());
        let a = ring.push_back(0_u32);
        let _b = ring.push_back(1);
        let r = Arc::clone(&ring);
        let t = loom::thread::spawn(move || {
            assert!(r.remove(a));
        });
        let got = {
            let g = pin();
            ring.next(&g).map(|e| *e)
        };
        assert!(got == Some(0) || got == Some(1));
        t.join().unwrap();
        let g = pin();
        assert_eq!(ring.next(&g).map(|e| *e), Some(1));
    });
}
