//! A slot: the root key, wrapped for one passphrase or key.

use strongroom_sys::random;
use strongroom_sys::secret::{Arena, Stored};

use crate::bytes::Reader;
use crate::cost::Cost;
use crate::crypto::{self, KEY, NONCE, TAG};
use crate::error::Error;
use crate::header::Id;
use crate::limits::MAX_LABEL;
use crate::unlock::{Kind, Label, NewSlot, Unlock};

/// Bytes of a slot's salt.
const SALT: usize = 32;

const PASSPHRASE: u8 = 1;
const KEY_MATERIAL: u8 = 2;

/// One way to open the vault.
#[derive(Clone, PartialEq, Eq)]
pub struct Slot {
    label: Label,
    kind: Kind,
    salt: [u8; SALT],
    nonce: [u8; NONCE],
    wrapped: [u8; KEY],
    tag: [u8; TAG],
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot({:?}, {:?})", self.label.as_str(), self.kind)
    }
}

impl Slot {
    /// What people call it.
    #[must_use]
    pub const fn label(&self) -> &Label {
        &self.label
    }

    /// What opens it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Wraps the root key.
    pub(crate) fn wrap(
        new: &NewSlot<'_>,
        id: &Id,
        root: &Stored,
        arena: &Arena,
    ) -> Result<Self, Error> {
        let mut slot = Self {
            label: new.label.clone(),
            kind: new.kind()?,
            salt: random_array()?,
            nonce: random_array()?,
            wrapped: [0; KEY],
            tag: [0; TAG],
        };
        let key = new.unlock.derive(slot.kind, &slot.salt, arena)?;
        slot.tag = crypto::seal(&key, &slot.nonce, &slot.context(id), root, &mut slot.wrapped)
            .ok_or(Error::DAMAGED)?;
        Ok(slot)
    }

    /// The root key, if this opens the slot.
    pub(crate) fn unwrap(
        &self,
        unlock: &Unlock,
        id: &Id,
        arena: &Arena,
    ) -> Result<Option<Stored>, Error> {
        let key = unlock.derive(self.kind, &self.salt, arena)?;
        let mut root = arena.zeroed(KEY)?;
        let context = self.context(id);
        let opened = crypto::open(&key, &self.nonce, &context, &self.wrapped, &self.tag, &mut root);
        Ok(opened.map(|()| root))
    }

    /// What the wrapping is bound to: which vault, and all that the slot says
    /// in the clear.
    fn context(&self, id: &Id) -> Vec<u8> {
        let mut bytes = id.as_bytes().to_vec();
        self.write_plain(&mut bytes);
        bytes
    }

    fn write_plain(&self, bytes: &mut Vec<u8>) {
        bytes.push(match self.kind {
            Kind::Passphrase(_) => PASSPHRASE,
            Kind::Key => KEY_MATERIAL,
        });
        let label = self.label.as_str().as_bytes();
        // A label has at most 32 bytes.
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label);
        if let Kind::Passphrase(cost) = self.kind {
            cost.write(bytes);
        }
        bytes.extend_from_slice(&self.salt);
    }

    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        self.write_plain(bytes);
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&self.wrapped);
        bytes.extend_from_slice(&self.tag);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let kind = reader.u8()?;
        let length = usize::from(reader.u8()?);
        if length > MAX_LABEL {
            return None;
        }
        let label = std::str::from_utf8(reader.take(length)?).ok()?;
        Some(Self {
            label: Label::new(label).ok()?,
            kind: match kind {
                PASSPHRASE => Kind::Passphrase(Cost::read(reader)?),
                KEY_MATERIAL => Kind::Key,
                _ => return None,
            },
            salt: reader.array()?,
            nonce: reader.array()?,
            wrapped: reader.array()?,
            tag: reader.array()?,
        })
    }
}

/// Fresh random bytes.
pub(crate) fn random_array<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    random::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes)
}
