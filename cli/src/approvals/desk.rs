//! Where a human decides: a terminal, one request at a time, single keys.
//!
//! What is decided on never changes under a hand: a request stays on the
//! screen until a key moves on, a key that comes too soon after one appeared
//! counts for nothing, and neither does what was pasted.

use std::os::fd::AsFd as _;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, SpecialCharacterIndices, Termios};
use nix::unistd::read;
use strongroom_protocol::channel::o::{Pending, Verdict};
use strongroom_protocol::codes::{Code, exit};
use strongroom_protocol::types::{ApprovalId, Reason};
use strongroom_sys::Errno;

use super::book::{self, Bell, Book};
use super::line_edit::{Edited, LineEdit};
use super::screen::{ENTER, Frame, LEAVE};
use super::view::View;
use super::{UNDECIDED, table};
use crate::args::approvals::Seat;
use crate::error::{Failure, print};
use crate::prompt::Unasked;
use crate::style::Style;
use crate::tty::Tty;

const KEYS: &str = "a approve   d deny   n next   space more   b back   q quit";
const KEYS_OF_ONE: &str = "a approve   d deny   space more   b back   q leave it";

/// Lets a human decide: on one request, or on all that come.
///
/// # Errors
/// There is no session or no terminal; the session is over.
pub fn sit_down(seat: &Seat, only: Option<(ApprovalId, Option<Reason>)>) -> Result<i32, Failure> {
    let mut desk = Desk::open(seat, only)?;
    let ended = desk.work();
    desk.stage.leave();
    print(&desk.said.iter().map(|line| line.clone() + "\n").collect::<String>());
    match ended? {
        Leave::Quit if desk.only.is_some() && desk.said.is_empty() => {
            print("left undecided\n");
            Ok(UNDECIDED)
        }
        Leave::Quit => Ok(0),
        Leave::Over => Ok(UNDECIDED),
        Leave::Signal(signal) => {
            desk.stage.tty.end_by(signal);
            Ok(exit::SIGNALLED + signal as i32)
        }
    }
}

/// How the work ends.
enum Leave {
    Quit,
    /// The one request is over, and was not decided here.
    Over,
    Signal(Signal),
}

/// What keys mean now.
enum Mode {
    /// Those at the foot of the screen.
    Look,
    /// A second one approves.
    Confirm,
    /// They are the words of a denial.
    Deny(LineEdit),
}

struct Desk {
    book: Book,
    bell: Bell,
    stage: Stage,
    /// The one request that is to be decided, and why.
    only: Option<(ApprovalId, Option<Reason>)>,
    pending: Vec<Pending>,
    /// When that was.
    fetched: Instant,
    view: Option<View>,
    mode: Mode,
    note: String,
    /// What was decided, for when the screen is gone.
    said: Vec<String>,
}

impl Desk {
    fn open(seat: &Seat, only: Option<(ApprovalId, Option<Reason>)>) -> Result<Self, Failure> {
        let mut book = Book::open(seat)?;
        // What is wrong with it is better said before the screen is ours.
        let request = match &only {
            Some((id, _)) => Some(book::read(*id, &book.bytes(*id)?)?),
            None => None,
        };
        let bell = Bell::open(seat)?;
        let stage = Stage::enter()?;
        let (width, _) = stage.size();
        Ok(Self {
            book,
            bell,
            stage,
            only,
            pending: Vec::new(),
            fetched: Instant::now(),
            view: request.map(|request| View::new(request, width)),
            mode: Mode::Look,
            note: String::new(),
            said: Vec::new(),
        })
    }

    fn work(&mut self) -> Result<Leave, Failure> {
        if let Some(left) = self.news()? {
            return Ok(left);
        }
        loop {
            self.draw()?;
            let left = match self.wait()? {
                Event::News => self.news()?,
                Event::Signal(Signal::SIGWINCH) | Event::Nothing => None,
                Event::Signal(signal) => Some(Leave::Signal(signal)),
                Event::Typed(keys) => self.typed(&keys)?,
            };
            if let Some(left) = left {
                return Ok(left);
            }
        }
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let (width, height) = self.stage.size();
        let list = self.as_of_now();
        let title = format!(
            "strongroom approvals, as {}: {} waiting",
            self.book.name.as_str(),
            list.iter().filter(|p| !p.approved).count()
        );
        let keys = match &self.mode {
            Mode::Confirm => "Approve this request? y yes   any other key no".to_owned(),
            Mode::Deny(line) => {
                format!(
                    "Why not? (the agent is told; Enter denies, Esc goes back) {}_",
                    line.shown()
                )
            }
            Mode::Look if self.only.is_some() => KEYS_OF_ONE.to_owned(),
            Mode::Look => KEYS.to_owned(),
        };
        let frame = Frame {
            width,
            height,
            title: &title,
            list: self.only.is_none().then_some(&list),
            view: self.view.as_mut(),
            note: &self.note,
            keys: &keys,
            style: self.stage.style,
        };
        self.stage.tty.say(&frame.draw()).map_err(no_terminal)
    }

    /// What waits, with the time that has gone by since.
    fn as_of_now(&self) -> Vec<Pending> {
        let gone = u64::try_from(self.fetched.elapsed().as_millis()).unwrap_or(u64::MAX);
        let at = |p: &Pending| Pending {
            age_ms: p.age_ms.saturating_add(gone),
            left_ms: p.left_ms.saturating_sub(gone),
            ..p.clone()
        };
        self.pending.iter().map(at).collect()
    }

    fn wait(&mut self) -> Result<Event, Failure> {
        let [news, signals, typed] = {
            let mut ready = [
                PollFd::new(self.bell.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.stage.tty.signals().as_fd(), PollFlags::POLLIN),
                PollFd::new(self.stage.tty.as_fd(), PollFlags::POLLIN),
            ];
            // Times are shown only where something waits.
            let second = PollTimeout::from(1_000_u16);
            let most = if self.pending.is_empty() { PollTimeout::NONE } else { second };
            match poll(&mut ready, most) {
                Ok(_) => ready.map(|fd| fd.any().unwrap_or(false)),
                Err(Errno::EINTR) => [false; 3],
                Err(errno) => return Err(no_terminal(Unasked::Failed(errno))),
            }
        };
        if signals && let Some(signal) = self.stage.tty.signal() {
            return Ok(Event::Signal(signal));
        }
        if news {
            return Ok(if self.bell.ring()? { Event::News } else { Event::Nothing });
        }
        if typed {
            let mut keys = [0; 256];
            return match read(self.stage.tty.as_fd(), &mut keys) {
                Ok(0) => Err(no_terminal(Unasked::Ended)),
                Ok(n) => Ok(Event::Typed(keys.get(..n).unwrap_or_default().to_vec())),
                Err(Errno::EINTR | Errno::EAGAIN) => Ok(Event::Nothing),
                Err(errno) => Err(no_terminal(Unasked::Failed(errno))),
            };
        }
        Ok(Event::Nothing)
    }

    /// Fetches what waits. A request on the screen stays there, also when it
    /// is over.
    fn news(&mut self) -> Result<Option<Leave>, Failure> {
        let now = self.book.pending()?;
        let newest = self.pending.last().map(|p| p.id);
        let came = now.last().is_some_and(|p| newest.is_none_or(|newest| p.id > newest));
        (self.pending, self.fetched) = (now, Instant::now());
        if came && self.only.is_none() {
            // The terminal's bell.
            self.stage.tty.say("\x07").map_err(no_terminal)?;
        }
        match self.view.as_ref().map(View::id) {
            None => self.next(None, |p| !p.approved && !p.voted)?,
            Some(id) if self.pending.iter().any(|p| p.id == id) => {}
            Some(id) => {
                let over = format!("request {} is over: its time is up, or another decided", id.0);
                if self.only.is_some() {
                    self.said.push(over);
                    return Ok(Some(Leave::Over));
                }
                self.mode = Mode::Look;
                self.note = format!("{over}; n goes on");
            }
        }
        Ok(None)
    }

    /// Goes on to the request of this kind after this one, from the last to the
    /// first.
    fn next(
        &mut self,
        after: Option<ApprovalId>,
        kind: impl Fn(&Pending) -> bool,
    ) -> Result<(), Failure> {
        self.mode = Mode::Look;
        self.view = None;
        let mut open: Vec<ApprovalId> =
            self.pending.iter().filter(|p| kind(p)).map(|p| p.id).collect();
        let behind = open.iter().position(|id| Some(*id) > after).unwrap_or(0);
        open.rotate_left(behind);
        for id in open {
            let bytes = match self.book.bytes(id) {
                Ok(bytes) => bytes,
                Err(failure) if failure.code == Code::UnknownApproval => continue,
                Err(failure) => return Err(failure),
            };
            let (width, _) = self.stage.size();
            self.view = Some(View::new(book::read(id, &bytes)?, width));
            self.stage.tty.forget_typed();
            break;
        }
        Ok(())
    }

    fn typed(&mut self, keys: &[u8]) -> Result<Option<Leave>, Failure> {
        self.note.clear();
        match std::mem::replace(&mut self.mode, Mode::Look) {
            Mode::Look => self.look(keys),
            Mode::Confirm if keys == b"y" => {
                let reason = self.only.as_ref().and_then(|(_, reason)| reason.clone());
                self.decide(Verdict::Approve, reason)
            }
            Mode::Confirm => {
                self.note = "not approved".to_owned();
                Ok(None)
            }
            Mode::Deny(mut line) => match line.take(keys) {
                Edited::Going => {
                    self.mode = Mode::Deny(line);
                    Ok(None)
                }
                Edited::Done(reason) => self.decide(Verdict::Deny, reason),
                Edited::Left => {
                    self.note = "not denied".to_owned();
                    Ok(None)
                }
            },
        }
    }

    /// One key. More at once than that was pasted, or typed for another.
    fn look(&mut self, keys: &[u8]) -> Result<Option<Leave>, Failure> {
        let id = self.view.as_ref().map(View::id);
        // A key that was held down is one key.
        let held = matches!(keys, [first @ (b' ' | b'b' | b'j' | b'k'), rest @ ..] if rest.iter().all(|k| k == first));
        let keys = if held { keys.get(..1).unwrap_or_default() } else { keys };
        match (keys, &mut self.view) {
            (b"q", _) => return Ok(Some(Leave::Quit)),
            (b"n", _) if self.only.is_none() => self.next(id, |p| !p.approved)?,
            (b" " | b"\x1b[6~", Some(view)) => view.turn(1),
            (b"b" | b"\x1b[5~", Some(view)) => view.turn(-1),
            (b"j" | b"\r" | b"\n" | b"\x1b[B" | b"\x1bOB", Some(view)) => view.scroll(1),
            (b"k" | b"\x1b[A" | b"\x1bOA", Some(view)) => view.scroll(-1),
            (b"a" | b"d", Some(view)) if view.is_fresh() => {
                self.note = "this has only just appeared: look at it first".to_owned();
            }
            (b"a", Some(view)) if !view.was_shown() => {
                self.note = "not all of it was shown yet: space goes on".to_owned();
            }
            (b"a", Some(_)) => self.mode = Mode::Confirm,
            (b"d", Some(_)) => self.mode = Mode::Deny(LineEdit::default()),
            _ => {}
        }
        Ok(None)
    }

    fn decide(
        &mut self,
        verdict: Verdict,
        reason: Option<Reason>,
    ) -> Result<Option<Leave>, Failure> {
        let Some((id, digest)) = self.view.as_ref().map(|view| (view.id(), view.digest())) else {
            return Ok(None);
        };
        let decided = match self.book.decide(id, digest, verdict, reason) {
            Ok(decided) => decided,
            Err(failure) if failure.code.entry().exit == exit::DENIED && self.only.is_none() => {
                self.note = format!("{}: {}", failure.code, failure.code.entry().what);
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        let said = table::decided(id, verdict, &decided);
        self.note.clone_from(&said);
        self.said.push(said);
        if self.only.is_some() {
            return Ok(Some(Leave::Quit));
        }
        (self.pending, self.fetched) = (self.book.pending()?, Instant::now());
        self.pending.retain(|p| p.id != id || !decided.settled || p.approved);
        // Not back to one that waits for others.
        self.next(Some(id), |p| !p.approved && !p.voted)?;
        Ok(None)
    }
}

enum Event {
    /// Something has changed in what waits.
    News,
    Signal(Signal),
    Typed(Vec<u8>),
    /// Time went by.
    Nothing,
}

/// The terminal with a screen of its own, until it is left.
struct Stage {
    tty: Tty,
    style: Style,
}

/// A terminal that does not say.
const USUAL: (usize, usize) = (80, 24);

impl Stage {
    fn enter() -> Result<Self, Failure> {
        let keys = |mode: &mut Termios| {
            mode.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON);
            mode.local_flags.insert(LocalFlags::ISIG);
            for (index, value) in
                [(SpecialCharacterIndices::VMIN, 1), (SpecialCharacterIndices::VTIME, 0)]
            {
                if let Some(place) = mode.control_chars.get_mut(index as usize) {
                    *place = value;
                }
            }
        };
        let mut tty = Tty::open(&[Signal::SIGWINCH], keys).map_err(no_terminal)?;
        tty.say(ENTER).map_err(no_terminal)?;
        Ok(Self { tty, style: Style::of(&std::io::stdout()) })
    }

    /// Columns and lines.
    fn size(&self) -> (usize, usize) {
        let size = terminal_size::terminal_size_of(self.tty.as_fd());
        size.map_or(USUAL, |(width, height)| (usize::from(width.0), usize::from(height.0)))
    }

    fn leave(&mut self) {
        let _ = self.tty.say(LEAVE);
    }
}

fn no_terminal(why: Unasked) -> Failure {
    Failure::new(Code::BadRequest, why.to_string())
        .hint("elsewhere than on a terminal, give --digest, or --json to `watch`")
}
