//! A firm program: one that no jail of this session can change, nor the way
//! to it. What is granted a secret must be what the rule meant, not a file
//! that the agent put under its name.
//!
//! Every step of the way is looked at: folders, links, the file, and for a
//! script its interpreter. A way is firm when no step lies where some profile
//! may write. Where the sandbox user owns a step, Landlock alone keeps it, and
//! then the same folder must not be writable by another path, nor the file by
//! another name. The program is executed by the path that was looked at, and
//! what cannot be changed cannot be changed in between either.

use std::collections::VecDeque;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{OFlag, readlinkat};
use nix::sys::stat::{FileStat, fstat};
use nix::unistd::{AccessFlags, access, read};
use strongroom_jail::paths::{c_string, relative};
use strongroom_jail::{Step, root};
use strongroom_protocol::plan::{Access, Plan};
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_sys::{Errno, fd};

use crate::mounts::{Mounts, is_beneath};

/// Links on one way; the kernel follows as many (path_resolution(7)).
const LINKS: u32 = 40;

/// Interpreters that are scripts themselves; the kernel follows as many
/// (execve(2)).
const SCRIPTS: u32 = 5;

/// What the kernel reads of a program to see what it is (execve(2)).
pub const HEAD: usize = 256;

/// The parts of this place that jails may change.
pub struct Ground {
    /// The sandbox user.
    uid: u32,
    writable: Vec<Vec<u8>>,
    /// `None` where mounts cannot be told: then nothing of the sandbox user's
    /// is firm.
    mounts: Option<Mounts>,
}

/// A firm program.
#[derive(Debug)]
pub struct Program {
    /// Where it is executed.
    pub path: CString,
    /// The interpreters of a script, each named by the one before it.
    pub interpreters: Vec<CString>,
}

/// The way to a program.
struct Way {
    /// Where its links and its end stand: paths without a link in them.
    places: Vec<Vec<u8>>,
    /// Its folders.
    folders: Vec<FileStat>,
    /// Its end; `None`: there is nothing that can be reached.
    object: Option<(OwnedFd, FileStat)>,
}

impl Ground {
    /// Looks at the plan, and at what is mounted. Done by the zygote, outside
    /// of any jail: other profiles' folders are not mounted inside this one's.
    pub fn of(plan: &Plan) -> Self {
        let rules = plan.profiles.iter().flat_map(|profile| &profile.paths);
        let written = rules.filter(|r| r.access == Access::Write).map(|r| r.path.as_bytes());
        let own = [plan.state.as_bytes(), root::PRIVATE.to_bytes(), b"/dev/shm"];
        let leases = plan.leases.as_ref().map(|l| l.folder.as_bytes());
        let writable = written.chain(own).chain(leases).map(<[u8]>::to_vec).collect();
        Self { uid: plan.sandbox.uid, writable, mounts: Mounts::read() }
    }

    /// The first of the candidates that execvp(3) would execute, if it is
    /// firm. So must be the folders of `path`: programs look there for others.
    ///
    /// # Errors
    /// [`Stage::Program`] when it is not; [`Stage::Exec`] when there is none
    /// that can be executed.
    pub fn program(&self, candidates: &[CString], path: &[u8]) -> Step<Program> {
        if !path.is_empty() {
            for folder in path.split(|b| *b == b':') {
                self.way(folder)?;
            }
        }
        let mut answer = Errno::ENOENT;
        for candidate in candidates {
            match self.look(candidate)? {
                Ok(program) => return Ok(program),
                // As execvp(3): another folder may have one that can.
                Err(Errno::EACCES) => answer = Errno::EACCES,
                Err(_) => {}
            }
        }
        Err(no_program(answer))
    }

    /// One candidate, if it is firm; the errno with which execvp(3) would try
    /// the next one: `ENOENT`, or `EACCES`.
    ///
    /// # Errors
    /// As [`Self::program`].
    pub fn look(&self, candidate: &CString) -> Step<Result<Program, Errno>> {
        let way = self.way(candidate.to_bytes())?;
        let Some((object, stat)) = way.object else { return Ok(Err(Errno::ENOENT)) };
        drop(object);
        match self.head(candidate, &stat, &way.places) {
            Ok(head) => {
                let interpreters = self.interpreters(head)?;
                Ok(Ok(Program { path: candidate.clone(), interpreters }))
            }
            Err(Errno::EACCES) => Ok(Err(Errno::EACCES)),
            Err(errno) => Err(no_program(errno)),
        }
    }

    /// The way to something, if it is firm.
    fn way(&self, path: &[u8]) -> Step<Way> {
        let changeable = StageError { stage: Stage::Program, errno: Errno::EACCES as i32 };
        // From the command's folder, which is in the workspace.
        if path.first() != Some(&b'/') {
            return Err(changeable);
        }
        let way = Way::to(path).map_err(no_program)?;
        if self.holds(&way) { Ok(way) } else { Err(changeable) }
    }

    fn holds(&self, way: &Way) -> bool {
        let written = |place: &Vec<u8>| self.writable.iter().any(|w| is_beneath(place, w));
        if way.places.iter().any(written) {
            return false;
        }
        let object = way.object.as_ref().map(|(_, stat)| stat);
        let owned = object.is_some_and(|stat| self.may_change(stat));
        if !owned && !way.folders.iter().any(|stat| self.may_change(stat)) {
            return true;
        }
        let names = object.filter(|stat| !is(stat, libc::S_IFDIR)).map_or(1, |stat| stat.st_nlink);
        !(owned && names > 1) && self.mounts.as_ref().is_some_and(|m| !self.aliased(way, m))
    }

    /// Could the sandbox user change it, were it not for its jail? The group's
    /// bits are also the mask of an access list, which can name anybody
    /// (acl(5)).
    fn may_change(&self, stat: &FileStat) -> bool {
        stat.st_uid == self.uid || stat.st_mode & (libc::S_IWGRP | libc::S_IWOTH) != 0
    }

    /// Can one of its places be written by another path?
    fn aliased(&self, way: &Way, mounts: &Mounts) -> bool {
        let written: Vec<_> = self.writable.iter().flat_map(|w| mounts.places(w)).collect();
        way.places.iter().any(|place| {
            let place = mounts.place(place);
            place.is_none_or(|place| written.iter().any(|w| place.is_beneath(w)))
        })
    }

    /// The first bytes of a program that can be executed and read here.
    fn head(
        &self,
        program: &CString,
        stat: &FileStat,
        places: &[Vec<u8>],
    ) -> Result<Vec<u8>, Errno> {
        if !is(stat, libc::S_IFREG) {
            return Err(Errno::EACCES);
        }
        access(program.as_c_str(), AccessFlags::X_OK)?;
        let root = fd::anchor(c"/")?;
        let place = places.last().map_or(&b""[..], Vec::as_slice);
        let file =
            fd::open_beneath(root.as_fd(), &c_string(relative(place)), OFlag::O_RDONLY, false)?;
        let mut head = vec![0; HEAD];
        let got = read(&file, &mut head)?;
        head.truncate(got);
        Ok(head)
    }

    /// Follows the interpreters that `#!` names, which must be firm.
    ///
    /// # Errors
    /// As [`Self::program`].
    pub fn interpreters(&self, head: Vec<u8>) -> Step<Vec<CString>> {
        let mut head = head;
        let mut found = Vec::new();
        for _ in 0..=SCRIPTS {
            let Some(program) = interpreter(&head).map_err(no_program)? else {
                return Ok(found);
            };
            let way = self.way(&program)?;
            let (_, stat) = way.object.ok_or_else(|| no_program(Errno::ENOENT))?;
            let program = c_string(&program);
            head = self.head(&program, &stat, &way.places).map_err(no_program)?;
            found.push(program);
        }
        Err(no_program(Errno::ELOOP))
    }
}

impl Way {
    /// Walks to an absolute path, link by link, as the kernel would.
    fn to(path: &[u8]) -> Result<Self, Errno> {
        let root = fd::anchor(c"/")?;
        let mut way = Self { places: Vec::new(), folders: vec![fstat(&root)?], object: None };
        let mut ahead: VecDeque<Vec<u8>> = components(path).collect();
        let mut at: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(next) = ahead.pop_front() {
            if next == b".." {
                at.pop();
                continue;
            }
            at.push(next);
            let place = [&b"/"[..], &at.join(&b'/')].concat();
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
            let step =
                match fd::open_beneath(root.as_fd(), &c_string(relative(&place)), flags, false) {
                    // Where it would be counts: it can be made before it is used.
                    Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => {
                        at.extend(ahead);
                        way.places.push([&b"/"[..], &at.join(&b'/')].concat());
                        return Ok(way);
                    }
                    other => other?,
                };
            let stat = fstat(&step)?;
            if is(&stat, libc::S_IFLNK) {
                links += 1;
                if links > LINKS {
                    return Err(Errno::ELOOP);
                }
                let target = readlinkat(&step, c"")?;
                let target = std::os::unix::ffi::OsStringExt::into_vec(target);
                at.pop();
                if target.first() == Some(&b'/') {
                    at.clear();
                }
                let mut path: VecDeque<Vec<u8>> = components(&target).collect();
                path.append(&mut ahead);
                ahead = path;
                way.places.push(place);
            } else if ahead.is_empty() {
                way.places.push(place);
                way.object = Some((step, stat));
            } else {
                way.folders.push(stat);
            }
        }
        if way.object.is_none() {
            way.places.push([&b"/"[..], &at.join(&b'/')].concat());
        }
        Ok(way)
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|b| *b == b'/').filter(|c| !matches!(*c, b"" | b".")).map(<[u8]>::to_vec)
}

fn is(stat: &FileStat, kind: u32) -> bool {
    stat.st_mode & libc::S_IFMT == kind
}

/// The interpreter that a script names; `None` for what is no script. As
/// binfmt_script has it: the word after `#!`, which must end in what was read.
fn interpreter(head: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    let Some(line) = head.strip_prefix(b"#!") else { return Ok(None) };
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = line.iter().position(|b| !blank(b)).unwrap_or(line.len());
    let word = line.get(start..).unwrap_or_default();
    let end = word.iter().position(|b| blank(b) || matches!(b, b'\n' | 0));
    let end = match end {
        None if head.len() < HEAD => word.len(),
        other => other.ok_or(Errno::ENOEXEC)?,
    };
    match word.get(..end) {
        Some(word) if !word.is_empty() => Ok(Some(word.to_vec())),
        _ => Err(Errno::ENOEXEC),
    }
}

/// There is nothing that could be executed.
pub fn no_program(errno: Errno) -> StageError {
    StageError { stage: Stage::Exec, errno: errno as i32 }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
