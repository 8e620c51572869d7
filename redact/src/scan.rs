//! One pass over one text: what is to be masked, and what may yet become a
//! form when more text comes.
//!
//! A form matches where its bytes stand, and also where line breaks (with the
//! indentation that follows) stand between them, from the ninth byte on: that
//! is how encoders wrap lines. There a break stands for nothing or, where all
//! of them do, for a space, as when words are folded.

use crate::joined::Joined;
use crate::runs::Runs;
use crate::set::{Group, Set};
use crate::tables::{Form, LONGEST, SHORTEST};

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
    let joined = [None, None];
    let (found, runs) = (Found::default(), Runs::default());
    let mut pass = Pass { set, text, ended, reach, newline: 0, last: None, joined, runs, found };
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
    /// The text without its line breaks, and with spaces for them.
    joined: [Option<Joined<'a>>; 2],
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
        let Some(tail) = window.get(SHORTEST..) else { return };
        let mut best = None;
        let interrupted = self.interrupted(place, window.len());
        if !interrupted || group.breaks {
            let open = window.len() == rest.len() && reach > rest.len();
            let answer = self.set.compare(group, tail, open, self.last);
            self.live(answer.longer, place, window.len());
            best = answer.longest.map(|form| (place + usize::from(form.len), form));
        }
        if interrupted {
            let limit = place + reach.min(REACH);
            for space in [false, true] {
                if let Some((end, form)) = self.look_across(place, group, limit, space)
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

    /// The longest form that begins here, and where it ends, if breaks stand for
    /// nothing, or for a space.
    fn look_across(
        &mut self,
        place: usize,
        group: Group<'a>,
        limit: usize,
        space: bool,
    ) -> Option<(usize, &'a Form)> {
        if space && !group.spaced {
            return None;
        }
        let joined = self.joined.get_mut(usize::from(space))?;
        let joined =
            joined.get_or_insert_with(|| Joined::new(self.text, self.ended, space.then_some(b' ')));
        let view = joined.view(place + SHORTEST, LONGEST - SHORTEST, limit);
        let kept = SHORTEST + view.bytes.len();
        let answer = self.set.compare(group, view.bytes, view.open, self.last);
        let first = view.first;
        let within = |form: &Form| joined.end(first, usize::from(form.len) - SHORTEST);
        let end = |form: &Form| within(form).unwrap_or(place + SHORTEST);
        let longest = answer.longest.map(|form| (end(form), form));
        self.live(answer.longer, place, kept);
        longest
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
        self.newline = from + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        if self.newline < self.text.len() {
            return self.newline < place + window;
        }
        // The first half of a break may stand at the end.
        !self.ended
            && place + window == self.text.len()
            && matches!(self.text.last(), Some(b'\r' | b'\\'))
    }
}
