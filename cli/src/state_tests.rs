//! State folders, good and bad, in a temporary folder.
#![allow(clippy::unwrap_used)]

use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

fn us() -> Ids {
    Ids { uid: geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() }
}

/// Everything runs as us: works as root and as anybody.
fn alone() -> Who {
    Who { sandbox: us(), broker: us(), recorder: us(), adopts: false }
}

fn open(path: &Path) -> Result<State, Failure> {
    State::open(Wanted::Named(path.to_owned()), &alone(), Path::new("/workspace"))
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

#[test]
fn a_new_folder_is_laid_out() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("state");
    let state = open(&path).unwrap();
    assert_eq!((state.path.as_path(), state.note), (path.as_path(), None));
    for name in ["", "broker", "log", "home", "tmp", "run", "run/root"] {
        assert_eq!(mode(&path.join(name)), 0o700, "{name}");
    }
}

#[test]
fn separate_users_get_separate_folders() {
    if us().uid != 0 {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("state");
    fs::set_permissions(tmp.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let who = crate::place::who(crate::facts::starter(), us()).unwrap();
    State::open(Wanted::Named(path.clone()), &who, Path::new("/workspace")).unwrap();
    for (name, want_mode, want_uid) in [
        ("", 0o711, 0),
        ("run", 0o711, 0),
        ("run/root", 0o711, 0),
        ("broker", 0o700, who.broker.uid),
        ("log", 0o700, who.recorder.uid),
        ("home", 0o700, who.sandbox.uid),
        ("tmp", 0o700, who.sandbox.uid),
    ] {
        let path = path.join(name);
        assert_eq!((mode(&path), path.metadata().unwrap().uid()), (want_mode, want_uid), "{name}");
    }
    fs::write(path.join("home/kept"), "x").unwrap();
    let other = Who { sandbox: Ids { uid: 4242, gid: 4242 }, ..who };
    let failure = State::open(Wanted::Named(path), &other, Path::new("/workspace")).unwrap_err();
    assert!(failure.message.contains("home in it belongs to uid 64101"), "{}", failure.message);
}

#[test]
fn one_session_at_a_time() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("state");
    let held = open(&path).unwrap();
    assert_eq!(open(&path).unwrap_err().code, Code::StateBusy);
    drop(held);
    assert!(open(&path).is_ok());
}

#[test]
fn what_a_crash_left_is_removed() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("state");
    fs::create_dir_all(path.join("tmp/7/deep")).unwrap();
    fs::create_dir_all(path.join("run")).unwrap();
    fs::create_dir_all(path.join("home")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(path.join("run/agent.sock"), "").unwrap();
    fs::write(path.join("home/kept"), "x").unwrap();
    open(&path).unwrap();
    assert_eq!(fs::read_dir(path.join("tmp")).unwrap().count(), 0);
    assert!(!path.join("run/agent.sock").exists());
    assert!(path.join("home/kept").exists());
    assert_eq!(mode(&path), 0o700);
}

#[test]
fn bad_folders_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let at = |name: &str| tmp.path().join(name);
    fs::write(at("file"), "").unwrap();
    fs::create_dir(at("real")).unwrap();
    symlink(at("real"), at("link")).unwrap();
    for (name, bits) in [("group", 0o770), ("all", 0o707)] {
        fs::create_dir(at(name)).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(bits)).unwrap();
    }
    fs::create_dir_all(at("full/somebody's")).unwrap();
    for (path, want) in [
        (at("file"), "it is not a folder"),
        (at("link"), "it is a symbolic link"),
        (at("missing/state"), "the folder above it"),
        (at("group"), "others can write to it: chmod go-w"),
        (at("all"), "others can write to it"),
        (at("full"), "not strongroom's (somebody's)"),
        (at("x".repeat(100).as_str()), "too long"),
        ("/".into(), "give the folder's own name"),
        ("..".into(), "give the folder's own name"),
        ("/proc/state".into(), ""),
    ] {
        let failure = open(&path).unwrap_err();
        assert_eq!((failure.code, failure.exit()), (Code::StateUnusable, 78), "{path:?}");
        assert!(failure.message.contains(want), "{path:?}: {}", failure.message);
    }
    assert_eq!(mode(&at("full")) & 0o700, 0o700);
    assert!(!at("full/run").exists(), "nothing was made in a folder that is refused");
}

#[test]
fn workspace_and_state_stay_apart() {
    let tmp = tempfile::tempdir().unwrap();
    let inside = tmp.path().join("state");
    for (state, workspace) in
        [(inside.clone(), tmp.path().to_owned()), (inside.clone(), inside.join("work"))]
    {
        let failure = State::open(Wanted::Named(state), &alone(), &workspace).unwrap_err();
        assert_eq!(failure.code, Code::StateUnusable);
    }
    assert!(!inside.exists());
}

#[test]
fn an_unwritable_usual_place_is_replaced_loudly() {
    let usual = Wanted::Usual(Some("/proc/none/strongroom".into()));
    for wanted in [usual, Wanted::Usual(None)] {
        let state = State::open(wanted, &alone(), Path::new("/workspace")).unwrap();
        let note = state.note.unwrap();
        assert!(
            note.contains("(temporary: no writable state folder; the audit log is lost"),
            "{note}"
        );
        fs::remove_dir_all(&state.path).unwrap();
    }
}

#[test]
fn a_folder_for_the_vault_without_a_session() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("state");
    let wanted = || Wanted::Named(path.clone());
    assert_eq!(idle::Idle::existing(wanted()).unwrap_err().code, Code::NoVault);
    assert_eq!(idle::look(wanted()).unwrap_err().code, Code::NoVault);
    assert!(!path.exists());
    let idle = idle::Idle::or_new(wanted()).unwrap();
    assert_eq!(idle.path, path);
    assert_eq!(fstat(idle.broker()).unwrap().st_mode & 0o7777, 0o700);
    assert_eq!(open(&path).unwrap_err().code, Code::StateBusy);
    assert_eq!(idle::Idle::existing(wanted()).unwrap_err().code, Code::StateBusy);
    assert!(idle::look(wanted()).is_ok(), "looking needs no lock");
    drop(idle);
    let session = if us().uid == 0 { None } else { Some(open(&path).unwrap()) };
    assert_eq!(idle::Idle::existing(wanted()).is_ok(), session.is_none());

    let foreign = tmp.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    let failure = idle::Idle::existing(Wanted::Named(foreign.clone())).unwrap_err();
    assert_eq!(failure.code, Code::NoVault);
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 0, "nothing was made");
    fs::write(foreign.join("thesis"), "x").unwrap();
    let failure = idle::Idle::or_new(Wanted::Named(foreign)).unwrap_err();
    assert!(failure.message.contains("thesis"), "{}", failure.message);
}
