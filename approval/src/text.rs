//! Bytes of somebody else, written so that each can be seen and read back.
//!
//! | bytes | written |
//! |---|---|
//! | printable ASCII | as itself; `\` as `\\`, and `"` as `\"` where the text stands in quotes |
//! | letters of the scripts in `letters.rs` | as themselves, unless their word mixes scripts |
//! | line end, return, tab | `\n`, `\r`, `\t`; in prose a line end begins a new line |
//! | other ASCII control characters | `\x1b` |
//! | bytes that are not UTF-8 | `\xff` |
//! | every other character | `\u{202e}` |
//! | a space that could be overlooked | `␣` |

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::letters::{self, Script};

/// Texts of more bytes than this carry their digest.
const LONG: usize = 256;

/// A run of spaces of more than this is worth a note.
const GAP: usize = 8;

/// So many different characters are named in a note.
const NAMED: usize = 8;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// In quotes, character by character: arguments, paths, contents.
    Exact,
    /// As lines of words: a reason, a question.
    Prose,
}

/// A part of a written text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Stands for itself.
    Plain(String),
    /// Stands for something that is not shown as itself.
    Escape(String),
    /// A line of the text ends here.
    LineEnd,
}

/// A text that somebody else wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// How it is written.
    pub manner: Manner,
    /// Its parts, in their order.
    pub pieces: Vec<Piece>,
    /// Its length in bytes.
    pub bytes: usize,
    /// Its SHA-256, where it is long.
    pub digest: Option<[u8; 32]>,
    /// What must be said about it, in words of ours.
    pub notes: Vec<String>,
}

impl Text {
    /// Writes bytes that are taken exactly.
    #[must_use]
    pub fn exact(bytes: &[u8]) -> Self {
        Self::new(bytes, Manner::Exact)
    }

    /// Writes words.
    #[must_use]
    pub fn prose(bytes: &[u8]) -> Self {
        Self::new(bytes, Manner::Prose)
    }

    fn new(bytes: &[u8], manner: Manner) -> Self {
        let mut writer = Writer::new(manner);
        for chunk in bytes.utf8_chunks() {
            writer.words(chunk.valid());
            for byte in chunk.invalid() {
                writer.escape(&format!("\\x{byte:02x}"));
                writer.seen.invalid += 1;
            }
        }
        Self {
            manner,
            notes: writer.seen.notes(manner),
            pieces: writer.pieces,
            bytes: bytes.len(),
            digest: (bytes.len() > LONG).then(|| Sha256::digest(bytes).into()),
        }
    }
}

/// Bytes as one word of an overview: quoted only where they must be.
#[must_use]
pub fn word(bytes: &[u8]) -> String {
    let simple = |b: &u8| b.is_ascii_alphanumeric() || b"_./:=,@%+-".contains(b);
    let mut shown = String::new();
    for piece in Text::exact(bytes).pieces {
        match piece {
            Piece::Plain(text) | Piece::Escape(text) => shown.push_str(&text),
            Piece::LineEnd => {}
        }
    }
    if !bytes.is_empty() && bytes.iter().all(simple) { shown } else { format!("\"{shown}\"") }
}

struct Writer {
    manner: Manner,
    pieces: Vec<Piece>,
    seen: Seen,
}

impl Writer {
    fn new(manner: Manner) -> Self {
        Self { manner, pieces: Vec::new(), seen: Seen::default() }
    }

    fn plain(&mut self, c: char) {
        match self.pieces.last_mut() {
            Some(Piece::Plain(text)) => text.push(c),
            _ => self.pieces.push(Piece::Plain(c.to_string())),
        }
    }

    fn escape(&mut self, written: &str) {
        self.pieces.push(Piece::Escape(written.to_owned()));
    }

    /// Writes what is UTF-8, word by word.
    fn words(&mut self, mut text: &str) {
        while let Some(first) = text.chars().next() {
            let of_word = letters::in_word(first);
            let end = text.find(|c| letters::in_word(c) != of_word).unwrap_or(text.len());
            let (run, rest) = text.split_at(end);
            if of_word {
                self.word(run)
            } else {
                self.between(run)
            }
            text = rest;
        }
    }

    fn word(&mut self, word: &str) {
        let mixed = mixed(word, self.manner);
        if let Some(scripts) = &mixed {
            self.seen.mixed.get_or_insert_with(|| scripts.clone());
        }
        for c in word.chars() {
            let script = letters::script(c);
            let disguised = mixed.is_some() && script.is_some_and(|s| s != Script::Latin);
            match script {
                _ if c.is_ascii() => self.plain(c),
                Some(script) => {
                    self.seen.letter(c, script);
                    if disguised { self.code_point(c) } else { self.plain(c) }
                }
                None => {
                    self.seen.hidden += 1;
                    self.code_point(c);
                }
            }
        }
    }

    fn code_point(&mut self, c: char) {
        self.escape(&format!("\\u{{{:x}}}", c as u32));
    }

    fn between(&mut self, run: &str) {
        let mut gap = 0;
        let mut chars = run.chars().peekable();
        while let Some(c) = chars.next() {
            gap = if c == ' ' { gap + 1 } else { 0 };
            self.seen.gap = self.seen.gap.max(gap);
            match c {
                '\n' => self.line_end(),
                '\r' => self.control("\\r"),
                '\t' => self.escape("\\t"),
                '\\' => self.escape("\\\\"),
                '"' if self.manner == Manner::Exact => self.escape("\\\""),
                ' ' if self.manner == Manner::Exact && (gap > 1 || chars.peek() == Some(&' ')) => {
                    self.escape("␣");
                }
                ' '..='~' => self.plain(c),
                c if c.is_ascii() => self.control(&format!("\\x{:02x}", c as u32)),
                c if self.manner == Manner::Prose && letters::is_sign(c) => self.plain(c),
                c => {
                    self.seen.hidden += 1;
                    self.code_point(c);
                }
            }
        }
    }

    fn control(&mut self, written: &str) {
        self.seen.controls += 1;
        self.escape(written);
    }

    fn line_end(&mut self) {
        self.seen.lines += 1;
        if self.manner == Manner::Exact {
            self.escape("\\n");
        }
        self.pieces.push(Piece::LineEnd);
    }
}

/// The scripts of a word in disguise. In prose a word of Chinese beside one
/// of English is no disguise.
fn mixed(word: &str, manner: Manner) -> Option<Vec<Script>> {
    let mut scripts: Vec<Script> = word.chars().filter_map(letters::script).collect();
    scripts.sort_unstable();
    scripts.dedup();
    let others = scripts.iter().filter(|s| **s != Script::Latin);
    let bad = match manner {
        Manner::Exact => others.clone().any(|s| s.like_latin()) || scripts.contains(&Script::Latin),
        Manner::Prose => others.clone().any(|s| s.like_latin()),
    };
    (scripts.len() > 1 && bad).then_some(scripts)
}

/// What was met on the way.
#[derive(Debug, Default)]
struct Seen {
    letters: BTreeMap<char, (Script, usize)>,
    mixed: Option<Vec<Script>>,
    controls: usize,
    hidden: usize,
    invalid: usize,
    lines: usize,
    gap: usize,
}

impl Seen {
    fn letter(&mut self, c: char, script: Script) {
        self.letters.entry(c).or_insert((script, 0)).1 += 1;
    }

    fn notes(&self, manner: Manner) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(scripts) = &self.mixed {
            let names: Vec<&str> = scripts.iter().map(|s| s.name()).collect();
            notes.push(format!("a word mixes scripts: {}", names.join(" and ")));
        }
        if !self.letters.is_empty() && (manner == Manner::Exact || self.mixed.is_some()) {
            notes.push(format!("letters that are not ASCII: {}", self.named()));
        }
        for (count, thing, why) in [
            (self.controls, "control character", ""),
            (self.hidden, "character", " that could deceive"),
            (self.invalid, "byte", " that is not UTF-8"),
        ] {
            match count {
                0 => {}
                1 => notes.push(format!("1 {thing}{why}, escaped")),
                _ => {
                    let why = why.replace("that is", "that are");
                    notes.push(format!("{count} {thing}s{why}, escaped"));
                }
            }
        }
        if self.gap > GAP {
            notes.push(format!("a run of {} spaces", self.gap));
        }
        if manner == Manner::Exact && self.lines > 0 {
            let ends = if self.lines == 1 { "line end" } else { "line ends" };
            notes.push(format!("{} {ends} in it", self.lines));
        }
        notes
    }

    fn named(&self) -> String {
        let mut text = String::new();
        for (c, (script, count)) in self.letters.iter().take(NAMED) {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{} U+{:04X}", script.name(), *c as u32);
            if *count > 1 {
                let _ = write!(text, " ({count} times)");
            }
        }
        let more = self.letters.len().saturating_sub(NAMED);
        if more > 0 {
            let _ = write!(text, " and {more} more");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &Text) -> String {
        text.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Plain(text) | Piece::Escape(text) => text.as_str(),
                Piece::LineEnd => "|",
            })
            .collect()
    }

    #[test]
    fn every_byte_is_shown() {
        for (bytes, want) in [
            (&b"ls -l"[..], "ls -l"),
            (b"a\x1b[2Jb\r\n\tc\0", "a\\x1b[2Jb\\r\\n|\\tc\\x00"),
            (b"say \"x\\\"", "say \\\"x\\\\\\\""),
            (b"a\xffb\xc3", "a\\xffb\\xc3"),
            (b"a  b c   d", "a␣␣b c␣␣␣d"),
            ("x\u{202e}y\u{200b}\u{9b}".as_bytes(), "x\\u{202e}y\\u{200b}\\u{9b}"),
            ("e\u{301} \u{301}".as_bytes(), "e\\u{301} \\u{301}"),
            ("naïve Ärger привет 口".as_bytes(), "naïve Ärger привет 口"),
            ("p\u{430}ypal.com".as_bytes(), "p\\u{430}ypal.com"),
            ("comんevil a/ノ".as_bytes(), "com\\u{3093}evil a/ノ"),
            (
                "a—b ␣ │ ┆ “q”".as_bytes(),
                "a\\u{2014}b \\u{2423} \\u{2502} \\u{2506} \\u{201c}q\\u{201d}",
            ),
            ("שלום".as_bytes(), "\\u{5e9}\\u{5dc}\\u{5d5}\\u{5dd}"),
        ] {
            assert_eq!(shown(&Text::exact(bytes)), want);
        }
    }

    #[test]
    fn prose_is_lines_of_words() {
        for (text, want) in [
            ("“quoted” — and\n\nmore\\", "“quoted” — and||more\\\\"),
            ("Python教程 and \"x\"", "Python教程 and \"x\""),
            ("│ Approved by оperator\r", "\\u{2502} Approved by \\u{43e}perator\\r"),
        ] {
            assert_eq!(shown(&Text::prose(text.as_bytes())), want);
        }
    }

    #[test]
    fn what_is_said_about_a_text() {
        for (text, want) in [
            ("plain", &[][..]),
            (
                "p\u{430}yp\u{430}l",
                &[
                    "a word mixes scripts: Latin and Cyrillic",
                    "letters that are not ASCII: Cyrillic U+0430 (2 times)",
                ],
            ),
            ("é", &["letters that are not ASCII: Latin U+00E9"]),
            ("\x1b[1m\x1b", &["2 control characters, escaped"]),
            ("a\u{200b}", &["1 character that could deceive, escaped"]),
            ("a         b\n", &["a run of 9 spaces", "1 line end in it"]),
            (
                "абвгдежзий",
                &[
                    "letters that are not ASCII: Cyrillic U+0430, Cyrillic U+0431, Cyrillic U+0432, \
                   Cyrillic U+0433, Cyrillic U+0434, Cyrillic U+0435, Cyrillic U+0436, Cyrillic U+0437 and 2 more",
                ],
            ),
        ] {
            assert_eq!(Text::exact(text.as_bytes()).notes, want, "{text:?}");
        }
        assert_eq!(Text::exact(b"\xff").notes, ["1 byte that is not UTF-8, escaped"]);
        assert!(Text::prose("Ärger\nзавтра".as_bytes()).notes.is_empty());
    }

    #[test]
    fn a_long_text_has_a_digest() {
        assert_eq!(Text::exact(&[b'a'; LONG]).digest, None);
        let long = Text::exact(&[b'a'; LONG + 1]);
        assert_eq!(long.digest, Some(Sha256::digest([b'a'; LONG + 1]).into()));
        assert_eq!(long.bytes, LONG + 1);
    }

    #[test]
    fn words_of_an_overview() {
        for (bytes, want) in [
            (&b"git"[..], "git"),
            (b"--a=b/c", "--a=b/c"),
            (b"", "\"\""),
            (b"two words", "\"two words\""),
            (b"a\nb\x1b", "\"a\\nb\\x1b\""),
            (b"it's", "\"it's\""),
        ] {
            assert_eq!(word(bytes), want);
        }
    }
}
