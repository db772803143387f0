//! What the types are to others.

use std::{
    cell::Cell,
    panic::{RefUnwindSafe, UnwindSafe, catch_unwind},
    thread,
};

use rondel::{Cursor, Entry, Guard, InsertError, Iter, Key, Lease, Ring, pin};

use crate::{lap, ring_of};

#[test]
fn a_ring_is_collected_extended_and_shown_front_to_back() {
    let mut ring: Ring<u32> = [1, 2].into_iter().collect();
    ring.extend([3, 4]);
    assert_eq!(lap(&ring), [1, 2, 3, 4]);
    assert_eq!(format!("{ring:?}"), "[1, 2, 3, 4]");
    assert!(Ring::<u32>::default().is_empty());
}

#[test]
fn what_threads_share_is_send_and_sync() {
    fn shared<T: Send + Sync>() {}
    shared::<Ring<String>>();
    shared::<Key>();
    shared::<InsertError<String>>();
    shared::<Lease<'_, String>>();
    shared::<Cursor<'_, String>>();
    // A reference to a member, which its guard keeps wherever the reference goes.
    shared::<Entry<'_, String>>();
}

/// Whether a type has a trait, as a value: a constant of its own hides that of a trait.
macro_rules! has {
    ($type:ty: $bound:path) => {{
        struct Of<T>(std::marker::PhantomData<T>);
        trait Otherwise {
            const IT_HAS: bool = false;
        }
        impl<T> Otherwise for Of<T> {}
        impl<T: $bound> Of<T> {
            const IT_HAS: bool = true;
        }
        // A number has every trait that is asked for here, and such a pointer has none.
        assert!(Of::<u8>::IT_HAS && !Of::<*const Cell<u8>>::IT_HAS);
        Of::<$type>::IT_HAS
    }};
}

#[test]
fn a_pin_stays_with_its_thread() {
    assert!(!has!(Guard: Send) && !has!(Guard: Sync));
    assert!(!has!(Iter<'static, String>: Send) && !has!(Iter<'static, String>: Sync));
}

#[test]
fn a_ring_is_shared_only_if_its_values_can_be() {
    assert!(has!(Ring<String>: Send) && has!(Ring<String>: Sync));
    // Either bound alone is too little: values are shown to, and dropped by, any thread.
    assert!(!has!(Ring<Cell<u32>>: Send) && !has!(Ring<Cell<u32>>: Sync));
    assert!(!has!(Ring<std::sync::MutexGuard<'static, u32>>: Send));
    assert!(!has!(Ring<std::sync::MutexGuard<'static, u32>>: Sync));
    assert!(!has!(Cursor<'static, Cell<u32>>: Send) && !has!(Lease<'static, Cell<u32>>: Send));
    assert!(!has!(Entry<'static, Cell<u32>>: Send) && !has!(Entry<'static, Cell<u32>>: Sync));
}

#[test]
fn everything_public_can_be_moved_and_caught_across_a_panic() {
    fn moved<T: Unpin + UnwindSafe + RefUnwindSafe>() {}
    moved::<Ring<String>>();
    moved::<Guard>();
    moved::<Key>();
    moved::<InsertError<String>>();
    moved::<Entry<'_, String>>();
    moved::<Iter<'_, String>>();
    moved::<Cursor<'_, String>>();
    moved::<Lease<'_, String>>();
    assert!(!has!(Ring<Cell<u32>>: RefUnwindSafe), "a value may be half changed");

    let (ring, _) = ring_of(2);
    let guard = pin();
    let caught = catch_unwind(|| ring.next_where(&guard, |_| panic!("in accept")).is_some());
    assert!(caught.is_err());
    assert_eq!(*ring.next(&guard).unwrap(), 0);
}

#[test]
fn a_value_is_lent_to_another_thread_while_its_guard_stays() {
    let ring: Ring<String> = ["a".to_string()].into_iter().collect();
    let guard = pin();
    let value = ring.front(&guard).unwrap().value();
    ring.clear();
    let seen = thread::scope(|scope| scope.spawn(move || value.clone()).join().unwrap());
    assert_eq!(seen, "a");
}

#[test]
fn what_is_borrowed_may_be_borrowed_for_less() {
    // Covariance: it compiles only if each lifetime may shrink.
    type Borrowed<'b> =
        (Entry<'b, String>, Iter<'b, String>, Cursor<'b, String>, Lease<'b, String>);
    fn for_less<'s>(borrowed: Borrowed<'static>) -> Borrowed<'s> {
        borrowed
    }
    let _: fn(Borrowed<'static>) -> Borrowed<'static> = for_less;
}

#[test]
fn a_position_and_a_lap_are_cloned_where_they_are() {
    let (ring, _) = ring_of(3);
    let guard = pin();
    let mut one = ring.cursor();
    one.move_next(&guard);
    let mut other = one.clone();
    assert_eq!(*one.move_next(&guard).unwrap(), 1);
    assert_eq!(*other.move_next(&guard).unwrap(), 1);
    let mut lap = ring.iter(&guard);
    lap.next();
    assert_eq!(lap.clone().count(), 2);
    assert_eq!(lap.count(), 2);
}

#[test]
fn an_entry_is_shown_as_its_value_and_an_error_as_a_sentence() {
    let (ring, keys) = ring_of(1);
    assert_eq!(format!("{:>3}", ring.front(&pin()).unwrap()), "  0");
    ring.clear();
    let error = ring.insert_after(keys[0], 7).unwrap_err();
    assert_eq!(error.to_string(), "the member to insert at is not, or no longer, in this ring");
    assert_eq!(error, error.clone());
    let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
    assert!(boxed.source().is_none());
}

#[test]
fn handles_are_copied() {
    fn copied<T: Copy>() {}
    copied::<Key>();
    copied::<Entry<'_, String>>(); // though a `String` is not
}

#[test]
fn everything_public_can_be_shown() {
    let (ring, keys) = ring_of(1);
    let guard: Guard = pin();
    let entry = ring.next(&guard).unwrap();
    let texts = [
        format!("{guard:?}"),
        format!("{:?}", keys[0]),
        format!("{entry:?}"),
        format!("{:?}", ring.lease(1)),
        format!("{:?}", ring.cursor()),
        format!("{:?}", ring.iter(&guard)),
    ];
    assert!(texts.iter().all(|text| !text.is_empty()));
    assert!(texts[2].contains("value: 0"), "{}", texts[2]);
}

#[test]
fn values_of_no_size_and_of_a_large_alignment_are_held_like_others() {
    #[derive(Clone, Copy)]
    #[repr(align(128))]
    struct Wide(u8);
    let nothing: Ring<()> = [(); 3].into_iter().collect();
    assert_eq!(nothing.iter(&pin()).count(), 3);
    let wide: Ring<Wide> = (0..40).map(Wide).collect();
    let guard = pin();
    for turn in 0..80 {
        let entry = wide.next(&guard).unwrap();
        assert_eq!(entry.0, turn % 40);
        assert_eq!(std::ptr::from_ref(entry.value()).align_offset(128), 0);
    }
}

#[test]
fn a_repinned_guard_serves_the_next_pick() {
    let (ring, _) = ring_of(3);
    let mut guard = pin();
    for turn in 0..9 {
        guard.repin();
        assert_eq!(*ring.next(&guard).unwrap(), turn % 3);
    }
}

#[test]
fn one_guard_serves_several_rings() {
    let (one, _) = ring_of(1);
    let other = Ring::from_iter(["a"]);
    let guard = pin();
    let (number, letter) = (one.next(&guard).unwrap(), other.next(&guard).unwrap());
    assert_eq!((*number, *letter), (0, "a"));
}
