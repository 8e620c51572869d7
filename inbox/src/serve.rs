//! The listening socket, and the limits of each connection.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;
use strongroom_sys::random;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::guard::Hosts;
use crate::log::say;

/// Connections at once.
const MAX_CONNECTIONS: usize = 32;

/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// How long everything may take.
const ALL_TIME: Duration = Duration::from_secs(60);

/// Bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// Headers of a request.
const MAX_HEADERS: usize = 64;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// At an address of loopback.
    At(SocketAddr),
    /// At an address of loopback that is nobody else's.
    OwnAddress,
    /// At a Unix socket.
    Socket(PathBuf),
}

/// A socket that listens.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix.
    Unix(UnixListener),
}

impl Listen {
    /// Listens. Gives the names under which requests may come, and what to
    /// tell the human.
    ///
    /// # Errors
    /// Of the calls.
    pub fn open(&self) -> io::Result<(Listener, Hosts, String)> {
        let address = match self {
            Self::Socket(path) => {
                let listener = UnixListener::from_std(unix(path)?)?;
                let words = strongroom_protocol::text::visible(
                    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()),
                );
                return Ok((Listener::Unix(listener), Hosts::Forwarded, format!("unix:{words}")));
            }
            Self::At(address) => *address,
            Self::OwnAddress => own_address()?,
        };
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        Ok((Listener::Tcp(listener), Hosts::of(address), format!("http://{address}/")))
    }
}

/// An address of 127/8 by chance. Browsers keep cookies by host and not by
/// port (RFC 6265, section 8.5), so at 127.0.0.1 everything else that serves
/// pages there would be sent the inbox's cookie: an agent's own web server,
/// for one, once the human looks at it.
fn own_address() -> io::Result<SocketAddr> {
    let mut bytes = [0; 3];
    random::fill(&mut bytes)?;
    let [a, b, c] = bytes;
    // Not 127.0.x.y, which others use, and no address that ends with 0 or 255.
    let ip = Ipv4Addr::new(127, a.clamp(1, 254), b, c.clamp(1, 254));
    Ok(SocketAddr::from((ip, 0)))
}

fn unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    // What an earlier inbox left, and nothing else.
    if fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err()
    {
        fs::remove_file(path)?;
    }
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = std::os::unix::net::UnixListener::bind(path);
    umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves for ever.
pub async fn serve(app: Arc<App>, listener: Listener) -> ! {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = match &listener {
            Listener::Tcp(listener) => {
                listener.accept().await.map(|(stream, _)| Stream::Tcp(stream))
            }
            Listener::Unix(listener) => {
                listener.accept().await.map(|(stream, _)| Stream::Unix(stream))
            }
        };
        let Ok(stream) = accepted else {
            // Out of descriptors, most likely.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            say("refused a connection: there are as many as may be");
            continue;
        };
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            match stream {
                Stream::Tcp(stream) => connection(app, stream).await,
                Stream::Unix(stream) if ours(&stream) => connection(app, stream).await,
                Stream::Unix(_) => say("refused a connection: another user's"),
            }
            drop(place);
        });
    }
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

/// Whoever connects is who started this inbox, or root.
fn ours(stream: &tokio::net::UnixStream) -> bool {
    let uid = stream.peer_cred().map(|peer| peer.uid());
    uid.is_ok_and(|uid| uid == 0 || uid == geteuid().as_raw())
}

/// One connection, one request: what follows a request's end is nobody's.
async fn connection<S: AsyncRead + AsyncWrite + Unpin>(app: Arc<App>, stream: S) {
    let service = service_fn(|request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, std::convert::Infallible>(app.handle(request).await) }
    });
    let serving = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(ALL_TIME, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) if e.is_parse() => say("refused a request: it cannot be read as HTTP/1.1"),
        Ok(Err(e)) if e.is_timeout() => say("refused a request: its head came too slowly"),
        // The browser has gone.
        Ok(Err(_)) => {}
        Err(_) => say("ended a connection: it took too long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..64 {
            let SocketAddr::V4(address) = own_address().unwrap() else { panic!() };
            let [first, second, _, last] = address.ip().octets();
            assert_eq!((first, address.port()), (127, 0));
            assert!((1..255).contains(&second) && (1..255).contains(&last));
            seen.insert(address);
        }
        assert!(seen.len() > 60);
    }

    #[test]
    fn only_a_dead_socket_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = unix(&path).unwrap();
        assert!(unix(&path).is_err(), "somebody listens");
        drop(first);
        drop(unix(&path).unwrap());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(unix(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }
}
