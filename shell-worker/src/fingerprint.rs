//! SHA-256 of the program that a command is, for the record. The file is
//! opened before the command is launched and read while it runs, piece by
//! piece between other work, so that nobody waits for it.
//!
//! It is evidence, not a guard: who may write the file can have changed it in
//! the instant between. What humans decide on is kept as they saw it
//! ([`crate::examine`]).

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::openat;
use nix::sys::stat::{FileStat, Mode, fstat};
use nix::sys::uio::pread;
use sha2::{Digest as _, Sha256};
use strongroom_protocol::channel::w::{Known, Stamp};
use strongroom_sys::Errno;

use crate::examine::{MAX_PROGRAM, READ};

/// Bytes read at once: less than a millisecond's work.
const BLOCK: usize = 256 * 1024;

/// After the command's end its outcome waits so long for what is left.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file that was changed so recently can be changed again without looking
/// any different: the kernel's clock for files is a coarse one.
const SETTLED: Duration = Duration::from_secs(2);

/// The program of one command.
pub enum Fingerprint {
    /// It is known.
    Known {
        /// Its digest.
        digest: [u8; 32],
        /// What the file looked like.
        stamp: Option<Stamp>,
    },
    /// It is being read.
    Reading(Box<Reading>),
    /// It cannot be.
    None,
}

/// A file that is being read.
pub struct Reading {
    file: OwnedFd,
    stamp: Stamp,
    settled: bool,
    hash: Sha256,
    at: u64,
    block: Vec<u8>,
}

/// Opens a candidate for execution, to read it if it is the one.
pub fn open(cwd: BorrowedFd<'_>, candidate: &CString) -> Option<OwnedFd> {
    openat(cwd, candidate.as_c_str(), READ, Mode::empty()).ok()
}

impl Fingerprint {
    /// Of this file, which somebody may have read before.
    pub fn of(file: OwnedFd, known: Option<Known>) -> Self {
        let Ok(stat) = fstat(&file) else { return Self::None };
        let stamp = stamp(&stat);
        if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
            return Self::None;
        }
        if let Some(known) = known.filter(|known| known.stamp == stamp) {
            return Self::Known { digest: known.digest, stamp: Some(stamp) };
        }
        if stamp.size > MAX_PROGRAM {
            return Self::None;
        }
        Self::Reading(Box::new(Reading {
            file,
            stamp,
            settled: is_settled(&stamp),
            hash: Sha256::new(),
            at: 0,
            block: vec![0; BLOCK],
        }))
    }

    /// There is more to read.
    pub fn is_reading(&self) -> bool {
        matches!(self, Self::Reading(_))
    }

    /// Reads the next block.
    pub fn advance(&mut self) {
        let Self::Reading(reading) = self else { return };
        if let Some(done) = reading.advance() {
            *self = done;
        }
    }

    /// Reads what is left, as long as somebody wants to know and has patience.
    pub fn finish(mut self, alive: impl Fn() -> bool) -> (Option<[u8; 32]>, Option<Stamp>) {
        let until = Instant::now() + PATIENCE;
        while self.is_reading() && alive() && Instant::now() < until {
            self.advance();
        }
        match self {
            Self::Known { digest, stamp } => (Some(digest), stamp),
            Self::Reading(_) | Self::None => (None, None),
        }
    }
}

impl Reading {
    /// Reads one block; what came of it all, at the end.
    fn advance(&mut self) -> Option<Fingerprint> {
        let offset = i64::try_from(self.at).unwrap_or(i64::MAX);
        match pread(self.file.as_fd(), &mut self.block, offset) {
            Err(Errno::EINTR) => None,
            Err(_) => Some(Fingerprint::None),
            Ok(0) => Some(self.end()),
            Ok(got) => {
                self.hash.update(self.block.get(..got).unwrap_or_default());
                self.at += got as u64;
                (self.at > self.stamp.size).then_some(Fingerprint::None)
            }
        }
    }

    /// A file that was changed meanwhile is neither what it was nor what it is.
    fn end(&mut self) -> Fingerprint {
        let now = fstat(&self.file).map(|stat| stamp(&stat));
        if self.at != self.stamp.size || now != Ok(self.stamp) {
            return Fingerprint::None;
        }
        let digest = self.hash.finalize_reset().into();
        Fingerprint::Known { digest, stamp: self.settled.then_some(self.stamp) }
    }
}

fn stamp(stat: &FileStat) -> Stamp {
    let nanoseconds =
        |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
    Stamp {
        dev: stat.st_dev,
        ino: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
        ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
    }
}

fn is_settled(stamp: &Stamp) -> bool {
    let changed = Duration::from_nanos(u64::try_from(stamp.ctime_ns).unwrap_or(u64::MAX));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.checked_sub(changed).is_some_and(|age| age > SETTLED)
}
