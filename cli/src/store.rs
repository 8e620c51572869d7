//! The vault file of a state folder that no session uses.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use strongroom_protocol::codes::Code;
use strongroom_protocol::intake::Key;
use strongroom_protocol::limits::MAX_SECRET;
use strongroom_sys::secret::Arena;
use strongroom_vault::disk::{Disk, Folder};
use strongroom_vault::{Error, Unlock, Vault, look};

use crate::error::{Failure, shown};
use crate::key;
use crate::state::idle::Idle;

/// Bytes of the arena beside what the file holds: keys, and values on their
/// way in.
const ROOM: usize = 1024 * 1024 + 4 * MAX_SECRET;

/// The vault, unlocked, and the folder that is held for it.
pub struct Store {
    /// The vault.
    pub vault: Vault,
    /// What opened it.
    pub unlock: Unlock,
    /// The folder.
    pub idle: Idle,
}

impl Store {
    /// Opens the vault of a state folder, with memory for so many bytes of new
    /// values.
    ///
    /// # Errors
    /// What [`failure`] makes of the vault's errors, or the key's.
    pub fn open(idle: Idle, given: Option<key::Source>, new: usize) -> Result<Self, Failure> {
        let file = look::read(idle.broker()).map_err(|error| match error {
            Error::Missing { .. } => failure(missing(&idle), &idle.path),
            error => failure(error, &idle.path),
        })?;
        let disk = disk(&idle)?;
        let arena = arena(file.len().saturating_add(new))?;
        let unlock = unlock(&key::find(given)?, &arena)?;
        let vault =
            Vault::open(disk, &arena, &unlock).map_err(|error| failure(error, &idle.path))?;
        Ok(Self { vault, unlock, idle })
    }
}

/// Nothing, or only what was before.
fn missing(idle: &Idle) -> Error {
    let previous = nix::sys::stat::fstatat(
        idle.broker(),
        "vault.previous",
        nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
    );
    Error::Missing { previous: previous.is_ok() }
}

/// The vault's files, for us alone.
///
/// # Errors
/// [`Code::VaultBusy`], [`Code::StateUnusable`].
pub fn disk(idle: &Idle) -> Result<Box<dyn Disk>, Failure> {
    let folder = Folder::open(idle.broker()).map_err(|error| failure(error, &idle.path))?;
    Ok(Box::new(folder))
}

/// Memory for what a vault file of this length holds: twice, while it is
/// changed, and once more on the way in.
///
/// # Errors
/// [`Code::Internal`].
pub fn arena(file: usize) -> Result<Arena, Failure> {
    Arena::new(file.saturating_mul(3).saturating_add(ROOM)).map_err(|errno| {
        Failure::new(Code::Internal, format!("memory for secrets: {}", errno.desc()))
    })
}

/// Reads what opens a vault.
///
/// # Errors
/// [`Code::VaultLocked`].
pub fn unlock(source: &key::Source, arena: &Arena) -> Result<Unlock, Failure> {
    let made = match source.read()? {
        Key::Passphrase(text) => {
            arena.store(text.as_bytes()).map_err(Error::from).and_then(Unlock::passphrase)
        }
        Key::File(bytes) => {
            arena.store(bytes.as_bytes()).map_err(Error::from).and_then(Unlock::key)
        }
    };
    made.map_err(|error| Failure::new(Code::VaultLocked, error.to_string()))
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// An error of the vault, with its code.
pub fn failure(error: Error, path: &Path) -> Failure {
    let code = match error {
        Error::Disk { .. } | Error::InDoubt(_) => Code::VaultUnwritable,
        Error::Busy => Code::VaultBusy,
        Error::NotOurs(_) => Code::StateUnusable,
        Error::Missing { previous: false } => Code::NoVault,
        Error::Missing { previous: true } | Error::Damaged { .. } | Error::Version(_) => {
            Code::VaultDamaged
        }
        Error::Exists => Code::VaultExists,
        Error::WrongKey | Error::NoSlotOfThisKind | Error::NoMemory => Code::VaultLocked,
        Error::TooManySlots | Error::TooManyEntries | Error::TooBig | Error::ArenaFull => {
            Code::VaultFull
        }
        Error::ValueTooLong | Error::Weak(_) => Code::BadValue,
        Error::Unknown => Code::UnknownCredential,
        Error::MemoryOnly | Error::Wiped | Error::Random(_) => Code::Internal,
        _ => Code::BadRequest,
    };
    let message = match code {
        Code::BadValue | Code::BadRequest | Code::UnknownCredential => error.to_string(),
        _ => format!("{}: {error}", shown(path)),
    };
    Failure::new(code, message)
}
