//! A vault's credentials as an age file (age-encryption.org/v1), for backup
//! and to move them: any age program opens it, and finds the text that
//! `strongroom_vault::Vault::export` describes.
//!
//! A crate of its own, and not a feature of the vault: a feature that the
//! command line switches on is on for the broker too when both are built
//! together, and age brings more than a hundred crates. Only the command line
//! links it.
//!
//! The plaintext is in the arena here. What the age library holds of it while
//! it encrypts (up to 64 KiB at a time) it does not wipe; the process that
//! exports ends soon after.
#![forbid(unsafe_code)]

use std::io::{Read, Write as _};

use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, EncryptError, Encryptor, scrypt, x25519};
use strongroom_sys::secret::{Arena, Stored};
use strongroom_vault::limits::MAX_BODY;
use strongroom_vault::{Change, Vault};

/// Bytes of an age file, at most: values are in hexadecimal inside.
pub const MAX_FILE: usize = 2 * MAX_BODY + 256 * 1024;

/// Why an export or import failed. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The vault could not be read, or not take what was imported.
    Vault(strongroom_vault::Error),
    /// A passphrase for age is UTF-8.
    BadPassphrase,
    /// Not an age recipient: `age1…`.
    BadRecipient,
    /// Not an age identity file: lines that begin with `AGE-SECRET-KEY-1` or `#`.
    BadIdentity,
    /// Neither passphrase nor recipient, or no identity.
    NoKey,
    /// The passphrase or identity does not open the file.
    WrongKey,
    /// The file's passphrase is made more expensive than this machine likes.
    TooExpensive,
    /// Longer than an export can be.
    TooBig,
    /// Not an age file, or not one as it was written.
    Damaged,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Vault(error) => return error.fmt(f),
            Self::BadPassphrase => "a passphrase for an age file must be UTF-8",
            Self::BadRecipient => "not an age recipient (age1...)",
            Self::BadIdentity => "not an age identity file (AGE-SECRET-KEY-1...)",
            Self::NoKey => "neither a passphrase nor a key for the age file",
            Self::WrongKey => "the age file does not open with this key",
            Self::TooExpensive => "the age file's passphrase costs more work than is accepted",
            Self::TooBig => "the age file is longer than an export can be",
            Self::Damaged => "not an age file, or a damaged one",
        })
    }
}

impl std::error::Error for Error {}

impl From<strongroom_vault::Error> for Error {
    fn from(error: strongroom_vault::Error) -> Self {
        Self::Vault(error)
    }
}

/// For whom an export is encrypted.
pub struct To(Vec<Box<dyn age::Recipient>>);

impl To {
    /// For who knows a passphrase. Finds out how much work takes this machine
    /// a second, which takes one.
    ///
    /// # Errors
    /// [`Error::BadPassphrase`].
    pub fn passphrase(passphrase: &Stored) -> Result<Self, Error> {
        Ok(Self(vec![Box::new(scrypt::Recipient::new(text(passphrase)?))]))
    }

    /// For the holders of these keys: `age1…`, any one of them.
    ///
    /// # Errors
    /// [`Error::BadRecipient`]; [`Error::NoKey`] without any.
    pub fn recipients<'a>(recipients: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let parse = |text: &str| -> Result<Box<dyn age::Recipient>, Error> {
            let recipient: x25519::Recipient = text.parse().map_err(|_| Error::BadRecipient)?;
            Ok(Box::new(recipient))
        };
        let recipients = recipients.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if recipients.is_empty() { Err(Error::NoKey) } else { Ok(Self(recipients)) }
    }
}

/// What opens an age file.
pub struct With(Vec<Box<dyn age::Identity>>);

impl With {
    /// A passphrase.
    ///
    /// # Errors
    /// [`Error::BadPassphrase`].
    pub fn passphrase(passphrase: &Stored) -> Result<Self, Error> {
        Ok(Self(vec![Box::new(scrypt::Identity::new(text(passphrase)?))]))
    }

    /// The content of an identity file, as age-keygen writes it.
    ///
    /// # Errors
    /// [`Error::BadIdentity`]; [`Error::NoKey`] where it holds none.
    pub fn identities(file: &Stored) -> Result<Self, Error> {
        let text = std::str::from_utf8(file).map_err(|_| Error::BadIdentity)?;
        let parse = |line: &str| -> Result<Box<dyn age::Identity>, Error> {
            let identity: x25519::Identity = line.parse().map_err(|_| Error::BadIdentity)?;
            Ok(Box::new(identity))
        };
        let lines = text.lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let identities = keys.map(parse).collect::<Result<Vec<_>, _>>()?;
        if identities.is_empty() { Err(Error::NoKey) } else { Ok(Self(identities)) }
    }
}

fn text(passphrase: &Stored) -> Result<SecretString, Error> {
    std::str::from_utf8(passphrase).map(SecretString::from).map_err(|_| Error::BadPassphrase)
}

/// All credentials of a vault, as the bytes of an age file.
///
/// # Errors
/// [`Error::Vault`] where the arena is too small for the text.
pub fn export(vault: &Vault, to: &To) -> Result<Vec<u8>, Error> {
    let plain = vault.export()?;
    let recipients = to.0.iter().map(|recipient| &**recipient);
    let encryptor = Encryptor::with_recipients(recipients).map_err(refused)?;
    let mut file = Vec::new();
    // Writing to memory does not fail.
    let written = encryptor.wrap_output(&mut file).and_then(|mut out| {
        out.write_all(&plain)?;
        out.finish().map(drop)
    });
    written.map_err(|_| Error::TooBig)?;
    Ok(file)
}

fn refused(error: EncryptError) -> Error {
    match error {
        EncryptError::MissingRecipients => Error::NoKey,
        _ => Error::BadRecipient,
    }
}

/// Takes all credentials of an age file into a vault: all or none. `replace`:
/// also those of a name that is there already.
///
/// # Errors
/// [`Error`].
pub fn import(
    vault: &mut Vault,
    file: &[u8],
    with: &With,
    replace: bool,
    arena: &Arena,
) -> Result<Change, Error> {
    let plain = decrypt(file, with, arena)?;
    Ok(vault.import(&plain, replace)?)
}

fn decrypt(file: &[u8], with: &With, arena: &Arena) -> Result<Stored, Error> {
    if file.len() > MAX_FILE {
        return Err(Error::TooBig);
    }
    let decryptor = Decryptor::new_buffered(file).map_err(cause)?;
    let identities = with.0.iter().map(|identity| &**identity);
    let mut reader = decryptor.decrypt(identities).map_err(cause)?;
    // A plaintext is shorter than its file.
    let mut plain = arena.zeroed(file.len()).map_err(strongroom_vault::Error::from)?;
    let mut length = 0;
    while let Some(rest) = plain.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest).map_err(|_| Error::Damaged)? {
            0 => break,
            n => length += n,
        }
    }
    plain.truncate(length);
    Ok(plain)
}

fn cause(error: DecryptError) -> Error {
    match error {
        DecryptError::NoMatchingKeys
        | DecryptError::DecryptionFailed
        | DecryptError::KeyDecryptionFailed => Error::WrongKey,
        DecryptError::ExcessiveWork { .. } => Error::TooExpensive,
        _ => Error::Damaged,
    }
}
