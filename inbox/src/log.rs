//! What the inbox says to whoever started it: on standard error, and never a
//! value. Whoever can reach the socket can cause lines, so there is a limit.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines in a second.
const MAX_LINES: u32 = 20;

/// Counts lines.
#[derive(Debug)]
struct Count {
    since: Option<Instant>,
    lines: u32,
}

static COUNT: Mutex<Count> = Mutex::new(Count { since: None, lines: 0 });

/// Says something.
pub fn say(words: &str) {
    let mut count = COUNT.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    if count.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
        let left_out = count.lines.saturating_sub(MAX_LINES);
        if left_out > 0 {
            eprintln!("strongroom inbox: and {left_out} more such lines");
        }
        *count = Count { since: Some(now), lines: 0 };
    }
    count.lines = count.lines.saturating_add(1);
    if count.lines <= MAX_LINES {
        eprintln!("strongroom inbox: {words}");
    }
}
