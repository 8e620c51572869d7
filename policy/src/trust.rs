//! Who can change the policy. A sandbox that can write the file, or a folder
//! on the way to it, writes its own rules for the next start.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::Ids;

use crate::diagnostics::Diagnostics;
use crate::load::{Loaded, identity};
use crate::paths::{List, Word, parse};
use crate::source::{Identity, Site};

/// The uid the kernel shows for owners that a user namespace does not map.
const UNMAPPED: u32 = 65534;

const WRITE_GROUP: u32 = 0o020;
const WRITE_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

const HOW: &str = "a file of root or of who starts strongroom, in folders likewise, \
                   with no write bit for group or others";

/// Who is asking.
#[derive(Debug, Clone, Copy)]
struct Us {
    uid: u32,
    gid: u32,
    sandbox: Ids,
}

/// Refuses a policy that the sandbox, or anybody but root and us, can change:
/// each file of it and each folder above, up to `/`.
///
/// # Errors
/// [`Code::PolicyUnsafe`], with what is writable and by whom.
pub fn check_trust(loaded: &Loaded, sandbox: Ids) -> Result<(), Diagnostics> {
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let us = Us { uid, gid, sandbox };
    let mut found = Diagnostics::default();
    for source in &loaded.sources {
        let Some((path, read)) = &source.file else {
            continue;
        };
        let wrong = file(path, *read, us).err().or_else(|| {
            // Same uid: owners tell nothing apart, only Landlock does.
            (sandbox.uid == uid).then(|| writable_beneath(loaded, path)).flatten()
        });
        if let Some(message) = wrong {
            let site = Site::start_of(source);
            found.error_as(Code::PolicyUnsafe, Some(&site), message, HOW);
        }
    }
    if found.has_errors() { Err(found) } else { Ok(()) }
}

fn file(path: &Path, read: Identity, us: Us) -> Result<(), String> {
    for part in path.ancestors() {
        let shown = part.display();
        let about = part.symlink_metadata().map_err(|why| format!("{shown}: {why}"))?;
        if about.is_symlink() {
            return Err(format!("{shown} is a symbolic link; name the file it leads to"));
        }
        if let Some(who) = writer(&about, us) {
            return Err(format!("{shown} can be changed by {who}"));
        }
        if part == path && !about.is_file() {
            return Err(format!("{shown} is not a regular file"));
        }
        if part == path && identity(&about) != read {
            return Err(format!("{shown} changed while it was read"));
        }
    }
    Ok(())
}

/// Somebody else who can change a file, or what a folder holds.
fn writer(about: &Metadata, us: Us) -> Option<String> {
    let (uid, gid, mode) = (about.uid(), about.gid(), about.mode());
    let same_uid = us.sandbox.uid == us.uid;
    // Owners can give themselves the write bit.
    if uid == us.sandbox.uid && !same_uid {
        return Some(format!("its owner, the sandbox (uid {uid})"));
    }
    if ![0, us.uid, UNMAPPED].contains(&uid) {
        return Some(format!("its owner, uid {uid}"));
    }
    // In a sticky folder of root (or ours) nobody renames what is not theirs,
    // and what is beneath is looked at by itself.
    if about.is_dir() && mode & STICKY != 0 {
        return None;
    }
    if mode & WRITE_OTHERS != 0 {
        return Some("everybody".to_owned());
    }
    let group_is_ours = gid == 0 || gid == us.gid;
    let group_is_sandboxs = gid == us.sandbox.gid && !same_uid;
    if mode & WRITE_GROUP != 0 && (group_is_sandboxs || !group_is_ours) {
        return Some(format!("its group, gid {gid}"));
    }
    None
}

/// A path a profile may write that has the file beneath it. What depends on
/// the place is seen when compiling.
fn writable_beneath(loaded: &Loaded, file: &Path) -> Option<String> {
    let workspace = crate::workspace_of(loaded);
    let written = loaded.policy.profile.values().flat_map(|p| p.write.iter());
    let roots = written.flat_map(|list| list.iter()).filter_map(|word| {
        let path = match parse(word, List::Write).ok()? {
            Word::Literal { path, .. } => path,
            Word::Workspace { beneath, .. } => workspace.clone()?.join(beneath),
            _ => return None,
        };
        Some(path.canonicalize().unwrap_or(path))
    });
    let mut roots = roots.collect::<Vec<PathBuf>>().into_iter();
    let file = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    roots.find(|root| file.starts_with(root)).map(|root| {
        format!("{} lies beneath {}, which a profile may write", file.display(), root.display())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    const SANDBOX: Ids = Ids { uid: 4711, gid: 4712 };

    fn at(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn own(path: &Path, uid: u32, gid: u32) {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
    }

    fn verdict(path: &Path) -> Result<(), String> {
        verdict_for(path, SANDBOX)
    }

    fn verdict_for(path: &Path, sandbox: Ids) -> Result<(), String> {
        let loaded = crate::load(Some(path)).map_err(|d| d.to_string())?;
        check_trust(&loaded, sandbox).map_err(|d| {
            assert_eq!(d.code(), Some(Code::PolicyUnsafe));
            d.list.first().unwrap().message.clone()
        })
    }

    #[test]
    fn owners_and_bits() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let folder = root.join("etc");
        let file = folder.join("policy.toml");
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "version = 1\nextends = [\"builtin:base\"]\n").unwrap();
        at(&folder, 0o755);
        at(&file, 0o644);
        assert_eq!(verdict(&file), Ok(()));

        for mode in [0o646, 0o666, 0o602] {
            at(&file, mode);
            assert!(verdict(&file).unwrap_err().contains("everybody"), "{mode:o}");
        }
        at(&file, 0o644);
        for (mode, safe) in [(0o757, false), (0o777, false), (0o1777, true), (0o755, true)] {
            at(&folder, mode);
            assert_eq!(verdict(&file).is_ok(), safe, "{mode:o}");
        }

        if !nix::unistd::geteuid().is_root() {
            return; // The rest gives files away.
        }
        at(&file, 0o664);
        own(&file, 0, SANDBOX.gid);
        assert!(verdict(&file).unwrap_err().contains("group"));
        own(&file, 0, 12345);
        assert!(verdict(&file).unwrap_err().contains("group"));
        own(&file, 0, 0);
        assert_eq!(verdict(&file), Ok(()));
        at(&file, 0o444);
        own(&file, SANDBOX.uid, 0);
        assert!(verdict(&file).unwrap_err().contains("the sandbox"));
        own(&file, 12345, 0);
        assert!(verdict(&file).unwrap_err().contains("uid 12345"));
        own(&file, 0, 0);
        own(&folder, SANDBOX.uid, 0);
        assert!(verdict(&file).unwrap_err().contains("the sandbox"));
        // Sticky does not help where the folder is the sandbox's own.
        at(&folder, 0o1755);
        assert!(verdict(&file).unwrap_err().contains("the sandbox"));
    }

    #[test]
    fn extended_files_count() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (file, below) = (root.join("policy.toml"), root.join("below.toml"));
        fs::write(&below, "version = 1\nextends = [\"builtin:base\"]\n").unwrap();
        fs::write(&file, "version = 1\nextends = [\"below.toml\"]\n").unwrap();
        at(&file, 0o644);
        at(&below, 0o666);
        assert!(verdict(&file).unwrap_err().contains("below.toml"));
    }

    #[test]
    fn links_and_changes() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir(root.join("real")).unwrap();
        let file = root.join("real/policy.toml");
        fs::write(&file, "version = 1\nextends = [\"builtin:base\"]\n").unwrap();
        at(&file, 0o644);
        std::os::unix::fs::symlink("real", root.join("link")).unwrap();
        assert!(verdict(&root.join("link/policy.toml")).unwrap_err().contains("symbolic link"));

        let loaded = crate::load(Some(&file)).unwrap();
        assert!(check_trust(&loaded, SANDBOX).is_ok());
        fs::write(&file, "version = 1\nextends = [\"builtin:base\"]\n#\n").unwrap();
        assert!(check_trust(&loaded, SANDBOX).unwrap_err().to_string().contains("changed"));
    }

    #[test]
    fn same_uid_needs_another_place() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let inside = root.join("work/policy.toml");
        fs::create_dir(root.join("work")).unwrap();
        let text = format!(
            "version = 1\nextends = [\"builtin:base\"]\n[workspace]\npath = \"{}/work\"\n",
            root.display()
        );
        fs::write(&inside, &text).unwrap();
        fs::write(root.join("policy.toml"), &text).unwrap();
        at(&inside, 0o600);
        at(&root.join("policy.toml"), 0o600);
        let us = Ids { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() };
        assert!(verdict_for(&inside, us).unwrap_err().contains("may write"));
        assert_eq!(verdict_for(&root.join("policy.toml"), us), Ok(()));
    }
}
