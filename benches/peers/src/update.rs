//! Rounds of updates: what it takes to add a member and to remove one.

use std::time::{Duration, Instant};

use crate::rotation::Members;

/// The time of so many updates: a new member comes last, and one that may be anywhere goes.
pub(crate) fn round<R: Members>(members: usize, updates: u64) -> Duration {
    let rotation = R::with_members(members);
    let mut tickets = rotation.tickets();
    // Any sequence that leads all over the members, the same for every contender.
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let begin = Instant::now();
    for update in 0..updates {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = usize::try_from(random >> 33).expect("31 bits") % members;
        let number = members + usize::try_from(update).expect("few");
        let came = rotation.push(number);
        rotation.remove(std::mem::replace(&mut tickets[place], came));
    }
    begin.elapsed()
}
