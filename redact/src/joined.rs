//! A text with its line breaks taken out, as far as somebody has asked for it.
//!
//! ```text
//!   text    se cr \n__ et              lines[0] ─▶ 0    lines[1] ─▶ 4
//!   bytes   se cr et
//! ```
//!
//! Who reads from a place and leaves breaks out sees the same bytes as one who
//! began before it, but for places within a break. So what is made once serves
//! all places, and each byte of a text is copied about once, however many forms
//! may begin in it.

use crate::wiped::Wiped;

/// Bytes kept before it is begun anew.
const MOST: usize = 4096;

/// Bytes of text read at once, unless a line ends before.
const BLOCK: usize = 128;

/// A text without its line breaks.
pub(crate) struct Joined<'a> {
    text: &'a [u8],
    /// Nothing follows the text.
    ended: bool,
    /// What a break stands for, or several in a row.
    space: Option<u8>,
    bytes: Wiped,
    lines: Vec<Line>,
    /// The one that the last place asked for is in.
    line: usize,
    /// How far the text was read; what is left at its end may begin a break.
    at: usize,
    /// All of it was.
    exhausted: bool,
}

/// Bytes that stand together in the text as well, or the space for a break.
struct Line {
    /// From here to `newline` stands a break: who begins to read there reads
    /// these bytes first.
    start: usize,
    newline: usize,
    /// Where the first byte stands in the text.
    origin: usize,
    /// And here.
    joined: usize,
}

/// What is read from one place.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) bytes: &'a [u8],
    /// The text was at its end: more bytes may follow.
    pub(crate) open: bool,
    pub(crate) first: usize,
}

impl<'a> Joined<'a> {
    pub(crate) fn new(text: &'a [u8], ended: bool, space: Option<u8>) -> Self {
        let (bytes, lines) = (Wiped::default(), Vec::new());
        Self { text, ended, space, bytes, lines, line: 0, at: 0, exhausted: false }
    }

    /// At most `most` bytes from `place` on, of which none ends beyond `limit`.
    /// Places come in order.
    pub(crate) fn view(&mut self, place: usize, most: usize, limit: usize) -> View<'_> {
        let first = self.index(place).unwrap_or_else(|| self.begin(place));
        while self.bytes.len() < first + most && self.at < limit && !self.exhausted {
            self.read();
        }
        let mut last = self.bytes.len().min(first + most);
        if last > first && self.end_of(last - 1) > limit {
            last = first.max(self.before(limit));
        }
        let open =
            self.exhausted && self.at < limit && last == self.bytes.len() && last - first < most;
        View { bytes: self.bytes.get(first..last).unwrap_or_default(), open, first }
    }

    /// Where in the text the first `len` bytes of a view end; `None` of none.
    pub(crate) fn end(&self, first: usize, len: usize) -> Option<usize> {
        Some(self.end_of(first + len.checked_sub(1)?))
    }

    /// Where the bytes begin that are read from `place` on, if that is known.
    fn index(&mut self, place: usize) -> Option<usize> {
        if self.bytes.len() > MOST {
            return None;
        }
        let later = self.lines.get(self.line + 1..)?;
        let near = later.iter().take_while(|line| line.start <= place).count();
        self.line += near;
        let line = self.lines.get(self.line)?;
        if place < line.newline {
            return (line.start <= place).then_some(line.joined);
        }
        let within = place.checked_sub(line.origin)?;
        let next = self.lines.get(self.line + 1).map_or(self.bytes.len(), |next| next.joined);
        (line.joined + within < next).then_some(line.joined + within)
    }

    fn begin(&mut self, place: usize) -> usize {
        self.bytes.clear();
        self.lines.clear();
        self.lines.push(Line { start: place, newline: place, origin: place, joined: 0 });
        (self.line, self.at, self.exhausted) = (0, place, false);
        0
    }

    /// Reads on: up to a break and over it, or some bytes of a long line.
    fn read(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let near = rest.get(..BLOCK + 2).unwrap_or(rest);
        let newline = memchr::memchr(b'\n', near);
        if newline.is_none() && near.len() < rest.len() {
            // A break whose new line is beyond begins in the last two.
            let plain = near.get(..BLOCK).unwrap_or(near);
            self.bytes.extend(plain);
            self.at += plain.len();
            return;
        }
        let plain = newline.map_or(near, |newline| near.get(..newline).unwrap_or(near));
        let unended = newline.is_none() && self.ended;
        let plain = if unended { plain } else { before_break(plain) };
        self.bytes.extend(plain);
        let start = self.at + plain.len();
        let Some(newline) = newline else {
            (self.at, self.exhausted) = (start, true);
            return;
        };
        let newline = self.at + newline + 1;
        let rest = self.text.get(newline..).unwrap_or_default();
        let indentation = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
        self.at = newline + indentation.unwrap_or(rest.len());
        let joined = self.bytes.len();
        let next = match self.space {
            None => Line { start, newline, origin: self.at, joined },
            // One space for several breaks.
            Some(_) if plain.is_empty() && self.after_break() => {
                if let Some(last) = self.lines.last_mut() {
                    (last.start, last.newline, last.origin) = (self.at, self.at, self.at);
                }
                return;
            }
            Some(space) => {
                self.lines.push(Line { start, newline, origin: newline - 1, joined });
                self.bytes.push(space);
                Line { start: self.at, newline: self.at, origin: self.at, joined: joined + 1 }
            }
        };
        self.lines.push(next);
    }

    /// The last byte is the space for a break.
    fn after_break(&self) -> bool {
        self.lines.len() > 1
            && self.lines.last().is_some_and(|last| last.joined == self.bytes.len())
    }

    /// Where in the text the byte at this index ends.
    fn end_of(&self, index: usize) -> usize {
        let lines = self.lines.get(self.line..).unwrap_or_default();
        let above = lines.partition_point(|line| line.joined <= index);
        let line = above.checked_sub(1).and_then(|below| lines.get(below));
        line.map_or(0, |line| line.origin + (index - line.joined) + 1)
    }

    /// How many bytes end at `limit` or before.
    fn before(&self, limit: usize) -> usize {
        let lines = self.lines.get(self.line..).unwrap_or_default();
        let above = lines.partition_point(|line| line.origin < limit);
        let end = lines.get(above).map_or(self.bytes.len(), |line| line.joined);
        let line = above.checked_sub(1).and_then(|below| lines.get(below));
        line.map_or(0, |line| (line.joined + (limit - line.origin)).min(end))
    }
}

/// What stands before a line break, which a carriage return may belong to, and
/// a backslash (shell, YAML, C).
fn before_break(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.strip_suffix(b"\\").unwrap_or(line)
}
