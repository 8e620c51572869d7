//! Placeholders: `${credentials.KEY}` and `${credentials.KEY|FILTER}` in a
//! file that an agent writes, and what stands there in the end.
//!
//! ```text
//!  content ──grammar──▶ pieces ──skeleton──▶ format::*  ──▶ Template ──▶ SecretBuf
//!             exact,     text and   the same text,  where each     holds no   all or
//!             single     place-     placeholders    placeholder    secret     nothing
//!             pass       holders    one letter wide stands
//! ```
//!
//! * [`Template::parse`] finds the placeholders and, by the file's name or the
//!   filter, how a reader of the file takes what stands around each of them:
//!   bare, in double quotes, in a here-document. A place that is not clear is
//!   an error here, before any value is looked at.
//! * [`Template::render`] writes each value so that the reader gets exactly its
//!   bytes, or fails as a whole. A value is never looked at for placeholders.
//!
//! Nothing here does I/O. An error names key, line, column and context, and
//! never a value or its length.
#![forbid(unsafe_code)]

mod buffer;
mod detect;
pub mod doc;
mod error;
mod filter;
mod format;
mod grammar;
mod skeleton;
mod template;
mod transform;

pub use buffer::SecretBuf;
pub use detect::{FILE_NAMES, FileNames};
pub use error::{Error, Problem};
pub use filter::{FILTERS, FilterRow};
pub use template::Template;

/// Bytes in a text with placeholders, and in what becomes of it.
pub const MAX_TEXT: usize = 16 * 1024 * 1024;

/// Placeholders and escapes in one text.
pub const MAX_PLACEHOLDERS: usize = 1000;

/// Near misses that are reported; further ones are not.
pub const MAX_NEAR_MISSES: usize = 64;
