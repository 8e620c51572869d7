//! Times for people and for webhooks.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time in its two largest units.
#[must_use]
pub fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {:02} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes:02} min"),
        _ => format!("{days} d {hours:02} h"),
    }
}

/// A time as RFC 3339 has it, in UTC.
#[must_use]
pub fn rfc3339(seconds: u64) -> String {
    let (year, month, day) = date(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The same for people.
#[must_use]
pub fn date_and_minute(seconds: u64) -> String {
    rfc3339(seconds).get(..16).unwrap_or_default().replacen('T', " ", 1)
}

/// Year, month and day, counted in years that begin in March.
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (span, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (span * 400 + year + if month <= 2 { 1 } else { 0 }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), want);
        }
        assert_eq!(date_and_minute(951_782_399), "2000-02-28 23:59");
    }

    #[test]
    fn dates_agree_with_the_log() {
        for day in 0..40_000 {
            let seconds = day * 86_400 + 3_661;
            let text = rfc3339(seconds).replace('Z', ".000000Z");
            let micros = strongroom_audit::time::micros(&text).unwrap();
            assert_eq!(u64::try_from(micros).unwrap(), seconds * 1_000_000);
        }
    }

    #[test]
    fn spans() {
        for (ms, want) in [
            (0, "0 s"),
            (59_999, "59 s"),
            (61_000, "1 min 01 s"),
            (3_600_000, "1 h 00 min"),
            (90_061_000, "1 d 01 h"),
        ] {
            assert_eq!(span(ms), want);
        }
    }
}
