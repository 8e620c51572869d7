//! What was done to a log in which something does not follow.
//!
//! First the chain. Lines that follow each other are a fragment; a log that
//! was not touched is one. How the fragments lie to each other tells what was
//! done: a line whose neighbours would follow each other without it was put
//! in, a gap in the numbers was cut out, and so on. Where the chain is whole it
//! was made anew, and the checkpoints tell.

use std::collections::{BTreeSet, HashMap};
use std::io;

use crate::folder::{Piece, Segment};
use crate::line::Line;
use crate::note::{Checkpoint, VerifyKey};
use crate::scan::unescaped;
use crate::segment::Name;
use crate::tree::Hash;

use super::walk::Claim;
use super::{Evidence, Finding, Tamper};

/// One line, as far as it was readable.
pub struct Entry {
    /// Which file.
    pub file: usize,
    /// Which line of it.
    pub line: u64,
    /// `None`: it is not of the form.
    pub read: Option<Read>,
}

/// What it says.
pub struct Read {
    pub seq: u64,
    pub prev: Hash,
    pub leaf: Hash,
    session: Hash,
    pub signed: Option<Box<Signed>>,
}

/// A line with a note, or with a key.
pub struct Signed {
    pub note: Option<Checkpoint>,
    pub has_note: bool,
    pub next: Option<VerifyKey>,
    pub claim: Option<Claim>,
    pub epoch: Option<u64>,
}

impl Entry {
    fn follows(&self, before: &Self) -> bool {
        match (&before.read, &self.read) {
            (Some(before), Some(read)) => read.prev == before.leaf && read.seq == before.seq + 1,
            _ => false,
        }
    }

    fn seq(&self) -> Option<u64> {
        self.read.as_ref().map(|read| read.seq)
    }
}

/// Names what was done in these files. The others are as they should be.
pub fn diagnose(
    segments: &[Segment],
    flawed: &[usize],
    evidence: &Evidence,
) -> io::Result<Vec<Finding>> {
    let mut entries = Vec::new();
    for file in flawed.iter().copied() {
        let Some(segment) = segments.get(file) else { continue };
        let mut line = 0;
        segment.read(&mut |piece| {
            line += 1;
            match piece {
                Piece::Line(bytes) => entries.push(entry(file, line, bytes)),
                Piece::TooLong => entries.push(Entry { file, line, read: None }),
                Piece::Unreadable => entries.push(Entry { file, line, read: None }),
                Piece::Torn(_) if segment.name != Name::Open => {
                    entries.push(Entry { file, line, read: None });
                }
                Piece::Member(_) | Piece::Torn(_) => line -= 1,
            }
        })?;
    }
    let names: Vec<String> = segments.iter().map(|segment| segment.name.to_string()).collect();
    let seal = evidence.key_file.as_ref().and_then(|file| file.seal.clone());
    let mut diagnosis = Diagnosis { names, seal, findings: Vec::new() };
    diagnosis.chain(&entries);
    if diagnosis.findings.is_empty() {
        diagnosis.signatures(&entries, evidence);
    }
    Ok(diagnosis.findings)
}

fn entry(file: usize, line: u64, bytes: &[u8]) -> Entry {
    let read = Line::parse(bytes).ok().map(|parsed| Read {
        seq: parsed.seq,
        prev: parsed.prev,
        leaf: parsed.leaf.hash(),
        session: crate::tree::leaf_hash(&[parsed.session.as_bytes()]),
        signed: signed(&parsed),
    });
    Entry { file, line, read }
}

fn signed(line: &Line<'_>) -> Option<Box<Signed>> {
    let claim = Claim::read_if_any(line);
    if !line.is_checkpoint() && claim.is_none() {
        return None;
    }
    let note = line.note();
    Some(Box::new(Signed {
        has_note: note.is_some(),
        note: note.as_deref().and_then(Checkpoint::parse),
        next: line.text("next").and_then(|key| VerifyKey::parse(&unescaped(key))),
        claim,
        epoch: line.number("epoch"),
    }))
}

/// Lines that follow each other: from one index up to another.
type Fragment<'a> = Vec<&'a Entry>;

/// What was found so far.
pub struct Diagnosis {
    names: Vec<String>,
    /// The last seal, from the key file.
    seal: Option<String>,
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    pub fn say(&mut self, tamper: Tamper, at: &Entry, records: Option<(u64, u64)>, detail: &str) {
        self.findings.push(Finding {
            tamper,
            file: self.names.get(at.file).cloned(),
            line: Some(at.line),
            records,
            detail: detail.to_owned(),
        });
    }

    fn chain(&mut self, entries: &[Entry]) {
        let entries = self.without_copies(entries);
        let mut fragments = fragments(&entries);
        self.inserted(&mut fragments);
        self.reordered(&mut fragments);
        self.inserted(&mut fragments);
        self.seams(&fragments);
    }

    /// A line that stands twice: what is out of place is the copy.
    fn without_copies<'a>(&mut self, entries: &'a [Entry]) -> Vec<&'a Entry> {
        let mut first: HashMap<Hash, usize> = HashMap::new();
        let mut copies = BTreeSet::new();
        let in_place = |at: usize| {
            let entry = entries.get(at);
            let before = at.checked_sub(1).and_then(|at| entries.get(at));
            before.zip(entry).is_some_and(|(before, entry)| entry.follows(before))
        };
        for (at, entry) in entries.iter().enumerate() {
            let Some(read) = &entry.read else { continue };
            match first.get(&read.leaf) {
                None => drop(first.insert(read.leaf, at)),
                // Two checkpoints with the same leaf are no copies of each
                // other unless their notes are; they are in each other's place.
                Some(before) if !in_place(*before) && in_place(at) => {
                    copies.insert(*before);
                    first.insert(read.leaf, at);
                }
                Some(_) => drop(copies.insert(at)),
            }
        }
        for at in &copies {
            if let Some(entry) = entries.get(*at) {
                let records = entry.seq().map(|seq| (seq, seq));
                self.say(Tamper::Duplicated, entry, records, "this line stands twice");
            }
        }
        let kept = entries.iter().enumerate().filter(|(at, _)| !copies.contains(at));
        kept.map(|(_, entry)| entry).collect()
    }

    /// What stands between lines that follow each other without it.
    fn inserted(&mut self, fragments: &mut Vec<Fragment<'_>>) {
        let mut at = 1;
        while at + 1 < fragments.len() {
            let (before, after) = (fragments.get(at - 1), fragments.get(at + 1));
            let joins = before
                .and_then(|f| f.last())
                .zip(after.and_then(|f| f.first()))
                .is_some_and(|(before, after)| after.follows(before));
            // What its own number places elsewhere was moved, not made.
            if !joins || self.belongs_elsewhere(fragments, at) {
                at += 1;
                continue;
            }
            let between = fragments.remove(at);
            let after = fragments.remove(at);
            let known = fragments.get(at - 1).map(|before| sessions(before));
            if let Some(before) = fragments.get_mut(at - 1) {
                before.extend(after);
            }
            let alien = known
                .is_some_and(|known| between.len() > 1 && sessions(&between).is_disjoint(&known));
            let (tamper, detail) = if alien {
                (Tamper::Spliced, "these lines are of another log")
            } else {
                (Tamper::Inserted, "the lines around it follow each other without it")
            };
            if let Some(first) = between.first() {
                let records = range(&between);
                self.say(tamper, first, records, detail);
            }
        }
    }

    /// Would it fit between two others by its chain?
    fn belongs_elsewhere(&self, fragments: &[Fragment<'_>], at: usize) -> bool {
        let Some(fragment) = fragments.get(at) else { return false };
        let (Some(first), Some(last)) = (fragment.first(), fragment.last()) else { return false };
        fragments.iter().enumerate().any(|(other, fragment)| {
            other != at
                && (fragment.last().is_some_and(|before| first.follows(before))
                    || fragment.first().is_some_and(|after| after.follows(last)))
        })
    }

    /// Fragments that follow each other in another order than they stand in.
    fn reordered(&mut self, fragments: &mut Vec<Fragment<'_>>) {
        let mut ordered: Vec<usize> = (0..fragments.len()).collect();
        ordered.sort_by_key(|at| fragments.get(*at).and_then(|f| f.first()).and_then(|e| e.seq()));
        // What cannot be read has no number, and stays.
        if fragments.iter().flatten().any(|entry| entry.read.is_none()) {
            return;
        }
        let joins = |order: &[usize]| {
            order
                .iter()
                .zip(order.iter().skip(1))
                .filter(|(before, after)| {
                    let before = fragments.get(**before).and_then(|f| f.last());
                    let after = fragments.get(**after).and_then(|f| f.first());
                    before.zip(after).is_some_and(|(before, after)| after.follows(before))
                })
                .count()
        };
        let standing: Vec<usize> = (0..fragments.len()).collect();
        if joins(&ordered) <= joins(&standing) {
            return;
        }
        let stay = longest_rise(&ordered);
        for (at, fragment) in fragments.iter().enumerate() {
            if let Some(first) = fragment.first().filter(|_| !stay.contains(&at)) {
                self.say(Tamper::Moved, first, range(fragment), "it stands in the wrong place");
            }
        }
        let sorted: Vec<&Entry> =
            ordered.iter().filter_map(|at| fragments.get(*at)).flatten().copied().collect();
        *fragments = self::fragments(&sorted);
    }

    /// What is between fragments that stand in their order.
    fn seams(&mut self, fragments: &[Fragment<'_>]) {
        self.beginning(fragments);
        let mut skip = false;
        for (at, pair) in fragments.windows(2).enumerate() {
            let [before, after] = pair else { continue };
            let (Some(last), Some(first)) = (before.last(), after.first()) else { continue };
            // Files without fault lie between.
            if first.file > last.file + 1 {
                continue;
            }
            if std::mem::take(&mut skip) {
                continue;
            }
            let beyond = fragments.get(at + 2).and_then(|fragment| fragment.first());
            let last_seq = last.seq();
            // One line, or several, between two that keep their distance.
            let replaced = beyond.filter(|beyond| {
                last_seq
                    .zip(beyond.seq())
                    .is_some_and(|(last, beyond)| beyond == last + 1 + after.len() as u64)
            });
            if replaced.is_some() {
                skip = true;
                let from = last_seq.unwrap_or(0) + 1;
                let records = Some((from, from + after.len() as u64 - 1));
                let alien = after.iter().all(|entry| entry.read.is_some())
                    && sessions(after).is_disjoint(&sessions(before));
                if alien || after.len() > 1 {
                    self.say(
                        Tamper::Spliced,
                        first,
                        records,
                        "other lines stand in the place of its own",
                    );
                } else {
                    self.say(Tamper::Changed, first, records, "it is not what was written");
                }
                continue;
            }
            if is_foreign(after, before) {
                self.say(Tamper::Spliced, first, range(after), "these lines are of another log");
                continue;
            }
            self.seam(before, first);
        }
    }

    /// Two fragments with nothing between them.
    fn seam(&mut self, before: &Fragment<'_>, first: &Entry) {
        let Some(last) = before.last() else { return };
        let (Some(from), Some(to)) = (last.seq(), first.seq()) else {
            // Which number it had, its neighbours say.
            let (entry, records) = match (last.seq(), first.seq()) {
                (Some(seq), _) => (first, (seq + 1, seq + 1)),
                // It is the first of all, and may be more than one line was.
                (None, after) => (*last, (1, after.map_or(1, |after| after.saturating_sub(1)))),
            };
            let detail = "it is not of the form in which lines are written";
            return self.say(Tamper::Changed, entry, Some(records), detail);
        };
        let linked = last.read.as_ref().zip(first.read.as_ref());
        if linked.is_some_and(|(last, first)| first.prev == last.leaf) {
            let detail = "it follows, and has another number than it had";
            return self.say(Tamper::Changed, first, Some((from + 1, from + 1)), detail);
        }
        if to > from + 1 {
            self.say(
                Tamper::Deleted,
                first,
                Some((from + 1, to - 1)),
                "the lines before this one are missing",
            );
        } else if to == from + 1 && self.follows_as_seal(last, to) {
            self.say(Tamper::Changed, first, Some((to, to)), "it is not the seal that was made");
        } else if to == from + 1 {
            self.say(Tamper::Changed, last, Some((from, from)), "it is not what was written");
        } else {
            self.say(
                Tamper::Inserted,
                first,
                Some((to, to)),
                "there is another line with its number",
            );
        }
    }

    /// Does the seal that the key file has follow that line, with this number?
    fn follows_as_seal(&self, last: &Entry, seq: u64) -> bool {
        let seal = self.seal.as_ref().and_then(|seal| Line::parse(seal.as_bytes()).ok());
        seal.zip(last.read.as_ref())
            .is_some_and(|(seal, last)| seal.seq == seq && seal.prev == last.leaf)
    }

    fn beginning(&mut self, fragments: &[Fragment<'_>]) {
        let Some(first) = fragments.first().and_then(|fragment| fragment.first()) else { return };
        let Some(read) = &first.read else {
            // The seam after it says so.
            if fragments.len() == 1 {
                self.say(
                    Tamper::Changed,
                    first,
                    None,
                    "it is not of the form in which lines are written",
                );
            }
            return;
        };
        let claim = read.signed.as_ref().and_then(|signed| signed.claim.as_ref());
        match claim {
            Some(claim) if claim.segment > 1 => {}
            Some(_) if read.seq == 1 && read.prev == [0; 32] => {}
            _ if read.seq > 1 => {
                self.say(
                    Tamper::Deleted,
                    first,
                    Some((1, read.seq - 1)),
                    "the lines before this one are missing",
                );
            }
            _ => self.say(Tamper::Changed, first, Some((1, 1)), "it is not how a log begins"),
        }
    }
}

fn fragments<'a>(entries: &[&'a Entry]) -> Vec<Fragment<'a>> {
    entries.chunk_by(|before, after| after.follows(before)).map(<[_]>::to_vec).collect()
}

fn sessions(fragment: &Fragment<'_>) -> BTreeSet<Hash> {
    fragment.iter().filter_map(|entry| entry.read.as_ref()).map(|read| read.session).collect()
}

/// Has it a checkpoint of another log than those?
fn is_foreign(fragment: &Fragment<'_>, others: &Fragment<'_>) -> bool {
    let origin = |entry: &&Entry| {
        let signed = entry.read.as_ref()?.signed.as_ref()?;
        let claimed = signed.claim.as_ref().map(|claim| claim.origin.clone());
        claimed.or_else(|| signed.note.as_ref().map(|note| note.origin.clone()))
    };
    let known = others.iter().rev().find_map(origin);
    let theirs = fragment.iter().find_map(origin);
    known.zip(theirs).is_some_and(|(known, theirs)| known != theirs)
}

fn range(fragment: &Fragment<'_>) -> Option<(u64, u64)> {
    fragment.first()?.seq().zip(fragment.last()?.seq())
}

/// The members of a longest rising row of these, none of them twice.
fn longest_rise(row: &[usize]) -> BTreeSet<usize> {
    // For each length, the smallest last member of a rise that long.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: HashMap<usize, usize> = HashMap::new();
    for value in row {
        let length = ends.partition_point(|end| end < value);
        if let Some(end) = length.checked_sub(1).and_then(|at| ends.get(at)) {
            before.insert(*value, *end);
        }
        ends.truncate(ends.len().max(length));
        match ends.get_mut(length) {
            Some(end) => *end = *value,
            None => ends.push(*value),
        }
    }
    let mut rise = BTreeSet::new();
    let mut next = ends.last().copied();
    while let Some(value) = next {
        rise.insert(value);
        next = before.get(&value).copied();
    }
    rise
}
