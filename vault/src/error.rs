//! What can go wrong. No error holds a value, a key or their lengths.

use strongroom_sys::Errno;
use strongroom_sys::secret::Full;

use crate::value::Weakness;

/// Why something could not be done. Unless it says otherwise, the file and the
/// credentials in memory are as they were before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// A system call on the vault's folder failed.
    Disk {
        /// What was being done.
        doing: &'static str,
        /// Why it failed: `ENOSPC`, `EROFS`, `EIO` …
        errno: Errno,
    },
    /// The new file is in place, but the disk could neither promise to keep it
    /// nor take the old one back. In memory nothing changed, and nothing can
    /// be changed any more until the vault is opened again.
    InDoubt(Errno),
    /// Another process has the vault open for writing.
    Busy,
    /// A file or the folder is not what it must be; says what.
    NotOurs(&'static str),
    /// There is no vault file.
    Missing {
        /// There is a `vault.previous`, though.
        previous: bool,
    },
    /// There is a vault, or a previous one, already.
    Exists,
    /// Not a vault file, or not one as it was written.
    Damaged {
        /// The generation of `vault.previous`, where that can be opened with
        /// the same key.
        previous: Option<u64>,
    },
    /// A vault file of a version this program does not know.
    Version(u16),
    /// No slot opens with this passphrase or key.
    WrongKey,
    /// There is no slot of this kind: only passphrases, or only keys.
    NoSlotOfThisKind,
    /// No slot has this number.
    NoSuchSlot,
    /// The last slot cannot be removed: nothing could open the vault again.
    LastSlot,
    /// No room for a further slot.
    TooManySlots,
    /// A label is 1 to 32 printable ASCII characters.
    BadLabel,
    /// Key material has 32 to 4096 bytes.
    BadKeyLength,
    /// A passphrase has 8 to 1024 bytes.
    BadPassphraseLength,
    /// Argon2id parameters out of bounds.
    BadCost,
    /// Not enough memory for the key derivation.
    NoMemory,
    /// The memory for secrets is full.
    ArenaFull,
    /// No room for a further credential.
    TooManyEntries,
    /// All values together are too long.
    TooBig,
    /// The value is longer than a credential may be.
    ValueTooLong,
    /// The value is none that could be kept secret.
    Weak(Weakness),
    /// There is no credential of this name.
    Unknown,
    /// A credential of this name is there already.
    NameTaken,
    /// Not an export, or not one as it was written; in which line.
    BadExport(usize),
    /// The vault has changed as often as a number can count.
    LastGeneration,
    /// This vault is in memory only.
    MemoryOnly,
    /// The vault was wiped.
    Wiped,
    /// The kernel gave no random bytes.
    Random(Errno),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Disk { doing, errno } => return write!(f, "{doing}: {}", errno.desc()),
            Self::InDoubt(errno) => {
                return write!(
                    f,
                    "the disk did not say whether it kept the new vault ({}); open it again to see",
                    errno.desc()
                );
            }
            Self::NotOurs(what) => return write!(f, "refused: {what}"),
            Self::Damaged { previous: Some(generation) } => {
                return write!(
                    f,
                    "the vault file is damaged; vault.previous (generation {generation}) is sound"
                );
            }
            Self::Version(version) => {
                return write!(f, "the vault file has version {version}, which is not known here");
            }
            Self::Weak(weakness) => return weakness.fmt(f),
            Self::BadExport(line) => return write!(f, "line {line} is not one of an export"),
            Self::Random(errno) => return write!(f, "no random bytes: {}", errno.desc()),
            Self::Busy => "the vault is in use by another process",
            Self::Missing { previous: true } => "there is no vault file, only a vault.previous",
            Self::Missing { previous: false } => "there is no vault file",
            Self::Exists => "there is a vault, or a vault.previous, already",
            Self::Damaged { previous: None } => "the vault file is damaged",
            Self::WrongKey => "no slot of the vault opens with this key",
            Self::NoSlotOfThisKind => "the vault has no slot for this kind of key",
            Self::NoSuchSlot => "the vault has no slot of this number",
            Self::LastSlot => "the last slot cannot be removed",
            Self::TooManySlots => "the vault has as many slots as it may",
            Self::BadLabel => "a label is 1 to 32 printable ASCII characters",
            Self::BadKeyLength => "key material has 32 to 4096 bytes",
            Self::BadPassphraseLength => "a passphrase has 8 to 1024 bytes",
            Self::BadCost => "Argon2id parameters out of bounds",
            Self::NoMemory => "not enough memory to derive a key from a passphrase",
            Self::ArenaFull => return Full.fmt(f),
            Self::TooManyEntries => "the vault holds as many credentials as it may",
            Self::TooBig => "the values of all credentials together are too long",
            Self::ValueTooLong => "the value is longer than 64 KiB",
            Self::Unknown => "there is no credential of this name",
            Self::NameTaken => "a credential of this name is there already",
            Self::LastGeneration => "the vault has no generation left",
            Self::MemoryOnly => "there is no vault file: credentials are in memory only",
            Self::Wiped => "the vault was wiped",
        };
        f.write_str(text)
    }
}

impl std::error::Error for Error {}

impl From<Full> for Error {
    fn from(_: Full) -> Self {
        Self::ArenaFull
    }
}

impl Error {
    /// The vault file is damaged, and nothing is known of the previous one.
    pub(crate) const DAMAGED: Self = Self::Damaged { previous: None };

    /// An errno becomes an error that says what was being done.
    pub(crate) fn doing(doing: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::Disk { doing, errno }
    }
}
