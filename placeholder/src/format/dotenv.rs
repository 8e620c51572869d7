//! Files of `KEY=value` lines, as three readers take them alike: python-dotenv,
//! Node.js (`--env-file`, `util.parseEnv`) and `.` of a POSIX shell. They
//! disagree on every escape, and python-dotenv expands `${…}` in any quotes, so
//! a value is written without an escape or not at all.

use super::{Lost, Place, Unfit, fits, has_lone_return, quoted, utf8};
use crate::buffer::Sink;
use crate::error::Problem;
use crate::skeleton::{Cursor, Found, Marks, is_blank};

pub fn lex(text: &[u8], marks: &mut Marks) -> Lost {
    if has_lone_return(text) {
        return None;
    }
    let mut c = Cursor::new(text);
    while c.peek().is_some() {
        c.skip_blanks();
        if c.peek() == Some(b'#') {
            line(&mut c, marks, &Err(Problem::InComment));
        } else {
            let key = c.take_while(|b| b != b'=' && b != b'\n');
            marks.until(c.at(), &Err(Problem::InKey));
            if c.peek() == Some(b'=') {
                is_key(key).then_some(())?;
                value(&mut c, marks)?;
            } else {
                key.trim_ascii().is_empty().then_some(())?;
            }
        }
        c.bump();
    }
    Some(())
}

/// To some readers a line without such a key and a `=` is none, to others it
/// is, and what is quoted in it may go on over the next lines.
fn is_key(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"export ").unwrap_or(text).trim_ascii();
    text.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn line(c: &mut Cursor, marks: &mut Marks, here: &Found) {
    c.skip_line();
    marks.until(c.at(), here);
}

fn value(c: &mut Cursor, marks: &mut Marks) -> Lost {
    c.bump();
    c.take_while(|b| b == b' ');
    match c.peek() {
        // Node.js takes it as part of the value.
        Some(b'\t') => None,
        Some(quote @ (b'"' | b'\'')) => {
            let first = marks.count();
            let followed = in_quotes(c, marks, quote);
            if followed.is_none() {
                marks.revise(first, Problem::Unclear);
            }
            followed
        }
        _ => bare(c, marks),
    }
}

fn in_quotes(c: &mut Cursor, marks: &mut Marks, quote: u8) -> Lost {
    c.bump();
    let here = Ok(if quote == b'"' { Place::Double } else { Place::Single });
    loop {
        c.take_while(|b| b != quote && b != b'\\');
        marks.until(c.at(), &here);
        match c.bump()? {
            b'\\' => match c.peek()? {
                // A quote to some readers, the end to others.
                b'"' | b'\'' => return None,
                _ => {
                    c.bump();
                    marks.until(c.at(), &Err(Problem::InEscape));
                }
            },
            _ => break,
        }
    }
    c.take_while(|b| is_blank(b) || b == b'\r');
    match c.peek() {
        None | Some(b'\n') => Some(()),
        Some(b'#') => {
            line(c, marks, &Err(Problem::InComment));
            Some(())
        }
        // A shell goes on with the value, the others do not.
        Some(_) => None,
    }
}

fn bare(c: &mut Cursor, marks: &mut Marks) -> Lost {
    let text = c.take_while(|b| b != b'\n' && b != b'#');
    if text.iter().any(|b| matches!(b, b'\'' | b'"' | b'`' | b'\\')) {
        return None;
    }
    let value = text.trim_ascii_end();
    let (_, blanks) = text.split_at(value.len());
    // To some readers a `#` without a blank begins a comment, and to Node.js a
    // tab at the end belongs to the value.
    let unclear = (blanks.is_empty() && c.peek() == Some(b'#')) || blanks.contains(&b'\t');
    let here = match value.len() {
        _ if unclear => Err(Problem::Unclear),
        1 => Ok(Place::Bare),
        _ => Ok(Place::Inside),
    };
    marks.until(c.at(), &here);
    line(c, marks, &Err(Problem::InComment));
    Some(())
}

/// Means the same everywhere without quotes.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'.' | b'/' | b':' | b'@' | b'%' | b'+' | b',' | b'=' | b'-')
}

pub fn write(place: Place, value: &[u8], sink: &mut dyn Sink) -> Result<(), Unfit> {
    let text = utf8(value)?;
    let single = !text.contains('\'') && !text.contains("\\\\") && !text.ends_with(['\\', '$']);
    let double = !text.contains(['"', '\\', '$', '`']);
    match place {
        Place::Bare if !value.iter().all(|b| is_plain(*b)) => {
            let (quote, place) = match single {
                true => (b"'", Place::Single),
                false => (b"\"", Place::Double),
            };
            return quoted(quote, sink, |sink| write(place, value, sink));
        }
        Place::Single => fits(single)?,
        Place::Double => fits(double)?,
        _ => fits(value.iter().all(|b| is_plain(*b)))?,
    }
    fits(!text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'))?;
    fits(!text.contains("${"))?;
    sink.put(value);
    Ok(())
}
