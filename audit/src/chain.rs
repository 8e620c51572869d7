//! What a log's next line is: its number, its place in the chain, and the
//! checkpoints with the keys that sign them. Says nothing about disks.
//!
//! Each epoch has a key of its own. A `seal` ends an epoch: it names the next
//! key's public half and is signed by the old one, which is then erased. Who
//! takes the machine over later has no key for what is sealed.

use std::fmt::Write as _;

use crate::line::{VERSION, hex};
use crate::note::{Checkpoint, SignKey};
use crate::tree::{Hash, Tree, leaf_hash};

/// The clocks at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// Wall clock, RFC 3339, UTC, microseconds.
    pub time: &'a str,
    /// Microseconds since the machine started.
    pub mono_us: u64,
}

/// Why an epoch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The recorder before this one was cut short.
    Start,
    /// It has lasted long enough.
    Time,
    /// It has lines enough.
    Size,
    /// The file is full; this is its last line.
    Segment,
    /// The session ends.
    End,
}

impl Why {
    /// The word in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Time => "time",
            Self::Size => "size",
            Self::Segment => "segment",
            Self::End => "end",
        }
    }
}

/// Where a chain stands: all that is needed to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The lines so far.
    pub tree: Tree,
    /// Leaf hash of the last one.
    pub prev: Hash,
    /// Epoch of the key in force.
    pub epoch: u64,
}

/// A chain that grows.
#[derive(Debug)]
pub struct Chain {
    state: State,
    key: SignKey,
    session: String,
    /// Lines that no checkpoint covers.
    uncovered: u64,
    /// Lines since the last seal.
    unsealed: u64,
}

/// A seal that is made, and takes effect when it is [committed](Chain::commit):
/// in between, the next key is brought to safety.
#[derive(Debug)]
pub struct Seal {
    /// The line, without its newline.
    pub line: String,
    /// Its note.
    pub note: String,
    /// Where the chain stands after it.
    pub state: State,
}

impl Chain {
    /// Continues a chain.
    #[must_use]
    pub fn new(state: State, key: SignKey, session: &str) -> Self {
        Self { state, key, session: session.to_owned(), uncovered: 0, unsealed: 0 }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The key in force.
    #[must_use]
    pub fn key(&self) -> &SignKey {
        &self.key
    }

    /// Lines that no checkpoint covers yet.
    #[must_use]
    pub fn uncovered(&self) -> u64 {
        self.uncovered
    }

    /// Lines since the last seal.
    #[must_use]
    pub fn unsealed(&self) -> u64 {
        self.unsealed
    }

    /// Takes over a line that is there already.
    pub fn adopt(&mut self, leaf: Hash, is_checkpoint: bool) {
        self.advance(leaf, is_checkpoint);
    }

    /// The next line, without its newline. `fields` are members of an object
    /// as they stand between its braces.
    pub fn line(&mut self, at: Stamp<'_>, writer: &str, event: &str, fields: &str) -> String {
        let mut line = self.open(at, writer, event, fields);
        line.push('}');
        self.advance(leaf_hash(&[line.as_bytes()]), false);
        line
    }

    /// The first line of a file.
    pub fn head(&mut self, at: Stamp<'_>, segment: u32) -> String {
        let public = self.key.public();
        let peaks: Vec<String> =
            self.state.tree.peaks().iter().map(|peak| format!("\"{}\"", hex(peak))).collect();
        let fields = format!(
            "\"origin\":\"{}\",\"segment\":{segment},\"epoch\":{},\"key\":\"{public}\",\"tree\":[{}]",
            public.name(),
            self.state.epoch,
            peaks.join(",")
        );
        self.line(at, "recorder", "segment", &fields)
    }

    /// A checkpoint over all lines and its own; the line and its note.
    pub fn checkpoint(&mut self, at: Stamp<'_>) -> (String, String) {
        let fields = format!("\"epoch\":{}", self.state.epoch);
        let (line, note, leaf) = self.signed(at, "checkpoint", &fields);
        self.advance(leaf, true);
        (line, note)
    }

    /// Makes the checkpoint that ends the epoch.
    #[must_use]
    pub fn seal(&self, at: Stamp<'_>, why: Why, next: &SignKey) -> Seal {
        let (epoch, why) = (self.state.epoch, why.as_str());
        let fields = format!("\"epoch\":{epoch},\"why\":\"{why}\",\"next\":\"{}\"", next.public());
        let (line, note, leaf) = self.signed(at, "seal", &fields);
        let mut state = State { prev: leaf, epoch: epoch + 1, ..self.state.clone() };
        state.tree.push(leaf);
        Seal { line, note, state }
    }

    /// Puts a seal into force: the old key is erased.
    pub fn commit(&mut self, seal: Seal, next: SignKey) {
        self.state = seal.state;
        self.key = next;
        self.uncovered = 0;
        self.unsealed = 0;
    }

    /// Is this note what this chain would have signed over the lines so far?
    #[must_use]
    pub fn vouches_for(&self, note: &str) -> bool {
        Checkpoint::parse(note).is_some_and(|checkpoint| {
            checkpoint.size == self.state.tree.size()
                && checkpoint.root == self.state.tree.root()
                && checkpoint.is_by(self.key.public())
        })
    }

    fn signed(&self, at: Stamp<'_>, event: &str, fields: &str) -> (String, String, Hash) {
        let mut line = self.open(at, "recorder", event, fields);
        let leaf = leaf_hash(&[line.as_bytes(), b"}"]);
        let mut tree = self.state.tree.clone();
        tree.push(leaf);
        let note = self.key.sign(tree.size(), &tree.root());
        let _ = write!(line, ",\"note\":{}}}", serde_json::Value::from(note.as_str()));
        (line, note, leaf)
    }

    /// The next line up to its chain link; its brace is open.
    fn open(&self, at: Stamp<'_>, writer: &str, event: &str, fields: &str) -> String {
        let mut line = String::with_capacity(320 + fields.len());
        let comma = if fields.is_empty() { "" } else { "," };
        let _ = write!(
            line,
            "{{\"v\":{VERSION},\"seq\":{},\"time\":\"{}\",\"mono_us\":{},\"session\":\"{}\",\"writer\":\"{writer}\",\
             \"event\":\"{event}\"{comma}{fields},\"prev\":\"{}\"",
            self.state.tree.size() + 1,
            at.time,
            at.mono_us,
            self.session,
            hex(&self.state.prev),
        );
        line
    }

    fn advance(&mut self, leaf: Hash, is_checkpoint: bool) {
        self.state.tree.push(leaf);
        self.state.prev = leaf;
        self.uncovered = if is_checkpoint { 0 } else { self.uncovered + 1 };
        self.unsealed += 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::line::Line;
    use crate::schema::conforms;

    const AT: Stamp<'static> = Stamp { time: "2026-01-31T23:59:59.000001Z", mono_us: 5 };

    #[test]
    fn lines_are_chained_and_checkpoints_cover_their_own_line() {
        let key = |byte| SignKey::new("strongroom-audit/00", &mut [byte; 32]);
        let mut chain = Chain::new(State::default(), key(1), &"ab".repeat(16));
        let (first, second) = (key(1), key(2));
        let mut lines = vec![chain.head(AT, 1), chain.line(AT, "supervisor", "broker-lost", "")];
        lines.push(chain.line(AT, "supervisor", "ended", "\"status\":0"));
        assert_eq!((chain.uncovered(), chain.unsealed()), (3, 3));
        let (line, note) = chain.checkpoint(AT);
        assert!(chain.vouches_for(&note) && Checkpoint::parse(&note).unwrap().size == 4);
        assert_eq!((chain.uncovered(), chain.unsealed()), (0, 4));
        lines.push(line);
        let seal = chain.seal(AT, Why::End, &second);
        assert_eq!(chain.state().epoch, 0);
        let sealed = Checkpoint::parse(&seal.note).unwrap();
        assert!(sealed.is_by(first.public()) && sealed.size == 5);
        lines.push(seal.line.clone());
        chain.commit(seal, key(2));
        assert_eq!((chain.state().epoch, chain.unsealed()), (1, 0));
        assert!(!chain.vouches_for(&note));

        let mut tree = Tree::default();
        let mut prev = [0; 32];
        for (seq, line) in (1..).zip(&lines) {
            let line = Line::parse(line.as_bytes()).unwrap();
            assert_eq!((line.seq, line.prev), (seq, prev));
            assert_eq!(conforms(&line), Ok(()));
            prev = line.leaf.hash();
            tree.push(prev);
            if let Some(note) = line.note() {
                assert_eq!(Checkpoint::parse(&note).unwrap().root, tree.root());
            }
        }
        assert_eq!(&tree, &chain.state().tree);
        let seal = Line::parse(lines.last().unwrap().as_bytes()).unwrap();
        assert_eq!(seal.text("next"), Some(second.public().to_string().as_str()));
    }
}
