//! A pick never allocates, and never calls the system: so it takes no lock and waits for nobody.
//!
//! In a binary of its own, for the allocator that counts.

#![cfg(not(any(rondel_loom, rondel_small)))]
#![expect(unsafe_code, reason = "an allocator, and calls of the system")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

use rondel::{Ring, pin};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const PICKS: usize = if cfg!(miri) { 500 } else { 100_000 };

/// How often this thread allocates during `work`.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn a_pick_does_not_allocate() {
    let ring: Ring<u64> = (0..5).collect();
    // The first pin of a thread registers it.
    drop(pin());
    // Hidden from the compiler, which may do without an allocation that nobody sees.
    let counted = allocations(|| drop(black_box(Box::new(0))));
    assert_eq!(counted, 1, "the allocator counts");
    let picked = allocations(|| {
        for turn in 0..PICKS as u64 {
            assert_eq!(*ring.next(&pin()).expect("members"), turn % 5);
        }
        let mut guard = pin();
        for _ in 0..PICKS {
            guard.repin();
            assert_eq!(*ring.next_where(&guard, |value| *value == 3).expect("members"), 3);
        }
        for _ in 0..PICKS / 8 {
            let mut lease = ring.lease(8);
            while lease.next(&guard).is_some() {}
        }
        assert_eq!(ring.next_cloned(), Some(4));
    });
    assert_eq!(picked, 0);
}

/// Inserts and removals do, but not each: memory is used again.
#[test]
fn churn_allocates_less_than_once_for_each_member() {
    let ring: Ring<u64> = (0..5).collect();
    let churned = allocations(|| {
        for value in 0..PICKS as u64 {
            assert!(ring.remove(ring.push_back(value)));
        }
    });
    assert!(churned < PICKS, "{churned} allocations for {PICKS} members");
}

/// The thread's filter lets no call of the system through but the one that ends it: any other
/// would end the process.
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
#[test]
fn a_pick_does_not_call_the_system() {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        thread,
        time::{Duration, Instant},
    };

    let ring: Arc<Ring<u64>> = Arc::new((0..5).collect());
    let done = Arc::new(AtomicBool::new(false));
    let (picker, says) = (Arc::clone(&ring), Arc::clone(&done));
    // Beside it another thread picks too, so that the two lose exchanges to each other.
    let rival = thread::spawn(move || {
        while !done.load(SeqCst) {
            ring.next_cloned();
        }
    });
    thread::spawn(move || {
        drop(pin());
        sealed::forbid_all_calls();
        let mut guard = pin();
        for _ in 0..PICKS {
            guard.repin();
            picker.next(&guard);
            picker.next_where(&guard, |value| *value == 3);
            let mut lease = picker.lease(3);
            while lease.next(&guard).is_some() {}
        }
        // The thread leaves without unwinding, and its pin would hold up others for ever.
        drop(guard);
        says.store(true, SeqCst);
        sealed::end_thread()
    });
    let patience = Instant::now() + Duration::from_secs(60);
    while !rival.is_finished() {
        assert!(Instant::now() < patience, "the picker never came to its end");
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod sealed {
    use std::ffi::{c_int, c_long, c_ulong, c_ushort};

    #[repr(C)]
    struct Instruction {
        code: u16,
        jump_true: u8,
        jump_false: u8,
        operand: u32,
    }

    #[repr(C)]
    struct Program {
        length: c_ushort,
        instructions: *const Instruction,
    }

    unsafe extern "C" {
        fn prctl(option: c_int, ...) -> c_int;
        fn syscall(number: c_long, ...) -> c_long;
    }

    const EXIT: u32 = 60;

    /// From here on this thread may make no call of the system but `exit`.
    pub(crate) fn forbid_all_calls() {
        const fn instruction(code: u16, jump_false: u8, operand: u32) -> Instruction {
            Instruction { code, jump_true: 0, jump_false, operand }
        }
        // If the number of the call is `EXIT`, allow it; else kill the process.
        let instructions = [
            instruction(0x20, 0, 0),
            instruction(0x15, 1, EXIT),
            instruction(0x06, 0, 0x7FFF_0000),
            instruction(0x06, 0, 0x8000_0000),
        ];
        let program = Program { length: 4, instructions: instructions.as_ptr() };
        let (zero, one) = (0 as c_ulong, 1 as c_ulong);
        // SAFETY: PR_SET_NO_NEW_PRIVS takes these numbers.
        let private = unsafe { prctl(38, one, zero, zero, zero) };
        assert_eq!(private, 0, "no new privileges");
        // SAFETY: PR_SET_SECCOMP with a program that lives as long as the call.
        let sealed = unsafe { prctl(22, 2 as c_ulong, &raw const program) };
        assert_eq!(sealed, 0, "the filter is in place");
    }

    /// Ends this thread and nothing else.
    pub(crate) fn end_thread() -> ! {
        // SAFETY: the thread ends here; what it holds is leaked.
        unsafe { syscall(c_long::from(EXIT), 0 as c_ulong) };
        unreachable!("the thread has ended")
    }
}
