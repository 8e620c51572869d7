//! What a human decides on: the digest of an action object, and a drawing of
//! it that hides no byte. Pure: bytes in, rows and lines out; a terminal and
//! a web page draw the same rows.
//!
//! Whatever an agent wrote stands in a place of its own, every byte of it as
//! itself or as an escape, and can be read back from the drawing exactly. So
//! two requests that differ look different.
#![forbid(unsafe_code)]

mod draw;
mod letters;
mod rows;
mod text;

use sha2::{Digest as _, Sha256};
use strongroom_protocol::action::{ActionObject, DIGEST_PREFIX};

pub use draw::{Drawing, Extent, Kind, LEAST_WIDTH, Line, Look, Span, draw};
pub use rows::{Row, Trust, Value};
pub use text::{Manner, Piece, Text, word};

/// The digest a decision is bound to.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(DIGEST_PREFIX).chain_update(bytes).finalize().into()
}

/// The bytes are no action object, or not the one way to write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request cannot be read: client and broker are not of one version")
    }
}

impl std::error::Error for Unreadable {}

/// A request that was read from the bytes that are decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    object: ActionObject,
    digest: [u8; 32],
}

impl Request {
    /// Reads it. What is shown is the object, what is decided on are the
    /// bytes: they must be the ones that this object is written as.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let object = ActionObject::decode(bytes).map_err(|_| Unreadable)?;
        match object.encode() {
            Ok(again) if again == bytes => Ok(Self { object, digest: digest(bytes) }),
            _ => Err(Unreadable),
        }
    }

    /// What it asks.
    #[must_use]
    pub const fn object(&self) -> &ActionObject {
        &self.object
    }

    /// What a decision on it is bound to.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// All of it, as rows.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        rows::of(&self.object, &self.digest)
    }
}
