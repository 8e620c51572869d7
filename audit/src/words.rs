//! Looking for a byte in steps of a word: eight bytes at once, and no `unsafe`.
//!
//! The tests for a zero byte and for a byte below a limit are the classic
//! ones ("Bit Twiddling Hacks", Sean Eron Anderson). They set the high bit of
//! each byte that is meant, and perhaps of bytes after it: a borrow goes
//! upwards only. So the lowest bit that is set is always right.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Place of the first newline.
#[must_use]
#[inline]
pub fn newline(bytes: &[u8]) -> Option<usize> {
    first(bytes, |word| zero(word ^ (ONES * b'\n' as u64)))
}

/// Place of the first quote, backslash or control character.
#[must_use]
#[inline]
pub fn special(bytes: &[u8]) -> Option<usize> {
    // With this bit turned over, the quote stands right above the control
    // characters, which keep their places among themselves.
    let below = |word: u64| {
        let turned = word ^ (ONES * 2);
        turned.wrapping_sub(ONES * 0x21) & !turned & HIGH
    };
    first(bytes, |word| below(word) | zero(word ^ (ONES * b'\\' as u64)))
}

/// The high bit of the lowest byte that is zero, and of none below it.
fn zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

#[inline]
fn first(bytes: &[u8], marks: impl Fn(u64) -> u64) -> Option<usize> {
    let place = |found: u64| found.trailing_zeros() as usize / 8;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(at + place(found));
        }
        at += 8;
    }
    let found = marks(last(rest));
    (found != 0).then(|| at + place(found))
}

/// The word of less than eight bytes. What fills it up is nothing that anybody
/// looks for.
#[inline(never)]
fn last(rest: &[u8]) -> u64 {
    let mut word = [0xff; 8];
    word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte value, at every place, behind every other value.
    #[test]
    fn the_first_one_is_found() {
        let is_special = |b: &u8| matches!(b, b'"' | b'\\' | 0..0x20);
        let is_newline = |b: &u8| *b == b'\n';
        for before in 0..=255 {
            for byte in 0..=255 {
                for at in [0, 3, 7, 8, 12] {
                    let mut bytes = vec![before; at];
                    bytes.extend([byte, b'"', b'\n', b'\\']);
                    assert_eq!(special(&bytes), bytes.iter().position(is_special), "{bytes:?}");
                    assert_eq!(newline(&bytes), bytes.iter().position(is_newline), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn at_every_place_of_every_length() {
        for length in 0..40 {
            for at in 0..=length {
                let mut bytes = vec![0xff; length];
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = b'\n');
                let found = (at < length).then_some(at);
                assert_eq!((newline(&bytes), special(&bytes)), (found, found));
            }
        }
    }
}
