//! The whole file: header, sealed body, checksum. `docs/vault-format.md` is
//! its description, and `tests/decode.py` another reader of it.

use strongroom_sys::secret::{Arena, Stored};

use crate::bytes::Reader;
use crate::crypto::{self, DIGEST, TAG};
use crate::error::Error;
use crate::header::{Header, Id, MAGIC, MAX_GENERATION, VERSION};
use crate::limits::MAX_FILE;
use crate::slot::{Slot, random_array};
use crate::unlock::Unlock;

/// Seals a body: the bytes of a whole file.
pub(crate) fn seal(
    id: Id,
    generation: u64,
    slots: &[Slot],
    root: &Stored,
    body: &Stored,
) -> Result<Vec<u8>, Error> {
    if generation >= MAX_GENERATION {
        return Err(Error::LastGeneration);
    }
    let header =
        Header { id, generation, slots: slots.to_vec(), nonce: random_array()?, body: body.len() };
    let mut file = header.write();
    let start = file.len();
    let context = file.clone();
    file.resize(start + body.len(), 0);
    let place = file.get_mut(start..).ok_or(Error::TooBig)?;
    let tag = crypto::seal(root, &header.nonce, &context, body, place).ok_or(Error::TooBig)?;
    file.extend_from_slice(&tag);
    let digest = crypto::digest(&file);
    file.extend_from_slice(&digest);
    Ok(file)
}

/// A file, taken apart but not opened: it is whole, and says what it says.
pub(crate) struct Sealed<'a> {
    pub header: Header,
    /// The header's bytes: the body's associated data.
    context: &'a [u8],
    body: &'a [u8],
    tag: [u8; TAG],
    pub digest: [u8; DIGEST],
}

impl<'a> Sealed<'a> {
    /// Takes a file apart.
    ///
    /// The checksum comes first: it has no key, so it stops no attacker, but
    /// it tells a file that rotted from a passphrase that was mistyped, and
    /// before the passphrase is asked for.
    ///
    /// # Errors
    /// [`Error::Damaged`]; [`Error::Version`] where it is whole and newer.
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        if file.len() > MAX_FILE {
            return Err(Error::DAMAGED);
        }
        let (rest, digest) = file.split_last_chunk::<DIGEST>().ok_or(Error::DAMAGED)?;
        let mut reader = Reader::new(rest);
        let magic = reader.array() == Some(*MAGIC);
        if !magic || crypto::digest(rest) != *digest {
            return Err(Error::DAMAGED);
        }
        match reader.u16() {
            Some(VERSION) => {}
            Some(version) => return Err(Error::Version(version)),
            None => return Err(Error::DAMAGED),
        }
        let header = Header::read(&mut reader).ok_or(Error::DAMAGED)?;
        let (context, _) =
            rest.split_at_checked(rest.len() - reader.rest().len()).ok_or(Error::DAMAGED)?;
        let body = reader.take(header.body).ok_or(Error::DAMAGED)?;
        let tag = reader.array().ok_or(Error::DAMAGED)?;
        if !reader.rest().is_empty() {
            return Err(Error::DAMAGED);
        }
        Ok(Self { header, context, body, tag, digest: *digest })
    }

    /// The root key, from whichever slot opens.
    ///
    /// # Errors
    /// [`Error::WrongKey`], [`Error::NoSlotOfThisKind`], [`Error::NoMemory`].
    pub fn unlock(&self, unlock: &Unlock, arena: &Arena) -> Result<Stored, Error> {
        let mut error = Error::NoSlotOfThisKind;
        for slot in self.header.slots.iter().filter(|slot| unlock.fits(slot.kind())) {
            if let Some(root) = slot.unwrap(unlock, &self.header.id, arena)? {
                return Ok(root);
            }
            error = Error::WrongKey;
        }
        Err(error)
    }

    /// The body.
    ///
    /// # Errors
    /// [`Error::Damaged`]: the key opened a slot, so the file is at fault.
    pub fn open(&self, root: &Stored, arena: &Arena) -> Result<Stored, Error> {
        let mut body = arena.zeroed(self.body.len())?;
        crypto::open(root, &self.header.nonce, self.context, self.body, &self.tag, &mut body)
            .ok_or(Error::DAMAGED)?;
        Ok(body)
    }
}
