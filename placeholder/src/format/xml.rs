//! XML 1.0. A placeholder stands in text or in the quotes of an attribute;
//! both take the same character references. What is written is ASCII, so the
//! document's encoding does not matter.

use std::fmt::Write as _;

use super::{Lost, Place, Unfit, escaped, fits, utf8};
use crate::buffer::Sink;
use crate::error::Problem;
use crate::skeleton::{Cursor, Marks};

pub fn lex(text: &[u8], marks: &mut Marks) -> Lost {
    let mut c = Cursor::new(text);
    loop {
        c.take_while(|b| b != b'<' && b != b'&');
        marks.until(c.at(), &Ok(Place::Bare));
        match c.peek() {
            None => return Some(()),
            Some(b'&') => entity(&mut c, marks),
            Some(_) => markup(&mut c, marks)?,
        }
    }
}

fn entity(c: &mut Cursor, marks: &mut Marks) {
    c.bump();
    c.take_while(|b| !b.is_ascii() || b.is_ascii_alphanumeric() || b"#_.:-".contains(&b));
    marks.until(c.at(), &Err(Problem::InEscape));
}

fn markup(c: &mut Cursor, marks: &mut Marks) -> Lost {
    if c.eat(b"<!--") {
        c.skip_past(b"-->").then_some(())?;
        marks.until(c.at(), &Err(Problem::InComment));
        return Some(());
    }
    for (start, end) in [(&b"<![CDATA["[..], &b"]]>"[..]), (b"<?", b"?>")] {
        if c.eat(start) {
            c.skip_past(end).then_some(())?;
            marks.until(c.at(), &Err(Problem::Unclear));
            return Some(());
        }
    }
    let declaration = c.eat(b"<!");
    tag(c, marks, declaration)
}

/// A tag, or a document type declaration without an internal subset.
fn tag(c: &mut Cursor, marks: &mut Marks, declaration: bool) -> Lost {
    loop {
        c.take_while(|b| !matches!(b, b'>' | b'"' | b'\'' | b'['));
        marks.until(c.at(), &Err(Problem::Unclear));
        match c.bump()? {
            b'>' => return Some(()),
            b'[' => return None,
            quote if declaration => c.skip_past(&[quote]).then_some(())?,
            quote => attribute(c, marks, quote)?,
        }
    }
}

fn attribute(c: &mut Cursor, marks: &mut Marks, quote: u8) -> Lost {
    loop {
        c.take_while(|b| b != quote && !matches!(b, b'&' | b'<'));
        marks.until(c.at(), &Ok(Place::Bare));
        match c.peek()? {
            b'&' => entity(c, marks),
            b'<' => return None,
            _ => {
                c.bump();
                return Some(());
            }
        }
    }
}

/// XML 1.0, section 2.2: characters that no document can hold.
const fn outside_xml(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}

pub fn write(value: &[u8], sink: &mut dyn Sink) -> Result<(), Unfit> {
    let text = utf8(value)?;
    fits(!text.contains(outside_xml))?;
    let special =
        |c: char| matches!(c, '<' | '>' | '&' | '"' | '\'') || c.is_control() || !c.is_ascii();
    escaped(text, sink, special, |c, sink| {
        let _ = match c {
            '<' => write!(sink, "&lt;"),
            '>' => write!(sink, "&gt;"),
            '&' => write!(sink, "&amp;"),
            '"' => write!(sink, "&quot;"),
            c => write!(sink, "&#{};", u32::from(c)),
        };
    });
    Ok(())
}
