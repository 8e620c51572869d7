//! A log's files, and their lines. A hostile file costs no more memory than a
//! line may have.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::keyfile::{self, KeyFile};
use crate::line::MAX_LINE;
use crate::note::VerifyKey;
use crate::segment::{HEAD, Head, Name, unpack};
use crate::words::newline;

/// Bytes read at once: as many as stay in a processor's own cache.
const CHUNK: usize = 256 * 1024;

/// Where a segment's bytes are.
#[derive(Debug, Clone)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// In memory.
    Bytes(Arc<[u8]>),
}

/// One segment.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Its file's name.
    pub name: Name,
    /// Its bytes.
    pub source: Source,
}

/// What comes out of a segment, in its order.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A member of a compressed segment begins.
    Member(&'a Head),
    /// A line, without its newline.
    Line(&'a [u8]),
    /// More bytes than a line may have, without a newline.
    TooLong,
    /// A member that cannot be read.
    Unreadable,
    /// Bytes at the end without a newline.
    Torn(&'a [u8]),
}

/// A log's files, the oldest first, the open one last.
///
/// # Errors
/// Of reading the folder.
pub fn segments(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.extend(entry?.file_name().to_str().and_then(Name::parse));
    }
    names.sort_unstable();
    // Compressed and not yet removed: a crash leaves that.
    let packed = |name: &Name| match name {
        Name::Closed { number, .. } => Name::Closed { number: *number, packed: true },
        Name::Open => Name::Open,
    };
    names.dedup_by_key(|name| packed(name));
    let segment = |name: Name| {
        let whole = packed(&name);
        let name = if folder.join(whole.to_string()).exists() { whole } else { name };
        Segment { name, source: Source::File(folder.join(name.to_string())) }
    };
    Ok(names.into_iter().map(segment).collect())
}

/// What the key file says in public; `None` where there is none to be read.
#[must_use]
pub fn key_file(folder: &Path) -> Option<KeyFile> {
    let mut text = zeroize::Zeroizing::new(String::with_capacity(keyfile::MAX));
    let file = File::open(folder.join(keyfile::FILE)).ok()?;
    file.take(keyfile::MAX as u64).read_to_string(&mut text).ok()?;
    KeyFile::parse(&text).map(|(public, _)| public)
}

/// The first public key, as it lies in the folder.
#[must_use]
pub fn first_key(folder: &Path) -> Option<VerifyKey> {
    let mut text = String::new();
    let file = File::open(folder.join(keyfile::FIRST)).ok()?;
    file.take(keyfile::MAX as u64).read_to_string(&mut text).ok()?;
    VerifyKey::parse(text.trim())
}

impl Segment {
    /// Goes through it.
    ///
    /// # Errors
    /// Of reading the file.
    pub fn read(&self, each: &mut dyn FnMut(Piece<'_>)) -> io::Result<()> {
        let packed = matches!(self.name, Name::Closed { packed: true, .. });
        match &self.source {
            Source::File(path) if packed => members(File::open(path)?, each),
            Source::File(path) => lines(File::open(path)?, each),
            Source::Bytes(bytes) if packed => members(io::Cursor::new(bytes), each),
            Source::Bytes(bytes) => {
                whole_lines(bytes, each);
                Ok(())
            }
        }
    }

    /// Goes through the lines of which the member's header admits that they
    /// name this credential.
    ///
    /// # Errors
    /// Of reading the file.
    pub fn read_about(&self, credential: &str, each: &mut dyn FnMut(Piece<'_>)) -> io::Result<()> {
        match (&self.name, &self.source) {
            (Name::Closed { packed: true, .. }, Source::File(path)) => {
                let wanted = |head: &Head| {
                    head.credentials.as_ref().is_none_or(|names| names.contains(credential))
                };
                some_members(File::open(path)?, wanted, each)
            }
            _ => self.read(each),
        }
    }
}

fn lines(mut file: impl Read, each: &mut dyn FnMut(Piece<'_>)) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let read = more(&mut file, &mut buffer, CHUNK)?;
        let whole = buffer.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        whole_lines(buffer.get(..whole).unwrap_or_default(), each);
        buffer.drain(..whole);
        if buffer.len() > MAX_LINE {
            each(Piece::TooLong);
            return Ok(());
        }
        if read < CHUNK {
            if !buffer.is_empty() {
                each(Piece::Torn(&buffer));
            }
            return Ok(());
        }
    }
}

fn whole_lines(bytes: &[u8], each: &mut dyn FnMut(Piece<'_>)) {
    let mut rest = bytes;
    while let Some(end) = newline(rest) {
        let (line, after) = rest.split_at(end);
        if line.len() > MAX_LINE {
            return each(Piece::TooLong);
        }
        each(Piece::Line(line));
        rest = after.get(1..).unwrap_or_default();
    }
    if !rest.is_empty() {
        each(Piece::Torn(rest));
    }
}

fn members(file: impl Read + Seek, each: &mut dyn FnMut(Piece<'_>)) -> io::Result<()> {
    some_members(file, |_| true, each)
}

fn some_members(
    mut file: impl Read + Seek,
    wanted: impl Fn(&Head) -> bool,
    each: &mut dyn FnMut(Piece<'_>),
) -> io::Result<()> {
    let (mut bytes, mut lines) = (Vec::new(), Vec::new());
    loop {
        bytes.clear();
        let read = more(&mut file, &mut bytes, HEAD)?;
        if read == 0 {
            return Ok(());
        }
        let Some(names) = Head::names_length(&bytes) else {
            each(Piece::Unreadable);
            return Ok(());
        };
        more(&mut file, &mut bytes, names)?;
        let Some(head) = Head::parse(&bytes) else {
            each(Piece::Unreadable);
            return Ok(());
        };
        let body = head.packed as usize - bytes.len();
        if !wanted(&head) {
            file.seek(SeekFrom::Current(i64::try_from(body).unwrap_or(i64::MAX)))?;
            continue;
        }
        // Not more than deflate makes of the longest member.
        if body > 2 * MAX_LINE {
            each(Piece::Unreadable);
            return Ok(());
        }
        let read = more(&mut file, &mut bytes, body)?;
        if read < body || unpack(&bytes, &head, &mut lines).is_none() {
            each(Piece::Unreadable);
            return Ok(());
        }
        each(Piece::Member(&head));
        whole_lines(&lines, each);
    }
}

/// Reads so many more bytes, or as many as there are; says how many.
fn more(file: &mut impl Read, bytes: &mut Vec<u8>, count: usize) -> io::Result<usize> {
    let from = bytes.len();
    bytes.resize(from + count, 0);
    let read = fill(file, bytes.get_mut(from..).unwrap_or_default())?;
    bytes.truncate(from + read);
    Ok(read)
}

fn fill(file: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while let Some(rest) = into.get_mut(at..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut seen = Vec::new();
        lines(io::repeat(b'x').take(1 << 33), &mut |piece| seen.push(format!("{piece:?}")))
            .unwrap();
        assert_eq!(seen, ["TooLong"]);
    }
}
