//! The name of a member.

use core::{fmt, num::NonZeroU64};

use crate::raw::MemberId;

/// Names one member of one ring, for good.
///
/// A key is two words to copy, compare and keep; an `Option<Key>` is no larger. It outlives its
/// member without harm: once the member is removed the key names nothing, and it never names
/// another member, though slots are used again. A key of another ring is refused.
///
/// ```
/// let ring = rondel::Ring::new();
/// let key = ring.push_back("a");
/// assert!(ring.remove(key));
/// let other = ring.push_back("b"); // may take the same slot
/// assert_ne!(key, other);
/// assert!(!ring.contains(key));
/// assert!(!ring.remove(key));
/// assert_eq!(size_of::<Option<rondel::Key>>(), size_of::<rondel::Key>());
/// ```
///
/// # Limits
///
/// A slot names 2^37 - 1 members one after the other and is then left unused.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    ring: NonZeroU64,
    member: MemberId,
}

impl Key {
    #[inline]
    pub(crate) fn new(ring: NonZeroU64, member: MemberId) -> Self {
        Self { ring, member }
    }

    /// The member's name inside the ring `ring`, if it is of that ring.
    #[inline]
    pub(crate) fn within(self, ring: NonZeroU64) -> Option<MemberId> {
        (self.ring == ring).then_some(self.member)
    }
}

impl fmt::Debug for Key {
    /// `Key(ring:slot.generation)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ring, member } = self;
        write!(f, "Key({ring}:{}.{})", member.index(), member.generation())
    }
}
