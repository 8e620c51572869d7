//! The state folder: where it is, whether it will do, what is in it.
//!
//! ```text
//! STATE          ours, 0711 (0700 where everything runs as one user)
//!   broker/      the broker's, 0700: operator token, vault
//!   log/         the recorder's, 0700: the audit log
//!   home/        the sandbox user's, 0700: the agent's home, kept
//!   tmp/         the sandbox user's, 0700: private folders, emptied at start
//!   leases/      the sandbox user's, 0700: sealed files, where this is in memory
//!   run/         ours, 0711: lock, sockets, root/ (mount point)
//! ```

pub mod idle;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, fchmod, fstat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, geteuid, unlinkat};
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Ids, Namespaces};

use crate::error::{Failure, shown};
use crate::facts::{self, path_variable};
use crate::place::{Who, soft_spot};
use crate::reach::passable;
use crate::tree;

/// Longest path of a socket (unix(7): 108 bytes with the closing NUL).
const SOCKET_PATH: usize = 107;

/// Everything a state folder may hold; `lost+found` comes with a file system.
const OURS: &[&[u8]] = &[b"broker", b"log", b"home", b"tmp", b"leases", b"run", b"lost+found"];

/// The variable that names the state folder.
const VARIABLE: &str = "STRONGROOM_STATE";

/// An open file that is locked.
pub type Lock = Flock<OwnedFd>;

/// Which folder is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The operator's word.
    Named(PathBuf),
    /// The usual place; `None` where this user has none.
    Usual(Option<PathBuf>),
}

impl Wanted {
    /// The flag, else the environment, else the usual place of this user.
    pub fn from(flag: Option<&Path>) -> Self {
        let named = flag
            .map(Path::to_owned)
            .or_else(|| std::env::var_os(VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from));
        if let Some(path) = named {
            return Self::Named(path);
        }
        if geteuid().is_root() {
            return Self::Usual(Some("/var/lib/strongroom".into()));
        }
        let home = || {
            path_variable("HOME")
                .filter(|home| home != Path::new("/"))
                .map(|home| home.join(".local/state"))
        };
        Self::Usual(
            path_variable("XDG_STATE_HOME").or_else(home).map(|base| base.join("strongroom")),
        )
    }

    /// The folder, for verbs that only look.
    ///
    /// # Errors
    /// [`Code::NoSession`] where this user has none.
    pub fn path(self) -> Result<PathBuf, Failure> {
        match self {
            Self::Named(path) | Self::Usual(Some(path)) => Ok(path),
            Self::Usual(None) => {
                Err(Failure::new(Code::NoSession, "this user has no usual state folder")
                    .hint("name it with --state"))
            }
        }
    }
}

/// The state folder of a session that starts, held.
#[derive(Debug)]
pub struct State {
    /// Absolute, without any link.
    pub path: PathBuf,
    /// Held as long as the session lasts.
    pub lock: Lock,
    /// What the operator must hear about it.
    pub note: Option<String>,
}

/// Why a folder cannot be had.
enum Trouble {
    /// It cannot be made or written here: another place may do.
    Unwritable(String),
    /// It is there, and it must not be used.
    Refused(Failure),
}

impl Trouble {
    fn of(path: &Path, errno: Errno) -> Self {
        let message = format!("{}: {}", shown(path), errno.desc());
        match errno {
            Errno::EROFS
            | Errno::EACCES
            | Errno::EPERM
            | Errno::ENOENT
            | Errno::ENOSPC
            | Errno::EDQUOT => Self::Unwritable(message),
            _ => Self::Refused(unusable(message)),
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unwritable(message) => unusable(message),
            Trouble::Refused(failure) => failure,
        }
    }
}

impl State {
    /// Takes the folder, makes what is missing in it, removes what a crash
    /// left. Where the usual place cannot be written a temporary folder is
    /// made, and the note says so; a folder the operator named is never
    /// replaced by another.
    ///
    /// # Errors
    /// [`Code::StateUnusable`], [`Code::StateBusy`].
    pub fn open(wanted: Wanted, who: &Who, workspace: &Path) -> Result<Self, Failure> {
        match wanted {
            Wanted::Named(path) => Ok(take(&path, who, workspace)?),
            Wanted::Usual(None) => temporary(who, workspace),
            Wanted::Usual(Some(path)) => {
                make_above(&path, who.shared());
                match take(&path, who, workspace) {
                    Err(Trouble::Unwritable(_)) => temporary(who, workspace),
                    taken => Ok(taken?),
                }
            }
        }
    }

    /// Refuses a folder that the sandbox user cannot reach, unless root
    /// mounts it in a root of its own.
    ///
    /// # Errors
    /// [`Code::StateUnusable`].
    pub fn reachable(&self, sandbox: Ids, namespaces: Namespaces) -> Result<(), Failure> {
        let way = facts::way(&self.path).map_err(|e| unusable(e.to_string()))?;
        passable(Code::StateUnusable, &self.path, &way, sandbox, namespaces)
    }
}

fn unusable(message: String) -> Failure {
    Failure::new(Code::StateUnusable, message)
}

/// How this user gets a state folder that lasts.
pub fn lasting_place() -> &'static str {
    if geteuid().is_root() {
        "mount one at /var/lib/strongroom"
    } else {
        "set XDG_STATE_HOME to a folder you can write"
    }
}

/// Makes the folders above the usual place. Where this fails, so does what
/// comes next.
fn make_above(path: &Path, shared: bool) {
    let mode = if shared { 0o700 } else { 0o755 };
    if let Some(above) = path.parent() {
        let _ = fs::DirBuilder::new().recursive(true).mode(mode).create(above);
    }
}

fn temporary(who: &Who, workspace: &Path) -> Result<State, Failure> {
    // /dev/shm comes last: it is small, noexec, and commands share it.
    let made = ["/tmp", "/run", "/dev/shm"].iter().find_map(|base| {
        let base = Path::new(base).canonicalize().ok()?;
        nix::unistd::mkdtemp(&base.join("strongroom-XXXXXX")).ok()
    });
    let path = made.ok_or_else(|| {
        unusable("there is no writable folder, not even in /tmp, /run or /dev/shm".to_owned())
            .hint(format!("{}, or mount a tmpfs at /tmp", lasting_place()))
    })?;
    let state = take(&path, who, workspace)?;
    let note = format!(
        "state: {} (temporary: no writable state folder; the audit log is lost when this ends; {})",
        shown(&path),
        lasting_place()
    );
    Ok(State { note: Some(note), ..state })
}

fn take(written: &Path, who: &Who, workspace: &Path) -> Result<State, Trouble> {
    let path = settle(written)?;
    apart(&path, workspace)?;
    let top = open_top(&path)?;
    let refuse = |why: &str| Trouble::Refused(unusable(format!("{}: {why}", shown(&path))));
    check(&top, &path, who).map_err(|why| refuse(&why))?;
    if !who.shared() {
        let way = facts::way(&path).map_err(|e| refuse(&e.to_string()))?;
        if let Some(step) = soft_spot(&way, who.sandbox) {
            return Err(refuse(&format!(
                "uid {} could change {}",
                who.sandbox.uid,
                shown(&step.path)
            )));
        }
    }
    let lock = lay_out(&top, &path, who)?;
    Ok(State { path, lock, note: None })
}

/// The path with no link in the folders above.
fn settle(written: &Path) -> Result<PathBuf, Trouble> {
    let (Some(above), Some(name)) = (written.parent(), written.file_name()) else {
        return Err(Trouble::Refused(unusable(format!(
            "{}: give the folder's own name",
            shown(written)
        ))));
    };
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    let above = above.canonicalize().map_err(|e| {
        Trouble::Unwritable(format!(
            "the folder above it, {}: {}",
            shown(above),
            os_error(&e).desc()
        ))
    })?;
    let path = above.join(name);
    let longest = path.as_os_str().len() + "/run/operator.sock".len();
    if longest > SOCKET_PATH {
        let message = format!(
            "{}: the path is too long for the sockets in it by {}",
            shown(&path),
            longest - SOCKET_PATH
        );
        return Err(Trouble::Refused(unusable(message)));
    }
    Ok(path)
}

fn apart(path: &Path, workspace: &Path) -> Result<(), Trouble> {
    let how = if path.starts_with(workspace) {
        "it is in the workspace, where commands write"
    } else if workspace.starts_with(path) {
        "the workspace is in it"
    } else {
        return Ok(());
    };
    Err(Trouble::Refused(
        unusable(format!("{}: {how}", shown(path)))
            .hint("give another folder with --state or --workspace"),
    ))
}

fn open_top(path: &Path) -> Result<OwnedFd, Trouble> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(Trouble::of(path, os_error(&e))),
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    nix::fcntl::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::ELOOP | Errno::ENOTDIR => {
            let link = path.symlink_metadata().is_ok_and(|m| m.is_symlink());
            let what = if link { "it is a symbolic link" } else { "it is not a folder" };
            Trouble::Refused(unusable(format!("{}: {what}", shown(path))))
        }
        errno => Trouble::of(path, errno),
    })
}

/// What is wrong with a folder as it stands, before anything is changed.
fn check(top: &OwnedFd, path: &Path, who: &Who) -> Result<(), String> {
    sound(top, path)?;
    let us = geteuid().as_raw();
    // What is left in tmp is removed anyway.
    for (name, ids) in owners(who).into_iter().filter(|(name, _)| *name != c"tmp") {
        let Ok(folder) = tree::folder(top.as_fd(), name) else {
            continue;
        };
        let owner = fstat(&folder).map_err(|e| e.desc().to_owned())?.st_uid;
        let filled = tree::names(folder.as_fd()).is_ok_and(|names| !names.is_empty());
        if filled && owner != ids.uid && owner != us {
            let name = name.to_string_lossy();
            return Err(format!(
                "{name} in it belongs to uid {owner} from an earlier session, now it would be uid {}'s: give another \
                 folder, or give that one to its new owner",
                ids.uid
            ));
        }
    }
    Ok(())
}

/// What is wrong with it for whoever uses it.
fn sound(top: &OwnedFd, path: &Path) -> Result<(), String> {
    let stat = fstat(top).map_err(|e| e.desc().to_owned())?;
    let us = geteuid().as_raw();
    if stat.st_uid != us {
        return Err(format!("it belongs to uid {}, not to us (uid {us})", stat.st_uid));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(format!("others can write to it: chmod go-w {}", shown(path)));
    }
    let names = tree::names(top.as_fd()).map_err(|e| e.desc().to_owned())?;
    let foreign = names.iter().find(|(name, _)| !OURS.contains(&name.as_bytes()));
    if let Some((name, _)) = foreign {
        let name = strongroom_protocol::text::visible(name.as_bytes());
        return Err(format!(
            "it holds things that are not strongroom's ({name}): give an empty folder"
        ));
    }
    Ok(())
}

/// Whose the folders in it are.
fn owners(who: &Who) -> [(&'static std::ffi::CStr, Ids); 4] {
    [(c"broker", who.broker), (c"log", who.recorder), (c"home", who.sandbox), (c"tmp", who.sandbox)]
}

/// Takes the lock, then brings the folder into its form.
fn lay_out(top: &OwnedFd, path: &Path, who: &Who) -> Result<Lock, Trouble> {
    let failed = |errno| match errno {
        Errno::EPERM if !who.shared() => Trouble::Refused(
            unusable(format!("{}: {}", shown(path), errno.desc()))
                .hint("root needs CAP_CHOWN, CAP_FOWNER and CAP_DAC_OVERRIDE for the folders"),
        ),
        errno => Trouble::of(path, errno),
    };
    let open_mode = if who.shared() { 0o700 } else { 0o711 };
    let us = Ids { uid: geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() };
    let run = own_folder(top, c"run", open_mode, us).map_err(failed)?;
    let lock = take_lock(&run, path)?;

    fchmod(top, Mode::from_bits_truncate(open_mode)).map_err(failed)?;
    own_folder(&run, c"root", open_mode, us).map_err(failed)?;
    for stale in [c"agent.sock", c"operator.sock"] {
        match unlinkat(&run, stale, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    for (name, ids) in owners(who) {
        let folder = own_folder(top, name, 0o700, ids).map_err(failed)?;
        if name == c"tmp" {
            tree::empty(folder.as_fd()).map_err(|errno| {
                Trouble::Refused(unusable(format!(
                    "{}/tmp cannot be emptied: {}",
                    shown(path),
                    errno.desc()
                )))
            })?;
        }
    }
    Ok(lock)
}

fn take_lock(run: &OwnedFd, path: &Path) -> Result<Lock, Trouble> {
    let flags =
        OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let file = openat(run, c"lock", flags, Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(|e| Trouble::of(path, e))?;
    hold(file).map_err(|errno| match errno {
        Errno::EWOULDBLOCK => Trouble::Refused(Failure::new(Code::StateBusy, shown(path))),
        errno => Trouble::of(path, errno),
    })
}

/// Locks an open file, as long as this lives or a copy of the descriptor is
/// open in a process it was handed to.
///
/// # Errors
/// errno of flock(2): `EWOULDBLOCK` when another holds it.
pub fn hold(file: OwnedFd) -> Result<Lock, Errno> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)
}

fn own_folder(at: &OwnedFd, name: &std::ffi::CStr, mode: u32, ids: Ids) -> Result<OwnedFd, Errno> {
    match mkdirat(at, name, Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    let folder = tree::folder(at.as_fd(), name)?;
    let stat = fstat(&folder)?;
    if stat.st_uid != ids.uid || stat.st_gid != ids.gid {
        fchown(&folder, Some(Uid::from_raw(ids.uid)), Some(Gid::from_raw(ids.gid)))?;
    }
    fchmod(&folder, Mode::from_bits_truncate(mode))?;
    Ok(folder)
}

fn os_error(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
