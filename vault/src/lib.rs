//! The vault: credentials in one sealed file, and in one locked piece of
//! memory. The broker uses it live, the command line when nothing runs.
//!
//! * [`Vault`]: unlock, read, change. `vault` holds it together, `change` and
//!   `keys` are its verbs.
//! * `sealed`, `header`, `slot`, `body`: the file, layer by layer, as
//!   `docs/vault-format.md` has it. `crypto` and `cost` are the primitives.
//! * [`disk`]: every system call on the vault's folder. `store`: in which
//!   order, so that a crash loses nothing.
//! * [`value`]: what is too weak to be kept secret.
//! * [`look`]: a file seen from outside. `interchange`: everything as text.
#![forbid(unsafe_code)]

mod body;
mod bytes;
mod change;
mod cost;
mod crypto;
pub mod disk;
mod entry;
mod error;
mod header;
mod interchange;
mod keys;
pub mod limits;
pub mod look;
mod memory;
mod sealed;
mod slot;
mod store;
mod unlock;
pub mod value;
mod vault;

pub use change::Change;
pub use cost::Cost;
pub use entry::Entry;
pub use error::Error;
pub use header::Id;
pub use slot::Slot;
pub use unlock::{Kind, Label, NewSlot, Unlock};
pub use vault::Vault;
