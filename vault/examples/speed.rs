//! How long the vault takes: `cargo run --release -p strongroom-vault --example
//! speed [FOLDER]`. Prints the median, the slowest, and the processor's time for
//! one, which is what counts on a busy machine.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::fs::Permissions;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use strongroom_protocol::types::CredentialName;
use strongroom_sys::random;
use strongroom_sys::secret::Arena;
use strongroom_vault::disk::{Disk, Folder};
use strongroom_vault::{Cost, Label, NewSlot, Unlock, Vault};

const ROUNDS: usize = 100;

fn main() {
    let beneath = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = beneath.join(format!("strongroom-speed-{}", std::process::id()));
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    let folder = File::open(&path).unwrap();
    let disk = || -> Box<dyn Disk> { Box::new(Folder::open(folder.as_fd()).unwrap()) };

    time("arena of 4 MiB", ROUNDS, || drop(Arena::new(4 << 20).unwrap()));
    let arena = Arena::new(4 << 20).unwrap();
    println!("secrets lie in {}", arena.backend().as_str());
    let key = Unlock::key(arena.store(&random_bytes::<32>()).unwrap()).unwrap();
    let passphrase = Unlock::passphrase(arena.store(b"correct horse battery").unwrap()).unwrap();
    let slot =
        |label, unlock| NewSlot { label: Label::new(label).unwrap(), unlock, cost: Cost::USUAL };

    let mut vault = Vault::create(disk(), &arena, &slot("key", &key)).unwrap();
    vault.add_slot(&slot("passphrase", &passphrase)).unwrap();
    let mut number = 0;
    time("put a new credential", ROUNDS, || {
        vault.put(name(number), &random_bytes::<40>(), false, 0).unwrap();
        number += 1;
    });
    time("put a new value", ROUNDS, || {
        vault.put(name(0), &random_bytes::<40>(), false, 0).unwrap();
    });
    time("revoke", ROUNDS, || {
        number -= 1;
        vault.revoke(&name(number), 0).unwrap();
    });
    for number in 0..ROUNDS {
        vault.put(name(number), &random_bytes::<40>(), false, 0).unwrap();
    }
    let wanted = name(50);
    time("look up, 1,000 times", ROUNDS, || {
        for _ in 0..1000 {
            std::hint::black_box(vault.get(std::hint::black_box(&wanted)).unwrap().value());
        }
    });
    drop(vault);
    time("unlock by key", ROUNDS, || drop(Vault::open(disk(), &arena, &key).unwrap()));
    time("unlock by passphrase, 256 MiB", 5, || {
        drop(Vault::open(disk(), &arena, &passphrase).unwrap());
    });
    let mut vault = Vault::open(disk(), &arena, &key).unwrap();
    for number in 0..15 {
        let value: Vec<u8> = random_bytes::<{ 64 * 1024 }>().to_vec();
        vault.put(name(number), &value, false, 0).unwrap();
    }
    time("put, with 1 MiB in the vault", 20, || {
        vault.put(name(99), &random_bytes::<40>(), false, 0).unwrap();
    });
    drop(vault);
    time("unlock by key, with 1 MiB in it", 20, || {
        drop(Vault::open(disk(), &arena, &key).unwrap());
    });
    std::fs::remove_dir_all(&path).unwrap();
}

fn time(what: &str, rounds: usize, mut act: impl FnMut()) {
    let before = processor_time();
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            act();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let (median, slowest) = (times.get(rounds / 2).unwrap(), times.last().unwrap());
    let own = (processor_time() - before) / rounds as u32;
    println!("{what:32} {median:>10.1?}   slowest {slowest:>9.1?}   processor {own:>9.1?}");
}

fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let both = usage.user_time() + usage.system_time();
    Duration::from_micros(both.num_microseconds().unsigned_abs())
}

fn name(number: usize) -> CredentialName {
    CredentialName::new(format!("TOKEN_{number:03}")).unwrap()
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    random::fill(&mut bytes).unwrap();
    bytes
}
