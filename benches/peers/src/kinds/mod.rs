//! The contenders, one file each.

mod arc_swap;
mod counter;
mod left_right;
mod mutex;
mod picker;
mod queue;
mod ring;
mod rwlock;

use self::{
    arc_swap::{Cached, Loaded, Redrawn},
    counter::Bare,
    left_right::LeftRight,
    mutex::{Indexed, Rotated},
    picker::{FirstAgain, RandomStart},
    queue::Queue,
    ring::{Kept, Leased, Pinned, Private},
    rwlock::Shared,
};
use crate::rotation::{Changing, Contender, Skipper};

/// Everybody who takes turns. The ring first: the others are compared with it.
pub const ALL: [Contender; 14] = [
    Contender::of::<Pinned>(),
    Contender::of::<Kept>(),
    Contender::of::<Leased>(),
    Contender::of::<Private>(),
    Contender::of::<Rotated>(),
    Contender::of::<Indexed<std::sync::Mutex<_>>>(),
    Contender::of::<Indexed<parking_lot::Mutex<_>>>(),
    Contender::of::<Shared<std::sync::RwLock<_>>>(),
    Contender::of::<Shared<parking_lot::RwLock<_>>>(),
    Contender::of::<Loaded>(),
    Contender::of::<Cached>(),
    Contender::of::<LeftRight>(),
    Contender::of::<Queue>(),
    Contender::of::<Bare>(),
];

/// Those whose members may change meanwhile. The ring first.
pub const CHURNED: [Changing; 10] = [
    Changing::of::<Pinned>(),
    Changing::of::<Kept>(),
    Changing::of::<Rotated>(),
    Changing::of::<Indexed<std::sync::Mutex<_>>>(),
    Changing::of::<Indexed<parking_lot::Mutex<_>>>(),
    Changing::of::<Shared<std::sync::RwLock<_>>>(),
    Changing::of::<Loaded>(),
    Changing::of::<LeftRight>(),
    Changing::of::<FirstAgain>(),
    Changing::of::<RandomStart>(),
];

/// Those that pass over members, each its own way. The ring first.
pub const SKIPPING: [Skipper; 6] = [
    Skipper::of::<Pinned>(),
    Skipper::of::<Kept>(),
    Skipper::of::<Rotated>(),
    Skipper::of::<Indexed<std::sync::Mutex<_>>>(),
    Skipper::of::<Loaded>(),
    Skipper::of::<Redrawn>(),
];
