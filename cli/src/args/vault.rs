//! The verbs about the vault file, and what opens it, as types.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::State;

/// What opens the vault. Never an argument or a variable: others can see
/// those.
#[derive(Debug, Default, Args)]
#[group(id = "vault-key-source", multiple = false)]
pub struct Key {
    /// Key file of the vault. Without any of these three
    /// $CREDENTIALS_DIRECTORY/strongroom-vault-key, else
    /// /run/secrets/strongroom-vault-key, else a passphrase is asked for on the
    /// terminal.
    #[arg(id = "vault-key", long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Read the key file's content from this descriptor.
    #[arg(id = "vault-key-fd", long, value_name = "N", value_parser = descriptor)]
    pub key_fd: Option<i32>,
    /// Read the passphrase from this descriptor.
    #[arg(id = "vault-passphrase-fd", long, value_name = "N", value_parser = descriptor)]
    pub passphrase_fd: Option<i32>,
}

impl Key {
    /// The descriptors it names.
    pub fn descriptors(&self) -> impl Iterator<Item = i32> {
        self.key_fd.into_iter().chain(self.passphrase_fd)
    }
}

/// What is to open the vault from now on. Without any of these a passphrase
/// is asked for on the terminal, twice.
#[derive(Debug, Default, Args)]
#[group(id = "new-key-source", multiple = false)]
pub struct NewKey {
    /// Make a new key file, with a random key.
    #[arg(id = "new-key", long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Read the new key from this descriptor.
    #[arg(id = "new-key-fd", long, value_name = "N", value_parser = descriptor)]
    pub key_fd: Option<i32>,
    /// Read the new passphrase from this descriptor.
    #[arg(id = "new-passphrase-fd", long, value_name = "N", value_parser = descriptor)]
    pub passphrase_fd: Option<i32>,
}

impl NewKey {
    /// The descriptors it names.
    pub fn descriptors(&self) -> impl Iterator<Item = i32> {
        self.key_fd.into_iter().chain(self.passphrase_fd)
    }
}

/// `strongroom vault`.
#[derive(Debug, Args)]
#[command(
    after_help = "The vault is the file `vault` in the state folder. It is encrypted with a random key, which each of \
its slots keeps for one passphrase or key file. No session may use the state folder meanwhile."
)]
pub struct Vault {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an empty vault.
    Init {
        #[command(flatten)]
        state: State,
        #[command(flatten)]
        new: NewKey,
        /// A name for the first slot.
        #[arg(long, value_name = "TEXT", default_value = "first")]
        label: String,
    },
    /// Show the slots: what can open the vault.
    Slots {
        #[command(flatten)]
        state: State,
    },
    /// Add or remove a slot.
    Slot {
        /// What to do.
        #[command(subcommand)]
        verb: SlotVerb,
    },
    /// Make a new random key and encrypt everything with it. What opened the
    /// vault opens it again, as the only slot; others can be added again.
    Rekey {
        #[command(flatten)]
        state: State,
        #[command(flatten)]
        key: Key,
        /// A name for the slot.
        #[arg(long, value_name = "TEXT", default_value = "first")]
        label: String,
    },
    /// Copy the vault file, encrypted as it is.
    Backup {
        /// The new file.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        #[command(flatten)]
        state: State,
        #[command(flatten)]
        key: Key,
    },
    /// Put a backup in the vault's place. The file that was there is kept as
    /// vault.previous.
    Restore {
        /// The backup; without it the file vault.previous.
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
        #[command(flatten)]
        state: State,
        #[command(flatten)]
        key: Key,
    },
    /// Take the vault file as it is, though the audit log has seen a later
    /// one: a backup was restored, and what was changed since is lost.
    Accept {
        #[command(flatten)]
        state: State,
        #[command(flatten)]
        key: Key,
    },
}

/// The verbs of `strongroom vault slot`.
#[derive(Debug, Subcommand)]
pub enum SlotVerb {
    /// Let another passphrase or key file open the vault.
    Add {
        #[command(flatten)]
        state: State,
        #[command(flatten)]
        key: Key,
        #[command(flatten)]
        new: NewKey,
        /// A name for the slot.
        #[arg(long, value_name = "TEXT")]
        label: String,
    },
    /// Remove a slot. The last one stays.
    Remove {
        /// Its number, from `strongroom vault slots`.
        slot: usize,
        #[command(flatten)]
        state: State,
        #[command(flatten)]
        key: Key,
    },
}

/// Reads the number of a descriptor to read from.
///
/// # Errors
/// What is wrong, in words.
pub fn descriptor(text: &str) -> Result<i32, String> {
    match text.parse() {
        Ok(1 | 2) => Err("1 and 2 are for output".to_owned()),
        Ok(number @ 0..) if !text.starts_with('+') => Ok(number),
        _ => Err("the number of an open descriptor".to_owned()),
    }
}
