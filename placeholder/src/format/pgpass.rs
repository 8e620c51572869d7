//! libpq's password file, <https://www.postgresql.org/docs/current/libpq-pgpass.html>:
//! `host:port:database:user:password`, with `\` before `:` and `\`.

use super::{Lost, Place, Unfit, fits, prefixed};
use crate::buffer::Sink;
use crate::error::Problem;
use crate::skeleton::{Cursor, Marks};

pub fn lex(text: &[u8], marks: &mut Marks) -> Lost {
    let mut c = Cursor::new(text);
    while let Some(first) = c.peek() {
        if first == b'#' {
            c.skip_line();
            marks.until(c.at(), &Err(Problem::InComment));
        } else {
            // A value that begins with `#` would make a comment of the line.
            marks.until(c.at() + 1, &Err(Problem::Unclear));
            line(&mut c, marks);
        }
        c.bump();
    }
    Some(())
}

fn line(c: &mut Cursor, marks: &mut Marks) {
    loop {
        c.take_while(|b| b != b'\\' && b != b'\n');
        marks.until(c.at(), &Ok(Place::Bare));
        if c.peek() != Some(b'\\') {
            return;
        }
        c.skip(if c.peek_at(1) == Some(b'\n') { 1 } else { 2 });
        marks.until(c.at(), &Err(Problem::InEscape));
    }
}

pub fn write(value: &[u8], sink: &mut dyn Sink) -> Result<(), Unfit> {
    // A lone `*` matches everything.
    fits(!value.iter().any(u8::is_ascii_control) && value != b"*")?;
    prefixed(value, sink, b"\\", |b| matches!(b, b':' | b'\\'));
    Ok(())
}
