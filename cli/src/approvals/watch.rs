//! `strongroom approvals watch` where there is no terminal: a line for every
//! change, or an object. Whoever starts it again is told everything that
//! waits.

use std::collections::BTreeMap;
use std::io::Write as _;

use serde::Serialize;
use strongroom_protocol::channel::o::Pending;
use strongroom_protocol::types::{ApprovalId, Name};

use super::book::{Bell, Book};
use super::table::{PendingJson, what};
use crate::args::approvals::Seat;
use crate::error::{Failure, to_json};
use crate::operator::age;

/// Tells of changes until the session or the reader goes away.
///
/// # Errors
/// There is no session, or it is over.
pub fn watch(seat: &Seat, json: bool) -> Result<i32, Failure> {
    let mut book = Book::open(seat)?;
    let mut bell = Bell::open(seat)?;
    let mut known = BTreeMap::new();
    let mut out = std::io::stdout().lock();
    loop {
        if bell.ring()? {
            let now = book.pending()?;
            for change in changes(&mut known, now) {
                let line = if json { change.json() } else { change.text() };
                if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                    return Ok(0);
                }
            }
        }
    }
}

/// What a change is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    New(Box<Pending>),
    Moved(Box<Pending>),
    Over(ApprovalId),
}

/// What is different, in the order of numbers; `known` becomes `now`.
fn changes(known: &mut BTreeMap<ApprovalId, Pending>, now: Vec<Pending>) -> Vec<Change> {
    let now: BTreeMap<ApprovalId, Pending> = now.into_iter().map(|p| (p.id, p)).collect();
    let over = known.keys().filter(|id| !now.contains_key(id)).map(|id| Change::Over(*id));
    let mut changes: Vec<Change> = over.collect();
    for (id, pending) in &now {
        let pending = Box::new(pending.clone());
        match known.get(id) {
            None => changes.push(Change::New(pending)),
            Some(old) if place(old) != place(&pending) => changes.push(Change::Moved(pending)),
            Some(_) => {}
        }
    }
    *known = now;
    changes
}

/// What is worth telling of; time goes by without that.
const fn place(pending: &Pending) -> (u8, bool, bool, u32) {
    (pending.votes, pending.approved, pending.voted, pending.times)
}

impl Change {
    fn text(&self) -> String {
        match self {
            Self::New(p) => {
                let rule = p
                    .rule
                    .as_ref()
                    .map_or_else(String::new, |rule: &Name| format!(", rule {}", rule.as_str()));
                format!("{} waiting{rule}, {} left: {}", p.id.0, age(p.left_ms), what(p))
            }
            Self::Moved(p) if p.approved => {
                format!("{} approved, for whoever asks again within {}", p.id.0, age(p.left_ms))
            }
            Self::Moved(p) => format!(
                "{} waiting, {} of {} approvals, asked {} times",
                p.id.0, p.votes, p.quorum, p.times
            ),
            Self::Over(id) => format!("{} over", id.0),
        }
    }

    fn json(&self) -> String {
        match self {
            Self::New(p) => to_json(&News::of("waiting", p)),
            Self::Moved(p) => to_json(&News::of("changed", p)),
            Self::Over(id) => to_json(&Gone { v: 1, event: "over", id: id.0 }),
        }
    }
}

#[derive(Serialize)]
struct News {
    v: u8,
    event: &'static str,
    approval: PendingJson,
}

impl News {
    fn of(event: &'static str, pending: &Pending) -> Self {
        Self { v: 1, event, approval: pending.into() }
    }
}

#[derive(Serialize)]
struct Gone {
    v: u8,
    event: &'static str,
    id: u64,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sample::pending;

    #[test]
    fn what_has_changed() {
        let mut known = BTreeMap::new();
        let texts =
            |changes: Vec<Change>| -> Vec<String> { changes.iter().map(Change::text).collect() };
        let (mut one, two) = (pending(1), pending(2));
        assert_eq!(
            texts(changes(&mut known, vec![one.clone(), two.clone()])),
            [
                "1 waiting, rule git-push, 4m00s left: exec: git push \"two words\"",
                "2 waiting, rule git-push, 4m00s left: exec: git push \"two words\"",
            ]
        );
        one.left_ms = 5;
        assert!(changes(&mut known, vec![one.clone(), two.clone()]).is_empty(), "time goes by");
        one.votes = 1;
        assert_eq!(
            texts(changes(&mut known, vec![one.clone()])),
            ["2 over", "1 waiting, 1 of 2 approvals, asked 1 times"]
        );
        one.approved = true;
        let moved = changes(&mut known, vec![one]);
        assert_eq!(texts(moved.clone()), ["1 approved, for whoever asks again within 0.0s"]);
        let object: serde_json::Value = serde_json::from_str(&moved[0].json()).unwrap();
        assert_eq!((&object["event"], &object["approval"]["id"]), (&"changed".into(), &1.into()));
        assert_eq!(Change::Over(ApprovalId(7)).json(), r#"{"v":1,"event":"over","id":7}"#);
    }
}
