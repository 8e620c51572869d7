//! What `strongroom api` says: one object a line, told apart by `event`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::bytes::Bytes;
use crate::request::Id;
use crate::shape::{Failure, Result};

/// Version of the lines. Fields and events may be added without a new one.
pub const VERSION: u8 = 1;

/// One line that is received.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line: requests are taken.
    Ready {
        /// Version of these lines.
        v: u8,
        /// Version of the program.
        program: String,
        /// Bytes of the longest line that is taken.
        max_line: usize,
        /// Requests that may be in flight at once.
        max_in_flight: usize,
    },
    /// A human is asked whether this may be done. The request goes on.
    Waiting {
        /// Of which request.
        id: Id,
        /// The number the human sees.
        approval: u64,
        /// Milliseconds until it counts as denied.
        left_ms: u64,
    },
    /// The command runs.
    Started {
        /// Of which request.
        id: Id,
        /// Its number in the log.
        command: u64,
    },
    /// The command wrote this.
    Output {
        /// Of which request.
        id: Id,
        /// Where.
        stream: Stream,
        /// What.
        data: Bytes,
    },
    /// The request is over.
    Result {
        /// Which.
        id: Id,
        /// What came of it.
        result: Result,
    },
    /// The request is over, and came to nothing.
    Error {
        /// Which; `null`: the line was not a request.
        id: Option<Id>,
        /// Why.
        error: Failure,
    },
}

/// One of a command's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Event {
    /// The line, with its end. Our own types cannot fail to be JSON.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned()) + "\n"
    }
}
