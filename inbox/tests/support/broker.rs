//! A broker with requests and credentials: it counts votes and keeps values as
//! the real one does, and knows no policy.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use strongroom_protocol::action::{ActionObject, Deed, Exec, Exhibit, Files};
use strongroom_protocol::channel::Gate;
use strongroom_protocol::channel::o::{
    FromOperator, Held, Kind, Order, Pending, Reply, Request, Status, TOKEN, Verdict,
};
use strongroom_protocol::codec;
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::{MAX_PACKET, MAX_PIECE};
use strongroom_protocol::plan::{Network, VERSION};
use strongroom_protocol::receipt::Tier;
use strongroom_protocol::types::{
    ApprovalId, Arg, Argv, CredentialName, List, Name, PathBytes, Piece, Reason,
};
use strongroom_sys::packet;

/// What was done, in the order it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    Decided { by: String, id: u64, verdict: Verdict, reason: Option<String> },
    Kept { name: String, value: Vec<u8>, force: bool },
    Dismissed(u32),
    Killed { by: String },
}

#[derive(Default)]
struct World {
    number: u64,
    waiting: Vec<(ActionObject, Pending, Vec<String>)>,
    held: Vec<Held>,
    asked: Vec<Request>,
    done: Vec<Done>,
    log: Option<fn(&Done)>,
}

impl World {
    fn did(&mut self, done: Done) {
        if let Some(log) = self.log {
            log(&done);
        }
        self.done.push(done);
        self.number += 1;
    }
}

/// The broker; it serves as many connections as come.
pub struct Broker {
    folder: PathBuf,
    world: Arc<(Mutex<World>, Condvar)>,
}

impl Broker {
    /// In a folder that is there.
    pub fn new(folder: &Path) -> Self {
        for name in ["run", "broker", "broker/approvers", "log"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        for (name, byte) in [("operator", 7), ("approvers/alice", 8)] {
            std::fs::write(folder.join(format!("broker/{name}.token")), [byte; TOKEN]).unwrap();
        }
        let listener = packet::listen(&folder.join("run/operator.sock")).unwrap();
        let world: Arc<(Mutex<World>, Condvar)> = Arc::default();
        world.0.lock().unwrap().number = 1;
        let served = Arc::clone(&world);
        // Until the test's process ends.
        std::thread::spawn(move || {
            loop {
                let socket = patiently_ever(|| packet::accept(listener.as_fd()).ok());
                let world = Arc::clone(&served);
                std::thread::spawn(move || serve(&socket, &world));
            }
        });
        Self { folder: folder.to_owned(), world }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every deed is handed to this too.
    pub fn tell(&self, log: fn(&Done)) {
        self.world.0.lock().unwrap().log = Some(log);
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        let mut world = self.world.0.lock().unwrap();
        change(&mut world);
        world.number += 1;
        self.world.1.notify_all();
    }

    /// A request comes.
    pub fn add(&self, object: ActionObject) {
        let pending = short(&object);
        self.change(|world| world.waiting.push((object, pending, Vec::new())));
    }

    /// A request is over, for a reason of its own.
    pub fn remove(&self, id: u64) {
        self.change(|world| world.waiting.retain(|(o, ..)| o.id.0 != id));
    }

    /// Another request takes its place under its number.
    pub fn swap(&self, object: ActionObject) {
        self.change(|world| {
            let at = world.waiting.iter().position(|(o, ..)| o.id == object.id).unwrap();
            world.waiting[at].0 = object;
        });
    }

    pub fn hold(&self, name: &str, there: bool) {
        self.change(|world| world.held.push(held(name, there)));
    }

    /// An agent asks for a credential.
    pub fn ask(&self, id: u32, name: &str, reason: &str) {
        let request = Request {
            id,
            name: CredentialName::new(name).unwrap(),
            reason: Reason::new(reason).unwrap(),
            age_ms: 4_000,
            times: 2,
        };
        self.change(|world| world.asked.push(request));
    }

    pub fn done(&self) -> Vec<Done> {
        self.world.0.lock().unwrap().done.clone()
    }
}

/// Tries until there is something.
pub fn patiently<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    patiently_ever(|| {
        assert!(Instant::now() < deadline, "nothing came");
        attempt()
    })
}

fn patiently_ever<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(got) = attempt() {
            return got;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An entry that is being made.
struct Entering {
    name: CredentialName,
    size: usize,
    force: bool,
    value: Vec<u8>,
}

fn serve(socket: &OwnedFd, world: &(Mutex<World>, Condvar)) {
    let mut gate: Gate<FromOperator> = Gate::new();
    let mut buffer = vec![0; MAX_PACKET + 1];
    let mut who = String::new();
    let mut entering: Option<Entering> = None;
    loop {
        let got = patiently_ever(|| match packet::receive(socket.as_fd(), &mut buffer) {
            Ok(got) => Some(got.len),
            Err(strongroom_sys::Errno::EAGAIN) => None,
            Err(_) => Some(0),
        });
        if got == 0 {
            return;
        }
        let reply = match gate.admit(&buffer[..got], 0, 0).unwrap() {
            Order::Hello { version, token } => {
                assert_eq!(version, VERSION);
                let name = match token[0] {
                    7 => "operator",
                    8 => "alice",
                    _ => panic!("a token that is nobody's"),
                };
                who = name.to_owned();
                Some(Reply::Welcome { version, name: Name::new(name).unwrap() })
            }
            Order::Put { name, size, force } => {
                entering = Some(Entering { name, size: size as usize, force, value: Vec::new() });
                None
            }
            Order::Value { bytes } => {
                entering.as_mut().unwrap().value.extend_from_slice(bytes.as_bytes());
                None
            }
            Order::Keep => Some(keep(world, &who, entering.take().unwrap())),
            order => Some(answer(world, &who, &order)),
        };
        if let Some(reply) = reply {
            let bytes = codec::encode(&reply).unwrap();
            if packet::send(socket.as_fd(), &bytes, &[]).is_err() {
                return;
            }
        }
    }
}

fn refused(code: Code) -> Reply {
    Reply::Refused { code }
}

fn keep((world, news): &(Mutex<World>, Condvar), who: &str, entering: Entering) -> Reply {
    let Entering { name, size, force, value } = entering;
    if who != "operator" {
        return refused(Code::ApproverOnly);
    }
    assert_eq!(value.len(), size);
    if value.len() < 12 && !force {
        return refused(Code::BadValue);
    }
    let mut world = world.lock().unwrap();
    world.asked.retain(|request| request.name != name);
    world.held.retain(|known| known.name != name);
    world.held.push(held(name.as_str(), true));
    world.held.sort_by(|a, b| a.name.cmp(&b.name));
    world.did(Done::Kept { name: name.as_str().to_owned(), value, force });
    news.notify_all();
    Reply::Changed { version: 1, generation: 0, holders: 0 }
}

fn answer((lock, news): &(Mutex<World>, Condvar), who: &str, order: &Order) -> Reply {
    let mut world = lock.lock().unwrap();
    let operator = who == "operator";
    match order {
        Order::Status => Reply::Status { status: Box::new(status(&world)) },
        Order::Approvals { after } => {
            let mut list: Vec<Pending> = Vec::new();
            for (_, pending, votes) in &world.waiting {
                list.push(Pending { voted: votes.iter().any(|by| by == who), ..pending.clone() });
            }
            list.retain(|p| Some(p.id) > *after);
            // Two on a page.
            let more = list.len() > 2;
            list.truncate(2);
            Reply::Approvals { list: List::new(list).unwrap(), more }
        }
        Order::Show { id, from } => {
            let Some((object, ..)) = world.waiting.iter().find(|(o, ..)| o.id == *id) else {
                return refused(Code::UnknownApproval);
            };
            let bytes = object.encode().unwrap();
            let rest = &bytes[*from as usize..];
            // Pieces that are shorter than they could be.
            let piece = &rest[..rest.len().min(MAX_PIECE / 64)];
            let last = piece.len() == rest.len();
            Reply::Shown { bytes: Piece::new(piece).unwrap(), last }
        }
        Order::Decide { id, digest, verdict, reason } => {
            let Some(at) = world.waiting.iter().position(|(o, ..)| o.id == *id) else {
                return refused(Code::UnknownApproval);
            };
            let (object, pending, votes) = &mut world.waiting[at];
            if *digest != strongroom_approval::digest(&object.encode().unwrap()) {
                return refused(Code::OtherBytes);
            }
            if votes.iter().any(|by| by == who) && *verdict == Verdict::Approve {
                return refused(Code::AlreadyVoted);
            }
            if *verdict == Verdict::Approve {
                votes.push(who.to_owned());
                pending.votes += 1;
            }
            let (votes, quorum) = (pending.votes, object.quorum);
            let settled = *verdict == Verdict::Deny || votes == quorum;
            if settled {
                world.waiting.remove(at);
            }
            let reason = reason.as_ref().map(Reason::display);
            world.did(Done::Decided { by: who.to_owned(), id: id.0, verdict: *verdict, reason });
            news.notify_all();
            Reply::Decided { votes, quorum, settled }
        }
        Order::Await { seen } => {
            let patience = Duration::from_secs(20);
            let (world, _) =
                news.wait_timeout_while(world, patience, |w| w.number == *seen).unwrap();
            Reply::News { state: world.number }
        }
        Order::KillAll => {
            world.did(Done::Killed { by: who.to_owned() });
            Reply::Done
        }
        _ if !operator => refused(Code::ApproverOnly),
        Order::Credentials { after } => {
            let mut list: Vec<Held> =
                world.held.iter().filter(|h| Some(&h.name) > after.as_ref()).cloned().collect();
            let more = list.len() > 2;
            list.truncate(2);
            Reply::Credentials { list: List::new(list).unwrap(), more }
        }
        Order::Requests => Reply::Requests { list: List::new(world.asked.clone()).unwrap() },
        Order::Dismiss { request } => {
            let before = world.asked.len();
            world.asked.retain(|asked| asked.id != *request);
            if world.asked.len() == before {
                return refused(Code::UnknownCredential);
            }
            world.did(Done::Dismissed(*request));
            Reply::Done
        }
        other => panic!("{other:?}"),
    }
}

fn status(world: &World) -> Status {
    Status {
        session: [0xab; 16],
        tier: Tier::Container,
        age_ms: 3_723_000,
        accepted: 41,
        refused: 2,
        connections: 1,
        running: List::empty(),
        running_count: 1,
        credentials: 3,
        vault: 7,
        arena: Name::new("locked").unwrap(),
        masked: 5,
        requests: u32::try_from(world.asked.len()).unwrap(),
        approvals: u32::try_from(world.waiting.len()).unwrap(),
    }
}

fn held(name: &str, there: bool) -> Held {
    Held {
        name: CredentialName::new(name).unwrap(),
        there,
        revoked: !there && name.starts_with("OLD"),
        env: true,
        file: name.len().is_multiple_of(2),
        created: if there { 1_760_000_000 } else { 0 },
        changed: if there { 1_763_000_000 } else { 0 },
        version: u64::from(there),
        used: 0,
        holders: u32::from(there),
    }
}

fn short(object: &ActionObject) -> Pending {
    let cut = |bytes: &[u8]| Arg::new(&bytes[..bytes.len().min(200)]).unwrap();
    let (kind, head): (Kind, Vec<Arg>) = match &object.deed {
        Deed::Exec(exec) => {
            (Kind::Exec, exec.argv.as_slice().iter().take(16).map(|a| cut(a.as_bytes())).collect())
        }
        Deed::Plain(file) => (Kind::Plain, vec![cut(file.path.as_bytes())]),
        Deed::Delete(name) => (Kind::Delete, vec![cut(name.as_str().as_bytes())]),
        Deed::Question(question) => (Kind::Question, vec![cut(question.as_bytes())]),
    };
    Pending {
        id: object.id,
        kind,
        rule: object.rule.clone(),
        head: List::new(head).unwrap(),
        cut: matches!(&object.deed, Deed::Exec(exec) if exec.argv.as_slice().len() > 16),
        age_ms: 61_000,
        left_ms: 239_000,
        votes: 0,
        quorum: object.quorum,
        approved: false,
        voted: false,
        times: 1,
    }
}

/// A request.
pub fn request(id: u64, quorum: u8, deed: Deed, reason: Option<&str>) -> ActionObject {
    ActionObject {
        session: [0xab; 16],
        policy: [0xcd; 32],
        id: ApprovalId(id),
        connection: 3,
        rule: matches!(deed, Deed::Exec(_)).then(|| Name::new("git-push").unwrap()),
        why: Some(Reason::new("pushes code to the shared remote").unwrap()),
        quorum,
        deed,
        reason: reason.map(|reason| Reason::new(reason).unwrap()),
    }
}

/// A command that waits.
pub fn command(id: u64, argv: &[&str], quorum: u8) -> ActionObject {
    let bytes: Vec<&[u8]> = argv.iter().map(|arg| arg.as_bytes()).collect();
    request(id, quorum, exec(&bytes), Some("the release is ready"))
}

/// A command.
pub fn exec(argv: &[&[u8]]) -> Deed {
    let exhibit = |path: &str, firm| Exhibit {
        path: PathBytes::new(path).unwrap(),
        digest: [0x22; 32],
        size: 3_908_472,
        firm,
    };
    Deed::Exec(Box::new(Exec {
        argv: Argv::new(argv.iter().map(|a| Arg::new(*a).unwrap()).collect()).unwrap(),
        argv_digest: [0x11; 32],
        cwd: Some(PathBytes::new("services/api").unwrap()),
        profile: Name::new("worker").unwrap(),
        network: Network::None,
        credentials: List::new(vec![CredentialName::new("GITHUB_TOKEN").unwrap()]).unwrap(),
        wall_ms: 120_000,
        files: Files {
            program: exhibit("/usr/bin/git", true),
            interpreters: List::empty(),
            named: List::new(vec![exhibit("deploy.sh", false)]).unwrap(),
            unseen: 0,
        },
    }))
}

/// Writes a log of these events' fields.
pub fn write_log(folder: &Path, events: &[(&str, &str)]) {
    let mut text = String::new();
    for (i, (event, fields)) in events.iter().enumerate() {
        let (seq, second) = (i + 1, i % 60);
        text.push_str(&format!(
            "{{\"v\":1,\"seq\":{seq},\"time\":\"2026-01-31T23:59:{second:02}.000001Z\",\"mono_us\":1,\"session\":\"{}\",\
             \"writer\":\"broker\",\"event\":\"{event}\"{fields},\"prev\":\"{}\"}}\n",
            "ab".repeat(16),
            "00".repeat(32)
        ));
    }
    std::fs::write(folder.join("log").join(strongroom_audit::segment::OPEN), text).unwrap();
}
