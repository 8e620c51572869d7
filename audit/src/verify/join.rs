//! File to file, and the whole against what others say of it.

use std::collections::HashMap;

use crate::chain::State;
use crate::folder::Segment;
use crate::keyfile::KeyFile;
use crate::line::Line;
use crate::segment::Name;
use crate::tree::Hash;

use super::walk::Walk;
use super::{Evidence, Finding, Report, Tamper};

/// Sizes at which somebody says what the root was.
pub fn wanted_sizes(evidence: &Evidence) -> Vec<u64> {
    let witnessed = evidence.witnessed.iter().map(|checkpoint| checkpoint.size);
    let sealed = evidence.key_file.iter().map(|file| file.state.tree.size());
    let mut sizes: Vec<u64> = witnessed.chain(sealed).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// The number of the segment that a file's name stands for; the open one has
/// the next.
pub fn numbers(segments: &[Segment]) -> Vec<u64> {
    let mut next = 1;
    let number = |segment: &Segment| {
        let number = match segment.name {
            Name::Closed { number, .. } => number.into(),
            Name::Open => next,
        };
        next = number + 1;
        number
    };
    segments.iter().map(number).collect()
}

/// The files that do not follow from their first line, or from the file
/// before, and their neighbours.
pub fn flawed(segments: &[Segment], walks: &[Walk]) -> Vec<usize> {
    let mut flawed = Vec::new();
    for (at, walk) in walks.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| walks.get(at));
        let begins = match (before, walk.claim()) {
            (None, Some(claim)) => claim.segment != 1 || claim.state == State::default(),
            (Some(before), _) => is_gap(before, walk) || follows(before, walk),
            (None, None) => walk.lines == 0 && walk.torn.is_empty(),
        };
        if walk.flawed || !begins {
            flawed.extend([at.saturating_sub(1), at, (at + 1).min(segments.len() - 1)]);
        }
    }
    flawed.sort_unstable();
    flawed.dedup();
    flawed
}

/// A whole file is missing between these two.
fn is_gap(before: &Walk, after: &Walk) -> bool {
    match (before.claim(), after.claim()) {
        (Some(before), Some(after)) => after.segment != before.segment + 1,
        _ => false,
    }
}

fn follows(before: &Walk, after: &Walk) -> bool {
    let Some(claim) = after.claim() else {
        // The open file has nothing yet.
        return after.lines == 0;
    };
    let ends = before
        .sealed
        .as_ref()
        .is_some_and(|(at, why)| *at == before.end.tree.size() && why == "segment");
    ends && claim.state == before.end && Some(&claim.key) == before.key.as_ref()
}

/// What the walks come to.
pub fn join(segments: &[Segment], walks: &[Walk], evidence: &Evidence) -> Report {
    let mut report = Report { segments: segments.len(), ..Report::default() };
    report.records = walks.iter().map(|walk| walk.seen).sum();
    report.torn = walks.last().map_or(0, |walk| walk.torn.len() as u64);
    let named = walks.iter().rev().find(|walk| !walk.last_time.is_empty());
    report.last_time = named.map(|walk| walk.last_time.clone());
    files(&mut report, segments, walks);
    let Some(first) = walks.first().and_then(|walk| walk.claim()) else {
        let is_empty = walks.iter().all(|walk| walk.lines == 0 && !walk.flawed);
        if !is_empty {
            return report;
        }
        let sealed = evidence.key_file.as_ref().map(|file| file.state.tree.size());
        if sealed == Some(0) {
            report
                .remarks
                .push("a key was made and no record yet: a crash, or it starts".to_owned());
        } else if sealed.is_some() || evidence.first_key.is_some() {
            let detail = "there is no record, and there was a log here";
            report.findings.push(whole(Tamper::Truncated, detail.to_owned()));
        }
        return report;
    };
    report.origin = Some(first.origin.clone());
    report.first_key = Some(first.key.clone());
    if first.segment == 1 && evidence.first_key.as_ref().is_some_and(|key| *key != first.key) {
        let detail =
            "it begins with another key than the one that is known: another log stands here";
        report.findings.push(whole(Tamper::Replaced, detail.to_owned()));
    }
    report.first_key_known = evidence.first_key.as_ref() == Some(&first.key);
    vouched(&mut report, walks);
    for (before, after) in walks.iter().zip(walks.iter().skip(1)) {
        if before.flawed || after.flawed {
            continue;
        }
        if let Err(detail) = after.follows_in_time(before) {
            let at = before.end.tree.size() + 1;
            let records = Some((at, at));
            report.findings.push(Finding {
                tamper: Tamper::Clock,
                file: None,
                line: None,
                records,
                detail,
            });
        }
    }
    for walk in walks {
        report.findings.extend(walk.findings.iter().cloned());
        report.remarks.extend(walk.remarks.iter().cloned());
    }
    report
}

/// Up to where the chain of keys holds without a break.
fn vouched(report: &mut Report, walks: &[Walk]) {
    let mut before: Option<&Walk> = None;
    for walk in walks {
        if before.is_some_and(|before| before.flawed || !follows(before, walk)) {
            break;
        }
        report.signed = walk.signed.unwrap_or(report.signed);
        if let Some((at, why)) = &walk.sealed {
            report.sealed = *at;
            report.ended = *at == walk.end.tree.size() && why == "end";
        }
        report.ended &= report.sealed == walk.end.tree.size();
        before = Some(walk);
    }
}

/// Missing files, and files under another's name.
fn files(report: &mut Report, segments: &[Segment], walks: &[Walk]) {
    let mut expected = 1;
    for ((segment, walk), number) in segments.iter().zip(walks).zip(numbers(segments)) {
        let is_open = segment.name == Name::Open;
        // What the open file is, only its first line says.
        let number = match (walk.claim(), is_open) {
            (Some(claim), true) => claim.segment,
            _ => number,
        };
        if let Some(claim) = walk.claim()
            && claim.segment != number
        {
            report.findings.push(Finding {
                tamper: Tamper::SegmentMoved,
                file: Some(segment.name.to_string()),
                line: Some(1),
                records: None,
                detail: format!("it is file {} of the log", claim.segment),
            });
        }
        if number > expected {
            missing(report, expected, number - 1);
        }
        expected = expected.max(number + 1);
    }
    let has_open = segments.last().is_some_and(|segment| segment.name == Name::Open);
    if !has_open && !segments.is_empty() {
        // A crash between a file's end and the next one's beginning.
        report.remarks.push("there is no open file: a crash, or it is missing".to_owned());
    }
}

fn missing(report: &mut Report, first: u64, last: u64) {
    let detail = if first == last {
        format!("file {first} of the log is missing")
    } else {
        format!("files {first} to {last} of the log are missing")
    };
    report.findings.push(whole(Tamper::SegmentMissing, detail));
}

fn whole(tamper: Tamper, detail: String) -> Finding {
    Finding { tamper, file: None, line: None, records: None, detail }
}

/// The log against its key file and its witnesses.
pub fn against_evidence(report: &mut Report, walks: &[Walk], evidence: &Evidence) {
    let Some(last) = walks.last() else { return };
    let size = walks.iter().rev().map(|walk| walk.end.tree.size()).find(|size| *size > 0);
    let size = size.unwrap_or(0);
    // Where a file stands twice, the first one counts.
    let roots = walks.iter().rev().flat_map(|walk| &walk.roots);
    let roots: HashMap<u64, Hash> = roots.copied().collect();
    let clean = report
        .findings
        .iter()
        .all(|finding| finding.tamper == Tamper::Clock || finding.tamper == Tamper::Index);
    let (mut cut, mut told) = (None, 0);
    if let Some(file) = &evidence.key_file {
        let known = &file.state;
        let at = known.tree.size();
        let seal_to_come = size + 1 == at && is_before(file, last);
        if Some(file.key.name()) != report.origin.as_deref() && report.origin.is_some() {
            report
                .findings
                .push(whole(Tamper::Replaced, "the recorder's key is another log's".to_owned()));
        } else if seal_to_come {
            cut = Some(at);
            report.remarks.push("the last seal is made and not yet in the log: a crash".to_owned());
        } else if clean && size < at {
            cut = Some(at);
            told = at;
            let torn = !last.torn.is_empty();
            report.findings.push(Finding {
                records: Some((size + 1, if torn { size + 1 } else { at })),
                ..whole(
                    if torn { Tamper::Changed } else { Tamper::Truncated },
                    format!("the recorder had sealed {at} records, {size} are there"),
                )
            });
        } else if clean && roots.get(&at).is_some_and(|root| *root != known.tree.root()) {
            let tamper = other_history(report, at);
            report.findings.push(Finding {
                records: Some((1, at)),
                ..whole(
                    tamper,
                    format!("the first {at} records are not those that the recorder had sealed"),
                )
            });
            return;
        }
    }
    let mut agreed = None;
    let mut differs = None;
    for checkpoint in &evidence.witnessed {
        if report.origin.is_none() {
            break;
        }
        if Some(&checkpoint.origin) != report.origin.as_ref() {
            differs = differs.or(Some((checkpoint, true)));
            continue;
        }
        match roots.get(&checkpoint.size) {
            Some(root) if *root == checkpoint.root => agreed = agreed.max(Some(checkpoint.size)),
            Some(_) if clean => {
                // The earliest says most about where it begins.
                let earlier =
                    differs.is_none_or(|(other, foreign)| !foreign && checkpoint.size < other.size);
                if earlier {
                    differs = Some((checkpoint, false));
                }
            }
            _ => {}
        }
    }
    report.witnessed = agreed;
    match differs {
        Some((_, true)) => report.findings.push(whole(
            Tamper::Replaced,
            "a witness has seen checkpoints of another log here".to_owned(),
        )),
        Some((checkpoint, false)) => {
            let from = agreed.filter(|agreed| *agreed < checkpoint.size).unwrap_or(0);
            let tamper = other_history(report, checkpoint.size);
            report.findings.push(Finding {
                records: Some((from + 1, checkpoint.size)),
                ..whole(tamper, format!(
                    "these are not the records of which a witness has seen the checkpoint at {}", checkpoint.size
                ))
            });
        }
        None => {
            let most =
                evidence.witnessed.iter().map(|checkpoint| checkpoint.size).max().unwrap_or(0);
            if clean
                && most > size.max(told)
                && !report.findings.iter().any(|f| f.tamper == Tamper::Truncated)
            {
                let whole_folder = evidence.key_file.is_some() && cut.is_none();
                let tamper = if whole_folder { Tamper::RolledBack } else { Tamper::Truncated };
                report.findings.push(Finding {
                    records: Some((size + 1, most)),
                    ..whole(tamper, format!("a witness has seen {most} records, {size} are there"))
                });
            }
        }
    }
}

/// Does the file end where the seal of the key file goes, or in the middle of
/// it? It is in the key file first, and a crash can come between.
fn is_before(file: &KeyFile, last: &Walk) -> bool {
    let Some(seal) = &file.seal else { return false };
    let follows = Line::parse(seal.as_bytes()).is_ok_and(|seal| seal.prev == last.end.prev);
    let same = seal.bytes().zip(&last.torn).take_while(|(a, b)| a == *b).count();
    let rest = last.torn.get(same..).unwrap_or_default();
    follows && !last.flawed && (rest.is_empty() || rest.contains(&0))
}

/// Lines that are signed by the log's keys, and differ from what those keys
/// had signed before; or lines that nobody signed.
fn other_history(report: &Report, at: u64) -> Tamper {
    if report.signed < at { Tamper::Continued } else { Tamper::Resealed }
}
