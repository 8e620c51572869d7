//! `strongroom approvals`: what humans decide on, from the side of those who
//! decide; and `strongroom ask-approval`, from the side of those who ask.

mod book;
mod desk;
mod line_edit;
mod screen;
mod table;
mod view;
mod watch;

use std::io::IsTerminal as _;

use strongroom_approval::{Extent, Look, draw};
use strongroom_client::Line;
use strongroom_protocol::channel::o::Verdict;
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::Reason;

use crate::agent::{told, waiting};
use crate::args::approvals::{Approvals, Digest, Question, Seat, Verb, Which};
use crate::error::{Failure, print};
use crate::style::Style;
use book::Book;

/// Looked at, and not decided.
const UNDECIDED: i32 = 1;

/// Columns where nobody says how many there are.
const WIDTH: usize = 100;

/// Runs the verb and gives the exit status.
///
/// # Errors
/// A [`Failure`].
pub fn approvals(args: &Approvals, json: bool) -> Result<i32, Failure> {
    match &args.verb {
        Verb::List { seat } => list(seat, json),
        Verb::Show { which } => show(which, json),
        Verb::Approve { which, digest: None, reason } => approve_shown(which, reason.clone(), json),
        Verb::Approve { which, digest, reason } => {
            decide(which, Verdict::Approve, *digest, reason.clone(), json)
        }
        Verb::Deny { which, digest, reason } => {
            decide(which, Verdict::Deny, *digest, reason.clone(), json)
        }
        Verb::Watch { seat } if !json && std::io::stdout().is_terminal() => {
            desk::sit_down(seat, None)
        }
        Verb::Watch { seat } => watch::watch(seat, json),
    }
}

/// Asks a human a question, for an agent.
///
/// # Errors
/// A [`Failure`]; what a human says no to is told and gives a status.
pub fn ask(args: &Question, json: bool) -> Result<i32, Failure> {
    let asked = Line::open().and_then(|mut line| {
        let told = |approval, left_ms| waiting(approval, left_ms, json);
        line.request_approval(args.question.clone(), args.patience.ms(), told)
    });
    match asked {
        Ok(()) if json => print("{\"v\":1,\"approved\":true}\n"),
        Ok(()) => print("yes\n"),
        Err(error) => return told(error, json),
    }
    Ok(0)
}

fn list(seat: &Seat, json: bool) -> Result<i32, Failure> {
    let pending = Book::open(seat)?.pending()?;
    print(&match json {
        true => table::list_json(&pending),
        false => table::list(&pending, Style::of(&std::io::stdout())),
    });
    Ok(0)
}

fn show(which: &Which, json: bool) -> Result<i32, Failure> {
    let mut book = Book::open(&which.seat)?;
    let bytes = book.bytes(which.id)?;
    let request = book::read(which.id, &bytes)?;
    if json {
        print(&table::shown_json(&request, &bytes));
        return Ok(0);
    }
    let out = std::io::stdout();
    let width = terminal_size::terminal_size_of(&out).map_or(WIDTH, |(w, _)| usize::from(w.0));
    let drawing = draw(&request.rows(), &Look { width, extent: Extent::Whole });
    print(&view::coloured(&drawing.lines, Style::of(&out)));
    Ok(0)
}

/// Shows all of it and lets a human decide.
fn approve_shown(which: &Which, reason: Option<Reason>, json: bool) -> Result<i32, Failure> {
    if json || !std::io::stdout().is_terminal() {
        let id = which.id.0;
        let why = "what is approved must be shown whole first, and there is no terminal for it";
        return Err(Failure::new(Code::BadRequest, why).hint(format!(
            "read `strongroom approvals show {id}`, then give its digest: approve {id} --digest HEX"
        )));
    }
    desk::sit_down(&which.seat, Some((which.id, reason)))
}

fn decide(
    which: &Which,
    verdict: Verdict,
    digest: Option<Digest>,
    reason: Option<Reason>,
    json: bool,
) -> Result<i32, Failure> {
    let mut book = Book::open(&which.seat)?;
    let bytes = book.bytes(which.id)?;
    let there = strongroom_approval::digest(&bytes);
    if digest.is_some_and(|Digest(given)| given != there) {
        return Err(Failure::new(Code::OtherBytes, format!("approval {}", which.id.0)));
    }
    let decided = book.decide(which.id, there, verdict, reason)?;
    print(&match json {
        true => table::decided_json(which.id, verdict, &decided),
        false => table::decided(which.id, verdict, &decided) + "\n",
    });
    Ok(0)
}
