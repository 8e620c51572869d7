//! YAML 1.1 and 1.2, where they and their readers agree. A placeholder stands
//! in quotes, in a block scalar, inside a plain scalar, or is a whole plain
//! scalar and then becomes one in double quotes, so that no value turns into a
//! number, a date or null.
//!
//! The lexer follows what decides about that: indentation, block scalars,
//! quotes, plain scalars over several lines, flow collections, comments.
//! Anything that it does not know (`? ` keys, tabs as indentation, line ends
//! that not all readers know) makes it give up.
//! Source: YAML 1.2.2, chapters 6 to 9; YAML 1.1, 5.4.

use super::{Lost, Place, has_lone_return};
use crate::error::Problem;
use crate::skeleton::{Cursor, Marks, is_blank, is_space};

mod flow;
mod scalar;

pub use scalar::write;

/// The column of the block collection that a node is in; none at the top.
type Parent = Option<usize>;

const fn is_deeper(indent: usize, parent: Parent) -> bool {
    match parent {
        Some(parent) => indent > parent,
        None => true,
    }
}

struct Lexer<'a, 'm, 'k> {
    c: Cursor<'a>,
    text: &'a [u8],
    marks: &'m mut Marks<'k>,
    /// Where the line begins.
    line: usize,
    /// The last line ended in a plain scalar in this collection; a deeper line
    /// goes on with it.
    plain: Option<Parent>,
}

pub fn lex(text: &[u8], marks: &mut Marks) -> Lost {
    if has_other_line_ends(text) {
        return None;
    }
    let mut lexer = Lexer { c: Cursor::new(text), text, marks, line: 0, plain: None };
    lexer.c.eat("\u{feff}".as_bytes());
    while lexer.c.peek().is_some() {
        lexer.line()?;
    }
    Some(())
}

/// NEL, LS and PS are line ends in YAML 1.1 only.
fn has_other_line_ends(text: &[u8]) -> bool {
    has_lone_return(text)
        || text.windows(2).any(|w| w == "\u{85}".as_bytes())
        || text.windows(3).any(|w| w == "\u{2028}".as_bytes() || w == "\u{2029}".as_bytes())
}

impl Lexer<'_, '_, '_> {
    /// One line, and what it begins: quotes, a block scalar, a collection.
    fn line(&mut self) -> Lost {
        self.line = self.c.at();
        let indent = self.c.take_while(|b| b == b' ').len();
        if is_blank_line(self.c) {
            self.c.skip_line();
            self.c.bump();
            return Some(());
        }
        match self.c.peek()? {
            b'\t' => return None,
            b'#' => {
                self.plain = None;
                return self.end_of_line();
            }
            _ => {}
        }
        if indent == 0 && is_marker(self.c.rest()) {
            self.c.skip(3);
            self.c.skip_blanks();
            self.plain = None;
            return self.node(None, false);
        }
        if indent == 0 && self.c.peek() == Some(b'%') {
            self.c.skip_line();
            self.marks.until(self.c.at(), &Err(Problem::Unclear));
            return Some(());
        }
        if let Some(parent) = self.plain.take()
            && is_deeper(indent, parent)
        {
            return self.more_plain(parent);
        }
        let mut parent = None;
        while self.c.peek() == Some(b'-') && self.is_blank_at(1) {
            parent = Some(self.column());
            self.c.bump();
            self.c.skip_blanks();
        }
        self.node(parent, true)
    }

    /// A node in the collection at `parent`, or a key and its value. Where it
    /// is not followed to its end, nothing is known of its beginning either.
    fn node(&mut self, parent: Parent, may_be_key: bool) -> Lost {
        let first = self.marks.count();
        let followed = self.any_node(parent, may_be_key);
        if followed.is_none() {
            self.marks.revise(first, Problem::Unclear);
        }
        followed
    }

    fn any_node(&mut self, parent: Parent, may_be_key: bool) -> Lost {
        let column = self.column();
        while matches!(self.c.peek(), Some(b'&' | b'!')) {
            self.word()?;
        }
        let first = self.marks.count();
        match self.c.peek() {
            None | Some(b'\n' | b'\r' | b'#') => return self.end_of_line(),
            Some(b'|' | b'>') => return self.block(parent),
            Some(b'[' | b'{') => {
                self.flow()?;
                return self.end_of_line();
            }
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote)?,
            Some(b'*') => self.word()?,
            Some(b'@' | b'`' | b'%' | b',' | b']' | b'}') => return None,
            Some(b'-' | b'?' | b':') if self.is_blank_at(1) => return None,
            Some(_) => return self.plain(parent, may_be_key, column),
        }
        self.c.skip_blanks();
        if self.c.peek() == Some(b':') && self.is_blank_at(1) {
            self.marks.revise(first, Problem::InKey);
            return self.value(may_be_key, column);
        }
        self.end_of_line()
    }

    /// What comes after a key in this column.
    fn value(&mut self, may_be_key: bool, column: usize) -> Lost {
        may_be_key.then_some(())?;
        self.c.bump();
        self.c.skip_blanks();
        self.node(Some(column), false)
    }

    /// A plain scalar that begins here, or a plain key.
    fn plain(&mut self, parent: Parent, may_be_key: bool, column: usize) -> Lost {
        let (first, start) = (self.marks.count(), self.c.at());
        let is_key = self.plain_text();
        if is_key {
            self.marks.until(self.c.at(), &Err(Problem::InKey));
            return self.value(may_be_key, column);
        }
        scalar::mark_plain(self.text, start..self.c.at(), self.marks);
        if self.c.peek() == Some(b'#') {
            return self.end_of_line();
        }
        self.c.bump();
        self.plain = Some(parent);
        if self.goes_on(parent) {
            self.marks.revise(first, Problem::Unclear);
        }
        Some(())
    }

    /// Moves over plain text of this line. True at the `:` after a key.
    fn plain_text(&mut self) -> bool {
        loop {
            self.c.take_while(|b| !matches!(b, b':' | b'#' | b'\n'));
            let after_blank = self.before(self.c.at()).is_some_and(is_blank);
            match self.c.peek() {
                Some(b':') if self.is_blank_at(1) => return true,
                Some(b'#') if after_blank => return false,
                None | Some(b'\n') => return false,
                _ => {
                    self.c.bump();
                }
            }
        }
    }

    /// The next line that is not blank goes on with a plain scalar.
    fn goes_on(&self, parent: Parent) -> bool {
        let mut ahead = self.c;
        ahead.take_while(is_space);
        let indent = ahead.at() - self.text.get(..ahead.at()).map_or(0, start_of_line);
        ahead.peek().is_some_and(|b| b != b'#')
            && is_deeper(indent, parent)
            && !(indent == 0 && is_marker(ahead.rest()))
    }

    /// A line that goes on with a plain scalar.
    fn more_plain(&mut self, parent: Parent) -> Lost {
        if self.plain_text() {
            return None;
        }
        self.marks.until(self.c.at(), &Err(Problem::Unclear));
        if self.c.peek() == Some(b'#') {
            return self.end_of_line();
        }
        self.c.bump();
        self.plain = Some(parent);
        Some(())
    }

    /// A scalar in quotes, over as many lines as it has.
    fn quoted(&mut self, quote: u8) -> Lost {
        self.c.bump();
        let double = quote == b'"';
        let here = Ok(if double { Place::Double } else { Place::Single });
        // At the left margin a value could be the end of the document.
        let mut margin = false;
        loop {
            self.c.take_while(|b| b != quote && b != b'\n' && !(double && b == b'\\'));
            self.marks.until(self.c.at(), if margin { &Err(Problem::Unclear) } else { &here });
            match self.c.peek()? {
                b'\n' => {
                    self.c.bump();
                    margin = !self.is_blank_at(0);
                }
                b'\\' => {
                    self.c.skip_escape(match self.c.peek_at(1) {
                        Some(b'x') => 2,
                        Some(b'u') => 4,
                        Some(b'U') => 8,
                        // The line end is looked at above.
                        Some(b'\n') => {
                            self.c.bump();
                            continue;
                        }
                        _ => 0,
                    });
                    self.marks.until(self.c.at(), &Err(Problem::InEscape));
                }
                _ if !double && self.c.peek_at(1) == Some(quote) => self.c.skip(2),
                _ => {
                    self.c.bump();
                    return Some(());
                }
            }
        }
    }

    /// `|` or `>`, its header, and all lines as deep as the first.
    fn block(&mut self, parent: Parent) -> Lost {
        self.c.bump();
        let header = self.c.take_while(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-'));
        let mut depth = header
            .iter()
            .find(|b| b.is_ascii_digit())
            .map(|b| parent.unwrap_or(0) + usize::from(b - b'0'));
        self.c.skip_blanks();
        self.end_of_line()?;
        while self.c.peek().is_some() {
            let mut ahead = self.c;
            let indent = ahead.take_while(|b| b == b' ').len();
            if !is_blank_line(ahead) {
                if !is_deeper(indent, parent) || (indent == 0 && is_marker(ahead.rest())) {
                    break;
                }
                (indent >= *depth.get_or_insert(indent)).then_some(())?;
            }
            // Readers disagree on block scalars that are not indented.
            let here = if indent == 0 { Err(Problem::Unclear) } else { Ok(Place::Block) };
            self.c.skip_line();
            self.marks.until(self.c.at(), &here);
            self.c.bump();
        }
        Some(())
    }

    /// `&anchor`, `!tag` or `*alias`, and the blanks after it. What else may
    /// be in them, and what `!` alone means, readers disagree on.
    fn word(&mut self) -> Lost {
        let tag = self.c.peek() == Some(b'!');
        self.c.bump();
        let more: &[u8] = if tag { b"!-_./:" } else { b"-_" };
        let name = self.c.take_while(|b| b.is_ascii_alphanumeric() || more.contains(&b));
        self.marks.until(self.c.at(), &Err(Problem::Unclear));
        (self.is_blank_at(0) && name.iter().any(u8::is_ascii_alphanumeric)).then_some(())?;
        self.c.skip_blanks();
        Some(())
    }

    /// Nothing but a comment may follow.
    fn end_of_line(&mut self) -> Lost {
        self.c.skip_blanks();
        if self.c.peek() == Some(b'#') {
            let at = self.c.at();
            (at == self.line || self.before(at).is_some_and(is_space)).then_some(())?;
            self.c.skip_line();
            self.marks.until(self.c.at(), &Err(Problem::InComment));
        }
        self.c.eat(b"\r");
        matches!(self.c.bump(), None | Some(b'\n')).then_some(())
    }

    fn column(&self) -> usize {
        self.c.at() - self.line
    }

    fn before(&self, at: usize) -> Option<u8> {
        self.text.get(at.checked_sub(1)?).copied()
    }

    fn is_blank_at(&self, distance: usize) -> bool {
        self.c.peek_at(distance).is_none_or(is_space)
    }
}

/// Only blanks until the end of the line.
fn is_blank_line(mut c: Cursor) -> bool {
    c.take_while(|b| is_blank(b) || b == b'\r');
    matches!(c.peek(), None | Some(b'\n'))
}

/// `---` or `...` and a blank.
fn is_marker(rest: &[u8]) -> bool {
    let after = rest.strip_prefix(b"---").or_else(|| rest.strip_prefix(b"..."));
    after.is_some_and(|rest| rest.first().is_none_or(|b| is_space(*b)))
}

/// Where the last line of `text` begins.
fn start_of_line(text: &[u8]) -> usize {
    text.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1)
}
