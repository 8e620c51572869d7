//! Named limits. Every length that comes out of a file is compared with one of
//! these before memory is allocated for it.

pub use strongroom_protocol::limits::MAX_SECRET;

/// Credentials in one vault, the revoked ones included.
pub const MAX_ENTRIES: usize = 512;

/// Bytes of the sealed body. All values of the greatest length do not fit
/// together; 15 of them do. The broker's memory for secrets takes a whole one,
/// the values in it, and a new one while it is written.
pub const MAX_BODY: usize = 1024 * 1024;

/// The body's length is a multiple of this, so that the file's length does not
/// tell how long a value is.
pub const BODY_STEP: usize = 4096;

/// Ways to unlock one vault.
pub const MAX_SLOTS: usize = 8;

/// Bytes of a slot's label.
pub const MAX_LABEL: usize = 32;

/// Bytes of key material, at least: a key of 256 bits.
pub const MIN_KEY: usize = 32;

/// Bytes of key material, at most.
pub const MAX_KEY: usize = 4096;

/// Bytes of a new passphrase, at least. Argon2id makes each guess cost most of
/// a second, which does not save a shorter one.
pub const MIN_PASSPHRASE: usize = 8;

/// Bytes of a passphrase, at most.
pub const MAX_PASSPHRASE: usize = 1024;

/// Bytes of a vault file: the header is far shorter than one step.
pub const MAX_FILE: usize = MAX_BODY + BODY_STEP;
