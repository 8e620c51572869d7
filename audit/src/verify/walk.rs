//! One file by itself: from what its first line claims, line by line. Stops at
//! the first line that does not follow; what was done is for `diagnose`.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::chain::State;
use crate::folder::{Piece, Segment};
use crate::line::{Line, unhex};
use crate::note::{Checkpoint, VerifyKey};
use crate::reconcile::Facts;
use crate::scan::unescaped;
use crate::segment::{Head as MemberHead, OPEN, credentials};
use crate::time;
use crate::tree::{Hash, Tree};

use super::{Finding, Tamper};

/// What a file's first line claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The log's name.
    pub origin: String,
    /// The file's number.
    pub segment: u64,
    /// Lines before it, and their epoch's key.
    pub state: State,
    /// The key in force.
    pub key: VerifyKey,
}

impl Claim {
    /// Reads a line, if it is a first line.
    pub fn read_if_any(line: &Line<'_>) -> Option<Self> {
        if line.event == "segment" { Self::read(line) } else { None }
    }

    /// Reads a first line.
    pub fn read(line: &Line<'_>) -> Option<Self> {
        let of_recorder = line.event == "segment" && line.writer == "recorder";
        let peaks = line.field("tree")?.texts().map(unhex).collect::<Option<Vec<Hash>>>()?;
        let tree = Tree::new(line.seq.checked_sub(1)?, peaks)?;
        let state = State { tree, prev: line.prev, epoch: line.number("epoch")? };
        let key = VerifyKey::parse(&unescaped(line.text("key")?))?;
        let origin = unescaped(line.text("origin")?);
        let segment = line.number("segment")?;
        (of_recorder && key.name() == origin).then_some(Self { origin, segment, state, key })
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Walk {
    claim: Option<Claim>,
    /// Where the file ends, if all of it follows.
    pub end: State,
    /// The key in force at its end.
    pub key: Option<VerifyKey>,
    /// Lines that follow.
    pub lines: u64,
    /// All lines.
    pub seen: u64,
    /// Up to which line it is signed.
    pub signed: Option<u64>,
    /// Up to which line it is sealed, and why it was.
    pub sealed: Option<(u64, String)>,
    /// Something does not follow.
    pub flawed: bool,
    /// Clocks and indexes: the chain holds, and still something is wrong.
    pub findings: Vec<Finding>,
    /// A torn last line.
    pub torn: Vec<u8>,
    /// Roots at the sizes that somebody asks for.
    pub roots: Vec<(u64, Hash)>,
    /// Time of the last line.
    pub last_time: String,
    /// Lines that tell of a start after a crash, or of a lost witness.
    pub remarks: Vec<String>,
    /// What the writers say, for `reconcile`.
    pub facts: Facts,
    clock: Clock,
    first_clock: Option<Clock>,
    opened_first: bool,
    index: Option<Index>,
    /// Sizes that somebody asks for and that are still to come, the next one last.
    wanted: Vec<u64>,
    name: String,
}

/// How the clocks stood.
#[derive(Debug, Clone, Default)]
struct Clock {
    mono_us: u64,
    /// By how much the wall clock was ahead when a line last said so.
    ahead: i64,
    boot: Option<Arc<str>>,
}

/// A member's index, and what is really in it.
#[derive(Debug)]
struct Index {
    says: MemberHead,
    first: Option<u64>,
    lines: u32,
    credentials: BTreeSet<String>,
}

impl Walk {
    /// Walks through a file. The sizes that somebody asks for are in their order.
    pub fn through(segment: &Segment, wanted: &[u64]) -> io::Result<Self> {
        let wanted = wanted.iter().rev().copied().collect();
        let mut walk = Self { wanted, name: segment.name.to_string(), ..Self::default() };
        segment.read(&mut |piece| walk.piece(piece))?;
        walk.close_index();
        Ok(walk)
    }

    fn piece(&mut self, piece: Piece<'_>) {
        self.seen += u64::from(matches!(piece, Piece::Line(_)));
        match piece {
            Piece::Torn(bytes) => {
                self.torn = bytes.to_vec();
                self.flawed |= self.name != OPEN;
            }
            _ if self.flawed || !self.torn.is_empty() => {}
            // Blocks that were never written are zeros: a crash leaves them.
            Piece::Line(bytes) if self.name == OPEN && bytes.contains(&0) => {
                self.torn = bytes.to_vec();
            }
            Piece::Line(bytes) => self.flawed = self.line(bytes).is_none(),
            Piece::Member(head) => {
                self.close_index();
                self.index = Some(Index {
                    says: head.clone(),
                    first: None,
                    lines: 0,
                    credentials: BTreeSet::new(),
                });
            }
            Piece::TooLong | Piece::Unreadable => self.flawed = true,
        }
    }

    /// Takes one line; `None` where it does not follow.
    fn line(&mut self, bytes: &[u8]) -> Option<()> {
        let line = Line::parse(bytes).ok()?;
        let is_first = self.lines == 0;
        if is_first != (line.event == "segment") {
            return None;
        }
        if is_first {
            let claim = Claim::read(&line)?;
            self.end = claim.state.clone();
            self.key = Some(claim.key.clone());
            self.claim = Some(claim);
        }
        if line.seq != self.end.tree.size() + 1 || line.prev != self.end.prev {
            return None;
        }
        let leaf = line.leaf.hash();
        self.end.tree.push(leaf);
        self.end.prev = leaf;
        self.lines += 1;
        if line.is_checkpoint() {
            self.checkpoint(&line)?;
        }
        while let Some(size) = self.wanted.pop_if(|size| *size <= line.seq) {
            if size == line.seq {
                self.roots.push((size, self.end.tree.root()));
            }
        }
        self.clocks(&line);
        self.indexed(&line);
        self.facts.add(&line);
        self.remark(&line);
        Some(())
    }

    fn checkpoint(&mut self, line: &Line<'_>) -> Option<()> {
        let checkpoint = Checkpoint::parse(&line.note()?)?;
        let key = self.key.as_ref()?;
        let follows = checkpoint.size == line.seq
            && checkpoint.root == self.end.tree.root()
            && line.number("epoch")? == self.end.epoch
            && checkpoint.is_by(key);
        if !follows {
            return None;
        }
        self.signed = Some(line.seq);
        match line.event {
            "checkpoint" => Some(()),
            "seal" => {
                let next = VerifyKey::parse(&unescaped(line.text("next")?))?;
                self.sealed = Some((line.seq, line.text("why")?.to_owned()));
                self.end.epoch += 1;
                let same_log = next.name() == key.name();
                self.key = Some(next);
                same_log.then_some(())
            }
            _ => None,
        }
    }

    /// The monotonic clock goes forward from start to start, and over starts
    /// in the same boot; the wall clock goes with it, or a line says how it
    /// was set.
    fn clocks(&mut self, line: &Line<'_>) {
        if self.last_time != line.time {
            line.time.clone_into(&mut self.last_time);
        }
        let Some(wall) = time::micros(line.time) else {
            return self.clock_fault(line, "its time is none".to_owned());
        };
        // A recorder that starts may have to begin a file before it says so.
        if line.event == "segment" {
            return;
        }
        let ahead = wall.wrapping_sub(line.mono_us.cast_signed());
        let mut now = Clock { mono_us: line.mono_us, ahead, boot: self.clock.boot.clone() };
        if line.writer == "recorder" && line.event == "opened" {
            now.boot = line.text("boot").map(Arc::from);
            self.opened_first |= self.first_clock.is_none();
        } else if self.first_clock.is_some() && line.event != "clock" {
            now.ahead = self.clock.ahead;
        }
        if self.first_clock.is_none() {
            self.first_clock = Some(now.clone());
        } else if let Err(detail) = now.follows(&self.clock, ahead, line.event) {
            self.clock_fault(line, detail);
            now.ahead = ahead;
        }
        self.clock = now;
    }

    fn clock_fault(&mut self, line: &Line<'_>, detail: String) {
        self.findings.push(Finding {
            tamper: Tamper::Clock,
            file: Some(self.name.clone()),
            line: Some(self.lines),
            records: Some((line.seq, line.seq)),
            detail,
        });
    }

    fn indexed(&mut self, line: &Line<'_>) {
        if let Some(index) = &mut self.index {
            index.first.get_or_insert(line.seq);
            index.lines += 1;
            for name in credentials(line) {
                if !index.credentials.contains(name) {
                    index.credentials.insert(name.to_owned());
                }
            }
        }
    }

    fn close_index(&mut self) {
        let Some(index) = self.index.take() else { return };
        let Index { says, first, lines, credentials } = index;
        let named = says.credentials.as_ref().is_none_or(|names| *names == credentials);
        if !self.flawed && (Some(says.first) != first || says.lines != lines || !named) {
            let first = first.unwrap_or(says.first);
            self.findings.push(Finding {
                tamper: Tamper::Index,
                file: Some(self.name.clone()),
                line: None,
                records: Some((first, first + u64::from(lines).saturating_sub(1))),
                detail: "the file's index does not say what is in it; the records are whole"
                    .to_owned(),
            });
        }
    }

    fn remark(&mut self, line: &Line<'_>) {
        let (seq, time) = (line.seq, line.time);
        let text = match (line.writer, line.event) {
            ("recorder", "recovery") => {
                let number = |name| line.number(name).unwrap_or(0);
                let (torn, unsigned) = (number("torn_bytes"), number("unsigned"));
                format!(
                    "record {seq}: the recorder before {time} was cut short: {torn} bytes torn off, {unsigned} \
                     records taken over that nobody had signed"
                )
            }
            ("recorder", "witness-lost") => {
                format!("record {seq}: no witness from {time} to the next start")
            }
            ("recorder", "clock") => {
                let step = line.fields.rsplit(':').next().unwrap_or_default();
                format!("record {seq}: the wall clock was set by {step} us before {time}")
            }
            _ => return,
        };
        self.remarks.push(text);
    }

    /// What the first line claims, where the second one confirms that it was
    /// not changed.
    pub fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref().filter(|_| !self.flawed || self.lines > 1)
    }

    /// The first line's clocks against the last ones of the file before.
    pub fn follows_in_time(&self, before: &Self) -> Result<(), String> {
        let Some(first) = &self.first_clock else { return Ok(()) };
        let event = if self.opened_first { "opened" } else { "" };
        let boot = if self.opened_first { first.boot.clone() } else { before.clock.boot.clone() };
        let first = Clock { boot, ..first.clone() };
        first.follows(&before.clock, first.ahead, event)
    }
}

impl Clock {
    /// Do these clocks follow those, when this event is written?
    fn follows(&self, before: &Self, ahead: i64, event: &str) -> Result<(), String> {
        let same_boot = self.boot == before.boot && self.boot.as_deref() != Some("unknown");
        if (event != "opened" || same_boot) && self.mono_us < before.mono_us {
            let back = before.mono_us - self.mono_us;
            return Err(format!("the monotonic clock goes back by {back} us"));
        }
        let step = ahead.wrapping_sub(before.ahead);
        let told = matches!(event, "opened" | "clock");
        if !told && step.unsigned_abs() > time::DRIFT_US + SLACK_US {
            return Err(format!("the wall clock moves by {step} us, and no line says so"));
        }
        Ok(())
    }
}

/// The recorder compares before it writes; the line's own clocks are read then.
const SLACK_US: u64 = 1_000;
