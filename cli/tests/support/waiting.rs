//! A broker with requests that wait for humans: it counts votes as the real
//! one does, and knows no policy.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};
use sha2::{Digest as _, Sha256};
use strongroom_protocol::action::{ActionObject, DIGEST_PREFIX, Deed, Exec, Exhibit, Files};
use strongroom_protocol::channel::o::{Kind, Order, Pending, Reply, Verdict};
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_PIECE;
use strongroom_protocol::plan::Network;
use strongroom_protocol::types::{ApprovalId, Arg, Argv, List, Name, PathBytes, Piece, Reason};

use super::operator::{Operated, serve};

/// A decision that was taken: by whom, on what, what, and why.
pub type Decision = (String, u64, Verdict, Option<String>);

/// On this connection only others than the operator decide.
pub const NOT_FOR_OPERATORS: u64 = 99;

#[derive(Default)]
struct State {
    number: u64,
    connections: Vec<OwnedFd>,
    waiting: Vec<(ActionObject, Pending, Vec<String>)>,
    decisions: Vec<Decision>,
}

impl State {
    fn changed(&mut self, change: impl FnOnce(&mut Self)) {
        change(self);
        self.number += 1;
    }
}

/// The broker; it serves as many connections as come.
pub struct Waiting {
    place: Arc<Operated>,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Waiting {
    pub fn new() -> Self {
        let place = Arc::new(Operated::new());
        let first = State { number: 1, ..State::default() };
        let this = Self { place, state: Arc::new((Mutex::new(first), Condvar::new())) };
        let (place, state) = (Arc::clone(&this.place), Arc::clone(&this.state));
        // Until the last connection is gone and the test with it.
        std::thread::spawn(move || {
            loop {
                let Some(socket) = place.accept() else {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                };
                let state = Arc::clone(&state);
                state.0.lock().unwrap().connections.push(socket.try_clone().unwrap());
                std::thread::spawn(move || {
                    serve(&socket, |name, order| answer(&state, name, order));
                });
            }
        });
        this
    }

    pub fn verb(&self, args: &[&str]) -> Command {
        self.place.verb(args)
    }

    pub fn path(&self) -> PathBuf {
        self.place.state()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.0.lock().unwrap().changed(change);
        self.state.1.notify_all();
    }

    /// A request comes.
    pub fn add(&self, object: ActionObject) {
        let pending = short(&object);
        self.change(|state| state.waiting.push((object, pending, Vec::new())));
    }

    /// A request is over, for a reason of its own.
    pub fn remove(&self, id: u64) {
        self.change(|state| state.waiting.retain(|(_, p, _)| p.id.0 != id));
    }

    /// The session ends.
    pub fn end(&self) {
        for socket in &self.state.0.lock().unwrap().connections {
            // Those that are gone already are not connected.
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
        }
    }

    pub fn decisions(&self) -> Vec<Decision> {
        self.state.0.lock().unwrap().decisions.clone()
    }

    pub fn wait_for_decisions(&self, count: usize) -> Vec<Decision> {
        super::operator::patiently(|| {
            let decisions = self.decisions();
            (decisions.len() >= count).then_some(decisions)
        })
    }
}

fn answer(state: &(Mutex<State>, Condvar), name: &str, order: &Order) -> Option<Reply> {
    let mut now: MutexGuard<'_, State> = state.0.lock().unwrap();
    match order {
        Order::Approvals { after } => {
            let mut list: Vec<Pending> = Vec::new();
            for (_, pending, votes) in &now.waiting {
                let voted = votes.iter().any(|by| by == name);
                list.push(Pending { voted, ..pending.clone() });
            }
            list.retain(|p| Some(p.id) > *after);
            // Two on a page.
            let more = list.len() > 2;
            list.truncate(2);
            Some(Reply::Approvals { list: List::new(list).unwrap(), more })
        }
        Order::Show { id, from } => {
            let found = now.waiting.iter().find(|(o, ..)| o.id == *id);
            let Some((object, ..)) = found else {
                return Some(Reply::Refused { code: Code::UnknownApproval });
            };
            let bytes = object.encode().unwrap();
            let rest = &bytes[*from as usize..];
            // Pieces that are shorter than they could be.
            let piece = &rest[..rest.len().min(MAX_PIECE / 64)];
            let last = piece.len() == rest.len();
            Some(Reply::Shown { bytes: Piece::new(piece).unwrap(), last })
        }
        Order::Decide { id, digest, verdict, reason } => {
            let Some(at) = now.waiting.iter().position(|(o, ..)| o.id == *id) else {
                return Some(Reply::Refused { code: Code::UnknownApproval });
            };
            if name == "operator" && now.waiting[at].0.connection == NOT_FOR_OPERATORS {
                return Some(Reply::Refused { code: Code::ApproverOnly });
            }
            if *digest != digest_of(&now.waiting[at].0) {
                return Some(Reply::Refused { code: Code::OtherBytes });
            }
            if now.waiting[at].2.iter().any(|by| by == name) {
                return Some(Reply::Refused { code: Code::AlreadyVoted });
            }
            let reason = reason.as_ref().map(|r| r.display());
            let mut decided = (0, 0, false);
            now.changed(|state| {
                state.decisions.push((name.to_owned(), id.0, *verdict, reason));
                let (object, pending, votes) = &mut state.waiting[at];
                if *verdict == Verdict::Approve {
                    votes.push(name.to_owned());
                    pending.votes += 1;
                }
                let settled = *verdict == Verdict::Deny || pending.votes == object.quorum;
                decided = (pending.votes, object.quorum, settled);
                if settled {
                    state.waiting.remove(at);
                }
            });
            state.1.notify_all();
            let (votes, quorum, settled) = decided;
            Some(Reply::Decided { votes, quorum, settled })
        }
        Order::Await { seen } => {
            let patience = Duration::from_secs(20);
            let (now, _) =
                state.1.wait_timeout_while(now, patience, |s| s.number == *seen).unwrap();
            Some(Reply::News { state: now.number })
        }
        Order::KillAll if name == "alice" => Some(Reply::Done),
        _ => Some(Reply::Refused { code: Code::ApproverOnly }),
    }
}

pub fn digest_of(object: &ActionObject) -> [u8; 32] {
    let bytes = object.encode().unwrap();
    Sha256::new().chain_update(DIGEST_PREFIX).chain_update(bytes).finalize().into()
}

pub fn hex_of(object: &ActionObject) -> String {
    strongroom_protocol::text::hex(&digest_of(object))
}

fn short(object: &ActionObject) -> Pending {
    let Deed::Exec(exec) = &object.deed else { panic!("{object:?}") };
    let head = exec.argv.as_slice().iter().take(16);
    let head = head.map(|a| Arg::new(&a.as_bytes()[..a.as_bytes().len().min(200)]).unwrap());
    Pending {
        id: object.id,
        kind: Kind::Exec,
        rule: object.rule.clone(),
        head: List::new(head.collect()).unwrap(),
        cut: false,
        age_ms: 61_000,
        left_ms: 239_000,
        votes: 0,
        quorum: object.quorum,
        approved: false,
        voted: false,
        times: 1,
    }
}

/// A command that waits.
pub fn command(id: u64, argv: &[&str], quorum: u8) -> ActionObject {
    ActionObject {
        session: [0xab; 16],
        policy: [0xcd; 32],
        id: ApprovalId(id),
        connection: 3,
        rule: Some(Name::new("git-push").unwrap()),
        why: Some(Reason::new("pushes code to the shared remote").unwrap()),
        quorum,
        deed: Deed::Exec(Box::new(Exec {
            argv: Argv::new(argv.iter().map(|a| Arg::new(*a).unwrap()).collect()).unwrap(),
            argv_digest: [0x11; 32],
            cwd: None,
            profile: Name::new("worker").unwrap(),
            network: Network::None,
            credentials: List::empty(),
            wall_ms: 120_000,
            files: Files {
                program: Exhibit {
                    path: PathBytes::new("/usr/bin/git").unwrap(),
                    digest: [0x22; 32],
                    size: 3_908_472,
                    firm: true,
                },
                interpreters: List::empty(),
                named: List::empty(),
                unseen: 0,
            },
        })),
        reason: Some(Reason::new("the release is ready").unwrap()),
    }
}
