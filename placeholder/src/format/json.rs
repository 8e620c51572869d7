//! JSON, RFC 8259. A placeholder stands in a string, or bare where a value may
//! be and then becomes a whole string. Comments are recognised because many
//! programs accept them in `.json`.
//!
//! A string ends with its line in any case. That is no loss in JSON, where a
//! line end in a string is an error, and lets the filter be used in programs
//! whose string literals are those of JSON.

use std::fmt::Write as _;

use super::{Lost, Place, Unfit, escaped, quoted, utf8};
use crate::buffer::Sink;
use crate::error::Problem;
use crate::skeleton::{Cursor, Found, Marks, Neighbour, after, before, is_space};

pub fn lex(text: &[u8], marks: &mut Marks) -> Lost {
    let mut c = Cursor::new(text);
    while let Some(byte) = c.peek() {
        let comment = byte == b'/' && matches!(c.peek_at(1), Some(b'/' | b'*'));
        if byte != b'"' && !comment {
            c.bump();
            continue;
        }
        marks.until_with(c.at(), |mark| bare(text, mark));
        if comment {
            if c.eat(b"/*") {
                c.skip_past(b"*/").then_some(())?;
            } else {
                c.skip_line();
            }
            marks.until(c.at(), &Err(Problem::InComment));
        } else {
            string(text, &mut c, marks);
        }
    }
    marks.until_with(c.at(), |mark| bare(text, mark));
    Some(())
}

fn bare(text: &[u8], mark: usize) -> Found {
    use Neighbour::{Byte, None};
    let starts =
        matches!(before(text, mark, is_space), None | Byte(b'[' | b',' | b':' | b'=' | b'('));
    match after(text, mark, is_space) {
        Byte(b':') => Err(Problem::InKey),
        None | Byte(b',' | b']' | b'}' | b';' | b')') if starts => Ok(Place::Bare),
        _ => Err(Problem::Unclear),
    }
}

fn string(text: &[u8], c: &mut Cursor, marks: &mut Marks) {
    let first = marks.count();
    c.bump();
    loop {
        c.take_while(|b| !matches!(b, b'"' | b'\\' | b'\n'));
        marks.until(c.at(), &Ok(Place::Double));
        match c.peek() {
            Some(b'\\') => {
                c.skip_escape(if c.peek_at(1) == Some(b'u') { 4 } else { 0 });
                marks.until(c.at(), &Err(Problem::InEscape));
            }
            Some(b'"') => {
                if after(text, c.at(), is_space) == Neighbour::Byte(b':') {
                    marks.revise(first, Problem::InKey);
                }
                c.bump();
                return;
            }
            _ => return marks.revise(first, Problem::Unclear),
        }
    }
}

/// The inside of a string, or with `bare` a whole one.
pub fn write(value: &[u8], bare: bool, sink: &mut dyn Sink) -> Result<(), Unfit> {
    let text = utf8(value)?;
    if bare {
        return quoted(b"\"", sink, |sink| write(value, false, sink));
    }
    // The separators are line ends in older JavaScript.
    let special = |c| matches!(c, '"' | '\\' | '\0'..='\x1f' | '\x7f' | '\u{2028}' | '\u{2029}');
    escaped(text, sink, special, |c, sink| match c {
        '"' => sink.put(b"\\\""),
        '\\' => sink.put(b"\\\\"),
        '\n' => sink.put(b"\\n"),
        '\r' => sink.put(b"\\r"),
        '\t' => sink.put(b"\\t"),
        c => {
            let _ = write!(sink, "\\u{:04x}", u32::from(c));
        }
    });
    Ok(())
}
