//! A credential.

use std::collections::BTreeMap;

use strongroom_protocol::types::CredentialName;
use strongroom_sys::secret::Stored;

/// Credentials by name.
pub(crate) type Entries = BTreeMap<CredentialName, Entry>;

/// Whether a credential can be used.
#[derive(Debug)]
pub(crate) enum State {
    Active(Stored),
    /// The value is gone, the name stays.
    Revoked {
        when: u64,
    },
}

/// A credential: its value, and what may be told of it. Times are seconds
/// since 1970.
#[derive(Debug)]
pub struct Entry {
    pub(crate) state: State,
    pub(crate) version: u64,
    pub(crate) created: u64,
    pub(crate) rotated: u64,
    pub(crate) forced: bool,
}

impl Entry {
    /// The value; `None` where it is revoked.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        match &self.state {
            State::Active(value) => Some(value),
            State::Revoked { .. } => None,
        }
    }

    /// When it was revoked.
    #[must_use]
    pub const fn revoked(&self) -> Option<u64> {
        match self.state {
            State::Active(_) => None,
            State::Revoked { when } => Some(when),
        }
    }

    /// How many values it has had, from 1.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// When it was first entered.
    #[must_use]
    pub const fn created(&self) -> u64 {
        self.created
    }

    /// When its value was last changed.
    #[must_use]
    pub const fn rotated(&self) -> u64 {
        self.rotated
    }

    /// Whether its value would have been refused, had it not been forced:
    /// redaction cannot hide it reliably.
    #[must_use]
    pub const fn forced(&self) -> bool {
        self.forced
    }
}
