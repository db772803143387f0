//! What the types are to others.

use rondel::{Cursor, Guard, InsertError, Key, Lease, Ring, pin};

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
}

#[test]
fn handles_are_copied() {
    fn copied<T: Copy>() {}
    copied::<Key>();
    copied::<rondel::Entry<'_, String>>(); // though a `String` is not
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
