//! What a value looks like in each kind of YAML scalar.

use std::fmt::Write as _;
use std::ops::Range;

use super::super::{Place, Unfit, escaped, fits, is_line_end, quoted, utf8};
use crate::buffer::Sink;
use crate::error::Problem;
use crate::skeleton::{Marks, is_space};

/// Plain words that are no strings in YAML 1.1 or 1.2.
const WORDS: &[&[u8]] = &[b"null", b"true", b"false", b"yes", b"no", b"on", b"off", b"y", b"n"];

/// Says where the placeholders in the plain scalar `range` stand.
pub fn mark_plain(text: &[u8], range: Range<usize>, marks: &mut Marks) {
    let scalar = text.get(range.clone()).unwrap_or_default();
    let length = scalar.iter().rposition(|b| !is_space(*b)).map_or(0, |n| n + 1);
    let before = marks.next().and_then(|mark| text.get(range.start..mark)).unwrap_or_default();
    let here = match length {
        1 => Ok(Place::Bare),
        _ if is_text(before) => Ok(Place::Inside),
        _ => Err(Problem::Unclear),
    };
    marks.until(range.end, &here);
}

/// A plain scalar with this beginning is text, whatever follows: it is no
/// number, date or special value (YAML 1.1 types, YAML 1.2.2 section 10.3),
/// nor the beginning of one.
fn is_text(beginning: &[u8]) -> bool {
    let starts_word = |word: &&[u8]| {
        word.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning))
    };
    beginning.first().is_some_and(|b| !b.is_ascii_digit() && !b"+-.~<=".contains(b))
        && !WORDS.iter().any(starts_word)
}

pub fn write(place: Place, value: &[u8], sink: &mut dyn Sink) -> Result<(), Unfit> {
    let text = utf8(value)?;
    match place {
        Place::Bare => return quoted(b"\"", sink, |sink| write(Place::Double, value, sink)),
        Place::Double => {
            double(text, sink);
            return Ok(());
        }
        Place::Single => {
            // Next to a line end, spaces would be lost.
            fits(is_one_line(text) && text.trim() == text)?;
            escaped(text, sink, |c| c == '\'', |_, sink| sink.put(b"''"));
            return Ok(());
        }
        Place::Block => fits(is_one_line(text) && text.trim() == text)?,
        _ => {
            let inside = |b: &u8| b.is_ascii_graphic() && !b":#,[]{}?".contains(b);
            fits(value.iter().all(inside))?;
        }
    }
    sink.put(value);
    Ok(())
}

fn is_one_line(text: &str) -> bool {
    !text.contains(|c| is_unprintable(c) || is_line_end(c))
}

/// YAML 1.1, section 5.1; U+FEFF is a mark there.
fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn double(text: &str, sink: &mut dyn Sink) {
    // A space at either end could stand next to a line end.
    let rest = text.strip_prefix(' ');
    if rest.is_some() {
        sink.put(b"\\x20");
    }
    let text = rest.unwrap_or(text);
    let rest = text.strip_suffix(' ');
    let special = |c| matches!(c, '"' | '\\') || is_unprintable(c) || is_line_end(c);
    escaped(rest.unwrap_or(text), sink, special, |c, sink| {
        let _ = match c {
            '"' => sink.write_str("\\\""),
            '\\' => sink.write_str("\\\\"),
            '\n' => sink.write_str("\\n"),
            '\r' => sink.write_str("\\r"),
            '\t' => sink.write_str("\\t"),
            c if u32::from(c) < 0x100 => write!(sink, "\\x{:02x}", u32::from(c)),
            c => write!(sink, "\\u{:04x}", u32::from(c)),
        };
    });
    if rest.is_some() {
        sink.put(b"\\x20");
    }
}
