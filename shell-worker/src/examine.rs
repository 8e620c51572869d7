//! The files that a command is, for a human who must decide on it. What was
//! looked at here is what runs afterwards, in this worker and no other.
//!
//! A firm program is read where it is executed: nobody can change it. Any
//! other one is copied into memory, sealed, read there and executed from
//! there, so that nothing can come between the decision and the execution.
//! Files that arguments name are read as they are; the command opens them
//! itself, later, and somebody may have changed them by then.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use nix::sys::uio::pread;
use nix::unistd::{AccessFlags, access, faccessat, write};
use sha2::{Digest as _, Sha256};
use strongroom_jail::paths::c_string;
use strongroom_jail::{At as _, Step};
use strongroom_protocol::action::{Exhibit, Files, MAX_EXHIBITS};
use strongroom_protocol::channel::w::Launch;
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_protocol::types::{List, PathBytes};
use strongroom_sys::{Errno, fd, launch};

use crate::command::working_folder;
use crate::environment::Environment;
use crate::program::{HEAD, Program, no_program};
use crate::setup::{Jail, Setup};

/// Bytes of a program that is read.
pub const MAX_PROGRAM: u64 = 256 << 20;

/// Bytes of a file that an argument names.
const MAX_NAMED: u64 = 64 << 20;

/// Bytes of all paths that arguments name: all that is found goes into one
/// packet.
const MAX_NAMES: usize = 32 * 1024;

/// Bytes read at once.
const BLOCK: usize = 128 * 1024;

/// To read without waiting for anybody, and without a terminal of one's own.
pub const READ: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// A command whose files were looked at.
pub struct Examined {
    /// They.
    pub files: Files,
    launch: Launch,
    program: Found,
}

/// Where a program is executed.
enum Found {
    /// There, by its path.
    Firm(CString),
    /// From this copy.
    Copy(OwnedFd),
}

/// Looks at the files of a command. `alive` says whether anybody still wants
/// to know.
///
/// # Errors
/// [`Stage::Examine`] for what cannot be read or may not be so; else as when
/// the command is executed.
pub fn examine(
    setup: &Setup<'_>,
    jail: &Jail,
    launch: Launch,
    alive: &dyn Fn() -> bool,
) -> Step<Examined> {
    let look = Look { setup, jail, launch: &launch, alive };
    let cwd = working_folder(jail, &launch)?;
    let (program, found, interpreters) = look.program(cwd.as_fd())?;
    let (named, unseen) = look.named()?;
    let files = Files {
        program,
        interpreters: List::new(interpreters).map_err(|_| unexaminable(Errno::ELOOP))?,
        named: List::new(named).map_err(|_| unexaminable(Errno::E2BIG))?,
        unseen,
    };
    Ok(Examined { files, launch, program: found })
}

impl Examined {
    /// It is the same command, but for what it is granted.
    pub fn is(&self, launch: &Launch) -> bool {
        let Launch { argv, cwd, secrets: _, firm, wall_ms, known: _ } = launch;
        let looked_at = &self.launch;
        *argv == looked_at.argv
            && *cwd == looked_at.cwd
            && *firm == looked_at.firm
            && *wall_ms == looked_at.wall_ms
    }

    /// SHA-256 of the program.
    pub fn digest(&self) -> [u8; 32] {
        self.files.program.digest
    }

    /// What is to be executed. A copy is left open for the program: a script
    /// is read by its interpreter.
    ///
    /// # Errors
    /// [`Stage::Examine`].
    pub fn candidate(&self) -> Step<CString> {
        let copy = match &self.program {
            Found::Firm(path) => return Ok(path.clone()),
            Found::Copy(copy) => copy,
        };
        fd::keep_on_exec(copy.as_fd()).at(Stage::Examine)?;
        in_this_process(copy)
    }
}

/// The path of a descriptor in the process that uses it.
fn in_this_process(copy: &OwnedFd) -> Step<CString> {
    let paths = ["/proc/self/fd", "/dev/fd"];
    let paths = paths.map(|folder| c_string(format!("{folder}/{}", copy.as_raw_fd()).as_bytes()));
    let there = |path: &CString| access(path.as_c_str(), AccessFlags::F_OK).is_ok();
    paths.into_iter().find(there).ok_or_else(|| unexaminable(Errno::ENOENT))
}

struct Look<'a> {
    setup: &'a Setup<'a>,
    jail: &'a Jail,
    launch: &'a Launch,
    alive: &'a dyn Fn() -> bool,
}

impl Look<'_> {
    /// Finds the program as it would be found when it is executed.
    fn program(&self, cwd: BorrowedFd<'_>) -> Step<(Exhibit, Found, Vec<Exhibit>)> {
        let private = self.jail.private.as_deref();
        let environment = Environment::new(self.setup.profile, &[], private).at(Stage::Examine)?;
        let path = environment.path();
        let argv0 = c_string(self.launch.argv.program());
        let candidates = launch::candidates(&argv0, path);
        let ground = self.setup.ground;
        if self.launch.firm {
            return self.firm(ground.program(&candidates, path)?);
        }
        let mut answer = Errno::ENOENT;
        for candidate in &candidates {
            let next = match ground.look(candidate) {
                Ok(Ok(program)) => return self.firm(program),
                Ok(Err(errno)) => errno,
                Err(StageError { stage: Stage::Program, .. }) => {
                    match open_program(cwd, candidate) {
                        Ok(file) => return self.copy(candidate, &file),
                        Err(errno @ (Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES)) => errno,
                        Err(errno) => return Err(no_program(errno)),
                    }
                }
                Err(error) => return Err(error),
            };
            if next == Errno::EACCES {
                answer = next;
            }
        }
        Err(no_program(answer))
    }

    fn firm(&self, program: Program) -> Step<(Exhibit, Found, Vec<Exhibit>)> {
        let exhibit = self.firm_file(&program.path)?;
        let interpreters = self.firm_files(&program.interpreters)?;
        Ok((exhibit, Found::Firm(program.path), interpreters))
    }

    fn firm_files(&self, paths: &[CString]) -> Step<Vec<Exhibit>> {
        paths.iter().map(|path| self.firm_file(path)).collect()
    }

    /// Nothing on the way to it can change, so a path is as good as a
    /// descriptor.
    fn firm_file(&self, path: &CString) -> Step<Exhibit> {
        let file = nix::fcntl::open(path.as_c_str(), READ, Mode::empty()).at(Stage::Examine)?;
        self.exhibit(path.to_bytes(), file.as_fd(), u64::MAX, true)
    }

    /// Copies a program that could be changed to where it cannot.
    fn copy(&self, path: &CString, program: &OwnedFd) -> Step<(Exhibit, Found, Vec<Exhibit>)> {
        let most = match self.setup.profile.limits.file_size {
            // Over it the kernel would end this worker (setrlimit(2)).
            limit if limit != 0 => limit.min(MAX_PROGRAM),
            _ => MAX_PROGRAM,
        };
        let copy = fd::executable(c"program").at(Stage::Examine)?;
        self.read(program.as_fd(), most, |block| write_all(&copy, block))?;
        fd::seal(copy.as_fd()).at(Stage::Examine)?;
        let mut head = vec![0; HEAD];
        let got = pread(&copy, &mut head, 0).at(Stage::Examine)?;
        head.truncate(got);
        let interpreters = match self.setup.ground.interpreters(head) {
            Err(StageError { stage: Stage::Program, errno }) => {
                return Err(StageError { stage: Stage::Examine, errno });
            }
            other => self.firm_files(&other?)?,
        };
        let exhibit = self.exhibit(path.to_bytes(), copy.as_fd(), most, false)?;
        // It must be there when it is executed, after somebody has said yes.
        in_this_process(&copy)?;
        Ok((exhibit, Found::Copy(copy), interpreters))
    }

    /// The plain files of the workspace that arguments name.
    fn named(&self) -> Step<(Vec<Exhibit>, u32)> {
        let (mut named, mut unseen, mut bytes) = (Vec::new(), 0, 0);
        for arg in self.launch.argv.as_slice().iter().skip(1) {
            let Some(path) = self.beneath(arg.as_bytes()) else { continue };
            // No such file, or not in the workspace: a word like any other.
            let Ok(file) = fd::open_beneath(
                self.jail.workspace.as_fd(),
                &c_string(&path),
                OFlag::O_PATH,
                true,
            ) else {
                continue;
            };
            if !is_plain(file.as_fd()) {
                continue;
            }
            bytes += arg.as_bytes().len();
            let room = named.len() < MAX_EXHIBITS && bytes <= MAX_NAMES;
            match room.then(|| self.named_file(&path, arg.as_bytes())) {
                Some(Ok(exhibit)) => named.push(exhibit),
                Some(Err(error)) if !(self.alive)() => return Err(error),
                _ => unseen += 1,
            }
        }
        Ok((named, unseen))
    }

    fn named_file(&self, path: &[u8], shown: &[u8]) -> Step<Exhibit> {
        let workspace = self.jail.workspace.as_fd();
        let file = fd::open_beneath(workspace, &c_string(path), READ, true).at(Stage::Examine)?;
        if !is_plain(file.as_fd()) {
            return Err(unexaminable(Errno::EACCES));
        }
        self.exhibit(shown, file.as_fd(), MAX_NAMED, false)
    }

    /// An argument as a path relative to the workspace, if it can be one.
    fn beneath(&self, arg: &[u8]) -> Option<Vec<u8>> {
        if arg.is_empty() || PathBytes::new(arg).is_err() {
            return None;
        }
        if arg.first() == Some(&b'/') {
            let workspace = self.setup.plan.workspace.as_bytes();
            let rest = arg.strip_prefix(workspace)?.strip_prefix(b"/")?;
            let start = rest.iter().position(|b| *b != b'/')?;
            return rest.get(start..).map(<[u8]>::to_vec);
        }
        Some(match &self.launch.cwd {
            Some(cwd) => [cwd.as_bytes(), b"/", arg].concat(),
            None => arg.to_vec(),
        })
    }

    fn exhibit(&self, path: &[u8], file: BorrowedFd<'_>, most: u64, firm: bool) -> Step<Exhibit> {
        let mut hash = Sha256::new();
        let size = self.read(file, most, |block| {
            hash.update(block);
            Ok(())
        })?;
        let path = PathBytes::new(path).map_err(|_| unexaminable(Errno::ENAMETOOLONG))?;
        Ok(Exhibit { path, digest: hash.finalize().into(), size, firm })
    }

    /// Reads a file to its end, which may move, but not beyond `most`.
    fn read(
        &self,
        file: BorrowedFd<'_>,
        most: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), Errno>,
    ) -> Step<u64> {
        let mut block = vec![0; BLOCK];
        let mut at = 0;
        loop {
            if !(self.alive)() {
                return Err(unexaminable(Errno::ECANCELED));
            }
            let offset = i64::try_from(at).map_err(|_| unexaminable(Errno::EFBIG))?;
            let got = match pread(file, &mut block, offset) {
                Err(Errno::EINTR) => continue,
                other => other.at(Stage::Examine)?,
            };
            if got == 0 {
                return Ok(at);
            }
            at += got as u64;
            if at > most {
                return Err(unexaminable(Errno::EFBIG));
            }
            take(block.get(..got).unwrap_or_default()).at(Stage::Examine)?;
        }
    }
}

/// Opens what execve(2) would execute.
fn open_program(cwd: BorrowedFd<'_>, path: &CString) -> Result<OwnedFd, Errno> {
    faccessat(cwd, path.as_c_str(), AccessFlags::X_OK, AtFlags::empty())?;
    let file = openat(cwd, path.as_c_str(), READ, Mode::empty())?;
    if is_plain(file.as_fd()) { Ok(file) } else { Err(Errno::EACCES) }
}

fn is_plain(file: BorrowedFd<'_>) -> bool {
    fstat(file).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG)
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = write(file, bytes)?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

fn unexaminable(errno: Errno) -> StageError {
    StageError { stage: Stage::Examine, errno: errno as i32 }
}
