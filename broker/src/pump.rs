//! Output on its way from a command to its client. It passes through the
//! broker because the broker counts it, ends it at the policy's limit, and is
//! the only one that can take values out of it.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use strongroom_sys::{Errno, fd};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::masks::Veil;
use crate::port::{errno, registered};
use crate::tally::Tally;

/// Bytes moved at once: what a pipe holds (pipe(7)).
pub const CHUNK: usize = 64 * 1024;

/// When nothing has come for so long, a few bytes that are held back go: who
/// waits for the end of a prompt gets it.
const IDLE: Duration = Duration::from_millis(100);

/// The end of a pipe that the command writes to.
#[derive(Debug)]
pub struct Source {
    pipe: RefCell<Option<Rc<AsyncFd<OwnedFd>>>>,
    read: Cell<u64>,
}

impl Source {
    /// Takes the read end over.
    ///
    /// # Errors
    /// errno of fcntl(2) or epoll_ctl(2).
    pub fn new(pipe: OwnedFd) -> Result<Self, Errno> {
        let pipe = Rc::new(registered(pipe)?);
        Ok(Self { pipe: RefCell::new(Some(pipe)), read: Cell::new(0) })
    }

    /// Bytes the command has written: those read, and those that wait.
    pub fn written(&self) -> u64 {
        let waiting = self
            .pipe
            .borrow()
            .as_ref()
            .map_or(0, |pipe| fd::waiting(pipe.get_ref().as_fd()).unwrap_or(0));
        self.read.get().saturating_add(waiting)
    }

    /// Fills `chunk`; `None` at the end: when all writers are gone, or when
    /// the command is over and nothing waits. A descriptor that something
    /// kept open (attacks.md P08) holds nobody up.
    async fn chunk(&self, chunk: &mut Vec<u8>, over: &mut watch::Receiver<bool>) -> Option<()> {
        let pipe = self.pipe.borrow().clone()?;
        // Values in it must not stay while the next bytes are waited for.
        chunk.fill(0);
        chunk.resize(CHUNK, 0);
        loop {
            let ended = *over.borrow_and_update();
            match nix::unistd::read(pipe.get_ref(), chunk) {
                Ok(0) => return None,
                Ok(n) => {
                    chunk.truncate(n);
                    self.read.set(self.read.get().saturating_add(n as u64));
                    return Some(());
                }
                Err(Errno::EAGAIN) if ended => return None,
                Err(Errno::EAGAIN) => {
                    tokio::select! {
                        ready = pipe.readable() => ready.ok()?.clear_ready(),
                        _ = over.changed() => {}
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// Gives the read end up: the command gets SIGPIPE when it writes.
    fn close(&self) {
        self.pipe.borrow_mut().take();
    }
}

/// Bytes a command may still send, both streams together.
#[derive(Debug)]
pub struct Allowance(Cell<u64>);

impl Allowance {
    /// The profile's limit; 0: none.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self(Cell::new(if limit == 0 { u64::MAX } else { limit }))
    }

    /// How many of `wanted` bytes may still pass.
    fn take(&self, wanted: usize) -> usize {
        let pass = self.0.get().min(wanted as u64);
        self.0.set(self.0.get() - pass);
        usize::try_from(pass).unwrap_or(wanted)
    }
}

/// Moves one stream until its end. After the limit it goes on reading, so that
/// the command goes on running; when the client has closed its end, the
/// command's is closed too. `over` says that the command is over. Counts what
/// the client's pipe has taken.
pub async fn run(
    source: &Source,
    sink: OwnedFd,
    allowance: &Allowance,
    mut over: watch::Receiver<bool>,
    veil: &mut Veil<'_>,
    tally: &Tally,
) {
    let Ok(sink) = registered(sink) else {
        return source.close();
    };
    let masks = veil.masks();
    let mut sink = Some(sink);
    let mut chunk = Zeroizing::new(Vec::new());
    let mut waited = false;
    loop {
        let next = source.chunk(&mut chunk, &mut over);
        let next = if veil.holds() && !waited { timeout(IDLE, next).await } else { Ok(next.await) };
        waited = next.is_err();
        let bytes = match &next {
            Ok(Some(())) => chunk.as_slice(),
            Ok(None) => break,
            Err(_) => &[],
        };
        let pass = bytes.get(..allowance.take(bytes.len())).unwrap_or_default();
        let clean = if waited { veil.idle() } else { veil.pass(pass) };
        if masks.too_many() {
            sink = None;
        }
        if let Some(open) = &sink
            && write_all(open, clean, tally).await.is_err()
        {
            return source.close();
        }
        // What is held back where the output is cut stays back: it could be
        // the beginning of a value.
        if pass.len() < bytes.len() {
            sink = None;
        }
        // A firehose is always ready: let the others have their turn.
        tokio::task::yield_now().await;
    }
    if let Some(open) = &sink
        && write_all(open, veil.finish(), tally).await.is_err()
    {
        source.close();
    }
}

/// Writes all of it, and counts what was written.
///
/// # Errors
/// errno of write(2) or epoll_ctl(2).
pub async fn write_all(
    sink: &AsyncFd<OwnedFd>,
    mut bytes: &[u8],
    tally: &Tally,
) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match nix::unistd::write(sink.get_ref(), bytes) {
            Ok(n) => {
                let (written, rest) = bytes.split_at_checked(n).unwrap_or((bytes, &[]));
                tally.add(written);
                bytes = rest;
            }
            Err(Errno::EAGAIN) => {
                let mut ready = sink.writable().await.map_err(errno)?;
                ready.clear_ready();
            }
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
