//! Texts that repeat themselves, such as `aaaa...`, with a secret that does too:
//! a form matches at every place, or every few. After one period has been
//! looked at, nothing new can come until the repetition ends.

use crate::scan::REACH;

/// The repetition that the places looked at are in.
#[derive(Default)]
pub(crate) struct Runs {
    period: usize,
    start: usize,
    end: usize,
    /// Places before this one need not be looked at.
    resume: usize,
}

impl Runs {
    /// Nothing new is to be found at this place.
    pub(crate) fn skips(&self, place: usize) -> bool {
        place < self.resume
    }

    /// A form that repeats itself after `period` bytes matches at `place`. If it
    /// does so at many places from here on, all but the last are skipped; that
    /// one is returned.
    pub(crate) fn found(&mut self, text: &[u8], place: usize, period: usize) -> Option<usize> {
        if period == 0 {
            return None;
        }
        if period != self.period || place >= self.end {
            // Not every place: a longer run is not given up for another one.
            if place + 2 * REACH >= self.end {
                let end = place + period + agreement(text, place, place + period);
                (self.period, self.start, self.end) = (period, place, end);
            }
            return None;
        }
        // What is found at a place depends on so many bytes after it, and they
        // are the same as one period before.
        let last = self.end.checked_sub(REACH + period)?.checked_sub(place)?;
        let skipped = place + last / period * period;
        if place < self.start + period || skipped == place {
            return None;
        }
        self.resume = skipped + 1;
        Some(skipped)
    }
}

/// How many bytes are the same from two places on.
fn agreement(text: &[u8], first: usize, second: usize) -> usize {
    const BLOCK: usize = 64;
    let of = |place: usize| text.get(place..).unwrap_or_default();
    let blocks = of(first).chunks(BLOCK).zip(of(second).chunks(BLOCK));
    let same = BLOCK * blocks.take_while(|(first, second)| first == second).count();
    let rest = of(first + same).iter().zip(of(second + same));
    same + rest.take_while(|(first, second)| first == second).count()
}
