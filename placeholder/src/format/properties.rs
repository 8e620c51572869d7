//! java.util.Properties, as its `load` describes the format. A placeholder
//! stands in a value. What is written is ASCII.

use std::fmt::Write as _;

use super::{Lost, Place, Unfit, escaped, utf8};
use crate::buffer::Sink;
use crate::error::Problem;
use crate::skeleton::{Cursor, Found, Marks};

/// White space of this format within a line.
const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\x0c')
}

const fn is_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

pub fn lex(text: &[u8], marks: &mut Marks) -> Lost {
    let mut c = Cursor::new(text);
    while c.peek().is_some() {
        c.take_while(|b| is_white(b) || is_end(b));
        if matches!(c.peek(), Some(b'#' | b'!')) {
            c.take_while(|b| !is_end(b));
            marks.until(c.at(), &Err(Problem::InComment));
            continue;
        }
        until(&mut c, marks, |b| is_white(b) || matches!(b, b'=' | b':'), &Err(Problem::InKey));
        until(&mut c, marks, |_| false, &Ok(Place::Bare));
    }
    Some(())
}

/// Moves to the first `stop` of this logical line, or to its end.
fn until(c: &mut Cursor, marks: &mut Marks, stop: fn(u8) -> bool, here: &Found) {
    loop {
        c.take_while(|b| b != b'\\' && !is_end(b) && !stop(b));
        marks.until(c.at(), here);
        if c.peek() != Some(b'\\') {
            return;
        }
        if c.eat(b"\\\r\n") || c.eat(b"\\\n") || c.eat(b"\\\r") {
            c.take_while(is_white);
        } else {
            c.skip_escape(if c.peek_at(1) == Some(b'u') { 4 } else { 0 });
            marks.until(c.at(), &Err(Problem::InEscape));
        }
    }
}

pub fn write(value: &[u8], sink: &mut dyn Sink) -> Result<(), Unfit> {
    let special = |c: char| " =:#!\\".contains(c) || c.is_ascii_control() || !c.is_ascii();
    escaped(utf8(value)?, sink, special, |c, sink| match c {
        '\n' => sink.put(b"\\n"),
        '\r' => sink.put(b"\\r"),
        '\t' => sink.put(b"\\t"),
        c if c.is_ascii() && !c.is_ascii_control() => {
            let _ = write!(sink, "\\{c}");
        }
        c => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(sink, "\\u{unit:04X}");
            }
        }
    });
    Ok(())
}
