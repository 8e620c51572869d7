//! Looking at a vault file without taking it: what it says in the clear, and
//! whether a key opens it. The broker may have it open meanwhile.

use std::os::fd::BorrowedFd;

use strongroom_sys::secret::Arena;

use crate::body;
use crate::crypto::DIGEST;
use crate::disk;
use crate::error::Error;
use crate::header::Id;
use crate::sealed::Sealed;
use crate::slot::Slot;
use crate::store;
use crate::unlock::Unlock;

/// What a vault file says in the clear. Nobody vouches for it: only a key that
/// opens the file shows that it is as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Which vault.
    pub id: Id,
    /// Which generation of it.
    pub generation: u64,
    /// Its checksum.
    pub digest: [u8; DIGEST],
    /// What it may be opened with.
    pub slots: Vec<Slot>,
}

/// The bytes of the vault file in a folder: one whole generation.
///
/// # Errors
/// [`Error::Missing`], [`Error::NotOurs`], [`Error::Disk`].
pub fn read(folder: BorrowedFd<'_>) -> Result<Vec<u8>, Error> {
    store::read_all(&mut disk::look(folder)?)
}

/// What a file's bytes say.
///
/// # Errors
/// [`Error::Damaged`], [`Error::Version`].
pub fn sight(file: &[u8]) -> Result<Sight, Error> {
    let Sealed { header, digest, .. } = Sealed::parse(file)?;
    Ok(Sight { id: header.id, generation: header.generation, digest, slots: header.slots })
}

/// The same, vouched for: the key opens the file, and all in it is sound.
///
/// # Errors
/// Those of [`crate::Vault::open`].
pub fn verify(file: &[u8], arena: &Arena, unlock: &Unlock) -> Result<Sight, Error> {
    let sealed = Sealed::parse(file)?;
    let root = sealed.unlock(unlock, arena)?;
    body::decode(&sealed.open(&root, arena)?, arena)?;
    sight(file)
}
