//! When a value goes: after a grace period, or with the ring.

use alloc::sync::Arc;
use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
};

use crate::{
    guard::Guard,
    raw::{
        Core,
        word::{Link, MemberId},
    },
    sync::step,
};

impl<T: Send + Sync + 'static> Core<T> {
    /// Drops an unlinked member's value, and frees its slot, once nobody can see them.
    ///
    /// Called once for each member, by the thread that unlinked it, while it is pinned.
    pub(super) fn retire(self: &Arc<Self>, member: MemberId, guard: &Guard) {
        let core = Arc::clone(self);
        guard.defer(move || core.reclaim(member));
    }

    fn reclaim(&self, member: MemberId) {
        let Some(value) = self.claim_value(member) else { return };
        step!(Claimed);
        if !self.is_worn_out(member) {
            self.table.give_back(member.index());
        }
        // A panic here would unwind through the collector, on whatever thread it happens to run,
        // and take other deferred work with it. The panic hook has reported it.
        if let Err(panic) = drop_caught(value) {
            discard(panic);
        }
    }

    fn is_worn_out(&self, member: MemberId) -> bool {
        self.link(member.index()) == Link::WORN_OUT
    }
}

impl<T> Core<T> {
    /// Turns the slot vacant, and hands out its value to the one caller who did that.
    fn claim_value(&self, member: MemberId) -> Option<T> {
        let slot = self.slot(member.index());
        let link = slot.link();
        if link.is_vacant() || !member.is_named_by(link) || !slot.relink(link, link.vacated()) {
            return None;
        }
        // SAFETY: N2, the claim is made by one thread. It comes a grace period after the slot was
        // unlinked, or from `close`: nobody else sees the value.
        Some(unsafe { slot.take() })
    }

    /// Drops every value that the ring still holds, those that wait for a grace period included.
    ///
    /// The caller is the last user of the ring: no guard protects an entry of it any more. A panic
    /// of a value's drop is passed on after all the others were dropped.
    pub(crate) fn close(&self) {
        let mut first_panic = None;
        self.table.for_each(|index| {
            let member = MemberId::new(index, self.link(index));
            if let Some(Err(panic)) = self.claim_value(member).map(drop_caught) {
                match first_panic {
                    None => first_panic = Some(panic),
                    Some(_) => discard(panic),
                }
            }
        });
        match first_panic {
            Some(panic) if thread::panicking() => discard(panic),
            Some(panic) => resume_unwind(panic),
            None => {}
        }
    }
}

/// Drops what a panic carried, which may panic itself; what that carries is left alone, unless it is
/// a text, as of `panic!`, which cannot.
fn discard(panic: Box<dyn Any + Send>) {
    if let Err(panic) = drop_caught(panic) {
        if panic.is::<&str>() || panic.is::<String>() {
            drop(panic);
        } else {
            mem::forget(panic);
        }
    }
}

fn drop_caught<T>(value: T) -> Result<(), Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(|| drop(value)))
}
