//! Where the chain is whole it was made anew, and the checkpoints tell what was
//! done: what was signed cannot be signed again.

use crate::line::Line;
use crate::note::VerifyKey;
use crate::tree::Tree;

use super::diagnose::{Diagnosis, Entry, Read, Signed};
use super::{Evidence, Tamper};

impl Diagnosis {
    /// The chain is whole: the checkpoints say what was done.
    pub fn signatures(&mut self, entries: &[Entry], evidence: &Evidence) {
        let reads: Vec<(&Entry, &Read)> =
            entries.iter().filter_map(|entry| Some((entry, entry.read.as_ref()?))).collect();
        let Some((_, first)) = reads.first() else { return };
        let claim = first.signed.as_ref().and_then(|signed| signed.claim.clone());
        let (mut tree, mut key) = match claim {
            Some(claim) => (
                claim.state.tree,
                evidence.first_key.clone().filter(|_| claim.segment == 1).unwrap_or(claim.key),
            ),
            None => return,
        };
        let keys = all_keys(&reads);
        let mut good = tree.size();
        let mut bad: Vec<(usize, Verdict, u64)> = Vec::new();
        let mut file = 0;
        for (at, (entry, read)) in reads.iter().enumerate() {
            let claim = read.signed.as_ref().and_then(|signed| signed.claim.as_ref());
            // Files without fault lie between: it begins anew.
            if let Some(claim) = claim.filter(|_| at > 0 && entry.file > file + 1) {
                tree = claim.state.tree.clone();
                key = claim.key.clone();
                good = tree.size();
            }
            file = entry.file;
            tree.push(read.leaf);
            let Some(signed) = &read.signed else { continue };
            if signed.has_note {
                let verdict = judge(signed, read.seq, &tree, &key, &keys);
                match verdict {
                    Verdict::Good if bad.is_empty() => good = read.seq,
                    Verdict::Good => {}
                    verdict => bad.push((at, verdict, good)),
                }
            }
            if let Some(next) = &signed.next {
                key = next.clone();
            }
        }
        let Some((at, verdict, good)) = bad.first() else {
            return self.claims(&reads);
        };
        let Some((entry, read)) = reads.get(*at) else { return };
        let records = Some((good + 1, read.seq));
        let only = bad.len() == 1;
        match verdict {
            Verdict::Resealed => self.say(
                Tamper::Resealed,
                entry,
                records,
                "these lines were signed anew, with a key that came into force after them",
            ),
            Verdict::Size(size) if *size > read.seq => self.say(
                Tamper::Deleted,
                entry,
                records,
                &format!("{} of these lines are missing; the chain was made anew", size - read.seq),
            ),
            Verdict::Size(size) => self.say(
                Tamper::Inserted,
                entry,
                records,
                &format!("{} of these lines were put in; the chain was made anew", read.seq - size),
            ),
            Verdict::Root if was_seal(read, evidence) => {
                self.say(
                    Tamper::Changed,
                    entry,
                    Some((read.seq, read.seq)),
                    "it is not the seal that was made",
                );
            }
            Verdict::Root => self.say(
                Tamper::Rewritten,
                entry,
                records,
                "these are not the lines that were signed; the chain was made anew",
            ),
            Verdict::Note if only => self.say(
                Tamper::Changed,
                entry,
                Some((read.seq, read.seq)),
                "its checkpoint is not what was written",
            ),
            _ => self.say(
                Tamper::Forged,
                entry,
                records,
                "no key of the log has signed this checkpoint",
            ),
        }
    }

    /// Chain and signatures hold: a file's first line claims what is not so.
    fn claims(&mut self, reads: &[(&Entry, &Read)]) {
        let mut before = None;
        for (entry, read) in reads {
            let heads = read.signed.as_ref().is_some_and(|signed| signed.claim.is_some());
            if heads != (entry.line == 1) {
                self.say(
                    Tamper::Changed,
                    entry,
                    Some((read.seq, read.seq)),
                    "a file begins in the wrong place",
                );
            }
            before = Some((entry, read));
        }
        if self.findings.is_empty()
            && let Some((entry, read)) = before
        {
            self.say(
                Tamper::Forged,
                entry,
                Some((1, read.seq)),
                "the files' first lines or last lines are not as a recorder writes them",
            );
        }
    }
}

/// Does another line stand where the key file has its seal, and is it only
/// that one?
fn was_seal(read: &Read, evidence: &Evidence) -> bool {
    let seal = evidence.key_file.as_ref().and_then(|file| file.seal.as_ref());
    seal.and_then(|line| Line::parse(line.as_bytes()).ok()).is_some_and(|seal| {
        seal.seq == read.seq && seal.prev == read.prev && seal.leaf.hash() != read.leaf
    })
}

/// What a checkpoint's note is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Signed by the right key, over another number of lines.
    Size(u64),
    /// Signed by the right key, over other lines.
    Root,
    /// Signed by another key of the log.
    Resealed,
    /// Signed by nobody, and it says what it should: its bytes were changed.
    Note,
    /// Signed by nobody.
    Forged,
}

fn judge(signed: &Signed, seq: u64, tree: &Tree, key: &VerifyKey, keys: &[VerifyKey]) -> Verdict {
    let Some(note) = &signed.note else { return Verdict::Note };
    let by_key = note.is_by(key);
    let says = note.size == seq && note.root == tree.root();
    if by_key && says && signed.epoch.is_some() {
        Verdict::Good
    } else if by_key && note.size != seq {
        Verdict::Size(note.size)
    } else if by_key {
        Verdict::Root
    } else if keys.iter().any(|other| other != key && note.is_by(other)) {
        Verdict::Resealed
    } else if note.size != seq
        && note.root != tree.root()
        && keys.iter().any(|key| key.id() == note.key_id)
    {
        Verdict::Forged
    } else {
        // A byte of it was changed: the rest is as it should be.
        Verdict::Note
    }
}

fn all_keys(reads: &[(&Entry, &Read)]) -> Vec<VerifyKey> {
    let signed = reads.iter().filter_map(|(_, read)| read.signed.as_ref());
    let mut keys: Vec<VerifyKey> = Vec::new();
    for signed in signed {
        let claimed = signed.claim.as_ref().map(|claim| &claim.key);
        for key in claimed.into_iter().chain(&signed.next) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
    }
    keys
}
