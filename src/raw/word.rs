//! The packed words: what a slot's links, a key and the cursor are made of.
//!
//! Plain bit arithmetic, no atomics and no meaning beyond the layout:
//!
//! ```text
//!            63       62    61     60 ................ 24  23 ....... 0
//! Link     | REMOVED  BUSY  SPENT | generation of the slot | successor   |
//! Hint     | UNLINKED   -     -   | generation             | predecessor |
//! MemberId |    -       -     -   | generation             | index       |
//! Position |          version (40 bits)                     | index       |
//! ```
//!
//! A link carries the generation of the slot that it *stands in*, not of the one it names: so one
//! load answers "is this still the member I know, is it live, and who follows it".

/// Tiny under the cfg `rondel_small`, so that tests come to the end of each.
const SMALL: bool = cfg!(rondel_small);
const INDEX_BITS: u32 = if SMALL { 6 } else { 24 };
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const GENERATION_BITS: u32 = if SMALL { 3 } else { 37 };
const GENERATION_MASK: u64 = ((1 << GENERATION_BITS) - 1) << INDEX_BITS;

const VERSION_BITS: u32 = if SMALL { 4 } else { u64::BITS - INDEX_BITS };
const VERSION_MASK: u64 = (1 << VERSION_BITS) - 1;

/// The number of a slot.
pub(crate) type Index = u32;

/// Slot 0: before the first and after the last member; never removed.
pub(crate) const SENTINEL: Index = 0;

/// How many numbers there are.
pub(crate) const INDICES: u64 = 1 << INDEX_BITS;

const fn index_of(word: u64) -> Index {
    (word & INDEX_MASK) as Index
}

/// A member's name inside its ring: the slot, and which of the slot's members.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub(crate) struct MemberId(u64);

impl MemberId {
    pub(crate) const SENTINEL: Self = Self(0);

    /// The member of the slot `index` that `link` was loaded from.
    #[inline]
    pub(crate) const fn new(index: Index, link: Link) -> Self {
        Self((link.0 & GENERATION_MASK) | index as u64)
    }

    #[inline]
    pub(crate) const fn index(self) -> Index {
        index_of(self.0)
    }

    pub(crate) const fn generation(self) -> u64 {
        self.0 >> INDEX_BITS
    }

    /// Whether `link`, loaded from this member's slot, says that the member is in the ring.
    #[inline]
    pub(crate) const fn is_live_in(self, link: Link) -> bool {
        (self.0 ^ link.0) & (GENERATION_MASK | Link::REMOVED | Link::SPENT) == 0
    }

    /// Whether `link`, loaded from this member's slot, still belongs to this member.
    #[inline]
    pub(crate) const fn is_named_by(self, link: Link) -> bool {
        (self.0 ^ link.0) & GENERATION_MASK == 0
    }
}

/// `slot.next`: the state of a slot, its generation, and the slot that follows it.
///
/// | REMOVED | SPENT | the slot is |
/// | --- | --- | --- |
/// | 0 | 0 | live |
/// | 1 | 0 | removed by key, or from the back |
/// | 1 | 1 | removed from the front |
/// | 0 | 1 | vacant: it holds no value |
///
/// BUSY says that the slot which follows is on its way out, and that nothing may be linked in
/// between any more: it is removed, or (behind the sentinel) being taken from the front.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Link(pub(crate) u64);

impl Link {
    pub(crate) const REMOVED: u64 = 1 << 63;
    const BUSY: u64 = 1 << 62;
    const SPENT: u64 = 1 << 61;

    /// A slot that was never used.
    pub(crate) const UNUSED: Self = Self(Self::SPENT);
    /// The sentinel of an empty ring: it follows itself.
    pub(crate) const EMPTY_RING: Self = Self(SENTINEL as u64);

    #[inline]
    pub(crate) const fn successor(self) -> Index {
        index_of(self.0)
    }

    /// The successor, or larger than any index if this slot is removed: one comparison answers
    /// both.
    #[inline]
    pub(crate) const fn live_successor(self) -> u64 {
        self.0 & (Self::REMOVED | INDEX_MASK)
    }

    #[inline]
    pub(crate) const fn is_live(self) -> bool {
        self.0 & (Self::REMOVED | Self::SPENT) == 0
    }

    #[inline]
    pub(crate) const fn is_removed(self) -> bool {
        self.0 & Self::REMOVED != 0
    }

    pub(crate) const fn is_busy(self) -> bool {
        self.0 & Self::BUSY != 0
    }

    /// Removed by `pop_front`.
    pub(crate) const fn is_popped(self) -> bool {
        self.0 & (Self::REMOVED | Self::SPENT) == Self::REMOVED | Self::SPENT
    }

    pub(crate) const fn is_vacant(self) -> bool {
        self.0 & (Self::REMOVED | Self::SPENT) == Self::SPENT
    }

    /// The same slot, live, with another successor.
    pub(crate) const fn to(self, successor: Index) -> Self {
        Self((self.0 & GENERATION_MASK) | successor as u64)
    }

    /// The same slot once the one that follows it, whose link is `gone`, is out. What `gone` said
    /// of *its* successor now goes for this slot's.
    pub(crate) const fn past(self, gone: Self) -> Self {
        Self((self.0 & GENERATION_MASK) | (gone.0 & (Self::BUSY | INDEX_MASK)))
    }

    pub(crate) const fn removed(self) -> Self {
        Self(self.0 | Self::REMOVED)
    }

    pub(crate) const fn popped(self) -> Self {
        Self(self.0 | Self::REMOVED | Self::SPENT)
    }

    pub(crate) const fn busy(self) -> Self {
        Self(self.0 | Self::BUSY)
    }

    /// Vacant for good: the last generation is never given to a second member.
    pub(crate) const WORN_OUT: Self = Self(Self::SPENT | GENERATION_MASK);

    /// What the slot holds once its member is gone: the next generation, while there is one.
    pub(crate) const fn vacated(self) -> Self {
        let generation = self.0 & GENERATION_MASK;
        if generation == GENERATION_MASK {
            Self::WORN_OUT
        } else {
            Self(Self::SPENT | (generation + (1 << INDEX_BITS)))
        }
    }
}

/// `slot.prev`: a member that preceded this one at some time; verified before use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hint(pub(crate) u64);

impl Hint {
    /// Set once the slot itself is unlinked, so that nobody looks for its predecessor any more.
    pub(crate) const UNLINKED: u64 = 1 << 63;

    pub(crate) const fn to(member: MemberId) -> Self {
        Self(member.0)
    }

    pub(crate) const fn is_unlinked(self) -> bool {
        self.0 & Self::UNLINKED != 0
    }

    pub(crate) const fn member(self) -> MemberId {
        MemberId(self.0 & !Self::UNLINKED)
    }

    /// Of a vacant slot: the free slot below it. The free list keeps its links here.
    pub(crate) const fn free(below: Index) -> Self {
        Self(below as u64)
    }

    pub(crate) const fn index(self) -> Index {
        index_of(self.0)
    }
}

/// A slot and a count of changes: the cursor (the member returned last) and the free list's top.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position(pub(crate) u64);

impl Position {
    pub(crate) const START: Self = Self(SENTINEL as u64);

    #[inline]
    pub(crate) const fn index(self) -> Index {
        index_of(self.0)
    }

    /// On `index`, one version later. The version wraps after 2^40 changes.
    #[inline]
    pub(crate) const fn moved_to(self, index: Index) -> Self {
        let version = (self.0 >> INDEX_BITS).wrapping_add(1) & VERSION_MASK;
        Self((version << INDEX_BITS) | index as u64)
    }
}

#[cfg(all(test, not(any(rondel_loom, rondel_small))))]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_generation_and_successor_apart() {
        let link = Link::UNUSED.vacated().to(0x00AB_CDEF);
        assert!(link.is_live());
        assert_eq!(link.successor(), 0x00AB_CDEF);
        assert_eq!(link.removed().successor(), 0x00AB_CDEF);
        assert!(link.removed().is_removed() && !link.removed().is_popped());
        assert!(link.popped().is_removed() && link.popped().is_popped());
        assert!(link.busy().is_live() && link.busy().is_busy());
        assert!(MemberId::new(7, link).is_live_in(link));
        assert!(!MemberId::new(7, link).is_live_in(link.removed()));
        assert!(MemberId::new(7, link).is_named_by(link.removed()));
        assert!(!MemberId::new(7, link).is_named_by(Link::UNUSED.to(7)));
    }

    #[test]
    fn what_follows_a_busy_slot_that_goes_stays_on_its_way_out() {
        let (kept, gone) = (Link::UNUSED.to(1), Link::UNUSED.to(2).busy().removed());
        assert_eq!(kept.busy().past(gone), kept.to(2).busy());
        assert_eq!(kept.busy().past(Link::UNUSED.to(2).removed()), kept.to(2));
    }

    #[test]
    fn the_last_generation_is_never_followed_by_another() {
        let last = Link(GENERATION_MASK - (1 << INDEX_BITS)).vacated();
        assert_eq!(last.vacated(), Link::WORN_OUT);
        assert_eq!(Link::WORN_OUT.vacated(), Link::WORN_OUT);
    }

    #[test]
    fn a_position_changes_with_every_move_and_wraps_at_the_end() {
        let here = Position::START.moved_to(5);
        assert_eq!(here.index(), 5);
        assert_ne!(here, here.moved_to(5));
        let last = Position(u64::MAX);
        assert_eq!(last.moved_to(3), Position(3));
    }
}
