//! The program's arguments. `strongroom inbox` has read them for people
//! already and hands them over in one form, so there is no help here.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;

use strongroom_protocol::types::Name;

use crate::broker::Seat;
use crate::deliver::{Receiving, Url};
use crate::serve::Listen;

/// What is to be done.
#[derive(Debug)]
pub enum Options {
    /// Make a key for webhooks in this file.
    NewKey(PathBuf),
    /// Serve.
    Serve(Box<Serve>),
}

/// How to serve.
#[derive(Debug)]
pub struct Serve {
    /// Where the session is, and who we are in it.
    pub seat: Seat,
    /// Where to listen.
    pub listen: Listen,
    /// Where webhooks go, and the file of their key.
    pub webhook: Option<(Receiving, PathBuf)>,
}

impl Options {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut given = Given::default();
        let mut args = args;
        while let Some(name) = args.next() {
            let name = name.to_str().ok_or("an argument is not text")?.to_owned();
            let value = args.next().ok_or_else(|| format!("{name} lacks its value"))?;
            given.take(&name, value)?;
        }
        given.options()
    }
}

#[derive(Default)]
struct Given {
    state: Option<PathBuf>,
    approver: Option<Name>,
    listen: Option<Listen>,
    to: Option<Receiving>,
    key: Option<PathBuf>,
    new_key: Option<PathBuf>,
}

impl Given {
    fn take(&mut self, name: &str, value: OsString) -> Result<(), String> {
        let twice = match name {
            "--state" => self.state.replace(value.into()).is_some(),
            "--as" => self.approver.replace(name_of(&value)?).is_some(),
            "--listen" => self.listen.replace(Listen::At(address(&value)?)).is_some(),
            "--unix" => self.listen.replace(Listen::Socket(value.into())).is_some(),
            "--webhook" => {
                let url = Url::parse(text(&value)?).map_err(|why| format!("--webhook: {why}"))?;
                self.to.replace(Receiving::Url(url)).is_some()
            }
            "--notify" => self.to.replace(Receiving::Program(value.into())).is_some(),
            "--webhook-key" => self.key.replace(value.into()).is_some(),
            "--new-webhook-key" => self.new_key.replace(value.into()).is_some(),
            _ => return Err("an argument that is not known".to_owned()),
        };
        if twice { Err(format!("{name} does not go with what came before it")) } else { Ok(()) }
    }

    fn options(self) -> Result<Options, String> {
        if let Some(path) = self.new_key {
            return Ok(Options::NewKey(path));
        }
        let webhook = match (self.to, self.key) {
            (Some(to), Some(key)) => Some((to, key)),
            (None, None) => None,
            (Some(_), None) => return Err("webhooks are signed: give --webhook-key".to_owned()),
            (None, Some(_)) => return Err("--webhook-key without --webhook or --notify".to_owned()),
        };
        Ok(Options::Serve(Box::new(Serve {
            seat: Seat { state: self.state.ok_or("--state is missing")?, approver: self.approver },
            listen: self.listen.unwrap_or(Listen::OwnAddress),
            webhook,
        })))
    }
}

fn text(value: &OsStr) -> Result<&str, String> {
    value.to_str().ok_or_else(|| "an argument is not text".to_owned())
}

fn name_of(value: &OsStr) -> Result<Name, String> {
    Name::new(text(value)?).map_err(|_| "--as: not the name of an approver".to_owned())
}

fn address(value: &OsStr) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text(value)?.parse().map_err(|_| "--listen: give ADDRESS:PORT".to_owned())?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err("--listen: only an address of loopback; to reach the inbox from elsewhere, forward a port"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, String> {
        Options::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn arguments() {
        let Ok(Options::Serve(serve)) = parse(&["--state", "/s"]) else { panic!() };
        assert_eq!((serve.listen, serve.webhook.is_none()), (Listen::OwnAddress, true));
        let Ok(Options::Serve(serve)) = parse(&[
            "--state",
            "/s",
            "--as",
            "alice",
            "--listen",
            "127.0.0.1:0",
            "--notify",
            "/bin/true",
            "--webhook-key",
            "/k",
        ]) else {
            panic!()
        };
        assert_eq!(serve.seat.approver.unwrap().as_str(), "alice");
        assert_eq!(serve.listen, Listen::At("127.0.0.1:0".parse().unwrap()));
        assert_eq!(serve.webhook.unwrap().0, Receiving::Program("/bin/true".into()));
        assert!(matches!(parse(&["--new-webhook-key", "/k"]), Ok(Options::NewKey(_))));
    }

    #[test]
    fn what_is_refused() {
        for args in [
            &[][..],
            &["--state"],
            &["--state", "/s", "--state", "/t"],
            &["--state", "/s", "--listen", "0.0.0.0:80"],
            &["--state", "/s", "--listen", "192.168.0.1:80"],
            &["--state", "/s", "--listen", "[::]:80"],
            &["--state", "/s", "--listen", "localhost:80"],
            &["--state", "/s", "--listen", "127.0.0.1:0", "--unix", "/u"],
            &["--state", "/s", "--as", "../x"],
            &["--state", "/s", "--webhook", "http://127.0.0.1/"],
            &["--state", "/s", "--webhook", "https://example.org/", "--webhook-key", "/k"],
            &["--state", "/s", "--webhook-key", "/k"],
            &["--state", "/s", "--what", "x"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }
}
