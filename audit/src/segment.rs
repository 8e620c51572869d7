//! The log's files. One is written to; the older ones are closed, and after a
//! while compressed.
//!
//! ```text
//! audit.jsonl              the open segment
//! audit-000002.jsonl       closed, not compressed yet
//! audit-000001.jsonl.gz    closed and compressed: `zcat` reads it
//! ```
//!
//! A compressed segment is a series of gzip members (RFC 1952 section 2.2),
//! each of whole lines. The header of each says how long it is and which
//! credentials its lines name, so that a reader who looks for one goes from
//! header to header.

use std::collections::BTreeSet;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_slice_iter_to_slice;

use crate::line::{Line, MAX_LINE};

/// Name of the open segment.
pub const OPEN: &str = "audit.jsonl";

/// Bytes of lines that one member holds, unless a single line is longer. As
/// much as deflate looks back, twice: more would not become smaller by much,
/// and one line is found by reading little.
pub const MEMBER: usize = 64 * 1024;

/// Fast, and half a percent larger than the best.
const LEVEL: u8 = 6;

/// Bytes of a member's names; with more it is not worth an index.
const MAX_NAMES: usize = 32 * 1024;

/// ID1, ID2, CM = deflate, FLG = FEXTRA, MTIME = 0, XFL = 0, OS = Unix.
const MAGIC: [u8; 10] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3];

/// Bytes up to the names: magic, XLEN, subfield's name and length, four numbers.
pub const HEAD: usize = 10 + 2 + 4 + 21;

/// CRC-32 and length.
const FOOT: usize = 8;

/// A file of the log, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A closed segment.
    Closed {
        /// Its number, from 1.
        number: u32,
        /// It is compressed.
        packed: bool,
    },
    /// The open one.
    Open,
}

impl Name {
    /// Reads a file's name; `None` for one that is no segment's.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name == OPEN {
            return Some(Self::Open);
        }
        let rest = name.strip_prefix("audit-")?;
        let (digits, packed) = match rest.strip_suffix(".jsonl.gz") {
            Some(digits) => (digits, true),
            None => (rest.strip_suffix(".jsonl")?, false),
        };
        let number = digits.parse().ok().filter(|n| *n > 0)?;
        let read = Self::Closed { number, packed };
        (read.to_string() == name).then_some(read)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open => f.write_str(OPEN),
            Self::Closed { number, packed } => {
                write!(f, "audit-{number:06}.jsonl{}", if *packed { ".gz" } else { "" })
            }
        }
    }
}

/// What a member's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the whole member.
    pub packed: u32,
    /// Bytes of its lines.
    pub plain: u32,
    /// Number of its first line.
    pub first: u64,
    /// How many lines it has.
    pub lines: u32,
    /// Names of the credentials in it; `None`: too many to say.
    pub credentials: Option<BTreeSet<String>>,
}

impl Head {
    /// Length of the names, given the first [`HEAD`] bytes of a member.
    #[must_use]
    pub fn names_length(head: &[u8]) -> Option<usize> {
        let mut rest = head.strip_prefix(&MAGIC)?;
        let extra = usize::from(u16::from_le_bytes(array(&mut rest)?));
        let subfield = rest.split_off(..2)? == b"SR";
        let length = usize::from(u16::from_le_bytes(array(&mut rest)?));
        (subfield && extra == length + 4).then_some(())?;
        length.checked_sub(HEAD - 16)
    }

    /// Reads a header: [`HEAD`] bytes and the names.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let names = Self::names_length(bytes)?;
        let mut rest = bytes.get(16..HEAD + names)?;
        let packed = u32::from_le_bytes(array(&mut rest)?);
        let plain = u32::from_le_bytes(array(&mut rest)?);
        let first = u64::from_le_bytes(array(&mut rest)?);
        let lines = u32::from_le_bytes(array(&mut rest)?);
        let [known] = array(&mut rest)?;
        let names = std::str::from_utf8(rest).ok()?;
        let credentials = match known {
            0 if names.is_empty() => None,
            1 => Some(names.split_terminator('\n').map(str::to_owned).collect()),
            _ => return None,
        };
        let enough = packed as usize >= HEAD + rest.len() + FOOT;
        // A line longer than a member has one of its own.
        let sane = plain as usize <= MEMBER.max(MAX_LINE + 1);
        (enough && sane).then_some(Self { packed, plain, first, lines, credentials })
    }
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

/// How many bytes of these lines go into one member: whole lines, as many as
/// fit, at least one. Zero where there is no whole line.
#[must_use]
pub fn member_length(lines: &[u8]) -> usize {
    let fitting = lines.get(..MEMBER).unwrap_or(lines);
    let end = fitting.iter().rposition(|b| *b == b'\n');
    end.or_else(|| lines.iter().position(|b| *b == b'\n')).map_or(0, |at| at + 1)
}

/// Makes a member of whole lines; `None` where they are no lines of a log.
#[must_use]
pub fn pack(lines: &[u8]) -> Option<Vec<u8>> {
    let (first, count, names) = contents(lines)?;
    let (known, names) = match names.into_iter().map(|name| name + "\n").collect::<String>() {
        names if names.len() <= MAX_NAMES => (1, names),
        _ => (0, String::new()),
    };
    let body = compress_to_vec(lines, LEVEL);
    let length = u16::try_from(HEAD - 16 + names.len()).ok()?;
    let total = u32::try_from(HEAD + names.len() + body.len() + FOOT).ok()?;
    let plain = u32::try_from(lines.len()).ok()?;
    let mut member = Vec::with_capacity(total as usize);
    member.extend_from_slice(&MAGIC);
    member.extend_from_slice(&(length + 4).to_le_bytes());
    member.extend_from_slice(b"SR");
    member.extend_from_slice(&length.to_le_bytes());
    member.extend_from_slice(&total.to_le_bytes());
    member.extend_from_slice(&plain.to_le_bytes());
    member.extend_from_slice(&first.to_le_bytes());
    member.extend_from_slice(&count.to_le_bytes());
    member.push(known);
    member.extend_from_slice(names.as_bytes());
    member.extend_from_slice(&body);
    member.extend_from_slice(&crc32(lines).to_le_bytes());
    member.extend_from_slice(&plain.to_le_bytes());
    Some(member)
}

/// Puts the lines of a member into `lines`, in the place of what is there;
/// `None` where they are not what its header says. Whether they are what was
/// written is for the tree to say.
pub fn unpack(member: &[u8], head: &Head, lines: &mut Vec<u8>) -> Option<()> {
    let from = HEAD + Head::names_length(member)?;
    let body = member.get(from..member.len().checked_sub(FOOT)?)?;
    lines.resize(head.plain as usize, 0);
    let length = decompress_slice_iter_to_slice(lines, [body].into_iter(), false, true).ok()?;
    (length == lines.len()).then_some(())
}

/// First line's number, count, and credentials named, of whole lines.
#[must_use]
pub fn contents(lines: &[u8]) -> Option<(u64, u32, BTreeSet<String>)> {
    let mut first = None;
    let mut count = 0;
    let mut names = BTreeSet::new();
    for bytes in lines.strip_suffix(b"\n")?.split(|b| *b == b'\n') {
        let line = Line::parse(bytes).ok()?;
        first.get_or_insert(line.seq);
        count += 1;
        for name in credentials(&line).filter(|name| !name.contains('\n')) {
            if !names.contains(name) {
                names.insert(name.to_owned());
            }
        }
    }
    Some((first?, count, names))
}

/// Names of the credentials a line is about.
pub fn credentials<'a>(line: &Line<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    let several = line.credentials.into_iter().flat_map(crate::scan::Raw::texts);
    several.chain(line.credentials.and_then(crate::scan::Raw::text))
}

/// CRC-32 as RFC 1952 section 8 has it.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut c = n as u32;
            let mut bit = 0;
            while bit < 8 {
                c = if c & 1 == 1 { 0xedb8_8320 ^ c >> 1 } else { c >> 1 };
                bit += 1;
            }
            #[allow(
                clippy::indexing_slicing,
                reason = "n is below 256, and this runs at compile time"
            )]
            {
                table[n] = c;
            }
            n += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc: u32, byte| {
        let at = (crc ^ u32::from(*byte)) & 0xff;
        TABLE.get(at as usize).copied().unwrap_or(0) ^ crc >> 8
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn lines(count: u64) -> Vec<u8> {
        (5..5 + count)
            .flat_map(|seq| {
                let fields = match seq % 3 {
                    0 => ",\"credentials\":[\"A\",\"B\"]",
                    1 => ",\"credential\":\"C\"",
                    _ => "",
                };
                format!(
                    "{{\"v\":1,\"seq\":{seq},\"time\":\"2026-01-31T23:59:59.000001Z\",\"mono_us\":1,\"session\":\"{}\",\
                     \"writer\":\"broker\",\"event\":\"intent\"{fields},\"prev\":\"{}\"}}\n",
                    "ab".repeat(16),
                    "0f".repeat(32),
                )
                .into_bytes()
            })
            .collect()
    }

    #[test]
    fn names() {
        for name in [
            Name::Open,
            Name::Closed { number: 1, packed: true },
            Name::Closed { number: 1_000_000, packed: false },
        ] {
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
        for no in [
            "audit-1.jsonl",
            "audit-000000.jsonl",
            "audit-+00001.jsonl",
            "audit.jsonl.gz",
            "key",
            "audit-000001.jsonl.gz.new",
        ] {
            assert_eq!(Name::parse(no), None, "{no}");
        }
    }

    #[test]
    fn a_member_is_read_back() {
        let lines = lines(7);
        let member = pack(&lines).unwrap();
        let head = Head::parse(&member).unwrap();
        assert_eq!((head.packed as usize, head.plain as usize), (member.len(), lines.len()));
        assert_eq!((head.first, head.lines), (5, 7));
        assert_eq!(
            head.credentials.as_ref().unwrap().iter().map(String::as_str).collect::<Vec<_>>(),
            ["A", "B", "C"]
        );
        let mut read = b"what was there".to_vec();
        assert_eq!((unpack(&member, &head, &mut read), &read), (Some(()), &lines));
        for plain in [head.plain - 1, head.plain + 1] {
            assert_eq!(unpack(&member, &Head { plain, ..head.clone() }, &mut read), None);
        }
        for cut in 0..member.len() {
            let short = &member[..cut];
            let head = Head::parse(short);
            assert!(head.is_none_or(|head| unpack(short, &head, &mut read).is_none()));
        }
    }

    #[test]
    fn members_hold_whole_lines() {
        let lines = lines(1000);
        let mut rest = lines.as_slice();
        let mut whole = Vec::new();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(member_length(rest));
            assert!(!now.is_empty() && now.len() <= MEMBER);
            let member = pack(now).unwrap();
            let mut lines = Vec::new();
            unpack(&member, &Head::parse(&member).unwrap(), &mut lines).unwrap();
            whole.extend(lines);
            rest = later;
        }
        assert_eq!(whole, lines);
        assert_eq!(member_length(b"no line"), 0);
        let long = [vec![b'x'; 2 * MEMBER], b"\n{}\n".to_vec()].concat();
        assert_eq!(member_length(&long), 2 * MEMBER + 1);
        assert_eq!(pack(b"no record\n"), None);
    }

    #[test]
    fn crc() {
        // printf 123456789 | gzip -1 | tail -c8 | head -c4 | xxd
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
