//! The checker itself: what it must accept, and what it must not.

use crate::common::{
    linear::{Call, check, is_linearizable},
    sequential::{At, Op, Ret, State},
};

fn call(thread: usize, op: Op, ret: Ret, invoked: u64, returned: u64) -> Call {
    Call { thread, op, ret, invoked, returned }
}

fn member(name: u32) -> Ret {
    Ret::Member(Some(name))
}

#[test]
fn calls_that_overlap_may_come_in_either_order() {
    let ring = State::new([1, 2]);
    let history = [call(0, Op::Next, member(2), 0, 3), call(1, Op::Next, member(1), 1, 2)];
    assert_eq!(check(&ring, &history), Ok(vec![1, 0]));
}

#[test]
fn a_call_that_ended_comes_before_one_that_began_later() {
    let ring = State::new([1, 2]);
    let history = [call(0, Op::Next, member(2), 0, 1), call(1, Op::Next, member(1), 2, 3)];
    let text = check(&ring, &history).unwrap_err();
    assert!(text.contains("would return Member(Some(1))"), "{text}");
}

#[test]
fn calls_of_one_thread_keep_their_order_even_without_times() {
    let ring = State::new([1, 2]);
    let first_two = call(0, Op::Next, member(2), 0, 9);
    let then_one = call(0, Op::Next, member(1), 0, 9);
    assert!(!is_linearizable(&ring, &[first_two.clone(), then_one.clone()]));
    assert!(is_linearizable(&ring, &[then_one, first_two]));
}

#[test]
fn a_member_that_was_removed_has_no_turn_later() {
    let ring = State::new([1, 2]);
    let mut history =
        vec![call(0, Op::Remove(1), Ret::Bool(true), 0, 2), call(1, Op::Next, member(1), 1, 3)];
    assert!(is_linearizable(&ring, &history), "the turn came first");
    history[1].invoked = 2;
    history[0].returned = 1;
    assert!(!is_linearizable(&ring, &history));
}

#[test]
fn only_one_remover_wins() {
    let ring = State::new([1]);
    let won = |thread| call(thread, Op::Remove(1), Ret::Bool(true), 0, 9);
    assert!(!is_linearizable(&ring, &[won(0), won(1)]));
}

#[test]
fn a_skipped_turn_is_found_in_a_long_history() {
    let ring = State::new(0..4);
    let mut history: Vec<_> = (0..16_u32)
        .map(|turn| {
            let at = u64::from(turn) * 2;
            // Every call overlaps the ones beside it.
            call(turn as usize % 2, Op::Next, member(turn % 4), at, at + 3)
        })
        .collect();
    assert!(is_linearizable(&ring, &history));
    history.remove(7);
    assert!(!is_linearizable(&ring, &history));
}

#[test]
fn what_was_tried_is_not_tried_again() {
    // 16 calls at once that change nothing, and one that cannot be explained after any of the
    // 16! orders. Remembered, these are no more than 2^16 sets.
    let ask = |thread| call(thread, Op::Contains(1), Ret::Bool(true), 0, 9);
    let mut history: Vec<_> = (0..16).map(ask).collect();
    history.push(call(16, Op::Next, member(2), 10, 11));
    assert!(!is_linearizable(&State::new([1]), &history));
}

#[test]
fn inserts_that_all_overlap_are_told_in_the_order_of_the_lap() {
    // 48 calls have 48! orders, and each comes to another state.
    let push = |name| call(name as usize % 4, Op::Insert(At::Back, name), Ret::Bool(true), 0, 99);
    let mut history: Vec<_> = (0..48).map(push).collect();
    // Each thread's own calls keep their order; the last thread comes first.
    let lap: Vec<_> = (0..4).rev().flat_map(|thread| (thread..48).step_by(4)).collect();
    history.push(call(4, Op::Iter, Ret::Members(lap.clone()), 100, 101));
    assert!(is_linearizable(&State::default(), &history));
    let mut other = lap;
    other.swap(0, 1);
    history[48].ret = Ret::Members(other);
    assert!(!is_linearizable(&State::default(), &history), "a thread's calls changed places");
}
