//! Unix seconds, which records are dated in: they mean the same in every process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time now.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How long it is until the given second begins.
pub(crate) fn until(second: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(second).saturating_sub(now)
}
