//! The rows that this thread has read in this second: a session in steady use costs no look into
//! the table, which is made for many threads.
//!
//! One entry for each place, and the last one stays there. An entry is good for as long as its row
//! stands in the table, which the row itself says, and until the second is over: so the table
//! learns once a second who is in use, and a row is not read beyond its end.

use std::{cell::RefCell, sync::Arc};

use super::{id::Key, memo::Owner, table::Row};

const PLACES: usize = 2_048;

struct Entry {
    owner: Owner,
    key: Key,
    row: Arc<Row>,
    second: u64,
}

thread_local! {
    static ENTRIES: RefCell<Vec<Option<Entry>>> = const { RefCell::new(Vec::new()) };
}

/// What `read` makes of the row of this key, if it was read before.
pub(super) fn look<R>(
    owner: Owner,
    key: &Key,
    second: u64,
    read: impl FnOnce(&Row) -> R,
) -> Option<R> {
    ENTRIES.with_borrow(|entries| {
        let entry = entries.get(place(key))?.as_ref()?;
        let good = entry.second == second
            && entry.owner == owner
            && entry.key == *key
            && entry.row.is_in_table();
        good.then(|| read(&entry.row))
    })
}

/// Remembers a row that was found in the table.
pub(super) fn remember(owner: Owner, key: Key, second: u64, row: Arc<Row>) {
    ENTRIES.with_borrow_mut(|entries| {
        if entries.is_empty() {
            entries.resize_with(PLACES, || None);
        }
        entries[place(&key)] = Some(Entry { owner, key, row, second });
    });
}

fn place(key: &Key) -> usize {
    usize::try_from(key.spread() % PLACES as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::{epoch::Fresh, id::Id};

    #[test]
    fn only_a_row_of_this_table_this_key_and_this_second_is_found() {
        let (ours, theirs) = (Owner::new(), Owner::new());
        let [key, other] = [(); 2].map(|()| Id::random().unwrap().key());
        let row = Arc::new(Row::new(None, Fresh::Always, Duration::from_secs(9)));
        assert_eq!(look(ours, &key, 7, |_| ()), None);
        remember(ours, key, 7, Arc::clone(&row));
        assert_eq!(look(ours, &key, 7, |_| ()), Some(()));
        assert_eq!(look(ours, &key, 8, |_| ()), None);
        assert_eq!(look(theirs, &key, 7, |_| ()), None);
        assert_eq!(look(ours, &other, 7, |_| ()), None);
        row.leave_table();
        assert_eq!(look(ours, &key, 7, |_| ()), None);
    }
}
