//! Is the log what was written? Where not: what was done to it, and where.
//!
//! ```text
//! walk      one file, by itself: form, chain, tree, signatures, clocks
//! join      file to file, and against what others say of the log
//! diagnose  only where something is wrong: what was done to the chain
//! signatures  and where that was made anew
//! ```
//!
//! Never a bare yes: a log by itself cannot show that nothing was taken off
//! its end. The [`Report`] says up to which line it is signed, sealed and
//! witnessed.

mod diagnose;
mod join;
mod signatures;
mod walk;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::folder::Segment;
use crate::keyfile::KeyFile;
use crate::note::{Checkpoint, VerifyKey};
use crate::reconcile::{Accounts, Disagreement};

use walk::Walk;

/// What others say of the log.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The first public key, from a place that who has the log cannot change.
    pub first_key: Option<VerifyKey>,
    /// Checkpoints that a witness has kept.
    pub witnessed: Vec<Checkpoint>,
    /// The recorder's key file.
    pub key_file: Option<KeyFile>,
}

/// What was done to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tamper {
    /// A line's bytes are other than they were.
    Changed,
    /// A line is too many.
    Inserted,
    /// Lines are missing.
    Deleted,
    /// A line stands twice.
    Duplicated,
    /// A line stands in the wrong place.
    Moved,
    /// Lines of another log stand in the place of its own.
    Spliced,
    /// Lines were written anew and the chain with them, but not what was signed.
    Rewritten,
    /// What was signed by one key was signed anew by another of its keys, or
    /// by the same one otherwise.
    Resealed,
    /// A checkpoint that no key of the log has signed.
    Forged,
    /// Its end is missing.
    Truncated,
    /// Its end was cut off, and other lines follow.
    Continued,
    /// The folder is as it was at an earlier time.
    RolledBack,
    /// Clocks that did not go as clocks go.
    Clock,
    /// A file is missing.
    SegmentMissing,
    /// A file has another file's name.
    SegmentMoved,
    /// Another log stands in its place.
    Replaced,
    /// A compressed file's index hides what is in it.
    Index,
}

impl Tamper {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Inserted => "inserted",
            Self::Deleted => "deleted",
            Self::Duplicated => "duplicated",
            Self::Moved => "moved",
            Self::Spliced => "spliced",
            Self::Rewritten => "rewritten",
            Self::Resealed => "re-sealed",
            Self::Forged => "forged",
            Self::Truncated => "truncated",
            Self::Continued => "truncated-and-continued",
            Self::RolledBack => "rolled-back",
            Self::Clock => "clock",
            Self::SegmentMissing => "segment-missing",
            Self::SegmentMoved => "segment-moved",
            Self::Replaced => "replaced",
            Self::Index => "index",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was done.
    pub tamper: Tamper,
    /// In which file.
    pub file: Option<String>,
    /// On which line of it, from 1.
    pub line: Option<u64>,
    /// Which lines of the log, by their numbers: first and last.
    pub records: Option<(u64, u64)>,
    /// In words.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tamper.as_str())?;
        match self.records {
            Some((first, last)) if first == last => write!(f, ": record {first}")?,
            Some((first, last)) => write!(f, ": records {first} to {last}")?,
            None => {}
        }
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " ({file}, line {line})")?,
            (Some(file), None) => write!(f, " ({file})")?,
            (None, _) => {}
        }
        write!(f, ": {}", self.detail)
    }
}

/// What a verifier can say.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The log's name.
    pub origin: Option<String>,
    /// Its first public key, as it says itself.
    pub first_key: Option<VerifyKey>,
    /// That key is the one which the operator has from elsewhere.
    pub first_key_known: bool,
    /// Files.
    pub segments: usize,
    /// Lines.
    pub records: u64,
    /// Up to which line a chain of keys from the first one has signed.
    pub signed: u64,
    /// Up to which line the keys are erased that could sign something else.
    pub sealed: u64,
    /// Up to which line a witness has seen it as it is.
    pub witnessed: Option<u64>,
    /// Its last line is the seal of an orderly end.
    pub ended: bool,
    /// Bytes of a torn last line.
    pub torn: u64,
    /// Time of the last line.
    pub last_time: Option<String>,
    /// What was done to it.
    pub findings: Vec<Finding>,
    /// Where the broker's and the supervisor's accounts differ.
    pub disagreements: Vec<Disagreement>,
    /// What is no fault and worth knowing.
    pub remarks: Vec<String>,
    /// Sessions, and how many of them were cut short.
    pub sessions: (u64, u64),
}

impl Report {
    /// Nothing is wrong with what is there.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.disagreements.is_empty()
    }
}

/// Verifies a log with so many threads.
///
/// # Errors
/// Of reading its files.
pub fn verify(segments: &[Segment], evidence: &Evidence, threads: usize) -> io::Result<Report> {
    Walked::through(segments, evidence, threads)?.report()
}

/// A log whose files were walked through.
#[derive(Debug)]
pub struct Walked<'a> {
    segments: Vec<Segment>,
    evidence: &'a Evidence,
    wanted: Vec<u64>,
    walks: Vec<Walk>,
}

impl<'a> Walked<'a> {
    /// Walks through all files, with so many threads.
    ///
    /// # Errors
    /// Of reading them.
    pub fn through(
        segments: &[Segment],
        evidence: &'a Evidence,
        threads: usize,
    ) -> io::Result<Self> {
        let wanted = join::wanted_sizes(evidence);
        let walks = walk_all(segments, &wanted, threads)?;
        Ok(Self { segments: segments.to_vec(), evidence, wanted, walks })
    }

    /// Puts a file in the place of another, and walks through it alone: the
    /// others are as they were.
    ///
    /// # Errors
    /// Of reading it.
    pub fn again(&mut self, at: usize, segment: &Segment) -> io::Result<()> {
        if let (Some(old), Some(walk)) = (self.segments.get_mut(at), self.walks.get_mut(at)) {
            *walk = Walk::through(segment, &self.wanted)?;
            *old = segment.clone();
        }
        Ok(())
    }

    /// What it comes to.
    ///
    /// # Errors
    /// Of reading files in which something is wrong once more.
    pub fn report(&self) -> io::Result<Report> {
        let Self { segments, evidence, walks, .. } = self;
        let mut report = join::join(segments, walks, evidence);
        let flawed = join::flawed(segments, walks);
        if !flawed.is_empty() {
            let mut found = diagnose::diagnose(segments, &flawed, evidence)?;
            // What is there too much may come from a file that lost nothing.
            let strange = |found: &Finding| {
                matches!(found.tamper, Tamper::Inserted | Tamper::Spliced | Tamper::Moved)
            };
            if flawed.len() < segments.len() && found.iter().any(strange) {
                let all: Vec<usize> = (0..segments.len()).collect();
                found = diagnose::diagnose(segments, &all, evidence)?;
            }
            report.findings.extend(found);
        }
        join::against_evidence(&mut report, walks, evidence);
        // Lines that were changed or moved have strange clocks too.
        let mine = |found: &Finding| matches!(found.tamper, Tamper::Clock | Tamper::Index);
        if !report.findings.iter().all(mine) {
            report.findings.retain(|found| found.tamper != Tamper::Clock);
        }
        report.findings.sort_by_key(|finding| (finding.records, finding.tamper));
        report.findings.dedup();
        let mut accounts = Accounts::default();
        walks.iter().for_each(|walk| accounts.add(&walk.facts));
        report.sessions = accounts.sessions();
        // With lines missing, the accounts differ anyway.
        if report.findings.is_empty() {
            report.disagreements = accounts.disagreements();
        }
        Ok(report)
    }
}

fn walk_all(segments: &[Segment], wanted: &[u64], threads: usize) -> io::Result<Vec<Walk>> {
    if threads <= 1 || segments.len() <= 1 {
        return segments.iter().map(|segment| Walk::through(segment, wanted)).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(segments.len()) {
            scope.spawn(|| {
                while let Some((index, segment)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    segments.get(index).map(|segment| (index, segment))
                } {
                    let walk = Walk::through(segment, wanted);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, walk));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, walk)| walk).collect()
}
