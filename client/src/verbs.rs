//! The requests that have one answer.

use strongroom_protocol::channel::a::{Answer, Known, Level, Logged, Request, Values, Written};
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::{MAX_CONTENT, MAX_PIECE};
use strongroom_protocol::types::{ApprovalId, CredentialName, PathBytes, Piece, Reason};

use crate::error::Error;
use crate::line::{Line, TAG};

/// How long to wait for a human, in milliseconds; the request itself goes on
/// waiting. `None`: as long as it does.
pub type Patience = Option<u64>;

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Where: absolute within the workspace, or relative to it.
    pub path: PathBytes,
    /// Its mode; `None`: 0600 for a new file, an old one's is kept.
    pub mode: Option<u16>,
    /// What becomes of placeholders.
    pub values: Values,
    /// Its bytes, with placeholders.
    pub bytes: Vec<u8>,
    /// The agent's own words.
    pub reason: Option<Reason>,
    /// For a human, where one is asked.
    pub patience: Patience,
}

impl Line {
    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Misplaced`] for a placeholder that cannot be filled in;
    /// [`Code::RequestTooBig`] over [`MAX_CONTENT`].
    pub fn write(
        &mut self,
        file: Content,
        waiting: impl FnMut(ApprovalId, u64),
    ) -> Result<Written, Error> {
        let size = file.bytes.len();
        let size = u32::try_from(size).ok().filter(|_| size <= MAX_CONTENT);
        self.send(&Request::Write {
            tag: TAG,
            path: file.path,
            mode: file.mode,
            values: file.values,
            size: size.ok_or(Code::RequestTooBig)?,
            reason: file.reason,
            patience_ms: file.patience,
        })?;
        for piece in file.bytes.chunks(MAX_PIECE) {
            let bytes = Piece::new(piece).map_err(|_| Error::Unexpected)?;
            self.send(&Request::Content { bytes })?;
        }
        self.send(&Request::Commit)?;
        match self.decision(waiting)? {
            Answer::Written { tag: TAG, written } => Ok(*written),
            _ => Err(Error::Unexpected),
        }
    }

    /// What is in a sealed file, with its placeholders as they were written.
    ///
    /// # Errors
    /// [`Code::NotSealed`].
    pub fn read(&mut self, path: PathBytes) -> Result<Vec<u8>, Error> {
        self.send(&Request::Read { tag: TAG, path })?;
        let mut text = Vec::new();
        loop {
            match self.answer()? {
                Answer::Text { tag: TAG, bytes, last } if text.len() <= MAX_CONTENT => {
                    text.extend_from_slice(bytes.as_bytes());
                    if last {
                        return Ok(text);
                    }
                }
                _ => return Err(Error::Unexpected),
            }
        }
    }

    /// The credentials there are for the commands of this agent. Never a
    /// value.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn credentials(&mut self) -> Result<Vec<Known>, Error> {
        let mut known: Vec<Known> = Vec::new();
        loop {
            let after = known.last().map(|last| last.name.clone());
            self.send(&Request::Credentials { tag: TAG, after: after.clone() })?;
            let Answer::Credentials { tag: TAG, list, more } = self.answer()? else {
                return Err(Error::Unexpected);
            };
            let list = list.into_vec();
            // A page that leads nowhere would be asked for without end.
            let goes_on = list.first().is_none_or(|first| after.is_none_or(|a| first.name > a));
            if !goes_on || (more && list.is_empty()) {
                return Err(Error::Unexpected);
            }
            known.extend(list);
            if !more {
                return Ok(known);
            }
        }
    }

    /// Asks a human to enter a credential; the number of the request, which
    /// waits.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn request_credential(
        &mut self,
        name: CredentialName,
        reason: Reason,
    ) -> Result<u32, Error> {
        self.send(&Request::Ask { tag: TAG, name, reason })?;
        match self.answer()? {
            Answer::Asked { tag: TAG, request } => Ok(request),
            _ => Err(Error::Unexpected),
        }
    }

    /// Has a credential deleted, if a human says so.
    ///
    /// # Errors
    /// Why it was not.
    pub fn delete_credential(
        &mut self,
        name: CredentialName,
        reason: Option<Reason>,
        patience: Patience,
        waiting: impl FnMut(ApprovalId, u64),
    ) -> Result<(), Error> {
        self.send(&Request::Delete { tag: TAG, name, reason, patience_ms: patience })?;
        self.yes(waiting)
    }

    /// Asks a human a question; returns when the answer is yes.
    ///
    /// # Errors
    /// [`Error::Refused`] for no, and for no answer in time.
    pub fn request_approval(
        &mut self,
        question: Reason,
        patience: Patience,
        waiting: impl FnMut(ApprovalId, u64),
    ) -> Result<(), Error> {
        self.send(&Request::AskApproval { tag: TAG, question, patience_ms: patience })?;
        self.yes(waiting)
    }

    /// One page of the agent's own records, oldest first, and what the next
    /// page is after: 0 where there is none.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn log(
        &mut self,
        after: u64,
        since_ms: u64,
        level: Level,
        pattern: Option<Reason>,
    ) -> Result<(Vec<Logged>, u64), Error> {
        self.send(&Request::Log { tag: TAG, after, since_ms, level, pattern })?;
        match self.answer()? {
            // A page that leads back would be asked for without end.
            Answer::Log { tag: TAG, list, next } if next == 0 || next > after => {
                Ok((list.into_vec(), next))
            }
            _ => Err(Error::Unexpected),
        }
    }

    fn yes(&mut self, waiting: impl FnMut(ApprovalId, u64)) -> Result<(), Error> {
        match self.decision(waiting)? {
            Answer::Approved { tag: TAG } => Ok(()),
            _ => Err(Error::Unexpected),
        }
    }
}
