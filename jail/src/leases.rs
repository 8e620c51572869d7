//! The folder of leases: one folder for each sealed file that a running
//! command may read, with the file in it.
//!
//! Where workers have no mounts of their own they share the folder, and two
//! commands may be granted the same file at once. So whoever uses a lease's
//! folder holds a shared flock(2) on it, and only who gets the exclusive lock
//! removes it. Commands cannot take part: opening the folder of a lease that
//! was not granted is what Landlock denies, and the holder of a grant has its
//! worker's shared lock beside it for as long as it lives.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use strongroom_protocol::limits::MAX_LEASES;
use strongroom_protocol::plan::{Leases, Plan};
use strongroom_protocol::stage::Stage;
use strongroom_protocol::types::LeaseId;
use strongroom_sys::{Errno, fd};

use crate::paths::{c_string, relative};
use crate::private::names;
use crate::{At, Step, refused};

/// Tries to get hold of a folder that others are just removing, one a
/// millisecond. Each of them needs a few system calls.
const TRIES: u32 = 1000;

/// Entries that one sweep looks at: far more than a session has leases.
const ENTRIES: usize = 16 * MAX_LEASES;

/// A lease's folder, which nobody removes while this is there.
#[derive(Debug)]
pub struct Held {
    name: CString,
    folder: Flock<OwnedFd>,
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// Opens the plan's folder of leases. It must be the sandbox user's alone.
///
/// # Errors
/// [`Stage::Lease`].
pub fn open(plan: &Plan, leases: &Leases) -> Step<OwnedFd> {
    let root = fd::anchor(c"/").at(Stage::Lease)?;
    let path = c_string(relative(leases.folder.as_bytes()));
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let folder = fd::open_beneath(root.as_fd(), &path, flags, false).at(Stage::Lease)?;
    let stat = fstat(&folder).at(Stage::Lease)?;
    let private = stat.st_uid == plan.sandbox.uid && stat.st_mode & 0o077 == 0;
    if private { Ok(folder) } else { Err(refused(Stage::Lease)) }
}

/// Makes a lease's folder where it is not there, and takes hold of it.
///
/// # Errors
/// errno; `EAGAIN` when others were removing it all the time.
pub fn hold(leases: BorrowedFd<'_>, id: LeaseId) -> Result<Held, Errno> {
    let name = c_string(id.folder().as_bytes());
    for _ in 0..TRIES {
        match mkdirat(leases, &*name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => return Err(e),
        }
        match lock(leases, &name, FlockArg::LockSharedNonblock) {
            // It can have been removed between the opening and the lock.
            Ok(folder) if fstat(folder.as_fd())?.st_nlink != 0 => return Ok(Held { name, folder }),
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(Errno::EAGAIN) => std::thread::sleep(Duration::from_millis(1)),
            Err(e) => return Err(e),
        }
    }
    Err(Errno::EAGAIN)
}

/// Lets go of a lease's folder. Who does so last removes it, with the `file`
/// in it.
pub fn release(leases: BorrowedFd<'_>, held: Held, file: &CStr) {
    if held.folder.relock(FlockArg::LockExclusiveNonblock).is_ok() {
        let _ = unlinkat(held.as_fd(), file, UnlinkatFlags::NoRemoveDir);
        remove(leases, &held.name, held.as_fd());
    }
}

/// Removes what nobody holds: a worker was killed before it could.
///
/// # Errors
/// errno when the folder cannot be listed.
pub fn sweep(leases: BorrowedFd<'_>) -> Result<(), Errno> {
    for name in names(leases)?.into_iter().take(ENTRIES) {
        match lock(leases, &name, FlockArg::LockExclusiveNonblock) {
            Ok(folder) => remove(leases, &name, folder.as_fd()),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let _ = unlinkat(leases, name.as_c_str(), UnlinkatFlags::NoRemoveDir);
            }
            // Somebody holds it, or has just removed it.
            Err(_) => {}
        }
    }
    Ok(())
}

fn lock(leases: BorrowedFd<'_>, name: &CStr, how: FlockArg) -> Result<Flock<OwnedFd>, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let folder = openat(leases, name, flags, Mode::empty())?;
    Flock::lock(folder, how).map_err(|(_, errno)| errno)
}

/// Removes a folder that is locked for it. What stays, a later sweep finds.
fn remove(leases: BorrowedFd<'_>, name: &CStr, folder: BorrowedFd<'_>) {
    // Another may have removed it before it was locked, and a third have made
    // a new one under the name. Once locked, the name is the folder's.
    if fstat(folder).map_or(true, |stat| stat.st_nlink == 0) {
        return;
    }
    if unlinkat(leases, name, UnlinkatFlags::RemoveDir) != Err(Errno::ENOTEMPTY) {
        return;
    }
    for file in names(folder).into_iter().flatten().take(ENTRIES) {
        let _ = unlinkat(folder, file.as_c_str(), UnlinkatFlags::NoRemoveDir);
    }
    let _ = unlinkat(leases, name, UnlinkatFlags::RemoveDir);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn folder() -> (tempfile::TempDir, OwnedFd) {
        let folder = tempfile::tempdir().unwrap();
        let fd = OwnedFd::from(fs::File::open(folder.path()).unwrap());
        (folder, fd)
    }

    fn put(held: &Held, name: &CStr) {
        let flags = OFlag::O_CREAT | OFlag::O_WRONLY;
        drop(openat(held.as_fd(), name, flags, Mode::S_IRUSR).unwrap());
    }

    #[test]
    fn the_last_holder_removes() {
        let (folder, leases) = folder();
        let first = hold(leases.as_fd(), LeaseId(7)).unwrap();
        let second = hold(leases.as_fd(), LeaseId(7)).unwrap();
        put(&first, c".env");
        release(leases.as_fd(), first, c".env");
        assert!(folder.path().join("00000007/.env").exists());
        release(leases.as_fd(), second, c".env");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_another_left_goes_too() {
        let (folder, leases) = folder();
        let held = hold(leases.as_fd(), LeaseId(1)).unwrap();
        put(&held, c".env");
        put(&held, c".new-9");
        release(leases.as_fd(), held, c".env");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_sweep_leaves_what_is_held() {
        let (folder, leases) = folder();
        let kept = hold(leases.as_fd(), LeaseId(1)).unwrap();
        let lost = hold(leases.as_fd(), LeaseId(2)).unwrap();
        put(&kept, c"a");
        put(&lost, c"b");
        drop(lost);
        fs::write(folder.path().join("stray"), "").unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
        sweep(leases.as_fd()).unwrap();
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["00000001"]);
        drop(kept);
        sweep(leases.as_fd()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    /// Holders come and go, a sweeper runs: whoever holds a lease has a folder
    /// that is there, and at the end nothing is left.
    #[test]
    fn holders_and_sweepers_race() {
        let (folder, leases) = folder();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let hold_often = || {
                for _ in 0..10_000 {
                    let held = hold(leases.as_fd(), LeaseId(5)).unwrap();
                    assert_ne!(fstat(held.as_fd()).unwrap().st_nlink, 0);
                    release(leases.as_fd(), held, c"file");
                }
            };
            let holders = [scope.spawn(hold_often), scope.spawn(hold_often)];
            let sweeper = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    sweep(leases.as_fd()).unwrap();
                }
            });
            let held = holders.map(|holder| holder.join());
            over.store(true, Ordering::Relaxed);
            sweeper.join().unwrap();
            assert!(held.iter().all(Result::is_ok));
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
