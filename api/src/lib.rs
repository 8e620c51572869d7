//! The agent's verbs for programs: `strongroom api` speaks them as lines of
//! JSON, `strongroom-mcp` as tools.
//!
//! ```text
//! bytes     text in JSON, and bytes that are none
//! request   what may be asked                        │ docs/api.schema.json
//! shape     what is answered                         │ comes from these
//! job       a request, checked, done over channel A
//! serve     lines in, lines out: `strongroom api`
//! schema    the JSON Schema of those lines
//! ```
#![forbid(unsafe_code)]

pub mod bytes;
pub mod job;
pub mod lines;
pub mod request;
pub mod schema;
pub mod serve;
pub mod shape;
pub mod text;
