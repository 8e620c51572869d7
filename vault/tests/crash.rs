//! Every call of every change, made to fail in every way: afterwards the vault
//! opens, with all that was committed, nothing that was taken away, and no
//! half of anything.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;
#[path = "common/disk.rs"]
mod disk;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use disk::{Faulty, Kind};
use strongroom_sys::Errno;
use strongroom_sys::secret::Arena;
use strongroom_vault::disk::Name;
use strongroom_vault::{Error, Vault, look};

type Files = BTreeMap<Name, Vec<u8>>;
type Facts = BTreeMap<String, Fact>;

/// Faults, at least (credentials.md A1).
const FAULTS: usize = 20_000;

/// Scenes that make that many.
const SCENES: u64 = 260;

const KINDS: [Kind; 8] = [
    Kind::Kill,
    Kind::Once(Errno::EIO),
    Kind::Once(Errno::ENOSPC),
    Kind::Once(Errno::EINTR),
    Kind::Ever(Errno::EIO),
    Kind::Ever(Errno::ENOSPC),
    Kind::Short,
    Kind::ShortThen(Errno::ENOSPC),
];

/// A change to be made.
#[derive(Debug, Clone)]
enum Op {
    Create,
    Put(String, Vec<u8>),
    Revoke(String),
    Delete(String),
    AddSlot,
    RemoveSlot,
    Rekey,
    Import(Vec<u8>),
    Restore(Vec<u8>),
}

impl Op {
    /// Takes something away that must not come back.
    fn erases(&self) -> bool {
        matches!(self, Self::Revoke(_) | Self::Delete(_) | Self::RemoveSlot | Self::Rekey)
    }

    /// Makes the change; for those that begin with a file, opens it as well.
    fn run(&self, vault: &mut Option<Vault>, disk: &Faulty, arena: &Arena) -> Result<(), Error> {
        let boxed = || Box::new(disk.clone());
        match self {
            Self::Create => {
                let unlock = key(arena, 1);
                *vault = Some(Vault::create(boxed(), arena, &slot("first", &unlock))?);
                return Ok(());
            }
            Self::Restore(backup) => {
                *vault = Some(Vault::restore(boxed(), arena, &key(arena, 1), backup, 0)?);
                return Ok(());
            }
            _ => {}
        }
        let vault = vault.as_mut().unwrap();
        let unlock = key(arena, 1);
        let other = key(arena, 2);
        match self {
            Self::Put(n, value) => vault.put(name(n), value, false, NOW).map(drop),
            Self::Revoke(n) => vault.revoke(&name(n), NOW).map(drop),
            Self::Delete(n) => vault.delete(&name(n)).map(drop),
            Self::AddSlot => vault.add_slot(&slot("second", &other)).map(drop),
            Self::RemoveSlot => vault.remove_slot(1).map(drop),
            Self::Rekey => vault.rekey(&[slot("rekeyed", &unlock)]).map(drop),
            Self::Import(text) => vault.import(text, true).map(drop),
            Self::Create | Self::Restore(_) => unreachable!(),
        }
    }
}

/// What there is, and the change to be made.
struct Scene {
    files: Files,
    op: Op,
}

/// A vault after a few ordinary changes, and one more to be made.
fn scene(seed: u64, arena: &Arena) -> Scene {
    let dice = &mut Dice(seed);
    if seed.is_multiple_of(10) {
        return Scene { files: Files::new(), op: Op::Create };
    }
    let disk = Faulty::default();
    let mut vault = None;
    Op::Create.run(&mut vault, &disk, arena).unwrap();
    let mut vault = vault.unwrap();
    for number in 0..dice.below(5) {
        vault.put(name(&format!("K{number}")), &value(dice), false, NOW).unwrap();
    }
    let text = vault.export().unwrap().to_vec();
    let backup = vault.backup().unwrap();
    vault.put(name("KEPT"), &value(dice), false, NOW).unwrap();
    vault.put(name("GOES"), &value(dice), false, NOW).unwrap();
    let other = key(arena, 2);
    vault.add_slot(&slot("other", &other)).unwrap();
    let op = match seed % 10 {
        1 => Op::Put("NEW".into(), value(dice)),
        2 => Op::Put("KEPT".into(), value(dice)),
        3 => Op::Revoke("GOES".into()),
        4 => Op::Delete("GOES".into()),
        5 => Op::AddSlot,
        6 => Op::RemoveSlot,
        7 => Op::Rekey,
        8 => Op::Import(text),
        _ => Op::Restore(backup),
    };
    Scene { files: disk.files(), op }
}

fn value(dice: &mut Dice) -> Vec<u8> {
    let length = 16 + dice.below(500);
    dice.bytes(length)
}

/// What a disk holds: credentials, and whether the second key opens it too.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Nothing,
    Facts(Facts, bool),
}

fn held(files: &Files, arena: &Arena) -> Held {
    let disk = || Box::new(Faulty::with(files));
    if !files.contains_key(&Name::Vault) {
        let error = Vault::open(disk(), arena, &key(arena, 1)).unwrap_err();
        assert_eq!(error, Error::Missing { previous: files.contains_key(&Name::Previous) });
        return Held::Nothing;
    }
    let vault = Vault::open(disk(), arena, &key(arena, 1)).expect("an unreadable vault");
    let other = look::verify(&files[&Name::Vault], arena, &key(arena, 2)).is_ok();
    Held::Facts(facts(&vault), other)
}

/// All values in any file that any of the keys opens.
fn values_anywhere(files: &Files, arena: &Arena) -> BTreeSet<Vec<u8>> {
    let mut values = BTreeSet::new();
    for content in files.values() {
        let alone = Files::from([(Name::Vault, content.clone())]);
        for seed in [1, 2] {
            let disk = Box::new(Faulty::with(&alone));
            if let Ok(vault) = Vault::open(disk, arena, &key(arena, seed)) {
                values.extend(facts(&vault).into_values().filter_map(|fact| fact.0.ok()));
            }
        }
    }
    values
}

#[derive(Default)]
struct Counts {
    faults: usize,
    states: usize,
    in_doubt: usize,
}

/// A scene, played once without a fault.
struct Played {
    scene: Scene,
    before: Held,
    after: Held,
    calls: usize,
    writes: Vec<usize>,
}

fn play(scene: Scene, arena: &Arena) -> Played {
    let before = held(&scene.files, arena);
    let (disk, mut vault) = set(&scene, arena);
    disk.arm(usize::MAX, Kind::Kill);
    scene.op.run(&mut vault, &disk, arena).unwrap();
    let (calls, writes) = disk.calls();
    let after = held(&disk.files(), arena);
    Played { scene, before, after, calls, writes }
}

/// The disk of a scene, and the vault on it, open where the change needs that.
fn set(scene: &Scene, arena: &Arena) -> (Faulty, Option<Vault>) {
    let disk = Faulty::with(&scene.files);
    let open = || Vault::open(Box::new(disk.clone()), arena, &key(arena, 1)).unwrap();
    let vault = match scene.op {
        Op::Create | Op::Restore(_) => None,
        _ => Some(open()),
    };
    (disk, vault)
}

/// Plays it with one fault, and looks at everything that may leave.
fn injure(played: &Played, at: usize, kind: Kind, arena: &Arena, counts: &mut Counts) {
    let Played { scene, before, after, .. } = played;
    let context = || format!("{:?} with {kind:?} at call {at}", scene.op);
    let (disk, mut vault) = set(scene, arena);
    let facts_before = vault.as_ref().map(facts);
    disk.arm(at, kind);
    let result = scene.op.run(&mut vault, &disk, arena);
    disk.disarm();
    counts.faults += 1;

    let killed = disk.is_dead();
    let in_doubt = matches!(result, Err(Error::InDoubt(_)));
    counts.in_doubt += usize::from(in_doubt);
    if let (Err(_), Some(vault), Some(facts_before)) = (&result, &vault, &facts_before) {
        assert_eq!(facts(vault), *facts_before, "memory changed: {}", context());
    }
    let allowed = match &result {
        Ok(()) => vec![after],
        Err(_) if killed || in_doubt => vec![before, after],
        Err(_) => vec![before],
    };
    for files in &disk.crashes() {
        counts.states += 1;
        let now = held(files, arena);
        assert!(allowed.contains(&&now), "{}: {result:?} left {now:?}", context());
        if scene.op.erases() && now == *after {
            erased(played, files, arena);
        }
    }
    if killed {
        return;
    }
    // The process lives on, and the disk is well again.
    let Some(mut vault) = vault else { return };
    let next = vault.put(name("LATER"), b"a value to be kept later", false, NOW);
    if in_doubt {
        assert!(matches!(next, Err(Error::InDoubt(_))), "{}", context());
        return;
    }
    next.unwrap_or_else(|e| panic!("{}: then {e:?}", context()));
    let expected = if result.is_ok() { after } else { before };
    let Held::Facts(mut expected, other) = expected.clone() else { panic!("{}", context()) };
    expected.extend(facts(&vault).remove_entry("LATER"));
    for files in disk.crashes() {
        assert_eq!(held(&files, arena), Held::Facts(expected.clone(), other), "{}", context());
    }
}

/// What the change took away is in no file any more.
fn erased(played: &Played, files: &Files, arena: &Arena) {
    let (Held::Facts(old, _), Held::Facts(new, _)) = (&played.before, &played.after) else {
        panic!("a change that begins or ends with nothing takes nothing away")
    };
    let values = |facts: &Facts| -> BTreeSet<_> {
        facts.values().filter_map(|fact| fact.0.clone().ok()).collect()
    };
    let gone: BTreeSet<_> = values(old).difference(&values(new)).cloned().collect();
    // `vault.new` is removed by whoever opens the vault next.
    let mut files = files.clone();
    files.remove(&Name::New);
    let op = &played.scene.op;
    assert!(values_anywhere(&files, arena).is_disjoint(&gone), "{op:?}: a value came back");
    if matches!(op, Op::RemoveSlot | Op::Rekey) {
        for content in files.values() {
            assert_eq!(look::verify(content, arena, &key(arena, 2)), Err(Error::WrongKey));
        }
    }
}

/// Every fault at every call of one scene.
fn every_fault(seed: u64, arena: &Arena, counts: &mut Counts) {
    let played = play(scene(seed, arena), arena);
    for kind in KINDS {
        let only_writes = matches!(kind, Kind::Short | Kind::ShortThen(_));
        // After the last call only a power cut is anything at all.
        let end = if kind == Kind::Kill { played.calls + 1 } else { played.calls };
        for at in (0..end).filter(|at| !only_writes || played.writes.contains(at)) {
            injure(&played, at, kind, arena, counts);
        }
    }
}

#[test]
fn every_fault_leaves_the_old_or_the_new() {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8) as u64;
    let work = |thread: u64| {
        let (arena, mut counts) = (arena(), Counts::default());
        (thread..SCENES)
            .step_by(threads as usize)
            .for_each(|seed| every_fault(seed, &arena, &mut counts));
        counts
    };
    let counts = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|t| scope.spawn(move || work(t))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).fold(Counts::default(), |a, b| {
            Counts {
                faults: a.faults + b.faults,
                states: a.states + b.states,
                in_doubt: a.in_doubt + b.in_doubt,
            }
        })
    });
    let Counts { faults, states, in_doubt } = counts;
    println!(
        "{faults} faults in {SCENES} scenes, {states} states of the disk, {in_doubt} in doubt"
    );
    assert!(faults >= FAULTS && in_doubt > 0);
}
