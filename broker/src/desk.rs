//! The requests for approval, with those who have to know of them: who waits
//! for an answer, humans who watch, and the log.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use strongroom_protocol::channel::r::Record;
use strongroom_protocol::plan;
use strongroom_protocol::types::List;
use tokio::sync::{Mutex, watch};
use tokio::time::sleep_until;

use crate::account::name;
use crate::approvals::{Approvals, How, Owner, Settled, Word};
use crate::recorder::Lost;
use crate::session::Session;

/// The requests, shared.
#[derive(Debug)]
pub struct Desk {
    approvals: RefCell<Approvals>,
    news: watch::Sender<u64>,
    /// Held while a decision is put on record: they count one by one.
    pub deciding: Mutex<()>,
}

impl Desk {
    /// None yet.
    #[must_use]
    pub fn new(rules: plan::Approvals) -> Self {
        let approvals = Approvals::new(rules);
        let news = watch::Sender::new(approvals.state());
        Self { approvals: RefCell::new(approvals), news, deciding: Mutex::new(()) }
    }

    /// Looks at the requests.
    pub fn see<T>(&self, look: impl FnOnce(&Approvals) -> T) -> T {
        look(&self.approvals.borrow())
    }

    /// Does something with them, and tells who waits if anything changed.
    pub fn with<T>(&self, act: impl FnOnce(&mut Approvals) -> T) -> T {
        let (result, state) = {
            let mut approvals = self.approvals.borrow_mut();
            let result = act(&mut approvals);
            (result, approvals.state())
        };
        self.news.send_if_modified(|news| std::mem::replace(news, state) != state);
        result
    }

    /// Their state, and its changes.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }
}

/// Whoever waits for an answer. Dropped, it does so no longer.
pub struct Waiter {
    session: Rc<Session>,
    owner: Owner,
}

impl Waiter {
    /// Waits from now on.
    #[must_use]
    pub fn new(session: &Rc<Session>, owner: Owner) -> Self {
        Self { session: Rc::clone(session), owner }
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The answer. Dropping the future loses nothing.
    pub async fn word(&self) -> Word {
        let desk = &self.session.desk;
        let mut news = desk.news();
        loop {
            news.mark_unchanged();
            if let Some(word) = desk.see(|a| a.look(self.owner)) {
                return word;
            }
            if news.changed().await.is_err() {
                return Word::Ended;
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.session.desk.with(|a| a.leave(self.owner));
    }
}

/// Puts on record how a request ended, and tells.
///
/// # Errors
/// [`Lost`]: it is not on record, so nothing comes of it.
pub async fn settle(session: &Session, settled: Settled) -> Result<(), Lost> {
    let Settled { id, digest, approvers, how } = settled;
    let record = Record::Settled {
        approval: id,
        digest,
        how: name(how.as_str()),
        approvers: List::new(approvers).unwrap_or_else(|_| List::empty()),
    };
    let recorded = if how == How::Approved {
        session.recorder.record_and_keep(&record).await
    } else {
        session.recorder.record(&record).await.map(drop)
    };
    let now = Instant::now();
    session.desk.with(|a| match (&recorded, &how) {
        (Ok(()), How::Approved) => a.permit(id, now),
        (Ok(()), how) => a.close(id, how.word(), now),
        (Err(Lost), _) => a.close(id, Word::Unrecorded, now),
    });
    recorded
}

/// Ends what has become too old, and everything when the session ends. Sleeps
/// while nothing waits.
pub async fn keep_time(session: Rc<Session>) {
    let mut news = session.desk.news();
    let mut ended = false;
    loop {
        news.mark_unchanged();
        let next = session.desk.see(Approvals::next);
        let due = async {
            match next {
                Some(next) => sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = news.changed() => if changed.is_err() { return },
            () = due => {}
            () = session.supervisor.ending(), if !ended => {
                ended = true;
                session.desk.with(Approvals::end);
            }
        }
        for settled in session.desk.with(|a| a.due(Instant::now())) {
            // A lost log is noticed by its listener, and ends everything.
            let _ = settle(&session, settled).await;
        }
    }
}
