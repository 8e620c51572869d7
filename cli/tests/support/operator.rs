//! A broker that an operator talks to: it does as a test tells it.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::socket::{Shutdown, shutdown};
use strongroom_protocol::channel::Gate;
use strongroom_protocol::channel::o::{FromOperator, Order, Reply, TOKEN};
use strongroom_protocol::codec;
use strongroom_protocol::limits::MAX_PACKET;
use strongroom_protocol::plan::VERSION;
use strongroom_protocol::types::Name;
use strongroom_sys::packet;

/// A state folder with a broker's socket in it.
pub struct Operated {
    listener: OwnedFd,
    folder: tempfile::TempDir,
}

impl Operated {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["run", "broker", "broker/approvers"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("broker/operator.token"), [7; TOKEN]).unwrap();
        std::fs::write(folder.path().join("broker/approvers/alice.token"), [9; TOKEN]).unwrap();
        let listener = packet::listen(&folder.path().join("run/operator.sock")).unwrap();
        Self { listener, folder }
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// A verb, told where the state is.
    pub fn verb(&self, args: &[&str]) -> Command {
        verb(&self.state(), args)
    }

    /// Takes a connection, if one is there.
    pub fn accept(&self) -> Option<OwnedFd> {
        packet::accept(self.listener.as_fd()).ok()
    }

    /// Takes the connection, welcomes it, and answers each order as `reply`
    /// says until the client goes. Gives the orders.
    pub fn serve(&self, reply: impl Fn(&Order) -> Option<Reply>) -> Vec<Order> {
        serve(&patiently(|| self.accept()), |_, order| reply(order))
    }
}

/// Welcomes whoever it is, and answers each order as `reply` says, which is
/// told the name, until the client goes. Gives the orders.
pub fn serve(socket: &OwnedFd, reply: impl Fn(&str, &Order) -> Option<Reply>) -> Vec<Order> {
    let mut gate: Gate<FromOperator> = Gate::new();
    let mut buffer = vec![0; MAX_PACKET + 1];
    let mut orders = Vec::new();
    let mut name = "";
    loop {
        let got = loop {
            match packet::receive(socket.as_fd(), &mut buffer) {
                Ok(got) => break got.len,
                Err(nix::errno::Errno::EAGAIN) => std::thread::sleep(Duration::from_millis(2)),
                Err(_) => break 0,
            }
        };
        if got == 0 {
            return orders;
        }
        let order = gate.admit(&buffer[..got], 0, 0).unwrap_or_else(|violation| {
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
            panic!("{violation}")
        });
        let answer = match &order {
            Order::Hello { version: VERSION, token } => {
                name = match token {
                    [7, ..] => "operator",
                    [9, ..] => "alice",
                    other => panic!("{other:?}"),
                };
                Some(Reply::Welcome { version: VERSION, name: Name::new(name).unwrap() })
            }
            other => reply(name, other),
        };
        if let Some(answer) = answer {
            let packet = codec::encode(&answer).unwrap();
            if packet::send(socket.as_fd(), &packet, &[]).is_err() {
                return orders;
            }
        }
        orders.push(order);
    }
}

/// A verb for a state folder.
pub fn verb(state: &Path, args: &[&str]) -> Command {
    let mut command = super::strongroom();
    command.args(args).arg("--state").arg(state);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command
}

/// Tries until there is something.
pub fn patiently<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(got) = attempt() {
            return got;
        }
        assert!(Instant::now() < deadline, "nothing came");
        std::thread::sleep(Duration::from_millis(2));
    }
}
