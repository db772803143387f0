//! Cookies that this thread has verified lately: a client that comes again costs no hash.
//!
//! One entry for each place, and the last one stays there; what is not found is verified anew.
//! Holds nothing that was not verified, and compares in constant time, as the MAC does.

use std::{
    cell::RefCell,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    cookie::{LONGEST, Ticket, VERSION},
    id::Key,
};

/// Half a megabyte for each worker, once it has served a session.
const PLACES: usize = 2_048;

/// What a verified cookie stands for.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) ticket: Ticket,
    pub(crate) key: Key,
}

/// Tells the cookies of one deployment from those of another in the same process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u64);

impl Owner {
    pub(crate) fn new() -> Self {
        static OWNERS: AtomicU64 = AtomicU64::new(1);
        // ORDERING: Relaxed; only that no two are the same matters.
        Self(OWNERS.fetch_add(1, Ordering::Relaxed))
    }
}

struct Entry {
    owner: Owner,
    length: usize,
    text: [u8; LONGEST],
    verified: Arc<Verified>,
}

thread_local! {
    static ENTRIES: RefCell<Vec<Option<Entry>>> = const { RefCell::new(Vec::new()) };
}

/// What is known of this value of a cookie.
pub(crate) fn find(owner: Owner, value: &[u8]) -> Option<Arc<Verified>> {
    let place = place(value)?;
    ENTRIES.with_borrow(|entries| {
        let entry = entries.get(place)?.as_ref()?;
        let known = entry.text.get(..entry.length)?;
        (entry.owner == owner && same(known, value)).then(|| Arc::clone(&entry.verified))
    })
}

/// Remembers a value that was verified.
pub(crate) fn remember(owner: Owner, value: &[u8], verified: Arc<Verified>) {
    let Some(place) = place(value) else { return };
    let mut text = [0; LONGEST];
    let Some(room) = text.get_mut(..value.len()) else { return };
    room.copy_from_slice(value);
    ENTRIES.with_borrow_mut(|entries| {
        if entries.is_empty() {
            entries.resize_with(PLACES, || None);
        }
        entries[place] = Some(Entry { owner, length: value.len(), text, verified });
    });
}

/// The beginning of the id is as random as anything.
fn place(value: &[u8]) -> Option<usize> {
    let random = value.get(VERSION.len()..VERSION.len() + 8)?.try_into().ok()?;
    // The text has its own pattern; a multiplication spreads it, and the top bits are the best.
    let spread = u64::from_le_bytes(random).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from(spread >> 53).ok()
}

/// Takes as long for the first byte that differs as for the last.
fn same(one: &[u8], other: &[u8]) -> bool {
    let ((one, end), (other, other_end)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    if (one.len(), end.len()) != (other.len(), other_end.len()) {
        return false; // how long a cookie is, is no secret
    }
    let mut differing = 0;
    for (one, other) in one.iter().zip(other) {
        differing |= u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other);
    }
    for (one, other) in end.iter().zip(other_end) {
        differing |= u64::from(one ^ other);
    }
    black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{cookie::BackendId, id::Id};

    fn verified() -> Arc<Verified> {
        let id = Id::random().unwrap();
        let backend = BackendId::parse(b"b").unwrap();
        Arc::new(Verified { ticket: Ticket { id, backend }, key: id.key() })
    }

    #[test]
    fn only_the_whole_value_of_the_same_owner_is_found() {
        let (ours, theirs) = (Owner::new(), Owner::new());
        let value = b"v1.0123456789abcdefghijkl.b.the MAC";
        let known = verified();
        assert!(find(ours, value).is_none());
        remember(ours, value, Arc::clone(&known));
        assert_eq!(find(ours, value).map(|found| found.key), Some(known.key));
        assert!(find(theirs, value).is_none());
        assert!(find(ours, &value[..value.len() - 1]).is_none(), "cut");
        assert!(find(ours, b"v1.0123456789abcdefghijkl.b.the MAC.").is_none(), "longer");
        for at in 0..value.len() {
            let mut other = *value;
            other[at] ^= 1;
            assert!(find(ours, &other).is_none(), "byte {at}");
        }
    }

    #[test]
    fn values_of_any_length_are_no_trouble() {
        let owner = Owner::new();
        for length in 0..300 {
            let value = vec![b'x'; length];
            remember(owner, &value, verified());
            assert_eq!(find(owner, &value).is_some(), (11..=LONGEST).contains(&length));
        }
    }

    #[test]
    fn every_place_is_there() {
        for number in 0..10_000_u32 {
            let value = format!("v1.{number:08}");
            assert!(place(value.as_bytes()).unwrap() < PLACES);
        }
    }
}
