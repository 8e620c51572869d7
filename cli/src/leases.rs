//! The folder for sealed files, where workers have no mounts of their own: in
//! memory, the sandbox user's, out of the reach of every profile. A worker is
//! let into the part of it that its command is granted, and nothing else is.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod, fstat, mkdirat};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::unistd::{AccessFlags, Gid, Uid, UnlinkatFlags, access, fchown, unlinkat};
use strongroom_policy::Diagnostics;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Ids, Leases, Plan};
use strongroom_protocol::types::PathBytes;
use strongroom_sys::{Errno, random};

use crate::error::Failure;
use crate::facts;
use crate::place::{Who, barrier};
use crate::reach::SHM;
use crate::state::{Lock, hold};
use crate::tree;

/// Where a worker has mounts of its own: a tmpfs of its own, here.
pub const OWN: &str = "/run/strongroom/leases";

/// The folder's name in the state folder.
pub const IN_STATE: &CStr = c"leases";

/// How its name begins elsewhere; eight hex digits follow.
const PREFIX: &str = Leases::PREFIX;

/// Names tried before a place is given up.
const TRIES: u32 = 16;

/// A plan, and what was accepted but is probably not meant.
pub type Compiled = (Plan, Diagnostics);

/// A place that might hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The folder.
    pub path: PathBuf,
    /// It is a tmpfs: what is written there never reaches a disk by itself.
    pub in_memory: bool,
    /// The sandbox user can go there.
    pub passable: bool,
}

impl Base {
    fn fits(&self) -> bool {
        self.in_memory && self.passable
    }

    /// Looks at a place.
    fn look(path: PathBuf, sandbox: Ids) -> Self {
        let in_memory = open(&path)
            .and_then(|folder| fstatfs(&folder))
            .is_ok_and(|stat| stat.filesystem_type() == TMPFS_MAGIC);
        let way = path.canonicalize().ok().filter(|real| *real == path);
        let passable = way
            .and_then(|path| facts::way(&path).ok())
            .is_some_and(|way| barrier(&way, sandbox).is_none());
        Self { path, in_memory, passable }
    }
}

/// The folder, held.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// Locked: nobody sweeps it away as long as this is open.
    pub lock: Lock,
}

/// Places in the order they are tried. Shared memory is the last: it is taken
/// from every profile then.
pub fn order(state: Option<&Path>, runtime: Option<PathBuf>, who: &Who) -> Vec<PathBuf> {
    let runtime = runtime.filter(|_| who.shared());
    let usual = ["/run", "/dev", SHM].map(PathBuf::from);
    state.map(Path::to_owned).into_iter().chain(runtime).chain(usual).collect()
}

/// The places of this machine.
pub fn bases(state: Option<&Path>, who: &Who) -> Vec<Base> {
    let runtime = facts::path_variable("XDG_RUNTIME_DIR");
    order(state, runtime, who).into_iter().map(|path| Base::look(path, who.sandbox)).collect()
}

/// The place that would be chosen, were no profile shown it; nothing is made.
pub fn likely(state: Option<&Path>, who: &Who) -> Option<PathBuf> {
    let fits = bases(state, who).into_iter().filter(Base::fits).map(|base| base.path);
    let mut writable = fits.filter(|path| access(path, AccessFlags::W_OK).is_ok());
    writable.next()
}

/// Compiles a policy that needs such a folder, with the first place that the
/// policy shows to no profile and that takes it. Without one the plan has no
/// sealed files, and its warnings say so.
///
/// # Errors
/// What the policy asks for and this place cannot give.
pub fn compile(
    bases: &[Base],
    state: &Path,
    who: &Who,
    compile: impl Fn(Option<PathBuf>) -> Result<Compiled, Failure>,
) -> Result<(Compiled, Option<Folder>), Failure> {
    let mut shown = None;
    for base in bases.iter().filter(|base| base.fits()) {
        let compiled = compile(Some(base.path.join("leases")))?;
        let (mut plan, warnings) = compiled;
        let Some(leases) = plan.leases.as_mut() else {
            shown = Some((plan, warnings));
            continue;
        };
        let Ok(folder) = make(&base.path, state, who) else { continue };
        leases.folder = PathBytes::new(folder.path.as_os_str().as_bytes())
            .map_err(|_| Failure::new(Code::StateUnusable, "the path of the leases is too long"))?;
        return Ok(((plan, warnings), Some(folder)));
    }
    let without = shown.map_or_else(|| compile(None), Ok)?;
    Ok((without, None))
}

fn make(base: &Path, state: &Path, who: &Who) -> Result<Folder, Errno> {
    if base == state { in_state(base, who) } else { beside(base, who.sandbox) }
}

/// How this user gets a place for it.
pub fn another_place() -> &'static str {
    if nix::unistd::geteuid().is_root() {
        "mount a tmpfs at /run"
    } else {
        "set XDG_RUNTIME_DIR to a folder on a tmpfs, or give a state folder on one"
    }
}

/// Removes what ended sessions left: folders of ours that nobody holds.
pub fn sweep(bases: &[Base], owner: Ids) {
    for base in bases.iter().filter(|base| base.in_memory) {
        let Ok(at) = open(&base.path) else { continue };
        let names = tree::names(at.as_fd()).unwrap_or_default();
        for (name, _) in names.into_iter().filter(|(name, _)| is_ours(name)) {
            // What cannot be removed now is tried again by the next start.
            let _ = remove(at.as_fd(), &name, owner);
        }
    }
}

fn is_ours(name: &CStr) -> bool {
    let rest = name.to_bytes().strip_prefix(PREFIX.as_bytes());
    rest.is_some_and(|rest| rest.len() == 8 && rest.iter().all(u8::is_ascii_hexdigit))
}

fn remove(at: BorrowedFd<'_>, name: &CStr, owner: Ids) -> Result<(), Errno> {
    let folder = tree::folder(at, name)?;
    if fstat(&folder)?.st_uid != owner.uid {
        return Err(Errno::EPERM);
    }
    let held = hold(folder)?;
    tree::empty(held.as_fd())?;
    unlinkat(at, name, UnlinkatFlags::RemoveDir)
}

/// In the state folder, whose lock is held: nobody else makes or removes it.
fn in_state(state: &Path, who: &Who) -> Result<Folder, Errno> {
    let at = open(state)?;
    match mkdirat(&at, IN_STATE, Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    let folder = tree::folder(at.as_fd(), IN_STATE)?;
    tree::empty(folder.as_fd())?;
    give(&folder, who.sandbox)?;
    Ok(Folder { path: state.join("leases"), lock: hold(folder)? })
}

/// In a folder that others use too, under a name that nobody can foresee.
fn beside(base: &Path, owner: Ids) -> Result<Folder, Errno> {
    let at = open(base)?;
    for _ in 0..TRIES {
        let mut number = [0; 4];
        random::fill(&mut number)?;
        let text = format!("{PREFIX}{:08x}", u32::from_be_bytes(number));
        let name = CString::new(text.as_str()).map_err(|_| Errno::EINVAL)?;
        match mkdirat(&at, name.as_c_str(), Mode::S_IRWXU) {
            Ok(()) => {}
            Err(Errno::EEXIST) => continue,
            Err(errno) => return Err(errno),
        }
        // Another start may be sweeping: then it has removed it, or will.
        let folder = match tree::folder(at.as_fd(), &name) {
            Err(Errno::ENOENT) => continue,
            folder => folder?,
        };
        give(&folder, owner)?;
        let Ok(lock) = hold(folder) else { continue };
        if fstat(&*lock)?.st_nlink > 0 {
            return Ok(Folder { path: base.join(text), lock });
        }
    }
    Err(Errno::EEXIST)
}

fn give(folder: &OwnedFd, owner: Ids) -> Result<(), Errno> {
    let stat = fstat(folder)?;
    if stat.st_uid != owner.uid || stat.st_gid != owner.gid {
        fchown(folder, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?;
    }
    fchmod(folder, Mode::S_IRWXU)
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    nix::fcntl::open(path, flags, Mode::empty())
}

#[cfg(test)]
#[path = "leases_tests.rs"]
mod tests;
