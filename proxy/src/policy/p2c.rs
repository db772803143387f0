//! `p2c`: of two servers at random, the one with fewer requests in flight for its weight.
//!
//! M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001. Where many
//! proxies share the servers, each sees only its own requests; chance then keeps them from running
//! to the same server.

use super::{Choice, Policy, Turn, least_conn::Load};

#[derive(Debug)]
pub(super) struct TwoChoices;

impl Policy for TwoChoices {
    fn choose<'g>(&self, choice: &Choice<'g, '_>) -> Option<Turn<'g>> {
        let (first, second) = choice.two_at_random();
        let (one, other) = (first?, second.or(first)?);
        let (of_one, of_other) = (Load::of(&one), Load::of(&other));
        choice
            .next(|backend| {
                (backend.serial() == one.serial() && !of_one.exceeds(of_other))
                    || (backend.serial() == other.serial() && !of_other.exceeds(of_one))
            })
            // Both may have become full meanwhile.
            .or_else(|| choice.next(|_| true))
    }
}
