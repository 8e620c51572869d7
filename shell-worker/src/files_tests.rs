//! Files and links in a workspace made for it: what is written, what is
//! refused, and that nothing half done is ever left.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use strongroom_protocol::types::ProfileIx;

use super::*;
use crate::testing;

struct Place {
    folder: tempfile::TempDir,
    workspace: OwnedFd,
    plan: Plan,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("ws/src/deep")).unwrap();
        let path = folder.path().join("ws");
        let workspace = fs::File::open(&path).unwrap().into();
        let mut plan = testing::plan(path.to_str().unwrap());
        plan.leases = Some(Leases { folder: testing::path("/leases"), writer: ProfileIx(0) });
        plan.protect = [".claude", ".husky/hook"].map(testing::path).to_vec();
        Self { folder, workspace, plan }
    }

    fn desk(&self) -> Desk<'_> {
        Desk { plan: &self.plan, workspace: self.workspace.as_fd(), slot: 7 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("ws").join(name)
    }

    fn put(&self, name: &str, mode: u32) {
        fs::write(self.path(name), "old").unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn write(&self, path: &str, mode: Option<u16>) -> Result<(), Refusal> {
        let write = Write { path: PathBytes::new(path).unwrap(), mode, size: 3 };
        let draft = self.desk().write(&write)?;
        draft.add(b"n")?;
        draft.add(b"ew")?;
        draft.finish()
    }

    fn link(&self, path: &str) -> Result<(), Refusal> {
        let link = Link { path: PathBytes::new(path).unwrap(), id: LeaseId(0x2a) };
        self.desk().link(&link)
    }

    fn mode(&self, name: &str) -> u32 {
        fs::symlink_metadata(self.path(name)).unwrap().mode() & 0o7777
    }

    /// Every name in the workspace, and what it is.
    fn listing(&self) -> Vec<(PathBuf, u64, u32, i64)> {
        let mut list = Vec::new();
        let mut open = vec![self.path("")];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let meta = fs::symlink_metadata(&path).unwrap();
                if meta.is_dir() {
                    open.push(path.clone());
                }
                list.push((path, meta.ino(), meta.mode(), meta.mtime_nsec()));
            }
        }
        list.sort();
        list
    }
}

#[test]
fn a_new_file_is_its_owners_alone() {
    let place = Place::new();
    assert_eq!(place.write(".env", None), Ok(()));
    assert_eq!(place.write("src/deep/config", Some(0o7640)), Ok(()));
    assert_eq!(fs::read(place.path(".env")).unwrap(), b"new");
    assert_eq!(fs::read(place.path("src/deep/config")).unwrap(), b"new");
    assert_eq!((place.mode(".env"), place.mode("src/deep/config")), (0o600, 0o640));
    // src, src/deep and the two files: no name of ours is left.
    assert_eq!(place.listing().len(), 4);
}

#[test]
fn an_old_files_mode_is_kept_but_no_set_id_bit() {
    let place = Place::new();
    place.put("run", 0o4751);
    place.put("locked", 0o444);
    assert_eq!(place.write("run", None), Ok(()));
    assert_eq!(place.write("locked", None), Ok(()));
    assert_eq!((place.mode("run"), place.mode("locked")), (0o751, 0o444));
    assert_eq!(place.write("run", Some(0o600)), Ok(()));
    assert_eq!(place.mode("run"), 0o600);
    assert_eq!(fs::read(place.path("run")).unwrap(), b"new");
}

#[test]
fn a_link_says_where_the_lease_is() {
    let place = Place::new();
    let says = |name| fs::read_link(place.path(name)).unwrap();
    assert_eq!(place.link(".env"), Ok(()));
    assert_eq!(says(".env").to_str(), Some("/leases/0000002a/.env"));
    place.put("src/deep/.npmrc", 0o644);
    assert_eq!(place.link("src/deep/.npmrc"), Ok(()));
    assert_eq!(says("src/deep/.npmrc").to_str(), Some("/leases/0000002a/.npmrc"));
    // Over a link of ours, and a file over it again.
    assert_eq!(place.link(".env"), Ok(()));
    // Also over one that an earlier session left.
    for (name, left) in [
        ("full", "/run/strongroom/leases/00000001/full"),
        ("shared", "/dev/strongroom-leases-0123abcd/0000000f/shared"),
    ] {
        symlink(left, place.path(name)).unwrap();
        assert_eq!(place.link(name), Ok(()), "{left}");
        assert_eq!(says(name), Path::new("/leases/0000002a").join(name));
    }
    assert_eq!(place.write(".env", None), Ok(()));
    assert_eq!(
        (fs::read(place.path(".env")).unwrap(), place.mode(".env")),
        (b"new".to_vec(), 0o600)
    );
}

#[test]
fn what_is_no_plain_file_is_left_alone() {
    let place = Place::new();
    place.put("file", 0o644);
    fs::hard_link(place.path("file"), place.path("other")).unwrap();
    symlink("file", place.path("link")).unwrap();
    symlink("/leasesx/0000002a/nearly", place.path("nearly")).unwrap();
    symlink("/leases/2a/nearly", place.path("near")).unwrap();
    symlink("missing", place.path("dangling")).unwrap();
    symlink("src", place.path("folder-link")).unwrap();
    nix::unistd::mkfifo(&place.path("fifo"), Mode::S_IRWXU).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    let before = place.listing();
    for name in [
        "file",
        "other",
        "link",
        "nearly",
        "near",
        "dangling",
        "fifo",
        "socket",
        "src",
        "folder-link",
        "folder-link/x",
    ] {
        assert_eq!(place.write(name, None), Err(Refusal::NotPlain), "{name}");
        assert_eq!(place.link(name), Err(Refusal::NotPlain), "{name}");
    }
    assert_eq!(place.listing(), before);
}

#[test]
fn paths_that_are_none() {
    let place = Place::new();
    let before = place.listing();
    for path in ["/etc/passwd", "..", "../x", "src/../x", ".", "./x", "src/", "src//x", "/"] {
        assert_eq!(place.write(path, None), Err(Refusal::NotPlain), "{path}");
    }
    for path in ["missing/x", "src/deep/deeper/x"] {
        assert_eq!(place.write(path, None), Err(Refusal::NoFolder), "{path}");
        assert_eq!(place.link(path), Err(Refusal::NoFolder), "{path}");
    }
    place.put("file", 0o644);
    assert_eq!(place.write("file/x", None), Err(Refusal::NoFolder));
    fs::remove_file(place.path("file")).unwrap();
    let long = "x".repeat(256);
    assert_eq!(place.write(&long, None), Err(Refusal::Failed(Errno::ENAMETOOLONG)));
    assert_eq!(place.listing().len(), before.len());
}

#[test]
fn what_git_or_the_policy_calls_its_own() {
    let place = Place::new();
    for folder in [".git/hooks", "src/.GIT", "conf", ".husky"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    symlink("conf", place.path(".claude")).unwrap();
    let before = place.listing();
    for path in [
        ".git/config",
        ".git/hooks/pre-commit",
        "src/.GIT/x",
        ".git",
        "git~1/x",
        // Where the protected name leads, and itself.
        "conf/settings.json",
        "conf/deep/x",
        ".claude",
        // Not there yet.
        ".husky/hook",
        ".Husky/HOOK",
        ".husky/hook/x",
    ] {
        assert_eq!(place.write(path, None), Err(Refusal::NotPlain), "{path}");
        assert_eq!(place.link(path), Err(Refusal::NotPlain), "{path}");
    }
    assert_eq!(place.listing(), before);
    for path in [".husky/hooked", "conf2", ".gitignore"] {
        assert_eq!(place.write(path, None), Ok(()), "{path}");
    }
}

#[test]
fn a_file_that_ends_early_leaves_nothing() {
    let place = Place::new();
    place.put("file", 0o640);
    let before = place.listing();
    let write = Write { path: testing::path("file"), mode: None, size: 9 };
    let draft = place.desk().write(&write).unwrap();
    draft.add(b"half").unwrap();
    drop(draft);
    assert_eq!(place.listing(), before);
    // Something else has taken its place meanwhile.
    let draft = place.desk().write(&write).unwrap();
    draft.add(b"whole").unwrap();
    fs::remove_file(place.path("file")).unwrap();
    fs::create_dir(place.path("file")).unwrap();
    let before = place.listing();
    assert_eq!(draft.finish(), Err(Refusal::NotPlain));
    assert_eq!(place.listing(), before);
}

/// As on a file system without nameless files, and as on a kernel that does
/// not let us give them a name.
#[test]
fn under_a_name_of_ours_and_by_copy() {
    let place = Place::new();
    let write = Write { path: testing::path("file"), mode: None, size: 3 };
    // Taken: the next one is free.
    place.put(".strongroom-7-1", 0o600);
    let mut draft = place.desk().write(&write).unwrap();
    assert!(draft.temporary.is_none(), "no O_TMPFILE here");
    draft.add(b"new").unwrap();
    draft.copy().unwrap();
    assert_eq!(fs::read(place.path(".strongroom-7-2")).unwrap(), b"new");
    draft.finish().unwrap();
    assert_eq!(fs::read(place.path("file")).unwrap(), b"new");
    // A draft that had its name from the start.
    let named = || {
        let target = place.desk().target(&write.path).unwrap();
        let (file, name) = place.desk().named(&target).unwrap();
        let temporary = Some(name);
        Draft { desk: place.desk(), target, mode: None, file: file.into(), temporary }
    };
    let before = place.listing();
    let draft = named();
    assert_eq!(place.listing().len(), before.len() + 1);
    drop(draft);
    assert_eq!(place.listing(), before);
    let draft = named();
    draft.add(b"newer").unwrap();
    draft.finish().unwrap();
    assert_eq!(fs::read(place.path("file")).unwrap(), b"newer");
    // src, deep, the file, and the name that was taken.
    assert_eq!(place.listing().len(), 4);
}
