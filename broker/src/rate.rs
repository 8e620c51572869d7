//! How many commands a minute: a bucket that fills steadily and holds a burst.

use std::time::Instant;

use strongroom_protocol::plan::SessionLimits;

/// One command, in the bucket's unit: what a rate of one a minute earns in a
/// minute, counted in milliseconds.
const COMMAND: u64 = 60_000;

/// The bucket. It starts full.
#[derive(Debug)]
pub struct Bucket {
    per_minute: u64,
    size: u64,
    level: u64,
    at: Instant,
}

impl Bucket {
    /// The session's bucket.
    #[must_use]
    pub fn new(limits: &SessionLimits, now: Instant) -> Self {
        let size = u64::from(limits.burst.max(1)) * COMMAND;
        Self { per_minute: limits.commands_per_minute.into(), size, level: size, at: now }
    }

    /// Takes one command out; `false` when there is none. A rate of 0 is no
    /// limit.
    pub fn take(&mut self, now: Instant) -> bool {
        if self.per_minute == 0 {
            return true;
        }
        let passed = now.saturating_duration_since(self.at).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        let earned = passed.saturating_mul(self.per_minute);
        if passed > 0 {
            self.level = self.level.saturating_add(earned).min(self.size);
            self.at = now;
        }
        let Some(rest) = self.level.checked_sub(COMMAND) else {
            return false;
        };
        self.level = rest;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limits(commands_per_minute: u32, burst: u32) -> SessionLimits {
        SessionLimits { commands_per_minute, burst, commands: 0, cpu_ms: 0, masks: 0, grace_ms: 0 }
    }

    #[test]
    fn a_burst_then_the_average() {
        let start = Instant::now();
        let mut bucket = Bucket::new(&limits(60, 3), start);
        let at = |ms| start + Duration::from_millis(ms);
        let granted: Vec<bool> = [0, 0, 0, 0, 999, 1000, 1001, 9000, 9000, 9000, 9000]
            .iter()
            .map(|ms| bucket.take(at(*ms)))
            .collect();
        assert_eq!(granted, [true, true, true, false, false, true, false, true, true, true, false]);
    }

    #[test]
    fn many_looks_in_one_millisecond_earn_nothing_and_lose_nothing() {
        let start = Instant::now();
        let mut bucket = Bucket::new(&limits(60_000, 1), start);
        let granted =
            (0..10_000u64).filter(|us| bucket.take(start + Duration::from_micros(*us))).count();
        assert_eq!(granted, 10, "one at once, and one a millisecond");
    }

    #[test]
    fn no_rate_is_no_limit() {
        let now = Instant::now();
        let mut bucket = Bucket::new(&limits(0, 0), now);
        assert!((0..1000).all(|_| bucket.take(now)));
    }
}
