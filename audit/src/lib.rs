//! The audit log's format, and who checks it. Nothing here needs a running
//! recorder, a secret, or more than the log's files.
//!
//! ```text
//! line        one record: the canonical form, its hash      ┐
//! schema      every event and its fields, as one table      │ the format
//! tree        RFC 6962 root over all lines                  │
//! note        C2SP checkpoint: size and root, signed        │
//! segment     files: names, compressed ones                 ┘
//! folder      a log's files as they lie in a folder
//! verify      is it what was written? What is wrong, where?
//! reconcile   do the broker's and the supervisor's accounts agree?
//! vaults      was an older vault file used?
//! query       records by time, rule, credential
//! ocsf        records as OCSF events
//! ```
#![forbid(unsafe_code)]

pub mod base64;
pub mod chain;
pub mod folder;
pub mod keyfile;
pub mod line;
pub mod note;
pub mod ocsf;
pub mod query;
pub mod reconcile;
pub mod scan;
pub mod schema;
pub mod segment;
pub mod time;
pub mod tree;
mod vaults;
pub mod verify;
mod words;
