//! No byte of a secret is anywhere in the process but in the arena, and none
//! is left there afterwards. A test of its own: it reads all of its memory.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;
#[path = "common/disk.rs"]
mod disk;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use common::*;
use disk::Faulty;
use strongroom_sys::secret::{Arena, Backend};
use strongroom_vault::{Unlock, Vault};
use zeroize::Zeroize as _;

/// Never in memory as it is: only with every bit turned.
struct Canary(Vec<u8>);

impl Canary {
    fn new(seed: u64) -> Self {
        Self(Dice(seed).bytes(32))
    }

    /// The canary itself, for as long as `use_it` runs.
    fn with<T>(&self, use_it: impl FnOnce(&[u8]) -> T) -> T {
        let mut bytes: Vec<u8> = self.0.iter().map(|byte| !byte).collect();
        let result = use_it(&bytes);
        bytes.zeroize();
        result
    }

    /// How often it, or either half of it, is in this process's memory.
    fn sightings(&self) -> usize {
        let memory = File::open("/proc/self/mem").unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mut count = 0;
        // One buffer for all: a freed one would still hold what was found.
        let mut chunk = vec![0; 1 << 20];
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let number = |text| u64::from_str_radix(text, 16).unwrap();
            let (mut at, end) = (number(start), number(end));
            while at < end {
                let length = (end - at).min(chunk.len() as u64) as usize;
                let own = chunk.as_ptr().addr() as u64;
                if memory.read_exact_at(&mut chunk[..length], at).is_ok() {
                    for half in self.0.chunks(16) {
                        let found =
                            chunk[..length].windows(16).enumerate().filter(|(offset, window)| {
                                let address = at + *offset as u64;
                                !(own..own + (1 << 20)).contains(&address)
                                    && window
                                        .iter()
                                        .zip(half)
                                        .all(|(byte, turned)| *byte == !turned)
                            });
                        count += found.count();
                    }
                }
                at += length as u64;
            }
        }
        chunk.zeroize();
        count
    }
}

#[test]
fn only_the_arena_holds_a_secret() {
    // Memory that this test can read; the others are no different.
    let arena = Arena::on(Backend::Unlocked, 4 << 20).unwrap();
    let disk = Faulty::default();
    let (key_bytes, value, old) = (Canary::new(1), Canary::new(2), Canary::new(3));
    let unlock = || key_bytes.with(|bytes| Unlock::key(arena.store(bytes).unwrap()).unwrap());
    let words = || key_bytes.with(|bytes| Unlock::passphrase(arena.store(bytes).unwrap()).unwrap());
    // Both halves, once.
    let once = 2;

    let mut vault = {
        let (unlock, words) = (unlock(), words());
        let mut vault =
            Vault::create(Box::new(disk.clone()), &arena, &slot("key", &unlock)).unwrap();
        vault.add_slot(&slot("words", &words)).unwrap();
        assert_eq!(key_bytes.sightings(), 2 * once);
        vault
    };
    assert_eq!(key_bytes.sightings(), 0, "the key outlives its use");
    old.with(|bytes| vault.put(name("A"), bytes, false, NOW)).unwrap();
    assert_eq!(old.sightings(), once);
    value.with(|bytes| vault.put(name("A"), bytes, false, NOW)).unwrap();
    assert_eq!((old.sightings(), value.sightings()), (0, once), "rotated");
    old.with(|bytes| vault.put(name("B"), bytes, false, NOW)).unwrap();
    vault.revoke(&name("B"), NOW).unwrap();
    assert_eq!((old.sightings(), value.sightings()), (0, once), "revoked");
    old.with(|bytes| vault.put(name("C"), bytes, false, NOW)).unwrap();
    vault.delete(&name("C")).unwrap();
    assert_eq!((old.sightings(), value.sightings()), (0, once), "deleted");
    drop(vault);
    assert_eq!(value.sightings(), 0, "dropped");

    for unlock in [&unlock as &dyn Fn() -> Unlock, &words] {
        let mut vault = Vault::open(Box::new(disk.clone()), &arena, &unlock()).unwrap();
        assert_eq!((key_bytes.sightings(), value.sightings()), (0, once), "opened");
        vault.wipe();
        assert_eq!(value.sightings(), 0, "wiped");
        std::mem::forget(vault);
    }
}
