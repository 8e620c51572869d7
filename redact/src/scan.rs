//! One pass over one text: what is to be masked, and what may yet become a
//! form when more text comes.
//!
//! A form matches where its bytes stand, and also where line breaks (with the
//! indentation that follows) stand between them, from the ninth byte on: that
//! is how encoders wrap lines. There a break stands for nothing or, where all
//! of them do, for a space, as when words are folded.

use crate::runs::Runs;
use crate::tables::{Form, LONGEST, SHORTEST, Set};
use crate::wiped::wipe;

/// Bytes of text within which an interrupted form has to end. Bounds what is
/// held back.
pub(crate) const REACH: usize = 1024;

/// Bytes that overlapping forms cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Where the first, longest form ends; the span is named after its key.
    pub(crate) first_end: usize,
    pub(crate) key: u32,
    /// Joins a span that it touches.
    pub(crate) joins: bool,
}

/// The end of the text is the beginning of a form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub(crate) start: usize,
    /// How many bytes of the form are there.
    pub(crate) kept: usize,
    pub(crate) key: u32,
    pub(crate) joins: bool,
}

/// What a pass found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) spans: Vec<Span>,
    /// The one that begins first.
    pub(crate) live: Option<Live>,
}

/// Looks through `text`. `ended`: nothing follows. `reach` says for a place how
/// far a form that begins there may reach; beyond the end if more may come.
pub(crate) fn scan(
    set: Set<'_>,
    text: &[u8],
    ended: bool,
    reach: impl Fn(usize) -> usize,
) -> Found {
    let (found, runs) = (Found::default(), Runs::default());
    let mut pass = Pass { set, text, ended, reach, newline: 0, last: None, runs, found };
    set.candidates(text, |place| pass.look(place));
    if !ended {
        let tail = (text.len() + 1).saturating_sub(SHORTEST);
        (tail..text.len()).for_each(|place| pass.look_at_tail(place));
    }
    pass.found
}

/// Adds a span to those in order of their beginnings, of which it is the last.
pub(crate) fn add(spans: &mut Vec<Span>, span: Span) {
    match spans.last_mut() {
        Some(last) if span.start < last.end || (span.start == last.end && span.joins) => {
            last.end = last.end.max(span.end);
        }
        _ => spans.push(span),
    }
}

struct Pass<'a, R> {
    set: Set<'a>,
    text: &'a [u8],
    ended: bool,
    reach: R,
    /// No line ends between the last place looked at and this one.
    newline: usize,
    /// The form found last: often the next one.
    last: Option<&'a Form>,
    runs: Runs,
    found: Found,
}

impl<'a, R: Fn(usize) -> usize> Pass<'a, R> {
    /// A form may begin here.
    fn look(&mut self, place: usize) {
        if self.runs.skips(place) {
            return;
        }
        let rest = self.text.get(place..).unwrap_or_default();
        let Some(group) = rest.first_chunk().and_then(|prefix| self.set.group(*prefix)) else {
            return;
        };
        let reach = (self.reach)(place).saturating_sub(place);
        let window = rest.get(..LONGEST.min(reach)).unwrap_or(rest);
        let open = window.len() == rest.len() && reach > rest.len();
        let answer = self.set.compare(group, window, self.last);
        self.live(answer.longer.filter(|_| open), place, window.len());
        let mut best = answer.longest.map(|form| (place + usize::from(form.len), form));
        if self.interrupted(place, window.len()) {
            for space in [None, Some(b' ')] {
                if let Some((end, form)) = self.look_across(place, group, reach, space)
                    && best.is_none_or(|(known, _)| known < end)
                {
                    best = Some((end, form));
                }
            }
        }
        if let Some((end, form)) = best {
            let span = Span { start: place, end, first_end: end, key: form.key, joins: form.joins };
            add(&mut self.found.spans, span);
            self.last = Some(form);
            if reach == usize::MAX - place
                && let Some(skipped) = self.runs.found(self.text, place, form.period.into())
                && let Some(span) = self.found.spans.last_mut()
            {
                span.end = span.end.max(skipped + usize::from(form.len));
            }
        }
    }

    /// The longest form that begins here if breaks stand for `space`.
    fn look_across(
        &mut self,
        place: usize,
        group: &'a [Form],
        reach: usize,
        space: Option<u8>,
    ) -> Option<(usize, &'a Form)> {
        if space.is_some() && !group.first()?.spaced {
            return None;
        }
        let rest = self.text.get(place..)?;
        let limit = reach.min(REACH);
        // Most are refuted by the bytes after the first break.
        let few = Joined::<{ 2 * SHORTEST }>::new(rest, limit, space, self.ended);
        let longer = self.set.compare(group, few.bytes(), None).longer;
        if few.len < 2 * SHORTEST || longer.is_none() {
            return self.answer(place, group, &few);
        }
        self.answer(place, group, &Joined::<LONGEST>::new(rest, limit, space, self.ended))
    }

    fn answer<const N: usize>(
        &mut self,
        place: usize,
        group: &'a [Form],
        joined: &Joined<N>,
    ) -> Option<(usize, &'a Form)> {
        let answer = self.set.compare(group, joined.bytes(), self.last);
        self.live(answer.longer.filter(|_| joined.open), place, joined.len);
        answer.longest.map(|form| (place + joined.end(form), form))
    }

    /// Too few bytes are left for the index.
    fn look_at_tail(&mut self, place: usize) {
        if self.found.live.is_some() || (self.reach)(place) <= self.text.len() {
            return;
        }
        let rest = self.text.get(place..).unwrap_or_default();
        self.live(self.set.longer(rest), place, rest.len());
    }

    fn live(&mut self, form: Option<&Form>, start: usize, kept: usize) {
        if let (None, false, Some(form)) = (self.found.live, self.ended, form) {
            self.found.live = Some(Live { start, kept, key: form.key, joins: form.joins });
        }
    }

    /// A line may end within the window, after the first bytes. Places come in
    /// order, so each byte is looked at once.
    fn interrupted(&mut self, place: usize, window: usize) -> bool {
        let from = self.newline.max(place + SHORTEST);
        let rest = self.text.get(from..).unwrap_or_default();
        self.newline = from + next_newline(rest).unwrap_or(rest.len());
        if self.newline < self.text.len() {
            return self.newline < place + window;
        }
        // The first half of a break may stand at the end.
        !self.ended
            && place + window == self.text.len()
            && matches!(self.text.last(), Some(b'\r' | b'\\'))
    }
}

fn next_newline(text: &[u8]) -> Option<usize> {
    const BLOCK: usize = 64;
    let block = text.chunks(BLOCK).position(|block| block.contains(&b'\n'))?;
    let within = text.get(block * BLOCK..)?.iter().position(|byte| *byte == b'\n')?;
    Some(block * BLOCK + within)
}

/// The first bytes of a text, its line breaks taken out.
struct Joined<const N: usize> {
    bytes: [u8; N],
    /// Where in the text each byte ends.
    ends: [u16; N],
    len: usize,
    /// How far the text was read.
    at: usize,
    /// The text was at its end: more bytes may follow.
    open: bool,
}

impl<const N: usize> Joined<N> {
    /// `limit`: so many bytes of the text are read. `space`: what a break
    /// stands for.
    fn new(text: &[u8], limit: usize, space: Option<u8>, ended: bool) -> Self {
        let mut joined = Self { bytes: [0; N], ends: [0; N], len: 0, at: 0, open: false };
        joined.fill(text, limit, space, ended);
        joined
    }

    fn fill(&mut self, text: &[u8], limit: usize, space: Option<u8>, ended: bool) {
        let begins_break = |byte: u8| matches!(byte, b'\n' | b'\r' | b'\\');
        let mut after_break = false;
        while self.at < limit && self.len < N {
            let rest = text.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                self.open = true;
                return;
            }
            let first = SHORTEST.saturating_sub(self.at);
            let found = if first == 0 { line_break(rest, ended) } else { Break::None };
            match found {
                Break::Begun => {
                    self.open = true;
                    return;
                }
                Break::Whole { line, .. } if self.at + line > limit => return,
                Break::Whole { line, indentation } => {
                    if let (false, Some(space)) = (after_break, space) {
                        self.keep(&[space], self.at + line);
                    }
                    self.at += line + indentation;
                    after_break = true;
                }
                Break::None => {
                    let most = (N - self.len).min(limit - self.at).min(rest.len());
                    let plain = rest.iter().take(most).skip(first.max(1));
                    let plain = plain.take_while(|byte| !begins_break(**byte)).count();
                    let plain = rest.get(..(first.max(1) + plain).min(most)).unwrap_or(rest);
                    self.keep(plain, self.at + 1);
                    self.at += plain.len();
                    after_break = false;
                }
            }
        }
    }

    /// Adds bytes, of which the first ends at `end`.
    fn keep(&mut self, bytes: &[u8], end: usize) {
        let to = self.bytes.iter_mut().zip(&mut self.ends).skip(self.len);
        for ((to, ends), (byte, end)) in to.zip(bytes.iter().zip(end..)) {
            (*to, *ends) = (*byte, end as u16);
        }
        self.len += bytes.len();
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Where in the text a form that matches ends.
    fn end(&self, form: &Form) -> usize {
        let last = usize::from(form.len).saturating_sub(1);
        self.ends.get(last).map_or(0, |end| usize::from(*end))
    }
}

impl<const N: usize> Drop for Joined<N> {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

enum Break {
    None,
    /// The end of the text hides whether it is one.
    Begun,
    /// Bytes up to the new line, and those of its indentation.
    Whole {
        line: usize,
        indentation: usize,
    },
}

/// `\n`, perhaps after `\r`, perhaps after a backslash (shell, YAML, C).
fn line_break(text: &[u8], ended: bool) -> Break {
    let rest = text.strip_prefix(b"\\").unwrap_or(text);
    let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
    match rest.split_first() {
        Some((b'\n', rest)) => {
            let indentation = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
            let indentation = indentation.unwrap_or(rest.len());
            Break::Whole { line: text.len() - rest.len(), indentation }
        }
        None if !ended => Break::Begun,
        _ => Break::None,
    }
}
