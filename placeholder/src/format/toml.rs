//! TOML 1.0. A placeholder stands in one of the four kinds of strings, or bare
//! where a value may be and then becomes a whole basic string.

use std::fmt::Write as _;

use super::{Lost, Place, Unfit, escaped, fits, quoted, utf8};
use crate::buffer::Sink;
use crate::error::Problem;
use crate::skeleton::{Cursor, Found, Marks, Neighbour, after, before, is_blank, is_space};

pub fn lex(text: &[u8], marks: &mut Marks) -> Lost {
    let mut c = Cursor::new(text);
    let mut depth = 0usize;
    let mut line_start = true;
    while let Some(byte) = c.peek() {
        match byte {
            b'"' | b'\'' => {
                marks.until_with(c.at(), |mark| bare(text, mark));
                string(&mut c, marks, byte)?;
            }
            b'#' => {
                marks.until_with(c.at(), |mark| bare(text, mark));
                c.skip_line();
                marks.until(c.at(), &Err(Problem::InComment));
            }
            b'[' if line_start => {
                marks.until_with(c.at(), |mark| bare(text, mark));
                c.skip_line();
                marks.until(c.at(), &Err(Problem::InKey));
            }
            b'[' | b'{' => {
                depth += 1;
                c.bump();
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                c.bump();
            }
            _ => {
                c.bump();
            }
        }
        line_start = match byte {
            b'\n' => depth == 0,
            byte => line_start && is_blank(byte),
        };
    }
    marks.until_with(c.at(), |mark| bare(text, mark));
    Some(())
}

fn bare(text: &[u8], mark: usize) -> Found {
    use Neighbour::{Byte, None};
    let starts = matches!(before(text, mark, is_space), Byte(b'=' | b'[' | b','));
    match after(text, mark, is_blank) {
        Byte(b'=' | b'.') => Err(Problem::InKey),
        None | Byte(b'\n' | b'\r' | b'#' | b',' | b']' | b'}') if starts => Ok(Place::Bare),
        _ => Err(Problem::Unclear),
    }
}

fn string(c: &mut Cursor, marks: &mut Marks, quote: u8) -> Lost {
    let first = marks.count();
    let basic = quote == b'"';
    let here = if basic { Place::Double } else { Place::Single };
    let three = [quote; 3];
    let long = c.eat(&three);
    if !long {
        c.bump();
    }
    loop {
        c.take_while(|b| b != quote && b != b'\n' && !(basic && b == b'\\'));
        marks.until(c.at(), &Ok(here));
        match c.peek()? {
            b'\\' => {
                c.skip_escape(match c.peek_at(1) {
                    Some(b'u') => 4,
                    Some(b'U') => 8,
                    _ => 0,
                });
                marks.until(c.at(), &Err(Problem::InEscape));
            }
            b'\n' if !long => return None,
            byte if byte == quote && (!long || c.rest().starts_with(&three)) => break,
            _ => {
                c.bump();
            }
        }
    }
    if long {
        // Up to two more quotes are the end of the text, not of the string.
        c.skip(3);
        c.skip(c.rest().iter().take(2).take_while(|b| **b == quote).count());
        return Some(());
    }
    c.bump();
    c.skip_blanks();
    if matches!(c.peek(), Some(b'=' | b'.')) {
        marks.revise(first, Problem::InKey);
    }
    Some(())
}

pub fn write(place: Place, value: &[u8], sink: &mut dyn Sink) -> Result<(), Unfit> {
    let text = utf8(value)?;
    match place {
        Place::Bare => quoted(b"\"", sink, |sink| write(Place::Double, value, sink)),
        Place::Single => {
            fits(!text.contains(|c: char| c == '\'' || (c.is_ascii_control() && c != '\t')))?;
            sink.put(value);
            Ok(())
        }
        _ => {
            basic(text, sink);
            Ok(())
        }
    }
}

/// A space at the beginning would be lost after a `\` at the end of a line.
fn basic(text: &str, sink: &mut dyn Sink) {
    let rest = text.strip_prefix(' ');
    if rest.is_some() {
        sink.put(b"\\u0020");
    }
    let special = |c: char| c == '"' || c == '\\' || c.is_ascii_control();
    escaped(rest.unwrap_or(text), sink, special, |c, sink| match c {
        '"' => sink.put(b"\\\""),
        '\\' => sink.put(b"\\\\"),
        '\n' => sink.put(b"\\n"),
        '\r' => sink.put(b"\\r"),
        '\t' => sink.put(b"\\t"),
        c => {
            let _ = write!(sink, "\\u{:04X}", u32::from(c));
        }
    });
}
