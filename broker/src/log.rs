//! The broker's own words on standard error: for the operator, one line each,
//! never a byte that came from a peer.

use std::io::Write as _;

/// Writes one line. A closed standard error must not end the broker.
pub fn line(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "strongroom-broker: {text}");
}
