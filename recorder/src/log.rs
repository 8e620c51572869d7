//! The log as it grows: lines, checkpoints, seals, files. What is written when,
//! and what must be on the disk before what.

use std::time::{Duration, Instant};

use strongroom_audit::chain::{Chain, Stamp, State, Why};
use strongroom_audit::keyfile::{self, KeyFile};
use strongroom_audit::note::SignKey;
use strongroom_audit::segment::{Name, OPEN};
use strongroom_sys::{Errno, random};

use crate::clock::Now;
use crate::complain;
use crate::disk::{Disk, How, Unusable};
use crate::pack::{Packer, UNFINISHED, append};
use crate::record::{Event, Writer};

/// The wall clock may move this far before a line says so, in microseconds.
const DRIFT: u64 = strongroom_audit::time::DRIFT_US;

/// When a checkpoint is made, an epoch ends, a file is full.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Lines up to and with a checkpoint.
    pub checkpoint: u64,
    /// Lines up to a seal.
    pub epoch_lines: u64,
    /// Time up to a seal.
    pub epoch: Duration,
    /// Bytes of a file.
    pub segment: u64,
}

impl Default for Limits {
    /// Who takes the recorder over can change what is not sealed, a minute's
    /// lines at most. A seal costs four waits for the disk.
    fn default() -> Self {
        Self {
            checkpoint: 256,
            epoch_lines: 65_536,
            epoch: Duration::from_secs(60),
            segment: 64 * 1024 * 1024,
        }
    }
}

/// What a log is opened with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The session's name, in hexadecimal.
    pub session: String,
    /// The name of the machine's boot.
    pub boot: String,
    /// See there.
    pub limits: Limits,
    /// Reads the clocks.
    pub clock: fn() -> Now,
}

/// The log, open for appending.
#[derive(Debug)]
pub struct Log<D: Disk> {
    pub(crate) disk: D,
    pub(crate) settings: Settings,
    pub(crate) chain: Chain,
    pub(crate) file: D::File,
    pub(crate) segment: u32,
    /// Of the file, as far as it is whole.
    pub(crate) length: u64,
    pub(crate) packer: Packer<D::File>,
    /// Lines that are not written yet.
    pending: Vec<u8>,
    /// By how much the wall clock was ahead when a line last said so.
    ahead: i64,
    /// When the first line was added that is not sealed.
    epoch_began: Option<Instant>,
    /// When the first line was written that is not on the disk.
    unsynced: Option<Instant>,
    /// A note that the witness does not have.
    untold: Option<(String, bool)>,
    /// The witness takes no more, and no line says so yet.
    lost_witness: Option<Errno>,
}

impl<D: Disk> Log<D> {
    /// A log that stands there.
    pub(crate) fn at(
        disk: D,
        settings: Settings,
        chain: Chain,
        file: D::File,
        (segment, length): (u32, u64),
        packer: Packer<D::File>,
    ) -> Self {
        let ahead = (settings.clock)().ahead();
        Self {
            disk,
            settings,
            chain,
            file,
            segment,
            length,
            packer,
            pending: Vec::new(),
            ahead,
            epoch_began: None,
            unsynced: None,
            untold: None,
            lost_witness: None,
        }
    }

    /// Adds one record to what the next [`write`](Self::write) writes, and a
    /// checkpoint where it is time for one.
    pub fn add(&mut self, writer: Writer, event: &Event) {
        if let Some(errno) = self.lost_witness.take() {
            self.add(Writer::Recorder, &Event::witness_lost(errno));
        }
        let now = (self.settings.clock)();
        let step = now.ahead().wrapping_sub(self.ahead);
        if step.unsigned_abs() > DRIFT {
            self.ahead = now.ahead();
            self.push(now, Writer::Recorder, &Event::clock(step));
        }
        self.push(now, writer, event);
    }

    fn push(&mut self, now: Now, writer: Writer, event: &Event) {
        let at = Stamp { time: &now.time(), mono_us: now.mono_us };
        let line = self.chain.line(at, writer.as_str(), event.name, event.fields.fields());
        self.queue(&line);
        if self.chain.uncovered() + 1 >= self.settings.limits.checkpoint {
            self.sign();
        }
    }

    /// Adds a checkpoint, unless the last line is one.
    pub fn sign(&mut self) {
        if self.chain.uncovered() > 0 {
            let now = (self.settings.clock)();
            let at = Stamp { time: &now.time(), mono_us: now.mono_us };
            let (line, note) = self.chain.checkpoint(at);
            self.queue(&line);
            self.untold = Some((note, false));
        }
    }

    /// Adds a file's first line.
    pub(crate) fn head(&mut self) {
        let now = (self.settings.clock)();
        let at = Stamp { time: &now.time(), mono_us: now.mono_us };
        let line = self.chain.head(at, self.segment);
        self.queue(&line);
    }

    fn queue(&mut self, line: &str) {
        self.pending.extend_from_slice(line.as_bytes());
        self.pending.push(b'\n');
        self.epoch_began.get_or_insert_with(Instant::now);
    }

    /// Writes what was added: in one write(2), unless the kernel takes less.
    ///
    /// # Errors
    /// errno of write(2), `EIO` when it takes nothing. What was written of the
    /// lot is taken off again, as far as that is possible; the log is of no
    /// further use.
    pub fn write(&mut self) -> Result<(), Errno> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        if let Err(errno) = append(&self.disk, &self.file, &pending) {
            // If this fails too, the next start finds a torn line.
            let _ = self.disk.cut(&self.file, self.length);
            return Err(errno);
        }
        self.length += pending.len() as u64;
        self.unsynced.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Waits until all that was written is on the disk; then the witness may
    /// hear of it.
    ///
    /// # Errors
    /// errno of fdatasync(2): what was written may be lost.
    pub fn sync(&mut self) -> Result<(), Errno> {
        if self.unsynced.take().is_some() {
            self.disk.sync(&self.file)?;
        }
        self.tell_witness();
        Ok(())
    }

    fn tell_witness(&mut self) {
        let Some((note, is_seal)) = self.untold.take() else {
            return;
        };
        if let Err(errno) = self.disk.witness(&note, is_seal) {
            complain(format_args!("the audit log's witness: {errno}; it will not be told again"));
            // Not now: the next line may have to be a file's first.
            self.lost_witness = Some(errno);
        }
    }

    /// Signs what there is, and waits until it is on the disk.
    ///
    /// # Errors
    /// As [`write`](Self::write) and [`sync`](Self::sync).
    pub fn settle(&mut self) -> Result<(), Errno> {
        self.sign();
        self.write()?;
        self.sync()
    }

    /// When [`settle`](Self::settle) is due, if it is: a time after the first
    /// line, or at once where a checkpoint was made.
    #[must_use]
    pub fn settle_due(&self, every: Duration) -> Option<Instant> {
        let since = self.unsynced?;
        Some(if self.untold.is_some() { since } else { since + every })
    }

    /// When [`maintain`](Self::maintain) has something to do next.
    #[must_use]
    pub fn maintain_due(&self) -> Option<Instant> {
        let Limits { epoch_lines, epoch, segment, .. } = self.settings.limits;
        let began = self.epoch_began?;
        let full = self.length >= segment || self.chain.unsealed() >= epoch_lines;
        Some(if full { began } else { began + epoch })
    }

    /// Ends the epoch where it has lasted long enough, and the file where it
    /// is full.
    ///
    /// # Errors
    /// errno of the disk; the log is of no further use.
    pub fn maintain(&mut self) -> Result<(), Errno> {
        let Limits { epoch_lines, epoch, segment, .. } = self.settings.limits;
        if self.length >= segment {
            return self.rotate();
        }
        if self.chain.unsealed() >= epoch_lines {
            return self.seal(Why::Size);
        }
        let over = self.epoch_began.is_some_and(|began| began.elapsed() >= epoch);
        if over { self.seal(Why::Time) } else { Ok(()) }
    }

    /// Compresses a piece of a closed file. True while there is more to do.
    pub fn pack(&mut self) -> bool {
        if let Err(error) = self.packer.step(&self.disk) {
            complain(format_args!("closed files of the audit log stay uncompressed: {error}"));
        }
        !self.packer.is_done()
    }

    /// Compressing waits to be done.
    #[must_use]
    pub fn has_to_pack(&self) -> bool {
        !self.packer.is_done()
    }

    /// Ends the log for this session: sealed to its last byte.
    ///
    /// # Errors
    /// errno of the disk.
    pub fn close(mut self) -> Result<(), Errno> {
        self.seal(Why::End)?;
        self.sync()
    }

    /// Ends the epoch. In this order: the lines so far are on the disk; the
    /// next key and the seal's line are, in the key file; the old key is gone;
    /// the seal is written.
    pub(crate) fn seal(&mut self, why: Why) -> Result<(), Errno> {
        self.write()?;
        self.sync()?;
        let next = new_key(self.chain.key().public().name())?;
        let now = (self.settings.clock)();
        let at = Stamp { time: &now.time(), mono_us: now.mono_us };
        let seal = self.chain.seal(at, why, &next);
        let (line, note) = (seal.line.clone(), seal.note.clone());
        let end = self.length + line.len() as u64 + 1;
        save_key(&self.disk, &next, &seal.state, (self.segment, end), Some(&line))?;
        self.chain.commit(seal, next);
        self.queue(&line);
        self.epoch_began = None;
        self.untold = Some((note, true));
        self.write()
    }

    /// Closes the file and begins the next.
    pub(crate) fn rotate(&mut self) -> Result<(), Errno> {
        self.seal(Why::Segment)?;
        self.sync()?;
        self.next_file().map_err(|error| match error {
            Unusable::Errno(errno) => errno,
            _ => Errno::EIO,
        })
    }

    /// The open file becomes a closed one, and a new one is begun. Its name is
    /// on the disk before its lines are.
    pub(crate) fn next_file(&mut self) -> Result<(), Unusable> {
        let number = self.segment;
        self.disk.rename(OPEN, &Name::Closed { number, packed: false }.to_string())?;
        self.file = self.disk.open(OPEN, How::Empty)?;
        self.disk.sync_folder()?;
        self.packer.add(number);
        self.segment += 1;
        self.length = 0;
        self.head();
        self.write()?;
        Ok(self.sync()?)
    }
}

/// A key that nobody has.
pub(crate) fn new_key(name: &str) -> Result<SignKey, Errno> {
    let mut seed = [0; 32];
    random::fill(&mut seed)?;
    Ok(SignKey::new(name, &mut seed))
}

/// Puts the key file in the place of the one before, which is erased.
pub(crate) fn save_key<D: Disk>(
    disk: &D,
    key: &SignKey,
    state: &State,
    (segment, end): (u32, u64),
    seal: Option<&str>,
) -> Result<(), Errno> {
    let new = format!("{}{UNFINISHED}", keyfile::FILE);
    let public = KeyFile {
        key: key.public().clone(),
        state: state.clone(),
        segment,
        end,
        seal: seal.map(str::to_owned),
    };
    let plain = |error| match error {
        Unusable::Errno(errno) => errno,
        _ => Errno::EIO,
    };
    let old = match disk.open(keyfile::FILE, How::Existing) {
        Err(Unusable::Errno(Errno::ENOENT)) => None,
        old => Some(old.map_err(plain)?),
    };
    let file = disk.open(&new, How::Empty).map_err(plain)?;
    append(disk, &file, public.with_secret(key.seed()).as_bytes())?;
    disk.sync(&file)?;
    disk.rename(&new, keyfile::FILE)?;
    disk.sync_folder()?;
    old.map_or(Ok(()), |old| disk.erase(&old))
}
