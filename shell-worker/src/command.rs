//! One command: get it ready in the finished jail, launch it when the word is
//! given, stay until it has ended, end all it left, report.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeVal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use strongroom_jail::protect::Before;
use strongroom_jail::{At, Step, limits, paths};
use strongroom_protocol::channel::a::{Outcome, Usage};
use strongroom_protocol::channel::w::{Down, Known, Launch, Up};
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::Namespaces;
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_sys::launch::{self, Failed, Launched};
use strongroom_sys::process::{self, Instruction};
use strongroom_sys::{Errno, fd};

use crate::deputy::Deputy;
use crate::environment::Environment;
use crate::examine::Examined;
use crate::fingerprint::{self, Fingerprint};
use crate::killall::kill_all;
use crate::lease::Leases;
use crate::setup::{Jail, Setup};
use crate::watchdog::{PERIOD_MS, Watchdog};
use crate::worker::{Worker, broken, clean};

/// From the end of the time allowed (SIGTERM) to the end of patience.
const GRACE: Duration = Duration::from_secs(1);

/// What a command needs whatever it is, made while nobody waits for it.
pub struct Launcher<'j> {
    signals: SignalFd,
    rlimits: Vec<(u32, u64, u64)>,
    deputy: Option<Deputy<'j>>,
    filter: Vec<Instruction>,
    stack: launch::Stack,
}

impl<'j> Launcher<'j> {
    /// For one command in this jail.
    ///
    /// # Errors
    /// The step that failed.
    pub fn new(setup: &Setup<'_>, jail: &'j Jail) -> Step<Self> {
        // From here on SIGCHLD waits to be read instead of being lost.
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        mask.thread_set_mask().at(Stage::Exec)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags).at(Stage::Exec)?;
        let uid_shared = setup.plan.namespaces != Namespaces::User;
        let rlimits = limits::for_command(&setup.profile.limits, uid_shared)?;
        let deputy = Deputy::new(jail).at(Stage::Seccomp)?;
        let filter = last_filter(deputy.is_some());
        make_home(jail)?;
        Ok(Self { signals, rlimits, deputy, filter, stack: launch::Stack::new() })
    }
}

/// From the launch to when our copies of the command's output are closed. One
/// that is over by then ends its output and itself in one go, which spares
/// everybody on the way a wake-up; one that goes on can end its output first.
const TOGETHER: Duration = Duration::from_millis(50);

/// A command that runs.
pub struct Command<'p> {
    pid: i32,
    /// Its output's ends, as long as they are kept open.
    output: Vec<OwnedFd>,
    began: Instant,
    deadline: Option<Instant>,
    signals: SignalFd,
    before: Before<'p>,
    deputy: Option<Deputy<'p>>,
    program: Fingerprint,
}

/// Why a command is being ended by us.
#[derive(Clone, Copy)]
struct Ending {
    code: Code,
    /// When patience ends; `None`: now.
    kill_at: Option<Instant>,
}

/// How it ended.
enum Ended {
    /// As it liked.
    Itself(WaitStatus),
    /// It was over a limit.
    ByUs(Code),
    /// Nobody wants to know.
    Abandoned,
}

/// A command of which nothing is missing but the word.
pub struct Armed<'p> {
    jail: &'p Jail,
    launcher: Launcher<'p>,
    before: Before<'p>,
    cwd: OwnedFd,
    environment: Environment,
    argv: Vec<CString>,
    candidates: Vec<CString>,
    /// The candidates' files, to tell which it was.
    files: Vec<Option<OwnedFd>>,
    known: Option<Known>,
    /// What was examined, and will be executed.
    examined: Option<[u8; 32]>,
    wall_ms: u64,
}

impl<'p> Armed<'p> {
    /// Gets everything ready that does not show outside the jail: what was
    /// `examined`, where it was.
    ///
    /// # Errors
    /// The step that failed.
    pub fn new(
        setup: &Setup<'p>,
        jail: &'p Jail,
        launcher: Launcher<'p>,
        order: Launch,
        examined: Option<&Examined>,
    ) -> Step<Self> {
        let cwd = working_folder(jail, &order)?;
        let private = jail.private.as_deref();
        let environment =
            Environment::new(setup.profile, order.secrets.as_slice(), private).at(Stage::Exec)?;
        drop(order.secrets);
        let argv: Vec<CString> =
            order.argv.as_slice().iter().map(|a| paths::c_string(a.as_bytes())).collect();
        let path = environment.path();
        let mut candidates = launch::candidates(&paths::c_string(order.argv.program()), path);
        if let Some(examined) = examined {
            candidates = vec![examined.candidate()?];
        } else if order.firm {
            candidates = vec![setup.ground.program(&candidates, path)?.path];
        }
        let before = Before::look(jail.workspace.as_fd(), setup.plan);
        let files: Vec<_> = match examined {
            Some(_) => Vec::new(),
            None => candidates.iter().map(|c| fingerprint::open(cwd.as_fd(), c)).collect(),
        };
        let wall_ms = match order.wall_ms {
            0 => setup.profile.limits.wall_ms,
            asked => asked,
        };
        Ok(Self {
            jail,
            launcher,
            before,
            cwd,
            environment,
            argv,
            candidates,
            files,
            known: order.known,
            examined: examined.map(Examined::digest),
            wall_ms,
        })
    }

    /// Launches it.
    ///
    /// # Errors
    /// The step that failed. It may run already.
    pub fn launch(self, fds: Vec<OwnedFd>) -> Step<Command<'p>> {
        let Launcher { signals, rlimits, deputy, filter, mut stack } = self.launcher;
        let descriptors: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        let mut files = self.files;
        let began = Instant::now();
        let launch = launch::Launch {
            candidates: &self.candidates,
            argv: &self.argv,
            env: &self.environment.entries(),
            descriptors: &descriptors,
            cwd: self.cwd.as_fd(),
            rlimits: &rlimits,
            domain: self.jail.command_domain.as_fd(),
            umask: 0o022,
            filter: &filter,
            listener: deputy.as_ref().map(Deputy::socket),
        };
        let launched = launch::launch(&launch, &mut stack);
        let Launched { pid, candidate } = launched.map_err(|failed| match failed {
            Failed::Fork(errno) | Failed::Setup(errno) => {
                StageError { stage: Stage::Supervise, errno: errno as i32 }
            }
            Failed::Exec(errno) => StageError { stage: Stage::Exec, errno: errno as i32 },
        })?;
        let file = files.get_mut(candidate).and_then(Option::take);
        let program = match (self.examined, file) {
            (Some(digest), _) => Fingerprint::Known { digest, stamp: None },
            (None, Some(file)) => Fingerprint::of(file, self.known),
            (None, None) => Fingerprint::None,
        };
        let deputy = deputy.map(Deputy::take_listener).transpose().at(Stage::Seccomp)?;
        let deadline = (self.wall_ms != 0).then(|| began + Duration::from_millis(self.wall_ms));
        // Its input is not kept: who writes to it must see it closed.
        let output = fds.into_iter().skip(1).take(2).collect();
        let before = self.before;
        Ok(Command { pid, output, began, deadline, signals, before, deputy, program })
    }
}

impl Command<'_> {
    /// Stays until the command has ended, by itself or by us; then ends what
    /// it left, takes back what it was granted, and reports.
    ///
    /// # Errors
    /// The step that failed; the command and all it left have ended.
    pub fn supervise(
        mut self,
        worker: &mut Worker,
        setup: &Setup<'_>,
        jail: &Jail,
        leases: Leases<'_>,
    ) -> Step<()> {
        let ended = self.watch(worker, setup);
        // However it went, nothing outlives its command.
        kill_all(|_| {});
        drop(leases);
        let protected = self.before.compare(jail.workspace.as_fd());
        let outcome = match ended? {
            Ended::Abandoned => return clean(jail),
            Ended::ByUs(code) => Outcome::Ended(code),
            Ended::Itself(WaitStatus::Exited(_, code)) => {
                Outcome::Exited(u8::try_from(code).unwrap_or(u8::MAX))
            }
            Ended::Itself(WaitStatus::Signaled(_, signal, _)) => self.signalled(signal, setup),
            Ended::Itself(_) => Outcome::Ended(Code::WorkerLost),
        };
        let usage = self.usage();
        let (program, stamp) = self.program.finish(|| !worker.is_abandoned());
        let said = worker.say(&Up::Exited { outcome, usage, protected, program, stamp });
        // The kernel has put whoever hears it behind us on this processor.
        process::let_others_run();
        clean(jail)?;
        said
    }

    /// Watches over it until it has ended.
    fn watch(&mut self, worker: &mut Worker, setup: &Setup<'_>) -> Step<Ended> {
        let mut watchdog = Watchdog::new(setup.profile.limits, setup.sees_proc());
        let mut ending: Option<Ending> = None;
        let status = loop {
            if let Some(status) = self.reap() {
                break status;
            }
            if ending.is_some_and(|e| e.kill_at.is_none_or(|at| Instant::now() >= at)) {
                break self.end_now();
            }
            match self.wait(worker, watchdog.is_some(), ending)? {
                Woken::Nothing => {}
                Woken::Abandoned => return Ok(Ended::Abandoned),
                Woken::Message(Down::Signal { signal }) => self.signal(signal.number()),
                Woken::Message(_) => return Err(broken()),
                Woken::Metadata => {
                    if let Some(deputy) = &self.deputy {
                        deputy.serve();
                    }
                }
            }
            if ending.is_none() {
                ending = self.limit(watchdog.as_mut());
            }
            self.program.advance();
        };
        Ok(ending.map_or(Ended::Itself(status), |ending| Ended::ByUs(ending.code)))
    }

    /// The kernel's own limits end a command by a signal: say which it was.
    fn signalled(&self, signal: Signal, setup: &Setup<'_>) -> Outcome {
        match signal {
            Signal::SIGXCPU if setup.profile.limits.cpu_ms != 0 => Outcome::Ended(Code::CpuTime),
            other => Outcome::Signalled(u8::try_from(other as i32).unwrap_or(0)),
        }
    }

    /// Reaps all that has ended. The command's status, once it is among them.
    fn reap(&self) -> Option<WaitStatus> {
        let mut found = None;
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(_) => return found,
                Ok(status) if status.pid().is_some_and(|p| p.as_raw() == self.pid) => {
                    found = Some(status);
                }
                Ok(_) => {}
            }
        }
    }

    fn end_now(&self) -> WaitStatus {
        let mut own = WaitStatus::StillAlive;
        kill_all(|status| {
            if status.pid().is_some_and(|p| p.as_raw() == self.pid) {
                own = status;
            }
        });
        own
    }

    fn signal(&self, number: i32) {
        // Its group, as a terminal would; it began one with setsid. A group
        // that is gone is no error: it is about to be reaped.
        let _ = nix::sys::signal::killpg(
            nix::unistd::Pid::from_raw(self.pid),
            Signal::try_from(number).ok(),
        );
    }

    fn limit(&self, watchdog: Option<&mut Watchdog>) -> Option<Ending> {
        if self.deadline.is_some_and(|d| Instant::now() >= d) {
            self.signal(nix::libc::SIGTERM);
            self.signal(nix::libc::SIGCONT);
            return Some(Ending { code: Code::WallTime, kill_at: Some(Instant::now() + GRACE) });
        }
        let reaped = cpu_us(UsageWho::RUSAGE_CHILDREN) / 1000;
        let code = watchdog?.look(reaped)?;
        Some(Ending { code, kill_at: None })
    }

    fn wait(&mut self, worker: &mut Worker, watched: bool, ending: Option<Ending>) -> Step<Woken> {
        let timeout = match self.program.is_reading() {
            true => PollTimeout::ZERO,
            false => self.timeout(watched, ending),
        };
        let listener = self.deputy.as_ref().and_then(Deputy::listener);
        let mut polled = vec![
            PollFd::new(worker.lifeline.as_fd(), PollFlags::POLLIN),
            PollFd::new(worker.channel.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        polled.extend(listener.map(|l| PollFd::new(l, PollFlags::POLLIN)));
        let woken = poll(&mut polled, timeout);
        if self.began.elapsed() >= TOGETHER {
            self.output.clear();
        }
        match woken {
            Err(Errno::EINTR) | Ok(0) => return Ok(Woken::Nothing),
            other => other.at(Stage::Supervise)?,
        };
        let ready = |i: usize| polled.get(i).and_then(PollFd::any) == Some(true);
        let (gone, message, child, metadata) = (ready(0), ready(1), ready(2), ready(3));
        let call = polled.get(3).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        if gone {
            return Ok(Woken::Abandoned);
        }
        if metadata && !call.contains(PollFlags::POLLIN) {
            // Hung up: nobody is left who could call, and poll would say so
            // without end until the last of them can be reaped.
            self.deputy = None;
        }
        if child {
            while let Ok(Some(_)) = self.signals.read_signal() {}
        }
        if message {
            return Ok(match worker.receive()? {
                Some((message, _)) => Woken::Message(message),
                None => Woken::Abandoned,
            });
        }
        Ok(if call.contains(PollFlags::POLLIN) { Woken::Metadata } else { Woken::Nothing })
    }

    fn timeout(&self, watched: bool, ending: Option<Ending>) -> PollTimeout {
        let now = Instant::now();
        let until = match ending {
            Some(ending) => ending.kill_at,
            None => self.deadline,
        };
        let apart = (!self.output.is_empty()).then(|| self.began + TOGETHER);
        let until = until.into_iter().chain(apart).min();
        let mut wait = until.map(|at| at.saturating_duration_since(now));
        if watched && ending.is_none() {
            let period = Duration::from_millis(PERIOD_MS);
            wait = Some(wait.map_or(period, |w| w.min(period)));
        }
        match wait {
            None => PollTimeout::NONE,
            // Rounded up, or the last millisecond is spent spinning.
            Some(wait) => {
                PollTimeout::try_from(wait + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
            }
        }
    }

    fn usage(&self) -> Usage {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok();
        Usage {
            wall_us: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            user_us: usage.as_ref().map_or(0, |u| micros(u.user_time())),
            system_us: usage.as_ref().map_or(0, |u| micros(u.system_time())),
            max_rss_kib: usage.map_or(0, |u| u64::try_from(u.max_rss()).unwrap_or(0)),
        }
    }
}

enum Woken {
    Nothing,
    Abandoned,
    Message(Down),
    Metadata,
}

fn cpu_us(who: UsageWho) -> u64 {
    getrusage(who).map_or(0, |u| micros(u.user_time()) + micros(u.system_time()))
}

fn micros(time: TimeVal) -> u64 {
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    part(time.tv_sec()) * 1_000_000 + part(time.tv_usec())
}

/// What the command takes from itself just before it execs; the worker keeps
/// it, to open names beneath a folder and to have a deputy.
fn last_filter(with_deputy: bool) -> Vec<Instruction> {
    let program =
        if with_deputy { strongroom_seccomp::deputy() } else { strongroom_seccomp::last() };
    program.iter().map(|i| Instruction { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect()
}

/// The command's home, in its private folder.
fn make_home(jail: &Jail) -> Step<()> {
    let Some(private) = &jail.private else { return Ok(()) };
    let home = paths::c_string(&paths::join(private, b"home"));
    match nix::unistd::mkdir(&*home, nix::sys::stat::Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(e) => Err(e).at(Stage::Workspace),
    }
}

/// The folder asked for, opened beneath the workspace: a name that leads out
/// of it, by whatever link, is refused by the kernel.
///
/// # Errors
/// [`Stage::Cwd`].
pub fn working_folder(jail: &Jail, order: &Launch) -> Step<OwnedFd> {
    let path = order.cwd.as_ref().map_or(&b"."[..], |p| p.as_bytes());
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    fd::open_beneath(jail.workspace.as_fd(), &paths::c_string(path), flags, true).at(Stage::Cwd)
}
