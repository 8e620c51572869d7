//! Closed segments are compressed when there is nothing else to do, a member
//! at a time, so that no record waits for it longer than that takes (2 ms).

use std::collections::VecDeque;

use strongroom_audit::line::MAX_LINE;
use strongroom_audit::segment::{MEMBER, Name, member_length, pack};
use strongroom_sys::Errno;

use crate::disk::{Disk, How, Unusable};

/// Ending of a file that is being made.
pub const UNFINISHED: &str = ".new";

/// Closed segments that are not compressed yet.
#[derive(Debug)]
pub struct Packer<F> {
    waiting: VecDeque<u32>,
    work: Option<Work<F>>,
}

/// The one that is being compressed.
#[derive(Debug)]
struct Work<F> {
    number: u32,
    from: F,
    at: u64,
    into: F,
}

impl<F> Packer<F> {
    /// With these to do.
    #[must_use]
    pub fn new(waiting: impl IntoIterator<Item = u32>) -> Self {
        Self { waiting: waiting.into_iter().collect(), work: None }
    }

    /// One more was closed.
    pub fn add(&mut self, number: u32) {
        self.waiting.push_back(number);
    }

    /// Nothing is left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.work.is_none()
    }

    /// Does a small piece of the work.
    ///
    /// # Errors
    /// What failed; nothing more will be compressed until the next start. The
    /// log itself has lost nothing.
    pub fn step<D: Disk<File = F>>(&mut self, disk: &D) -> Result<(), Unusable> {
        let done = self.try_step(disk);
        if done.is_err() {
            self.waiting.clear();
            self.work = None;
        }
        done
    }

    fn try_step<D: Disk<File = F>>(&mut self, disk: &D) -> Result<(), Unusable> {
        let Some(work) = &mut self.work else {
            if let Some(number) = self.waiting.pop_front() {
                let plain = Name::Closed { number, packed: false }.to_string();
                let from = disk.open(&plain, How::Existing)?;
                let into = disk.open(&unfinished(number), How::Empty)?;
                self.work = Some(Work { number, from, at: 0, into });
            }
            return Ok(());
        };
        let lines = read(disk, work)?;
        if !lines.is_empty() {
            let member = pack(&lines).ok_or(Unusable::Damaged)?;
            work.at += lines.len() as u64;
            return append(disk, &work.into, &member).map_err(Unusable::Errno);
        }
        if work.at != disk.length(&work.from)? {
            return Err(Unusable::Damaged);
        }
        disk.sync(&work.into)?;
        let number = work.number;
        disk.rename(&unfinished(number), &Name::Closed { number, packed: true }.to_string())?;
        disk.sync_folder()?;
        disk.remove(&Name::Closed { number, packed: false }.to_string())?;
        self.work = None;
        Ok(())
    }
}

fn unfinished(number: u32) -> String {
    format!("{}{UNFINISHED}", Name::Closed { number, packed: true })
}

/// The lines of the next member.
fn read<D: Disk>(disk: &D, work: &Work<D::File>) -> Result<Vec<u8>, Errno> {
    let mut lines = vec![0; MEMBER];
    let read = read_at(disk, &work.from, work.at, &mut lines)?;
    lines.truncate(read);
    if member_length(&lines) == 0 && !lines.is_empty() {
        lines.resize(MAX_LINE + 1, 0);
        let read = read_at(disk, &work.from, work.at, &mut lines)?;
        lines.truncate(read);
    }
    lines.truncate(member_length(&lines));
    Ok(lines)
}

/// Fills the buffer as far as the file goes.
pub fn read_at<D: Disk>(
    disk: &D,
    file: &D::File,
    offset: u64,
    into: &mut [u8],
) -> Result<usize, Errno> {
    let mut at = 0;
    while let Some(rest) = into.get_mut(at..).filter(|rest| !rest.is_empty()) {
        match disk.read(file, offset + at as u64, rest) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(at)
}

/// Appends all of it, however little the kernel takes at a time.
pub fn append<D: Disk>(disk: &D, file: &D::File, bytes: &[u8]) -> Result<(), Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match disk.append(file, rest) {
            Ok(0) => return Err(Errno::EIO),
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
