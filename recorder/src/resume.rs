//! From the files as they were found to a log that can go on.
//!
//! The key file says where the log stood at the last seal. What stands after
//! that must be lines of the chain, and then perhaps the rest of a line that a
//! crash has torn. Everything else is refused and left as it is.

use strongroom_audit::chain::{Chain, State, Why};
use strongroom_audit::keyfile::{self, KeyFile};
use strongroom_audit::line::{Line, MAX_LINE, hex};
use strongroom_audit::note::SignKey;
use strongroom_audit::segment::{Name, OPEN};
use strongroom_sys::{Errno, random};

use crate::disk::{Disk, How, Unusable};
use crate::log::{Log, Settings, new_key, save_key};
use crate::pack::{Packer, UNFINISHED, append, read_at};
use crate::record::{Event, Writer};

/// The log's name begins with this.
const ORIGIN: &str = "strongroom-audit/";

/// Bytes read at once.
const CHUNK: usize = 1024 * 1024;

impl<D: Disk> Log<D> {
    /// Opens the log in a folder, or begins one, and continues its chain. A
    /// torn last line (a crash in the middle of a write, a power cut) is taken
    /// off, and a record says so. What the last recorder left unsealed is
    /// sealed first.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn open(disk: D, settings: Settings) -> Result<Self, Unusable> {
        let found = Found::look(&disk)?;
        let (known, key) = match known(&disk)? {
            Some(known) => known,
            None if found.is_log => return Err(Unusable::NoKey),
            None => begin(&disk)?,
        };
        if known.seal.is_none() {
            save_first(&disk, &known)?;
        }
        let session = settings.session.clone();
        let chain = Chain::new(known.state.clone(), key, &session);
        let mut log = found.at(disk, settings, chain, &known)?;
        let tail = log.adopt_tail()?;
        if log.length == 0 {
            log.head();
        }
        // From here on the clocks are another boot's.
        let opened = Event::opened(&log.settings.boot);
        log.add(Writer::Recorder, &opened);
        if tail.torn > 0 || tail.unsigned > 0 {
            log.add(Writer::Recorder, &Event::recovery(tail.torn, tail.unsigned));
        }
        if tail.lines > 0 {
            log.seal(Why::Start)?;
        }
        log.settle()?;
        Ok(log)
    }

    /// Takes the lines over that stand after the last seal, and cuts off what
    /// is torn.
    fn adopt_tail(&mut self) -> Result<Tail, Unusable> {
        let mut tail = Tail::default();
        let mut buffer = Vec::new();
        let mut at = self.length;
        loop {
            let held = buffer.len();
            buffer.resize(held + CHUNK, 0);
            let rest = buffer.get_mut(held..).unwrap_or_default();
            let read = read_at(&self.disk, &self.file, at, rest)?;
            at += read as u64;
            buffer.truncate(held + read);
            let mut taken = 0;
            while let Some(line) = next_line(buffer.get(taken..).unwrap_or_default()) {
                // Blocks that were never written are zeros. No line has one.
                if line.contains(&0) {
                    break;
                }
                self.adopt(line, &mut tail)?;
                taken += line.len() + 1;
                self.length += line.len() as u64 + 1;
            }
            buffer.drain(..taken);
            let is_torn = next_line(&buffer).is_some();
            if read < CHUNK || is_torn {
                break;
            }
            if buffer.len() > MAX_LINE && !buffer.contains(&0) {
                return Err(Unusable::Damaged);
            }
        }
        if buffer.len() > MAX_LINE && !buffer.contains(&0) {
            return Err(Unusable::Damaged);
        }
        tail.torn = self.disk.length(&self.file)?.saturating_sub(self.length);
        if tail.torn > 0 {
            self.disk.cut(&self.file, self.length)?;
        }
        Ok(tail)
    }

    fn adopt(&mut self, bytes: &[u8], tail: &mut Tail) -> Result<(), Unusable> {
        let line = Line::parse(bytes).map_err(|_| Unusable::Damaged)?;
        let State { tree, prev, .. } = self.chain.state();
        let follows = line.seq == tree.size() + 1 && line.prev == *prev;
        let heads = (line.event == "segment") == (self.length == 0);
        // The seal of this epoch would be in the key file.
        if !follows || !heads || line.event == "seal" {
            return Err(Unusable::Damaged);
        }
        self.chain.adopt(line.leaf.hash(), line.is_checkpoint());
        if line.note().is_some_and(|note| !self.chain.vouches_for(&note)) {
            return Err(Unusable::Damaged);
        }
        tail.lines += 1;
        tail.unsigned = if line.is_checkpoint() { 0 } else { tail.unsigned + 1 };
        Ok(())
    }
}

/// What stood after the last seal.
#[derive(Debug, Default)]
struct Tail {
    lines: u64,
    unsigned: u64,
    torn: u64,
}

fn next_line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    bytes.get(..end)
}

/// The key file, if there is one.
fn known<D: Disk>(disk: &D) -> Result<Option<(KeyFile, SignKey)>, Unusable> {
    let file = match disk.open(keyfile::FILE, How::Existing) {
        Err(Unusable::Errno(Errno::ENOENT)) => return Ok(None),
        file => file?,
    };
    let mut bytes = zeroize::Zeroizing::new(vec![0; keyfile::MAX]);
    let length = read_at(disk, &file, 0, &mut bytes)?;
    let text = std::str::from_utf8(bytes.get(..length).unwrap_or_default());
    let (known, mut seed) = text.ok().and_then(KeyFile::parse).ok_or(Unusable::Damaged)?;
    let key = SignKey::new(known.key.name(), &mut seed);
    if key.public() == &known.key { Ok(Some((known, key))) } else { Err(Unusable::Damaged) }
}

/// A log that has nothing yet: its name and its first key.
fn begin<D: Disk>(disk: &D) -> Result<(KeyFile, SignKey), Unusable> {
    let mut name = [0; 16];
    random::fill(&mut name)?;
    let key = new_key(&format!("{ORIGIN}{}", hex(&name)))?;
    let state = State::default();
    save_key(disk, &key, &state, (1, 0), None)?;
    let known = KeyFile { key: key.public().clone(), state, segment: 1, end: 0, seal: None };
    Ok((known, key))
}

/// The first public key, for those who verify.
fn save_first<D: Disk>(disk: &D, known: &KeyFile) -> Result<(), Unusable> {
    let file = disk.open(keyfile::FIRST, How::Empty)?;
    append(disk, &file, format!("{}\n", known.key).as_bytes())?;
    disk.sync(&file)?;
    Ok(disk.sync_folder()?)
}

/// The folder's files.
struct Found {
    is_log: bool,
    has_open: bool,
    plain: Vec<u32>,
    packed: Vec<u32>,
}

impl Found {
    /// Looks, and removes what a crash has left unfinished.
    fn look<D: Disk>(disk: &D) -> Result<Self, Unusable> {
        let mut found =
            Self { is_log: false, has_open: false, plain: Vec::new(), packed: Vec::new() };
        for name in disk.names()? {
            let unfinished = name.strip_suffix(UNFINISHED);
            if unfinished.is_some_and(|n| n == keyfile::FILE || Name::parse(n).is_some()) {
                disk.remove(&name)?;
            }
            match Name::parse(&name) {
                Some(Name::Open) => found.has_open = true,
                Some(Name::Closed { number, packed: true }) => found.packed.push(number),
                Some(Name::Closed { number, packed: false }) => found.plain.push(number),
                None => continue,
            }
            found.is_log = true;
        }
        found.plain.sort_unstable();
        for number in found.plain.extract_if(.., |number| found.packed.contains(number)) {
            // It was compressed, and a crash came before it was removed.
            disk.remove(&Name::Closed { number, packed: false }.to_string())?;
        }
        Ok(found)
    }

    /// Brings the files to where the key file says they were, and opens the log
    /// there.
    fn at<D: Disk>(
        self,
        disk: D,
        settings: Settings,
        chain: Chain,
        known: &KeyFile,
    ) -> Result<Log<D>, Unusable> {
        let is_closed = |number| self.plain.contains(&number) || self.packed.contains(&number);
        let begun = known.seal.is_some();
        let rotated = known.ends_segment() && is_closed(known.segment);
        // Files from the future: an older key file was put back.
        let last = self.plain.iter().chain(&self.packed).max().copied().unwrap_or(0);
        let closed = if rotated { known.segment } else { known.segment - 1 };
        if last > closed || (begun && !rotated && !self.has_open) {
            return Err(Unusable::Damaged);
        }
        let waiting = self.plain.iter().copied();
        let packer = Packer::new(waiting);
        let file = disk.open(OPEN, How::OrNew)?;
        if !self.has_open {
            // The new name itself must survive a crash.
            disk.sync_folder()?;
        }
        if rotated || !begun {
            let segment = closed + 1;
            return Ok(Log::at(disk, settings, chain, file, (segment, 0), packer));
        }
        restore_seal(&disk, &file, known)?;
        let place = (known.segment, known.end);
        let mut log = Log::at(disk, settings, chain, file, place, packer);
        if known.ends_segment() {
            if log.disk.length(&log.file)? != known.end {
                return Err(Unusable::Damaged);
            }
            log.disk.sync(&log.file)?;
            log.next_file()?;
        }
        Ok(log)
    }
}

/// Sees to it that the seal of the key file stands where it says.
fn restore_seal<D: Disk>(disk: &D, file: &D::File, known: &KeyFile) -> Result<(), Unusable> {
    let line = known.seal.as_deref().unwrap_or_default();
    let whole = format!("{line}\n");
    let from = known.end.checked_sub(whole.len() as u64).ok_or(Unusable::Damaged)?;
    if disk.length(file)? < from {
        return Err(Unusable::Damaged);
    }
    let mut there = vec![0; whole.len()];
    let read = read_at(disk, file, from, &mut there)?;
    there.truncate(read);
    if there == whole.as_bytes() {
        return Ok(());
    }
    let same = there.iter().zip(whole.as_bytes()).take_while(|(a, b)| a == b).count();
    let rest = there.get(same..).unwrap_or_default();
    // Torn, or blocks that were never written.
    if !rest.is_empty() && !rest.contains(&0) {
        return Err(Unusable::Damaged);
    }
    disk.cut(file, from)?;
    append(disk, file, whole.as_bytes())?;
    Ok(disk.sync(file)?)
}
