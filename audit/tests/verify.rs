//! Whoever touches a log is found out, and what was done has its right name.
//! `STRONGROOM_MANY=1` tries every byte and every record.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::*;
use strongroom_audit::verify::{Evidence, Walked, verify};

#[test]
fn a_log_that_was_not_touched() {
    let log = Built::new(SMALL);
    let report = log.verify(&log.evidence());
    assert_eq!(named(&report.findings), [""; 0], "{:?}", report.findings);
    assert_eq!(report.disagreements, []);
    let records = log.lines().len() as u64;
    assert_eq!((report.records, report.signed, report.sealed), (records, records, records));
    assert_eq!(report.witnessed, Some(records));
    assert!(report.ended && report.first_key_known && report.is_clean());
    assert_eq!(report.sessions, (1, 0));
    assert_eq!(report.origin.as_deref(), Some("strongroom-audit/11"));

    // Without a witness nobody knows where it ends.
    let report = log.verify(&Evidence::default());
    assert!(report.is_clean() && !report.first_key_known && report.witnessed.is_none());
    // More threads, the same.
    let report = verify(&log.segments(), &log.evidence(), 4).unwrap();
    assert!(report.is_clean());
}

fn many() -> bool {
    std::env::var_os("STRONGROOM_MANY").is_some()
}

/// A log of a thousand records in small files.
fn thousand() -> Built {
    let log =
        Built::new(Shape { records: 942, checkpoint: 16, epoch: 60, segment: 25, origin: 0x11 });
    assert!((1000..1100).contains(&log.lines().len()), "{}", log.lines().len());
    log
}

/// Every byte of a thousand records, each with another bit.
#[test]
fn a_byte_is_changed() {
    let log = thousand();
    let step = if many() { 1 } else { 61 };
    let evidence = [log.evidence(), log.key_only()];
    let threads: Vec<_> = (0..2).collect();
    let tried: usize = std::thread::scope(|scope| {
        let half = |half: &usize| {
            let (log, evidence, half) = (&log, &evidence, *half);
            scope.spawn(move || flip_half(log, evidence, half, step))
        };
        let handles: Vec<_> = threads.iter().map(half).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).sum()
    });
    println!("{tried} bytes changed, one at a time: each found and named");
}

fn flip_half(log: &Built, evidence: &[Evidence; 2], half: usize, step: usize) -> usize {
    let segments = log.segments();
    let mut tried = 0;
    for evidence in evidence {
        let mut walked = Walked::through(&segments, evidence, 1).unwrap();
        for (at, lines) in log.files.iter().enumerate().filter(|(at, _)| at % 2 == half) {
            let clean = lines.concat();
            let is_last = at + 1 == log.files.len();
            let mut seq = log.files[..at].iter().map(Vec::len).sum::<usize>() as u64 + 1;
            for (offset, byte) in clean.iter().enumerate() {
                if (offset + at) % step == 0 {
                    tried += 1;
                    let mut bytes = clean.clone();
                    bytes[offset] ^= 1 << (offset % 8);
                    walked.again(at, &segment(at, is_last, bytes)).unwrap();
                    let report = walked.report().unwrap();
                    let context = || {
                        format!("file {at}, offset {offset}, record {seq}: {:?}", report.findings)
                    };
                    // Without the key file nobody knows what was there at the end.
                    // A zero is what a crash leaves of what was not on the disk.
                    let zero = is_last && byte ^ 1 << (offset % 8) == 0;
                    let last_byte = is_last && offset + 1 == clean.len() || zero;
                    if last_byte && evidence.key_file.is_none() {
                        assert!(report.torn > 0 && !report.ended, "{}", context());
                    } else {
                        assert!(!report.findings.is_empty(), "{}", context());
                        // Of the last line of all, only the seal in the key file
                        // says that it alone was changed.
                        let last_line = is_last && seq == log.lines().len() as u64;
                        let blind = last_line && evidence.key_file.is_none();
                        let names = named(&report.findings);
                        let right = names == ["changed"]
                            || blind && names == ["rewritten"]
                            || zero && names == ["truncated"];
                        assert!(right, "{}", context());
                        let there = report.findings.iter().any(|finding| {
                            // Blind to it, the line before is as good a guess.
                            let slack = u64::from(blind);
                            finding
                                .records
                                .is_none_or(|(first, last)| first <= seq && seq <= last + slack)
                        });
                        assert!(there, "{}", context());
                    }
                }
                seq += u64::from(*byte == b'\n');
            }
            walked.again(at, &segments[at]).unwrap();
        }
        assert!(walked.report().unwrap().is_clean());
    }
    tried
}

/// The very last byte is a newline, of a line that the key file knows.
#[test]
fn the_last_newline_is_changed() {
    let log = Built::new(SMALL);
    let mut files = log.files.clone();
    *files.last_mut().unwrap().last_mut().unwrap().last_mut().unwrap() ^= 0x80;
    let unseen = Evidence { witnessed: vec![], ..log.evidence() };
    for evidence in [log.evidence(), unseen] {
        let report = verify(&segments(&files), &evidence, 1).unwrap();
        assert_eq!(named(&report.findings), ["changed"], "{:?}", report.findings);
    }
}

/// Each record of a thousand deleted, put twice, changed with the next.
#[test]
fn a_record_is_deleted_doubled_or_moved() {
    let log = thousand();
    let evidence = log.evidence();
    let segments = log.segments();
    let mut walked = Walked::through(&segments, &evidence, 1).unwrap();
    let lines = log.lines().len();
    let step = if many() { 1 } else { 3 };
    let mut tried = 0;
    for n in (0..lines).step_by(step).chain([lines - 1]) {
        let (file, at) = log.place(n);
        let is_last = file + 1 == log.files.len();
        let mut check = |tamper: &dyn Fn(&mut Vec<Vec<u8>>), names: &[&str]| {
            let mut lines = log.files[file].clone();
            tamper(&mut lines);
            walked.again(file, &segment(file, is_last, lines.concat())).unwrap();
            let report = walked.report().unwrap();
            let found = named(&report.findings);
            assert!(
                names.contains(&found.join(" ").as_str()),
                "record {}: {:?}",
                n + 1,
                report.findings
            );
            walked.again(file, &segments[file]).unwrap();
            tried += 1;
        };
        // The last one of all: its end is missing.
        check(
            &|lines| drop(lines.remove(at)),
            if n + 1 == lines { &["truncated"] } else { &["deleted"] },
        );
        check(&|lines| lines.insert(at, lines[at].clone()), &["duplicated"]);
        if at + 1 < log.files[file].len() {
            check(&|lines| lines.swap(at, at + 1), &["moved"]);
        }
    }
    println!("{tried} records deleted, doubled or moved: each found and named");
}

/// Anything, anywhere, by whoever has no key, the chain made anew or not.
#[test]
fn random_tampering() {
    let log = Built::new(SMALL);
    let other = Built::new(Shape { origin: 0x22, ..SMALL });
    let mut random = Random(0x5eed);
    let rounds = if many() { 100_000 } else { 3_000 };
    let mut tally = std::collections::BTreeMap::new();
    for round in 0..rounds {
        let (operation, evidence, files, expected) = tamper(&log, &other, &mut random);
        let report = verify(&segments(&files), &evidence, 1).unwrap();
        let found = named(&report.findings).join(" ");
        assert!(
            expected.contains(&found.as_str()),
            "round {round}, {operation}: {found}, not {expected:?}: {:?}",
            report.findings
        );
        *tally.entry(operation).or_insert(0) += 1;
    }
    println!("{rounds} random tamper operations, each found and named: {tally:?}");
}

type Files = Vec<Vec<Vec<u8>>>;

/// What was done, what the verifier knows, the files, and how it may be named.
fn tamper(
    log: &Built,
    other: &Built,
    random: &mut Random,
) -> (&'static str, Evidence, Files, &'static [&'static str]) {
    let mut files = log.files.clone();
    let lines = log.lines().len();
    // Somewhere, but neither at the beginning nor at the end.
    let n = 3 + random.below(lines - 6);
    let (file, at) = log.place(n);
    let nobody = |_| None;
    let key_only = log.key_only();
    match random.below(20) {
        0 => {
            let line = &mut files[file][at];
            let byte = random.below(line.len());
            line[byte] ^= 1 << random.below(8);
            ("flip", key_only, files, &["changed"])
        }
        1 => {
            files[file].remove(at);
            ("delete", key_only, files, &["deleted"])
        }
        2 => {
            // Not up to the end of all: that is another thing.
            let most = log.files[file].len() - at - 1;
            let count = (1 + random.below(5)).min(most).max(1);
            files[file].drain(at..at + count);
            ("delete several", key_only, files, &["deleted"])
        }
        3 => {
            let copy = files[file][at].clone();
            let (to, place) = log.place(3 + random.below(lines - 6));
            files[to].insert(place, copy);
            ("duplicate", key_only, files, &["duplicated"])
        }
        4 => {
            let (other_file, other_at) = log.place(3 + random.below(lines - 6));
            if (other_file, other_at) == (file, at) {
                return ("nothing", key_only, files, &[""]);
            }
            let line = files[file][at].clone();
            files[file][at] = std::mem::replace(&mut files[other_file][other_at], line);
            ("swap", key_only, files, &["moved"])
        }
        5 => {
            let alien = other.lines()[n].clone();
            files[file].insert(at, alien);
            ("insert", key_only, files, &["inserted"])
        }
        6 => {
            let count = 2 + random.below(4);
            let aliens = other.lines();
            let aliens = aliens[n..(n + count).min(aliens.len())].to_vec();
            files[file].splice(at..at, aliens);
            ("insert several of another log", key_only, files, &["spliced"])
        }
        7 => {
            let count = (2 + random.below(5)).min(files[file].len() - at);
            if count < 2 {
                return ("nothing", key_only, files, &[""]);
            }
            let aliens = other.files[file][at..at + count].to_vec();
            files[file].splice(at..at + count, aliens);
            ("splice", key_only, files, &["spliced"])
        }
        8 => {
            let line = with_mono(&files[file][at], |mono| mono + 1);
            files[file][at] = line;
            ("change and chain anew", key_only, rechained(&files, nobody), &["rewritten"])
        }
        9 => {
            let line = &files[file][at];
            if line.windows(8).any(|w| w == b"\"segment") || is_signed(line) {
                return ("nothing", key_only, files, &[""]);
            }
            files[file].remove(at);
            ("delete and chain anew", key_only, rechained(&files, nobody), &["deleted"])
        }
        10 => {
            let made = edited(&log.files[0][2], "\"tier\":\"full\"", "\"tier\":\"none\"");
            files[file].insert(at.max(1), made);
            ("insert and chain anew", key_only, rechained(&files, nobody), &["inserted"])
        }
        11 => {
            // Who took over later has the key of the last epoch, and signs
            // with it whatever there is to sign.
            let n = 3 + random.below(lines / 2);
            let (file, at) = log.place(n);
            let line = with_mono(&files[file][at], |mono| mono + 1);
            files[file][at] = line;
            let (origin, last) = (log.origin, log.epoch - 1);
            let files = rechained(&files, |_| Some(key(origin, last)));
            ("re-seal with the current key", key_only, files, &["re-sealed"])
        }
        12 => {
            // All within the epoch of which he has the key: only a witness knows.
            let (file, at) = last_epoch(log, random);
            files[file][at] = edited(&files[file][at], "\"session\":\"11", "\"session\":\"12");
            let (origin, last) = (log.origin, log.epoch - 1);
            let files = rechained(&files, |epoch| (epoch == last).then(|| key(origin, last)));
            let witnessed = Evidence { witnessed: log.notes.clone(), ..key_only };
            ("re-seal what only a witness knows", witnessed, files, &["re-sealed"])
        }
        13 => {
            let cut = cut(&files, lines - n);
            ("truncate", log.evidence(), cut, &["truncated"])
        }
        14 => {
            let cut = cut(&files, lines - n);
            let witnessed = Evidence { witnessed: log.notes.clone(), ..key_only };
            ("truncate, known to a witness", witnessed, cut, &["truncated"])
        }
        15 => {
            // Cut off, and as many other lines, and more, in their place.
            let mut files = cut(&files, lines - n);
            let last = files.last_mut().unwrap();
            for _ in 0..lines - n + 2 {
                last.push(edited(&log.files[0][2], "\"tier\":\"full\"", "\"tier\":\"none\""));
            }
            let files = rechained(&files, nobody);
            ("truncate and continue", log.evidence(), files, &["truncated-and-continued"])
        }
        16 => {
            let (file, at) = last_epoch(log, random);
            let line = &files[file][at];
            files[file][at] = match random.below(3) {
                0 => edited(line, "T00:", "T01:"),
                1 => with_mono(line, |mono| mono / 2),
                _ => edited(line, "2026-01-31", "2025-01-31"),
            };
            let (origin, last) = (log.origin, log.epoch - 1);
            let files = rechained(&files, |epoch| (epoch == last).then(|| key(origin, last)));
            ("forge a clock", key_only, files, &["clock"])
        }
        17 => {
            let gone = random.below(files.len() - 1);
            let mut segments: Vec<_> = log.segments();
            segments.remove(gone);
            let report = verify(&segments, &log.evidence(), 1).unwrap();
            assert_eq!(named(&report.findings), ["segment-missing"], "{:?}", report.findings);
            ("drop a segment", key_only, files, &[""])
        }
        18 => {
            let (one, two) = (random.below(files.len()), random.below(files.len()));
            if one == two {
                return ("nothing", key_only, files, &[""]);
            }
            files.swap(one, two);
            ("swap segments", key_only, files, &["segment-moved", "moved segment-moved"])
        }
        _ => {
            // The whole folder as it was at an earlier seal.
            let earlier = &log.seals[random.below(log.seals.len() - 1)];
            let size = earlier.state.tree.size() as usize;
            let files = cut(&files, lines - size);
            let evidence = Evidence { key_file: Some(earlier.clone()), ..log.evidence() };
            let unknown = Evidence { witnessed: vec![], ..evidence.clone() };
            let report = verify(&segments(&files), &unknown, 1).unwrap();
            assert!(report.is_clean() && report.witnessed.is_none(), "{:?}", report.findings);
            ("roll back", evidence, files, &["rolled-back"])
        }
    }
}

/// The line with its monotonic clock set otherwise.
fn with_mono(line: &[u8], set: impl Fn(u64) -> u64) -> Vec<u8> {
    let mono = strongroom_audit::line::Line::parse(line.trim_ascii_end()).unwrap().mono_us;
    let [from, to] = [mono, set(mono)].map(|mono| format!("\"mono_us\":{mono}"));
    edited(line, &from, &to)
}

fn is_signed(line: &[u8]) -> bool {
    line.windows(7).any(|w| w == b"\"note\":")
}

/// A line of the last epoch that no seal is.
fn last_epoch(log: &Built, random: &mut Random) -> (usize, usize) {
    let before = log.seals[log.seals.len() - 2].state.tree.size() as usize;
    let lines = log.lines();
    let plain: Vec<usize> =
        (before..lines.len()).filter(|n| !is_signed(&lines[*n]) && n - before > 1).collect();
    log.place(plain[random.below(plain.len())])
}

/// Without so many lines at the end.
fn cut(files: &Files, count: usize) -> Files {
    let mut files = files.clone();
    for _ in 0..count {
        while files.last().unwrap().is_empty() {
            files.pop();
        }
        files.last_mut().unwrap().pop();
    }
    files.retain(|lines| !lines.is_empty());
    files
}

#[test]
fn another_log_in_its_place() {
    let log = Built::new(SMALL);
    let other = Built::new(Shape { origin: 0x22, ..SMALL });
    let report = verify(&log.segments(), &other.key_only(), 1).unwrap();
    assert_eq!(named(&report.findings), ["replaced"]);
    let witnessed = Evidence { witnessed: other.notes.clone(), ..log.key_only() };
    assert_eq!(named(&log.verify(&witnessed).findings), ["replaced"]);
    // Nothing at all, where there was something.
    let report = verify(&[], &log.evidence(), 1).unwrap();
    assert_eq!(named(&report.findings), ["truncated"]);
    let report = verify(&[segment(0, true, vec![])], &log.evidence(), 1).unwrap();
    assert_eq!(named(&report.findings), ["truncated"]);
    assert!(verify(&[], &Evidence::default(), 1).unwrap().is_clean());
}

/// What is open: a running recorder's log, or one that was killed.
#[test]
fn a_log_that_has_no_end_is_no_fault_and_is_told() {
    let log = Built::new(SMALL);
    let lines = log.lines();
    let sealed = log.seals[log.seals.len() - 2].clone();
    let size = sealed.state.tree.size() as usize;
    for left in size..lines.len() {
        let files = cut(&log.files, lines.len() - left);
        let evidence = Evidence { key_file: Some(sealed.clone()), ..log.key_only() };
        let report = verify(&segments(&files), &evidence, 1).unwrap();
        assert!(report.is_clean(), "{left}: {:?} {:?}", report.findings, report.disagreements);
        assert!(!report.ended && report.signed <= left as u64 && report.sealed == size as u64);
    }
    let mut torn = log.files.clone();
    let last = torn.last_mut().unwrap().last_mut().unwrap();
    last.truncate(last.len() / 2);
    let report = verify(&segments(&torn), &log.evidence(), 1).unwrap();
    // The witness has seen the seal that is torn here.
    assert_eq!(named(&report.findings), ["truncated"]);
    let unseen = Evidence { witnessed: vec![], ..log.evidence() };
    let report = verify(&segments(&torn), &unseen, 1).unwrap();
    assert!(report.is_clean() && report.torn > 0, "{:?}", report.findings);
}
