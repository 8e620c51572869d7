//! How a file is replaced so that a crash at any moment leaves the old one or
//! the new one, whole.

use strongroom_sys::Errno;

use crate::disk::{Disk, File, Name};
use crate::error::Error;
use crate::limits::MAX_FILE;

/// What becomes of the file that a change replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    /// It becomes `vault.previous`.
    Keep,
    /// Nothing of it stays: what the change took away (a revoked value, a
    /// removed slot) would stay with it. `vault.previous` becomes a copy of
    /// the new file.
    Erase,
}

/// Reads a whole file; `None` where there is none.
///
/// # Errors
/// [`Error::Disk`].
pub(crate) fn read(disk: &dyn Disk, name: Name) -> Result<Option<Vec<u8>>, Error> {
    match disk.open(name) {
        Err(Errno::ENOENT) => Ok(None),
        Err(e) => Err(Error::doing("opening the vault")(e)),
        Ok(mut file) => read_all(&mut *file).map(Some),
    }
}

/// Reads a file to its end, or until it is longer than a vault can be: what
/// comes of that is no vault.
///
/// # Errors
/// [`Error::Disk`].
pub(crate) fn read_all(file: &mut dyn File) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    while bytes.len() <= MAX_FILE {
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::doing("reading the vault")(e)),
        }
    }
    Ok(bytes)
}

/// Removes what a crash in the middle of a write left.
///
/// # Errors
/// [`Error::Disk`].
pub(crate) fn sweep(disk: &dyn Disk) -> Result<(), Error> {
    match disk.unlink(Name::New) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(e) => Err(Error::doing("removing vault.new")(e)),
    }
}

/// Puts `new` in the place of `old`, durably.
///
/// # Errors
/// [`Error::Disk`]: nothing changed, though `vault.previous` may be gone or
/// younger than it was. [`Error::InDoubt`]: see there.
pub(crate) fn commit(
    disk: &dyn Disk,
    old: Option<&[u8]>,
    new: &[u8],
    past: Past,
) -> Result<(), Error> {
    match (past, old) {
        (Past::Keep, Some(old)) => replace(disk, Name::Previous, old).map_err(Failed::error)?,
        (Past::Keep, None) => {}
        // First, and for good: a crash must not leave what is to be erased.
        (Past::Erase, _) => remove_previous(disk)?,
    }
    match replace(disk, Name::Vault, new) {
        Ok(()) => {}
        Err(Failed::Before(error)) => return Err(error),
        Err(Failed::After(errno)) => return Err(take_back(disk, old, errno)),
    }
    if past == Past::Erase {
        // The change is done; without this there is one copy of it, not two.
        let _ = replace(disk, Name::Previous, new);
    }
    Ok(())
}

fn remove_previous(disk: &dyn Disk) -> Result<(), Error> {
    match disk.unlink(Name::Previous) {
        Ok(()) | Err(Errno::ENOENT) => disk.sync().map_err(Error::doing(SYNC)),
        Err(e) => Err(Error::doing("removing vault.previous")(e)),
    }
}

/// A replacement that did not succeed.
enum Failed {
    /// The name still stands for the old file.
    Before(Error),
    /// The name stands for the new file; whether a power cut would undo that
    /// is not known.
    After(Errno),
}

impl Failed {
    fn error(self) -> Error {
        match self {
            Self::Before(error) => error,
            Self::After(errno) => Error::doing(SYNC)(errno),
        }
    }
}

const SYNC: &str = "syncing the vault's folder";

/// Writes a new file beside `name`, waits for the disk, gives it the name,
/// waits for the disk.
fn replace(disk: &dyn Disk, name: Name, bytes: &[u8]) -> Result<(), Failed> {
    let renamed = write(disk, bytes).and_then(|()| {
        disk.rename(Name::New, name).map_err(Error::doing("renaming the new vault"))
    });
    if let Err(error) = renamed {
        // If this fails too, the next write or start removes it.
        let _ = disk.unlink(Name::New);
        return Err(Failed::Before(error));
    }
    disk.sync().map_err(Failed::After)
}

fn write(disk: &dyn Disk, bytes: &[u8]) -> Result<(), Error> {
    sweep(disk)?;
    let mut file = disk.create(Name::New).map_err(Error::doing("creating vault.new"))?;
    let mut rest = bytes;
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(Error::doing("writing the new vault")(Errno::EIO)),
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::doing("writing the new vault")(e)),
        }
    }
    file.sync().map_err(Error::doing("syncing the new vault"))
}

/// The new file is in place, but maybe not to stay. An error must mean that
/// nothing changed, so the old one is put back.
fn take_back(disk: &dyn Disk, old: Option<&[u8]>, errno: Errno) -> Error {
    let done = match old {
        Some(old) => replace(disk, Name::Vault, old).is_ok(),
        None => disk.unlink(Name::Vault).is_ok() && disk.sync().is_ok(),
    };
    if done { Error::doing(SYNC)(errno) } else { Error::InDoubt(errno) }
}
