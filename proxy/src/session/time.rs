//! Unix seconds, which records are dated in: they mean the same in every process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time now, as the system's last tick has it: for seconds that is exact enough, and it is read
/// in a tenth of the time.
#[cfg(target_os = "linux")]
pub(crate) fn now() -> u64 {
    use rustix::time::{ClockId, clock_gettime};
    u64::try_from(clock_gettime(ClockId::RealtimeCoarse).tv_sec).unwrap_or(0)
}

/// The time now.
#[cfg(not(target_os = "linux"))]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How long it is until the given second begins.
pub(crate) fn until(second: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(second).saturating_sub(now)
}
