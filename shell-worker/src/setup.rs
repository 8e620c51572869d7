//! A worker's way into its jail, in the order of design.md section 5. Every
//! step is fatal: what returns from [`Setup::build`] is a finished jail.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use strongroom_jail::domain::Domain;
use strongroom_jail::{
    At, Step, filter, leases, limits, namespaces, paths, private, privileges, protect, root,
};
use strongroom_protocol::limits::MAX_LEASES;
use strongroom_protocol::plan::{Access, Leases, Namespaces, Network, Plan, Profile};
use strongroom_protocol::receipt::{KillAll, LimitsBy, MetadataBy, ProcView, Receipt};
use strongroom_protocol::stage::Stage;
use strongroom_seccomp::{Net, Unix};
use strongroom_sys::{fd, landlock, process};

use crate::program::Ground;

/// Descriptors a worker keeps: its standard streams, then these two.
pub const CHANNEL: i32 = 3;
/// Read end of the pipe whose other end the supervisor holds.
pub const LIFELINE: i32 = 4;

/// Above all fixed numbers.
pub const ABOVE: i32 = 32;

/// What a jail is built from.
pub struct Setup<'p> {
    /// The plan.
    pub plan: &'p Plan,
    /// The profile.
    pub profile: &'p Profile,
    /// What jails of this session can change.
    pub ground: &'p Ground,
    /// Names the private folder.
    pub slot: u64,
    /// The namespaces the clone gave.
    pub namespaces: u8,
    /// Sockets the filter lets through.
    pub net: Net,
    /// Likewise.
    pub unix: Unix,
    /// What its zygote made for it.
    pub lent: Lent<'p>,
}

/// Descriptors of the zygote's that a worker still has when it begins. Their
/// numbers are from [`ABOVE`] up, or its own would take their place.
pub struct Lent<'p> {
    /// The root outside of any jail.
    pub outside: BorrowedFd<'p>,
    /// A ruleset for this worker alone, with what the profile allows.
    pub domain: BorrowedFd<'p>,
    /// The same for its command, where that enters a whole one.
    pub command_domain: Option<BorrowedFd<'p>>,
}

/// What it goes on with.
struct Kept {
    domain: OwnedFd,
    outside: OwnedFd,
    command_domain: Option<OwnedFd>,
}

/// A finished jail, from the inside.
pub struct Jail {
    /// What the kernel enforces.
    pub receipt: Receipt,
    /// The workspace.
    pub workspace: OwnedFd,
    /// The private folder's path, where the profile has one.
    pub private: Option<Vec<u8>>,
    /// The folder itself, where this worker must empty it at the end.
    pub private_folder: Option<OwnedFd>,
    /// The ruleset the command enters on top.
    pub command_domain: OwnedFd,
    /// The folder of leases, where the command can be granted one. The worker
    /// may write it, the command may not even read it unless
    /// [`Self::command_domain`] is told otherwise.
    pub leases: Option<OwnedFd>,
    /// What the command may change the metadata of, through its deputy; an
    /// empty list lets it change none. `None` where a mount namespace hides
    /// all else, so that no deputy is needed.
    pub writable: Option<Vec<(Vec<u8>, OwnedFd)>>,
}

impl Setup<'_> {
    /// Builds the jail.
    pub fn build(&self) -> Step<Jail> {
        let (plan, profile) = (self.plan, self.profile);
        let own_mounts = plan.namespaces != Namespaces::None;

        nix::unistd::setsid().at(Stage::Session)?;
        let Kept { domain, outside, command_domain } = self.keep()?;
        let granted = self.leases();
        limits::set_files(&profile.limits, granted.map_or(0, |_| MAX_LEASES as u32))?;
        namespaces::finish(plan.namespaces, plan.sandbox, outside.as_fd())?;
        drop(outside);
        if own_mounts {
            root::complete(plan, profile)?;
        }
        let workspace = paths::anchor(&plan.workspace, Stage::Workspace)?;
        let (private, private_folder) = self.private_folder()?;
        let leases = granted.map(|leases| leases::open(plan, leases)).transpose()?;

        if plan.namespaces == Namespaces::User {
            // The clone filled it again (user_namespaces(7)); elsewhere its
            // zygote's was empty.
            privileges::empty_bounding_set()?;
        }
        if plan.namespaces == Namespaces::Privileged {
            privileges::become_user(plan.sandbox)?;
        }
        privileges::drop_capabilities()?;
        privileges::prove_user(plan.sandbox)?;
        process::set_dumpable(false).at(Stage::Dumpable)?;
        if own_mounts {
            // As pid 1 of its namespace its death ends everything in it.
            // Elsewhere a sudden end would leave orphans: there the lifeline
            // gives the worker time to end them.
            process::die_with_parent().at(Stage::Dumpable)?;
        } else {
            process::subreaper().at(Stage::Dumpable)?;
        }
        process::no_new_privs().at(Stage::NoNewPrivs)?;

        let private_tmpfs = own_mounts && profile.tmp;
        let writable = if own_mounts { None } else { Some(self.writable(private.as_deref())?) };
        let protect = protect::mechanism(plan, workspace.as_fd());
        let command_domain = match command_domain {
            // Its own layer must say again all that the profile allows: the
            // worker's says that leases may be written.
            Some(ruleset) => self.domain(ruleset, private.as_deref())?.prepared(),
            None => landlock::signal_scope().at(Stage::Landlock)?,
        };
        let domain = self.domain(domain, private.as_deref())?;
        let domain = match &leases {
            Some(leases) => domain.allow_leasing(leases.as_fd())?,
            None => domain,
        };
        let rights = domain.enter()?;

        filter::install(strongroom_seccomp::close(self.net, self.unix))?;
        Ok(Jail {
            receipt: Receipt {
                tier: plan.tier,
                uid: nix::unistd::getuid().as_raw(),
                gid: nix::unistd::getgid().as_raw(),
                namespaces: self.namespaces,
                proc_view: if own_mounts { plan.proc_view } else { ProcView::Shared },
                landlock_abi: plan.landlock_abi,
                landlock_fs: rights.fs.bits(),
                landlock_net: rights.net.bits(),
                landlock_scopes: rights.scopes.bits(),
                // never, base, close; and the one the command installs itself.
                seccomp_filters: 4,
                unprivileged: true,
                kill_all: if own_mounts { KillAll::PidNamespace } else { KillAll::LandlockScope },
                limits: if self.sees_proc() { LimitsBy::Watchdog } else { LimitsBy::Rlimits },
                protect,
                metadata: if own_mounts { MetadataBy::MountNamespace } else { MetadataBy::Deputy },
                private_tmpfs,
                shared_shm: profile.shm && !own_mounts,
            },
            workspace,
            private,
            private_folder,
            command_domain,
            leases,
            writable,
        })
    }

    /// Where sealed files are, if commands of this profile can be granted any.
    fn leases(&self) -> Option<&Leases> {
        self.plan.leases.as_ref().filter(|_| self.profile.leases)
    }

    /// Where processes can be added up.
    pub fn sees_proc(&self) -> bool {
        self.profile.paths.iter().any(|r| r.path.as_bytes() == b"/proc")
    }

    /// The private folder: a tmpfs of the new root, or a folder of this slot.
    fn private_folder(&self) -> Step<(Option<Vec<u8>>, Option<OwnedFd>)> {
        if !self.profile.tmp {
            return Ok((None, None));
        }
        if self.plan.namespaces != Namespaces::None {
            return Ok((Some(root::PRIVATE.to_bytes().to_vec()), None));
        }
        let base = paths::join(self.plan.state.as_bytes(), b"tmp");
        let name = self.slot.to_string();
        let parent = fd::anchor(&paths::c_string(&base)).at(Stage::Workspace)?;
        let folder = private::make(parent.as_fd(), &paths::c_string(name.as_bytes()))
            .at(Stage::Workspace)?;
        Ok((Some(paths::join(&base, name.as_bytes())), Some(folder)))
    }

    /// What the deputy may change for the command. Leases are not among it,
    /// though the worker may write them.
    fn writable(&self, private: Option<&[u8]>) -> Step<Vec<(Vec<u8>, OwnedFd)>> {
        let rules = self.profile.paths.iter().filter(|r| r.access == Access::Write);
        let shm = self.profile.shm.then_some(&b"/dev/shm"[..]);
        let paths = rules.map(|r| r.path.as_bytes()).chain(private).chain(shm);
        let mut list = Vec::new();
        for path in paths {
            let anchor = fd::anchor(&paths::c_string(path)).at(Stage::Workspace)?;
            list.push((path.to_vec(), anchor));
        }
        Ok(list)
    }

    /// Closes every descriptor but its own, and those that are needed for the
    /// steps to come.
    fn keep(&self) -> Step<Kept> {
        const FIRST: i32 = LIFELINE + 1;
        let Lent { outside, domain, command_domain } = &self.lent;
        let lent = [Some(domain), Some(outside), command_domain.as_ref()];
        let mut last = LIFELINE;
        for (number, fd) in (FIRST..).zip(lent.into_iter().flatten()) {
            fd::place(*fd, number).at(Stage::CloseFds)?;
            last = number;
        }
        fd::close_from(last as u32 + 1).at(Stage::CloseFds)?;
        let own = |number| fd::inherited(number).at(Stage::CloseFds);
        Ok(Kept {
            domain: own(FIRST)?,
            outside: own(FIRST + 1)?,
            command_domain: command_domain.map(|_| own(FIRST + 2)).transpose()?,
        })
    }

    /// What the profile allows: what its zygote said, and what is this
    /// worker's own.
    fn domain(&self, ruleset: OwnedFd, private: Option<&[u8]>) -> Step<Domain> {
        let network = self.profile.network != Network::None;
        let mut domain = Domain::from_prepared(ruleset, self.plan.landlock_abi, network);
        let shm = self.profile.shm.then_some(&b"/dev/shm"[..]);
        for path in private.into_iter().chain(shm) {
            let object = fd::anchor(&paths::c_string(path)).at(Stage::Landlock)?;
            domain = domain.allow_known(object.as_fd(), Access::Write, true)?;
        }
        if self.plan.proc_view == ProcView::Own && self.plan.namespaces != Namespaces::None {
            for rule in self.profile.paths.iter().filter(|r| r.path.as_bytes() == b"/proc") {
                let object = fd::anchor(c"/proc").at(Stage::Landlock)?;
                domain = domain.allow_known(object.as_fd(), rule.access, true)?;
            }
        }
        Ok(domain)
    }
}
