//! One stream of bytes on its way out.
//!
//! ```text
//!                 done     settled              end
//!   held │ masked, │ clear:  │ may yet become     │
//!        │ or shown│ written │ a form: held       │
//! ```
//!
//! What a write leaves behind is looked at again together with the next one.
//! It is bounded, and no other state crosses over: so the patterns may change
//! between two writes.

use crate::examine::Examined;
use crate::hits::Hits;
use crate::patterns::Patterns;
use crate::scan::{REACH, Span};
use crate::wiped::Wiped;

/// One stream. Whatever it is cut into, the same comes out.
#[derive(Default)]
pub struct Stream {
    /// Bytes that may be the beginning of a form.
    held: Wiped,
    /// How many of them were written already, masked or clear.
    done: usize,
    /// The last thing written was a marker.
    masked: bool,
    /// How many of the bytes held are the rest of something that is not shown.
    hidden: usize,
}

impl Stream {
    /// Nothing was written yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a chunk, and appends to `out` what may leave: everything but what
    /// may yet become a form.
    pub fn push(&mut self, patterns: &Patterns, chunk: &[u8], out: &mut Vec<u8>) -> Hits {
        if self.held.is_empty() {
            return self.advance(patterns, chunk, out);
        }
        // What is held joins so much of the chunk as decides about it; the
        // rest is not copied.
        let held = self.held.len();
        let seam = chunk.get(..2 * REACH).unwrap_or(chunk);
        let mut text = Wiped::with_capacity(held + seam.len());
        text.extend(&self.held);
        text.extend(seam);
        let mut hits = self.advance(patterns, &text, out);
        if seam.len() < chunk.len() {
            let settled = text.len() - self.held.len();
            let rest = chunk.get(settled.saturating_sub(held)..).unwrap_or_default();
            hits.add(&self.advance(patterns, rest, out));
        }
        hits
    }

    /// Bytes wait that were not written. If nothing comes for a while, call
    /// [`Self::idle`].
    #[must_use]
    pub fn holds(&self) -> bool {
        self.done < self.held.len()
    }

    /// Nothing came for a while: writes what is held, masked if there are
    /// eight bytes of a form or more, else as it is (a prompt, say). It is not
    /// forgotten: if the rest of the form comes, that is masked.
    pub fn idle(&mut self, patterns: &Patterns, out: &mut Vec<u8>) -> Hits {
        let held = std::mem::take(&mut self.held);
        let hits = self.settle(patterns, &held, out);
        self.held = held;
        hits
    }

    /// The stream ends, or is cut off: writes what is held, masked if there
    /// are eight bytes of a form or more, else as it is. The stream is then as
    /// new.
    pub fn finish(&mut self, patterns: &Patterns, out: &mut Vec<u8>) -> Hits {
        let held = std::mem::take(&mut self.held);
        let hits = self.settle(patterns, &held, out);
        *self = Self::new();
        hits
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    fn advance(&mut self, patterns: &Patterns, text: &[u8], out: &mut Vec<u8>) -> Hits {
        let Examined { spans, settled, hidden, .. } =
            Examined::new(patterns.set(), text, self.hidden, false);
        let mut hits = Hits::default();
        for span in spans.iter().take_while(|span| span.start < settled) {
            self.cover(patterns, text, span, out, &mut hits);
        }
        self.show(text, settled, out);
        self.held = text.get(settled..).unwrap_or_default().into();
        self.done -= settled;
        self.hidden = hidden;
        hits
    }

    fn settle(&mut self, patterns: &Patterns, text: &[u8], out: &mut Vec<u8>) -> Hits {
        let mut examined = Examined::new(patterns.set(), text, self.hidden, true);
        let fragment = Examined::new(patterns.set(), text, self.hidden, false);
        examined.mask_fragment(&fragment, text.len());
        self.write_all(patterns, text, &examined.spans, out)
    }

    /// Writes a text to its end.
    pub(crate) fn write_all(
        &mut self,
        patterns: &Patterns,
        text: &[u8],
        spans: &[Span],
        out: &mut Vec<u8>,
    ) -> Hits {
        let mut hits = Hits::default();
        spans.iter().for_each(|span| self.cover(patterns, text, span, out, &mut hits));
        self.show(text, text.len(), out);
        hits
    }

    /// Masks a span, and writes what stands before it. Spans that overlap what
    /// is masked, or go on with it, need no marker of their own.
    fn cover(
        &mut self,
        patterns: &Patterns,
        text: &[u8],
        span: &Span,
        out: &mut Vec<u8>,
        hits: &mut Hits,
    ) {
        if span.end <= self.done {
            return;
        }
        self.show(text, span.start, out);
        let touches = span.start < self.done || (span.start == self.done && span.joins);
        if !(self.masked && touches) {
            out.extend_from_slice(patterns.marker(span.key));
            hits.count(span.key, patterns);
        }
        (self.done, self.masked) = (span.end, true);
    }

    fn show(&mut self, text: &[u8], to: usize, out: &mut Vec<u8>) {
        if let Some(clear) = text.get(self.done..to).filter(|clear| !clear.is_empty()) {
            out.extend_from_slice(clear);
            (self.done, self.masked) = (to, false);
        }
    }
}
