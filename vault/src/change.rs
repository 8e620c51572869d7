//! Changing credentials: enter, rotate, revoke, delete.

use strongroom_protocol::types::CredentialName;

use crate::body;
use crate::entry::{Entry, State};
use crate::error::Error;
use crate::limits::{MAX_ENTRIES, MAX_SECRET};
use crate::store::Past;
use crate::value::{Weakness, check_value};
use crate::vault::Vault;

/// What a change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The credential's version; 0 where it is gone, or where the change was
    /// not one of a single credential.
    pub version: u64,
    /// The vault's generation; 0 where it is in memory only.
    pub generation: u64,
}

impl Vault {
    /// Enters a credential, or gives it a new value. `now` is in seconds since
    /// 1970.
    ///
    /// # Errors
    /// [`Error::Weak`] unless `force`, [`Error::ValueTooLong`],
    /// [`Error::TooManyEntries`], [`Error::TooBig`], [`Error::ArenaFull`], and
    /// those of the disk.
    pub fn put(
        &mut self,
        name: CredentialName,
        value: &[u8],
        force: bool,
        now: u64,
    ) -> Result<Change, Error> {
        if value.len() > MAX_SECRET {
            return Err(Error::ValueTooLong);
        }
        let weakness = check_value(value).err();
        if let Some(weakness) = weakness
            && (!force || weakness == Weakness::Empty)
        {
            return Err(Error::Weak(weakness));
        }
        let (version, created) = match self.entries.get(&name) {
            Some(old) => (old.version.saturating_add(1), old.created),
            None if self.entries.len() >= MAX_ENTRIES => return Err(Error::TooManyEntries),
            None => (1, now),
        };
        let state = State::Active(self.arena.store(value)?);
        let entry = Entry { state, version, created, rotated: now, forced: weakness.is_some() };
        self.set(name, entry, Past::Keep)
    }

    /// Erases a credential's value and keeps its name. One that is revoked
    /// already stays as it is.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::Disk`], and then the value is still here:
    /// the caller must not use it all the same.
    pub fn revoke(&mut self, name: &CredentialName, now: u64) -> Result<Change, Error> {
        let old = self.entries.get(name).ok_or(Error::Unknown)?;
        if old.revoked().is_some() {
            return Ok(self.changed(old.version));
        }
        let entry = Entry { state: State::Revoked { when: now }, ..*old };
        self.set(name.clone(), entry, Past::Erase)
    }

    /// Removes a credential, name and all.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    pub fn delete(&mut self, name: &CredentialName) -> Result<Change, Error> {
        let mut next = self.view();
        next.remove(name).ok_or(Error::Unknown)?;
        let body = body::encode(&next, &self.arena)?;
        self.commit(&body, Past::Erase)?;
        self.entries.remove(name);
        Ok(self.changed(0))
    }

    fn set(&mut self, name: CredentialName, entry: Entry, past: Past) -> Result<Change, Error> {
        let mut next = self.view();
        next.insert(&name, &entry);
        let body = body::encode(&next, &self.arena)?;
        self.commit(&body, past)?;
        let version = entry.version;
        self.entries.insert(name, entry);
        Ok(self.changed(version))
    }

    pub(crate) fn changed(&self, version: u64) -> Change {
        Change { version, generation: self.generation() }
    }
}
