//! What agents may read again of what is recorded: the latest records of this
//! session about agents' own requests. Not the log itself, which only the
//! recorder has, and nothing of what operators do.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use strongroom_protocol::channel::a::{Level, Logged, Outcome};
use strongroom_protocol::channel::r::{ActionRecord, Record};
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_PAGE;
use strongroom_protocol::types::{List, Reason, ReqId};

use crate::account::{milliseconds, name};

/// Records kept.
const KEPT: usize = 1024;

/// Bytes kept of what a record is about: so that a page fits one packet.
const TEXT: usize = 512;

/// The latest records.
#[derive(Debug, Default)]
pub struct Journal {
    entries: VecDeque<Logged>,
    last: u64,
}

/// Which of them are asked for.
#[derive(Debug)]
pub struct Wish {
    /// Those after this number.
    pub after: u64,
    /// Not before, milliseconds since 1970.
    pub since_ms: u64,
    /// At least this grave.
    pub level: Level,
    /// With this text in them.
    pub pattern: Option<Reason>,
}

impl Wish {
    fn wants(&self, entry: &Logged) -> bool {
        let holds = |pattern: &Reason| {
            let (text, pattern) = (entry.text.as_bytes(), pattern.as_bytes());
            pattern.is_empty() || text.windows(pattern.len()).any(|part| part == pattern)
        };
        entry.number > self.after
            && entry.at_ms >= self.since_ms
            && entry.level >= self.level
            && self.pattern.as_ref().is_none_or(holds)
    }
}

impl Journal {
    /// Takes a record, if it is about an agent's request. It was made without
    /// values.
    pub fn note(&mut self, record: &Record, now: SystemTime) {
        let Some(Line { event, level, req, code, text }) = line(record) else { return };
        let Ok(text) = Reason::new(text.get(..TEXT).unwrap_or(&text)) else { return };
        self.last += 1;
        if self.entries.len() >= KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(Logged {
            number: self.last,
            at_ms: now.duration_since(UNIX_EPOCH).map_or(0, milliseconds),
            level,
            event: name(event),
            req,
            code,
            text,
        });
    }

    /// A page of those that are asked for, and the number after which the next
    /// page begins; 0: there is none.
    #[must_use]
    pub fn page(&self, wish: &Wish) -> (List<Logged, MAX_PAGE>, u64) {
        let mut rest = self.entries.iter().filter(|entry| wish.wants(entry));
        let page: Vec<Logged> = rest.by_ref().take(MAX_PAGE).cloned().collect();
        let last = page.last().map_or(0, |entry| entry.number);
        let next = rest.next().map_or(0, |_| last);
        (List::new(page).unwrap_or_else(|_| List::empty()), next)
    }
}

/// A record, as far as it concerns an agent.
struct Line {
    event: &'static str,
    level: Level,
    req: Option<ReqId>,
    code: Option<Code>,
    text: Vec<u8>,
}

impl Line {
    fn new(event: &'static str, req: Option<ReqId>, code: Option<Code>, text: Vec<u8>) -> Self {
        let level = if code.is_some() { Level::Warning } else { Level::Info };
        Self { event, level, req, code, text }
    }

    fn at_least(self, level: Level) -> Self {
        Self { level: self.level.max(level), ..self }
    }
}

fn line(record: &Record) -> Option<Line> {
    Some(match record {
        Record::Intent { req, action } => Line::new("intent", Some(*req), None, words(action)),
        Record::Denied { code, action } => Line::new("denied", None, Some(*code), words(action)),
        Record::Outcome { req, outcome, usage, masked, .. } => {
            let (end, code) = match outcome {
                Outcome::Exited(status) => (format!("exit {status}"), None),
                Outcome::Signalled(signal) => (format!("signal {signal}"), None),
                Outcome::Ended(code) => ("ended".to_owned(), Some(*code)),
            };
            let mut text = format!("{end} after {} ms", usage.wall_us / 1000);
            if *masked > 0 {
                text.push_str(&format!(", {masked} values masked"));
            }
            let line = Line::new("outcome", Some(*req), code, text.into_bytes());
            if *masked > 0 { line.at_least(Level::Warning) } else { line }
        }
        Record::Write { req, write } => {
            Line::new("write", Some(*req), None, write.path.as_bytes().to_vec())
        }
        Record::WriteDenied { code, path, .. } => {
            Line::new("write-denied", None, Some(*code), path.as_bytes().to_vec())
        }
        Record::Credential { verb, name, connection: Some(_), code, .. } => {
            let text = format!("{} {}", verb.as_str(), name.as_str());
            Line::new("credential", None, *code, text.into_bytes()).at_least(Level::Notice)
        }
        Record::Asked { approval, kind, .. } => {
            let text = format!("approval {}: {kind}", approval.0);
            Line::new("asked", None, None, text.into_bytes()).at_least(Level::Notice)
        }
        Record::Settled { approval, how, .. } => {
            let text = format!("approval {}: {}", approval.0, how.as_str());
            Line::new("settled", None, None, text.into_bytes()).at_least(Level::Notice)
        }
        Record::Unasked { code, question, .. } => {
            Line::new("unasked", None, Some(*code), question.as_bytes().to_vec())
        }
        _ => return None,
    })
}

fn words(action: &ActionRecord) -> Vec<u8> {
    let argv: Vec<&[u8]> = action.argv.as_slice().iter().map(|arg| arg.as_bytes()).collect();
    argv.join(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use strongroom_protocol::channel::a::Usage;
    use strongroom_protocol::types::{Arg, CredentialName};

    fn action(argv: &[&str]) -> Box<ActionRecord> {
        Box::new(ActionRecord {
            connection: 1,
            argv: List::new(argv.iter().map(|a| Arg::new(*a).unwrap()).collect()).unwrap(),
            argc: 1,
            argv_digest: None,
            cwd: None,
            rule: None,
            profile: None,
            credentials: List::empty(),
            reason: None,
            approval: None,
        })
    }

    fn at(ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(ms)
    }

    fn all() -> Wish {
        Wish { after: 0, since_ms: 0, level: Level::Info, pattern: None }
    }

    fn numbers(journal: &Journal, wish: &Wish) -> Vec<u64> {
        journal.page(wish).0.as_slice().iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn an_agents_records_by_level_time_and_text() {
        let mut journal = Journal::default();
        journal.note(&Record::Intent { req: ReqId(1), action: action(&["git", "push"]) }, at(10));
        journal.note(&Record::Denied { code: Code::RuleDenies, action: action(&["rm"]) }, at(20));
        let (list, next) = journal.page(&all());
        let [intent, denied] = list.as_slice() else { panic!("{list:?}") };
        assert_eq!(next, 0);
        assert_eq!((intent.text.as_bytes(), intent.req), (&b"git push"[..], Some(ReqId(1))));
        assert_eq!((denied.code, denied.level), (Some(Code::RuleDenies), Level::Warning));
        assert_eq!((denied.number, denied.at_ms, denied.event.as_str()), (2, 20, "denied"));
        assert_eq!(numbers(&journal, &Wish { level: Level::Warning, ..all() }), [2]);
        assert_eq!(numbers(&journal, &Wish { since_ms: 11, ..all() }), [2]);
        assert_eq!(numbers(&journal, &Wish { after: 1, ..all() }), [2]);
        let pattern = Some(Reason::new("t p").unwrap());
        assert_eq!(numbers(&journal, &Wish { pattern, ..all() }), [1]);
    }

    #[test]
    fn nothing_of_operators() {
        let mut journal = Journal::default();
        let put = |connection| Record::Credential {
            verb: name("put"),
            name: CredentialName::new("TOKEN").unwrap(),
            connection,
            reason: None,
            code: None,
            approval: None,
        };
        journal.note(&put(None), at(1));
        journal.note(&Record::Order { order: name("status"), req: None, by: None }, at(1));
        assert_eq!(numbers(&journal, &all()), []);
        journal.note(&put(Some(1)), at(1));
        assert_eq!(numbers(&journal, &all()), [1]);
    }

    #[test]
    fn bounded_and_in_pages() {
        let mut journal = Journal::default();
        let long = "x".repeat(10_000);
        let outcome = Record::Outcome {
            req: ReqId(1),
            outcome: Outcome::Exited(3),
            usage: Usage { wall_us: 7_000, ..Usage::default() },
            output: [0, 0],
            output_cut: false,
            protected: List::empty(),
            failed: None,
            masked: 2,
            digests: None,
        };
        journal.note(&outcome, at(1));
        for _ in 0..KEPT + 5 {
            journal.note(&Record::Intent { req: ReqId(1), action: action(&[&long]) }, at(1));
        }
        let mut wish = all();
        let mut seen = Vec::new();
        loop {
            let (page, next) = journal.page(&wish);
            assert!(page.as_slice().iter().all(|entry| entry.text.as_bytes().len() == TEXT));
            seen.extend(page.as_slice().iter().map(|entry| entry.number));
            if next == 0 {
                break;
            }
            wish.after = next;
        }
        let first = 7;
        assert_eq!(seen, (first..first + KEPT as u64).collect::<Vec<_>>());
        let mut journal = Journal::default();
        journal.note(&outcome, at(1));
        let (list, _) = journal.page(&all());
        let text = list.as_slice()[0].text.as_bytes();
        assert_eq!(text, b"exit 3 after 7 ms, 2 values masked");
        assert_eq!(list.as_slice()[0].level, Level::Warning);
    }
}
