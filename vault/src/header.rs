//! The header: what the file says in the clear. All of it is associated data
//! of the body, so none of it can be changed without the root key.

use strongroom_protocol::text::hex;

use crate::bytes::Reader;
use crate::crypto::NONCE;
use crate::error::Error;
use crate::limits::{BODY_STEP, MAX_BODY, MAX_SLOTS};
use crate::slot::{Slot, random_array};

/// The file's first bytes.
pub(crate) const MAGIC: &[u8; 8] = b"SRVAULT\n";

/// The version written, and the only one read.
pub(crate) const VERSION: u16 = 1;

/// Generations end here, so that adding to one cannot overflow.
pub(crate) const MAX_GENERATION: u64 = 1 << 63;

/// Which vault this is: random, and the same for all its generations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Id([u8; Self::LENGTH]);

impl Id {
    /// Bytes of an id.
    pub const LENGTH: usize = 16;

    pub(crate) fn random() -> Result<Self, Error> {
        random_array().map(Self)
    }

    /// An id that was kept elsewhere, to compare with.
    #[must_use]
    pub const fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl std::fmt::Debug for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Id({self})")
    }
}

/// The header of one file.
pub(crate) struct Header {
    pub id: Id,
    pub generation: u64,
    pub slots: Vec<Slot>,
    pub nonce: [u8; NONCE],
    pub body: usize,
}

impl Header {
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        // Both are bounded: at most 8 slots, at most 1 MiB.
        bytes.push(self.slots.len() as u8);
        self.slots.iter().for_each(|slot| slot.write(&mut bytes));
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&(self.body as u32).to_le_bytes());
        bytes
    }

    /// Reads what follows magic and version.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let id = Id(reader.array()?);
        let generation = reader.u64()?;
        let count = usize::from(reader.u8()?);
        if generation == 0 || generation >= MAX_GENERATION || !(1..=MAX_SLOTS).contains(&count) {
            return None;
        }
        let slots = (0..count).map(|_| Slot::read(reader)).collect::<Option<_>>()?;
        let nonce = reader.array()?;
        let body = reader.length(MAX_BODY)?;
        if body == 0 || body % BODY_STEP != 0 {
            return None;
        }
        Some(Self { id, generation, slots, nonce, body })
    }
}
