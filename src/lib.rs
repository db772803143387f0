//! A lock-free circular list with a shared round-robin cursor: turns stay fair whatever joins or
//! leaves.
//!
//! Many threads take turns ([`Ring::next`]) while others insert and remove members, anywhere, in
//! O(1), by a copyable [`Key`]. No lock, and no call waits for another thread.
//!
#![doc = include_str!("docs/ring.svg")]
//!
//! The members form a circle. One *cursor*, shared by all threads, is on the member that had the
//! last turn; `next` moves it on. An insert or a removal changes neighbours alone: the cursor stays
//! where it is, so nobody loses a turn and nobody gets two. If the cursor's own member goes, the
//! cursor steps back, and whoever would have been next still is.
//!
//! ```
//! use rondel::{Ring, pin};
//!
//! let ring = Ring::new();
//! let a = ring.push_back("a");
//! ring.push_back("b");
//! let c = ring.push_back("c");
//!
//! let guard = pin(); // keeps alive what it shows
//! assert_eq!(*ring.next(&guard).unwrap(), "a");
//! ring.insert_after(a, "a and a half").unwrap(); // behind the cursor: it is next
//! ring.remove(c); // nobody else's turn changes
//! assert_eq!(*ring.next(&guard).unwrap(), "a and a half");
//! assert_eq!(*ring.next(&guard).unwrap(), "b");
//! assert_eq!(*ring.next(&guard).unwrap(), "a");
//! ```
//!
//! # The parts
//!
//! | | |
//! | --- | --- |
//! | [`Ring`] | the members and the cursor; all methods take `&self` |
//! | [`Key`] | names a member for good: `Copy`, and harmless once the member is gone |
//! | [`pin`], [`Guard`] | what a reference into a ring needs: the member stays alive while the guard does |
//! | [`Entry`] | a member that was found: its value, its key, and whether it has been removed since |
//! | [`Lease`] | several turns claimed at once |
//! | [`Cursor`] | a private position, whose moves are nobody's turn |
//! | [`Iter`] | one lap |
//! | [`InsertError`] | the place to insert at has gone; gives the value back |
//!
//! # What it promises
//!
//! - **Linearizable**: `next`, the inserts, `remove`, `get`, `contains` and the pops each take
//!   effect at one moment during the call.
//! - **Lock-free**: a call repeats a step only because another call got further. No call waits for
//!   a thread that is stopped at any point.
//! - **Fair under churn**: for any two members present during a whole window, and refused by no
//!   [`next_where`](Ring::next_where) in it, the numbers of their turns differ by at most 1, whatever
//!   else is inserted or removed meanwhile. Turns of a [`lease`](Ring::lease) count when they are
//!   claimed.
//! - **Final**: after `remove` returned `true`, no `next` that starts later returns that member,
//!   and exactly one remover is told `true`.
//! - **Dropped once**: a value goes after its removal, when no guard can show it any more, or with
//!   the ring; never before, and never twice.
//!
//! # Guides
//!
//! [Which way to take a turn](docs::choosing), [weights](docs::weights),
//! [async code](docs::asynchronous), [memory and stalled readers](docs::memory),
//! [performance](docs::performance); and for those who want to believe it,
//! [how it works inside](docs::internals) and [what was checked](docs).
//!
//! # When to use something else
//!
//! If members hardly ever change, or turns need no common order, an `ArcSwap<Vec<T>>` and a counter
//! or a random number is simpler. If one thread takes all turns, so is a `VecDeque`. If you want the
//! *least loaded* member, this is the wrong structure.
//!
//! # Requirements
//!
//! `std`, and 64-bit atomics ([targets](docs::limits#targets)). There are no features. The minimum
//! Rust version is 1.85; raising it is a minor change.

#[cfg(not(target_has_atomic = "64"))]
compile_error!("rondel needs 64-bit atomics: its links and its cursor are one word each");

extern crate alloc;

#[cfg(rondel_own_collector)]
mod collector;
mod cursor;
#[cfg(any(doc, doctest))]
pub mod docs;
mod entry;
mod error;
mod guard;
mod iter;
mod key;
mod lease;
#[expect(unsafe_code, reason = "slots hold values that outlive their membership; see `raw`")]
mod raw;
mod ring;
#[cfg(rondel_steps)]
#[doc(hidden)]
pub mod steps;
mod sync;

pub use crate::{
    cursor::Cursor,
    entry::Entry,
    error::InsertError,
    guard::{Guard, pin},
    iter::Iter,
    key::Key,
    lease::Lease,
    ring::Ring,
};

#[cfg(doctest)]
mod refused;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
