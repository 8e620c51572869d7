//! What a human who is logged in sees and does: each page and each form is one
//! connection to the broker.

use hyper::StatusCode;
use strongroom_approval::Request;
use strongroom_protocol::channel::o::{Pending, Verdict};
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_SECRET;
use strongroom_protocol::types::{ApprovalId, CredentialName, Reason};
use zeroize::Zeroizing;

use crate::broker::{Line, Seat};
use crate::form::{Form, digest, with_line_ends};
use crate::guard::Refusal;
use crate::place::{Notice, Place};
use crate::reply::Reply;
use crate::tail;
use crate::views::{self, Around, Entry};

/// Makes a form's token.
type Tokens<'a> = &'a dyn Fn(&Place) -> String;

/// The fields of a place's form.
#[must_use]
pub const fn fields(place: &Place) -> &'static [&'static str] {
    match place {
        Place::Request(_) => &["token", "digest", "verdict", "reason"],
        Place::Credential(_) => &["token", "value", "lines", "force"],
        Place::Login => &["token", "code"],
        _ => &["token"],
    }
}

/// Shows a page.
pub fn show(seat: &Seat, place: &Place, notice: Option<Notice>, tokens: Tokens<'_>) -> Reply {
    let mut around = Around { notice, logout: tokens(&Place::Logout), ..Around::default() };
    let shown = shown(seat, place, &mut around, tokens);
    shown.unwrap_or_else(|code| failed(place, &around, code))
}

fn failed(place: &Place, around: &Around, code: Code) -> Reply {
    let status = match code {
        Code::UnknownApproval | Code::UnknownCredential => StatusCode::NOT_FOUND,
        Code::ApproverOnly | Code::NotOperator => StatusCode::FORBIDDEN,
        Code::NoSession | Code::BrokerLost => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    };
    let reply = Reply::page(views::failed(place, around, code)).status(status);
    // A list goes on when there is a session again.
    if *place == Place::Requests { reply.again(place) } else { reply }
}

fn shown(
    seat: &Seat,
    place: &Place,
    around: &mut Around,
    tokens: Tokens<'_>,
) -> Result<Reply, Code> {
    // The log outlives the session.
    let line = open(seat, around);
    if *place == Place::Audit {
        let records = tail::last(&seat.log());
        return Ok(Reply::page(views::audit(around, &records)).again(place));
    }
    let mut line = line?;
    match place {
        Place::Requests => {
            let list = line.approvals()?;
            Ok(Reply::page(views::requests(around, &list)).again(place))
        }
        Place::Request(id) => {
            let (pending, request) = one(&mut line, *id)?;
            Ok(Reply::page(views::request(around, &pending, &request, &tokens(place), None)))
        }
        Place::Credentials => {
            let (held, asked) = (line.credentials()?, line.requests()?);
            Ok(Reply::page(views::credentials(around, &held, &asked, tokens)).again(place))
        }
        Place::Credential(name) => {
            let entry = entry(&mut line, name)?;
            Ok(Reply::page(views::credential(around, name, &entry, &tokens(place), None)))
        }
        Place::Kill => Ok(Reply::page(views::kill(around, &tokens(place)))),
        Place::Audit | Place::Dismiss(_) | Place::Login | Place::Logout => Err(Code::Internal),
    }
}

/// Connects, and learns what stands around every page.
fn open(seat: &Seat, around: &mut Around) -> Result<Line, Code> {
    let mut line = Line::open(seat)?;
    around.who = Some(line.name.clone());
    around.status = Some(line.status()?);
    Ok(line)
}

fn one(line: &mut Line, id: ApprovalId) -> Result<(Pending, Request), Code> {
    let pending = line.approvals()?.into_iter().find(|pending| pending.id == id);
    let pending = pending.ok_or(Code::UnknownApproval)?;
    Ok((pending, line.show(id)?))
}

fn entry(line: &mut Line, name: &CredentialName) -> Result<Entry, Code> {
    Ok(Entry {
        held: line.credentials()?.into_iter().find(|held| held.name == *name),
        asked: line.requests()?.into_iter().find(|request| request.name == *name),
    })
}

/// Does what a form says.
///
/// # Errors
/// It is none of our forms.
pub fn act(seat: &Seat, place: &Place, form: Form, tokens: Tokens<'_>) -> Result<Reply, Refusal> {
    let mut around = Around { logout: tokens(&Place::Logout), ..Around::default() };
    let done = match place {
        Place::Request(id) => {
            let decision = Decision::of(&form)?;
            decide(seat, *id, decision, &mut around, &tokens(place))
        }
        Place::Credential(name) => {
            let value = Value::of(form)?;
            put(seat, name, value, &mut around, &tokens(place))
        }
        Place::Dismiss(id) => open(seat, &mut around).and_then(|mut line| {
            line.dismiss(*id)?;
            Ok(Reply::see(&Place::Credentials, Some(Notice::Dismissed)))
        }),
        // No question that could fail comes before it.
        Place::Kill => Line::open(seat).and_then(|mut line| {
            line.kill_all()?;
            Ok(Reply::see(&Place::Requests, Some(Notice::Killed)))
        }),
        _ => return Err(Refusal::NotSo),
    };
    Ok(done.unwrap_or_else(|code| failed(place, &around, code)))
}

/// What the form of a request says.
struct Decision {
    digest: [u8; 32],
    verdict: Verdict,
    reason: Option<Reason>,
}

impl Decision {
    fn of(form: &Form) -> Result<Self, Refusal> {
        let reason = with_line_ends(form.get("reason"));
        Ok(Self {
            digest: digest(form.get("digest")).ok_or(Refusal::Form)?,
            verdict: match form.get("verdict") {
                b"approve" => Verdict::Approve,
                b"deny" => Verdict::Deny,
                _ => return Err(Refusal::Form),
            },
            reason: match reason.trim_ascii() {
                b"" => None,
                words => Some(Reason::new(words).map_err(|_| Refusal::Form)?),
            },
        })
    }
}

/// The decision is on the digest that the page carried, so on what the page
/// showed; whether the broker still has the same is for the broker to say.
fn decide(
    seat: &Seat,
    id: ApprovalId,
    decision: Decision,
    around: &mut Around,
    token: &str,
) -> Result<Reply, Code> {
    let mut line = open(seat, around)?;
    let Decision { digest, verdict, reason } = decision;
    let notice = match (line.decide(id, digest, verdict, reason), verdict) {
        (Ok(_), Verdict::Deny) => Notice::Denied,
        (Ok(true), Verdict::Approve) => Notice::Approved,
        (Ok(false), Verdict::Approve) => Notice::Counted,
        (Err(code), _) => {
            let Ok((pending, request)) = one(&mut line, id) else { return Err(code) };
            let page = views::request(around, &pending, &request, token, Some(code));
            return Ok(Reply::page(page).status(StatusCode::CONFLICT));
        }
    };
    Ok(Reply::see(&Place::Requests, Some(notice)))
}

/// What the form of a credential says.
struct Value {
    bytes: Zeroizing<Vec<u8>>,
    force: bool,
}

impl Value {
    fn of(mut form: Form) -> Result<Self, Refusal> {
        let force = match form.get("force") {
            b"" => false,
            b"yes" => true,
            _ => return Err(Refusal::Form),
        };
        let (value, lines) = (form.take("value"), form.take("lines"));
        let bytes = match (value.is_empty(), lines.is_empty()) {
            (_, true) => value,
            (true, false) => with_line_ends(&lines),
            (false, false) => return Err(Refusal::Form),
        };
        Ok(Self { bytes, force })
    }
}

fn put(
    seat: &Seat,
    name: &CredentialName,
    value: Value,
    around: &mut Around,
    token: &str,
) -> Result<Reply, Code> {
    let mut line = open(seat, around)?;
    let done = match value.bytes.len() {
        1..=MAX_SECRET => line.put(name.clone(), &value.bytes, value.force),
        _ => Err(Code::BadValue),
    };
    drop(value);
    let Err(code) = done else {
        return Ok(Reply::see(&Place::Credentials, Some(Notice::Entered)));
    };
    let entry = open(seat, around).and_then(|mut line| entry(&mut line, name)).map_err(|_| code)?;
    let page = views::credential(around, name, &entry, token, Some(code));
    Ok(Reply::page(page).status(StatusCode::CONFLICT))
}
