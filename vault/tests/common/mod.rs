//! What the tests share.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use strongroom_protocol::types::CredentialName;
use strongroom_sys::secret::Arena;
use strongroom_vault::{Cost, Label, NewSlot, Unlock, Vault};

/// A point in time.
pub const NOW: u64 = 1_790_000_000;

pub fn arena() -> Arena {
    Arena::new(4 * 1024 * 1024).unwrap()
}

pub fn name(text: &str) -> CredentialName {
    CredentialName::new(text).unwrap()
}

/// Key material that differs by `seed`.
pub fn key(arena: &Arena, seed: u8) -> Unlock {
    Unlock::key(arena.store(&[seed; 32]).unwrap()).unwrap()
}

pub fn passphrase(arena: &Arena, text: &str) -> Unlock {
    Unlock::passphrase(arena.store(text.as_bytes()).unwrap()).unwrap()
}

/// The least a test's passphrase may cost.
pub fn cheap() -> Cost {
    Cost::new(64 * 1024, 1, 1).unwrap()
}

pub fn slot<'a>(label: &str, unlock: &'a Unlock) -> NewSlot<'a> {
    NewSlot { label: Label::new(label).unwrap(), unlock, cost: cheap() }
}

/// What a credential is: its value or when it was revoked, version, created,
/// rotated, forced.
pub type Fact = (Result<Vec<u8>, u64>, u64, u64, u64, bool);

/// All a vault holds.
pub fn facts(vault: &Vault) -> BTreeMap<String, Fact> {
    vault
        .entries()
        .map(|(name, entry)| {
            let value = entry.value().map(<[u8]>::to_vec);
            let state = value.ok_or_else(|| entry.revoked().unwrap());
            let fact = (state, entry.version(), entry.created(), entry.rotated(), entry.forced());
            (name.display(), fact)
        })
        .collect()
}

/// Numbers that look random and are the same every time (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}
