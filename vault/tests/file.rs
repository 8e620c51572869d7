//! The vault in a real folder: every verb, opened again afterwards.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::fs::{self, Permissions};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use common::*;
use strongroom_sys::secret::Arena;
use strongroom_vault::disk::{Disk, Folder};
use strongroom_vault::value::Weakness;
use strongroom_vault::{Cost, Error, Kind, Label, NewSlot, Unlock, Vault, look};

/// A private folder.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::set_permissions(place.0.path(), Permissions::from_mode(0o700)).unwrap();
        place
    }

    fn folder(&self) -> fs::File {
        fs::File::open(self.0.path()).unwrap()
    }

    fn disk(&self) -> Box<dyn Disk> {
        Box::new(Folder::open(self.folder().as_fd()).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn create(&self, arena: &Arena) -> Vault {
        let unlock = key(arena, 1);
        Vault::create(self.disk(), arena, &slot("key", &unlock)).unwrap()
    }

    fn open(&self, arena: &Arena, unlock: &Unlock) -> Result<Vault, Error> {
        Vault::open(self.disk(), arena, unlock)
    }
}

const SECRET: &[u8] = b"ghp_16C7e42F292c6912E7710c838347Ae178B4a";
const OTHER: &[u8] = b"sk-live-9dKq2m7Wz\0\xff\n with any byte";

#[test]
fn all_verbs_last() {
    let (place, arena) = (Place::new(), arena());
    let mut vault = place.create(&arena);
    assert_eq!((vault.generation(), vault.entries().len()), (1, 0));
    let reopened = |mut vault: Vault, act: &dyn Fn(&mut Vault)| {
        act(&mut vault);
        let (before, id, digest) = (facts(&vault), vault.id(), vault.digest());
        let generation = vault.generation();
        drop(vault);
        let vault = place.open(&arena, &key(&arena, 1)).unwrap();
        assert_eq!((facts(&vault), vault.id(), vault.digest()), (before, id, digest));
        assert_eq!(vault.generation(), generation);
        vault
    };
    let token = name("GITHUB_TOKEN");
    vault = reopened(vault, &|vault| {
        let change = vault.put(token.clone(), SECRET, false, NOW).unwrap();
        assert_eq!((change.version, change.generation), (1, 2));
    });
    assert_eq!(vault.get(&token).unwrap().value(), Some(SECRET));
    vault = reopened(vault, &|vault| {
        let change = vault.put(token.clone(), OTHER, false, NOW + 5).unwrap();
        assert_eq!((change.version, change.generation), (2, 3));
        vault.put(name("PIN"), b"1234", true, NOW).unwrap();
    });
    let entry = vault.get(&token).unwrap();
    assert_eq!((entry.created(), entry.rotated(), entry.forced()), (NOW, NOW + 5, false));
    assert!(vault.get(&name("PIN")).unwrap().forced());
    vault = reopened(vault, &|vault| {
        let change = vault.revoke(&token, NOW + 9).unwrap();
        assert_eq!((change.version, change.generation), (2, 5));
        // Once more changes nothing, not even the file.
        assert_eq!(vault.revoke(&token, NOW + 10).unwrap(), change);
    });
    let entry = vault.get(&token).unwrap();
    assert_eq!((entry.value(), entry.revoked()), (None, Some(NOW + 9)));
    vault = reopened(vault, &|vault| {
        assert_eq!(vault.put(token.clone(), SECRET, false, NOW + 20).unwrap().version, 3);
    });
    assert_eq!(vault.get(&token).unwrap().revoked(), None);
    vault = reopened(vault, &|vault| {
        assert_eq!(vault.delete(&token).unwrap().version, 0);
    });
    assert_eq!(vault.entries().len(), 1);
    assert_eq!(vault.revoke(&token, NOW), Err(Error::Unknown));
    assert_eq!(vault.delete(&token), Err(Error::Unknown));
    assert_eq!(place.names(), ["vault", "vault.lock", "vault.previous"]);
    for name in ["vault", "vault.lock", "vault.previous"] {
        assert_eq!(fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn what_was_before_is_kept_and_what_was_taken_away_is_not() {
    let (place, arena) = (Place::new(), arena());
    let mut vault = place.create(&arena);
    let opens = |seed: u8| look::verify(&place.read("vault.previous"), &arena, &key(&arena, seed));
    vault.put(name("A"), SECRET, false, NOW).unwrap();
    let first = place.read("vault");
    vault.put(name("A"), OTHER, false, NOW).unwrap();
    assert_eq!(place.read("vault.previous"), first);
    vault.revoke(&name("A"), NOW).unwrap();
    assert_eq!(place.read("vault.previous"), place.read("vault"));
    let second = key(&arena, 2);
    vault.add_slot(&slot("second", &second)).unwrap();
    vault.put(name("B"), OTHER, false, NOW).unwrap();
    assert!(opens(2).is_ok());
    vault.remove_slot(0).unwrap();
    assert_eq!(opens(1), Err(Error::WrongKey));
    assert!(opens(2).is_ok());
}

#[test]
fn slots_open_it_and_nothing_else_does() {
    let (place, arena) = (Place::new(), arena());
    let mut vault = place.create(&arena);
    vault.put(name("A"), SECRET, false, NOW).unwrap();
    drop(vault);
    let open = |unlock: &Unlock| place.open(&arena, unlock).map(drop);
    let (first, second) = (key(&arena, 1), key(&arena, 2));
    let words = passphrase(&arena, "correct horse battery");
    assert_eq!(open(&second), Err(Error::WrongKey));
    assert_eq!(open(&words), Err(Error::NoSlotOfThisKind));

    let mut vault = place.open(&arena, &first).unwrap();
    vault.add_slot(&slot("words", &words)).unwrap();
    vault.add_slot(&slot("second", &second)).unwrap();
    drop(vault);
    assert_eq!([open(&first), open(&words), open(&second)], [Ok(()); 3]);
    assert_eq!(open(&passphrase(&arena, "correct horse batterz")), Err(Error::WrongKey));
    let sight = look::sight(&look::read(place.folder().as_fd()).unwrap()).unwrap();
    let labels: Vec<_> = sight.slots.iter().map(|slot| slot.label().as_str()).collect();
    assert_eq!(labels, ["key", "words", "second"]);
    assert_eq!(sight.slots[1].kind(), Kind::Passphrase(cheap()));

    let mut vault = place.open(&arena, &words).unwrap();
    assert_eq!(vault.remove_slot(3), Err(Error::NoSuchSlot));
    vault.remove_slot(0).unwrap();
    vault.remove_slot(0).unwrap();
    assert_eq!(vault.remove_slot(0), Err(Error::LastSlot));
    for _ in 0..7 {
        vault.add_slot(&slot("more", &first)).unwrap();
    }
    assert_eq!(vault.add_slot(&slot("more", &first)), Err(Error::TooManySlots));
    drop(vault);
    assert_eq!([open(&first), open(&second)], [Ok(()); 2]);
    assert_eq!(open(&words), Err(Error::NoSlotOfThisKind));

    let mut vault = place.open(&arena, &first).unwrap();
    let (id, old) = (vault.id(), vault.backup().unwrap());
    assert_eq!(vault.rekey(&[]), Err(Error::LastSlot));
    vault.rekey(&[slot("third", &words)]).unwrap();
    assert_eq!((vault.id(), vault.slots().len()), (id, 1));
    drop(vault);
    assert_eq!([open(&first), open(&second)], [Err(Error::NoSlotOfThisKind); 2]);
    assert_eq!(place.open(&arena, &words).unwrap().get(&name("A")).unwrap().value(), Some(SECRET));
    // An old copy still opens with an old key: with what was in it then.
    assert!(look::verify(&old, &arena, &first).is_ok());
}

#[test]
fn keys_and_labels_have_bounds() {
    let arena = arena();
    let bytes = |length| arena.zeroed(length).unwrap();
    for (length, good) in [(31, false), (32, true), (4096, true), (4097, false)] {
        let unlock = Unlock::key(bytes(length)).map(drop);
        assert_eq!(unlock, if good { Ok(()) } else { Err(Error::BadKeyLength) });
    }
    for (length, good) in [(0, false), (1, true), (1024, true), (1025, false)] {
        let unlock = Unlock::passphrase(bytes(length)).map(drop);
        assert_eq!(unlock, if good { Ok(()) } else { Err(Error::BadPassphraseLength) });
    }
    // Good enough to open an old slot, not to make a new one.
    let short = passphrase(&arena, "1234567");
    let place = Place::new();
    let created = Vault::create(place.disk(), &arena, &slot("short", &short));
    assert_eq!(created.map(drop), Err(Error::BadPassphraseLength));
    assert_eq!(place.names(), ["vault.lock"]);
    for bad in ["", "a label of more than 32 characters", "line\nbreak", "\x1b[2J", "é"] {
        assert_eq!(Label::new(bad), Err(Error::BadLabel), "{bad:?}");
    }
}

#[test]
fn a_damaged_vault_says_what_can_be_done() {
    let (place, arena) = (Place::new(), arena());
    let unlock = key(&arena, 1);
    let mut vault = place.create(&arena);
    vault.put(name("A"), SECRET, false, NOW).unwrap();
    vault.put(name("B"), OTHER, false, NOW).unwrap();
    drop(vault);
    let sound = place.read("vault");
    let mut bad = sound.clone();
    bad[sound.len() / 2] ^= 1;
    fs::write(place.path("vault"), &bad).unwrap();
    let damaged = |previous| Err(Error::Damaged { previous });
    assert_eq!(place.open(&arena, &unlock).map(drop), damaged(Some(2)));
    assert_eq!(place.open(&arena, &key(&arena, 2)).map(drop), damaged(None));
    assert_eq!(place.read("vault"), bad, "repaired without being told");

    let previous = place.read("vault.previous");
    let vault = Vault::restore(place.disk(), &arena, &unlock, &previous, 3).unwrap();
    assert_eq!((vault.generation(), vault.entries().len()), (4, 1));
    drop(vault);
    assert_eq!(place.read("vault.previous"), previous);
    assert_eq!(place.open(&arena, &unlock).unwrap().entries().len(), 1);

    // A backup, over a sound vault: that becomes the previous one.
    let current = place.read("vault");
    let vault = Vault::restore(place.disk(), &arena, &unlock, &sound, 0).unwrap();
    assert_eq!((vault.generation(), vault.entries().len()), (5, 2));
    drop(vault);
    assert_eq!(place.read("vault.previous"), current);
    let restore = |bytes: &[u8], seed, seen| {
        Vault::restore(place.disk(), &arena, &key(&arena, seed), bytes, seen).map(drop)
    };
    assert_eq!(restore(&bad, 1, 0), damaged(None));
    assert_eq!(restore(&sound, 2, 0), Err(Error::WrongKey));
    assert_eq!(restore(&sound, 1, u64::MAX), Err(Error::LastGeneration));
    assert_eq!(place.open(&arena, &unlock).unwrap().generation(), 5);

    fs::remove_file(place.path("vault")).unwrap();
    assert_eq!(place.open(&arena, &unlock).map(drop), Err(Error::Missing { previous: true }));
    let create = || Vault::create(place.disk(), &arena, &slot("key", &unlock)).map(drop);
    assert_eq!(create(), Err(Error::Exists));
    fs::remove_file(place.path("vault.previous")).unwrap();
    assert_eq!(place.open(&arena, &unlock).map(drop), Err(Error::Missing { previous: false }));
    fs::write(place.path("vault.new"), b"left by a crash").unwrap();
    assert_eq!(create(), Ok(()));
    assert_eq!(create(), Err(Error::Exists));
    assert_eq!(place.names(), ["vault", "vault.lock"]);
}

#[test]
fn a_backup_is_the_file_and_only_the_file() {
    let (place, arena) = (Place::new(), arena());
    let mut vault = place.create(&arena);
    vault.put(name("A"), SECRET, false, NOW).unwrap();
    let backup = vault.backup().unwrap();
    assert_eq!(backup, place.read("vault"));
    // Without the lock, while another has it.
    assert_eq!(look::read(place.folder().as_fd()).unwrap(), backup);
    let seen = look::verify(&backup, &arena, &key(&arena, 1)).unwrap();
    assert_eq!((seen.id, seen.generation), (vault.id(), vault.generation()));
    assert_eq!(Some(seen.digest), vault.digest());
    // Somebody changes it behind the vault's back.
    fs::copy(place.path("vault.previous"), place.path("vault")).unwrap();
    assert_eq!(vault.backup(), Err(Error::Damaged { previous: None }));
}

#[test]
fn one_writer_at_a_time() {
    let (place, arena) = (Place::new(), arena());
    let vault = place.create(&arena);
    assert_eq!(Folder::open(place.folder().as_fd()).map(drop), Err(Error::Busy));
    drop(vault);
    assert_eq!(Folder::open(place.folder().as_fd()).map(drop), Ok(()));
}

#[test]
fn only_a_plain_file_of_the_owner_alone_is_a_vault() {
    let arena = arena();
    let (real, unlock) = (Place::new(), key(&arena, 1));
    drop(real.create(&arena));
    type Trick = fn(&Place, &Place);
    let tricks: [(&str, Trick); 5] = [
        ("a link", |place, real| {
            std::os::unix::fs::symlink(real.path("vault"), place.path("vault")).unwrap();
        }),
        ("a second name", |place, real| {
            fs::hard_link(real.path("vault"), place.path("vault")).unwrap();
        }),
        ("a pipe", |place, _| {
            nix::unistd::mkfifo(&place.path("vault"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
        ("open to others", |place, real| {
            fs::copy(real.path("vault"), place.path("vault")).unwrap();
            fs::set_permissions(place.path("vault"), Permissions::from_mode(0o640)).unwrap();
        }),
        ("a folder open to others", |place, _| {
            fs::set_permissions(place.0.path(), Permissions::from_mode(0o770)).unwrap();
        }),
    ];
    for (what, trick) in tricks {
        let place = Place::new();
        trick(&place, &real);
        let opened = Folder::open(place.folder().as_fd()).map(drop);
        assert!(matches!(opened, Err(Error::NotOurs(_))), "{what}: {opened:?}");
        let looked = look::read(place.folder().as_fd()).map(drop);
        assert!(matches!(looked, Err(Error::NotOurs(_))), "{what}: {looked:?}");
        if what == "a second name" {
            fs::remove_file(place.path("vault")).unwrap();
        }
    }
    assert!(real.open(&arena, &unlock).is_ok());
    assert_eq!(look::read(Place::new().folder().as_fd()), Err(Error::Missing { previous: false }));
}

#[test]
fn values_that_cannot_be_kept_secret_are_refused() {
    let (place, arena) = (Place::new(), arena());
    let mut vault = place.create(&arena);
    let mut put = |value: &[u8], force| vault.put(name("A"), value, force, NOW).map(drop);
    assert_eq!(put(b"", false), Err(Error::Weak(Weakness::Empty)));
    assert_eq!(put(b"", true), Err(Error::Weak(Weakness::Empty)));
    assert_eq!(put(b"allow", false), Err(Error::Weak(Weakness::Short)));
    assert_eq!(put(b"aaaaaaaaaaaaaaaa", false), Err(Error::Weak(Weakness::Guessable)));
    assert_eq!(put(b"aaaaaaaaaaaaaaaa", true), Ok(()));
    assert_eq!(put(&Dice(1).bytes(64 * 1024), false), Ok(()));
    assert_eq!(put(&Dice(1).bytes(64 * 1024 + 1), true), Err(Error::ValueTooLong));
    let entry = vault.get(&name("A")).unwrap();
    assert_eq!((entry.version(), entry.forced()), (2, false));
}

#[test]
fn limits_leave_everything_as_it_was() {
    let arena = Arena::new(40 * 1024 * 1024).unwrap();
    let mut vault = Vault::memory(&arena).unwrap();
    for number in 0..512 {
        vault.put(name(&format!("K{number}")), SECRET, false, NOW).unwrap();
    }
    let put = |vault: &mut Vault, key: &str, value: &[u8]| vault.put(name(key), value, true, NOW);
    assert_eq!(put(&mut vault, "ONE_MORE", SECRET), Err(Error::TooManyEntries));
    let long = Dice(1).bytes(64 * 1024);
    let hex: String = long.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = |number| format!("K{number:03} 1 0 0 good active {hex}\n");
    let text = |entries| -> String {
        std::iter::once("strongroom credentials 1\n".to_owned())
            .chain((0..entries).map(line))
            .collect()
    };
    let mut vault = Vault::memory(&arena).unwrap();
    assert_eq!(vault.import(text(16).as_bytes(), false), Err(Error::TooBig));
    vault.import(text(15).as_bytes(), false).unwrap();
    assert_eq!(put(&mut vault, "ONE_MORE", &long), Err(Error::TooBig));
    assert_eq!(put(&mut vault, "ONE_MORE", SECRET).map(|change| change.version), Ok(1));
    drop(vault);

    let (place, arena) = (Place::new(), Arena::new(64 * 1024).unwrap());
    let mut vault = place.create(&arena);
    vault.put(name("A"), SECRET, false, NOW).unwrap();
    let before = (facts(&vault), place.read("vault"));
    assert_eq!(put(&mut vault, "B", &long), Err(Error::ArenaFull));
    assert_eq!((facts(&vault), place.read("vault")), before);
    vault.put(name("B"), OTHER, false, NOW).unwrap();
    drop(vault);
    let tiny = Arena::new(4096).unwrap();
    assert_eq!(place.open(&tiny, &key(&tiny, 1)).map(drop), Err(Error::ArenaFull));
}

#[test]
fn in_memory_only_all_is_the_same_but_the_file() {
    let arena = arena();
    let mut vault = Vault::memory(&arena).unwrap();
    assert!(vault.is_memory_only());
    let change = vault.put(name("A"), SECRET, false, NOW).unwrap();
    assert_eq!((change.version, change.generation), (1, 0));
    assert_eq!(vault.put(name("A"), OTHER, false, NOW).unwrap().version, 2);
    vault.revoke(&name("A"), NOW).unwrap();
    assert_eq!(vault.get(&name("A")).unwrap().value(), None);
    vault.delete(&name("A")).unwrap();
    assert_eq!(vault.entries().len(), 0);
    let unlock = key(&arena, 1);
    assert_eq!(vault.add_slot(&slot("key", &unlock)), Err(Error::MemoryOnly));
    assert_eq!(vault.rekey(&[slot("key", &unlock)]), Err(Error::MemoryOnly));
    assert_eq!(vault.backup(), Err(Error::MemoryOnly));
    assert_eq!((vault.slots().len(), vault.digest()), (0, None));
}

#[test]
fn a_wiped_vault_is_closed() {
    let (place, arena) = (Place::new(), arena());
    let mut vault = place.create(&arena);
    vault.put(name("A"), SECRET, false, NOW).unwrap();
    vault.wipe();
    assert!(vault.get(&name("A")).is_none());
    assert_eq!(vault.put(name("A"), SECRET, false, NOW), Err(Error::Wiped));
    drop(vault);
    let vault = place.open(&arena, &key(&arena, 1)).unwrap();
    assert_eq!(vault.get(&name("A")).unwrap().value(), Some(SECRET));
}

#[test]
fn nothing_shows_a_value() {
    let (place, arena) = (Place::new(), arena());
    let mut vault = place.create(&arena);
    vault.put(name("A"), SECRET, false, NOW).unwrap();
    let unlock = Unlock::key(arena.store(&[b'x'; 32]).unwrap()).unwrap();
    let new = NewSlot { label: Label::new("key").unwrap(), unlock: &unlock, cost: Cost::USUAL };
    let shown = format!("{vault:?} {:?} {new:?} {:?}", vault.get(&name("A")), Error::WrongKey);
    assert!(!shown.contains("ghp_") && !shown.contains("103, 104") && !shown.contains("xxx"));
    assert!(!shown.contains("120, 120"), "{shown}");
}

#[test]
fn an_export_survives_and_nothing_else_is_imported() {
    let (place, arena) = (Place::new(), arena());
    let mut vault = place.create(&arena);
    vault.put(name("A"), OTHER, false, NOW).unwrap();
    vault.put(name("B"), b"1234", true, NOW).unwrap();
    vault.put(name("C"), SECRET, false, NOW).unwrap();
    vault.put(name("C"), &Dice(1).bytes(64 * 1024), false, NOW + 1).unwrap();
    vault.put(name("D"), SECRET, false, NOW).unwrap();
    vault.revoke(&name("D"), NOW + 2).unwrap();
    let text = vault.export().unwrap();
    let mut other = Vault::memory(&arena).unwrap();
    other.import(&text, false).unwrap();
    assert_eq!(facts(&other), facts(&vault));
    assert_eq!(&*other.export().unwrap(), &*text);
    assert_eq!(other.import(&text, false), Err(Error::NameTaken));
    other.put(name("A"), SECRET, false, NOW).unwrap();
    other.put(name("E"), SECRET, false, NOW).unwrap();
    other.import(&text, true).unwrap();
    other.delete(&name("E")).unwrap();
    assert_eq!(facts(&other), facts(&vault));

    let first = "strongroom credentials 1\n";
    let line = "A 1 2 3 good active 6d6f7265207468616e203132206279746573\n";
    let take = |text: &str| {
        let mut vault = Vault::memory(&arena).unwrap();
        vault.import(text.as_bytes(), false).map(|_| facts(&vault))
    };
    let taken = take(&format!("{first}{line}")).unwrap();
    assert_eq!(taken["A"], (Ok(b"more than 12 bytes".to_vec()), 1, 2, 3, false));
    assert!(take(&format!("{first}A 1 2 3 good active 31\n")).unwrap()["A"].4, "weak is forced");
    assert_eq!(take(first).unwrap().len(), 0);
    for (text, at) in [
        (String::new(), 1),
        (first.trim_end().to_owned(), 1),
        (first.replace('1', "2"), 1),
        (format!("{first}{}", line.trim_end()), 1),
        (format!("{first}\n"), 2),
        (format!("{first}{line}{line}"), 3),
        (format!("{first}{}{line}", line.replace('A', "B")), 3),
        (format!("{first}{}", line.replace('A', "a")), 2),
        (format!("{first}{}", line.replace(" 1 ", " 0 ")), 2),
        (format!("{first}{}", line.replace(" 1 ", " +1 ")), 2),
        (format!("{first}{}", line.replace(" 1 ", "  1 ")), 2),
        (format!("{first}{}", line.replace(" 2 ", " 18446744073709551616 ")), 2),
        (format!("{first}{}", line.replace("good", "best")), 2),
        (format!("{first}{}", line.replace("active", "Active")), 2),
        (format!("{first}{}", line.replace("6d6f", "6d6")), 2),
        (format!("{first}{}", line.replace("6d6f", "6D6F")), 2),
        (format!("{first}{}", line.replace("73\n", "73 \n")), 2),
        (format!("{first}A 1 2 3 good active \n"), 2),
        (format!("{first}A 1 2 3 good revoked \n"), 2),
        (format!("{first}A 1 2 3 good revoked 5 6\n"), 2),
        (format!("{first}A 1 2 3 good active {}\n", "61".repeat(64 * 1024 + 1)), 2),
    ] {
        assert_eq!(take(&text), Err(Error::BadExport(at)), "{:.99}", text);
    }
}
