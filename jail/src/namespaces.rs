//! Layer: namespaces of one's own (namespaces(7)). They come with the clone
//! that makes the worker; what is here is which, and what each still needs.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd};

use caps::Capability;
use nix::fcntl::{OFlag, openat};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use strongroom_protocol::plan::{Ids, Namespaces, Network};
use strongroom_protocol::receipt::ns;
use strongroom_protocol::stage::Stage;
use strongroom_sys::{fd, mount, process};

use crate::{At, Step, privileges};

/// The clone flags for a worker, and the receipt's bits for them.
#[must_use]
pub fn wanted(namespaces: Namespaces, network: Network) -> (i32, u8) {
    let all = [
        (process::flags::USER, ns::USER, namespaces == Namespaces::User),
        (process::flags::PID, ns::PID, true),
        (process::flags::MOUNT, ns::MOUNT, true),
        (process::flags::NET, ns::NET, network != Network::Open),
        (process::flags::IPC, ns::IPC, true),
        (process::flags::UTS, ns::UTS, true),
    ];
    if namespaces == Namespaces::None {
        return (0, 0);
    }
    all.iter()
        .filter(|(_, _, wanted)| *wanted)
        .fold((0, 0), |(flags, bits), (flag, bit, _)| (flags | flag, bits | bit))
}

/// Gives a zygote what it needs to make namespaces for its workers from a user
/// namespace: one of its own, with itself as the only user in it, and the
/// capabilities for that, which count there and nowhere else.
///
/// # Errors
/// [`Stage::Namespaces`], [`Stage::Capabilities`].
pub fn own_ground(ids: Ids, network: Network) -> Step<()> {
    let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS;
    unshare(flags).at(Stage::Namespaces)?;
    map_self(ids, fd::anchor(c"/").at(Stage::Namespaces)?.as_fd())?;
    privileges::empty_bounding_set()?;
    let mut keep = vec![Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_CHROOT];
    if network == Network::Loopback {
        keep.push(Capability::CAP_NET_ADMIN);
    }
    privileges::keep_capabilities(&keep)?;
    process::set_dumpable(false).at(Stage::Dumpable)
}

/// Network namespaces, made ahead by the zygote: to make one takes as long as
/// all the rest of a worker. Each is for one worker, which is cloned while the
/// zygote is in it; the zygote has another before the next.
#[derive(Debug, Default)]
pub struct Networks {
    /// The zygote is in one that no worker has.
    fresh: bool,
}

impl Networks {
    /// Sees to it that the zygote is in one that no worker has.
    ///
    /// # Errors
    /// [`Stage::Namespaces`].
    pub fn ahead(&mut self, network: Network) -> Step<()> {
        if self.fresh {
            return Ok(());
        }
        unshare(CloneFlags::CLONE_NEWNET).at(Stage::Namespaces)?;
        if network == Network::Loopback {
            mount::loopback_up().at(Stage::Namespaces)?;
        }
        self.fresh = true;
        Ok(())
    }

    /// Lends it to the worker that is cloned next, and to no other.
    ///
    /// # Errors
    /// As [`Self::ahead`].
    pub fn take(&mut self, network: Network) -> Step<()> {
        self.ahead(network)?;
        self.fresh = false;
        Ok(())
    }
}

/// Sets up what the clone left open: the id map of a new user namespace, and
/// the host name. `root` is one in which this process is in /proc.
///
/// # Errors
/// [`Stage::Namespaces`].
pub fn finish(namespaces: Namespaces, ids: Ids, root: BorrowedFd<'_>) -> Step<()> {
    if namespaces == Namespaces::None {
        return Ok(());
    }
    if namespaces == Namespaces::User {
        map_self(ids, root)?;
    }
    nix::unistd::sethostname("strongroom").at(Stage::Namespaces)
}

/// Maps this process's own user and group, and no other, to themselves
/// (user_namespaces(7)): inside as outside, and never to 0.
fn map_self(ids: Ids, root: BorrowedFd<'_>) -> Step<()> {
    // /proc/self belongs to root while this process is not dumpable.
    process::set_dumpable(true).at(Stage::Namespaces)?;
    let write = |file: &CStr, text: String| {
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let file = openat(root, file, flags, Mode::empty()).at(Stage::Namespaces)?;
        nix::unistd::write(&file, text.as_bytes()).map(drop).at(Stage::Namespaces)
    };
    write(c"proc/self/setgroups", "deny".to_owned())?;
    write(c"proc/self/uid_map", format!("{0} {0} 1", ids.uid))?;
    write(c"proc/self/gid_map", format!("{0} {0} 1", ids.gid))
}
