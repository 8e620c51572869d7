//! The wall clock as lines have it: RFC 3339, UTC, microseconds.

use std::time::Duration;

/// The wall clock may move this far, in microseconds, before a line says so.
pub const DRIFT_US: u64 = 2_000_000;

const DAYS_IN_400_YEARS: i64 = 146_097;

/// Microseconds since 1970 of `2026-01-31T23:59:59.000001Z`; `None` for any
/// other form and for a date that is none.
#[must_use]
pub fn micros(text: &str) -> Option<i64> {
    let bytes: &[u8; 27] = text.as_bytes().try_into().ok()?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')];
    if !marks.iter().all(|(at, mark)| bytes.get(*at) == Some(mark)) {
        return None;
    }
    let field = |from: usize, length: usize| {
        bytes
            .get(from..from + length)?
            .iter()
            .try_fold(0i64, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    };
    let (year, month, day) = (field(0, 4)?, field(5, 2)?, field(8, 2)?);
    let (hour, minute, second, micro) =
        (field(11, 2)?, field(14, 2)?, field(17, 2)?, field(20, 6)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = (days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000 + micro)
}

/// That form of a moment, from the time since 1970.
#[must_use]
pub fn rfc3339(since_epoch: Duration) -> String {
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

/// Days since 1970-01-01, counted in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (span, year) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    span * DAYS_IN_400_YEARS + year * 365 + year / 4 - year / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        // date -u -d TEXT +%s
        for (text, seconds) in [
            ("1970-01-01T00:00:00", 0),
            ("2000-02-28T23:59:59", 951_782_399),
            ("2000-02-29T00:00:00", 951_782_400),
            ("2000-03-01T00:00:00", 951_868_800),
            ("2024-02-29T00:00:00", 1_709_164_800),
            ("2100-03-01T00:00:00", 4_107_542_400),
            ("9999-12-31T23:59:59", 253_402_300_799),
        ] {
            assert_eq!(micros(&format!("{text}.000007Z")), Some(seconds * 1_000_000 + 7), "{text}");
        }
        for text in [
            "",
            "2023-02-29T00:00:00.000000Z",
            "2100-02-29T00:00:00.000000Z",
            "2024-13-01T00:00:00.000000Z",
            "2024-00-01T00:00:00.000000Z",
            "2024-04-31T00:00:00.000000Z",
            "2024-01-00T00:00:00.000000Z",
            "2024-01-01T24:00:00.000000Z",
            "2024-01-01T00:00:60.000000Z",
            "2024-01-01T00:00:00.00000Z",
            "2024-01-01 00:00:00.000000Z",
            "2024-01-01T00:00:00.000000z",
            "+024-01-01T00:00:00.000000Z",
        ] {
            assert_eq!(micros(text), None, "{text}");
        }
    }

    #[test]
    fn forms() {
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
