//! Scripts for a POSIX shell or bash. A placeholder stands in single quotes, in
//! double quotes, in a here-document, or bare as a word or part of one.
//! Source: POSIX.1-2024, Shell Command Language, 2.2, 2.3, 2.6, 2.7.4.
//!
//! The lexer follows what decides about quotes: comments, quotes, `$(…)`,
//! `${…}`, `$((…))`, backquotes, here-documents. No placeholder may stand in
//! `${…}`, `$((…))` or backquotes, and where shells differ on the quotes in
//! them, it gives up.

use super::{Lost, Place, Unfit, fits, prefixed, quoted};
use crate::buffer::Sink;
use crate::error::Problem;
use crate::skeleton::{Cursor, Found, Marks, is_blank, is_space};

use here_document::HereDocument;

mod here_document;

/// Levels of nesting that are followed.
const MAX_DEPTH: usize = 64;

/// Here-documents that begin in one line.
const MAX_PENDING: usize = 16;

/// What the lexer is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    /// Commands, with this many `(` open.
    Commands(usize),
    /// Double quotes.
    Double,
    /// `${…}`.
    Parameter,
    /// `$((…))`, with this many `(` open.
    Arithmetic(usize),
}

struct Lexer<'a, 'm, 'k> {
    c: Cursor<'a>,
    marks: &'m mut Marks<'k>,
    stack: Vec<In>,
    /// Here-documents whose lines begin after this one.
    pending: Vec<HereDocument>,
}

pub fn lex(text: &[u8], marks: &mut Marks) -> Lost {
    let stack = vec![In::Commands(0)];
    let mut lexer = Lexer { c: Cursor::new(text), marks, stack, pending: Vec::new() };
    let followed = lexer.follow(text);
    if lexer.c.peek().is_none() && (followed.is_none() || lexer.is_open()) {
        // Something has no end, so quotes were misread somewhere before.
        lexer.marks.revise(0, Problem::Unclear);
    }
    followed
}

impl Lexer<'_, '_, '_> {
    fn follow(&mut self, text: &[u8]) -> Lost {
        let mut word_start = true;
        while let Some(byte) = self.c.peek() {
            let here = self.here();
            let continued = self.c.rest().starts_with(b"\\\n");
            match *self.stack.last()? {
                In::Commands(open) => self.commands(byte, open, word_start)?,
                In::Double => self.double(byte)?,
                In::Parameter => self.parameter(byte)?,
                In::Arithmetic(open) => self.arithmetic(byte, open)?,
            }
            self.marks.until(self.c.at(), &here);
            word_start = match byte {
                b'\\' => continued && word_start,
                b'$' => text.get(self.c.at() - 1) == Some(&b'('),
                byte => is_space(byte) || b";&|()<>".contains(&byte),
            };
        }
        Some(())
    }

    fn is_open(&self) -> bool {
        self.stack.len() > 1 || !self.pending.is_empty()
    }

    /// What a placeholder found now stands in.
    fn here(&self) -> Found {
        if self.stack.iter().any(|level| matches!(level, In::Parameter | In::Arithmetic(_))) {
            return Err(Problem::Unclear);
        }
        Ok(if self.stack.last() == Some(&In::Double) { Place::Double } else { Place::Bare })
    }

    fn push(&mut self, level: In) -> Lost {
        self.stack.push(level);
        (self.stack.len() <= MAX_DEPTH).then_some(())
    }

    fn commands(&mut self, byte: u8, open: usize, word_start: bool) -> Lost {
        let inner = self.stack.len() > 1;
        match byte {
            b'#' if word_start => {
                self.c.skip_line();
                self.marks.until(self.c.at(), &Err(Problem::InComment));
            }
            b'"' => {
                self.c.bump();
                self.push(In::Double)?;
            }
            b'\'' => self.single()?,
            b'<' if self.c.eat(b"<<<") => {}
            b'<' if self.c.eat(b"<<") => {
                let document = HereDocument::header(&mut self.c)?;
                let named_by_value = self.marks.next().is_some_and(|mark| mark < self.c.at());
                if named_by_value || self.pending.len() == MAX_PENDING {
                    return None;
                }
                self.pending.push(document);
            }
            b'\n' => {
                self.c.bump();
                for document in std::mem::take(&mut self.pending) {
                    document.body(&mut self.c, self.marks)?;
                }
            }
            b'(' => {
                self.c.bump();
                *self.stack.last_mut()? = In::Commands(open + 1);
            }
            b')' => {
                self.c.bump();
                if open == 0 && inner {
                    self.stack.pop();
                } else {
                    // `case` patterns close what nothing opened.
                    *self.stack.last_mut()? = In::Commands(open.saturating_sub(1));
                }
            }
            // Its patterns would look like the end of `$(…)`.
            b'c' if word_start && inner && is_case(self.c.rest()) => return None,
            byte => self.common(byte)?,
        }
        Some(())
    }

    fn double(&mut self, byte: u8) -> Lost {
        if byte == b'"' {
            self.c.bump();
            self.stack.pop();
            return Some(());
        }
        self.common(byte)
    }

    fn parameter(&mut self, byte: u8) -> Lost {
        match byte {
            b'}' => {
                self.c.bump();
                self.stack.pop();
                Some(())
            }
            b'"' => {
                self.c.bump();
                self.push(In::Double)
            }
            // In double quotes some shells take it as a quote, others do not.
            b'\'' if self.stack.contains(&In::Double) => None,
            b'\'' => self.single(),
            byte => self.common(byte),
        }
    }

    fn arithmetic(&mut self, byte: u8, open: usize) -> Lost {
        let left = match byte {
            // It may be `$( (…) )` after all.
            b'\n' | b'\'' | b'"' => return None,
            b'(' => open + 1,
            b')' => open.checked_sub(1)?,
            byte => return self.common(byte),
        };
        self.c.bump();
        *self.stack.last_mut()? = In::Arithmetic(left);
        if left == 0 {
            self.stack.pop();
        }
        Some(())
    }

    /// What means the same in all of them: backslash, backquotes, `$`.
    fn common(&mut self, byte: u8) -> Lost {
        match byte {
            b'\\' => {
                self.c.skip(2);
                self.marks.until(self.c.at(), &Err(Problem::InEscape));
            }
            b'`' => self.backquotes()?,
            b'$' if self.c.eat(b"$((") => self.push(In::Arithmetic(2))?,
            b'$' if self.c.eat(b"$(") => self.push(In::Commands(0))?,
            b'$' if self.c.eat(b"${") => self.push(In::Parameter)?,
            b'$' if self.stack.last() != Some(&In::Double) && self.c.eat(b"$'") => {
                self.escapes_until(b'\'')?;
            }
            _ => {
                self.c.bump();
            }
        }
        Some(())
    }

    fn single(&mut self) -> Lost {
        let here = self.here().map(|_| Place::Single);
        self.c.bump();
        self.c.take_while(|b| b != b'\'');
        self.marks.until(self.c.at(), &here);
        self.c.bump().map(|_| ())
    }

    /// Quotes inside may mean anything, but none can hide the end.
    fn backquotes(&mut self) -> Lost {
        self.c.bump();
        self.escapes_until(b'`')
    }

    fn escapes_until(&mut self, end: u8) -> Lost {
        loop {
            self.c.take_while(|b| b != end && b != b'\\');
            let closed = self.c.bump()? == end;
            if !closed {
                self.c.bump();
            }
            self.marks.until(self.c.at(), &Err(Problem::Unclear));
            if closed {
                return Some(());
            }
        }
    }
}

fn is_case(rest: &[u8]) -> bool {
    rest.strip_prefix(b"case").and_then(<[u8]>::first).is_some_and(|b| is_blank(*b))
}

pub fn write(place: Place, value: &[u8], sink: &mut dyn Sink) -> Result<(), Unfit> {
    fits(!value.contains(&0))?;
    match place {
        Place::Single => {
            for (n, part) in value.split(|b| *b == b'\'').enumerate() {
                if n > 0 {
                    sink.put(b"'\\''");
                }
                sink.put(part);
            }
            Ok(())
        }
        Place::Double => {
            prefixed(value, sink, b"\\", |b| matches!(b, b'$' | b'`' | b'"' | b'\\'));
            Ok(())
        }
        Place::HereDocument { expands } => {
            // dash 0.5.12 loses a byte above 0x7f where what stands before it
            // in the line is how the end begins.
            fits(value.iter().all(|b| *b == b' ' || b.is_ascii_graphic()))?;
            prefixed(value, sink, b"\\", |b| expands && matches!(b, b'$' | b'`' | b'\\'));
            Ok(())
        }
        _ => quoted(b"'", sink, |sink| write(Place::Single, value, sink)),
    }
}
