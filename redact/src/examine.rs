//! Both passes over a text, as it is and stripped, in one answer.

use crate::scan::{self, Found, Live, Span};
use crate::set::Set;
use crate::strip::{self, Stripped};
use crate::tables::SHORTEST;

/// What is known of a text.
pub(crate) struct Examined {
    /// What is to be masked, in order. Those that begin before `settled` are
    /// final; later ones may yet become longer.
    pub(crate) spans: Vec<Span>,
    /// More text changes nothing of what stands before this place.
    pub(crate) settled: usize,
    /// From there, so many bytes are the rest of something that is not shown.
    pub(crate) hidden: usize,
    lives: [Option<Live>; 2],
}

impl Examined {
    /// `hidden`: so many bytes at the beginning are the rest of something that
    /// is not shown. `ended`: nothing follows the text.
    pub(crate) fn new(set: Set<'_>, text: &[u8], hidden: usize, ended: bool) -> Self {
        let Found { mut spans, live } = scan::scan(set, text, ended, |_| usize::MAX);
        let mut lives = [live, None];
        let stripped =
            strip::needed(text, hidden, ended).then(|| Stripped::new(text, hidden, ended));
        if let Some(stripped) = &stripped {
            let found = strip::scan_stripped(set, stripped, ended);
            spans.extend(found.spans);
            lives = [live, found.live];
        }
        let starts = lives.iter().flatten().map(|live| live.start);
        let cut = stripped.as_ref().and_then(|stripped| stripped.cut);
        let settled = starts.chain(cut).min().unwrap_or(text.len());
        let hidden = stripped.as_ref().map_or(0, |stripped| stripped.hidden_at(settled));
        let mut examined = Self { spans, settled, hidden, lives };
        if stripped.is_some() {
            examined.sort();
        }
        examined
    }

    /// Masks the beginning of a form that the text ends with, if there are
    /// enough bytes of it to be of use: [`SHORTEST`].
    pub(crate) fn mask_fragment(&mut self, fragment: &Self, end: usize) {
        let lives = fragment.lives.iter().flatten().filter(|live| live.kept >= SHORTEST);
        let Some(live) = lives.min_by_key(|live| live.start) else { return };
        let Live { start, key, joins, .. } = *live;
        self.spans.push(Span { start, end, first_end: end, key, joins });
        self.sort();
    }

    /// Brings spans of several origins in order, and merges them.
    fn sort(&mut self) {
        self.spans.sort_by_key(|span| (span.start, usize::MAX - span.first_end));
        let mut merged = Vec::with_capacity(self.spans.len());
        self.spans.drain(..).for_each(|span| scan::add(&mut merged, span));
        self.spans = merged;
    }
}
