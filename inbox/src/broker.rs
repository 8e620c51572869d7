//! Channel O: one connection for each thing that a human does, with the token
//! of whoever this inbox belongs to. Nothing is kept between two of them, so
//! an entry that was broken off is none, and a session that was started anew
//! is found by itself.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};
use strongroom_approval::Request;
use strongroom_client::{Lost, Port};
use strongroom_protocol::channel::o::{
    self, AWAIT_SECONDS, FromOperator, Held, OPERATOR, Order, Pending, Reply, Status, TOKEN,
    ToOperator, Verdict,
};
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::{MAX_ACTION, MAX_PIECE};
use strongroom_protocol::plan::VERSION;
use strongroom_protocol::types::{ApprovalId, CredentialName, Name, Reason, SecretBytes};
use strongroom_sys::{Errno, packet};

/// The broker answers at once, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// Credentials that are listed: more than any vault holds.
const MAX_LISTED: usize = 64 * 1024;

/// Where the session is, and who we are in it.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The state folder.
    pub state: PathBuf,
    /// An approver of the policy; `None`: the operator.
    pub approver: Option<Name>,
}

impl Seat {
    fn token(&self) -> Result<[u8; TOKEN], Code> {
        let path = match &self.approver {
            Some(name) if name.as_str() != OPERATOR => {
                self.state.join(format!("broker/approvers/{}.token", name.as_str()))
            }
            _ => self.state.join("broker/operator.token"),
        };
        let mut token = [0; TOKEN];
        match File::open(path).and_then(|mut file| file.read_exact(&mut token)) {
            Ok(()) => Ok(token),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && self.approver.is_none() => {
                Err(Code::NoSession)
            }
            Err(_) => Err(Code::NotOperator),
        }
    }

    /// The folder of the audit log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("log")
    }
}

/// An open connection.
pub struct Line {
    port: Port<ToOperator, FromOperator>,
    /// Whose token it was.
    pub name: Name,
}

impl Line {
    /// Connects to the session, and shows the token.
    ///
    /// # Errors
    /// [`Code::NoSession`], [`Code::NotOperator`], [`Code::Version`] …
    pub fn open(seat: &Seat) -> Result<Self, Code> {
        Self::patient(seat, PATIENCE)
    }

    /// The same, for [`Self::news`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_for_news(seat: &Seat) -> Result<Self, Code> {
        Self::patient(seat, PATIENCE + Duration::from_secs(AWAIT_SECONDS))
    }

    fn patient(seat: &Seat, patience: Duration) -> Result<Self, Code> {
        let socket = connect(&seat.state)?;
        let seconds = i64::try_from(patience.as_secs()).unwrap_or(i64::MAX);
        let limit = TimeVal::seconds(seconds);
        setsockopt(&socket, sockopt::ReceiveTimeout, &limit).map_err(|_| Code::Internal)?;
        setsockopt(&socket, sockopt::SendTimeout, &limit).map_err(|_| Code::Internal)?;
        let mut line = Self {
            port: Port::new(socket),
            name: Name::new(OPERATOR).map_err(|_| Code::Internal)?,
        };
        match line.ask(&Order::Hello { version: VERSION, token: seat.token()? })? {
            Reply::Welcome { version: VERSION, name } => Ok(Self { name, ..line }),
            Reply::Welcome { .. } => Err(Code::Version),
            other => Err(unexpected(&other)),
        }
    }

    /// The state of the session.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn status(&mut self) -> Result<Status, Code> {
        match self.ask(&Order::Status)? {
            Reply::Status { status } => Ok(*status),
            other => Err(unexpected(&other)),
        }
    }

    /// All that waits for a decision, oldest first.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn approvals(&mut self) -> Result<Vec<Pending>, Code> {
        let mut all: Vec<Pending> = Vec::new();
        loop {
            let after = all.last().map(|last| last.id);
            let (list, more) = match self.ask(&Order::Approvals { after })? {
                Reply::Approvals { list, more } => (list.into_vec(), more),
                other => return Err(unexpected(&other)),
            };
            // A page that leads nowhere would be asked for without end.
            let leads = list.iter().all(|next| Some(next.id) > after);
            if !leads || (more && list.is_empty()) {
                return Err(Code::Protocol);
            }
            all.extend(list);
            if !more {
                return Ok(all);
            }
        }
    }

    /// One request, whole.
    ///
    /// # Errors
    /// [`Code::UnknownApproval`]; [`Code::Protocol`] when it cannot be read.
    pub fn show(&mut self, id: ApprovalId) -> Result<Request, Code> {
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            let from = u32::try_from(bytes.len()).map_err(|_| Code::Protocol)?;
            let (piece, last) = match self.ask(&Order::Show { id, from })? {
                Reply::Shown { bytes, last } => (bytes, last),
                other => return Err(unexpected(&other)),
            };
            bytes.extend_from_slice(piece.as_bytes());
            if bytes.len() > MAX_ACTION || (!last && piece.as_bytes().is_empty()) {
                return Err(Code::Protocol);
            }
            if last {
                let request = Request::read(&bytes).map_err(|_| Code::Protocol)?;
                let same = request.object().id == id;
                return if same { Ok(request) } else { Err(Code::Protocol) };
            }
        }
    }

    /// Decides. Says whether nothing more is to be decided.
    ///
    /// # Errors
    /// Why the decision does not count.
    pub fn decide(
        &mut self,
        id: ApprovalId,
        digest: [u8; 32],
        verdict: Verdict,
        reason: Option<Reason>,
    ) -> Result<bool, Code> {
        match self.ask(&Order::Decide { id, digest, verdict, reason })? {
            Reply::Decided { settled, .. } => Ok(settled),
            other => Err(unexpected(&other)),
        }
    }

    /// All credentials, without any value.
    ///
    /// # Errors
    /// [`Code::ApproverOnly`].
    pub fn credentials(&mut self) -> Result<Vec<Held>, Code> {
        let mut all: Vec<Held> = Vec::new();
        loop {
            let after = all.last().map(|last| last.name.clone());
            let (list, more) = match self.ask(&Order::Credentials { after: after.clone() })? {
                Reply::Credentials { list, more } => (list.into_vec(), more),
                other => return Err(unexpected(&other)),
            };
            let leads = list.iter().all(|next| Some(&next.name) > after.as_ref());
            if !leads || (more && list.is_empty()) || all.len() > MAX_LISTED {
                return Err(Code::Protocol);
            }
            all.extend(list);
            if !more {
                return Ok(all);
            }
        }
    }

    /// The credentials that agents ask for.
    ///
    /// # Errors
    /// [`Code::ApproverOnly`].
    pub fn requests(&mut self) -> Result<Vec<o::Request>, Code> {
        match self.ask(&Order::Requests)? {
            Reply::Requests { list } => Ok(list.into_vec()),
            other => Err(unexpected(&other)),
        }
    }

    /// Enters a value.
    ///
    /// # Errors
    /// Why it was not.
    pub fn put(&mut self, name: CredentialName, value: &[u8], force: bool) -> Result<(), Code> {
        let size = u32::try_from(value.len()).map_err(|_| Code::BadValue)?;
        self.send(&Order::Put { name, size, force })?;
        for piece in value.chunks(MAX_PIECE) {
            let bytes = SecretBytes::new(piece.to_vec()).map_err(|_| Code::BadValue)?;
            self.send(&Order::Value { bytes })?;
        }
        match self.ask(&Order::Keep)? {
            Reply::Changed { .. } => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Forgets an agent's request for a credential.
    ///
    /// # Errors
    /// [`Code::UnknownCredential`]: there is no such request.
    pub fn dismiss(&mut self, request: u32) -> Result<(), Code> {
        self.done(&Order::Dismiss { request })
    }

    /// Ends all commands and the agent.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn kill_all(&mut self) -> Result<(), Code> {
        self.done(&Order::KillAll)
    }

    /// Waits until something has changed since `seen`, or for a while.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn news(&mut self, seen: u64) -> Result<u64, Code> {
        match self.ask(&Order::Await { seen })? {
            Reply::News { state } => Ok(state),
            other => Err(unexpected(&other)),
        }
    }

    fn done(&mut self, order: &Order) -> Result<(), Code> {
        match self.ask(order)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn ask(&mut self, order: &Order) -> Result<Reply, Code> {
        self.send(order)?;
        self.receive()
    }

    fn send(&self, order: &Order) -> Result<(), Code> {
        self.port.send(order).map_err(code)
    }

    fn receive(&mut self) -> Result<Reply, Code> {
        self.port.receive().map(|(reply, _)| reply).map_err(code)
    }
}

/// Whatever the kernel says, the broker is out of reach.
const fn code(lost: Lost) -> Code {
    match lost {
        Lost::Io(_) => Code::BrokerLost,
        other => other.code(),
    }
}

fn connect(state: &Path) -> Result<OwnedFd, Code> {
    packet::connect(&state.join("run/operator.sock")).map_err(|errno| match errno {
        Errno::EACCES => Code::NotOperator,
        _ => Code::NoSession,
    })
}

const fn unexpected(reply: &Reply) -> Code {
    match reply {
        Reply::Refused { code } => *code,
        _ => Code::Protocol,
    }
}
