//! The one style sheet. It stands in each page; its digest is in the policy
//! that comes with the page, so no other style has any effect.

/// The sheet.
pub const SHEET: &str = include_str!("style.css");
