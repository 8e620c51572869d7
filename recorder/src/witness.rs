//! A second place for checkpoints, out of the recorder's own folder: a file
//! or a stream that was opened before the recorder was locked down.
//!
//! Who can change the log later cannot change what was written there, and so
//! cannot take records away at its end. A checkpoint goes there only once all
//! that it covers is on the disk: a crash must not make the log contradict it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::sys::stat::{SFlag, fstat};
use nix::unistd::write;
use strongroom_sys::Errno;

/// A file is told this often at most; what it was not told, the next one covers.
const EVERY: Duration = Duration::from_secs(1);

/// The witness.
#[derive(Debug)]
pub struct Witness {
    sink: OwnedFd,
    /// A stream that people read is told of seals only: one a minute, not one
    /// a second.
    seals_only: bool,
    told: Option<Instant>,
}

impl Witness {
    /// Takes a descriptor over. One that is no file must not block.
    ///
    /// # Errors
    /// errno of fstat(2).
    pub fn new(sink: OwnedFd) -> Result<Self, Errno> {
        let kind = SFlag::from_bits_truncate(fstat(&sink)?.st_mode) & SFlag::S_IFMT;
        Ok(Self { sink, seals_only: kind != SFlag::S_IFREG, told: None })
    }

    /// Writes a checkpoint, as one line of JSON.
    ///
    /// # Errors
    /// errno of write(2). A stream that nobody reads is no error.
    pub fn tell(&mut self, note: &str, is_seal: bool) -> Result<(), Errno> {
        let soon = self.told.is_some_and(|told| told.elapsed() < EVERY);
        if !is_seal && (self.seals_only || soon) {
            return Ok(());
        }
        let line = strongroom_audit::note::witness_line(note);
        loop {
            match write(&self.sink, line.as_bytes()) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if self.seals_only => return Ok(()),
                Ok(taken) if taken == line.len() => break,
                // A disk that is full took a part of it.
                Ok(_) => return Err(Errno::ENOSPC),
                Err(errno) => return Err(errno),
            }
        }
        self.told = Some(Instant::now());
        Ok(())
    }
}
