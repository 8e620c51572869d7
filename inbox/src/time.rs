//! Times for people and for webhooks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    let text = strongroom_audit::time::rfc3339(Duration::from_secs(seconds));
    // Without the log's fraction of a second.
    text.get(..19).unwrap_or_default().to_owned() + "Z"
}

/// The same for people.
#[must_use]
pub fn date_and_minute(seconds: u64) -> String {
    rfc3339(seconds).get(..16).unwrap_or_default().replacen('T', " ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(date_and_minute(951_782_399), "2000-02-28 23:59");
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
