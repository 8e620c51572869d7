//! Which place is chosen, over made-up facts; and making it, for real.
#![allow(clippy::unwrap_used)]

use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use crate::sample::plan;
use strongroom_protocol::plan::Leases;
use strongroom_protocol::types::ProfileIx;

fn us() -> Ids {
    Ids { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() }
}

fn alone() -> Who {
    Who { sandbox: us(), broker: us(), recorder: us(), adopts: false }
}

fn apart() -> Who {
    let ids = |uid| Ids { uid, gid: uid };
    Who { sandbox: ids(1), broker: ids(2), recorder: ids(3), adopts: false }
}

fn base(path: &str, in_memory: bool, passable: bool) -> Base {
    Base { path: path.into(), in_memory, passable }
}

#[test]
fn the_order_of_places() {
    let (state, runtime) = (Path::new("/state"), || Some(PathBuf::from("/run/user/7")));
    let got = |runtime, who| {
        let order = order(Some(state), runtime, &who);
        order.iter().map(|p| p.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(got(runtime(), alone()), ["/state", "/run/user/7", "/run", "/dev", "/dev/shm"]);
    // Root's runtime folder is closed to the sandbox user.
    assert_eq!(got(runtime(), apart()), ["/state", "/run", "/dev", "/dev/shm"]);
    assert_eq!(got(None, alone()), ["/state", "/run", "/dev", "/dev/shm"]);
}

/// A compiler whose policy shows these places to commands.
fn compiler(shown: &[&str]) -> impl Fn(Option<PathBuf>) -> Result<Compiled, Failure> {
    let shown: Vec<PathBuf> = shown.iter().map(PathBuf::from).collect();
    move |folder| {
        let mut plan = plan(1, &[]);
        let folder = folder.filter(|f| !shown.iter().any(|s| f.starts_with(s)));
        plan.leases = folder.map(|folder| Leases {
            folder: PathBytes::new(folder.as_os_str().as_bytes()).unwrap(),
            writer: ProfileIx(1),
        });
        Ok((plan, Diagnostics::default()))
    }
}

#[test]
fn only_in_memory_and_out_of_reach() {
    let tmp = tempfile::tempdir().unwrap();
    let (one, two) = (tmp.path().join("one"), tmp.path().join("two"));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    fs::create_dir(one).unwrap();
    fs::create_dir(two).unwrap();
    let chosen = |bases: &[Base], shown: &[&str]| {
        let ((plan, _), folder) =
            compile(bases, Path::new("/state"), &alone(), compiler(shown)).unwrap();
        let planned = plan.leases.map(|leases| leases.folder.display());
        let made = folder.map(|folder| folder.path.display().to_string());
        assert_eq!(planned, made);
        made.map(|path| path.rsplit_once('/').unwrap().0.to_owned())
    };
    let usable = [base(one, true, true), base(two, true, true)];
    let first_is_full = [base("/proc", true, true), base(two, true, true)];
    let unfit = [base(one, false, true), base(two, true, false)];
    assert_eq!(chosen(&usable, &[]).as_deref(), Some(one));
    assert_eq!(chosen(&usable, &[one]).as_deref(), Some(two));
    assert_eq!(chosen(&first_is_full, &[]).as_deref(), Some(two));
    assert_eq!(chosen(&usable, &["/"]), None);
    assert_eq!(chosen(&unfit, &[]), None);
    assert_eq!(chosen(&[], &[]), None);
}

#[test]
fn names_of_ours() {
    for (name, want) in [
        (c"strongroom-leases-0123abcd", true),
        (c"strongroom-leases-0123abc", false),
        (c"strongroom-leases-0123abcde", false),
        (c"strongroom-leases-0123abcx", false),
        (c"strongroom-leases-", false),
        (c"leases", false),
    ] {
        assert_eq!(is_ours(name), want, "{name:?}");
    }
}

#[test]
fn made_held_and_swept() {
    let tmp = tempfile::tempdir().unwrap();
    let owner = us();
    let bases = [base(tmp.path().to_str().unwrap(), true, true)];
    let first = beside(tmp.path(), owner).unwrap();
    let second = beside(tmp.path(), owner).unwrap();
    assert_ne!(first.path, second.path);
    let meta = first.path.symlink_metadata().unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o700, owner.uid));
    fs::create_dir(second.path.join("00000001")).unwrap();
    fs::write(second.path.join("00000001/env"), "left over").unwrap();
    fs::write(tmp.path().join("strongroom-leases-deadbeef"), "a file").unwrap();
    symlink(&first.path, tmp.path().join("strongroom-leases-00000000")).unwrap();
    fs::create_dir(tmp.path().join("strongroom-leases")).unwrap();

    sweep(&bases, owner);
    assert!(first.path.is_dir() && second.path.is_dir(), "held");
    drop(second.lock);
    sweep(&bases, Ids { uid: owner.uid + 1, gid: 0 });
    assert!(second.path.is_dir(), "another's");
    sweep(&bases, owner);
    assert!(!second.path.exists());
    let left = fs::read_dir(tmp.path()).unwrap().count();
    assert_eq!((first.path.is_dir(), left), (true, 4), "nothing else was touched");
}

#[test]
fn in_a_state_folder() {
    let tmp = tempfile::tempdir().unwrap();
    fs::create_dir(tmp.path().join("leases")).unwrap();
    fs::write(tmp.path().join("leases/old"), "left over").unwrap();
    let made = make(tmp.path(), tmp.path(), &alone()).unwrap();
    assert_eq!(made.path, tmp.path().join("leases"));
    assert_eq!(fs::read_dir(&made.path).unwrap().count(), 0);
    let again = make(tmp.path(), tmp.path(), &alone());
    assert_eq!(again.unwrap_err(), Errno::EWOULDBLOCK, "held");
}

#[test]
fn memory_is_told_from_a_disk() {
    let disk = Base::look("/proc".into(), us());
    assert!(!disk.in_memory && disk.passable, "{disk:?}");
    let none = Base::look("/nonesuch".into(), us());
    assert!(!none.in_memory && !none.passable, "{none:?}");
    let shm = Base::look(SHM.into(), us());
    let says = open(Path::new(SHM)).and_then(|fd| fstatfs(&fd)).map(|s| s.filesystem_type());
    assert_eq!(shm.in_memory, says == Ok(TMPFS_MAGIC));
}
