//! A broker that does as a test tells it, and the client under test.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

pub mod install;
pub mod operator;
pub mod pty;
pub mod waiting;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use strongroom_protocol::channel::a::{Answer, FromAgent, Outcome, Report, Request, Usage};
use strongroom_protocol::channel::{Direction, Gate};
use strongroom_protocol::codec;
use strongroom_protocol::limits::MAX_PACKET;
use strongroom_protocol::plan::VERSION;
use strongroom_protocol::receipt::Tier;
use strongroom_protocol::types::{List, ReqId};
use strongroom_sys::{fd, packet};

/// The number of the one command.
pub const ID: ReqId = ReqId(42);

/// The program under test, with nothing of ours in its environment.
pub fn strongroom() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

/// A listening socket in a folder of its own.
pub struct Broker {
    listener: OwnedFd,
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Broker {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        Self { listener: packet::listen(&path).unwrap(), path, _folder: folder }
    }

    /// `strongroom exec` with these arguments, told where we are.
    pub fn exec(&self, args: &[&str]) -> Command {
        let mut command = self.verb("exec");
        command.args(args);
        command
    }

    /// A verb of the agent's side, told where we are.
    pub fn verb(&self, verb: &str) -> Command {
        let mut command = strongroom();
        command.arg(verb).env("STRONGROOM_SOCKET", &self.path);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Takes the client's connection.
    pub fn accept(&self) -> Peer {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match packet::accept(self.listener.as_fd()) {
                Ok(socket) => return Peer::new(socket),
                Err(_) => assert!(Instant::now() < deadline, "nobody came"),
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The broker's end of one connection.
pub struct Peer {
    pub socket: OwnedFd,
    gate: Gate<FromAgent>,
}

/// The broker's ends of a command's streams.
pub struct Streams {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

impl Peer {
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, gate: Gate::new() }
    }

    /// The next message; `None` at the end.
    pub fn next(&mut self) -> Option<Request> {
        let mut buffer = vec![0; MAX_PACKET + 1];
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match packet::receive(self.socket.as_fd(), &mut buffer) {
                Ok(got) if got.len == 0 => return None,
                Ok(got) => {
                    assert!(!got.truncated);
                    return Some(self.gate.admit(&buffer[..got.len], got.fds.len(), 0).unwrap());
                }
                Err(nix::errno::Errno::EAGAIN) => {
                    assert!(Instant::now() < deadline, "nothing came")
                }
                Err(_) => return None,
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn send(&self, answer: &Answer, fds: &[OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        packet::send(self.socket.as_fd(), &codec::encode(answer).unwrap(), &fds).unwrap();
    }

    pub fn send_raw(&self, bytes: &[u8]) {
        packet::send(self.socket.as_fd(), bytes, &[]).unwrap();
    }

    /// Takes hello and the request, and welcomes.
    pub fn greet(&mut self) -> Request {
        assert_eq!(self.next(), Some(Request::Hello { version: VERSION }));
        self.send(&Answer::Welcome { version: VERSION, tier: Tier::Rootless }, &[]);
        self.next().unwrap()
    }

    /// Greets and starts the command.
    pub fn start(&mut self) -> (Request, Streams) {
        let request = self.greet();
        (request, self.begin())
    }

    /// Starts the command of the one request.
    pub fn begin(&self) -> Streams {
        let (stdin, their_stdin) = fd::pipe().unwrap();
        let (their_stdout, stdout) = fd::pipe().unwrap();
        let (their_stderr, stderr) = fd::pipe().unwrap();
        self.send(&Answer::Started { tag: 1, id: ID }, &[their_stdin, their_stdout, their_stderr]);
        Streams { stdin, stdout, stderr }
    }

    pub fn end(&self, outcome: Outcome) {
        self.send(&Answer::Exited { id: ID, report: Box::new(report(outcome)) }, &[]);
    }
}

pub fn report(outcome: Outcome) -> Report {
    Report {
        outcome,
        usage: Usage::default(),
        stdout_bytes: 0,
        stderr_bytes: 0,
        output_cut: false,
        protected: List::empty(),
        masked: 0,
        withheld: false,
        receipt: None,
    }
}

/// The tag of a message, for raw packets.
pub fn tag<D: Direction>(message: &D::Message) -> u32 {
    D::tag(message)
}

/// What a program said on standard output.
pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a program said on standard error.
pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
