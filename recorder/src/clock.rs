//! Two clocks: one for people, which can be set, and one that only goes
//! forward.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// The last moment that has a year of four digits.
const LAST_YEAR: u64 = 253_402_300_799_999_999;

/// Both clocks, read together, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since 1970. A clock before that shows as 1970.
    pub wall_us: u64,
    /// Since the machine started, sleep included (CLOCK_BOOTTIME,
    /// clock_gettime(2)). Never goes back while the machine runs.
    pub mono_us: u64,
}

/// Reads them.
#[must_use]
pub fn now() -> Now {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mono = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { wall_us: micros(wall).min(LAST_YEAR), mono_us: micros(mono) }
}

impl Now {
    /// Wall clock, RFC 3339, UTC, microseconds: `2026-01-31T23:59:59.000001Z`.
    #[must_use]
    pub fn time(&self) -> String {
        strongroom_audit::time::rfc3339(Duration::from_micros(self.wall_us))
    }

    /// By how much the wall clock is ahead of the other one.
    #[must_use]
    pub fn ahead(&self) -> i64 {
        self.wall_us.wrapping_sub(self.mono_us).cast_signed()
    }
}
