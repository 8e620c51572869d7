//! Output on its way from a command to its client. It passes through the
//! broker because the broker counts it, ends it at the policy's limit, and is
//! the only one that can take values out of it.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use strongroom_sys::{Errno, fd};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::timeout;
use zeroize::optimization_barrier;

use crate::masks::Veil;
use crate::port::{errno, registered};
use crate::tally::Tally;

/// Bytes moved at once: what a pipe holds (pipe(7)).
const CHUNK: usize = 64 * 1024;

/// Bytes moved at first: most commands say little, and room is wiped when they
/// end.
const FIRST: usize = 4 * 1024;

/// Bytes moved at once, and held by the pipes, when there is no end of them: who
/// has much to say and who listens take turns less often. An ordinary user's
/// pipe may hold four times as much (pipe(7), /proc/sys/fs/pipe-max-size).
const WIDE: i32 = 256 * 1024;

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
    async fn fill(&self, chunk: &mut Chunk, over: &mut watch::Receiver<bool>) -> Option<()> {
        let pipe = self.pipe.borrow().clone()?;
        loop {
            let ended = *over.borrow_and_update();
            match chunk.read(pipe.get_ref()) {
                Ok(0) => return None,
                Ok(n) => {
                    self.read.set(self.read.get().saturating_add(n as u64));
                    return Some(());
                }
                Err(Errno::EAGAIN) if ended => return None,
                Err(Errno::EAGAIN) => {
                    // Values must not stay while the next bytes are waited for.
                    chunk.wipe();
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

    /// Lets the pipe hold more.
    fn widen(&self) {
        if let Some(pipe) = &*self.pipe.borrow() {
            widen(pipe);
        }
    }

    /// Gives the read end up: the command gets SIGPIPE when it writes.
    fn close(&self) {
        self.pipe.borrow_mut().take();
    }
}

/// What was read last, wiped when it has been passed on. It may hold somebody's
/// secret.
pub(crate) struct Chunk {
    room: Vec<u8>,
    filled: usize,
}

impl Chunk {
    pub(crate) fn new() -> Self {
        Self { room: vec![0; FIRST], filled: 0 }
    }

    /// Reads once, in place of what was read before; 0 at the end.
    ///
    /// # Errors
    /// errno of read(2). Nothing has changed then: who waits wipes first.
    pub(crate) fn read(&mut self, from: &OwnedFd) -> Result<usize, Errno> {
        let filled = nix::unistd::read(from, &mut self.room)?;
        // What these bytes have not overwritten.
        self.wipe_from(filled);
        self.filled = filled;
        Ok(filled)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.room.get(..self.filled).unwrap_or_default()
    }

    /// All at once: zeroize's own way writes each byte on its own, which takes
    /// longer than to move them.
    pub(crate) fn wipe(&mut self) {
        self.wipe_from(0);
        self.filled = 0;
    }

    fn wipe_from(&mut self, start: usize) {
        if let Some(old) = self.room.get_mut(start..self.filled) {
            old.fill(0);
            optimization_barrier(old);
        }
    }

    /// More room, if there was too little. Whether it is now the most.
    pub(crate) fn grow(&mut self) -> bool {
        let room = match self.room.len() {
            full if self.filled < full => return false,
            FIRST => CHUNK,
            CHUNK => WIDE as usize,
            _ => return false,
        };
        self.wipe();
        self.room = vec![0; room];
        room > CHUNK
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Lets a pipe hold more. If the user has too many that do, it stays as it is.
pub(crate) fn widen(pipe: &AsyncFd<OwnedFd>) {
    let _ = fcntl(pipe.get_ref(), FcntlArg::F_SETPIPE_SZ(WIDE));
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
    let mut chunk = Chunk::new();
    let mut waited = false;
    loop {
        let next = source.fill(&mut chunk, &mut over);
        let next = if veil.holds() && !waited { timeout(IDLE, next).await } else { Ok(next.await) };
        waited = next.is_err();
        let bytes = match &next {
            Ok(Some(())) => chunk.bytes(),
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
        if chunk.grow() {
            source.widen();
            sink.iter().for_each(widen);
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
