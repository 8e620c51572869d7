//! Flow collections: `[…]` and `{…}`, over as many lines as they have.

use super::super::Lost;
use super::{Lexer, scalar};
use crate::error::Problem;
use crate::skeleton::{is_blank, is_space};

const fn is_indicator(byte: u8) -> bool {
    matches!(byte, b',' | b'[' | b']' | b'{' | b'}')
}

/// Levels of nesting that are followed.
const MAX_DEPTH: usize = 64;

/// A collection that is open.
struct Level {
    is_map: bool,
    /// The placeholders before it.
    start: usize,
    /// Those before its last entry.
    entry: usize,
    /// That entry has a value.
    has_value: bool,
}

impl Lexer<'_, '_, '_> {
    pub(super) fn flow(&mut self) -> Lost {
        let mut levels: Vec<Level> = Vec::new();
        // The placeholders before the last node, while nothing separates it
        // from the next: that one would go on with it.
        let mut node: Option<usize> = None;
        loop {
            self.c.take_while(is_space);
            let first = self.marks.count();
            match self.c.peek()? {
                bracket @ (b'[' | b'{') => {
                    if node.is_some() || levels.len() == MAX_DEPTH {
                        return None;
                    }
                    self.c.bump();
                    let is_map = bracket == b'{';
                    levels.push(Level { is_map, start: first, entry: first, has_value: false });
                }
                bracket @ (b']' | b'}') => {
                    self.c.bump();
                    let level = levels.pop().filter(|level| level.is_map == (bracket == b'}'))?;
                    self.end_entry(&level);
                    if levels.is_empty() {
                        return Some(());
                    }
                    node = Some(level.start);
                }
                b',' => {
                    self.c.bump();
                    let level = levels.last_mut()?;
                    self.end_entry(level);
                    *level = Level { entry: first, has_value: false, ..*level };
                    node = None;
                }
                b':' => {
                    // Without a key it may begin a plain scalar.
                    self.marks.revise(node.take()?, Problem::InKey);
                    self.c.bump();
                    levels.last_mut()?.has_value = true;
                }
                b'#' => {
                    self.before(self.c.at()).is_some_and(is_space).then_some(())?;
                    self.c.skip_line();
                    self.marks.until(self.c.at(), &Err(Problem::InComment));
                }
                quote @ (b'"' | b'\'') => {
                    if node.is_some() {
                        return None;
                    }
                    self.quoted(quote)?;
                    node = Some(first);
                }
                b'&' | b'!' => self.word()?,
                b'@' | b'`' | b'%' | b'|' | b'>' | b'?' | b'*' => return None,
                _ => {
                    let start = self.c.at();
                    self.plain_in_flow();
                    scalar::mark_plain(self.text, start..self.c.at(), self.marks);
                    if let Some(before) = node {
                        self.marks.revise(before, Problem::Unclear);
                    }
                    node = Some(node.unwrap_or(first));
                }
            }
        }
    }

    /// An entry of a mapping without a value is a key.
    fn end_entry(&mut self, level: &Level) {
        if level.is_map && !level.has_value {
            self.marks.revise(level.entry, Problem::InKey);
        }
    }

    /// Moves over plain text of this line.
    fn plain_in_flow(&mut self) {
        loop {
            self.c.take_while(|b| !is_indicator(b) && !matches!(b, b':' | b'#' | b'\n'));
            let after_blank = self.before(self.c.at()).is_some_and(is_blank);
            match self.c.peek() {
                Some(b':') if self.is_blank_at(1) => return,
                Some(b':') if self.c.peek_at(1).is_some_and(is_indicator) => return,
                Some(b':') => {}
                Some(b'#') if !after_blank => {}
                _ => return,
            }
            self.c.bump();
        }
    }
}
