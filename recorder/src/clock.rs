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
        rfc3339(Duration::from_micros(self.wall_us))
    }

    /// By how much the wall clock is ahead of the other one.
    #[must_use]
    pub fn ahead(&self) -> i64 {
        self.wall_us.wrapping_sub(self.mono_us).cast_signed()
    }
}

fn rfc3339(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(day);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since_epoch.subsec_micros()
    )
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01.
/// Counts in years that begin in March, so that the leap day is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    // From 0000-03-01, which begins a span of 400 years.
    let days = days + 719_468;
    let (span, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months of 31, 30, 31, 30, 31 days repeat: 153 days in five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (span * 400 + year, month + 3);
    if month > 12 { (year + 1, month - 12, day) } else { (year, month, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        // date -u -d @N +%FT%TZ
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_secs(seconds)), want);
        }
        let fraction = Duration::new(1, 999_999_999);
        assert_eq!(rfc3339(fraction), "1970-01-01T00:00:01.999999Z");
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let lengths = |year: u64| {
            let leap =
                year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        };
        let mut expected = (1970, 1, 1);
        for day in 0..400 * 366 {
            assert_eq!(civil(day), expected);
            let (year, month, date) = expected;
            expected = match (month, date) {
                (12, 31) => (year + 1, 1, 1),
                (m, d) if d == lengths(year)[usize::try_from(m).unwrap() - 1] => (year, m + 1, 1),
                (m, d) => (year, m, d + 1),
            };
        }
    }
}
