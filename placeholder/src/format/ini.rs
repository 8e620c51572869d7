//! INI as Python's configparser reads it, with its default interpolation and
//! without; other programs that use this format agree on less. A placeholder
//! stands in a value. There is no escape, so a value fits as it is or not at
//! all.

use super::{Lost, Place, Unfit, fits, has_lone_return, is_line_end, utf8};
use crate::buffer::Sink;
use crate::error::Problem;
use crate::skeleton::{Cursor, Found, Marks};

pub fn lex(text: &[u8], marks: &mut Marks) -> Lost {
    if has_lone_return(text) {
        return None;
    }
    let mut c = Cursor::new(text);
    // How far the line of the last key is indented: a deeper line goes on with
    // its value.
    let mut key: Option<usize> = None;
    while c.peek().is_some() {
        let indent = c.take_while(|b| b.is_ascii_whitespace() && b != b'\n').len();
        let goes_on = key.is_some_and(|key| indent > key);
        match c.peek() {
            None | Some(b'\n') => {}
            Some(b'#' | b';') => line(&mut c, marks, &Err(Problem::InComment)),
            Some(_) if goes_on => line(&mut c, marks, &Ok(Place::Bare)),
            Some(b'[') => {
                key = None;
                line(&mut c, marks, &Err(Problem::InKey));
            }
            Some(_) => {
                key = Some(indent);
                c.take_while(|b| !matches!(b, b'=' | b':' | b'\n'));
                marks.until(c.at(), &Err(Problem::InKey));
                line(&mut c, marks, &Ok(Place::Bare));
            }
        }
        c.bump();
    }
    Some(())
}

fn line(c: &mut Cursor, marks: &mut Marks, here: &Found) {
    c.skip_line();
    marks.until(c.at(), here);
}

pub fn write(value: &[u8], sink: &mut dyn Sink) -> Result<(), Unfit> {
    let text = utf8(value)?;
    let bad = |c: char| c.is_control() || is_line_end(c) || c == '%';
    fits(!text.contains(bad))?;
    fits(text.trim() == text)?;
    // Readers with comments after values; those that strip quotes; `\` at the
    // end of a line; the extended interpolation of configparser.
    fits(!text.starts_with(['"', '\'']) && !text.ends_with(['\\', '$']))?;
    fits(!text.split(char::is_whitespace).any(|word| word.starts_with(['#', ';'])))?;
    fits(!text.contains("${") && !text.contains("$$"))?;
    sink.put(value);
    Ok(())
}
