//! What a lexer sees of a text: the text as its reader will get it, with one
//! letter for each placeholder. A lexer walks over it and says of each such
//! letter where it stands.

use crate::error::Problem;
use crate::format::Place;
use crate::grammar::Piece;

/// Stands for a placeholder: it means nothing in any format.
const LETTER: u8 = b'X';

/// How far a lexer looks for the neighbours of a placeholder across blanks.
/// It bounds the work on a text of blanks and placeholders.
const REACH: usize = 4096;

/// Where a placeholder stands, or why it must not stand there.
pub(crate) type Found = Result<Place, Problem>;

/// The text with letters for placeholders, and where these are.
pub(crate) struct Skeleton {
    pub text: Vec<u8>,
    pub marks: Vec<usize>,
}

impl Skeleton {
    pub fn new(text: &[u8], pieces: &[Piece]) -> Self {
        let mut skeleton = Self { text: Vec::with_capacity(text.len()), marks: Vec::new() };
        for piece in pieces {
            match piece {
                Piece::Text(range) => {
                    skeleton.text.extend_from_slice(text.get(range.clone()).unwrap_or_default());
                }
                Piece::Placeholder(_) => {
                    skeleton.marks.push(skeleton.text.len());
                    skeleton.text.push(LETTER);
                }
            }
        }
        skeleton
    }
}

/// The placeholders that a lexer has come to, in order.
pub(crate) struct Marks<'a> {
    waiting: &'a [usize],
    found: Vec<Found>,
}

impl<'a> Marks<'a> {
    pub fn new(skeleton: &'a Skeleton) -> Self {
        Self { waiting: &skeleton.marks, found: Vec::with_capacity(skeleton.marks.len()) }
    }

    /// All before `end` that nothing has been said of yet stand here.
    pub fn until(&mut self, end: usize, here: &Found) {
        self.until_with(end, |_| *here);
    }

    /// The same, asked for each of them.
    pub fn until_with(&mut self, end: usize, here: impl Fn(usize) -> Found) {
        while let Some((mark, rest)) = self.waiting.split_first().filter(|(mark, _)| **mark < end) {
            self.found.push(here(*mark));
            self.waiting = rest;
        }
    }

    /// The next one.
    pub fn next(&self) -> Option<usize> {
        self.waiting.first().copied()
    }

    /// How many have been found, for [`Self::revise`].
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// What came after those first `count` turned out to be something else.
    pub fn revise(&mut self, count: usize, problem: Problem) {
        self.found.iter_mut().skip(count).for_each(|found| *found = Err(problem));
    }

    /// All of them. The lexer has lost its way before those that it did not
    /// come to.
    pub fn finish(mut self) -> Vec<Found> {
        self.until(usize::MAX, &Err(Problem::Unclear));
        self.found
    }
}

/// A place in the text.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Bytes before it.
    pub const fn at(&self) -> usize {
        self.at
    }

    pub fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub fn peek_at(&self, distance: usize) -> Option<u8> {
        self.text.get(self.at + distance).copied()
    }

    pub fn bump(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    pub fn skip(&mut self, count: usize) {
        self.at = (self.at + count).min(self.text.len());
    }

    /// Moves over `prefix` if it is next.
    pub fn eat(&mut self, prefix: &[u8]) -> bool {
        let there = self.rest().starts_with(prefix);
        if there {
            self.skip(prefix.len());
        }
        there
    }

    /// Moves over what `wanted` accepts; returns it.
    pub fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let (taken, _) = rest.split_at(rest.iter().take_while(|b| wanted(**b)).count());
        self.at += taken.len();
        taken
    }

    /// Moves over a backslash, the byte after it, and at most `digits` more
    /// letters or digits.
    pub fn skip_escape(&mut self, digits: usize) {
        self.skip(2);
        let more = self.rest().iter().take(digits).take_while(|b| b.is_ascii_alphanumeric());
        self.skip(more.count());
    }

    /// Moves over spaces and tabs.
    pub fn skip_blanks(&mut self) {
        self.take_while(is_blank);
    }

    /// Moves to the end of the line, before its newline.
    pub fn skip_line(&mut self) -> &'a [u8] {
        self.take_while(|b| b != b'\n')
    }

    /// Moves behind the next `end`; to the end of the text when there is none.
    pub fn skip_past(&mut self, end: &[u8]) -> bool {
        let rest = self.rest();
        let found = rest.windows(end.len()).position(|window| window == end);
        self.at += found.map_or(rest.len(), |n| n + end.len());
        found.is_some()
    }
}

/// A space or a tab.
pub(crate) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Blanks and line ends.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// What stands next to a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Neighbour {
    /// Nothing: the text begins or ends there.
    None,
    Byte(u8),
    /// Too far away to say.
    Far,
}

/// The byte before `mark`, over what `skipped` accepts.
pub(crate) fn before(text: &[u8], mark: usize, skipped: fn(u8) -> bool) -> Neighbour {
    let bytes = text.get(..mark).unwrap_or_default();
    neighbour(bytes.iter().rev(), bytes.len(), skipped)
}

/// The byte after `mark`, likewise.
pub(crate) fn after(text: &[u8], mark: usize, skipped: fn(u8) -> bool) -> Neighbour {
    let bytes = text.get(mark + 1..).unwrap_or_default();
    neighbour(bytes.iter(), bytes.len(), skipped)
}

fn neighbour<'a>(
    bytes: impl Iterator<Item = &'a u8>,
    count: usize,
    skipped: fn(u8) -> bool,
) -> Neighbour {
    match bytes.take(REACH).find(|b| !skipped(**b)) {
        Some(byte) => Neighbour::Byte(*byte),
        None if count > REACH => Neighbour::Far,
        None => Neighbour::None,
    }
}
