//! Here-documents, POSIX.1-2024, Shell Command Language, 2.7.4.

use super::super::{Lost, Place};
use crate::error::Problem;
use crate::skeleton::{Cursor, Found, Marks, is_space};

/// One whose first line has been read.
pub struct HereDocument {
    /// The word that ends it.
    end: Box<[u8]>,
    /// `<<-`: tabs at the beginning of a line do not count.
    tabs: bool,
    /// The word is not quoted: `$`, backquote and `\` mean something.
    expands: bool,
}

impl HereDocument {
    /// Reads what comes after `<<`. Words of letters, digits and `_` only,
    /// quoted as a whole or not at all: anything else is a shift operator or
    /// too clever.
    pub fn header(c: &mut Cursor) -> Option<Self> {
        let tabs = c.eat(b"-");
        c.skip_blanks();
        let quote = c.peek().filter(|b| matches!(b, b'\'' | b'"' | b'\\'));
        if quote.is_some() {
            c.bump();
        }
        let end: Box<[u8]> = c.take_while(is_word).into();
        if let Some(quote) = quote.filter(|b| *b != b'\\') {
            c.eat(&[quote]).then_some(())?;
        }
        let ended = c.peek().is_none_or(|b| is_space(b) || b";&|<>()".contains(&b));
        (ended && !end.is_empty()).then_some(Self { end, tabs, expands: quote.is_none() })
    }

    /// Reads its lines and the word that ends it.
    pub fn body(&self, c: &mut Cursor, marks: &mut Marks) -> Lost {
        let mut followed = true;
        loop {
            c.peek()?;
            let line = self.line(*c);
            if line == &*self.end {
                c.skip_line();
                c.bump();
                return Some(());
            }
            let here = if line.iter().all(|b| is_word(*b)) {
                // With some values it could be the end. Which ones must not
                // show, so it is none.
                Err(Problem::Unclear)
            } else {
                Ok(Place::HereDocument { expands: self.expands })
            };
            if self.expands {
                expanded(c, marks, &here, &mut followed);
            } else {
                c.skip_line();
                marks.until(c.at(), &here);
            }
            c.bump();
        }
    }

    /// The line as it is compared with the end.
    fn line<'a>(&self, mut c: Cursor<'a>) -> &'a [u8] {
        if self.tabs {
            c.take_while(|b| b == b'\t');
        }
        c.skip_line()
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A line that the shell looks for expansions in. From the first one on that is
/// more than `$NAME`, `${NAME}` or a short `$(…)`, it is not followed.
fn expanded(c: &mut Cursor, marks: &mut Marks, here: &Found, followed: &mut bool) {
    loop {
        c.take_while(|b| !matches!(b, b'$' | b'`' | b'\\' | b'\n'));
        marks.until(c.at(), if *followed { here } else { &Err(Problem::Unclear) });
        match c.peek() {
            None | Some(b'\n') => return,
            // A line that goes on in the next could be the end there.
            Some(b'\\') if c.peek_at(1) == Some(b'\n') => {
                *followed = false;
                c.bump();
            }
            Some(b'\\') => {
                c.skip(2);
                marks.until(c.at(), &Err(Problem::InEscape));
            }
            Some(b'$') => {
                c.bump();
                *followed &= match c.peek() {
                    Some(b'{') => simple(c, b'}', is_word),
                    Some(b'(') => simple(c, b')', |b| !b"()'\"`\\$\n".contains(&b)),
                    _ => true,
                };
                marks.until(c.at(), &Err(Problem::Unclear));
            }
            Some(_) => {
                *followed = false;
                c.bump();
            }
        }
    }
}

/// Moves over brackets that hold only what is `inside`, if that is so.
fn simple(c: &mut Cursor, close: u8, inside: fn(u8) -> bool) -> bool {
    let mut ahead = *c;
    ahead.bump();
    ahead.take_while(inside);
    let simple = ahead.eat(&[close]);
    if simple {
        *c = ahead;
    }
    simple
}
