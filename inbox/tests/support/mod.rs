//! A broker that an inbox talks to, with things that wait; the inbox under
//! test; and HTTP as bytes.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod broker;
pub mod inbox;
