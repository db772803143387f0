//! A lock-free circular list with a shared round-robin cursor: turns stay fair whatever joins or
//! leaves.
//!
//! A [`Ring`] is a doubly linked, circular list with one atomic cursor. Many threads take turns
//! ([`Ring::next`]) while others insert and remove members, anywhere, by a copyable [`Key`].
//!
//! ```
//! use rondel::{Ring, pin};
//!
//! let ring = Ring::new();
//! let a = ring.push_back("a");
//! ring.push_back("b");
//! let c = ring.push_back("c");
//!
//! let guard = pin();
//! assert_eq!(*ring.next(&guard).unwrap(), "a");
//! ring.insert_after(a, "a and a half").unwrap(); // is next
//! ring.remove(c); // O(1), and nobody else's turn changes
//! assert_eq!(*ring.next(&guard).unwrap(), "a and a half");
//! assert_eq!(*ring.next(&guard).unwrap(), "b");
//! assert_eq!(*ring.next(&guard).unwrap(), "a");
//! ```
//!
//! # What it promises
//!
//! - **Linearizable**: `next`, the inserts, `remove`, `get`, `contains` and the pops each take
//!   effect at one moment during the call.
//! - **Lock-free**: a call repeats a step only because another call got further. No call waits for
//!   a thread that is stopped at any point.
//! - **Fair under churn**: for any two members present during a whole window, the numbers of their
//!   turns in it differ by at most 1, whatever else is inserted or removed meanwhile.
//! - **Final**: after `remove` returned `true`, no `next` that starts later returns that member,
//!   and exactly one remover is told `true`.
//! - **Dropped once**: a value goes after its removal, when no guard can show it any more, or with
//!   the ring; never before, and never twice.

#[cfg(not(target_has_atomic = "64"))]
compile_error!("rondel needs 64-bit atomics: its links and its cursor are one word each");

extern crate alloc;

#[cfg(rondel_own_collector)]
mod collector;
mod cursor;
mod entry;
#[cfg(any(doc, doctest))]
pub mod docs;
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
#[doc = include_str!("../README.md")]
struct Readme;
