//! The broker in this process, with everyone around it played by the test:
//! supervisor, recorder, workers, agents, operators. One thread, one
//! `LocalSet`, real sockets and pipes.
#![allow(dead_code)]

pub mod approving;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use strongroom_broker::credentials::Credentials;
use strongroom_broker::port::Port;
use strongroom_broker::token::{Token, Tokens};
use strongroom_broker::{Channels, End, serve};
use strongroom_protocol::action::{Exhibit, Files};
use strongroom_protocol::channel::a::{self, Answer, Outcome, Request, Usage};
use strongroom_protocol::channel::o::{self, Order, Reply};
use strongroom_protocol::channel::r::{self, Ack, Record};
use strongroom_protocol::channel::s::{self, Command, Event};
use strongroom_protocol::channel::w::{self, Down, Launch, Up};
use strongroom_protocol::plan::*;
use strongroom_protocol::receipt::*;
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_protocol::types::*;
use strongroom_sys::packet;
use strongroom_sys::secret::Arena;
use strongroom_vault::Vault;
use tokio::task::{JoinHandle, LocalSet, spawn_blocking, spawn_local};

pub const TOKEN: [u8; 32] = [7; 32];

/// Approvers beside the operator: each one's token is the first byte of the
/// name, repeated.
pub const APPROVERS: [&str; 3] = ["alice", "bob", "carol"];

/// What workers say of every program.
pub const PROGRAM: [u8; 32] = [6; 32];
pub const STAMP: w::Stamp = w::Stamp { dev: 1, ino: 2, size: 3, mtime_ns: 4, ctime_ns: 5 };

/// Nothing in these tests takes longer.
pub const LONG: Duration = Duration::from_secs(20);

pub type SupervisorPort = Port<s::FromBroker, s::ToBroker>;
pub type RecorderPort = Port<r::FromBroker, r::ToWriter>;
pub type WorkerPort = Port<w::ToWorker, w::FromWorker>;
pub type AgentPort = Port<a::ToAgent, a::FromAgent>;
pub type OperatorPort = Port<o::ToOperator, o::FromOperator>;

/// What the fake recorder does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    Fine,
    /// Acknowledges nothing.
    Stuck,
    /// Refuses everything with ENOSPC.
    Full,
}

pub struct World {
    pub agents: PathBuf,
    pub operators: PathBuf,
    pub inherited: RefCell<Option<OwnedFd>>,
    pub records: Rc<RefCell<Vec<Record>>>,
    pub commands: Rc<RefCell<Vec<Command>>>,
    pub disk: Rc<Cell<Disk>>,
    pub supervisor: Rc<SupervisorPort>,
    pub recorder: Rc<RecorderPort>,
    pub launches: Rc<RefCell<Vec<Launch>>>,
    /// Workers that have not ended.
    pub workers: Rc<RefCell<HashMap<ReqId, Rc<WorkerPort>>>>,
    /// What workers find when they look at a command.
    pub found: Rc<RefCell<Files>>,
    /// All that workers were told but launches and signals, in order.
    pub told: Rc<RefCell<Vec<Down>>>,
    pub broker: RefCell<Option<JoinHandle<End>>>,
    pub folder: tempfile::TempDir,
    pub token: [u8; 32],
}

/// Runs a test in a world with this plan.
pub fn with<F: Future<Output = ()>>(plan: Plan, test: impl FnOnce(Rc<World>) -> F) {
    with_credentials(plan, credentials(&[]), test);
}

/// Credentials in memory.
pub fn credentials(values: &[(&str, &[u8])]) -> Credentials {
    let arena = Arena::new(1024 * 1024).unwrap();
    let vault = Vault::memory(&arena).unwrap();
    let mut credentials = Credentials::new(vault, arena).unwrap();
    for (name, value) in values {
        credentials.put(&credential(name), value, true).unwrap();
    }
    credentials
}

pub fn credential(name: &str) -> CredentialName {
    CredentialName::new(name).unwrap()
}

/// The same, with these credentials.
pub fn with_credentials<F: Future<Output = ()>>(
    plan: Plan,
    credentials: Credentials,
    test: impl FnOnce(Rc<World>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let (mut world, channels) = World::new();
        world.token = TOKEN;
        let broker = spawn_local(serve(plan, channels, tokens(), credentials));
        *world.broker.borrow_mut() = Some(broker);
        tokio::time::timeout(LONG * 3, test(Rc::new(world))).await.expect("the test hangs");
    });
    runtime.shutdown_timeout(Duration::ZERO);
}

fn tokens() -> Tokens {
    let others = APPROVERS.map(|name| (named(name), Token::new([name.as_bytes()[0]; 32])));
    let operator = (named(o::OPERATOR), Token::new(TOKEN));
    Tokens::new([operator].into_iter().chain(others).collect())
}

impl World {
    /// A world without a broker, and what one is started with.
    pub fn new() -> (Self, Channels) {
        let folder = tempfile::tempdir().unwrap();
        let (agents, operators) = (folder.path().join("a"), folder.path().join("o"));
        let (supervisor, s) = packet::pair().unwrap();
        let (recorder, r) = packet::pair().unwrap();
        let (inherited, a) = packet::pair().unwrap();
        let channels = Channels {
            supervisor: s,
            recorder: r,
            agent: a,
            agents: packet::listen(&agents).unwrap(),
            operators: packet::listen(&operators).unwrap(),
        };
        let world = Self {
            agents,
            operators,
            inherited: RefCell::new(Some(inherited)),
            records: Rc::default(),
            commands: Rc::default(),
            disk: Rc::new(Cell::new(Disk::Fine)),
            supervisor: Rc::new(Port::new(supervisor).unwrap()),
            recorder: Rc::new(Port::new(recorder).unwrap()),
            launches: Rc::default(),
            workers: Rc::default(),
            found: Rc::new(RefCell::new(files())),
            told: Rc::default(),
            broker: RefCell::default(),
            folder,
            token: [0; 32],
        };
        world.play_recorder();
        world.play_supervisor();
        (world, channels)
    }

    fn play_recorder(&self) {
        let (port, records, disk) =
            (Rc::clone(&self.recorder), Rc::clone(&self.records), Rc::clone(&self.disk));
        spawn_local(async move {
            while let Ok(Some(received)) = port.receive().await {
                match disk.get() {
                    Disk::Stuck => records.borrow_mut().push(received.message),
                    Disk::Full => {
                        let _ = port.send(&Ack::Refused { errno: 28 }, &[]).await;
                    }
                    Disk::Fine => {
                        records.borrow_mut().push(received.message);
                        let count = records.borrow().len() as u64;
                        let _ = port.send(&Ack::Kept { count }, &[]).await;
                    }
                }
            }
        });
    }

    fn play_supervisor(&self) {
        let (port, commands) = (Rc::clone(&self.supervisor), Rc::clone(&self.commands));
        let (launches, told) = (Rc::clone(&self.launches), Rc::clone(&self.told));
        let found = Rc::clone(&self.found);
        let workers = Rc::clone(&self.workers);
        spawn_local(async move {
            while let Ok(Some(received)) = port.receive().await {
                commands.borrow_mut().push(received.message.clone());
                match received.message {
                    Command::Ready | Command::Shutdown { .. } => {}
                    Command::Spawn { req, profile: NOSPAWN } => {
                        let error = StageError { stage: Stage::Namespaces, errno: 1 };
                        port.send(&Event::SpawnFailed { req, error }, &[]).await.unwrap();
                    }
                    Command::Spawn { req, profile } => {
                        let (broker, own) = packet::pair().unwrap();
                        let worker = Rc::new(WorkerPort::new(own).unwrap());
                        workers.borrow_mut().insert(req, Rc::clone(&worker));
                        port.send(&Event::Spawned { req }, &[broker.as_fd()]).await.unwrap();
                        let (port, launches) = (Rc::clone(&port), Rc::clone(&launches));
                        let (told, found) = (Rc::clone(&told), Rc::clone(&found));
                        let all = Rc::clone(&workers);
                        spawn_local(async move {
                            work(&worker, profile, &launches, &told, &found).await;
                            worker.close();
                            all.borrow_mut().remove(&req);
                            let _ = port.send(&Event::Exited { req, status: 0 }, &[]).await;
                        });
                    }
                    Command::Kill { req } => {
                        if let Some(worker) = workers.borrow().get(&req) {
                            worker.close();
                        }
                    }
                }
            }
        });
    }

    /// As the supervisor does when a session ends.
    pub fn end_workers(&self) {
        self.workers.borrow().values().for_each(|worker| worker.close());
    }

    /// How the broker ended.
    pub async fn end(&self) -> End {
        let broker = self.broker.borrow_mut().take().unwrap();
        tokio::time::timeout(LONG, broker).await.unwrap().unwrap()
    }

    /// A connection that has not said hello.
    pub fn stranger(&self) -> AgentPort {
        Port::new(packet::connect(&self.agents).unwrap()).unwrap()
    }

    pub async fn agent(&self) -> AgentPort {
        let port = self.stranger();
        port.send(&Request::Hello { version: VERSION }, &[]).await.unwrap();
        let (answer, _) = answer(&port).await;
        assert!(matches!(answer, Answer::Welcome { version: VERSION, .. }), "{answer:?}");
        port
    }

    pub async fn operator(&self) -> OperatorPort {
        self.bearer(self.token, o::OPERATOR).await
    }

    pub async fn approver(&self, name: &str) -> OperatorPort {
        self.bearer([name.as_bytes()[0]; 32], name).await
    }

    /// Whoever has this token, which must be this one's.
    pub async fn bearer(&self, token: [u8; 32], name: &str) -> OperatorPort {
        let port = OperatorPort::new(packet::connect(&self.operators).unwrap()).unwrap();
        let hello = Order::Hello { version: VERSION, token };
        let name = named(name);
        assert_eq!(order(&port, &hello).await, Reply::Welcome { version: VERSION, name });
        port
    }

    /// Waits until something is so.
    pub async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if so(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("never: {what}; records {:?}", self.records.borrow());
    }

    pub async fn recorded(&self, what: &str, is: impl Fn(&Record) -> bool) {
        self.until(what, |w| w.records.borrow().iter().any(&is)).await;
    }
}

/// A worker: what it does is in the profile it was made for, and then in the
/// name of the program.
async fn work(
    port: &WorkerPort,
    profile: ProfileIx,
    launches: &RefCell<Vec<Launch>>,
    told: &RefCell<Vec<Down>>,
    found: &RefCell<Files>,
) {
    match profile {
        NOJAIL => {
            let error = StageError { stage: Stage::Landlock, errno: 95 };
            return port.send(&Up::Failed { error }, &[]).await.unwrap();
        }
        // Silent, until the other side has had enough.
        NOREADY => {
            let _ = port.receive().await;
            return;
        }
        _ => {}
    }
    port.send(&Up::Ready { receipt: Box::new(receipt()) }, &[]).await.unwrap();
    let mut armed = None;
    let (launch, fds) = loop {
        let Ok(Some(received)) = port.receive().await else {
            return;
        };
        match received.message {
            Down::Launch { launch } => armed = Some((launch, received.fds)),
            Down::Go => break armed.take().unwrap(),
            message @ (Down::Link { .. } | Down::WriteDone) => {
                told.borrow_mut().push(message);
                let filed = Up::Filed { filed: w::Filed::Written, errno: 0 };
                let _ = port.send(&filed, &[]).await;
                return;
            }
            Down::Examine { launch } => {
                if launch.argv.program() == b"blind" {
                    let error = StageError { stage: Stage::Examine, errno: 27 };
                    let _ = port.send(&Up::Failed { error }, &[]).await;
                    return;
                }
                let files = Box::new(found.borrow().clone());
                let _ = port.send(&Up::Examined { files }, &[]).await;
            }
            message => told.borrow_mut().push(message),
        }
    };
    launches.borrow_mut().push((*launch).clone());
    let [stdin, stdout, stderr] = <[OwnedFd; 3]>::try_from(fds).unwrap().map(File::from);
    let Some(outcome) = act(port, &launch, stdin, stdout, stderr).await else {
        return;
    };
    let usage = Usage { wall_us: 5, user_us: 1_000, system_us: 500, max_rss_kib: 9 };
    let (program, stamp) = (Some(PROGRAM), Some(STAMP));
    let exited = Up::Exited { outcome, usage, protected: List::empty(), program, stamp };
    let _ = port.send(&exited, &[]).await;
}

async fn act(
    port: &WorkerPort,
    launch: &Launch,
    mut stdin: File,
    mut stdout: File,
    mut stderr: File,
) -> Option<Outcome> {
    let args: Vec<Vec<u8>> = launch.argv.as_slice().iter().map(|a| a.as_bytes().to_vec()).collect();
    let arg = |n: usize| args.get(n).cloned().unwrap_or_default();
    let number = |n: usize| String::from_utf8(arg(n)).unwrap().parse::<usize>().unwrap();
    match arg(0).as_slice() {
        b"echo" => {
            stdout.write_all(&arg(1)).unwrap();
            Some(Outcome::Exited(0))
        }
        b"both" => {
            stdout.write_all(b"out").unwrap();
            stderr.write_all(b"err").unwrap();
            Some(Outcome::Exited(3))
        }
        // flood BYTES of stdout, then of stderr; 1 when a pipe broke.
        b"flood" => {
            let (out, err) = (number(1), number(2));
            let whole = spawn_blocking(move || {
                write_bytes(&mut stdout, out) && write_bytes(&mut stderr, err)
            });
            Some(Outcome::Exited(u8::from(!whole.await.unwrap())))
        }
        b"cat" => {
            let copy = move || std::io::copy(&mut stdin, &mut stdout).is_ok();
            Some(Outcome::Exited(u8::from(!spawn_blocking(copy).await.unwrap())))
        }
        // Ends by a signal, or with its socket.
        b"hang" => match port.receive().await {
            Ok(Some(received)) => match received.message {
                Down::Signal { signal } => {
                    Some(Outcome::Signalled(u8::try_from(signal.number()).unwrap()))
                }
                other => panic!("{other:?}"),
            },
            _ => None,
        },
        // Reads its input, and says nothing.
        b"swallow" => {
            let read = move || std::io::copy(&mut stdin, &mut std::io::sink()).is_ok();
            Some(Outcome::Exited(u8::from(!spawn_blocking(read).await.unwrap())))
        }
        // Closes its input, and goes on until somebody has enough of it.
        b"deaf" => {
            drop(stdin);
            let _ = port.receive().await;
            Some(Outcome::Exited(0))
        }
        // Ends, and something that it left keeps its input open.
        b"leave-input" => {
            spawn_blocking(move || {
                std::thread::sleep(Duration::from_secs(3));
                drop(stdin);
            });
            Some(Outcome::Exited(0))
        }
        // Ends, and something that it left keeps its output open.
        b"leave-open" => {
            stdout.write_all(b"done").unwrap();
            spawn_blocking(move || {
                std::thread::sleep(Duration::from_secs(3));
                drop((stdout, stderr));
            });
            Some(Outcome::Exited(0))
        }
        b"failed" => {
            let stage = Stage::from_exit_code(i32::try_from(number(1)).unwrap()).unwrap();
            let errno = i32::try_from(number(2)).unwrap();
            port.send(&Up::Failed { error: StageError { stage, errno } }, &[]).await.unwrap();
            None
        }
        b"nonsense" => {
            port.send(&Up::Ready { receipt: Box::new(receipt()) }, &[]).await.unwrap();
            let _ = port.receive().await;
            None
        }
        b"vanish" => None,
        other => panic!("no such program: {}", String::from_utf8_lossy(other)),
    }
}

/// What workers find, if nobody says otherwise.
pub fn files() -> Files {
    let exhibit = |at: &str| Exhibit { path: path(at), digest: [1; 32], size: 9, firm: true };
    Files {
        program: exhibit("/usr/bin/tool"),
        interpreters: List::new(vec![exhibit("/bin/sh")]).unwrap(),
        named: List::new(vec![Exhibit { firm: false, ..exhibit("a.txt") }]).unwrap(),
        unseen: 0,
    }
}

fn write_bytes(file: &mut File, mut count: usize) -> bool {
    let block = [b'x'; 8192];
    while count > 0 {
        let n = count.min(block.len());
        if file.write_all(&block[..n]).is_err() {
            return false;
        }
        count -= n;
    }
    true
}

// Profiles of the plan, by what their workers do.
pub const GOOD: ProfileIx = ProfileIx(0);
pub const NOJAIL: ProfileIx = ProfileIx(1);
pub const NOREADY: ProfileIx = ProfileIx(2);
pub const NOSPAWN: ProfileIx = ProfileIx(3);

pub fn arg(text: impl Into<Vec<u8>>) -> Arg {
    Arg::new(text).unwrap()
}

pub fn named(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn path(text: &str) -> PathBytes {
    PathBytes::new(text).unwrap()
}

pub fn argv(words: &[&str]) -> Argv {
    Argv::new(words.iter().map(|w| arg(*w)).collect()).unwrap()
}

pub fn receipt() -> Receipt {
    Receipt {
        tier: Tier::Container,
        uid: 1000,
        gid: 1000,
        namespaces: 0,
        proc_view: ProcView::Shared,
        landlock_abi: 7,
        landlock_fs: 0xffff,
        landlock_net: 3,
        landlock_scopes: 3,
        seccomp_filters: 3,
        unprivileged: true,
        kill_all: KillAll::LandlockScope,
        limits: LimitsBy::Watchdog,
        protect: ProtectBy::Nothing,
        metadata: MetadataBy::Deputy,
        private_tmpfs: false,
        shared_shm: false,
    }
}

fn profile(name: &str) -> Profile {
    Profile {
        name: named(name),
        paths: vec![],
        tmp: true,
        shm: false,
        leases: false,
        env: vec![],
        network: Network::None,
        limits: Limits {
            wall_ms: 60_000,
            cpu_ms: 0,
            memory: 0,
            processes: 0,
            open_files: 64,
            file_size: 0,
            output: 1 << 20,
            tmp: 0,
        },
        warm: 0,
    }
}

fn rule(name: &str, action: Action, profile: ProfileIx, words: &[&str]) -> Rule {
    let pattern = words
        .iter()
        .map(|word| match *word {
            "..." => Pattern { kind: PatternKind::Rest, text: arg("") },
            text => Pattern { kind: PatternKind::Literal, text: arg(text) },
        })
        .collect();
    Rule {
        name: named(name),
        pattern,
        profile,
        action,
        why: vec![],
        credentials: vec![],
        understood: false,
    }
}

pub fn plan() -> Plan {
    // An agent's connections come from this process.
    let own = nix::unistd::geteuid().as_raw();
    let root = own == 0;
    let ids = if root { Ids { uid: 12345, gid: 12345 } } else { Ids { uid: own, gid: own } };
    let mut deny = rule("no-rm", Action::Deny, GOOD, &["rm", "..."]);
    deny.why = b"deletes things".to_vec();
    Plan {
        version: VERSION,
        session: [9; 16],
        policy_digest: [8; 32],
        tier: if root { Tier::Container } else { Tier::Rootless },
        namespaces: Namespaces::None,
        proc_view: ProcView::Shared,
        landlock_abi: 7,
        sandbox: ids,
        broker: ids,
        recorder: ids,
        workspace: path("/job/space"),
        protect: vec![],
        state: path("/state"),
        programs: path("/programs"),
        links: vec![],
        agent: Agent { argv: vec![arg("agent")], cwd: path("/job/space"), profile: GOOD },
        profiles: vec![profile("good"), profile("nojail"), profile("noready"), profile("nospawn")],
        rules: vec![
            deny,
            rule("push", Action::Ask, GOOD, &["git", "push", "..."]),
            rule("ask-echo", Action::Ask, GOOD, &["echo", "ask", "..."]),
            rule("ask-hang", Action::Ask, GOOD, &["hang", "ask", "..."]),
            rule("ask-blind", Action::Ask, GOOD, &["blind", "..."]),
            rule("ask-nojail", Action::Ask, NOJAIL, &["nojail", "ask"]),
            rule("ask-noready", Action::Ask, NOREADY, &["noready", "ask"]),
            rule("ask-nospawn", Action::Ask, NOSPAWN, &["nospawn", "ask"]),
            rule("nojail", Action::Allow, NOJAIL, &["nojail"]),
            rule("noready", Action::Allow, NOREADY, &["noready"]),
            rule("nospawn", Action::Allow, NOSPAWN, &["nospawn"]),
            rule("any", Action::Allow, GOOD, &["echo", "..."]),
            rule("any-both", Action::Allow, GOOD, &["both", "..."]),
            rule("any-flood", Action::Allow, GOOD, &["flood", "..."]),
            rule("any-cat", Action::Allow, GOOD, &["cat", "..."]),
            rule("any-swallow", Action::Allow, GOOD, &["swallow", "..."]),
            rule("any-deaf", Action::Allow, GOOD, &["deaf", "..."]),
            rule("any-input", Action::Allow, GOOD, &["leave-input", "..."]),
            rule("any-hang", Action::Allow, GOOD, &["hang", "..."]),
            rule("any-leave", Action::Allow, GOOD, &["leave-open", "..."]),
            rule("any-failed", Action::Allow, GOOD, &["failed", "..."]),
            rule("any-nonsense", Action::Allow, GOOD, &["nonsense", "..."]),
            rule("any-vanish", Action::Allow, GOOD, &["vanish", "..."]),
        ],
        credentials: vec![],
        leases: None,
        approvals: Approvals::default(),
        session_limits: SessionLimits {
            commands_per_minute: 0,
            burst: 0,
            commands: 0,
            cpu_ms: 0,
            masks: 0,
            grace_ms: 1000,
        },
        errors: ErrorLevel::Minimal,
    }
}

pub fn exec(tag: u32, words: &[&str]) -> Request {
    Request::Exec {
        tag,
        argv: argv(words),
        cwd: None,
        rule: None,
        timeout_ms: None,
        credentials: List::empty(),
        reason: None,
        patience_ms: None,
    }
}

pub async fn answer(port: &AgentPort) -> (Answer, Vec<OwnedFd>) {
    let received = tokio::time::timeout(LONG, port.receive()).await.expect("no answer");
    let received = received.expect("the connection is broken").expect("the connection is closed");
    (received.message, received.fds)
}

/// Asks, and takes the answer that comes first.
pub async fn ask(port: &AgentPort, request: &Request) -> Answer {
    port.send(request, &[]).await.unwrap();
    answer(port).await.0
}

pub async fn order(port: &OperatorPort, order: &Order) -> Reply {
    port.send(order, &[]).await.unwrap();
    tokio::time::timeout(LONG, port.receive()).await.unwrap().unwrap().unwrap().message
}

/// A command that has started: its number, and its streams.
pub struct Started {
    pub id: ReqId,
    pub stdin: File,
    pub stdout: File,
    pub stderr: File,
}

pub async fn start(port: &AgentPort, tag: u32, words: &[&str]) -> Started {
    port.send(&exec(tag, words), &[]).await.unwrap();
    let (answer, fds) = answer(port).await;
    let Answer::Started { tag: echoed, id } = answer else { panic!("{answer:?}") };
    assert_eq!(echoed, tag);
    let [stdin, stdout, stderr] = <[OwnedFd; 3]>::try_from(fds).unwrap().map(File::from);
    Started { id, stdin, stdout, stderr }
}

pub async fn exited(port: &AgentPort, id: ReqId) -> a::Report {
    let (answer, _) = answer(port).await;
    let Answer::Exited { id: whose, report } = answer else { panic!("{answer:?}") };
    assert_eq!(whose, id);
    *report
}

/// Reads to the end, off this thread.
pub async fn slurp(mut file: File) -> Vec<u8> {
    spawn_blocking(move || {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    })
    .await
    .unwrap()
}

/// A whole command: report, standard output, standard error.
pub async fn whole(port: &AgentPort, words: &[&str]) -> (a::Report, Vec<u8>, Vec<u8>) {
    let Started { id, stdin, stdout, stderr } = start(port, 1, words).await;
    drop(stdin);
    let (stdout, stderr, report) = tokio::join!(slurp(stdout), slurp(stderr), exited(port, id));
    (report, stdout, stderr)
}
