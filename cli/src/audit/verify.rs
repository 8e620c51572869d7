//! `strongroom audit verify`: what is wrong with the log, where, and up to
//! where it is sure. Never a bare yes.

use std::io;
use std::path::Path;

use serde::Serialize;
use strongroom_audit::folder::{self, Piece, Segment};
use strongroom_audit::line::Line;
use strongroom_audit::note::{VerifyKey, witnessed};
use strongroom_audit::scan::unescaped;
use strongroom_audit::verify::{Evidence, Report, verify as verify_log};
use strongroom_protocol::codes::{Code, exit};

use super::{files, threads, unreadable};
use crate::args::audit::Verify;
use crate::error::{Failure, print, shown, to_json};
use crate::style::Style;

/// Bytes of the longest witness file that is read.
const MAX_WITNESS: u64 = 1 << 30;

/// Verifies.
///
/// # Errors
/// [`Code::LogUnreadable`].
pub fn verify(args: &Verify, json: bool) -> Result<i32, Failure> {
    let (folder, segments) = files(&args.log)?;
    let pinned = args.key.as_deref().map(pinned).transpose()?;
    let mut checkpoints = Vec::new();
    for path in &args.witnesses {
        checkpoints.extend(witnessed(&read(path)?));
    }
    let beside = folder::first_key(&folder);
    let evidence = Evidence {
        first_key: pinned.clone().or_else(|| beside.clone()),
        witnessed: checkpoints,
        key_file: folder::key_file(&folder),
    };
    if segments.is_empty() && evidence.first_key.is_none() {
        return Err(Failure::new(
            Code::LogUnreadable,
            format!("{}: there is no log here", shown(&folder)),
        ));
    }
    let report =
        verify_log(&segments, &evidence, threads()).map_err(|e| unreadable(&folder, &e))?;
    let told = Told { report: &report, pinned: pinned.is_some(), witnesses: args.witnesses.len() };
    print(&if json { told.json() + "\n" } else { told.text(Style::of(&io::stdout())) });
    Ok(if report.is_clean() { 0 } else { exit::FOUND })
}

/// The first key, as it was given: itself, or a file with it.
fn pinned(given: &str) -> Result<VerifyKey, Failure> {
    let bad = |what: String| Failure::new(Code::LogUnreadable, what);
    if let Some(key) = VerifyKey::parse(given) {
        return Ok(key);
    }
    let text = std::fs::read_to_string(given)
        .map_err(|e| bad(format!("--key {given}: neither a key nor a file: {e}")))?;
    VerifyKey::parse(text.trim()).ok_or_else(|| bad(format!("--key {given}: no key is in it")))
}

fn read(path: &Path) -> Result<String, Failure> {
    use io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_WITNESS).read_to_end(&mut bytes))
        .map_err(|e| unreadable(path, &e))?;
    // A container's output may hold anything between the checkpoints.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The log's name, from its first line.
///
/// # Errors
/// Of reading the file.
pub fn origin(segments: &[Segment]) -> io::Result<String> {
    let mut origin = None;
    if let Some(first) = segments.first() {
        first.read(&mut |piece| {
            if let (Piece::Line(bytes), None) = (piece, &origin) {
                let line = Line::parse(bytes).ok();
                origin = Some(line.and_then(|line| line.text("origin").map(unescaped)));
            }
        })?;
    }
    Ok(origin.flatten().unwrap_or_default())
}

/// A report, and what it rests on.
struct Told<'a> {
    report: &'a Report,
    /// The first key came from the operator, not from beside the log.
    pinned: bool,
    witnesses: usize,
}

impl Told<'_> {
    fn text(&self, style: Style) -> String {
        let Report { records, signed, sealed, .. } = self.report;
        let mut lines = vec![format!(
            "log        {} in {} files, {records} records, the last of {}",
            self.report.origin.as_deref().unwrap_or("(none)"),
            self.report.segments,
            self.report.last_time.as_deref().unwrap_or("(no time)"),
        )];
        if let Some(key) = &self.report.first_key {
            lines.push(format!("first key  {key}"));
            lines.push(format!("           {}", self.key_note()));
        }
        lines.push(format!("signed     {}", up_to(*signed, *records)));
        lines.push(format!("sealed     {}", up_to(*sealed, *records)));
        lines.push(format!("witnessed  {}", self.witness_note()));
        lines.push(format!("end        {}", self.end_note()));
        let (sessions, open) = self.report.sessions;
        lines.push(format!(
            "sessions   {sessions}, {open} of them without an end (running, or cut short)"
        ));
        lines.extend(self.report.remarks.iter().map(|remark| format!("remark     {remark}")));
        for finding in &self.report.findings {
            lines.push(format!("{} {finding}", style.bad("tampered  ")));
        }
        for disagreement in &self.report.disagreements {
            lines.push(format!("{} {disagreement}", style.bad("differs   ")));
        }
        lines.push(self.verdict(style));
        lines.join("\n") + "\n"
    }

    fn verdict(&self, style: Style) -> String {
        let code = |code: Code| style.bad(&format!("{code}: {}", code.entry().what));
        if !self.report.findings.is_empty() {
            return code(Code::LogTampered);
        }
        if !self.report.disagreements.is_empty() {
            return code(Code::LogDisagrees);
        }
        let good = match self.report.witnessed {
            Some(at) => format!("nothing wrong up to record {at}, as witnessed"),
            None => format!(
                "nothing wrong with the {} records that are there; nobody has witnessed that they are all",
                self.report.records
            ),
        };
        style.good(&good)
    }

    fn key_note(&self) -> &'static str {
        match (self.pinned, self.report.first_key_known) {
            (true, true) => "as you know it from elsewhere",
            (false, true) => {
                "as it lies beside the log: note it down elsewhere, and give it with --key"
            }
            (_, false) => "as the log says itself",
        }
    }

    fn witness_note(&self) -> String {
        match (self.report.witnessed, self.witnesses) {
            (Some(at), _) => up_to(at, self.report.records),
            (None, 0) => "not asked: give a witness's file with --witness".to_owned(),
            (None, _) => "by nobody: no checkpoint of this log is in the files given".to_owned(),
        }
    }

    fn end_note(&self) -> String {
        if self.report.ended {
            return "sealed at the end of a session".to_owned();
        }
        let unsigned = self.report.records.saturating_sub(self.report.signed);
        let torn = match self.report.torn {
            0 => String::new(),
            bytes => format!(", {bytes} bytes of a torn line"),
        };
        format!(
            "open: a recorder is running, was cut short, or the end was taken off; {unsigned} records that nobody has \
             signed{torn}"
        )
    }

    fn json(&self) -> String {
        let report = self.report;
        let body = Body {
            origin: report.origin.as_deref(),
            first_key: report.first_key.as_ref().map(ToString::to_string),
            first_key_from: match (self.pinned, report.first_key_known) {
                (true, true) => "operator",
                (false, true) => "beside-the-log",
                (_, false) => "log",
            },
            files: report.segments,
            records: report.records,
            signed: report.signed,
            sealed: report.sealed,
            witnessed: report.witnessed,
            ended: report.ended,
            torn_bytes: report.torn,
            last_time: report.last_time.as_deref(),
            sessions: report.sessions.0,
            sessions_without_end: report.sessions.1,
            remarks: &report.remarks,
            findings: report
                .findings
                .iter()
                .map(|found| FindingJson {
                    what: found.tamper.as_str(),
                    file: found.file.as_deref(),
                    line: found.line,
                    first_record: found.records.map(|(first, _)| first),
                    last_record: found.records.map(|(_, last)| last),
                    detail: &found.detail,
                })
                .collect(),
            disagreements: report
                .disagreements
                .iter()
                .map(|found| DisagreementJson {
                    what: found.difference.as_str(),
                    session: &found.session,
                    command: found.req,
                    record: found.record,
                })
                .collect(),
        };
        to_json(&Outer { v: 1, verify: body })
    }
}

fn up_to(at: u64, of: u64) -> String {
    match at {
        0 => "no record".to_owned(),
        at if at == of => format!("up to record {at}, the last"),
        at => format!("up to record {at} of {of}"),
    }
}

#[derive(Serialize)]
struct Outer<'a> {
    v: u8,
    verify: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    origin: Option<&'a str>,
    first_key: Option<String>,
    first_key_from: &'static str,
    files: usize,
    records: u64,
    signed: u64,
    sealed: u64,
    witnessed: Option<u64>,
    ended: bool,
    torn_bytes: u64,
    last_time: Option<&'a str>,
    sessions: u64,
    sessions_without_end: u64,
    remarks: &'a [String],
    findings: Vec<FindingJson<'a>>,
    disagreements: Vec<DisagreementJson<'a>>,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    what: &'static str,
    file: Option<&'a str>,
    line: Option<u64>,
    first_record: Option<u64>,
    last_record: Option<u64>,
    detail: &'a str,
}

#[derive(Serialize)]
struct DisagreementJson<'a> {
    what: &'static str,
    session: &'a str,
    command: Option<u64>,
    record: Option<u64>,
}
