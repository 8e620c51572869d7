//! A minimal agent-side client of channel A: what an agent's own library
//! would do, with nothing around it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use strongroom_client::{Error, Lost, Port};
use strongroom_protocol::channel::a::{Answer, FromAgent, Request, ToAgent};
use strongroom_protocol::plan;
use strongroom_protocol::types::{Arg, Argv, List};
use strongroom_sys::packet;

/// One connection.
pub struct Client {
    port: Port<ToAgent, FromAgent>,
    tag: u32,
}

/// Anything that goes wrong ends the bench.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

impl Client {
    /// Connects and says hello.
    pub fn connect(path: &Path) -> Result<Self> {
        let mut client = Self { port: Port::new(packet::connect(path)?), tag: 0 };
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
        self.port.send(request).map_err(lost)
    }

    fn receive(&mut self) -> Result<(Answer, Vec<OwnedFd>)> {
        self.port.receive().map_err(lost)
    }
}

fn lost(lost: Lost) -> Box<dyn std::error::Error> {
    Error::from(lost).into()
}
