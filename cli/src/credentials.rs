//! `strongroom credentials`: the operator's verbs, over a session's broker or
//! on the vault file itself; and the agent's.

mod keeper;
mod table;

use std::path::Path;

use strongroom_client::Line;
use strongroom_client::connect::SOCKET;
use strongroom_protocol::channel::o::{Order, Reply};
use strongroom_protocol::codes::Code;
use strongroom_protocol::names::may_be_credential;
use strongroom_protocol::types::{CredentialName, Reason};
use strongroom_vault::value::{Weakness, check_value};

use crate::agent::{told, waiting};
use crate::args::State;
use crate::args::approvals::Patience;
use crate::args::credentials::{Credentials, Verb, Where};
use crate::error::{Failure, print, warn};
use crate::found::Found;
use crate::key;
use crate::operator;
use crate::style::Style;
use crate::value;
use keeper::{Change, Keeper};

/// Runs the verb and gives the exit status.
///
/// # Errors
/// A [`Failure`]; what an agent is refused is told and gives a status.
pub fn credentials(args: &Credentials, json: bool) -> Result<i32, Failure> {
    match &args.verb {
        Verb::List { place } if in_session(&place.state) => agents_list(json),
        Verb::List { place } => list(place, json),
        Verb::Request { name, reason } => agents_wish(name, reason, json),
        Verb::Delete { name, place, reason, patience } if in_session(&place.state) => {
            agents_deletion(name, reason.clone(), *patience, json)
        }
        Verb::Put { name, place, fd, exact, force } => put(name, place, *fd, *exact, *force, json),
        Verb::Delete { name, place, .. } => {
            let change = Keeper::open(place)?.delete(name)?;
            tell("deleted", name, &change, json)
        }
        Verb::Revoke { name, place } => {
            let change = Keeper::open(place)?.revoke(name)?;
            tell("revoked", name, &change, json)
        }
        Verb::Import { secrets, place, force } => import(secrets, place, *force, json),
        Verb::Requests { state } => requests(state, json),
        Verb::Dismiss { request, state } => dismiss(*request, state, json),
    }
}

/// An agent asks, or one of its tools: the broker's socket is named, and no
/// operator's state folder.
fn in_session(state: &State) -> bool {
    state.folder.is_none() && std::env::var_os(SOCKET).is_some()
}

fn agents_list(json: bool) -> Result<i32, Failure> {
    match Line::open().and_then(|mut line| line.credentials()) {
        Ok(known) if json => print(&table::known_json(&known)),
        Ok(known) => print(&table::known(&known, Style::of(&std::io::stdout()))),
        Err(error) => return told(error, json),
    }
    Ok(0)
}

/// Asks a human to enter a credential.
fn agents_wish(name: &CredentialName, reason: &Reason, json: bool) -> Result<i32, Failure> {
    let asked =
        Line::open().and_then(|mut line| line.request_credential(name.clone(), reason.clone()));
    match asked {
        Ok(request) if json => print(&format!("{{\"v\":1,\"request\":{request}}}\n")),
        Ok(request) => print(&format!("request {request} waits for a human\n")),
        Err(error) => return told(error, json),
    }
    Ok(0)
}

/// Deletes a credential, if a human says so.
fn agents_deletion(
    name: &CredentialName,
    reason: Option<Reason>,
    patience: Patience,
    json: bool,
) -> Result<i32, Failure> {
    let deleted = Line::open().and_then(|mut line| {
        let told = |approval, left_ms| waiting(approval, left_ms, json);
        line.delete_credential(name.clone(), reason, patience.ms(), told)
    });
    match deleted {
        Ok(()) if json => print(&format!("{{\"v\":1,\"deleted\":\"{}\"}}\n", name.as_str())),
        Ok(()) => print(&format!("{}: deleted\n", name.as_str())),
        Err(error) => return told(error, json),
    }
    Ok(0)
}

fn list(place: &Where, json: bool) -> Result<i32, Failure> {
    let held = Keeper::open(place)?.list()?;
    print(&match json {
        true => table::held_json(&held),
        false => table::held(&held, Style::of(&std::io::stdout())),
    });
    Ok(0)
}

fn put(
    name: &CredentialName,
    place: &Where,
    fd: Option<i32>,
    exact: bool,
    force: bool,
    json: bool,
) -> Result<i32, Failure> {
    may_be(name)?;
    key::distinct(fd.into_iter().chain(place.key.descriptors()))?;
    let source = value::Source::of(fd)?;
    let mut keeper = Keeper::open(place)?;
    let value = source.read(name, exact)?;
    check(&value, force)?;
    let change = keeper.put(name, &value, force)?;
    tell("entered", name, &change, json)
}

fn import(folder: &Path, place: &Where, force: bool, json: bool) -> Result<i32, Failure> {
    let given = key::given(&place.key)?;
    let mut found = Found::default();
    let may_be = |name: &CredentialName| may_be_credential(name.as_str()).is_ok();
    found.add_folder(folder, &may_be, "not the names of credentials")?;
    let mut keeper = Keeper::open_for(place, given, found.list.len())?;
    found.notes.iter().for_each(|note| warn(note));
    let mut done = Vec::new();
    for (name, source) in &found.list {
        let failed = |failure: Failure| Failure {
            message: format!(
                "{} from {source}: {} ({} entered before it)",
                name.as_str(),
                failure.message,
                done.len()
            ),
            ..failure
        };
        let value = source.read().map_err(|why| failed(Failure::new(Code::BadValue, why)))?;
        check(&value, force).map_err(failed)?;
        let change = keeper.put(name, &value, force).map_err(failed)?;
        done.push((name, change));
    }
    print(&match json {
        true => table::imported_json(&done),
        false => done.iter().map(|(name, change)| change.text("entered", name)).collect(),
    });
    Ok(0)
}

fn requests(state: &State, json: bool) -> Result<i32, Failure> {
    let mut line = operator::connect(state)?;
    match operator::ask(&mut line, &Order::Requests)? {
        Reply::Requests { list } => print(&match json {
            true => table::requests_json(list.as_slice()),
            false => table::requests(list.as_slice(), Style::of(&std::io::stdout())),
        }),
        other => return Err(operator::unexpected(&other)),
    }
    Ok(0)
}

fn dismiss(request: u32, state: &State, json: bool) -> Result<i32, Failure> {
    let mut line = operator::connect(state)?;
    match operator::ask(&mut line, &Order::Dismiss { request })? {
        Reply::Done if json => print("{\"v\":1,\"done\":true}\n"),
        Reply::Done => {}
        Reply::Refused { code: Code::UnknownCredential } => {
            return Err(Failure::new(Code::UnknownCredential, format!("no request {request}"))
                .hint("`strongroom credentials requests` shows those there are"));
        }
        other => return Err(operator::unexpected(&other)),
    }
    Ok(0)
}

fn tell(what: &str, name: &CredentialName, change: &Change, json: bool) -> Result<i32, Failure> {
    print(&if json { table::changed_json(name, change) } else { change.text(what, name) });
    Ok(0)
}

/// Refuses a name that would do more than carry a value.
fn may_be(name: &CredentialName) -> Result<(), Failure> {
    may_be_credential(name.as_str())
        .map_err(|why| Failure::new(Code::BadCredentialName, format!("{}: {why}", name.as_str())))
}

/// Refuses what the keeper would refuse, and says why.
fn check(value: &[u8], force: bool) -> Result<(), Failure> {
    match check_value(value) {
        Err(weakness) if !force || weakness == Weakness::Empty => {
            Err(Failure::new(Code::BadValue, weakness.to_string()))
        }
        _ => Ok(()),
    }
}
