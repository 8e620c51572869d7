//! The session's credentials: those of the vault, those found at the start,
//! who asked for which, and when each was used last. Nothing here leaves but
//! by [`Credentials::value`], into a finished jail.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::os::fd::BorrowedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use strongroom_protocol::codes::Code;
use strongroom_protocol::intake::Key;
use strongroom_protocol::types::CredentialName;
use strongroom_redact::{Patterns, Region};
use strongroom_sys::secret::{Arena, Backend, Full, Stored};
use strongroom_vault::disk::Folder;
use strongroom_vault::value::{Weakness, check_value};
use strongroom_vault::{Entry, Error, Unlock, Vault, look};

use crate::log;
use crate::requests::Requests;

/// All of them.
#[derive(Debug)]
pub struct Credentials {
    /// What agents ask for.
    pub requests: Requests,
    vault: Vault,
    /// Hides what the vault has under the same name, until the session ends.
    found: Vault,
    /// Must not be used again, even where the disk did not take it.
    withheld: BTreeSet<CredentialName>,
    /// Earlier values, which stay hidden in output.
    retired: Vec<(CredentialName, Stored)>,
    used: BTreeMap<CredentialName, u64>,
    arena: Arena,
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The credential's version now; 0: it is gone.
    pub version: u64,
    /// The vault's name and its generation now; `None`: it is in memory only.
    pub written: Option<([u8; 16], u64)>,
}

impl Credentials {
    /// Those of a vault. What is found at the start is kept beside it.
    ///
    /// # Errors
    /// [`Code::Internal`]: the kernel gave no random bytes.
    pub fn new(vault: Vault, arena: Arena) -> Result<Self, Code> {
        Ok(Self {
            requests: Requests::default(),
            found: Vault::memory(&arena).map_err(code)?,
            vault,
            withheld: BTreeSet::new(),
            retired: Vec::new(),
            used: BTreeMap::new(),
            arena,
        })
    }

    /// Takes over one that was found at the start. The operator put it there,
    /// so a short value is taken; it is then not hidden everywhere.
    ///
    /// # Errors
    /// [`Code`]: it is empty or too long, or there is no room.
    pub fn take_over(&mut self, name: &CredentialName, value: &[u8]) -> Result<(), Code> {
        self.found.put(name.clone(), value, true, now()).map(drop).map_err(code)
    }

    /// Its value can be granted.
    pub fn there(&self, name: &CredentialName) -> bool {
        self.value(name).is_some()
    }

    /// Its value.
    pub fn value(&self, name: &CredentialName) -> Option<&[u8]> {
        let value = self.entry(name).and_then(Entry::value);
        value.filter(|_| !self.withheld.contains(name))
    }

    /// It exists, with a value or revoked.
    pub fn knows(&self, name: &CredentialName) -> bool {
        self.entry(name).is_some()
    }

    /// A value that cannot be hidden in output is refused, unless forced.
    ///
    /// # Errors
    /// [`Code::BadValue`].
    pub fn check(&self, value: &[u8], force: bool) -> Result<(), Code> {
        match check_value(value) {
            Ok(()) => Ok(()),
            Err(Weakness::Empty) => Err(Code::BadValue),
            Err(_) if force => Ok(()),
            Err(_) => Err(Code::BadValue),
        }
    }

    /// Keeps a value; who asked for it has been heard.
    ///
    /// # Errors
    /// [`Code`]: the vault is as it was before.
    pub fn put(
        &mut self,
        name: &CredentialName,
        value: &[u8],
        force: bool,
    ) -> Result<Change, Code> {
        let before = self.copy_of(name)?;
        let put = self.vault.put(name.clone(), value, force, now()).map_err(code)?;
        self.retired.extend(before);
        let _ = self.found.delete(name);
        self.withheld.remove(name);
        self.requests.fulfilled(name);
        Ok(self.change(put.version))
    }

    /// Nobody gets it from now on.
    pub fn withhold(&mut self, name: &CredentialName) {
        if self.knows(name) {
            self.withheld.insert(name.clone());
        }
    }

    /// Erases its value; its name stays.
    ///
    /// # Errors
    /// [`Code`]: it stays withheld, but the vault file still has it.
    pub fn revoke(&mut self, name: &CredentialName) -> Result<Change, Code> {
        self.withdraw(name, |vault| vault.revoke(name, now()))
    }

    /// Erases its value and its name.
    ///
    /// # Errors
    /// [`Code`]: it stays withheld, but the vault file still has it.
    pub fn delete(&mut self, name: &CredentialName) -> Result<Change, Code> {
        self.withdraw(name, |vault| vault.delete(name))
    }

    fn withdraw<T>(
        &mut self,
        name: &CredentialName,
        how: impl Fn(&mut Vault) -> Result<T, Error>,
    ) -> Result<Change, Code> {
        let before = self.copy_of(name)?;
        for vault in [&mut self.found, &mut self.vault] {
            if vault.get(name).is_some() {
                how(vault).map_err(code)?;
            }
        }
        self.retired.extend(before);
        self.withheld.remove(name);
        Ok(self.change(0))
    }

    /// Notes that a command got these.
    pub fn note_use(&mut self, names: &[CredentialName]) {
        self.used.extend(names.iter().map(|name| (name.clone(), now())));
    }

    /// When a command last got it, seconds since 1970; 0: not in this session.
    pub fn last_used(&self, name: &CredentialName) -> u64 {
        self.used.get(name).copied().unwrap_or(0)
    }

    /// When it was first entered, likewise.
    pub fn created(&self, name: &CredentialName) -> u64 {
        self.entry(name).map_or(0, Entry::created)
    }

    /// When its value was last changed, likewise; 0: its value is not there.
    pub fn changed(&self, name: &CredentialName) -> u64 {
        self.entry(name).filter(|_| self.there(name)).map_or(0, Entry::rotated)
    }

    /// Its version.
    pub fn version(&self, name: &CredentialName) -> u64 {
        self.entry(name).map_or(0, Entry::version)
    }

    /// It was revoked.
    pub fn is_revoked(&self, name: &CredentialName) -> bool {
        self.entry(name).is_some_and(|entry| entry.revoked().is_some())
            || self.withheld.contains(name)
    }

    /// All names, those of revoked ones included.
    pub fn names(&self) -> impl Iterator<Item = &CredentialName> {
        self.vault.entries().chain(self.found.entries()).map(|(name, _)| name)
    }

    /// Those that were found at the start.
    pub fn taken_over(&self) -> impl Iterator<Item = &CredentialName> {
        self.found.entries().map(|(name, _)| name)
    }

    /// How many have a value.
    pub fn count(&self) -> usize {
        let names: BTreeSet<_> = self.names().filter(|name| self.there(name)).collect();
        names.len()
    }

    /// The vault's random name and its generation; `None`: memory only.
    pub fn file(&self) -> Option<([u8; 16], u64)> {
        let generation = self.vault.generation();
        (generation != 0).then(|| (*self.vault.id().as_bytes(), generation))
    }

    /// Generation of the vault file; 0: memory only.
    pub fn generation(&self) -> u64 {
        self.file().map_or(0, |(_, generation)| generation)
    }

    /// How the memory that holds the values is kept from swap and cores.
    pub fn backend(&self) -> Backend {
        self.arena.backend()
    }

    /// What hides every value there is and was in this session.
    pub fn patterns(&self) -> Patterns {
        let kept = self.vault.entries().chain(self.found.entries());
        let values = kept.filter_map(|(name, entry)| Some((name.as_bytes(), entry.value()?)));
        let retired = self.retired.iter().map(|(name, value)| (name.as_bytes(), &**value));
        let values: Vec<_> = values.chain(retired).collect();
        let Ok(patterns) = Patterns::build_in(&values, |length| self.region(length));
        patterns
    }

    fn entry(&self, name: &CredentialName) -> Option<&Entry> {
        self.found.get(name).or_else(|| self.vault.get(name))
    }

    /// Copies of the values that a change is about to replace.
    fn copy_of(&self, name: &CredentialName) -> Result<Vec<(CredentialName, Stored)>, Code> {
        [&self.found, &self.vault]
            .iter()
            .filter_map(|vault| vault.get(name).and_then(Entry::value))
            .map(|value| {
                let copy = self.arena.store(value).map_err(|_| Code::VaultFull)?;
                Ok((name.clone(), copy))
            })
            .collect()
    }

    /// Room for encoded values: in the arena or, where it is full, in memory
    /// that is wiped but may be swapped.
    fn region(&self, length: usize) -> Result<Box<dyn Region>, Infallible> {
        Ok(match self.arena.zeroed(length) {
            Ok(room) => Box::new(room),
            Err(Full) => Box::new(vec![0; length]),
        })
    }

    fn change(&self, version: u64) -> Change {
        Change { version, written: self.file() }
    }
}

/// Opens the vault in `folder`. Without a file, and without a key for one,
/// credentials are in memory only.
///
/// # Errors
/// [`Code`]; the operator has been told more.
pub fn open(folder: BorrowedFd<'_>, arena: &Arena, key: Option<&Key>) -> Result<Vault, Code> {
    match key {
        Some(key) => {
            let key = unlock(arena, key).map_err(code)?;
            let disk = Folder::open(folder).map_err(code)?;
            Vault::open(Box::new(disk), arena, &key).map_err(code)
        }
        None => match look::read(folder) {
            Err(Error::Missing { previous: false }) => Vault::memory(arena).map_err(code),
            Err(error) => Err(code(error)),
            Ok(_) => Err(Code::VaultLocked),
        },
    }
}

fn unlock(arena: &Arena, key: &Key) -> Result<Unlock, Error> {
    match key {
        Key::Passphrase(secret) => Unlock::passphrase(arena.store(secret.as_bytes())?),
        Key::File(secret) => Unlock::key(arena.store(secret.as_bytes())?),
    }
}

/// Tells the operator what went wrong, and the rest of the program its code.
pub fn code(error: Error) -> Code {
    let code = match error {
        Error::WrongKey
        | Error::NoSlotOfThisKind
        | Error::BadKeyLength
        | Error::BadPassphraseLength
        | Error::NoMemory => Code::VaultLocked,
        Error::Damaged { .. } | Error::Version(_) | Error::NotOurs(_) => Code::VaultDamaged,
        Error::Busy => Code::VaultBusy,
        Error::Missing { .. } => Code::NoVault,
        Error::Exists => Code::VaultExists,
        Error::Unknown => Code::UnknownCredential,
        Error::Weak(_) | Error::ValueTooLong => Code::BadValue,
        Error::ArenaFull | Error::TooManyEntries | Error::TooBig => Code::VaultFull,
        Error::Disk { .. } | Error::InDoubt(_) => Code::VaultUnwritable,
        _ => Code::Internal,
    };
    log::line(format_args!("{code}: {error}"));
    code
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
