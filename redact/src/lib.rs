//! Takes secrets out of what commands print, in every form they may be printed in.
//!
//! ```text
//!   secrets ──encode──▶ forms ──sort, cut──▶ Patterns         once per change
//!                                               │
//!   chunk ─┬─ scan as it is ────────────────────┤
//!          └─ scan what a terminal shows ───────┤
//!                                               ▼
//!                       spans to mask, and the live beginning of a form
//!                                               │
//!   Stream: held bytes + chunk ──▶ [REDACTED:KEY] and all the rest ──▶ out
//! ```
//!
//! The forms are listed in [`ENCODINGS`], with what may interrupt them in
//! [`INTERRUPTIONS`] and what is not masked in [`LIMITS`]; [`markdown`] makes a
//! page of them.
//!
//! **How a form is found.** All forms have 8 to 127 bytes: longer ones are cut
//! into pieces, each of which is masked on its own and joins the marker that it
//! touches. A bitmap of the 4-byte blocks in the forms' first 8 bytes is asked
//! at every fifth place of the text, which suffices to meet each form once;
//! where it says yes, a bitmap of the forms' first 8 bytes is asked about the
//! places near it, and for those that are left an index gives the forms to
//! compare, of which a fingerprint of 16 bytes rules most out. No step depends
//! on the one before, so the processor does several at a time, and no place
//! costs more than a bounded number of steps, whatever the text. What a form
//! may be read as over line breaks is put together once for all places.
//!
//! **What is masked.** Every byte of every match. The longest match at the
//! first place names the marker; matches that overlap share one. So what comes
//! out does not depend on how the text was cut into chunks.
//!
//! **What is held back.** Only the beginning of a form at the end of a chunk: at
//! most 126 bytes, 1024 if it is interrupted. It is scanned again with the next
//! chunk, so nothing else is kept, and the patterns may change between chunks.
//!
//! ```
//! use strongroom_redact::{Patterns, Stream};
//!
//! let patterns = Patterns::build(&[(b"API_KEY", b"sk-live-12345")]);
//! let mut stream = Stream::new();
//! let mut out = Vec::new();
//! stream.push(&patterns, b"key: sk-li", &mut out);
//! stream.push(&patterns, b"ve-12345\n", &mut out);
//! stream.finish(&patterns, &mut out);
//! assert_eq!(out, b"key: [REDACTED:API_KEY]\n");
//! ```

#![forbid(unsafe_code)]

mod encode;
mod encodings;
mod examine;
mod forms;
mod hits;
mod joined;
mod markdown;
#[cfg(test)]
mod oracle;
mod patterns;
#[cfg(test)]
mod property_tests;
mod runs;
mod scan;
mod set;
mod stream;
mod strip;
mod tables;
mod wiped;

pub use encodings::{ENCODINGS, Encoding, INTERRUPTIONS, LIMITS};
pub use forms::{LONG, SHORT};
pub use hits::Hits;
pub use markdown::markdown;
pub use patterns::{Patterns, Redacted};
pub use stream::Stream;
pub use tables::{LONGEST, SHORTEST};
pub use wiped::Region;
