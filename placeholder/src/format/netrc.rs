//! netrc(5). Its readers disagree on quotes and escapes, so a value fits as it
//! is or not at all, and a file with either is not followed.

use super::{Lost, Place, Unfit, fits};
use crate::buffer::Sink;
use crate::error::Problem;
use crate::skeleton::{Cursor, Marks, is_space};

pub fn lex(text: &[u8], marks: &mut Marks) -> Lost {
    let mut c = Cursor::new(text);
    loop {
        c.take_while(is_space);
        if c.peek() == Some(b'#') {
            c.skip_line();
            marks.until(c.at(), &Err(Problem::InComment));
            continue;
        }
        let token = c.take_while(|b| !is_space(b));
        if token.is_empty() {
            return Some(());
        }
        if token == b"macdef" || token.iter().any(|b| matches!(b, b'"' | b'\\')) {
            return None;
        }
        marks.until(c.at(), &Ok(Place::Bare));
    }
}

pub fn write(value: &[u8], sink: &mut dyn Sink) -> Result<(), Unfit> {
    fits(value.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\')))?;
    fits(!value.starts_with(b"#"))?;
    sink.put(value);
    Ok(())
}
