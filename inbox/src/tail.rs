//! The last records of the audit log, for a page.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use strongroom_audit::folder::{self, Piece, Segment, Source};
use strongroom_audit::line::{Line, MAX_LINE};
use strongroom_audit::scan::{Raw, members, unescaped};
use strongroom_audit::schema::{Level, level};
use strongroom_audit::segment::Name;

/// Records that are shown.
pub const RECORDS: usize = 200;

/// Bytes of the open file's end that are read: far more than so many records
/// usually have.
const END: u64 = 4 * MAX_LINE as u64;

/// A record, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub seq: u64,
    /// When, in UTC, to the second.
    pub time: String,
    /// What happened.
    pub event: String,
    /// How grave it is.
    pub level: Level,
    /// Who says so.
    pub writer: String,
    /// Its fields and what they say, in their order.
    pub fields: Vec<(String, String)>,
}

/// The last ones, newest first.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn last(log: &Path) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    for segment in folder::segments(log)?.iter().rev() {
        let wanted = RECORDS - records.len();
        records.extend(end_of(segment, wanted)?.into_iter().rev());
        if records.len() >= RECORDS {
            break;
        }
    }
    Ok(records)
}

/// The last records of a file, oldest first.
fn end_of(segment: &Segment, wanted: usize) -> io::Result<VecDeque<Record>> {
    let mut last = VecDeque::new();
    let mut keep = |bytes: &[u8]| {
        if let Ok(line) = Line::parse(bytes) {
            last.push_back(record(&line));
            if last.len() > wanted {
                last.pop_front();
            }
        }
    };
    match (&segment.name, &segment.source) {
        (Name::Open, Source::File(path)) => {
            let mut file = File::open(path)?;
            let from = file.metadata()?.len().saturating_sub(END);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(END).read_to_end(&mut bytes)?;
            // The first is part of one where the file is longer, and then no
            // record of ours; so is one that is being written.
            bytes.split(|b| *b == b'\n').for_each(keep);
        }
        _ => segment.read(&mut |piece| {
            if let Piece::Line(bytes) = piece {
                keep(bytes);
            }
        })?,
    }
    Ok(last)
}

fn record(line: &Line<'_>) -> Record {
    Record {
        seq: line.seq,
        time: line.time.get(..19).unwrap_or(line.time).replacen('T', " ", 1),
        event: line.event.to_owned(),
        level: level(line),
        writer: line.writer.to_owned(),
        fields: members(line.fields).map(|(name, value)| (name.to_owned(), plain(value))).collect(),
    }
}

fn plain(value: Raw<'_>) -> String {
    match value {
        Raw::Number(digits) => digits.to_owned(),
        Raw::Flag(flag) => flag.to_string(),
        Raw::Text(text) => unescaped(text),
        list @ Raw::List(inside) => {
            let words: Vec<String> = list.texts().map(|text| quoted(&unescaped(text))).collect();
            if words.is_empty() { inside.to_owned() } else { words.join(" ") }
        }
        Raw::Object(inside) => inside.to_owned(),
    }
}

/// One of several words: what could be taken for two is quoted.
fn quoted(word: &str) -> String {
    let simple = |c: char| !c.is_whitespace() && c != '"';
    if !word.is_empty() && word.chars().all(simple) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn line(seq: u64, fields: &str) -> String {
        format!(
            "{{\"v\":1,\"seq\":{seq},\"time\":\"2026-01-31T23:59:59.000001Z\",\"mono_us\":1,\"session\":\"{}\",\
             \"writer\":\"broker\",\"event\":\"intent\"{fields},\"prev\":\"{}\"}}\n",
            "ab".repeat(16),
            "00".repeat(32)
        )
    }

    #[test]
    fn a_record_for_people() {
        let text =
            line(41, ",\"req\":7,\"argv\":[\"git\",\"a b\",\"\"],\"reason\":\"say \\\"x\\\"\"");
        let record = record(&Line::parse(text.trim_end().as_bytes()).unwrap());
        assert_eq!((record.seq, record.time.as_str()), (41, "2026-01-31 23:59:59"));
        let fields: Vec<(&str, &str)> =
            record.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(fields, [("req", "7"), ("argv", "git \"a b\" \"\""), ("reason", "say \"x\"")]);
    }

    #[test]
    fn the_end_of_a_long_file() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(last(folder.path()).unwrap(), []);
        let mut file = File::create(folder.path().join(strongroom_audit::segment::OPEN)).unwrap();
        let filler = format!(",\"reason\":\"{}\"", "x".repeat(40_000));
        for seq in 1..=300 {
            file.write_all(line(seq, &filler).as_bytes()).unwrap();
        }
        file.write_all(b"{\"v\":1,\"seq\":301,\"ti").unwrap();
        let records = last(folder.path()).unwrap();
        assert_eq!(records.first().unwrap().seq, 300);
        assert!(records.is_sorted_by_key(|r| std::cmp::Reverse(r.seq)));
        // As many as fit what is read of it.
        assert!((90..=RECORDS).contains(&records.len()), "{}", records.len());
        for seq in 301..=600 {
            file.write_all(line(seq, "").as_bytes()).unwrap();
        }
        assert_eq!(last(folder.path()).unwrap().len(), RECORDS);
    }

    #[test]
    fn no_folder() {
        assert!(last(Path::new("/nonexistent")).is_err());
    }
}
