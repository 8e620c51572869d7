//! A zygote and its workers, driven over their channels as the supervisor and
//! the broker would: with a plan made here, and nobody else in between.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use strongroom_jail::{paths, privileges};
use strongroom_protocol::channel::a::Outcome;
use strongroom_protocol::channel::w::{Down, Launch, Up};
use strongroom_protocol::channel::z::{Fork, Forked};
use strongroom_protocol::limits::{MAX_PACKET, MAX_PIECE};
use strongroom_protocol::plan::*;
use strongroom_protocol::receipt::{ProcView, Tier};
use strongroom_protocol::types::*;
use strongroom_protocol::{codec, fds};
use strongroom_sys::{Errno, fd, landlock, packet, process};

/// Agent and workers.
pub const SANDBOX: Ids = Ids { uid: 64101, gid: 64101 };

/// Profiles of the plan, by index.
pub const GRANTED: u16 = 0;
/// Writes for the broker.
pub const WRITER: u16 = 1;
/// Cannot be granted a file.
pub const PLAIN: u16 = 2;

/// How long anything here may take.
const PATIENCE_MS: u16 = 20_000;

/// Where workers get their mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// From CAP_SYS_ADMIN.
    Privileged,
    /// From a user namespace.
    User,
    /// Nowhere: one folder of leases for all.
    Shared,
}

impl Place {
    pub const ALL: [Self; 3] = [Self::Privileged, Self::User, Self::Shared];

    pub fn namespaces(self) -> Namespaces {
        match self {
            Self::Privileged => Namespaces::Privileged,
            Self::User => Namespaces::User,
            Self::Shared => Namespaces::None,
        }
    }

    pub fn own_mounts(self) -> bool {
        self != Self::Shared
    }

    /// What an ungranted command is told about a lease it names.
    pub fn denial(self) -> &'static str {
        if self.own_mounts() { "ENOENT" } else { "EACCES" }
    }
}

/// A workspace, a state folder, and a plan for them.
pub struct Session {
    pub place: Place,
    pub folder: tempfile::TempDir,
    pub plan: Plan,
    slot: u64,
}

fn path(path: impl AsRef<Path>) -> PathBytes {
    PathBytes::new(path.as_ref().as_os_str().as_encoded_bytes()).unwrap()
}

impl Session {
    pub fn new(place: Place) -> Self {
        // In memory, as leases must be.
        let folder = tempfile::Builder::new().prefix("srw-").tempdir_in("/dev/shm").unwrap();
        open_to_all(folder.path());
        for name in ["ws", "state", "state/tmp", "state/run", "state/run/root", "leases"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for name in ["state", "state/run"] {
            open_to_all(&folder.path().join(name));
        }
        for name in ["ws", "state/tmp", "leases"] {
            give(&folder.path().join(name));
        }
        private(&folder.path().join("leases"));
        let plan = plan(place, folder.path());
        Self { place, folder, plan, slot: 0 }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of the sandbox user's in the workspace.
    pub fn put(&self, name: &str, content: &str) {
        let path = self.path("ws").join(name);
        fs::write(&path, content).unwrap();
        give(&path);
    }

    /// What is in the folder of leases that workers share.
    pub fn leases(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("leases")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    pub fn zygote(&self, profile: u16) -> Zygote {
        let (ours, theirs) = packet::pair().unwrap();
        let plan = fd::sealed(c"plan", &self.plan.encode().unwrap()).unwrap();
        let image = paths::c_string(env!("CARGO_BIN_EXE_strongroom-worker").as_bytes());
        let image = fd::anchor(&image).unwrap();
        let privileged = self.place == Place::Privileged;
        let pid = match process::fork(0).unwrap() {
            process::Forked::Parent { pid, .. } => pid,
            process::Forked::Child => {
                let park = |fd: BorrowedFd<'_>| fd::duplicate_above(fd, 64).unwrap();
                let (plan, control, image) =
                    (park(plan.as_fd()), park(theirs.as_fd()), park(image.as_fd()));
                fd::place(plan.as_fd(), fds::PLAN).unwrap();
                fd::place(control.as_fd(), fds::CONTROL).unwrap();
                fd::cloexec_from(fds::CONTROL as u32 + 1).unwrap();
                if !privileged {
                    privileges::become_user(SANDBOX).unwrap();
                    privileges::drop_capabilities().unwrap();
                }
                process::set_dumpable(false).unwrap();
                let index = paths::c_string(profile.to_string().as_bytes());
                process::execute(image.as_fd(), &[c"strongroom-worker", &index], &[]);
                process::exit(1)
            }
        };
        drop(theirs);
        let mut zygote = Zygote { control: Some(ours), pid };
        assert_eq!(zygote.hear().0, Forked::Ready);
        zygote
    }

    /// A worker whose jail is finished.
    pub fn worker(&mut self, zygote: &mut Zygote) -> Worker {
        self.slot += 1;
        zygote.say(&Fork::Worker { slot: self.slot });
        let (said, fds) = zygote.hear();
        assert_eq!(said, Forked::Worker { slot: self.slot });
        let [pidfd, channel, lifeline] = fds.try_into().unwrap();
        let mut worker =
            Worker { slot: self.slot, pidfd, channel, lifeline: Some(lifeline), over: false };
        match worker.hear() {
            Some(Up::Ready { .. }) => worker,
            other => panic!("{other:?}"),
        }
    }

    /// Runs a shell command in a new jail of this profile, to its end.
    pub fn run(&mut self, zygote: &mut Zygote, leases: &[Lease<'_>], script: &str) -> Ran {
        let worker = self.worker(zygote);
        worker.grant(leases);
        worker.launch(&launch(&["/bin/sh", "-c", script])).finish()
    }
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

fn private(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
}

/// Makes it the sandbox user's.
pub fn give(path: &Path) {
    std::os::unix::fs::lchown(path, Some(SANDBOX.uid), Some(SANDBOX.gid)).unwrap();
}

fn plan(place: Place, folder: &Path) -> Plan {
    let namespaces = place.namespaces();
    let workspace = path(folder.join("ws"));
    let leases =
        if place.own_mounts() { "/run/strongroom/leases".into() } else { folder.join("leases") };
    let leases = Leases { folder: path(leases), writer: ProfileIx(WRITER) };
    let mut links = Vec::new();
    let mut system = Vec::new();
    for folder in ["/usr", "/bin", "/lib", "/lib64", "/etc", "/proc", "/dev/null"] {
        match fs::read_link(folder) {
            Ok(target) => links.push(Link { path: path(folder), target: path(target) }),
            Err(_) => {
                let device = folder.starts_with("/dev/");
                let access = if device { Access::Write } else { Access::Read };
                system.push(PathRule { path: path(folder), access });
            }
        }
    }
    let write = PathRule { path: workspace.clone(), access: Access::Write };
    let worker = [system, vec![write.clone()]].concat();
    let env = EnvVar {
        name: EnvName::new("PATH").unwrap(),
        value: EnvValue::new("/usr/bin:/bin").unwrap(),
    };
    let profile = |name: &str, paths: &[PathRule]| Profile {
        name: Name::new(name).unwrap(),
        paths: paths.to_vec(),
        tmp: paths.len() > 1,
        shm: false,
        leases: false,
        env: vec![env.clone()],
        network: Network::None,
        limits: Limits {
            wall_ms: 60_000,
            cpu_ms: 0,
            memory: 0,
            processes: 0,
            open_files: 64,
            file_size: 1 << 20,
            output: 0,
            tmp: 1 << 20,
        },
        warm: 0,
    };
    let mut granted = profile("granted", &worker);
    granted.leases = true;
    let mut writer = profile("files", &[write]);
    writer.env = Vec::new();
    Plan {
        version: VERSION,
        session: [0; 16],
        policy_digest: [0; 32],
        tier: if place.own_mounts() { Tier::Full } else { Tier::Container },
        namespaces,
        proc_view: if place.own_mounts() { ProcView::Own } else { ProcView::Shared },
        landlock_abi: u8::try_from(landlock::abi().unwrap()).unwrap(),
        sandbox: SANDBOX,
        broker: SANDBOX,
        recorder: SANDBOX,
        workspace: workspace.clone(),
        protect: vec![path(".claude")],
        state: path(folder.join("state")),
        programs: path("/nowhere"),
        links,
        agent: Agent {
            argv: vec![Arg::new("agent").unwrap()],
            cwd: workspace,
            profile: ProfileIx(PLAIN),
        },
        profiles: vec![granted, writer, profile("plain", &worker)],
        rules: Vec::new(),
        credentials: Vec::new(),
        leases: Some(leases),
        approvals: Approvals::default(),
        session_limits: SessionLimits {
            commands_per_minute: 0,
            burst: 0,
            commands: 0,
            cpu_ms: 0,
            masks: 0,
            grace_ms: 0,
        },
        errors: ErrorLevel::Minimal,
    }
}

/// The zygote of one profile. Ended, and waited for, when dropped.
pub struct Zygote {
    control: Option<OwnedFd>,
    pid: i32,
}

impl Zygote {
    pub fn say(&self, order: &Fork) {
        packet::send(self.control.as_ref().unwrap().as_fd(), &codec::encode(order).unwrap(), &[])
            .unwrap();
    }

    fn hear(&mut self) -> (Forked, Vec<OwnedFd>) {
        let mut buffer = [0; 256];
        let packet = receive(self.control.as_ref().unwrap(), &mut buffer);
        assert_ne!(packet.len, 0, "the zygote ended");
        (codec::decode(&buffer[..packet.len]).unwrap(), packet.fds)
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.control = None;
        let _ = waitpid(Pid::from_raw(self.pid), None);
    }
}

/// A sealed file that is granted.
pub struct Lease<'a> {
    pub id: u32,
    pub name: &'a str,
    pub text: &'a [u8],
}

/// A worker that waits for its one order.
pub struct Worker {
    pub slot: u64,
    pub pidfd: OwnedFd,
    channel: OwnedFd,
    lifeline: Option<OwnedFd>,
    over: bool,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    pub exit: u8,
    pub text: String,
}

pub fn launch(argv: &[&str]) -> Launch {
    let argv = argv.iter().map(|a| Arg::new(*a).unwrap()).collect();
    Launch {
        argv: Argv::new(argv).unwrap(),
        cwd: None,
        secrets: List::empty(),
        firm: false,
        wall_ms: 0,
        known: None,
    }
}

impl Worker {
    pub fn say(&self, order: &Down, fds: &[BorrowedFd<'_>]) {
        packet::send(self.channel.as_fd(), &codec::encode(order).unwrap(), fds).unwrap();
    }

    /// What it says next; `None`: it is gone.
    pub fn hear(&mut self) -> Option<Up> {
        let mut buffer = vec![0; MAX_PACKET];
        let packet = receive(&self.channel, &mut buffer);
        (packet.len > 0).then(|| codec::decode(&buffer[..packet.len]).unwrap())
    }

    pub fn grant(&self, leases: &[Lease<'_>]) {
        for Lease { id, name, text } in leases {
            let name = FileName::new(*name).unwrap();
            let size = u32::try_from(text.len()).unwrap();
            self.say(&Down::Lease { id: LeaseId(*id), name, size }, &[]);
            for piece in text.chunks(MAX_PIECE) {
                let bytes = SecretBytes::new(piece.to_vec()).unwrap();
                self.say(&Down::LeaseBytes { bytes }, &[]);
            }
        }
    }

    pub fn launch(self, launch: &Launch) -> Running {
        let running = self.arm(launch);
        // One that has failed already does not hear it.
        let go = codec::encode(&Down::Go).unwrap();
        let _ = packet::send(running.worker.channel.as_fd(), &go, &[]);
        running
    }

    /// Everything but the word.
    pub fn arm(self, launch: &Launch) -> Running {
        let (stdin, input) = fd::pipe().unwrap();
        let (output, stdout) = fd::pipe().unwrap();
        let order = Down::Launch { launch: Box::new(launch.clone()) };
        self.say(&order, &[stdin.as_fd(), stdout.as_fd(), stdout.as_fd()]);
        Running { worker: self, input: Some(input.into()), output: output.into() }
    }

    /// Closes its lifeline, as the supervisor does to end it.
    pub fn abandon(&mut self) {
        self.lifeline = None;
    }

    /// Its exit status; -signal when it was killed.
    pub fn end(mut self) -> i32 {
        self.over = true;
        wait(&self.pidfd)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.over {
            self.lifeline = None;
            wait(&self.pidfd);
        }
    }
}

/// The pid behind a pidfd (pidfd_open(2)).
pub fn pid_of(pidfd: &OwnedFd) -> i32 {
    let raw = std::os::fd::AsRawFd::as_raw_fd(pidfd);
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{raw}")).unwrap();
    info.lines().find_map(|l| l.strip_prefix("Pid:")).unwrap().trim().parse().unwrap()
}

/// Is it anywhere in the memory of this process?
pub fn remembers(pid: i32, needle: &[u8]) -> bool {
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let ranges = maps.lines().filter_map(|line| {
        let (start, rest) = line.split_once('-')?;
        let (end, rights) = rest.split_once(' ')?;
        let number = |hex| u64::from_str_radix(hex, 16).ok();
        rights.starts_with('r').then_some((number(start)?, number(end)?))
    });
    ranges.into_iter().any(|(start, end)| {
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // The kernel's own pages in it cannot be read.
        memory.read_exact_at(&mut bytes, start).is_ok()
            && bytes.windows(needle.len()).any(|window| window == needle)
    })
}

/// Workers are our own children, by CLONE_PARENT.
fn wait(pidfd: &OwnedFd) -> i32 {
    let mut polled = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut polled, PATIENCE_MS), Ok(1), "a worker does not end");
    match waitpid(Pid::from_raw(pid_of(pidfd)), None).unwrap() {
        WaitStatus::Exited(_, code) => code,
        WaitStatus::Signaled(_, signal, _) => -(signal as i32),
        other => panic!("{other:?}"),
    }
}

/// A command that runs.
pub struct Running {
    pub worker: Worker,
    input: Option<File>,
    output: File,
}

impl Running {
    /// Says a line to it, and hears one.
    pub fn ask(&mut self, line: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = Vec::new();
        while answer.last() != Some(&b'\n') {
            let mut byte = [0];
            assert_eq!(self.output.read(&mut byte).unwrap(), 1, "{answer:?}");
            answer.extend_from_slice(&byte);
        }
        String::from_utf8(answer).unwrap().trim_end().to_owned()
    }

    /// What the worker reports.
    pub fn report(mut self) -> (Option<Up>, String, Worker) {
        self.input = None;
        let mut text = Vec::new();
        self.output.read_to_end(&mut text).unwrap();
        let report = self.worker.hear();
        (report, String::from_utf8_lossy(&text).into_owned(), self.worker)
    }

    pub fn finish(self) -> Ran {
        let (report, text, worker) = self.report();
        let Some(Up::Exited { outcome: Outcome::Exited(exit), .. }) = report else {
            panic!("{report:?}: {text}")
        };
        assert_eq!(worker.end(), 0);
        Ran { exit, text: text.trim_end().to_owned() }
    }
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> packet::Packet {
    let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut polled, PATIENCE_MS), Ok(1), "no answer");
    packet::receive(socket.as_fd(), buffer)
        .or_else(|e| {
            if e == Errno::EPIPE {
                Ok(packet::Packet { len: 0, fds: Vec::new(), truncated: false })
            } else {
                Err(e)
            }
        })
        .unwrap()
}
