//! A hundred thousand files that are not what was written: every one is found
//! out, and none brings the reader down.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;
#[path = "common/disk.rs"]
mod disk;

use std::collections::BTreeMap;

use common::*;
use disk::Faulty;
use sha2::{Digest as _, Sha256};
use strongroom_sys::secret::Arena;
use strongroom_vault::disk::Name;
use strongroom_vault::look::{sight, verify};
use strongroom_vault::{Error, Vault};

const MUTATIONS: usize = 100_000;

/// Bytes of the checksum at the end.
const DIGEST: usize = 32;

fn new_vault(arena: &Arena) -> (Faulty, Vault) {
    let disk = Faulty::default();
    let unlock = key(arena, 1);
    let vault = Vault::create(Box::new(disk.clone()), arena, &slot("key", &unlock)).unwrap();
    (disk, vault)
}

/// Four generations of a vault with two slots, and a stranger with the same
/// keys.
fn files(arena: &Arena) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (disk, mut vault) = new_vault(arena);
    let spare = key(arena, 2);
    vault.add_slot(&slot("spare", &spare)).unwrap();
    let mut files = Vec::new();
    for number in 0..4 {
        let value = Dice(number).bytes(40);
        vault.put(name(&format!("K{number}")), &value, false, NOW).unwrap();
        files.push(disk.files()[&Name::Vault].clone());
    }
    let (disk, mut stranger) = new_vault(arena);
    stranger.add_slot(&slot("spare", &spare)).unwrap();
    stranger.put(name("K0"), b"another vault, the same key", false, NOW).unwrap();
    (files, disk.files()[&Name::Vault].clone())
}

/// Two places of at most `longest` bytes, of the same length.
fn two_places(dice: &mut Dice, file: &[u8], longest: usize) -> (usize, usize, usize) {
    let length = 1 + dice.below(longest.min(file.len() / 2));
    let end = file.len() - length + 1;
    (dice.below(end), dice.below(end), length)
}

/// One change that may come of bad luck or bad will.
fn mutate(dice: &mut Dice, file: &[u8], others: &[&[u8]]) -> Vec<u8> {
    let mut new = file.to_vec();
    let at = dice.below(file.len());
    // The header is short: without this most mutations would hit the body.
    let at = if dice.below(2) == 0 { at % 340 } else { at };
    match dice.below(11) {
        0..3 => new[at] ^= 1 << dice.below(8),
        3 => {
            for _ in 0..1 + dice.below(8) {
                let at = dice.below(new.len());
                new[at] = dice.next() as u8;
            }
        }
        4 => new.truncate(at),
        5 => new.extend({
            let length = 1 + dice.below(5000);
            dice.bytes(length)
        }),
        6 => {
            let (from, to, length) = two_places(dice, file, 200);
            new[to..to + length].copy_from_slice(&file[from..from + length]);
        }
        7 => {
            let (from, to, length) = two_places(dice, file, 64);
            new[to..to + length].copy_from_slice(&file[from..from + length]);
            new[from..from + length].copy_from_slice(&file[to..to + length]);
        }
        8 => {
            let (from, _, length) = two_places(dice, file, 500);
            new.drain(from..from + length);
        }
        9 => {
            let (from, _, length) = two_places(dice, file, 500);
            new[from..from + length].fill(0);
        }
        // The start of one file, the rest of another: a slot, a nonce or a
        // body of another generation or another vault.
        _ => {
            let other = others[dice.below(others.len())];
            let at = at.min(other.len());
            new.truncate(at);
            new.extend_from_slice(&other[at..]);
        }
    }
    new
}

/// Makes the checksum right, as one who wants to be believed does.
fn resum(file: &mut [u8]) {
    if let Some(end) = file.len().checked_sub(DIGEST) {
        let digest = Sha256::digest(&file[..end]);
        file[end..].copy_from_slice(&digest);
    }
}

#[test]
fn every_mutation_is_found_out() {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let work = |thread: usize| {
        let arena = arena();
        let (files, stranger) = files(&arena);
        let unlock = key(&arena, 1);
        let dice = &mut Dice(thread as u64 + 100);
        let mut errors: BTreeMap<String, usize> = BTreeMap::new();
        let mut found_out = 0;
        for round in 0.. {
            if found_out == MUTATIONS.div_ceil(threads) {
                break;
            }
            let file = &files[3];
            let others = [files[0].as_slice(), &files[2], &stranger];
            let mut new = mutate(dice, file, &others);
            if round % 2 == 0 {
                resum(&mut new);
            }
            if new == *file || files[..3].contains(&new) || new == stranger {
                continue;
            }
            let error = verify(&new, &arena, &unlock).expect_err("a mutation was taken");
            found_out += 1;
            let kind = format!("{error:?}");
            *errors.entry(kind.split(['(', ' ']).next().unwrap().to_owned()).or_default() += 1;
        }
        errors
    };
    let mut errors: BTreeMap<String, usize> = BTreeMap::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|t| scope.spawn(move || work(t))).collect();
        for worker in workers {
            for (error, count) in worker.join().unwrap() {
                *errors.entry(error).or_default() += count;
            }
        }
    });
    let total: usize = errors.values().sum();
    println!("{total} mutations found out: {errors:?}");
    assert!(total >= MUTATIONS && errors.contains_key("WrongKey"));
}

/// A whole file of another time or another vault is genuine: only somebody
/// who remembers the id and the generation can tell.
#[test]
fn an_older_file_or_another_vault_shows_in_what_a_witness_keeps() {
    let arena = arena();
    let (files, stranger) = files(&arena);
    let unlock = key(&arena, 1);
    let seen = verify(&files[3], &arena, &unlock).unwrap();
    assert_eq!(seen, sight(&files[3]).unwrap());
    for older in &files[..3] {
        let older = verify(older, &arena, &unlock).unwrap();
        assert_eq!(older.id, seen.id);
        assert!(older.generation < seen.generation);
        assert_ne!(older.digest, seen.digest);
    }
    assert_ne!(verify(&stranger, &arena, &unlock).unwrap().id, seen.id);
}

/// A vault of a version to come is not called damaged.
#[test]
fn another_version_is_named() {
    let arena = arena();
    let mut file = files(&arena).0.remove(0);
    file[8] = 2;
    assert_eq!(sight(&file), Err(Error::Damaged { previous: None }));
    resum(&mut file);
    assert_eq!(sight(&file), Err(Error::Version(2)));
}

/// Bytes that never were a vault.
#[test]
fn anything_else_is_damaged() {
    let damaged = Err(Error::Damaged { previous: None });
    assert_eq!(sight(b""), damaged);
    assert_eq!(sight(b"SRVAULT\n"), damaged);
    assert_eq!(sight(&vec![0; 9 * 1024 * 1024]), damaged);
    let dice = &mut Dice(7);
    for length in 0..2000 {
        let mut bytes = dice.bytes(length);
        assert_eq!(sight(&bytes), damaged);
        bytes.splice(0..length.min(10), *b"SRVAULT\n\x01\x00");
        resum(&mut bytes);
        assert_eq!(sight(&bytes), damaged);
    }
}
