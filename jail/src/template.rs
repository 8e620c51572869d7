//! What the workers of a profile have in common, made once by their zygote and
//! inherited: the objects that the profile names, opened, and where there are
//! mount namespaces a root with these objects in it.
//!
//! Before each worker the zygote looks whether every path still leads to the
//! same object, and whether anything was mounted or unmounted meanwhile. If so
//! all of it is made anew, or there is no worker: a jail is never built from
//! what a path meant some time ago.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::fstat;
use strongroom_protocol::plan::{Access, Namespaces, Network, PathRule, Plan, Profile};
use strongroom_protocol::receipt::ProcView;
use strongroom_protocol::stage::Stage;
use strongroom_sys::fd;

use crate::domain::Domain;
use crate::paths::{anchor, c_string, relative};
use crate::{At, Step, root};

/// What all workers of a profile start from.
pub struct Template {
    /// The root outside of any jail.
    outside: OwnedFd,
    /// Where workers have mounts of their own.
    mounts: Option<Mounts>,
    /// `None`: nothing that could be used.
    objects: Option<Vec<Object>>,
}

/// The mount namespace outside of any jail.
struct Mounts {
    namespace: OwnedFd,
    /// Its list, which tells when it changes (proc_pid_mountinfo(5)).
    list: OwnedFd,
}

/// Something that a rule of the profile names.
struct Object {
    /// From the root.
    path: CString,
    access: Access,
    folder: bool,
    /// Device and number. They are not used again while it is open.
    identity: (u64, u64),
    /// `None`: every worker has its own.
    anchor: Option<OwnedFd>,
}

impl Template {
    /// Only finds out where it is. The caller is where the plan's paths lead,
    /// and has the rights that its workers' mount namespaces need. What is
    /// lent to workers has numbers from `above` up.
    ///
    /// # Errors
    /// [`Stage::Mounts`].
    pub fn new(namespaces: Namespaces, above: i32) -> Step<Self> {
        let open = |path| {
            let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC;
            nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty()).at(Stage::Mounts)
        };
        let mounts = match namespaces {
            Namespaces::None => None,
            Namespaces::Privileged | Namespaces::User => Some(Mounts {
                namespace: open(c"/proc/self/ns/mnt")?,
                list: open(c"/proc/self/mountinfo")?,
            }),
        };
        let outside = fd::anchor(c"/").at(Stage::Mounts)?;
        let outside = fd::duplicate_above(outside.as_fd(), above).at(Stage::Mounts)?;
        Ok(Self { outside, mounts, objects: None })
    }

    /// The root outside of any jail.
    #[must_use]
    pub fn outside(&self) -> BorrowedFd<'_> {
        self.outside.as_fd()
    }

    /// Sees to it that what the next worker inherits is what the plan's paths
    /// mean now. Where there are mount namespaces the caller is in the new
    /// root afterwards.
    ///
    /// # Errors
    /// The stage in which something could not be made; there may be no worker.
    pub fn refresh(&mut self, plan: &Plan, profile: &Profile) -> Step<()> {
        let moved = self.mounts.as_ref().is_some_and(Mounts::have_changed);
        let same = |object: &Object| {
            fd::identity(self.outside.as_fd(), &object.path) == Ok(object.identity)
        };
        if !moved && self.objects.as_ref().is_some_and(|objects| objects.iter().all(same)) {
            return Ok(());
        }
        // Whatever fails from here on, the old one is not used again.
        self.objects = None;
        self.objects = Some(self.make(plan, profile)?);
        Ok(())
    }

    fn make(&self, plan: &Plan, profile: &Profile) -> Step<Vec<Object>> {
        let Some(mounts) = &self.mounts else { return objects(profile, Stage::Landlock) };
        mounts.enter(self.outside.as_fd())?;
        let mut objects = objects(profile, Stage::Mounts)?;
        unshare(CloneFlags::CLONE_NEWNS).at(Stage::Mounts)?;
        root::assemble(plan, profile)?;
        for (object, rule) in objects.iter_mut().zip(&profile.paths) {
            let own = plan.proc_view == ProcView::Own && rule.path.as_bytes() == b"/proc";
            // By the new root: outside, nothing is kept from being unmounted.
            object.anchor = if own { None } else { Some(anchor(&rule.path, Stage::Landlock)?) };
        }
        Ok(objects)
    }

    /// A new ruleset that allows what the profile does, but for what every
    /// worker has of its own.
    ///
    /// # Errors
    /// [`Stage::Landlock`].
    pub fn domain(&self, plan: &Plan, profile: &Profile) -> Step<Domain> {
        let network = profile.network != Network::None;
        let mut domain = Domain::new(plan.landlock_abi, network)?;
        for object in self.objects.iter().flatten() {
            if let Some(anchor) = &object.anchor {
                domain = domain.allow_known(anchor.as_fd(), object.access, object.folder)?;
            }
        }
        Ok(domain)
    }
}

impl Mounts {
    /// Since the last time it was asked.
    fn have_changed(&self) -> bool {
        let mut polled = [PollFd::new(self.list.as_fd(), PollFlags::POLLPRI)];
        poll(&mut polled, PollTimeout::ZERO) != Ok(0)
    }

    /// Goes back there. This process's root need not be the namespace's.
    fn enter(&self, root: BorrowedFd<'_>) -> Step<()> {
        setns(&self.namespace, CloneFlags::CLONE_NEWNS).at(Stage::Mounts)?;
        nix::unistd::fchdir(root).at(Stage::Mounts)?;
        nix::unistd::chroot(c".").at(Stage::Mounts)
    }
}

fn objects(profile: &Profile, stage: Stage) -> Step<Vec<Object>> {
    let open = |rule: &PathRule| {
        let anchor = anchor(&rule.path, stage)?;
        let stat = fstat(&anchor).at(stage)?;
        Ok(Object {
            path: c_string(relative(rule.path.as_bytes())),
            access: rule.access,
            folder: stat.st_mode & libc::S_IFMT == libc::S_IFDIR,
            identity: (stat.st_dev, stat.st_ino),
            anchor: Some(anchor),
        })
    };
    profile.paths.iter().map(open).collect()
}
