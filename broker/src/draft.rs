//! A file that an agent sends, while its bytes come in and while a human is
//! asked about it.

use std::rc::Rc;

use strongroom_protocol::channel::a::Values;
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_CONTENT;
use strongroom_protocol::types::{PathBytes, Reason};

use crate::session::Session;

/// Bytes of all files that are being sent at once.
const MAX_DRAFTS: usize = 2 * MAX_CONTENT;

/// What an agent wants written, as it came.
#[derive(Debug)]
pub struct Wish {
    /// The client's number.
    pub tag: u32,
    /// Where.
    pub path: PathBytes,
    /// Its mode.
    pub mode: Option<u16>,
    /// What becomes of placeholders.
    pub values: Values,
    /// Bytes that follow.
    pub size: u32,
    /// The agent's own words.
    pub reason: Option<Reason>,
    /// How long it waits for a human, milliseconds; `None`: to the end.
    pub patience_ms: Option<u64>,
}

/// A file on its way in. Its bytes count against all files' limit.
#[derive(Debug)]
pub struct Draft {
    session: Rc<Session>,
    wish: Wish,
    content: Vec<u8>,
    reserved: usize,
    refused: Option<Code>,
}

impl Draft {
    /// Makes room for it, or remembers why there is none: what follows is then
    /// dropped as it comes.
    pub fn new(session: Rc<Session>, wish: Wish) -> Self {
        let size = usize::try_from(wish.size).unwrap_or(usize::MAX);
        let drafts = session.drafts.get();
        let refused = if size > MAX_CONTENT {
            Some(Code::RequestTooBig)
        } else if drafts + size > MAX_DRAFTS {
            Some(Code::TooManyAtOnce)
        } else {
            None
        };
        let reserved = if refused.is_some() { 0 } else { size };
        session.drafts.set(drafts + reserved);
        Self { session, wish, content: Vec::new(), reserved, refused }
    }

    /// Takes the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        if self.content.len() + bytes.len() <= self.reserved {
            self.content.extend_from_slice(bytes);
        } else if self.refused.is_none() {
            self.refused = Some(Code::BadRequest);
        }
    }

    /// What is wanted.
    pub fn wish(&self) -> &Wish {
        &self.wish
    }

    /// All of it, when it is as long as it was said to be.
    ///
    /// # Errors
    /// Why it is not to be had.
    pub fn whole(&self) -> Result<&[u8], Code> {
        match self.refused {
            Some(code) => Err(code),
            None if self.content.len() == self.reserved => Ok(&self.content),
            None => Err(Code::BadRequest),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.session.drafts.set(self.session.drafts.get().saturating_sub(self.reserved));
    }
}
