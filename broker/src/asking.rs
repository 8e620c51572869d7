//! What an agent may do only after a human has said yes: from its request to
//! the answer, and on to the deed.
//!
//! ```text
//! exec ──▶ examine.rs ─┐                          ┌─▶ exec.rs (looks again)
//! write ───────────────┼─▶ petition ─▶ human ─yes─┼─▶ write.rs
//! delete, question ────┘    (desk.rs)             └─▶ keep.rs, or an answer
//! ```

use std::rc::Rc;
use std::time::{Duration, Instant};

use strongroom_protocol::action::{ActionObject, Deed};
use strongroom_protocol::channel::a::{Answer, Denial};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::Rule;
use strongroom_protocol::types::{ApprovalId, CredentialName, Reason};
use tokio::time::sleep;

use crate::account::{self, RECORD_BYTES};
use crate::agent::{self, Busy, Client};
use crate::approvals::{Asked, Permit, Word};
use crate::decide::{Request, Task};
use crate::desk::Waiter;
use crate::draft::Draft;
use crate::examine::{self, Blind, Leave};
use crate::keep;
use crate::petition::Petition;
use crate::recorder::Lost;
use crate::session::Session;
use crate::write::{self, Question};

/// Why nothing is done.
pub enum No {
    /// No human was asked. Not on record yet.
    Unasked(Code),
    /// It did not come to a yes. On record.
    Refused(Denial),
    /// Nobody waits for an answer.
    Gone,
}

impl From<Code> for No {
    fn from(code: Code) -> Self {
        Self::Refused(code.into())
    }
}

impl From<Blind> for No {
    fn from(blind: Blind) -> Self {
        match blind {
            Blind::Code(code) => code.into(),
            Blind::Gone => Self::Gone,
        }
    }
}

/// What is asked, and of whom the answer is expected.
struct Asking<'a> {
    session: &'a Rc<Session>,
    client: &'a Rc<Client>,
    tag: u32,
    patience_ms: Option<u64>,
}

/// Asks whether a command may run, and runs it.
pub async fn exec(session: Rc<Session>, busy: Busy, request: Request, rule: Rule, task: Task) {
    let client = busy.client();
    let (tag, patience_ms) = (request.tag, request.patience_ms);
    let asking = Asking { session: &session, client, tag, patience_ms };
    match asking.command(&request, &rule, &task).await {
        Ok(leave) => agent::start(&session, client, &request, &rule, task, Some(leave)),
        Err(No::Unasked(code)) => {
            agent::deny(&session, client, &request, Some(&rule), code).await;
        }
        Err(No::Refused(denial)) => {
            let why = denial.why.or_else(|| agent::why(&session, Some(&rule), denial.code));
            asking.refuse(Denial { why, ..denial }).await;
        }
        Err(No::Gone) => {}
    }
}

/// Asks whether real values may be written, and writes them.
pub async fn plain(session: Rc<Session>, busy: Busy, draft: Draft, question: Question) {
    let client = busy.client();
    let (tag, patience_ms) = (draft.wish().tag, draft.wish().patience_ms);
    let asking = Asking { session: &session, client, tag, patience_ms };
    let Question { file, reason } = question;
    match asking.any(Deed::Plain(Box::new(file)), reason).await {
        Ok(permit) => write::approved(&session, client, draft, permit.id).await,
        Err(No::Unasked(code)) => write::refuse(&session, client, &draft, &code.into()).await,
        Err(No::Refused(denial)) => asking.refuse(denial).await,
        Err(No::Gone) => {}
    }
}

/// Asks whether a credential may be deleted, and deletes it.
pub async fn delete(
    session: Rc<Session>,
    busy: Busy,
    tag: u32,
    name: CredentialName,
    reason: Option<Reason>,
    patience_ms: Option<u64>,
) {
    let client = busy.client();
    let asking = Asking { session: &session, client, tag, patience_ms };
    let reason = reason.map(|reason| account::hide_reason(&session.masks, &reason));
    let answer = asking.admitted(Deed::Delete(name.clone()), reason.clone()).await;
    match answer {
        Ok(Permit { id, .. }) => match keep::delete_for(&session, &name, client.number, id).await {
            Ok(()) => asking.approved().await,
            Err(code) => asking.refuse(code.into()).await,
        },
        Err(No::Unasked(code)) => {
            let record = Record::Credential {
                verb: account::name("delete"),
                name,
                connection: Some(client.number),
                reason,
                code: Some(code),
                approval: None,
            };
            asking.unasked(&record, code).await;
        }
        Err(No::Refused(denial)) => asking.refuse(denial).await,
        Err(No::Gone) => {}
    }
}

/// Asks a question.
pub async fn question(
    session: Rc<Session>,
    busy: Busy,
    tag: u32,
    question: Reason,
    patience_ms: Option<u64>,
) {
    let client = busy.client();
    let asking = Asking { session: &session, client, tag, patience_ms };
    let question = account::hide_reason(&session.masks, &question);
    match asking.admitted(Deed::Question(question.clone()), None).await {
        Ok(_) => asking.approved().await,
        Err(No::Unasked(code)) => {
            let record = Record::Unasked { code, connection: client.number, question };
            asking.unasked(&record, code).await;
        }
        Err(No::Refused(denial)) => asking.refuse(denial).await,
        Err(No::Gone) => {}
    }
}

impl Asking<'_> {
    /// A command: looked at first, so that a human sees what would run.
    async fn command(&self, request: &Request, rule: &Rule, task: &Task) -> Result<Leave, No> {
        let (session, client) = (self.session, self.client);
        session.desk.see(|a| a.may_ask(client.number, Instant::now())).map_err(No::Unasked)?;
        let id = session.desk.with(|a| a.number());
        let action = account::action(session, client.number, request, Some(rule), RECORD_BYTES);
        let files = examine::examine(session, client, id, task, action).await?;
        let deed = examine::deed(session, request, rule, task, &files).ok_or(Code::Internal)?;
        let reason = request.reason.as_ref();
        let reason = reason.map(|reason| account::hide_reason(&session.masks, reason));
        let object = ActionObject {
            rule: Some(rule.name.clone()),
            why: agent::cut(&rule.why),
            ..self.object(id, deed, reason)
        };
        let permit = self.decided(&object).await?;
        Ok(Leave::new(permit, object))
    }

    /// What counts as a command, and needs no look.
    async fn admitted(&self, deed: Deed, reason: Option<Reason>) -> Result<Permit, No> {
        self.session.admit(self.others()).map_err(No::Unasked)?;
        self.any(deed, reason).await
    }

    async fn any(&self, deed: Deed, reason: Option<Reason>) -> Result<Permit, No> {
        let id = self.session.desk.with(|a| a.number());
        self.decided(&self.object(id, deed, reason)).await
    }

    /// What else its connection has in flight.
    fn others(&self) -> usize {
        self.client.in_flight().saturating_sub(1)
    }

    fn object(&self, id: ApprovalId, deed: Deed, reason: Option<Reason>) -> ActionObject {
        let session = self.session;
        ActionObject {
            session: session.plan.session,
            policy: session.plan.policy_digest,
            id,
            connection: self.client.number,
            rule: None,
            why: None,
            quorum: session.desk.see(|a| a.quorum()),
            deed,
            reason,
        }
    }

    /// Puts it to humans, and waits for what they say.
    async fn decided(&self, object: &ActionObject) -> Result<Permit, No> {
        let (session, client) = (self.session, self.client);
        let petition = Petition::new(object).map_err(|_| No::Unasked(Code::RequestTooBig))?;
        let record = asked(object, &petition);
        let asked = session.desk.with(|a| a.ask(petition, Instant::now()));
        let waiter = match asked.map_err(No::Unasked)? {
            Asked::New(owner) => {
                let waiter = Waiter::new(session, owner);
                if session.recorder.record_and_keep(&record).await.is_err() {
                    session.desk.with(|a| a.forget(owner.id));
                    return Err(Code::RecordRefused.into());
                }
                session.desk.with(|a| a.open(owner.id, Instant::now()));
                waiter
            }
            Asked::Joined(owner) => Waiter::new(session, owner),
        };
        let owner = waiter.owner();
        let known = session.desk.see(|a| a.look(owner));
        let word = match known {
            Some(word) => word,
            None => {
                let left_ms = session.desk.see(|a| a.left_ms(owner.id, Instant::now()));
                let waiting = Answer::Waiting { tag: self.tag, approval: owner.id, left_ms };
                // A client that is gone is noticed by its connection.
                let _ = client.port.send(&waiting, &[]).await;
                tokio::select! {
                    biased;
                    word = waiter.word() => word,
                    () = client.gone() => return Err(No::Gone),
                    () = self.patience() => return Err(Code::NeedsApproval.into()),
                }
            }
        };
        match word {
            Word::Approved => {
                // Full just now: the approval stays for a while.
                session.room(self.others())?;
                let permit = session.desk.with(|a| a.take(owner, Instant::now()));
                permit.ok_or_else(|| Code::ApprovalTimedOut.into())
            }
            Word::Denied(why) => {
                let why = why.filter(|why| !why.as_bytes().is_empty());
                Err(No::Refused(Denial { code: Code::ApprovalDenied, why }))
            }
            Word::TimedOut => Err(Code::ApprovalTimedOut.into()),
            Word::Ended => Err(Code::ShuttingDown.into()),
            Word::Unrecorded => Err(Code::RecordRefused.into()),
        }
    }

    async fn patience(&self) {
        match self.patience_ms {
            Some(patience) => sleep(Duration::from_millis(patience)).await,
            None => std::future::pending().await,
        }
    }

    async fn refuse(&self, denial: Denial) {
        self.session.count_refusal();
        self.client.refuse(self.tag, denial).await;
    }

    async fn unasked(&self, record: &Record, code: Code) {
        let recorded = self.session.recorder.record(record).await;
        let code = recorded.map_or_else(|Lost| Code::RecordRefused, |_| code);
        self.refuse(code.into()).await;
    }

    async fn approved(&self) {
        let _ = self.client.port.send(&Answer::Approved { tag: self.tag }, &[]).await;
    }
}

fn asked(object: &ActionObject, petition: &Petition) -> Record {
    let (program, reason) = match &object.deed {
        Deed::Exec(exec) => (Some(exec.files.program.digest), object.reason.clone()),
        Deed::Question(question) => (None, Some(question.clone())),
        Deed::Plain(_) | Deed::Delete(_) => (None, object.reason.clone()),
    };
    Record::Asked {
        approval: petition.id,
        kind: petition.kind,
        digest: petition.digest,
        connection: petition.connection,
        rule: petition.rule.clone(),
        quorum: object.quorum,
        program,
        reason,
    }
}
