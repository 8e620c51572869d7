//! `strongroom doctor`: what this place can enforce, layer by layer, and what
//! would give more. Everything is tried, nothing is read off a version.

use std::path::PathBuf;

use nix::sys::resource::RLIM_INFINITY;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::Serialize;
use strongroom_jail::privileges;
use strongroom_jail::probe::{
    Findings, Missing, Trouble, choose, errno_name, missing_for_next, probe,
};
use strongroom_protocol::codes::exit;
use strongroom_protocol::limits::ARENA;
use strongroom_protocol::plan::{Ids, Namespaces};
use strongroom_protocol::receipt::{ProcView, Tier};
use strongroom_sys::Errno;
use strongroom_sys::process::{self, Forked};
use strongroom_sys::secret::{Arena, Backend};

use crate::error::{print, shown, to_json};
use crate::facts;
use crate::leases;
use crate::place::{BROKER, SANDBOX, Who};
use crate::programs::Programs;
use crate::reach::SHM;
use crate::state::Wanted;
use crate::style::Style;

/// Prints the diagnosis. 0 when some tier is reachable, else 78.
pub fn doctor(json: bool) -> i32 {
    let starter = facts::starter();
    let sandbox = if starter.separates() { SANDBOX } else { starter.ids };
    let scratch = Scratch::new();
    let findings = probe(sandbox, &scratch.path);
    drop(scratch);
    let diagnosis = Diagnosis::of(&findings, Rest::find(sandbox));
    if json {
        print(&format!("{}\n", to_json(&diagnosis)));
    } else {
        print(&diagnosis.text(Style::of(&std::io::stdout())));
    }
    if diagnosis.tier.is_some() { 0 } else { exit::CONFIG }
}

/// What does not decide the tier.
struct Rest {
    programs: Result<Programs, String>,
    /// What the broker keeps secrets in.
    memory: Result<Backend, Errno>,
    /// The limit on locked memory, in bytes.
    memlock: u64,
    /// Where sealed files go without mounts of a worker's own.
    leases: Option<PathBuf>,
}

impl Rest {
    fn find(sandbox: Ids) -> Self {
        let starter = facts::starter();
        let broker = if starter.separates() { BROKER } else { starter.ids };
        let who = Who { sandbox, broker, recorder: broker, adopts: false };
        let state = Wanted::from(None).path().ok();
        let memlock = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_MEMLOCK);
        Self {
            programs: Programs::find().map_err(|f| f.message),
            memory: memory_of(broker, starter.separates()),
            memlock: memlock.map_or(0, |(soft, _)| soft),
            leases: leases::likely(state.as_deref(), &who),
        }
    }
}

/// What lies under an arena as large as the broker's. Tried as its user, who
/// may lock less than root: in a child.
fn memory_of(broker: Ids, separate: bool) -> Result<Backend, Errno> {
    const BACKENDS: [Backend; 3] = [Backend::MemfdSecret, Backend::Locked, Backend::Unlocked];
    let attempt = || {
        if separate {
            privileges::become_user(broker).and_then(|()| privileges::drop_capabilities()).ok()?;
        }
        let backend = Arena::new(ARENA).ok()?.backend();
        BACKENDS.iter().position(|b| *b == backend).and_then(|at| i32::try_from(at).ok())
    };
    let pid = match process::fork(0)? {
        Forked::Child => process::exit(attempt().unwrap_or(-1)),
        Forked::Parent { pid, .. } => Pid::from_raw(pid),
    };
    match waitpid(pid, None)? {
        WaitStatus::Exited(_, at) => {
            usize::try_from(at).ok().and_then(|at| BACKENDS.get(at).copied()).ok_or(Errno::ENOMEM)
        }
        _ => Err(Errno::ECHILD),
    }
}

/// A folder to try mounts over, removed afterwards.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Where none can be made, `/proc`: a mount over it is as good a test.
    fn new() -> Self {
        let made = ["/dev/shm", "/tmp", "/run"].iter().find_map(|base| {
            nix::unistd::mkdtemp(&PathBuf::from(base).join("strongroom-XXXXXX")).ok()
        });
        if let Some(path) = &made {
            // The sandbox user mounts over it too.
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o711);
            let _ = nix::sys::stat::fchmodat(
                nix::fcntl::AT_FDCWD,
                path,
                mode,
                nix::sys::stat::FchmodatFlags::FollowSymlink,
            );
        }
        Self { path: made.unwrap_or_else(|| "/proc".into()) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Only an empty folder goes: `/proc` never does.
        let _ = std::fs::remove_dir(&self.path);
    }
}

/// One layer of defence.
#[derive(Debug, Serialize)]
struct Layer {
    name: &'static str,
    ok: bool,
    what: String,
}

/// Something that is missing, and how to get it.
#[derive(Debug, Serialize)]
struct Lack {
    what: String,
    how: String,
}

impl From<Missing> for Lack {
    fn from(missing: Missing) -> Self {
        Self { what: missing.what, how: missing.how }
    }
}

#[derive(Debug, Serialize)]
struct Diagnosis {
    v: u8,
    /// `null`: none can be reached.
    tier: Option<&'static str>,
    why: String,
    namespaces: Option<&'static str>,
    proc: Option<&'static str>,
    landlock_abi: u8,
    layers: Vec<Layer>,
    /// For the next tier, or for the lowest where there is none.
    missing: Vec<Lack>,
}

impl Diagnosis {
    fn of(findings: &Findings, rest: Rest) -> Self {
        let chosen = choose(findings);
        let own_mounts = chosen.as_ref().is_ok_and(|(_, by, _)| *by != Namespaces::None);
        let layers = layers(findings, rest, own_mounts);
        match chosen {
            Ok((tier, namespaces, proc_view)) => Self {
                v: 1,
                tier: Some(tier.as_str()),
                why: why(tier, namespaces, proc_view),
                namespaces: Some(namespaces.as_str()),
                proc: Some(proc_view.as_str()),
                landlock_abi: findings.landlock_abi,
                layers,
                missing: missing_for_next(findings, tier).into_iter().map(Lack::from).collect(),
            },
            Err(missing) => Self {
                v: 1,
                tier: None,
                why: "the lowest tier needs more than there is here".to_owned(),
                namespaces: None,
                proc: None,
                landlock_abi: findings.landlock_abi,
                layers,
                missing: missing.into_iter().map(Lack::from).collect(),
            },
        }
    }

    fn text(&self, style: Style) -> String {
        let head = match self.tier {
            Some(tier) => style.good(&format!("tier {tier}")),
            None => style.bad("no tier"),
        };
        let mut text = format!("{head}: {}\n\n", self.why);
        for Layer { name, ok, what } in &self.layers {
            let mark = if *ok { style.good("✓") } else { style.bad("✗") };
            text.push_str(&format!("  {mark} {name:<22} {what}\n"));
        }
        if !self.missing.is_empty() {
            let target = if self.tier.is_some() { "For the next tier" } else { "To start at all" };
            text.push_str(&format!("\n{target}:\n"));
        }
        let mut last = "";
        for Lack { what, how } in &self.missing {
            if what != last {
                text.push_str(&format!("  missing: {what}\n"));
            }
            text.push_str(&format!("    get it: {how}\n"));
            last = what;
        }
        text
    }
}

fn why(tier: Tier, namespaces: Namespaces, proc_view: ProcView) -> String {
    let by = match namespaces {
        Namespaces::None => "Landlock and seccomp",
        Namespaces::User => "user namespaces, Landlock and seccomp",
        Namespaces::Privileged => "namespaces by root, Landlock and seccomp",
    };
    let users = match tier {
        Tier::Rootless => "one user for everything",
        Tier::Container => "separate users",
        Tier::Full => "a root, a network and processes of its own for each command",
    };
    let seen = match proc_view {
        ProcView::Own => "",
        ProcView::Shared if tier == Tier::Full => {
            "; commands see the names of this place's processes"
        }
        ProcView::Shared => "; commands see the names of other processes",
    };
    format!("{by}; {users}{seen}")
}

fn layers(f: &Findings, rest: Rest, own_mounts: bool) -> Vec<Layer> {
    let layer = |name, ok, what: String| Layer { name, ok, what };
    let namespaces = |found: Result<ProcView, Trouble>| match found {
        Ok(view) => (true, format!("work; /proc {view}")),
        Err(trouble) => (false, format!("{}: {}", trouble.step, errno_name(trouble.errno))),
    };
    let (privileged, how_privileged) = namespaces(f.privileged_namespaces);
    let (user, how_user) = namespaces(f.user_namespaces);
    vec![
        layer(
            "Landlock",
            f.landlock_abi >= strongroom_jail::probe::SCOPED_ABI,
            match f.landlock_abi {
                0 => "not there".to_owned(),
                abi => format!("ABI {abi}, errata fixed {:#x}", f.landlock_errata),
            },
        ),
        layer(
            "seccomp",
            f.seccomp,
            if f.seccomp { "a filter can be installed" } else { "refused" }.to_owned(),
        ),
        layer(
            "separate users",
            f.can_setuid,
            if f.can_setuid {
                "broker, recorder and commands get a uid each".to_owned()
            } else {
                format!("everything runs as uid {}", f.uid)
            },
        ),
        layer("namespaces by root", privileged, how_privileged),
        layer("user namespaces", user, how_user),
        layer(
            "cgroup v2",
            f.cgroup_v2.is_ok(),
            f.cgroup_v2.map_or_else(
                |why| format!("{why}; limits by rlimits and a watchdog"),
                |()| "is there; this version uses rlimits and a watchdog all the same".to_owned(),
            ),
        ),
        layer("secret memory", rest.memory.is_ok_and(|b| b != Backend::Unlocked), memory(&rest)),
        layer("sealed files", own_mounts || rest.leases.is_some(), sealed_files(&rest, own_mounts)),
        layer(
            "programs",
            rest.programs.is_ok(),
            rest.programs.map_or_else(|why| why, |p| format!("all in {}", shown(&p.folder))),
        ),
    ]
}

fn memory(rest: &Rest) -> String {
    let limit = match rest.memlock {
        RLIM_INFINITY => "no limit on locked memory".to_owned(),
        bytes => format!("limit on locked memory {} KiB", bytes / 1024),
    };
    match rest.memory {
        Ok(Backend::Unlocked) => {
            format!("unlocked memory, which can be swapped out: {limit}; raise it (ulimit -l)")
        }
        Ok(backend) => format!("{}; {limit}", backend.as_str()),
        Err(errno) => errno.desc().to_owned(),
    }
}

fn sealed_files(rest: &Rest, own_mounts: bool) -> String {
    match &rest.leases {
        _ if own_mounts => "in a tmpfs of each command's own".to_owned(),
        Some(path) if path.starts_with(SHM) => {
            let instead = leases::another_place();
            format!("in {SHM}, which commands do not get then; {instead}")
        }
        Some(path) => format!("in {}", shown(path)),
        None => format!("no folder in memory for them; {}", leases::another_place()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        let refused = Trouble { step: "namespaces of its own", errno: 1 };
        Findings {
            landlock_abi: 7,
            landlock_errata: 3,
            seccomp: true,
            uid: 1000,
            gid: 1000,
            can_setuid: false,
            user_namespaces: Err(refused),
            privileged_namespaces: Err(refused),
            cgroup_v2: Err("our cgroup v2 folder is not writable"),
            memfd_secret: true,
        }
    }

    fn rest() -> Rest {
        Rest {
            programs: Err("x lacks y".to_owned()),
            memory: Ok(Backend::Locked),
            memlock: 8 << 20,
            leases: Some("/run/user/7".into()),
        }
    }

    #[test]
    fn places_for_secrets() {
        let layer = |rest, own_mounts, name| {
            let layers = layers(&findings(), rest, own_mounts);
            let found = layers.into_iter().find(|l| l.name == name).unwrap();
            (found.ok, found.what)
        };
        let memory =
            |memory, memlock| layer(Rest { memory, memlock, ..rest() }, false, "secret memory");
        assert_eq!(
            memory(Ok(Backend::MemfdSecret), RLIM_INFINITY),
            (true, "memfd_secret; no limit on locked memory".to_owned())
        );
        let (ok, what) = memory(Ok(Backend::Unlocked), 64 << 10);
        assert!(!ok && what.contains("limit on locked memory 64 KiB"), "{what}");
        assert!(!memory(Err(Errno::ENOMEM), 0).0);
        let sealed = |leases: Option<&str>, own| {
            layer(Rest { leases: leases.map(PathBuf::from), ..rest() }, own, "sealed files")
        };
        assert_eq!(sealed(Some("/run"), false), (true, "in /run".to_owned()));
        assert!(sealed(Some("/dev/shm"), false).1.contains("which commands do not get then"));
        assert!(!sealed(None, false).0);
        assert_eq!(sealed(None, true), (true, "in a tmpfs of each command's own".to_owned()));
    }

    #[test]
    fn a_rootless_place() {
        let diagnosis = Diagnosis::of(&findings(), rest());
        assert_eq!(diagnosis.tier, Some("rootless"));
        let text = diagnosis.text(Style::PLAIN);
        for want in [
            "tier rootless: Landlock and seccomp; one user for everything; commands see the names of other processes\n",
            "  ✓ Landlock               ABI 7, errata fixed 0x3\n",
            "  ✗ user namespaces        namespaces of its own: EPERM\n",
            "  ✗ separate users         everything runs as uid 1000\n",
            "  ✓ secret memory          locked memory; limit on locked memory 8192 KiB\n",
            "  ✓ sealed files           in /run/user/7\n",
            "  ✗ programs               x lacks y\n",
            "For the next tier:\n",
            "kernel.unprivileged_userns_clone=1",
        ] {
            assert!(text.contains(want), "{want}\n---\n{text}");
        }
    }

    #[test]
    fn a_place_without_anything() {
        let nothing = Findings { landlock_abi: 0, seccomp: false, ..findings() };
        let diagnosis = Diagnosis::of(&nothing, rest());
        assert_eq!(diagnosis.tier, None);
        let text = diagnosis.text(Style::PLAIN);
        assert!(
            text.starts_with("no tier: ")
                && text.contains("To start at all:\n  missing: Landlock\n"),
            "{text}"
        );
        let json = to_json(&diagnosis);
        assert!(json.starts_with(r#"{"v":1,"tier":null,"why":"the lowest tier"#), "{json}");
    }
}
