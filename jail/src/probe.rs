//! Finds out what this place lets us enforce, by doing it: in a child, with
//! the calls that a worker will make. A kernel can have a feature and a
//! container still refuse its use (Ubuntu's AppArmor lets a user namespace be
//! made and then denies the mounts in it), so nothing is read off a version.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::path::Path;

use caps::{CapSet, Capability};
use strongroom_protocol::plan::{Ids, Namespaces, Network};
use strongroom_protocol::receipt::{ProcView, Tier};
use strongroom_protocol::stage::Stage;
use strongroom_sys::mount::{self, attr};
use strongroom_sys::process::{self, Forked};
use strongroom_sys::{Errno, fd, landlock};

use crate::paths::c_string;
use crate::{At, Step, namespaces, privileges, refused};

/// The lowest ABI the tiers without a pid namespace can do with: below it a
/// command could signal its worker.
pub const SCOPED_ABI: u8 = 6;

/// Why something cannot be done here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// What was tried.
    pub step: &'static str,
    /// errno(3); 0 when it is our own check.
    pub errno: i32,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Findings {
    /// 0: no Landlock.
    pub landlock_abi: u8,
    /// Bit n-1: erratum n is fixed.
    pub landlock_errata: u32,
    /// A filter could be installed.
    pub seccomp: bool,
    /// The uid.
    pub uid: u32,
    /// The gid.
    pub gid: u32,
    /// Users and groups can be changed, and the bounding set emptied.
    pub can_setuid: bool,
    /// Namespaces from the sandbox uid, and the /proc they can have.
    pub user_namespaces: Result<ProcView, Trouble>,
    /// Namespaces by CAP_SYS_ADMIN.
    pub privileged_namespaces: Result<ProcView, Trouble>,
    /// A cgroup v2 with memory and pids that we may write.
    pub cgroup_v2: Result<(), &'static str>,
    /// memfd_secret(2) works.
    pub memfd_secret: bool,
}

/// Something a tier needs and this place lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub what: String,
    /// The flag, sysctl or field that gives it.
    pub how: String,
}

/// Tries everything. `scratch` is a folder that may be mounted over (in a
/// child's own namespace). The caller has one thread.
#[must_use]
pub fn probe(sandbox: Ids, scratch: &Path) -> Findings {
    let has = |cap| caps::has_cap(None, CapSet::Effective, cap).unwrap_or(false);
    let can_setuid = has(Capability::CAP_SETUID) && has(Capability::CAP_SETGID);
    let admin = has(Capability::CAP_SYS_ADMIN) && can_setuid && has(Capability::CAP_SETPCAP);
    let no_admin = Trouble { step: "CAP_SYS_ADMIN", errno: Errno::EPERM as i32 };
    Findings {
        landlock_abi: landlock::abi().ok().and_then(|abi| u8::try_from(abi).ok()).unwrap_or(0),
        landlock_errata: landlock::errata(),
        seccomp: in_child(0, try_seccomp).is_ok(),
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        can_setuid,
        user_namespaces: in_child(0, || {
            if can_setuid {
                privileges::become_user(sandbox)?;
            }
            nested(Namespaces::User, sandbox, scratch)
        }),
        privileged_namespaces: if admin {
            in_child(0, || nested(Namespaces::Privileged, sandbox, scratch))
        } else {
            Err(no_admin)
        },
        cgroup_v2: cgroup(),
        memfd_secret: in_child(0, || {
            strongroom_sys::fd::secret_memory_works().at(Stage::Start).map(|()| ProcView::Own)
        })
        .is_ok(),
    }
}

/// The highest tier there is.
///
/// # Errors
/// What the lowest tier lacks.
pub fn choose(f: &Findings) -> Result<(Tier, Namespaces, ProcView), Vec<Missing>> {
    let basic = basics(f);
    if !basic.is_empty() {
        return Err(basic);
    }
    match (f.privileged_namespaces, f.user_namespaces) {
        // As root both may work: by privilege, mounts reach a workspace
        // whose parents the sandbox uid cannot enter.
        (Ok(view), user) if user != Ok(ProcView::Own) || view == ProcView::Own => {
            Ok((Tier::Full, Namespaces::Privileged, view))
        }
        (_, Ok(view)) => Ok((Tier::Full, Namespaces::User, view)),
        _ if f.landlock_abi < SCOPED_ABI => Err(vec![Missing {
            what: format!("Landlock ABI {} (6 is needed without namespaces)", f.landlock_abi),
            how: "a kernel from 6.12 on, or allow user namespaces here".to_owned(),
        }]),
        _ if f.can_setuid => Ok((Tier::Container, Namespaces::None, ProcView::Shared)),
        _ => Ok((Tier::Rootless, Namespaces::None, ProcView::Shared)),
    }
}

fn basics(f: &Findings) -> Vec<Missing> {
    let mut missing = Vec::new();
    if f.landlock_abi == 0 {
        missing.push(Missing {
            what: "Landlock".to_owned(),
            how: "a kernel from 5.13 on, with `landlock` in its boot parameter lsm=, in a \
                  container whose own profile allows the landlock system calls"
                .to_owned(),
        });
    }
    if !f.seccomp {
        missing.push(Missing {
            what: "seccomp filters".to_owned(),
            how: "a kernel with CONFIG_SECCOMP_FILTER, in a container whose own profile \
                  allows the system call seccomp"
                .to_owned(),
        });
    }
    if f.uid == 0 && !f.can_setuid {
        missing.push(Missing {
            what: "a user other than root for commands (we are root without CAP_SETUID)".to_owned(),
            how: "docker run --user 1000 (Kubernetes: runAsUser: 1000, runAsNonRoot: true)"
                .to_owned(),
        });
    }
    missing
}

/// What the next higher tier would need.
#[must_use]
pub fn missing_for_next(f: &Findings, tier: Tier) -> Vec<Missing> {
    let say = |what: &str, how: &str| Missing { what: what.to_owned(), how: how.to_owned() };
    let namespaces = || {
        let step = match f.user_namespaces {
            Err(t) => format!("namespaces: {} failed with {}", t.step, errno_name(t.errno)),
            Ok(_) => "namespaces".to_owned(),
        };
        vec![
            say(
                &step,
                "in Docker: --cap-add SYS_ADMIN, or a seccomp profile that allows user \
                 namespaces (--security-opt seccomp=FILE) and --security-opt apparmor=unconfined",
            ),
            say(
                &step,
                "in Kubernetes: securityContext.seccompProfile with such a profile (Localhost), \
                 or hostUsers: false with capabilities.add: [SYS_ADMIN]",
            ),
            say(
                &step,
                "on a host: sysctl user.max_user_namespaces>0, \
                 kernel.unprivileged_userns_clone=1 (Debian), \
                 kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)",
            ),
        ]
    };
    match tier {
        Tier::Full => Vec::new(),
        Tier::Container => namespaces(),
        Tier::Rootless => {
            let mut list = vec![say(
                "a second user to run commands as",
                "start as root with CAP_SETUID, CAP_SETGID and CAP_SETPCAP (a stock `docker run`), \
                 for tier container",
            )];
            list.extend(namespaces());
            list
        }
    }
}

/// `EPERM`, not "Operation not permitted": people search for the former.
#[must_use]
pub fn errno_name(errno: i32) -> String {
    if errno == 0 { "our own check".to_owned() } else { format!("{:?}", Errno::from_raw(errno)) }
}

fn try_seccomp() -> Step<ProcView> {
    // BPF_RET | BPF_K, SECCOMP_RET_ALLOW.
    let allow = strongroom_seccomp::Insn { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 };
    crate::filter::install(&[allow]).map(|()| ProcView::Own)
}

/// Makes the namespaces, a root mount and a /proc, as a zygote and its worker
/// do.
fn nested(kind: Namespaces, ids: Ids, scratch: &Path) -> Step<ProcView> {
    if kind == Namespaces::User {
        namespaces::own_ground(ids, Network::None)?;
    }
    let (flags, _) = namespaces::wanted(kind, Network::None);
    in_child(flags, || {
        let outside = fd::anchor(c"/").at(Stage::Namespaces)?;
        namespaces::finish(kind, ids, outside.as_fd())?;
        mount::make_private().at(Stage::Mounts)?;
        let point = c_string(scratch.as_os_str().as_encoded_bytes());
        let point = fd::anchor(&point).at(Stage::Workspace)?;
        let tmpfs =
            mount::filesystem(c"tmpfs", &[(c"mode", c"0755")], attr::NOSUID).at(Stage::Mounts)?;
        mount::attach(tmpfs.as_fd(), point.as_fd()).at(Stage::Mounts)?;
        let view = proc_view()?;
        let root =
            fd::anchor(&c_string(scratch.as_os_str().as_encoded_bytes())).at(Stage::Mounts)?;
        nix::unistd::fchdir(&root).at(Stage::Mounts)?;
        mount::pivot_here().at(Stage::Mounts).map(|()| view)
    })
    .map_err(|t| strongroom_protocol::stage::StageError {
        stage: Stage::ALL.iter().copied().find(|s| s.describe() == t.step).unwrap_or(Stage::Start),
        errno: t.errno,
    })
}

/// Which /proc the namespaces can have.
fn proc_view() -> Step<ProcView> {
    if mount::filesystem(c"proc", &[], attr::NOSUID).is_ok() {
        return Ok(ProcView::Own);
    }
    // Parts of /proc are masked here, so the kernel refuses a fresh one in a
    // user namespace; the old one can still be bound.
    let old = fd::anchor(c"/proc").at(Stage::Mounts)?;
    mount::copy_tree(old.as_fd()).at(Stage::Mounts).map(|_| ProcView::Shared)
}

/// Runs `try_it` in a child and brings its answer back over a pipe.
fn in_child(flags: i32, try_it: impl FnOnce() -> Step<ProcView>) -> Result<ProcView, Trouble> {
    let broken = |errno: Errno| Trouble { step: Stage::Namespaces.describe(), errno: errno as i32 };
    let (reader, writer) = fd::pipe().map_err(broken)?;
    match process::fork(flags).map_err(broken)? {
        Forked::Child => {
            drop(reader);
            let answer: [u8; 6] = match try_it() {
                Ok(view) => [0, view as u8, 0, 0, 0, 0],
                Err(e) => {
                    let [a, b, c, d] = e.errno.to_le_bytes();
                    [1, e.stage as u8, a, b, c, d]
                }
            };
            let _ = std::fs::File::from(writer).write_all(&answer);
            process::exit(0)
        }
        Forked::Parent { pid, .. } => {
            drop(writer);
            let mut answer = [0; 6];
            let read = std::fs::File::from(reader).read_exact(&mut answer);
            let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
            match (read, answer) {
                (Ok(()), [0, view, ..]) if view == ProcView::Own as u8 => Ok(ProcView::Own),
                (Ok(()), [0, ..]) => Ok(ProcView::Shared),
                (Ok(()), [_, stage, a, b, c, d]) => {
                    let stage = Stage::from_exit_code(stage.into()).unwrap_or(Stage::Start);
                    let errno = i32::from_le_bytes([a, b, c, d]);
                    Err(Trouble { step: stage.describe(), errno })
                }
                (Err(_), _) => Err(Trouble {
                    step: refused(Stage::Start).stage.describe(),
                    errno: Errno::ECHILD as i32,
                }),
            }
        }
    }
}

fn cgroup() -> Result<(), &'static str> {
    let own = std::fs::read_to_string("/proc/self/cgroup").map_err(|_| "no /proc/self/cgroup")?;
    let path = own
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .ok_or("no cgroup v2 here (only v1)")?;
    let base = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    let controllers = std::fs::read_to_string(base.join("cgroup.controllers"))
        .map_err(|_| "cgroup v2 is not mounted at /sys/fs/cgroup")?;
    if !["memory", "pids"].iter().all(|c| controllers.split_whitespace().any(|have| have == *c)) {
        return Err("cgroup v2 has no memory and pids controllers here");
    }
    let subtree =
        nix::unistd::access(&base.join("cgroup.subtree_control"), nix::unistd::AccessFlags::W_OK);
    subtree.map_err(|_| "our cgroup v2 folder is not writable")
}
