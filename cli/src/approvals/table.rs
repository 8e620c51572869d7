//! Requests and decisions as people and programs see them.

use serde::Serialize;
use strongroom_approval::{Manner, Piece, Request, Row, Trust, Value, word};
use strongroom_audit::base64::encode;
use strongroom_protocol::action::Deed;
use strongroom_protocol::channel::o::{Pending, Verdict};
use strongroom_protocol::text::hex;
use strongroom_protocol::types::{ApprovalId, Name};

use super::book::Decided;
use crate::columns::columns;
use crate::error::to_json;
use crate::operator::age;
use crate::style::Style;

/// What waits, for people.
pub fn list(pending: &[Pending], style: Style) -> String {
    let rows: Vec<[String; 8]> = pending
        .iter()
        .map(|p| {
            [
                p.id.0.to_string(),
                age(p.age_ms),
                age(p.left_ms),
                format!("{}/{}", p.votes, p.quorum),
                p.times.to_string(),
                state(p).to_owned(),
                p.rule.as_ref().map_or("-", Name::as_str).to_owned(),
                what(p),
            ]
        })
        .collect();
    columns(["ID", "AGE", "LEFT", "VOTES", "TIMES", "STATE", "RULE", "WHAT"], &rows, style)
}

/// Where a request stands, in a word or two.
pub const fn state(pending: &Pending) -> &'static str {
    match (pending.approved, pending.voted) {
        (true, _) => "approved, unused",
        (false, true) => "you said yes",
        (false, false) => "waiting",
    }
}

/// What is asked for, in a line.
pub fn what(pending: &Pending) -> String {
    let head: Vec<String> =
        pending.head.as_slice().iter().map(|part| word(part.as_bytes())).collect();
    let cut = if pending.cut { " …" } else { "" };
    format!("{}: {}{cut}", pending.kind, head.join(" "))
}

/// What waits, for programs.
pub fn list_json(pending: &[Pending]) -> String {
    let approvals = pending.iter().map(PendingJson::from).collect();
    to_json(&ListJson { v: 1, approvals }) + "\n"
}

/// A request, for programs: every byte of it, what it says, and its digest.
pub fn shown_json(request: &Request, bytes: &[u8]) -> String {
    let object = request.object();
    let argv = match &object.deed {
        Deed::Exec(exec) => exec.argv.as_slice(),
        _ => &[],
    };
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let rows = request.rows();
    let approval = ShownJson {
        id: object.id.0,
        digest: hex(request.digest()),
        argv: argv.iter().map(|arg| lossy(arg.as_bytes())).collect(),
        rows: rows.iter().map(RowJson::from).collect(),
        action_base64: encode(bytes),
    };
    to_json(&Shown { v: 1, approval }) + "\n"
}

/// What became of a decision, for people.
pub fn decided(id: ApprovalId, verdict: Verdict, decided: &Decided) -> String {
    let ApprovalId(id) = id;
    let Decided { votes, quorum, settled } = decided;
    match (verdict, settled) {
        (Verdict::Deny, _) => format!("approval {id}: denied"),
        (Verdict::Approve, true) => format!("approval {id}: approved"),
        (Verdict::Approve, false) => {
            format!("approval {id}: {votes} of {quorum} approvals; others must agree")
        }
    }
}

/// The same for programs.
pub fn decided_json(id: ApprovalId, verdict: Verdict, decided: &Decided) -> String {
    let Decided { votes, quorum, settled } = *decided;
    let decided = DecidedJson { id: id.0, verdict: verdict.as_str(), votes, quorum, settled };
    to_json(&DecidedOne { v: 1, decided }) + "\n"
}

#[derive(Serialize)]
struct ListJson {
    v: u8,
    approvals: Vec<PendingJson>,
}

/// A request in short.
#[derive(Serialize)]
pub struct PendingJson {
    id: u64,
    kind: &'static str,
    rule: Option<String>,
    head: Vec<String>,
    head_cut: bool,
    age_ms: u64,
    left_ms: u64,
    votes: u8,
    quorum: u8,
    approved: bool,
    voted: bool,
    times: u32,
}

impl From<&Pending> for PendingJson {
    fn from(pending: &Pending) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            id: pending.id.0,
            kind: pending.kind.as_str(),
            rule: pending.rule.as_ref().map(|rule| rule.as_str().to_owned()),
            head: pending.head.as_slice().iter().map(|part| text(part.as_bytes())).collect(),
            head_cut: pending.cut,
            age_ms: pending.age_ms,
            left_ms: pending.left_ms,
            votes: pending.votes,
            quorum: pending.quorum,
            approved: pending.approved,
            voted: pending.voted,
            times: pending.times,
        }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    v: u8,
    approval: ShownJson<'a>,
}

#[derive(Serialize)]
struct ShownJson<'a> {
    id: u64,
    digest: String,
    argv: Vec<String>,
    rows: Vec<RowJson<'a>>,
    action_base64: String,
}

#[derive(Serialize)]
struct RowJson<'a> {
    label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<usize>,
    trust: &'static str,
    values: Vec<ValueJson<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ValueJson<'a> {
    Fact {
        #[serde(skip_serializing_if = "str::is_empty")]
        name: &'a str,
        fact: &'a str,
    },
    Text {
        text: String,
        bytes: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        notes: &'a [String],
    },
}

impl<'a> From<&'a Row> for RowJson<'a> {
    fn from(row: &'a Row) -> Self {
        Self {
            label: row.label,
            number: row.number,
            trust: match row.trust {
                Trust::Ours => "strongroom",
                Trust::Operators => "operator",
                Trust::Untrusted => "untrusted",
            },
            values: row.values.iter().map(ValueJson::from).collect(),
        }
    }
}

impl<'a> From<&'a Value> for ValueJson<'a> {
    fn from(value: &'a Value) -> Self {
        let text = match value {
            Value::Fact { name, words } => return Self::Fact { name, fact: words },
            Value::Text(text) => text,
        };
        let end = if text.manner == Manner::Prose { "\n" } else { "" };
        let pieces = text.pieces.iter().map(|piece| match piece {
            Piece::Plain(text) | Piece::Escape(text) => text.as_str(),
            Piece::LineEnd => end,
        });
        Self::Text {
            text: pieces.collect(),
            bytes: text.bytes,
            sha256: text.digest.as_ref().map(|digest| hex(digest)),
            notes: &text.notes,
        }
    }
}

#[derive(Serialize)]
struct DecidedOne {
    v: u8,
    decided: DecidedJson,
}

#[derive(Serialize)]
struct DecidedJson {
    id: u64,
    verdict: &'static str,
    votes: u8,
    quorum: u8,
    settled: bool,
}
