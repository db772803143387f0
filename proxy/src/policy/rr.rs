//! `rr`: everybody in turn.

use super::{Choice, Policy, Turn};

#[derive(Debug)]
pub(super) struct RoundRobin;

impl Policy for RoundRobin {
    fn choose<'g>(&self, choice: &Choice<'g, '_>) -> Option<Turn<'g>> {
        choice.next(|_| true)
    }
}
