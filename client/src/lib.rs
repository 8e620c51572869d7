//! A program's end of the broker's channels.
//!
//! ```text
//! port      whole packets of one channel, in and out         (any channel)
//! connect   finds the session an agent is in                 (channel A)
//! here      what a relative path of the caller's means
//! line      one conversation: a request, and its answer
//! verbs     the requests that have one answer
//! run       a command: its streams, its signals, its end
//! ```
//!
//! Blocking, and without a thread of its own. What goes on for long can be
//! ended from another thread: see [`line::Hangup`] and [`run::Remote`].
#![forbid(unsafe_code)]

pub mod connect;
pub mod error;
pub mod here;
pub mod line;
pub mod port;
pub mod run;
mod verbs;

pub use error::Error;
pub use line::Line;
pub use port::{Lost, Port};
pub use verbs::{Content, Patience};
