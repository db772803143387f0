//! A queue of all members: whoever is picked is missing until it is put back.

use crossbeam_queue::SegQueue;

use crate::rotation::Rotation;

pub(crate) struct Queue(SegQueue<usize>);

impl Rotation for Queue {
    const NAME: &'static str = "SegQueue pop + push";
    type Local<'r> = ();

    fn with_members(members: usize) -> Self {
        let queue = SegQueue::new();
        (0..members).for_each(|member| queue.push(member));
        Self(queue)
    }

    fn local(&self) {}

    #[inline]
    fn next(&self, (): &mut ()) -> usize {
        loop {
            // Empty if the other threads have all of them in hand.
            if let Some(member) = self.0.pop() {
                self.0.push(member);
                return member;
            }
            std::thread::yield_now();
        }
    }

    /// A thread that stops with a member in hand keeps it from its turns for as long.
    fn bound(threads: usize) -> Option<u64> {
        (threads == 1).then_some(1)
    }
}
