//! What opens a vault: a passphrase or key material.

use strongroom_sys::secret::{Arena, Stored};

use crate::cost::Cost;
use crate::crypto::{self, KEY};
use crate::error::Error;
use crate::limits::{MAX_KEY, MAX_LABEL, MAX_PASSPHRASE, MIN_KEY, MIN_PASSPHRASE};

/// What HKDF mixes into a key derived from key material.
const PURPOSE: &[u8] = b"strongroom vault 1 key slot";

/// Which kind of thing opens a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A passphrase, made expensive to guess.
    Passphrase(Cost),
    /// Key material: random bytes from a file or descriptor.
    Key,
}

/// A passphrase or key material, in hand.
#[derive(Debug)]
pub struct Unlock {
    secret: Stored,
    is_passphrase: bool,
}

impl Unlock {
    /// A passphrase: its bytes as they were typed, without the line's end.
    ///
    /// # Errors
    /// [`Error::BadPassphraseLength`] when empty or over-long.
    pub fn passphrase(secret: Stored) -> Result<Self, Error> {
        if secret.is_empty() || secret.len() > MAX_PASSPHRASE {
            return Err(Error::BadPassphraseLength);
        }
        Ok(Self { secret, is_passphrase: true })
    }

    /// Key material: every byte of the file counts, a newline at its end too.
    /// It must be random, since nothing makes it expensive to guess.
    ///
    /// # Errors
    /// [`Error::BadKeyLength`].
    pub fn key(material: Stored) -> Result<Self, Error> {
        if !(MIN_KEY..=MAX_KEY).contains(&material.len()) {
            return Err(Error::BadKeyLength);
        }
        Ok(Self { secret: material, is_passphrase: false })
    }

    /// Whether it is for slots of this kind.
    pub(crate) const fn fits(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Passphrase(_)) == self.is_passphrase
    }

    /// The key of a slot of this kind and salt.
    pub(crate) fn derive(&self, kind: Kind, salt: &[u8], arena: &Arena) -> Result<Stored, Error> {
        let mut key = arena.zeroed(KEY)?;
        match kind {
            Kind::Passphrase(cost) => cost.derive(&self.secret, salt, &mut key)?,
            Kind::Key => {
                crypto::derive(salt, &self.secret, PURPOSE, &mut key).ok_or(Error::BadKeyLength)?
            }
        }
        Ok(key)
    }
}

/// What people call a slot: 1 to 32 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// Checks the alphabet and the length.
    ///
    /// # Errors
    /// [`Error::BadLabel`].
    pub fn new(text: &str) -> Result<Self, Error> {
        let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if text.is_empty() || text.len() > MAX_LABEL || !printable {
            return Err(Error::BadLabel);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A slot to be made.
#[derive(Debug)]
pub struct NewSlot<'a> {
    /// What to call it.
    pub label: Label,
    /// What will open it.
    pub unlock: &'a Unlock,
    /// What guessing will cost, where that is a passphrase.
    pub cost: Cost,
}

impl NewSlot<'_> {
    /// Its kind.
    ///
    /// # Errors
    /// [`Error::BadPassphraseLength`] for a passphrase that is too short to be
    /// a new one; to open an old slot it would do.
    pub(crate) fn kind(&self) -> Result<Kind, Error> {
        if !self.unlock.is_passphrase {
            return Ok(Kind::Key);
        }
        if self.unlock.secret.len() < MIN_PASSPHRASE {
            return Err(Error::BadPassphraseLength);
        }
        Ok(Kind::Passphrase(self.cost))
    }
}
