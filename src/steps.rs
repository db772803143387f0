//! Places between two steps of the algorithm, where a test may interfere: let another thread run,
//! stop this one, or have it die.
//!
//! Exists under `--cfg rondel_steps` alone, and is no part of the API. Without it `step!` is
//! nothing at all: see `sync`.

use core::cell::{Cell, RefCell};
use std::{env, hint, sync::OnceLock, thread};

use crate::sync::{AtomicU64, Ordering};

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A place between two steps. Named after what was done last.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Step { $($(#[$doc])* $name,)* }

        impl Step {
            /// Every place there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

steps! {
    /// Insert: a gap was found, and no slot taken yet.
    GapFound,
    /// Insert: a slot was taken and filled, and nobody can reach it.
    Prepared,
    /// Insert: the member is in the ring; its successor's hint does not know it.
    Linked,
    /// Insert: the anchor left, and the slot is to be given back.
    Refused,
    /// Free list: its top was read.
    FreeRead,
    /// Table: a number that was never handed out was read.
    FreshRead,
    /// Table: a segment was made, and is not linked in.
    SegmentMade,
    /// Free list: the slot to be given back names the one below it.
    FreeWritten,
    /// Removal: the member's link is marked, and it is still counted.
    Marked,
    /// Removal from the back: the last member was found.
    LastFound,
    /// Removal from the front: the sentinel's link was read.
    FrontRead,
    /// Removal from the front: the sentinel's link is busy, and the member unmarked.
    FrontBusy,
    /// Removal from the front: the member is marked, and still counted.
    FrontMarked,
    /// Removal from the front: all is done but to tell whose it was.
    FrontTaken,
    /// Predecessor: the hint was read.
    HintFollowed,
    /// Predecessor: a slot on the way there was read.
    Searching,
    /// Unlinking: the live predecessor is known.
    BeforeFound,
    /// Unlinking: the predecessor's link is busy.
    Busy,
    /// Unlinking: the cursor was read, to be moved off.
    OffRead,
    /// Unlinking: the cursor has left the member.
    SteppedOff,
    /// Unlinking: the slot is out of the list.
    Unlinked,
    /// Unlinking: the slot says that it is out.
    SaidUnlinked,
    /// Unlinking: the successor's hint was corrected; the value is not left to its grace period.
    ToRetire,
    /// Unlinking: the value waits for its grace period.
    Retired,
    /// Hint: it was read, to be corrected.
    HintRead,
    /// Hint: it was corrected, and the correction not verified.
    HintWritten,
    /// Reclamation: the value was taken out, and its slot is not free yet.
    Claimed,
    /// Turn: the cursor was read.
    CursorRead,
    /// Turn: the link of the member last returned was read.
    LinkRead,
    /// Turn: past the end, the sentinel's link was read.
    HeadRead,
    /// Turn: the next member was found.
    NextFound,
    /// Turn: the cursor has moved, and nobody was told.
    Moved,
    /// Turn with a condition: a member that is accepted was found.
    Accepted,
    /// Turn with a condition: found at the same place again.
    Confirmed,
    /// Lease: its turns were found, and are not claimed.
    TurnsFound,
}

type Handler = Option<Box<dyn FnMut(Step)>>;

thread_local! {
    static HANDLER: RefCell<Handler> = const { RefCell::new(None) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// How often a thread paused at random.
static PAUSES: AtomicU64 = AtomicU64::new(0);

/// Calls `handler` at every step of this thread while `work` runs. The handler may panic, and
/// `work` is left by that panic; it may not make steps itself that it would have to handle.
pub fn with<R>(handler: impl FnMut(Step) + 'static, work: impl FnOnce() -> R) -> R {
    struct Restore(Handler);
    impl Drop for Restore {
        fn drop(&mut self) {
            HANDLER.set(self.0.take());
        }
    }
    let _restore = Restore(HANDLER.replace(Some(Box::new(handler))));
    work()
}

/// How often threads without a handler paused: at one step in `RONDEL_PAUSES`, at random, if that
/// environment variable is a number. Mostly for less than a call takes, at times for as long as
/// dozens of them do, and sometimes by a yield, which on a busy machine is the time of thousands.
pub fn pauses() -> u64 {
    // ORDERING: Relaxed, a statistic.
    PAUSES.load(Ordering::Relaxed)
}

/// What `step!` calls.
pub(crate) fn reach(step: Step) {
    // Taken out for the call: steps that the handler makes are nobody's business. The thread may
    // be at its end, where it has neither handler nor random numbers any more.
    let Ok(handler) = HANDLER.try_with(RefCell::take) else { return };
    if let Some(handler) = handler {
        struct PutBack(Handler);
        impl Drop for PutBack {
            fn drop(&mut self) {
                HANDLER.set(self.0.take());
            }
        }
        let mut handler = PutBack(Some(handler));
        if let Some(handle) = &mut handler.0 {
            handle(step);
        }
    } else if let Some(one_in) = pauses_one_in() {
        pause_at_random(one_in);
    }
}

fn pauses_one_in() -> Option<u64> {
    static ONE_IN: OnceLock<Option<u64>> = OnceLock::new();
    *ONE_IN.get_or_init(|| env::var("RONDEL_PAUSES").ok()?.parse().ok().filter(|&n| n > 0))
}

fn pause_at_random(one_in: u64) {
    let mut random = RANDOM.get();
    if random == 0 {
        // ORDERING: Relaxed, any number will do that other threads do not have.
        random = PAUSES.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    }
    // xorshift (G. Marsaglia, 2003).
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    RANDOM.set(random);
    if random % one_in == 0 {
        // ORDERING: Relaxed, a statistic.
        PAUSES.fetch_add(1, Ordering::Relaxed);
        if (random >> 32) % 16 == 0 {
            thread::yield_now();
        }
        // Each length as likely as twice that length: short pauses for others to get in between
        // two steps, and long ones for them to get far.
        let longest = 1 << ((random >> 36) % 8);
        (0..(random >> 40) % longest).for_each(|_| hint::spin_loop());
    }
}
