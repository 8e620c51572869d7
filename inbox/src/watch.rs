//! Sees what begins to wait and what is settled. A thread of its own, which
//! sleeps in the broker's answer: nothing is asked while nothing happens.

use std::collections::BTreeMap;
use std::time::Duration;

use strongroom_protocol::channel::o::Pending;
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::ApprovalId;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::broker::{Line, Seat};
use crate::log::say;
use crate::time::now;
use crate::webhook::{About, Event};

/// How soon a session that is not there is looked for again.
const AGAIN: Duration = Duration::from_secs(3);

/// Watches for ever; ends when nobody listens any more.
pub fn watch(seat: &Seat, out: &Sender<Event>) {
    let mut seen = Seen::default();
    while !out.is_closed() {
        match session(seat, &mut seen, out) {
            Ok(()) => return,
            Err(Code::NoSession) => {}
            Err(code) => say(&format!("watching: {code}: {}", code.entry().what)),
        }
        // Whatever waited is over with its session.
        for event in seen.end(now()) {
            hand_over(out, event);
        }
        std::thread::sleep(AGAIN);
    }
}

fn session(seat: &Seat, seen: &mut Seen, out: &Sender<Event>) -> Result<(), Code> {
    let mut line = Line::open_for_news(seat)?;
    let name = line.status()?.session;
    if seen.session != name {
        for event in seen.end(now()) {
            hand_over(out, event);
        }
        seen.session = name;
    }
    let mut state = 0;
    while !out.is_closed() {
        let list = line.approvals()?;
        for event in seen.changes(&list, now(), |id| line.show(id).ok().map(|r| *r.digest())) {
            hand_over(out, event);
        }
        state = line.news(state)?;
    }
    Ok(())
}

fn hand_over(out: &Sender<Event>, event: Event) {
    if let Err(TrySendError::Full(_)) = out.try_send(event) {
        say("a webhook is left out: too many wait for their receiver");
    }
}

/// What has been told.
#[derive(Debug, Default)]
struct Seen {
    session: [u8; 16],
    waiting: BTreeMap<ApprovalId, About>,
}

impl Seen {
    fn changes(
        &mut self,
        list: &[Pending],
        at: u64,
        mut digest: impl FnMut(ApprovalId) -> Option<[u8; 32]>,
    ) -> Vec<Event> {
        let open = |id: &ApprovalId| list.iter().any(|p| p.id == *id && !p.approved);
        let over: Vec<ApprovalId> = self.waiting.keys().filter(|id| !open(id)).copied().collect();
        let mut events = Vec::new();
        for id in over {
            let about = self.waiting.remove(&id);
            events.extend(about.map(|about| self.event(true, at, about)));
        }
        for pending in list.iter().filter(|p| !p.approved) {
            if self.waiting.contains_key(&pending.id) {
                continue;
            }
            // One that is over before it could be looked at was never told of.
            let Some(digest) = digest(pending.id) else { continue };
            let about =
                About { id: pending.id, kind: pending.kind, rule: pending.rule.clone(), digest };
            events.push(self.event(false, at, about.clone()));
            self.waiting.insert(pending.id, about);
        }
        events
    }

    fn end(&mut self, at: u64) -> Vec<Event> {
        std::mem::take(&mut self.waiting).into_values().map(|a| self.event(true, at, a)).collect()
    }

    const fn event(&self, settled: bool, at: u64, about: About) -> Event {
        Event { settled, at, session: self.session, about }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_protocol::channel::o::Kind;
    use strongroom_protocol::types::List;

    fn pending(id: u64) -> Pending {
        Pending {
            id: ApprovalId(id),
            kind: Kind::Exec,
            rule: None,
            head: List::empty(),
            cut: false,
            age_ms: 0,
            left_ms: 0,
            votes: 0,
            quorum: 1,
            approved: false,
            voted: false,
            times: 1,
        }
    }

    fn told(events: &[Event]) -> Vec<(u64, bool)> {
        events.iter().map(|e| (e.about.id.0, e.settled)).collect()
    }

    #[test]
    fn each_change_is_told_once() {
        let mut seen = Seen::default();
        let digest = |id: ApprovalId| (id.0 != 9).then_some([id.0 as u8; 32]);
        let (one, two) = (pending(1), pending(2));
        let events = seen.changes(&[one.clone(), two.clone()], 5, digest);
        assert_eq!(told(&events), [(1, false), (2, false)]);
        assert_eq!((events[1].about.digest, events[1].at), ([2; 32], 5));
        assert!(
            seen.changes(&[one.clone(), Pending { votes: 1, ..two.clone() }], 6, digest).is_empty()
        );
        let approved = Pending { approved: true, ..two };
        assert_eq!(told(&seen.changes(&[one, approved.clone()], 7, digest)), [(2, true)]);
        assert_eq!(told(&seen.changes(&[approved, pending(9)], 8, digest)), [(1, true)]);
        assert_eq!(told(&seen.changes(&[pending(3)], 9, digest)), [(3, false)]);
        assert_eq!(told(&seen.end(10)), [(3, true)]);
        assert!(seen.end(11).is_empty());
    }
}
