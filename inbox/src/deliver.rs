//! Delivers messages: to a receiver on loopback, or to a program. There is no
//! TLS here. It would bring more code than the rest of the inbox has, and a
//! root store to keep; whoever wants to reach another machine has a program
//! that can, and gets it started with the message (`--notify`).

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;

use crate::log::say;
use crate::time::now;
use crate::webhook::{Event, Key, Message};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);

/// How long after each failed attempt the next one comes.
const AGAIN: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
];

/// How often a program that was started is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A receiver on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    uri: Uri,
    host: String,
    address: SocketAddr,
}

impl Url {
    /// Reads one.
    ///
    /// # Errors
    /// Why it is none that is delivered to.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_| "not a URL".to_owned())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(
                    "the inbox speaks no TLS: give --notify a program that sends it on, or \
                            a receiver on loopback"
                        .to_owned(),
                );
            }
            _ => return Err("not a URL that begins with http://".to_owned()),
        }
        let authority = uri.authority().ok_or("no host in it")?;
        if authority.as_str().contains('@') {
            return Err("a password in it has no use here".to_owned());
        }
        let name = authority.host();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let ip = match bare {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            "::1" => IpAddr::V6(Ipv6Addr::LOCALHOST),
            other => other.parse().map_err(|_| "not an address of loopback".to_owned())?,
        };
        if !ip.is_loopback() {
            return Err("not an address of loopback".to_owned());
        }
        let address = SocketAddr::new(ip, authority.port_u16().unwrap_or(80));
        let host = authority.as_str().to_owned();
        Ok(Self { uri, host, address })
    }
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiving {
    /// To a receiver on loopback.
    Url(Url),
    /// To the standard input of a program.
    Program(PathBuf),
}

/// How an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Went {
    Well,
    /// The receiver wants no more of them, ever.
    Gone,
    Wrong(&'static str),
}

/// Delivers what comes, one after the other.
pub async fn deliver(mut events: Receiver<Event>, to: Receiving, key: Key) {
    while let Some(event) = events.recv().await {
        let Ok(message) = Message::new(&event) else {
            say("a webhook is left out: no randomness");
            continue;
        };
        let mut pauses = AGAIN.iter();
        loop {
            match attempt(&to, &message, &key).await {
                Went::Well => break,
                Went::Gone => {
                    return say("the receiver wants no more webhooks (410): none is sent");
                }
                Went::Wrong(why) => match pauses.next() {
                    Some(pause) => {
                        say(&format!(
                            "a webhook did not arrive: {why}; again in {} s",
                            pause.as_secs()
                        ));
                        tokio::time::sleep(*pause).await;
                    }
                    None => {
                        say(&format!("a webhook did not arrive: {why}; given up"));
                        break;
                    }
                },
            }
        }
    }
}

async fn attempt(to: &Receiving, message: &Message, key: &Key) -> Went {
    let timestamp = now();
    let signature = message.signature(key, timestamp);
    let sending = async {
        match to {
            Receiving::Url(url) => post(url, message, timestamp, &signature).await,
            Receiving::Program(path) => start(path, message, timestamp, &signature).await,
        }
    };
    tokio::time::timeout(ATTEMPT, sending).await.unwrap_or(Went::Wrong("it took over 10 s"))
}

async fn post(url: &Url, message: &Message, timestamp: u64, signature: &str) -> Went {
    let path = url.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::post(path)
        .header(HOST, url.host.as_str())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "strongroom-inbox")
        .header("webhook-id", message.id.as_str())
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
        .body(Full::new(Bytes::from(message.payload.clone())));
    let Ok(request) = request else { return Went::Wrong("its head cannot be written") };
    let Ok(stream) = TcpStream::connect(url.address).await else {
        return Went::Wrong("nobody listens there");
    };
    let Ok((mut sender, connection)) = http1::handshake(TokioIo::new(stream)).await else {
        return Went::Wrong("the connection was lost");
    };
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    // What it says besides its status is not looked at, however long it is.
    connection.abort();
    match answer.map(|answer| answer.status()) {
        Ok(status) if status.is_success() => Went::Well,
        Ok(StatusCode::GONE) => Went::Gone,
        Ok(_) => Went::Wrong("the receiver said no"),
        Err(_) => Went::Wrong("the connection was lost"),
    }
}

/// A program that is ended with whoever started it.
struct Started(std::process::Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start(path: &PathBuf, message: &Message, timestamp: u64, signature: &str) -> Went {
    let mut command = Command::new(path);
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::null());
    command.envs(["PATH", "HOME"].iter().filter_map(|n| Some((n, std::env::var_os(n)?))));
    command
        .env("WEBHOOK_ID", &message.id)
        .env("WEBHOOK_TIMESTAMP", timestamp.to_string())
        .env("WEBHOOK_SIGNATURE", signature);
    let Ok(child) = command.spawn() else { return Went::Wrong("the program cannot be started") };
    let mut child = Started(child);
    if let Some(mut stdin) = child.0.stdin.take() {
        // A pipe takes so little at once. A program that does not read it says
        // by its status whether all is well.
        let _ = stdin.write_all(message.payload.as_bytes());
    }
    let since = Instant::now();
    while since.elapsed() < ATTEMPT {
        match child.0.try_wait() {
            Ok(Some(status)) if status.success() => return Went::Well,
            Ok(Some(_)) => return Went::Wrong("the program failed"),
            Ok(None) => tokio::time::sleep(LOOK).await,
            Err(_) => break,
        }
    }
    Went::Wrong("the program took over 10 s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers() {
        for (text, address) in [
            ("http://127.0.0.1:8080/hook?x=1", "127.0.0.1:8080"),
            ("http://127.9.8.7/", "127.9.8.7:80"),
            ("http://localhost:9", "127.0.0.1:9"),
            ("http://[::1]:9/", "[::1]:9"),
        ] {
            assert_eq!(Url::parse(text).unwrap().address.to_string(), address);
        }
        for text in [
            "",
            "127.0.0.1:80",
            "https://127.0.0.1/",
            "http://example.org/",
            "http://192.168.0.1/",
            "http://localhost.evil.example/",
            "http://127.0.0.1.evil.example/",
            "http://user:pass@127.0.0.1/",
            "http://0.0.0.0/",
            "ftp://127.0.0.1/",
            "/hook",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
