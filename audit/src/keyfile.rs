//! The recorder's own file: its key, and where the log stood when the key came
//! into force. Text, a word and a value on each line, the secret on the last.
//!
//! It is replaced at each seal, before the seal is written to the log: were it
//! the other way round, a crash between the two would leave a log that nobody
//! can continue. So it holds the seal's line, to be written again.

use std::fmt;

use zeroize::{Zeroize as _, Zeroizing};

use crate::chain::State;
use crate::line::{Line, hex, unhex};
use crate::note::{VerifyKey, number};
use crate::tree::{Hash, Tree};

/// Its name in the log folder.
pub const FILE: &str = "key";

/// The first public key's file, for those who verify.
pub const FIRST: &str = "first-key.pub";

/// Bytes of the longest one: two lines of the log, and little more.
pub const MAX: usize = 16 * 1024;

/// The first line: what it is, and the version.
const TITLE: &str = "strongroom-audit-key 1";

/// What the file says in public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// The key in force.
    pub key: VerifyKey,
    /// Where the log stood.
    pub state: State,
    /// The file that was written to then.
    pub segment: u32,
    /// Its length, seal and newline included.
    pub end: u64,
    /// The seal, without its newline; `None` before the first line.
    pub seal: Option<String>,
}

impl KeyFile {
    /// The file with its secret.
    #[must_use]
    pub fn with_secret(&self, seed: &Hash) -> Zeroizing<String> {
        let mut secret = hex(seed);
        // Made at its full size: a string that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX));
        text.push_str(&self.to_string());
        text.push_str("secret ");
        text.push_str(&secret);
        text.push('\n');
        secret.zeroize();
        text
    }

    /// Reads the file; the seed beside it.
    #[must_use]
    pub fn parse(text: &str) -> Option<(Self, Zeroizing<Hash>)> {
        let (public, secret) = text.strip_suffix('\n')?.rsplit_once("\nsecret ")?;
        let seed = Zeroizing::new(unhex(secret)?);
        Some((Self::parse_public(public)?, seed))
    }

    fn parse_public(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        let mut value = |word: &str| lines.next()?.strip_prefix(word)?.strip_prefix(' ');
        if value("strongroom-audit-key")? != "1" {
            return None;
        }
        let key = VerifyKey::parse(value("key")?)?;
        let epoch = number(value("epoch")?)?;
        let size = number(value("size")?)?;
        let peaks = value("tree")?.split_terminator(' ').map(unhex).collect::<Option<_>>()?;
        let tree = Tree::new(size, peaks)?;
        let prev = unhex(value("prev")?)?;
        let segment = number(value("segment")?)?.try_into().ok()?;
        let end = number(value("end")?)?;
        let seal = match value("seal")? {
            "" => None,
            line => Some(line.to_owned()),
        };
        let state = State { tree, prev, epoch };
        let read = Self { key, state, segment, end, seal };
        (lines.next().is_none() && read.is_sane()).then_some(read)
    }

    /// The seal is the line that it should be.
    fn is_sane(&self) -> bool {
        match &self.seal {
            None => self.state == State::default() && self.segment == 1 && self.end == 0,
            Some(line) => Line::parse(line.as_bytes()).is_ok_and(|seal| {
                seal.event == "seal"
                    && seal.seq == self.state.tree.size()
                    && seal.leaf.hash() == self.state.prev
                    && seal.number("epoch").map(|epoch| epoch + 1) == Some(self.state.epoch)
                    && seal.text("next") == Some(&self.key.to_string())
                    && self.end > line.len() as u64
            }),
        }
    }

    /// The file was full: the next line begins another.
    #[must_use]
    pub fn ends_segment(&self) -> bool {
        let seal = self.seal.as_ref().and_then(|line| Line::parse(line.as_bytes()).ok());
        seal.is_some_and(|seal| seal.text("why") == Some("segment"))
    }
}

impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { tree, prev, epoch } = &self.state;
        let peaks: Vec<String> = tree.peaks().iter().map(|peak| hex(peak)).collect();
        writeln!(f, "{TITLE}\nkey {}\nepoch {epoch}\nsize {}", self.key, tree.size())?;
        writeln!(f, "tree {}\nprev {}", peaks.join(" "), hex(prev))?;
        writeln!(f, "segment {}\nend {}", self.segment, self.end)?;
        writeln!(f, "seal {}", self.seal.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::chain::{Chain, Stamp, Why};
    use crate::note::SignKey;

    #[test]
    fn it_is_read_back_and_nothing_else_is() {
        let key = |byte| SignKey::new("strongroom-audit/00", &mut [byte; 32]);
        let first = KeyFile {
            key: key(1).public().clone(),
            state: State::default(),
            segment: 1,
            end: 0,
            seal: None,
        };
        let mut chain = Chain::new(State::default(), key(1), &"ab".repeat(16));
        let at = Stamp { time: "2026-01-31T23:59:59.000001Z", mono_us: 5 };
        chain.head(at, 1);
        let seal = chain.seal(at, Why::Segment, &key(2));
        let later = KeyFile {
            key: key(2).public().clone(),
            state: seal.state.clone(),
            segment: 3,
            end: 1 << 20,
            seal: Some(seal.line),
        };
        assert!(later.ends_segment() && !first.ends_segment());
        for file in [first, later] {
            let text = file.with_secret(&[9; 32]);
            let (read, seed) = KeyFile::parse(&text).unwrap();
            assert_eq!((&read, *seed), (&file, [9; 32]));
            for (at, _) in text.char_indices() {
                assert!(KeyFile::parse(text.get(..at).unwrap()).is_none(), "{at}");
            }
            assert!(KeyFile::parse(&text.replace("epoch ", "epoch 1")).is_none());
            assert!(KeyFile::parse(&format!("{}more\n", *text)).is_none());
        }
    }
}
