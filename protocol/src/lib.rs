//! Everything two Strongroom processes must agree on.
//!
//! * [`channel`]: one file per channel, one enum per direction, one table that
//!   is the dispatch.
//! * [`action`]: what a human decides on.
//! * [`plan`]: the compiled policy, written once by `strongroom run` and sealed.
//! * [`rules`]: which rule a command falls under.
//! * [`names`]: which names a credential may have.
//! * [`receipt`]: what the kernel really enforced on one command.
//! * [`codes`]: the closed set of `SRnnn` codes and exit codes.
//! * [`codec`]: the only place that turns bytes into messages.
//!
//! `docs/protocol.md` and `docs/errors.md` are generated from this crate.
#![forbid(unsafe_code)]

pub mod action;
pub mod channel;
pub mod codec;
pub mod codes;
pub mod doc;
pub mod fds;
pub mod intake;
pub mod limits;
pub mod names;
pub mod plan;
pub mod receipt;
pub mod rules;
pub mod stage;
pub mod text;
pub mod types;
mod wire_enum;
