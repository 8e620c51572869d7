//! What an operator does with credentials: enter, change, revoke, delete. Each
//! is on record, on the disk, before it takes effect.

use strongroom_protocol::channel::o::{Held, Reply};
use strongroom_protocol::channel::r::Record;
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::{MAX_PAGE, MAX_SECRET};
use strongroom_protocol::names;
use strongroom_protocol::types::{ApprovalId, CredentialName, List};
use zeroize::Zeroizing;

use crate::account::name as word;
use crate::credentials::Change;
use crate::session::Session;

/// A value on its way in.
pub struct Entry {
    name: CredentialName,
    value: Zeroizing<Vec<u8>>,
    size: usize,
    force: bool,
    overrun: bool,
}

impl Entry {
    /// Makes room for it.
    pub fn new(name: CredentialName, size: u32, force: bool) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        // All of it at once: a buffer that grows leaves copies behind.
        let value = Zeroizing::new(Vec::with_capacity(size.min(MAX_SECRET)));
        Self { name, value, size, force, overrun: size > MAX_SECRET }
    }

    /// Takes the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        if self.value.len() + bytes.len() > self.size.min(MAX_SECRET) {
            self.overrun = true;
        } else {
            self.value.extend_from_slice(bytes);
        }
    }

    fn whole(&self) -> Result<&[u8], Code> {
        let whole = !self.overrun && self.value.len() == self.size;
        if whole { Ok(&self.value) } else { Err(Code::BadValue) }
    }
}

/// Keeps a value: a new credential's, or a new one of an old credential.
pub async fn enter(session: &Session, entry: Entry) -> Reply {
    let checked = match names::may_be_credential(entry.name.as_str()) {
        Ok(()) => entry.whole(),
        Err(_) => Err(Code::BadCredentialName),
    };
    let checked = checked
        .and_then(|value| session.credentials.borrow().check(value, entry.force).map(|()| value));
    let rotates = session.credentials.borrow().knows(&entry.name);
    let verb = if rotates { "rotate" } else { "put" };
    if let Err(code) = on_record(session, verb, &entry.name, None, checked.err()).await {
        return Reply::Refused { code };
    }
    let Ok(value) = checked else { return Reply::Refused { code: Code::BadValue } };
    let change = session.credentials.borrow_mut().put(&entry.name, value, entry.force);
    if change.is_ok() {
        // The new value is hidden from now on, and the old one still is.
        let patterns = session.credentials.borrow().patterns();
        session.masks.replace(patterns);
    }
    reply(changed(session, change, 0).await)
}

/// Erases a value. Nobody gets it from now on, and who holds it is ended.
pub async fn revoke(session: &Session, name: &CredentialName) -> Reply {
    reply(withdraw(session, "revoke", name, None).await)
}

/// The same, and forgets the name.
pub async fn delete(session: &Session, name: &CredentialName) -> Reply {
    reply(withdraw(session, "delete", name, None).await)
}

/// Deletes a credential for an agent, with a human's approval.
///
/// # Errors
/// Why it is not deleted.
pub async fn delete_for(
    session: &Session,
    name: &CredentialName,
    connection: u64,
    approval: ApprovalId,
) -> Result<(), Code> {
    withdraw(session, "delete", name, Some((connection, approval))).await.map(drop)
}

async fn withdraw(
    session: &Session,
    verb: &'static str,
    name: &CredentialName,
    agent: Option<(u64, ApprovalId)>,
) -> Result<Changed, Code> {
    // No new use from here on, whatever the disks take to agree.
    session.credentials.borrow_mut().withhold(name);
    let holders = end_holders(session, name);
    let unknown = !session.credentials.borrow().knows(name);
    let refused = unknown.then_some(Code::UnknownCredential);
    on_record(session, verb, name, agent, refused).await?;
    let change = {
        let mut credentials = session.credentials.borrow_mut();
        if verb == "delete" { credentials.delete(name) } else { credentials.revoke(name) }
    };
    changed(session, change, holders).await
}

/// Forgets an agent's request.
pub async fn dismiss(session: &Session, request: u32) -> Reply {
    let dismissed = session.credentials.borrow_mut().requests.dismiss(request);
    let Some(name) = dismissed else {
        return Reply::Refused { code: Code::UnknownCredential };
    };
    match on_record(session, "dismiss", &name, None, None).await {
        Ok(()) => Reply::Done,
        Err(code) => Reply::Refused { code },
    }
}

/// A page of what is there, or named by the policy.
pub fn list(session: &Session, after: Option<&CredentialName>) -> (List<Held, MAX_PAGE>, bool) {
    let credentials = session.credentials.borrow();
    let mut names: Vec<&CredentialName> =
        credentials.names().chain(session.plan.credentials.iter().map(|c| &c.name)).collect();
    names.sort();
    names.dedup();
    let mut rest = names.into_iter().filter(|name| after.is_none_or(|after| *name > after));
    let page = rest.by_ref().take(MAX_PAGE).map(|name| {
        let declared = session.plan.credential(name);
        Held {
            name: name.clone(),
            there: credentials.there(name),
            revoked: credentials.is_revoked(name),
            env: declared.is_some_and(|c| c.env),
            file: declared.is_some_and(|c| c.file),
            created: credentials.created(name),
            changed: credentials.changed(name),
            version: credentials.version(name),
            used: credentials.last_used(name),
            holders: u32::try_from(holders(session, name).count()).unwrap_or(u32::MAX),
        }
    });
    let page = List::new(page.collect()).unwrap_or_else(|_| List::empty());
    (page, rest.next().is_some())
}

/// Puts a change on record, on the disk, or the refusal of one.
async fn on_record(
    session: &Session,
    verb: &'static str,
    name: &CredentialName,
    agent: Option<(u64, ApprovalId)>,
    refused: Option<Code>,
) -> Result<(), Code> {
    let record = Record::Credential {
        verb: word(verb),
        name: name.clone(),
        connection: agent.map(|(connection, _)| connection),
        reason: None,
        code: refused,
        approval: agent.map(|(_, approval)| approval),
    };
    session.recorder.record_and_keep(&record).await.map_err(|_| Code::RecordRefused)?;
    refused.map_or(Ok(()), Err)
}

/// What a change came to.
struct Changed {
    version: u64,
    generation: u64,
    holders: u32,
}

fn reply(changed: Result<Changed, Code>) -> Reply {
    match changed {
        Ok(Changed { version, generation, holders }) => {
            Reply::Changed { version, generation, holders }
        }
        Err(code) => Reply::Refused { code },
    }
}

/// Has the log see the new vault file.
async fn changed(
    session: &Session,
    change: Result<Change, Code>,
    holders: u32,
) -> Result<Changed, Code> {
    let change = change?;
    if let Some((vault, generation)) = change.written {
        let record = Record::Vault { what: word("written"), vault, generation };
        session.recorder.record_and_keep(&record).await.map_err(|_| Code::RecordRefused)?;
    }
    let generation = change.written.map_or(0, |(_, generation)| generation);
    Ok(Changed { version: change.version, generation, holders })
}

fn holders<'s>(
    session: &'s Session,
    name: &'s CredentialName,
) -> impl Iterator<Item = std::rc::Rc<crate::exec::Command>> + 's {
    let running: Vec<_> = session.running.borrow().values().cloned().collect();
    running.into_iter().filter(|command| command.grant.contains(name))
}

/// Ends every command that holds a credential.
fn end_holders(session: &Session, name: &CredentialName) -> u32 {
    let mut ended = 0;
    for command in holders(session, name) {
        command.doom.pronounce(Code::Revoked);
        ended += 1;
    }
    ended
}
