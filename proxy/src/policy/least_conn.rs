//! `least-conn`: whoever has the fewest requests in flight for its weight.
//!
//! A look at every server for each request: some nanoseconds each, in exchange for no order that
//! would have to be kept up to date.

use super::{Choice, Policy, Turn};
use crate::backend::Backend;

#[derive(Debug)]
pub(super) struct LeastConn;

impl Policy for LeastConn {
    fn choose<'g>(&self, choice: &Choice<'g, '_>) -> Option<Turn<'g>> {
        let least = choice.members().map(|member| Load::of(&member)).reduce(Load::lesser)?;
        choice
            .next(|backend| !Load::of(backend).exceeds(least))
            // All that had so few have got more meanwhile.
            .or_else(|| choice.next(|_| true))
    }
}

/// Requests in flight and weight, compared as a fraction.
#[derive(Clone, Copy)]
pub(super) struct Load {
    in_flight: u64,
    weight: u64,
}

impl Load {
    pub(super) fn of(backend: &Backend) -> Self {
        Self { in_flight: backend.in_flight().into(), weight: backend.weight().into() }
    }

    pub(super) fn exceeds(self, other: Self) -> bool {
        self.in_flight * other.weight > other.in_flight * self.weight
    }

    fn lesser(self, other: Self) -> Self {
        if self.exceeds(other) { other } else { self }
    }
}
