//! Changing what opens the vault, and copies of the file.

use crate::body;
use crate::change::Change;
use crate::disk::Name;
use crate::error::Error;
use crate::limits::MAX_SLOTS;
use crate::sealed::Sealed;
use crate::slot::Slot;
use crate::store::{self, Past};
use crate::unlock::NewSlot;
use crate::vault::{File, Vault, new_root};

impl Vault {
    /// The slots, by number from 0; none where there is no file.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        self.file.as_ref().map_or(&[], |file| &file.slots)
    }

    /// Adds a slot at the end.
    ///
    /// # Errors
    /// [`Error::TooManySlots`], errors of the slot, [`Error::Disk`].
    pub fn add_slot(&mut self, new: &NewSlot<'_>) -> Result<Change, Error> {
        let file = self.in_file()?;
        if file.slots.len() >= MAX_SLOTS {
            return Err(Error::TooManySlots);
        }
        let mut slots = file.slots.clone();
        slots.push(Slot::wrap(new, &self.id, &file.root, &self.arena)?);
        self.set_slots(slots, Past::Keep)
    }

    /// Removes a slot. Who has its passphrase or key, and an old copy of the
    /// file, can still read what was in that copy, and the root key: only
    /// [`rekey`](Self::rekey) helps against that.
    ///
    /// # Errors
    /// [`Error::NoSuchSlot`], [`Error::LastSlot`], [`Error::Disk`].
    pub fn remove_slot(&mut self, index: usize) -> Result<Change, Error> {
        let mut slots = self.in_file()?.slots.clone();
        if index >= slots.len() {
            return Err(Error::NoSuchSlot);
        }
        slots.remove(index);
        if slots.is_empty() {
            return Err(Error::LastSlot);
        }
        self.set_slots(slots, Past::Erase)
    }

    /// Makes a new root key, and these slots in place of all there were. Old
    /// copies of the file and all keys to them are then of no use for what is
    /// entered later.
    ///
    /// # Errors
    /// [`Error::LastSlot`] without any slot, [`Error::TooManySlots`], errors
    /// of the slots, [`Error::Disk`].
    pub fn rekey(&mut self, new: &[NewSlot<'_>]) -> Result<Change, Error> {
        self.in_file()?;
        if new.is_empty() {
            return Err(Error::LastSlot);
        }
        if new.len() > MAX_SLOTS {
            return Err(Error::TooManySlots);
        }
        let root = new_root(&self.arena)?;
        let wrap = |slot| Slot::wrap(slot, &self.id, &root, &self.arena);
        let slots = new.iter().map(wrap).collect::<Result<_, _>>()?;
        let body = body::encode(&self.view(), &self.arena)?;
        self.commit_slots(&body, slots, Some(root), Past::Erase)?;
        Ok(self.changed(0))
    }

    /// A copy of the file, read from the disk and found to be what is in
    /// memory.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is not, [`Error::Missing`],
    /// [`Error::Disk`].
    pub fn backup(&self) -> Result<Vec<u8>, Error> {
        let file = self.in_file()?;
        let missing = Error::Missing { previous: false };
        let bytes = store::read(&*file.disk, Name::Vault)?.ok_or(missing)?;
        if bytes != file.sealed {
            return Err(Error::DAMAGED);
        }
        Sealed::parse(&bytes)?.open(&file.root, &self.arena)?;
        Ok(bytes)
    }

    fn set_slots(&mut self, slots: Vec<Slot>, past: Past) -> Result<Change, Error> {
        let body = body::encode(&self.view(), &self.arena)?;
        self.commit_slots(&body, slots, None, past)?;
        Ok(self.changed(0))
    }

    fn in_file(&self) -> Result<&File, Error> {
        self.file.as_ref().ok_or(Error::MemoryOnly)
    }
}
