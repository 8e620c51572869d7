//! From a value to the forms that are looked for.

use crate::encodings::{ENCODINGS, Encoding};
use crate::tables::{Form, LONGEST, SHORTEST};
use crate::wiped::Wiped;

/// Values of fewer bytes are looked for in few forms: see [`Encoding::short`].
pub const SHORT: usize = 12;

/// Values of more bytes are looked for in fewer forms: see [`Encoding::long`].
pub const LONG: usize = 1024;

/// Bytes of a piece of a form that is longer than [`LONGEST`].
const PIECE: usize = 64;

/// So many more it may have, so that the next does not begin with white space:
/// every line that is written would end with the beginning of a form.
const MORE: usize = 32;

/// One form, not yet cut into pieces.
pub(crate) struct Whole {
    pub(crate) bytes: Wiped,
    pub(crate) key: u32,
    /// Encoders wrap lines of it.
    pub(crate) wrapped: bool,
}

impl Whole {
    /// What is looked for, when the bytes stand at `at` in the region. A form
    /// that is cut is masked piece by piece, so a part of it is masked too.
    pub(crate) fn pieces(&self, at: usize) -> impl Iterator<Item = Form> {
        let mut rest = Some(&*self.bytes);
        std::iter::from_fn(move || {
            let bytes = rest.take()?;
            let start = self.bytes.len() - bytes.len();
            let cut = if bytes.len() > LONGEST { cut(bytes) } else { bytes.len() };
            rest = bytes.get(cut..).filter(|rest| !rest.is_empty());
            Some((start, cut))
        })
        .flat_map(move |(start, len)| {
            let piece = Form::new(at + start, len as u8, self.key, start > 0);
            // A line break among the first bytes hides the piece: what stands
            // after it is a form of its own.
            let rest = (self.wrapped && len >= 2 * SHORTEST)
                .then(|| Form::new(at + start + SHORTEST, (len - SHORTEST) as u8, self.key, false));
            std::iter::once(piece).chain(rest)
        })
    }
}

/// Where to cut a form that is too long.
fn cut(bytes: &[u8]) -> usize {
    let next = bytes.iter().skip(PIECE).take(MORE);
    PIECE + next.take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// All forms of a value. None if it is shorter than [`SHORTEST`] without the
/// white space around it, which is not part of it.
pub(crate) fn of(value: &[u8], key: u32) -> Vec<Whole> {
    let trimmed = value.trim_ascii();
    if trimmed.len() < SHORTEST {
        return Vec::new();
    }
    let long = trimmed.len() > LONG;
    let mut wholes = Vec::new();
    if trimmed.len() < SHORT {
        add(&mut wholes, trimmed, key, |encoding| encoding.short);
        return wholes;
    }
    add(&mut wholes, trimmed, key, |encoding| encoding.long || !long);
    // These do not show where a line ends, or where white space begins.
    if trimmed.len() < value.len() {
        add(&mut wholes, value, key, |encoding| encoding.wrapped);
    }
    if trimmed.contains(&b'\n') && !trimmed.contains(&b'\r') {
        add(&mut wholes, &with_carriage_returns(trimmed), key, |encoding| encoding.wrapped);
    }
    for line in lines(trimmed) {
        add(&mut wholes, line, key, |encoding| encoding.lines);
    }
    wholes
}

/// Adds the forms of `value` in all encodings that `wanted` names.
fn add(wholes: &mut Vec<Whole>, value: &[u8], key: u32, wanted: impl Fn(&Encoding) -> bool) {
    let first = wholes.len();
    for encoding in ENCODINGS.iter().filter(|encoding| wanted(encoding)) {
        let kept = |byte: &u8| {
            encoding.keeps.is_some_and(|kept| byte.is_ascii_alphanumeric() || kept.contains(byte))
        };
        if value.iter().all(kept) {
            continue;
        }
        (encoding.encode)(value, &mut |bytes| {
            let known = wholes.iter().skip(first).any(|known| *known.bytes == *bytes);
            if !known && bytes.len() >= SHORTEST {
                wholes.push(Whole { bytes, key, wrapped: encoding.wrapped });
            }
        });
    }
}

fn with_carriage_returns(value: &[u8]) -> Wiped {
    let mut lines = Wiped::with_capacity(2 * value.len());
    for byte in value {
        if *byte == b'\n' {
            lines.push(b'\r');
        }
        lines.push(*byte);
    }
    lines
}

/// The lines of a value that has several, whether it holds line ends or spells
/// them `\n` (as a PEM key in an environment file does), without indentation.
/// Not the first and last of a PEM block, which are no secret.
fn lines(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b'\n')
        .flat_map(Spelled)
        .map(<[u8]>::trim_ascii)
        .filter(move |line| line.len() >= SHORTEST && line.len() < value.len())
        .filter(|line| !line.starts_with(b"-----BEGIN ") && !line.starts_with(b"-----END "))
}

/// Parts between `\n` or `\r\n` spelled out.
struct Spelled<'a>(&'a [u8]);

impl<'a> Iterator for Spelled<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.windows(2).position(|two| two == br"\n").unwrap_or(self.0.len());
        let (part, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(2..).unwrap_or_default();
        Some(part.strip_suffix(br"\r").unwrap_or(part))
    }
}
