//! A minimal agent-side client of channel A: what an agent's own library
//! would do, with nothing around it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use strongroom_protocol::channel::Gate;
use strongroom_protocol::channel::a::{Answer, Request, ToAgent};
use strongroom_protocol::limits::MAX_PACKET;
use strongroom_protocol::types::{Arg, Argv, List};
use strongroom_protocol::{codec, plan};
use strongroom_sys::packet;

/// One connection.
pub struct Client {
    socket: OwnedFd,
    gate: Gate<ToAgent>,
    tag: u32,
    buffer: Vec<u8>,
}

/// Anything that goes wrong ends the bench.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

impl Client {
    /// Connects and says hello.
    pub fn connect(path: &Path) -> Result<Self> {
        let mut client = Self {
            socket: packet::connect(path)?,
            gate: Gate::new(),
            tag: 0,
            buffer: vec![0; MAX_PACKET],
        };
        client.send(&Request::Hello { version: plan::VERSION })?;
        match client.receive()? {
            (Answer::Welcome { .. }, _) => Ok(client),
            other => Err(format!("no welcome: {other:?}").into()),
        }
    }

    /// Runs one command to its end; returns its output.
    pub fn run(&mut self, argv: &[&str]) -> Result<Vec<u8>> {
        self.stream(argv, |mut stdout| {
            let mut output = Vec::new();
            stdout.read_to_end(&mut output)?;
            Ok(output)
        })
    }

    /// Runs one command to its end; what `read` makes of its output.
    pub fn stream<T>(&mut self, argv: &[&str], read: impl FnOnce(File) -> Result<T>) -> Result<T> {
        self.tag += 1;
        let args = argv.iter().map(|a| Arg::new(*a)).collect::<std::result::Result<_, _>>()?;
        self.send(&Request::Exec {
            tag: self.tag,
            argv: Argv::new(args)?,
            cwd: None,
            rule: None,
            timeout_ms: None,
            credentials: List::empty(),
            reason: None,
            patience_ms: None,
        })?;
        let (started, fds) = self.receive()?;
        let (Answer::Started { .. }, Ok([stdin, stdout, stderr])) =
            (&started, <[OwnedFd; 3]>::try_from(fds))
        else {
            return Err(format!("not started: {started:?}").into());
        };
        drop(stdin);
        let result = read(stdout.into())?;
        std::io::copy(&mut File::from(stderr), &mut std::io::sink())?;
        match self.receive()? {
            (Answer::Exited { .. }, _) => Ok(result),
            other => Err(format!("not exited: {other:?}").into()),
        }
    }

    fn send(&self, request: &Request) -> Result<()> {
        Ok(packet::send(self.socket.as_fd(), &codec::encode(request)?, &[])?)
    }

    fn receive(&mut self) -> Result<(Answer, Vec<OwnedFd>)> {
        let packet = packet::receive(self.socket.as_fd(), &mut self.buffer)?;
        let frame = self.buffer.get(..packet.len).unwrap_or_default();
        Ok((self.gate.admit(frame, packet.fds.len(), 0)?, packet.fds))
    }
}
