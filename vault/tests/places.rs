//! The vault where it really lives: on a full disk, on one that cannot be
//! written, in a process that is killed, in the broker's jail, in a folder of
//! another user.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::*;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, Uid, getgid, getuid};
use strongroom_jail::{domain, service};
use strongroom_sys::process::{self, Forked};
use strongroom_sys::{Errno, secret::Arena};
use strongroom_vault::disk::{Disk, Folder};
use strongroom_vault::{Error, Vault};

/// Names the folder in which to write until killed.
const WRITER: &str = "STRONGROOM_TEST_WRITER";

/// How often a writer is killed.
const KILLS: usize = 100;

fn main() {
    if let Some(folder) = std::env::var_os(WRITER) {
        write_until_killed(Path::new(&folder));
    }
    let tests: &[(&str, fn())] = &[
        ("a_killed_writer_loses_nothing", a_killed_writer_loses_nothing),
        ("a_full_disk_changes_nothing", a_full_disk_changes_nothing),
        ("a_folder_that_cannot_be_written_is_an_error", a_read_only_folder),
        ("all_it_does_is_on_the_brokers_list", all_it_does_is_on_the_brokers_list),
        ("root_writes_for_the_owner", root_writes_for_the_owner),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
}

fn private_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    folder
}

fn take(folder: &Path) -> Result<Box<dyn Disk>, Error> {
    Ok(Box::new(Folder::open(File::open(folder).unwrap().as_fd())?))
}

fn create(folder: &Path, arena: &Arena) -> Result<Vault, Error> {
    Vault::create(take(folder)?, arena, &slot("key", &key(arena, 1)))
}

fn open(folder: &Path, arena: &Arena) -> Vault {
    Vault::open(take(folder).unwrap(), arena, &key(arena, 1)).unwrap()
}

/// Runs `act` in a child of its own; false where it panics.
fn succeeds(act: impl FnOnce()) -> bool {
    let status = match process::fork(0).unwrap() {
        Forked::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
            process::exit(i32::from(done.is_err()))
        }
        Forked::Parent { pid, .. } => waitpid(Pid::from_raw(pid), None).unwrap(),
    };
    matches!(status, WaitStatus::Exited(_, 0))
}

fn in_child(act: impl FnOnce()) {
    assert!(succeeds(act), "a child failed");
}

fn value(version: u64) -> Vec<u8> {
    format!("the value of version {version:08}").into_bytes()
}

/// Says on standard output what is done, after it is done.
fn write_until_killed(folder: &Path) -> ! {
    let arena = arena();
    let mut vault = open(folder, &arena);
    let mut out = std::io::stdout();
    for round in 0_u64.. {
        let key = format!("K{}", round % 5);
        let version = vault.get(&name(&key)).map_or(1, |entry| entry.version() + 1);
        let done = if round % 7 == 6 && vault.get(&name(&key)).is_some() {
            vault.delete(&name(&key)).unwrap();
            format!("{key} 0\n")
        } else {
            let change = vault.put(name(&key), &value(version), false, NOW).unwrap();
            format!("{key} {}\n", change.version)
        };
        out.write_all(done.as_bytes()).unwrap();
    }
    unreachable!()
}

fn a_killed_writer_loses_nothing() {
    let folder = private_folder();
    let arena = arena();
    drop(create(folder.path(), &arena).unwrap());
    let dice = &mut Dice(1);
    let mut done = BTreeMap::new();
    let mut changes = 0;
    for _ in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(WRITER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        said.extend((0..1 + dice.below(8)).map_while(|_| lines.next()));
        // Somewhere within the next change.
        std::thread::sleep(std::time::Duration::from_micros(dice.below(5000) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        said.extend(lines);
        for line in said {
            let line = line.unwrap();
            let (key, version) = line.split_once(' ').unwrap();
            done.insert(key.to_owned(), version.parse::<u64>().unwrap());
            changes += 1;
        }
        // What was not said may have been done, as the one change after it.
        let now = facts(&open(folder.path(), &arena));
        let mut unsaid = 0;
        for key in (0..5).map(|number| format!("K{number}")) {
            let said = done.get(&key).copied().unwrap_or(0);
            let found = now.get(&key).map_or(0, |(state, version, ..)| {
                assert_eq!(state.as_ref().unwrap(), &value(*version));
                *version
            });
            if found != said {
                assert!(found == said + 1 || found == 0, "{key}: {said} said, {found} found");
                unsaid += 1;
                done.insert(key, found);
            }
        }
        assert!(unsaid <= 1);
    }
    println!("  {KILLS} kills, {changes} changes");
}

/// A mount namespace of its own, and a small tmpfs there. Needs root or user
/// namespaces; says so where it has neither. `act` gets the tmpfs, and what
/// mounts it anew with other flags.
fn on_a_tmpfs(options: &str, act: fn(&Path, &dyn Fn(MsFlags))) {
    let folder = private_folder();
    let path = folder.path().to_owned();
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    if !succeeds(|| enter(uid, gid).unwrap()) {
        println!("  SKIPPED: needs root or user namespaces to mount a tmpfs");
        return;
    }
    in_child(|| {
        enter(uid, gid).unwrap();
        let options = format!("{options},mode=0700");
        let tmpfs = |flags| {
            mount(Some("none"), &path, Some("tmpfs"), flags, Some(options.as_str())).unwrap();
        };
        tmpfs(MsFlags::empty());
        act(&path, &|flags| tmpfs(flags | MsFlags::MS_REMOUNT));
    });
}

fn enter(uid: u32, gid: u32) -> Result<(), Errno> {
    if Uid::from_raw(uid).is_root() {
        unshare(CloneFlags::CLONE_NEWNS)?;
    } else {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
        let write = |path, text: String| fs::write(path, text).map_err(|_| Errno::EPERM);
        write("/proc/self/setgroups", "deny".into())?;
        write("/proc/self/uid_map", format!("0 {uid} 1"))?;
        write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    }
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
}

fn a_full_disk_changes_nothing() {
    on_a_tmpfs("size=64k", |path, _| {
        let arena = arena();
        let mut vault = create(path, &arena).unwrap();
        let mut number = 0;
        let error = loop {
            match vault.put(name(&format!("K{number}")), &Dice(number).bytes(3000), false, NOW) {
                Ok(_) => number += 1,
                Err(error) => break error,
            }
        };
        assert!(number > 2, "the disk was full too soon");
        assert!(matches!(error, Error::Disk { errno: Errno::ENOSPC, .. }), "{error:?}");
        let before = facts(&vault);
        assert_eq!(before.len() as u64, number);
        // It can still take away: that frees what the previous file took.
        vault.revoke(&name("K0"), NOW).unwrap();
        drop(vault);
        let vault = open(path, &arena);
        assert_eq!(vault.get(&name("K0")).unwrap().revoked(), Some(NOW));
        assert_eq!(vault.entries().len(), before.len());
        assert!(!path.join("vault.new").exists());
    });
}

fn a_read_only_folder() {
    on_a_tmpfs("size=1m", |path, remount| {
        let arena = arena();
        let unwritable = |result: Result<(), Error>| {
            assert!(matches!(result, Err(Error::Disk { errno: Errno::EROFS, .. })), "{result:?}");
        };
        let mut vault = create(path, &arena).unwrap();
        vault.put(name("A"), &value(1), false, NOW).unwrap();
        drop(vault);
        remount(MsFlags::MS_RDONLY);
        unwritable(take(path).map(drop));
        // Looking needs no right to write.
        let file = strongroom_vault::look::read(File::open(path).unwrap().as_fd()).unwrap();
        strongroom_vault::look::verify(&file, &arena, &key(&arena, 1)).unwrap();
        remount(MsFlags::empty());
        let vault = open(path, &arena);
        assert_eq!(vault.get(&name("A")).unwrap().value(), Some(value(1).as_slice()));
    });
}

/// Under the broker's system-call list and Landlock domain, where one call too
/// many is the end.
fn all_it_does_is_on_the_brokers_list() {
    let folder = private_folder();
    let path = folder.path().to_owned();
    in_child(|| {
        let abi = (1..=9).rev().find(|abi| domain::Domain::new(*abi, false).is_ok()).unwrap();
        let arena = arena();
        let folder = strongroom_sys::fd::anchor(&c_path(&path)).unwrap();
        service::lock_down(folder.as_fd(), abi, strongroom_seccomp::broker())
            .unwrap_or_else(|_| panic!("no lock-down"));
        let disk = || Box::new(Folder::open(folder.as_fd()).unwrap());
        let (first, words) = (key(&arena, 1), passphrase(&arena, "correct horse battery"));
        let mut vault = Vault::create(disk(), &arena, &slot("key", &first)).unwrap();
        vault.add_slot(&slot("words", &words)).unwrap();
        vault.put(name("A"), &value(1), false, NOW).unwrap();
        vault.put(name("A"), &value(2), false, NOW).unwrap();
        vault.put(name("B"), &value(3), false, NOW).unwrap();
        vault.revoke(&name("A"), NOW).unwrap();
        vault.delete(&name("A")).unwrap();
        vault.remove_slot(0).unwrap();
        let backup = vault.backup().unwrap();
        drop(vault);
        let mut vault = Vault::restore(disk(), &arena, &words, &backup, 0).unwrap();
        vault.rekey(&[slot("words", &words)]).unwrap();
        vault.wipe();
        drop(vault);
        let vault = Vault::open(disk(), &arena, &words).unwrap();
        assert_eq!(vault.get(&name("B")).unwrap().value(), Some(value(3).as_slice()));
        Vault::memory(&arena).unwrap().put(name("C"), &value(4), false, NOW).unwrap();
    });
}

fn c_path(path: &Path) -> std::ffi::CString {
    std::ffi::CString::new(path.to_str().unwrap()).unwrap()
}

fn root_writes_for_the_owner() {
    const OWNER: u32 = 64_102;
    let folder = private_folder();
    let path: PathBuf = folder.path().to_owned();
    if !Uid::effective().is_root() {
        println!("  SKIPPED: needs root");
        return;
    }
    chown(&path, Some(OWNER), Some(OWNER)).unwrap();
    let arena = arena();
    let mut vault = create(&path, &arena).unwrap();
    vault.put(name("A"), &value(1), false, NOW).unwrap();
    drop(vault);
    for file in ["vault", "vault.previous", "vault.lock"] {
        let metadata = fs::metadata(path.join(file)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (OWNER, OWNER), "{file}");
    }
    // A file of root's own in that folder is nobody's vault.
    chown(path.join("vault"), Some(0), Some(0)).unwrap();
    assert!(matches!(take(&path).map(drop), Err(Error::NotOurs(_))));
    chown(path.join("vault"), Some(OWNER), Some(OWNER)).unwrap();
    in_child(|| {
        // Nor is this folder anybody else's than its owner's and root's.
        let folder = File::open(&path).unwrap();
        let other = Uid::from_raw(OWNER + 1);
        nix::unistd::setresuid(other, other, other).unwrap();
        let opened = Folder::open(folder.as_fd()).map(drop);
        assert!(opened.is_err(), "{opened:?}");
    });
}
