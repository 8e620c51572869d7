//! `strongroom status` and `strongroom kill`: the operator's side, over
//! channel O. Reading the token proves that we are the operator, or one of the
//! approvers.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use strongroom_client::{Error, Port};
use strongroom_protocol::channel::o::{
    FromOperator, OPERATOR, Order, Reply, Running, Status, TOKEN, ToOperator,
};
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan;
use strongroom_protocol::text::hex;
use strongroom_protocol::types::Name;
use strongroom_sys::{Errno, packet};

use crate::args;
use crate::args::approvals::Seat;
use crate::error::{Failure, print, shown, to_json};
use crate::state::Wanted;
use crate::style::Style;

/// A connection to the broker, as its operator.
pub type Line = Port<ToOperator, FromOperator>;

/// Shows the session of a state folder.
///
/// # Errors
/// A [`Failure`] when there is none, or it does not take us for its operator.
pub fn status(seat: &Seat, json: bool) -> Result<i32, Failure> {
    let (mut line, _) = sit_down(seat)?;
    match ask(&mut line, &Order::Status)? {
        Reply::Status { status } if json => {
            print(&format!("{}\n", to_json(&StatusJson::from(&*status))))
        }
        Reply::Status { status } => print(&table(&status, Style::of(&std::io::stdout()))),
        other => return Err(unexpected(&other)),
    }
    Ok(0)
}

/// Ends commands, or the session.
///
/// # Errors
/// As [`status`]; [`Code::UnknownCommand`] when there is no such command.
pub fn kill(args: &args::Kill, json: bool) -> Result<i32, Failure> {
    let order = match args.id {
        Some(id) => Order::Kill { id },
        None if args.all => Order::KillAll,
        None => Order::Shutdown,
    };
    let (mut line, _) = sit_down(&args.seat)?;
    match ask(&mut line, &order)? {
        Reply::Done if json => print("{\"v\":1,\"done\":true}\n"),
        Reply::Done => {}
        other => return Err(unexpected(&other)),
    }
    Ok(0)
}

/// Connects to the session of a state folder, and proves to be its operator.
///
/// # Errors
/// [`Code::NoSession`], [`Code::NotOperator`].
pub fn connect(state: &args::State) -> Result<Line, Failure> {
    enter(state, None).map(|(line, _)| line)
}

/// Connects as whoever is asked for, and gives the name the broker knows us
/// by.
///
/// # Errors
/// As [`connect`].
pub fn sit_down(seat: &Seat) -> Result<(Line, Name), Failure> {
    enter(&seat.state, seat.approver.as_ref())
}

fn enter(state: &args::State, name: Option<&Name>) -> Result<(Line, Name), Failure> {
    let state = Wanted::from(state.folder.as_deref()).path()?;
    let socket = packet::connect(&state.join("run/operator.sock"))
        .map_err(|errno| no_session(&state, errno))?;
    let token = token(&state, name)?;
    let mut line = Line::new(socket);
    match ask(&mut line, &Order::Hello { version: plan::VERSION, token })? {
        Reply::Welcome { version: plan::VERSION, name } => Ok((line, name)),
        Reply::Welcome { version, .. } => Err(Error::Version(version).into()),
        other => Err(unexpected(&other)),
    }
}

fn no_session(state: &Path, errno: Errno) -> Failure {
    let code = if errno == Errno::EACCES { Code::NotOperator } else { Code::NoSession };
    Failure::new(code, format!("{}: {}", shown(state), errno.desc()))
        .hint("name the session's state folder with --state, as the user who started it; `strongroom run` prints it")
}

fn token(state: &Path, name: Option<&Name>) -> Result<[u8; TOKEN], Failure> {
    let path = match name.map(Name::as_str).filter(|name| *name != OPERATOR) {
        None => state.join("broker/operator.token"),
        Some(name) => state.join(format!("broker/approvers/{name}.token")),
    };
    let mut token = [0; TOKEN];
    let read = File::open(&path).and_then(|mut file| file.read_exact(&mut token));
    read.map(|()| token).map_err(|e| {
        let code = match e.kind() {
            ErrorKind::NotFound if name.is_none() => Code::NoSession,
            _ => Code::NotOperator,
        };
        let failure = Failure::new(code, format!("{}: {e}", shown(&path)));
        match (e.kind(), name) {
            (ErrorKind::NotFound, Some(name)) => failure.hint(format!(
                "name an approver of the session's policy; {} is none, or the folder is not yours to read",
                name.as_str()
            )),
            _ => failure,
        }
    })
}

/// Gives an order and waits for the answer.
///
/// # Errors
/// The connection is lost.
pub fn ask(line: &mut Line, order: &Order) -> Result<Reply, Failure> {
    line.send(order)?;
    Ok(line.receive()?.0)
}

/// What an answer means that is not the one hoped for.
pub fn unexpected(reply: &Reply) -> Failure {
    match reply {
        Reply::Refused { code } => Failure::new(*code, ""),
        _ => Failure::new(Code::Protocol, "an answer to another order"),
    }
}

fn table(status: &Status, style: Style) -> String {
    let mut text = format!(
        "session    {}\ntier       {}\nage        {}\ncommands   {} running, {} accepted, {} refused\nagents     {} connected\n\
         approvals  {} waiting\nsecrets    {} there, {} asked for, {} masked; {}; {}\n",
        hex(&status.session),
        status.tier,
        age(status.age_ms),
        status.running_count,
        status.accepted,
        status.refused,
        status.connections,
        status.approvals,
        status.credentials,
        status.requests,
        status.masked,
        match status.vault {
            0 => "in memory only".to_owned(),
            generation => format!("vault generation {generation}"),
        },
        status.arena.as_str()
    );
    let running = status.running.as_slice();
    if !running.is_empty() {
        let head = format!("{:>8}  {:>8}  {:<20}  {}", "ID", "AGE", "RULE", "COMMAND");
        text.push_str(&format!("\n{}\n", style.strong(&head)));
    }
    for command in running {
        text.push_str(&format!(
            "{:>8}  {:>8}  {:<20}  {}\n",
            command.id.0,
            age(command.age_ms),
            command.rule.as_str(),
            words(command)
        ));
    }
    let more =
        usize::try_from(status.running_count).unwrap_or(usize::MAX).saturating_sub(running.len());
    if more > 0 {
        text.push_str(&format!("          and {more} more\n"));
    }
    text
}

fn words(command: &Running) -> String {
    let words: Vec<String> = command.argv.as_slice().iter().map(|a| a.display()).collect();
    let cut = if command.cut { " …" } else { "" };
    format!("{}{cut}", words.join(" "))
}

/// A time in its two largest units.
pub fn age(ms: u64) -> String {
    let seconds = Duration::from_millis(ms).as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{}.{}s", seconds, ms % 1_000 / 100),
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

#[derive(Serialize)]
struct StatusJson {
    v: u8,
    session: String,
    tier: &'static str,
    age_ms: u64,
    accepted: u64,
    refused: u64,
    connections: u32,
    running_count: u32,
    running: Vec<RunningJson>,
    credentials: u32,
    /// `null`: credentials are in memory only.
    vault: Option<u64>,
    arena: String,
    masked: u64,
    requests: u32,
    approvals: u32,
}

#[derive(Serialize)]
struct RunningJson {
    id: u64,
    rule: String,
    argv: Vec<String>,
    argv_cut: bool,
    age_ms: u64,
}

impl From<&Status> for StatusJson {
    fn from(status: &Status) -> Self {
        Self {
            v: 1,
            session: hex(&status.session),
            tier: status.tier.as_str(),
            age_ms: status.age_ms,
            accepted: status.accepted,
            refused: status.refused,
            connections: status.connections,
            running_count: status.running_count,
            running: status.running.as_slice().iter().map(RunningJson::from).collect(),
            credentials: status.credentials,
            vault: (status.vault != 0).then_some(status.vault),
            arena: status.arena.as_str().to_owned(),
            masked: status.masked,
            requests: status.requests,
            approvals: status.approvals,
        }
    }
}

impl From<&Running> for RunningJson {
    fn from(command: &Running) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            id: command.id.0,
            rule: command.rule.as_str().to_owned(),
            argv: command.argv.as_slice().iter().map(|a| text(a.as_bytes())).collect(),
            argv_cut: command.cut,
            age_ms: command.age_ms,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use strongroom_protocol::receipt::Tier;
    use strongroom_protocol::types::{Arg, Argv, List, Name, ReqId};

    fn status() -> Status {
        let argv = Argv::new(vec![Arg::new("git").unwrap(), Arg::new("a\x1b").unwrap()]).unwrap();
        let running = Running {
            id: ReqId(7),
            rule: Name::new("any").unwrap(),
            argv,
            cut: true,
            age_ms: 61_000,
        };
        Status {
            session: [0xab; 16],
            tier: Tier::Container,
            age_ms: 3_723_000,
            accepted: 9,
            refused: 2,
            connections: 1,
            running: List::new(vec![running]).unwrap(),
            running_count: 3,
            credentials: 4,
            vault: 7,
            arena: Name::new("locked").unwrap(),
            masked: 5,
            requests: 1,
            approvals: 2,
        }
    }

    #[test]
    fn for_people() {
        assert_eq!(
            table(&status(), Style::PLAIN),
            "session    abababababababababababababababab\n\
             tier       container\n\
             age        1h02m\n\
             commands   3 running, 9 accepted, 2 refused\n\
             agents     1 connected\n\
             approvals  2 waiting\n\
             secrets    4 there, 1 asked for, 5 masked; vault generation 7; locked\n\
             \n      ID       AGE  RULE                  COMMAND\n       \
             7     1m01s  any                   git a\\x1b …\n          \
             and 2 more\n"
        );
    }

    #[test]
    fn for_programs() {
        assert_eq!(
            to_json(&StatusJson::from(&status())),
            "{\"v\":1,\"session\":\"abababababababababababababababab\",\"tier\":\"container\",\"age_ms\":3723000,\
             \"accepted\":9,\"refused\":2,\"connections\":1,\"running_count\":3,\"running\":[{\"id\":7,\"rule\":\"any\",\
             \"argv\":[\"git\",\"a\\u001b\"],\"argv_cut\":true,\"age_ms\":61000}],\
             \"credentials\":4,\"vault\":7,\"arena\":\"locked\",\"masked\":5,\"requests\":1,\"approvals\":2}"
        );
    }

    #[test]
    fn ages() {
        for (ms, want) in [
            (0, "0.0s"),
            (1_250, "1.2s"),
            (59_999, "59s"),
            (60_000, "1m00s"),
            (90_061_000, "1d01h"),
            (3_600_000, "1h00m"),
        ] {
            assert_eq!(age(ms), want);
        }
    }
}
