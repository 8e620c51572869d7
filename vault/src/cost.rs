//! What unlocking by passphrase costs: Argon2id (RFC 9106) and its parameters.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroize as _;

use crate::bytes::Reader;
use crate::error::Error;
use crate::memory;

/// KiB in a MiB.
const MIB: u32 = 1024;

/// How much memory, how often over it, and in how many lanes. The lanes are
/// computed one after the other: the broker can make no thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// For machines that have the memory: four times RFC 9106's second
    /// recommendation.
    pub const USUAL: Self = Self { memory_kib: 256 * MIB, passes: 3, lanes: 4 };

    /// RFC 9106's second recommendation, and the least accepted memory.
    pub const LEAST: Self = Self { memory_kib: 64 * MIB, ..Self::USUAL };

    /// The most memory accepted: a file put in the vault's place must not
    /// exhaust the machine before its key is known to be wrong.
    const MAX_MEMORY_KIB: u32 = 1024 * MIB;
    const MAX_PASSES: u32 = 16;
    const MAX_LANES: u32 = 16;

    /// Checks the bounds: 64 MiB to 1 GiB, 1 to 16 passes, 1 to 16 lanes.
    ///
    /// # Errors
    /// [`Error::BadCost`].
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, Error> {
        let memory = memory_kib >= Self::LEAST.memory_kib && memory_kib <= Self::MAX_MEMORY_KIB;
        let passes_fit = passes >= 1 && passes <= Self::MAX_PASSES;
        if memory && passes_fit && lanes >= 1 && lanes <= Self::MAX_LANES {
            Ok(Self { memory_kib, passes, lanes })
        } else {
            Err(Error::BadCost)
        }
    }

    /// The greatest cost that takes at most three quarters of `free` bytes.
    ///
    /// # Errors
    /// [`Error::NoMemory`] where not even [`Self::LEAST`] does.
    pub fn fitting(free: u64) -> Result<Self, Error> {
        [256, 192, 128, 96, 64]
            .into_iter()
            .map(|mib| Self { memory_kib: mib * MIB, ..Self::USUAL })
            .find(|cost| cost.bytes() <= free / 4 * 3)
            .ok_or(Error::NoMemory)
    }

    /// [`Self::fitting`], by what this machine and this process's control
    /// groups have left.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub fn for_this_machine() -> Result<Self, Error> {
        Self::fitting(memory::free())
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes.
    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.lanes
    }

    fn bytes(self) -> u64 {
        u64::from(self.memory_kib) * 1024
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Self::new(reader.u32()?, reader.u32()?, reader.u32()?).ok()
    }

    pub(crate) fn write(self, bytes: &mut Vec<u8>) {
        for number in [self.memory_kib, self.passes, self.lanes] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Derives a key from a passphrase.
    pub(crate) fn derive(
        self,
        passphrase: &[u8],
        salt: &[u8],
        key: &mut [u8],
    ) -> Result<(), Error> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(key.len()));
        let params = params.map_err(|_| Error::BadCost)?;
        // Ours, and not the library's own, which is not wiped: its last blocks
        // are as good as the key.
        let mut blocks = Vec::new();
        let count = params.block_count();
        blocks.try_reserve_exact(count).map_err(|_| Error::NoMemory)?;
        blocks.resize(count, Block::new());
        let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase, salt, key, blocks.as_mut_slice());
        blocks.iter_mut().for_each(Block::zeroize);
        done.map_err(|_| Error::BadCost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let least = 64 * MIB;
        for (memory, passes, lanes, good) in [
            (least, 1, 1, true),
            (1024 * MIB, 16, 16, true),
            (least - 1, 3, 4, false),
            (1024 * MIB + 1, 3, 4, false),
            (u32::MAX, 3, 4, false),
            (least, 0, 4, false),
            (least, 17, 4, false),
            (least, 3, 0, false),
            (least, 3, 17, false),
        ] {
            assert_eq!(Cost::new(memory, passes, lanes).is_ok(), good, "{memory} {passes} {lanes}");
        }
    }

    #[test]
    fn fits_what_is_free() {
        let mib = |mib: u64| mib * 1024 * 1024;
        assert_eq!(Cost::fitting(mib(8192)), Ok(Cost::USUAL));
        assert_eq!(Cost::fitting(mib(342)), Ok(Cost::USUAL));
        assert_eq!(Cost::fitting(mib(340)).map(Cost::memory_kib), Ok(192 * MIB));
        assert_eq!(Cost::fitting(mib(86)), Ok(Cost::LEAST));
        assert_eq!(Cost::fitting(mib(84)), Err(Error::NoMemory));
    }
}
