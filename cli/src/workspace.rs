//! The workspace: which folder, whether it will do, whose it becomes.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, fchown};
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Ids, Namespaces};

use crate::error::{Failure, shown};
use crate::facts;
use crate::place::{self, Step, Who};
use crate::reach::passable;
use crate::tree;

/// The folder the agent works in.
#[derive(Debug)]
pub struct Workspace {
    /// Absolute, without any link.
    pub path: PathBuf,
    /// From `/` to it.
    pub way: Vec<Step>,
    /// How it was written, where that is not the path.
    pub written: Option<PathBuf>,
}

impl Workspace {
    /// Finds it: the flag, else the policy's, else the current folder.
    ///
    /// # Errors
    /// [`Code::WorkspaceUnusable`].
    pub fn find(flag: Option<&Path>, policy: Option<PathBuf>) -> Result<Self, Failure> {
        let written = match flag.map(Path::to_owned).or(policy) {
            Some(path) => path,
            None => {
                std::env::current_dir().map_err(|e| unusable(format!("the current folder: {e}")))?
            }
        };
        let refuse = |why: String| unusable(format!("{}: {why}", shown(&written)));
        let found = written.symlink_metadata().map_err(|e| refuse(e.to_string()))?;
        let path = written.canonicalize().map_err(|e| refuse(e.to_string()))?;
        if found.is_symlink() {
            return Err(refuse("it is a symbolic link".to_owned())
                .hint(format!("give --workspace {}", shown(&path))));
        }
        if !found.is_dir() {
            return Err(refuse("it is not a folder".to_owned()));
        }
        let way = facts::way(&path).map_err(|e| refuse(e.to_string()))?;
        let written = (written.is_absolute() && written != path).then_some(written);
        let this = Self { path, way, written };
        if let Some(why) = this.never() {
            return Err(unusable(format!("{}: {why}", shown(&this.path)))
                .hint("make a folder for the work and give it with --workspace"));
        }
        Ok(this)
    }

    /// Whose it is.
    pub fn owner(&self) -> Ids {
        self.step().map_or(Ids { uid: 0, gid: 0 }, |step| step.owner)
    }

    fn step(&self) -> Option<&Step> {
        self.way.last()
    }

    fn never(&self) -> Option<&'static str> {
        if self.path == Path::new("/") {
            return Some("it is the whole file system");
        }
        if self.step().is_some_and(Step::sticky_for_all) {
            return Some("everybody keeps files there");
        }
        None
    }

    /// Refuses a workspace that holds what commands may not change.
    ///
    /// # Errors
    /// [`Code::WorkspaceUnusable`].
    pub fn keeps_out(&self, programs: &[&Path]) -> Result<(), Failure> {
        match programs.iter().find(|p| p.starts_with(&self.path)) {
            Some(program) => Err(unusable(format!(
                "{}: strongroom's own programs are in it ({}), commands could change them",
                shown(&self.path),
                shown(program)
            ))),
            None => Ok(()),
        }
    }

    /// Refuses to give a folder of the system to the sandbox user.
    ///
    /// # Errors
    /// [`Code::WorkspaceUnusable`].
    pub fn may_be_given(&self, who: &Who, recursively: bool) -> Result<(), Failure> {
        if !(who.adopts || recursively) || !place::system_folder(&self.path) {
            return Ok(());
        }
        Err(unusable(format!(
            "{}: root owns this folder of the system, and it is not given to the sandbox user",
            shown(&self.path)
        ))
        .hint("make a folder for the work in it and give that with --workspace"))
    }

    /// Refuses a workspace behind a folder that the sandbox user cannot enter,
    /// unless root mounts it in a root of its own.
    ///
    /// # Errors
    /// [`Code::WorkspaceUnusable`].
    pub fn reachable(&self, sandbox: Ids, namespaces: Namespaces) -> Result<(), Failure> {
        let above = self.way.split_last().map_or(&[][..], |(_, above)| above);
        passable(Code::WorkspaceUnusable, &self.path, above, sandbox, namespaces)
    }

    /// Gives it to the sandbox user, as far as decided, and says so.
    ///
    /// # Errors
    /// [`Code::WorkspaceUnusable`] with errno.
    pub fn give(&self, who: &Who, recursively: bool) -> Result<Option<String>, Failure> {
        if !(who.adopts || recursively) {
            return Ok(self.shut(who.sandbox).then(|| read_only(who.sandbox.uid)));
        }
        let refuse = |e: String| {
            unusable(format!(
                "{}: it cannot be given to uid {}: {e}",
                shown(&self.path),
                who.sandbox.uid
            ))
        };
        let folder = File::open(&self.path).map_err(|e| refuse(e.to_string()))?;
        let Ids { uid, gid } = who.sandbox;
        match fchown(&folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
            Ok(()) => {}
            // Part of a read-only image: nobody could write there anyway.
            Err(Errno::EROFS) => return Ok(Some(read_only(uid))),
            Err(errno) => return Err(refuse(errno.desc().to_owned())),
        }
        if !recursively {
            return Ok(Some(format!(
                "workspace: owned by root; gave the folder itself (not its contents) to uid {uid}; files inside that \
                 root owns stay read-only to commands"
            )));
        }
        let given =
            tree::give(folder.as_fd(), who.sandbox).map_err(|e| refuse(e.desc().to_owned()))?;
        let left = match (given.hard_links, given.mounts) {
            (0, 0) => String::new(),
            (links, mounts) => {
                format!("; left {links} files with hard links and {mounts} mounts as they are")
            }
        };
        Ok(Some(format!(
            "workspace: gave the folder and {} entries in it to uid {uid}{left}",
            given.changed
        )))
    }

    fn shut(&self, sandbox: Ids) -> bool {
        self.step().is_some_and(|step| !step.changeable(sandbox))
    }
}

fn read_only(uid: u32) -> String {
    format!("workspace: uid {uid} may not write to it; commands can only read there")
}

fn unusable(message: String) -> Failure {
    Failure::new(Code::WorkspaceUnusable, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_a_real_folder_will_do() {
        let tmp = tempfile::tempdir().unwrap();
        let work = tmp.path().join("work");
        std::fs::create_dir(&work).unwrap();
        std::fs::write(tmp.path().join("file"), "").unwrap();
        symlink(&work, tmp.path().join("link")).unwrap();
        symlink(tmp.path(), tmp.path().join("above")).unwrap();
        for (path, want) in [
            (tmp.path().join("file"), "it is not a folder"),
            (tmp.path().join("none"), "No such file"),
            (tmp.path().join("link"), "it is a symbolic link"),
            ("/".into(), "it is the whole file system"),
            ("/tmp".into(), "everybody keeps files there"),
        ] {
            let failure = Workspace::find(Some(&path), None).unwrap_err();
            assert_eq!(failure.code, Code::WorkspaceUnusable);
            assert!(failure.message.contains(want), "{}", failure.message);
        }
        let found = Workspace::find(Some(&work), Some("/nonesuch".into())).unwrap();
        assert_eq!((found.path.as_path(), found.written), (work.as_path(), None));
        let through = tmp.path().join("above/work");
        let found = Workspace::find(None, Some(through.clone())).unwrap();
        assert_eq!((found.path, found.written), (work, Some(through)));
    }

    #[test]
    fn programs_stay_out() {
        let tmp = tempfile::tempdir().unwrap();
        let workspace = Workspace::find(Some(tmp.path()), None).unwrap();
        assert!(workspace.keeps_out(&[Path::new("/usr/bin/x"), Path::new("/usr/lib")]).is_ok());
        assert!(workspace.keeps_out(&[&tmp.path().join("bin/x")]).is_err());
    }
}
