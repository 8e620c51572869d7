//! The jail of our own services, broker and recorder: one folder, the
//! descriptors they were started with, and nothing else. They lock themselves
//! down before they read a byte that somebody else could have written.

use std::os::fd::BorrowedFd;

use landlock::AccessFs;
use nix::sys::resource::{Resource, setrlimit};
use strongroom_protocol::stage::Stage;
use strongroom_seccomp::Insn;

use crate::{At, Step, domain::Domain, filter};

/// Locks the calling process down for the rest of its life: not dumpable, no
/// core file, a Landlock domain that allows only `folder`, then `program` as
/// seccomp filter. `landlock_abi` is the plan's: what it lists is required.
///
/// The caller has one thread, and already has its own uid, no capability and
/// `no_new_privs` (the supervisor saw to that before exec).
///
/// # Errors
/// The stage that failed: exit with its code, there is no going on.
pub fn lock_down(folder: BorrowedFd<'_>, landlock_abi: u8, program: &[Insn]) -> Step<()> {
    nix::sys::prctl::set_dumpable(false).at(Stage::Dumpable)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).at(Stage::Rlimits)?;
    // Plain files only: no folder, device, socket, FIFO or link is made there,
    // nothing is executed there, and nothing moves in or out of it.
    let files = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile;
    Domain::new(landlock_abi, false)?.allow_exactly(folder, files)?.enter()?;
    filter::install(program)
}
