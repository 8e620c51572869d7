//! Requests as hostile as they come, and a parser that knows a drawing only
//! from its description.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

pub mod hostile;
pub mod parser;
