//! The log file and its chain: what is appended names the hash of what stands
//! before it, and only whole lines count.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::sys::uio::pread;
use nix::unistd::{fdatasync, fsync, ftruncate, geteuid, write};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use strongroom_protocol::text::hex;
use strongroom_sys::Errno;

use crate::clock;
use crate::json::Object;
use crate::record::{Event, Writer};

/// The file's name in the recorder's folder.
pub const FILE: &str = "audit.jsonl";

/// Version of the lines.
pub const VERSION: u16 = 1;

/// Bytes of the longest line, with room to spare: a record comes in a packet
/// of 64 KiB, and one byte becomes at most seven.
const MAX_LINE: u64 = 1024 * 1024;

/// The log, open for appending. Its lock goes with it.
#[derive(Debug)]
pub struct Log {
    file: Flock<OwnedFd>,
    session: String,
    length: u64,
    seq: u64,
    prev: [u8; 32],
    pending: Vec<u8>,
}

/// Why a log cannot be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// A system call failed.
    Errno(Errno),
    /// Another recorder has it open.
    Busy,
    /// Not a plain file of ours alone: a link, shared, or open to others.
    NotOurs,
    /// The last whole line is not a record. A crash does not do that.
    Damaged,
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Errno(e) => write!(f, "the audit log cannot be opened: {e}"),
            Self::Busy => f.write_str("the audit log is in use by another recorder"),
            Self::NotOurs => f.write_str(
                "the audit log is not a plain file that belongs to the recorder alone: \
                 a link, a second name, another owner, or writable by others",
            ),
            Self::Damaged => f.write_str(
                "the audit log's last line is not a record; a crash does not leave that. \
                 Move the file away and look into it",
            ),
        }
    }
}

impl From<Errno> for Unusable {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl Log {
    /// Opens the log in `folder`, or begins one, and continues its chain. A
    /// torn last line (a crash in the middle of a write, a power cut) is taken
    /// off, and a record says so.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn open(folder: BorrowedFd<'_>, session: [u8; 16]) -> Result<Self, Unusable> {
        let flags = OFlag::O_RDWR
            | OFlag::O_APPEND
            | OFlag::O_CREAT
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_CLOEXEC;
        let file = match openat(folder, FILE, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Err(Errno::ELOOP) => return Err(Unusable::NotOurs),
            file => file?,
        };
        let stat = fstat(&file)?;
        if !is_ours(&stat) {
            return Err(Unusable::NotOurs);
        }
        let file =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| match e {
                Errno::EWOULDBLOCK => Unusable::Busy,
                e => Unusable::Errno(e),
            })?;
        // Only now: another recorder could have been writing.
        let length = u64::try_from(fstat(&*file)?.st_size).map_err(|_| Unusable::Damaged)?;
        if length == 0 {
            // The new name itself must survive a crash.
            fsync(openat(folder, ".", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?)?;
        }
        let tail = Tail::read(&file, length)?;
        let mut log = Self {
            file,
            session: hex(&session),
            length: length - tail.torn,
            seq: tail.seq,
            prev: tail.hash,
            pending: Vec::new(),
        };
        if tail.torn > 0 {
            log.cut(log.length)?;
            log.add(Writer::Recorder, &Event::recovery(tail.torn));
            log.write()?;
            log.sync()?;
        }
        Ok(log)
    }

    /// Adds one record to what the next [`write`](Self::write) writes.
    pub fn add(&mut self, writer: Writer, event: &Event) {
        self.seq += 1;
        let mut line = Object::new();
        line.number("v", VERSION)
            .number("seq", self.seq)
            .text("time", &clock::wall())
            .number("mono_us", clock::monotonic_us())
            .text("session", &self.session)
            .text("writer", writer.as_str())
            .text("event", event.name)
            .append(&event.fields)
            .text("prev", &hex(&self.prev));
        let line = line.whole();
        self.prev = Sha256::digest(line.as_bytes()).into();
        self.pending.extend_from_slice(line.as_bytes());
        self.pending.push(b'\n');
    }

    /// Something waits to be written.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes what was added: in one write(2), unless the kernel takes less.
    ///
    /// # Errors
    /// errno of write(2), `EIO` when it takes nothing. What was written of the
    /// lot is taken off again, as far as that is possible; the log is of no
    /// further use.
    pub fn write(&mut self) -> Result<(), Errno> {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while !rest.is_empty() {
            match write(&*self.file, rest) {
                Ok(n) if n > 0 => rest = rest.get(n..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                failed => {
                    // If this fails too, the next start finds a torn line.
                    let _ = self.cut(self.length);
                    return Err(failed.err().unwrap_or(Errno::EIO));
                }
            }
        }
        self.length += pending.len() as u64;
        Ok(())
    }

    /// Waits until all that was written is on the disk.
    ///
    /// # Errors
    /// errno of fdatasync(2): what was written may be lost.
    pub fn sync(&self) -> Result<(), Errno> {
        fdatasync(&*self.file)
    }

    fn cut(&self, length: u64) -> Result<(), Errno> {
        ftruncate(self.file.as_fd(), i64::try_from(length).map_err(|_| Errno::EFBIG)?)
    }
}

fn is_ours(stat: &FileStat) -> bool {
    let plain = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
    let closed = stat.st_mode & (Mode::S_IWGRP | Mode::S_IWOTH).bits() == 0;
    plain && closed && stat.st_nlink == 1 && stat.st_uid == geteuid().as_raw()
}

/// Where a log ends.
struct Tail {
    seq: u64,
    hash: [u8; 32],
    torn: u64,
}

impl Tail {
    fn read(file: &OwnedFd, length: u64) -> Result<Self, Unusable> {
        // Two lines of the greatest length: the last whole one, and a torn one.
        let from = length.saturating_sub(2 * MAX_LINE);
        let bytes = read_from(file, from, length)?;
        let Some(end) = bytes.iter().rposition(|b| *b == b'\n') else {
            return if from == 0 { Ok(Self::first(length)) } else { Err(Unusable::Damaged) };
        };
        let (whole, torn) = bytes.split_at(end);
        let start = match whole.iter().rposition(|b| *b == b'\n') {
            Some(newline) => newline + 1,
            None if from == 0 => 0,
            None => return Err(Unusable::Damaged),
        };
        let line = whole.get(start..).unwrap_or_default();
        let seq = sequence(line).ok_or(Unusable::Damaged)?;
        // The newline is not torn.
        Ok(Self { seq, hash: Sha256::digest(line).into(), torn: torn.len() as u64 - 1 })
    }

    /// No whole line: the chain begins.
    fn first(torn: u64) -> Self {
        Self { seq: 0, hash: [0; 32], torn }
    }
}

fn sequence(line: &[u8]) -> Option<u64> {
    let line: Value = serde_json::from_slice(line).ok()?;
    (line.get("v")? == VERSION).then_some(())?;
    line.get("seq")?.as_u64()
}

fn read_from(file: &OwnedFd, from: u64, to: u64) -> Result<Vec<u8>, Unusable> {
    let length = usize::try_from(to - from).map_err(|_| Unusable::Damaged)?;
    let mut bytes = vec![0; length];
    let mut at = 0;
    while let Some(rest) = bytes.get_mut(at..).filter(|rest| !rest.is_empty()) {
        let offset = i64::try_from(from + at as u64).map_err(|_| Unusable::Damaged)?;
        match pread(file, rest, offset) {
            Ok(0) => return Err(Unusable::Errno(Errno::EIO)),
            Ok(n) => at += n,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(bytes)
}
