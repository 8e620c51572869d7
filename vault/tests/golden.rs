//! The format is frozen: a file written once is read for ever, by this program
//! and by a reader written from `docs/vault-format.md` alone.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;
#[path = "common/disk.rs"]
mod disk;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::*;
use disk::Faulty;
use strongroom_sys::secret::Arena;
use strongroom_vault::disk::Name;
use strongroom_vault::{Kind, Unlock, Vault};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/vault");
const PASSPHRASE: &str = "correct horse battery staple";

fn golden_key(arena: &Arena) -> Unlock {
    let material: Vec<u8> = (0..32).collect();
    Unlock::key(arena.store(&material).unwrap()).unwrap()
}

/// Writes the golden file anew, which only a new version of the format may
/// ask for.
fn write(arena: &Arena) {
    let disk = Faulty::default();
    let key = golden_key(arena);
    let mut vault = Vault::create(Box::new(disk.clone()), arena, &slot("key file", &key)).unwrap();
    let passphrase = passphrase(arena, PASSPHRASE);
    vault.add_slot(&slot("the operator", &passphrase)).unwrap();
    for (key, (state, _, created, rotated, forced)) in expected() {
        let value = state.clone().unwrap_or_else(|_| b"to be revoked at once".to_vec());
        vault.put(name(&key), &value, forced, created).unwrap();
        if rotated > created {
            vault.put(name(&key), &value, forced, rotated).unwrap();
        }
        if let Err(when) = state {
            vault.revoke(&name(&key), when).unwrap();
        }
    }
    std::fs::write(GOLDEN, &disk.files()[&Name::Vault]).unwrap();
}

fn expected() -> BTreeMap<String, Fact> {
    // Every byte once, in an order that is no run.
    let bytes: Vec<u8> = (0..=255).map(|byte: u8| byte ^ byte >> 1).collect();
    [
        ("ALL_BYTES", (Ok(bytes), 1, NOW, NOW, false)),
        ("GITHUB_TOKEN", (Ok(b"ghp_16C7e42F292c6912E77".to_vec()), 2, NOW, NOW + 60, false)),
        ("OLD_TOKEN", (Err(NOW + 90), 1, NOW, NOW, false)),
        ("PIN", (Ok(b"1234".to_vec()), 1, NOW, NOW, true)),
    ]
    .map(|(key, fact)| (key.to_owned(), fact))
    .into()
}

fn golden() -> Vec<u8> {
    std::fs::read(GOLDEN).unwrap()
}

#[test]
fn the_golden_file_is_read() {
    let arena = arena();
    if std::env::var_os("STRONGROOM_WRITE_GOLDEN").is_some() {
        write(&arena);
    }
    for unlock in [golden_key(&arena), passphrase(&arena, PASSPHRASE)] {
        let disk = Faulty::with(&[(Name::Vault, golden())].into());
        let vault = Vault::open(Box::new(disk), &arena, &unlock).unwrap();
        assert_eq!(facts(&vault), expected());
        assert_eq!(vault.generation(), 8);
        let slots: Vec<_> = vault.slots().iter().map(|s| (s.label().as_str(), s.kind())).collect();
        let kinds = [("key file", Kind::Key), ("the operator", Kind::Passphrase(cheap()))];
        assert_eq!(slots, kinds);
    }
}

/// `decode.py` knows nothing but the document. It needs Python alone: its
/// cipher is its own.
#[test]
fn another_reader_reads_the_same() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decode.py");
    let key: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
    let output = Command::new("python3").arg(script).args([GOLDEN, &key]).output();
    let output = output.expect("this test needs python3");
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    let expected: Vec<String> = expected()
        .into_iter()
        .map(|(key, (state, version, created, rotated, forced))| {
            let state = match state {
                Ok(value) => {
                    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("active {hex}")
                }
                Err(when) => format!("revoked {when}"),
            };
            format!("{key} {version} {created} {rotated} {} {state}", u8::from(forced))
        })
        .collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}
