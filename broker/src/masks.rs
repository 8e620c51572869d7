//! Takes values out of whatever leaves: output, and what agents wrote that is
//! put down in records. One set of patterns for all; it only grows, so that
//! a value that was changed or revoked stays hidden until the session ends.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use strongroom_redact::{Hits, Patterns, Stream};

/// The session's patterns, and how often they were found.
pub struct Masks {
    patterns: RefCell<Rc<Patterns>>,
    found: Cell<u64>,
    most: u64,
}

impl Masks {
    /// Nothing to hide yet. `most` is the policy's limit; 0: none.
    pub fn new(most: u64) -> Self {
        Self { patterns: RefCell::new(Rc::new(Patterns::empty())), found: Cell::new(0), most }
    }

    /// From now on these are hidden. Streams that run take it up with their
    /// next bytes, and look again at those they hold.
    pub fn replace(&self, patterns: Patterns) {
        *self.patterns.borrow_mut() = Rc::new(patterns);
    }

    /// How many values were hidden.
    pub fn found(&self) -> u64 {
        self.found.get()
    }

    /// More than the session may: by what is hidden and what is not, somebody
    /// could be asking us about values.
    pub fn too_many(&self) -> bool {
        self.most != 0 && self.found.get() > self.most
    }

    /// One text on its own: an argument, a path, a reason. `None`: there is
    /// nothing in it. It is not counted: who sent it is told nothing of it.
    pub fn hide(&self, text: &[u8]) -> Option<Vec<u8>> {
        let patterns = Rc::clone(&self.patterns.borrow());
        let redacted = patterns.redact(text);
        (!redacted.hits.is_empty()).then_some(redacted.bytes)
    }

    fn count(&self, hits: u64) {
        self.found.set(self.found.get().saturating_add(hits));
    }
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masks({} found)", self.found.get())
    }
}

/// One stream of output on its way through.
pub struct Veil<'m> {
    masks: &'m Masks,
    stream: Stream,
    clean: Vec<u8>,
    found: u64,
}

impl<'m> Veil<'m> {
    /// Before the first byte.
    pub fn new(masks: &'m Masks) -> Self {
        Self { masks, stream: Stream::new(), clean: Vec::new(), found: 0 }
    }

    /// What may leave once these bytes have come.
    pub fn pass<'b>(&'b mut self, bytes: &'b [u8]) -> &'b [u8] {
        let patterns = Rc::clone(&self.masks.patterns.borrow());
        if patterns.keys() == 0 && !self.stream.holds() {
            return bytes;
        }
        self.clean.clear();
        let hits = self.stream.push(&patterns, bytes, &mut self.clean);
        self.note(&hits);
        &self.clean
    }

    /// Bytes are held back: they could be the beginning of a value.
    pub fn holds(&self) -> bool {
        self.stream.holds()
    }

    /// What may leave of the bytes held back when nothing has come for a
    /// while: as they are where they are few, masked where they are many.
    pub fn idle(&mut self) -> &[u8] {
        let patterns = Rc::clone(&self.masks.patterns.borrow());
        self.clean.clear();
        let hits = self.stream.idle(&patterns, &mut self.clean);
        self.note(&hits);
        &self.clean
    }

    /// What may leave at the end.
    pub fn finish(&mut self) -> &[u8] {
        let patterns = Rc::clone(&self.masks.patterns.borrow());
        self.clean.clear();
        let hits = self.stream.finish(&patterns, &mut self.clean);
        self.note(&hits);
        &self.clean
    }

    /// What it takes its patterns from.
    pub fn masks(&self) -> &'m Masks {
        self.masks
    }

    /// How many values were hidden in it.
    pub fn found(&self) -> u64 {
        self.found
    }

    fn note(&mut self, hits: &Hits) {
        self.found = self.found.saturating_add(hits.total());
        self.masks.count(hits.total());
    }
}
