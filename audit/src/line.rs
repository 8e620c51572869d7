//! One line of the log.
//!
//! ```text
//! {"v":1,"seq":7,"time":"…","mono_us":…,"session":"…","writer":"…","event":"…", FIELDS ,"prev":"…"}
//! {…                                                                            ,"prev":"…","note":"…"}
//! ```
//!
//! The second form is a checkpoint. What counts as a leaf of the tree is the
//! line without its newline and without the note, so a checkpoint covers the
//! very line it stands on: a log that ends with one is signed to its last byte.

use std::fmt;

use crate::scan::{Cursor, Raw, members, unescaped};
use crate::tree::{Hash, leaf_hash};

/// Version of the lines.
pub const VERSION: u64 = 1;

/// Bytes of the longest line, with room to spare: a record comes in a packet
/// of 64 KiB, and one byte becomes at most seven.
pub const MAX_LINE: usize = 1024 * 1024;

/// Digits of a session's name.
const SESSION: usize = 32;

/// Characters of a time.
const TIME: usize = 27;

/// A line of the canonical form.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Number of the line, from 1.
    pub seq: u64,
    /// Wall clock.
    pub time: &'a str,
    /// Microseconds since the machine started.
    pub mono_us: u64,
    /// Name of the session.
    pub session: &'a str,
    /// Who says so.
    pub writer: &'a str,
    /// What happened.
    pub event: &'a str,
    /// The event's own members, as they stand in the line.
    pub fields: &'a str,
    /// Leaf hash of the line before.
    pub prev: Hash,
    /// The credentials it is about, as they stand in it.
    pub credentials: Option<Raw<'a>>,
    /// The line without its note.
    pub leaf: Leaf<'a>,
    note: Option<&'a str>,
    /// A bit for each of the event's own keys; see [`bit`].
    keys: u64,
}

/// What is hashed of a line.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'a>(&'a str, &'static str);

impl Leaf<'_> {
    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        leaf_hash(&[self.0.as_bytes(), self.1.as_bytes()])
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Not UTF-8.
    Encoding,
    /// Of another version.
    Version,
    /// Not of the canonical form.
    Form,
    /// A key twice.
    Twice,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoding => "not UTF-8",
            Self::Version => "of another version than 1",
            Self::Form => "not of the form in which the recorder writes",
            Self::Twice => "a key stands twice",
        })
    }
}

impl<'a> Line<'a> {
    /// Reads a line, without its newline.
    ///
    /// # Errors
    /// [`Bad`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Bad> {
        let text = std::str::from_utf8(bytes).map_err(|_| Bad::Encoding)?;
        let mut cursor = Cursor::new(text);
        if !cursor.literal("{\"v\":") {
            return Err(Bad::Form);
        }
        if cursor.number() != Some(VERSION) {
            return Err(Bad::Version);
        }
        let mut keys = Keys::default();
        let line = Self::after_version(text, cursor, &mut keys);
        if keys.twice { Err(Bad::Twice) } else { line.ok_or(Bad::Form) }
    }

    fn after_version(text: &'a str, mut cursor: Cursor<'a>, keys: &mut Keys<'a>) -> Option<Self> {
        let expect = |cursor: &mut Cursor<'a>, text| cursor.literal(text).then_some(());
        expect(&mut cursor, ",\"seq\":")?;
        let seq = cursor.number()?;
        expect(&mut cursor, ",\"time\":\"")?;
        let time = cursor.take(TIME)?;
        expect(&mut cursor, "\",\"mono_us\":")?;
        let mono_us = cursor.number()?;
        expect(&mut cursor, ",\"session\":\"")?;
        let session = cursor.take(SESSION)?;
        expect(&mut cursor, "\",\"writer\":")?;
        let writer = cursor.string()?;
        expect(&mut cursor, ",\"event\":")?;
        let event = cursor.string()?;
        let plain = |b: u8| b.is_ascii_graphic() && b != b'"';
        if !all(session.as_bytes(), is_hex) || !all(time.as_bytes(), plain) {
            return None;
        }

        let from = cursor.at() + 1;
        let mut fields = "";
        let mut credentials = None;
        let prev = loop {
            let end = cursor.at();
            expect(&mut cursor, ",")?;
            let key = cursor.key()?;
            let value = cursor.value()?;
            match key {
                "prev" => {
                    fields = text.get(from..end).unwrap_or(fields);
                    break unhex(value.text()?)?;
                }
                "credential" | "credentials" => credentials = Some(value),
                _ => {}
            }
            keys.add(key)?;
        };
        let end = cursor.at();
        let note = if cursor.literal(",\"note\":") { Some(cursor.string()?) } else { None };
        expect(&mut cursor, "}")?;
        if !cursor.is_done() {
            return None;
        }
        let leaf = match note {
            Some(_) => Leaf(text.get(..end)?, "}"),
            None => Leaf(text, ""),
        };
        Some(Self {
            seq,
            time,
            mono_us,
            session,
            writer,
            event,
            fields,
            prev,
            credentials,
            leaf,
            note,
            keys: keys.mask,
        })
    }

    /// One of the event's own members.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Raw<'a>> {
        if self.keys & bit(name) == 0 {
            return None;
        }
        members(self.fields).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A member that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.field(name)?.number()
    }

    /// A member that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.field(name)?.text()
    }

    /// The note of a checkpoint.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        self.note.map(unescaped)
    }

    /// The line carries a note.
    #[must_use]
    pub fn is_checkpoint(&self) -> bool {
        self.note.is_some()
    }
}

/// Members of a line's own: the table's longest event has twenty.
const MAX_MEMBERS: usize = 48;

/// The keys of a line's own members, to find one that stands twice.
struct Keys<'a> {
    keys: [&'a str; MAX_MEMBERS],
    count: usize,
    /// A bit for each key, so that few have to be compared.
    mask: u64,
    twice: bool,
}

impl Default for Keys<'_> {
    fn default() -> Self {
        Self { keys: [""; MAX_MEMBERS], count: 0, mask: 0, twice: false }
    }
}

impl<'a> Keys<'a> {
    /// `None` where the key is there already, or there are too many.
    fn add(&mut self, key: &'a str) -> Option<()> {
        let bit = bit(key);
        let known = self.keys.get(..self.count)?;
        if (HEAD_BITS | self.mask) & bit != 0 {
            self.twice = HEAD.contains(&key) || known.contains(&key);
        }
        self.mask |= bit;
        *self.keys.get_mut(self.count)? = key;
        self.count += 1;
        (!self.twice).then_some(())
    }
}

/// Keys that every line has, or that stand behind its own.
const HEAD: [&str; 8] = ["v", "seq", "time", "mono_us", "session", "writer", "event", "note"];

const HEAD_BITS: u64 = {
    let mut bits = 0;
    let mut rest = HEAD.as_slice();
    while let [key, more @ ..] = rest {
        bits |= bit(key);
        rest = more;
    }
    bits
};

/// The bit of a key. Others may have the same one; the factors are chosen so
/// that few keys of one event do.
const fn bit(key: &str) -> u64 {
    let (first, last) = match key.as_bytes() {
        [first, .., last] => (*first, *last),
        [only] => (*only, *only),
        [] => (0, 0),
    };
    1 << ((first as usize * 59 + last as usize * 57 + key.len()) & 63)
}

/// Are all bytes so? Looks at each in any case, which is several at a time.
fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |so_far, byte| so_far & is(*byte))
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// A hash from 64 lower-case hexadecimal digits.
#[must_use]
pub fn unhex(text: &str) -> Option<Hash> {
    // No branch and no table: the compiler takes several digits at a time.
    let value = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => 0xff,
    };
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let values = digits.map(value);
    let mut hash = [0; 32];
    for (byte, [high, low]) in hash.iter_mut().zip(values.as_chunks::<2>().0) {
        *byte = high << 4 | low;
    }
    all(&values, |value| value < 16).then_some(hash)
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line(fields: &str, end: &str) -> String {
        format!(
            "{{\"v\":1,\"seq\":7,\"time\":\"2026-01-31T23:59:59.000001Z\",\"mono_us\":12,\"session\":\"{}\",\
             \"writer\":\"broker\",\"event\":\"intent\"{fields},\"prev\":\"{}\"{end}}}",
            "ab".repeat(16),
            "0f".repeat(32),
        )
    }

    #[test]
    fn a_line_is_read() {
        let text = line(",\"req\":3,\"argv\":[\"ls\"],\"rule\":\"any\"", "");
        let read = Line::parse(text.as_bytes()).unwrap();
        assert_eq!((read.seq, read.mono_us, read.writer, read.event), (7, 12, "broker", "intent"));
        assert_eq!(read.prev, [0x0f; 32]);
        assert_eq!(
            (read.number("req"), read.text("rule"), read.text("req")),
            (Some(3), Some("any"), None)
        );
        assert_eq!(read.leaf.hash(), leaf_hash(&[text.as_bytes()]));
        assert!(!read.is_checkpoint());
        let bare = line("", "");
        assert_eq!(Line::parse(bare.as_bytes()).unwrap().fields, "");
    }

    #[test]
    fn a_note_is_no_part_of_the_leaf() {
        let text = line(",\"epoch\":0", ",\"note\":\"a\\n1\\n—\"");
        let read = Line::parse(text.as_bytes()).unwrap();
        assert_eq!(read.note().unwrap(), "a\n1\n—");
        assert_eq!(read.leaf.hash(), leaf_hash(&[line(",\"epoch\":0", "").as_bytes()]));
    }

    #[test]
    fn other_lines_are_not_read() {
        let good = line(",\"a\":1", "");
        for (bad, why) in [
            (good.replace("\"v\":1", "\"v\":2"), Bad::Version),
            (good.replace("\"v\":1", "\"v\":01"), Bad::Version),
            (good.replace("\"seq\":7", "\"seq\":07"), Bad::Form),
            (good.replace("\"seq\":7", "\"seq\":99999999999999999999"), Bad::Form),
            (good.replace("abab", "ABab"), Bad::Form),
            (good.replace("0f0f", "0F0f"), Bad::Form),
            (good.replace("\"a\":1", "\"a\": 1"), Bad::Form),
            (good.replace("\"a\":1", "\"a\":1,\"a\":1"), Bad::Twice),
            (good.replace("\"a\":1", "\"seq\":1"), Bad::Twice),
            (good.replace("\"a\":1", "\"prev\":1"), Bad::Form),
            (good.replace(",\"prev\"", ",\"prew\""), Bad::Form),
            (good.replace("}", "} "), Bad::Form),
            (good.replace("}", "}}"), Bad::Form),
            (good.replace("}", ",\"x\":1}"), Bad::Form),
            (String::new(), Bad::Form),
        ] {
            assert_eq!(Line::parse(bad.as_bytes()).unwrap_err(), why, "{bad}");
        }
        assert_eq!(Line::parse(b"\xff").unwrap_err(), Bad::Encoding);
    }

    #[test]
    fn hexadecimal() {
        let hash: Hash = std::array::from_fn(|i| u8::try_from(i * 8).unwrap());
        assert_eq!(unhex(&hex(&hash)), Some(hash));
        for bad in ["", "0", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"A".repeat(64)] {
            assert_eq!(unhex(bad), None);
        }
    }
}
