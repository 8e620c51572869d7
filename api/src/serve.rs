//! `strongroom api`: requests as lines on one stream, answers as lines on
//! another. A thread for each request in flight; whatever one line says, the
//! next one is read.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Map, Value};
use strongroom_client::run;
use strongroom_protocol::codes::Code;

use crate::job::{FIRST_INPUT, Handle, Job, bad, explain, signal};
use crate::lines::{Event, Stream, VERSION};
use crate::request::{Call, Id, Stdin};
use crate::shape::{Done, Failure, Result as Shape};
use crate::text::Pieces;

/// Bytes of the longest line: a file of 16 MiB in base64, and room.
pub const MAX_LINE: usize = 24 * 1024 * 1024;

/// Requests in flight. The session's own limit for commands is higher: an
/// agent may have several of these.
pub const MAX_IN_FLIGHT: usize = 32;

/// Bytes in the name of a request.
const MAX_ID: usize = 128;

/// How often a reader that has gone is looked for, once all is asked.
const LOOK: Duration = Duration::from_millis(200);

/// Answers `from` on `to` until `from` has ended and everything asked for is
/// over. A reader that goes away ends everything.
///
/// # Errors
/// `from` cannot be read.
pub fn serve(
    mut from: impl BufRead,
    to: impl Write + AsFd + Send + 'static,
) -> std::io::Result<()> {
    let (out, to) = Out::new(to)?;
    let desk = Arc::new(Desk { out, flying: Mutex::default(), landed: Condvar::new() });
    desk.say(&Event::Ready {
        v: VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        max_line: MAX_LINE,
        max_in_flight: MAX_IN_FLIGHT,
    });
    while !desk.out.gone() {
        match line(&mut from)? {
            Line::End => {
                desk.finish(to.as_fd());
                return Ok(());
            }
            Line::TooLong => {
                desk.fail(None, Failure::new(Code::RequestTooBig, "a line over 24 MiB"))
            }
            Line::Whole(bytes) if bytes.trim_ascii().is_empty() => {}
            Line::Whole(bytes) => desk.take(&bytes),
        }
    }
    Ok(())
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

fn line(from: &mut impl BufRead) -> std::io::Result<Line> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_LINE).unwrap_or(u64::MAX) + 1;
    let got = std::io::Read::take(&mut *from, most).read_until(b'\n', &mut bytes)?;
    if got == 0 {
        return Ok(Line::End);
    }
    if bytes.len() <= MAX_LINE || bytes.ends_with(b"\n") {
        return Ok(Line::Whole(bytes));
    }
    from.skip_until(b'\n')?;
    Ok(Line::TooLong)
}

/// Where the answers go, one whole line at a time.
struct Out(Mutex<Option<Box<dyn Write + Send>>>);

impl Out {
    fn new(
        to: impl Write + AsFd + Send + 'static,
    ) -> std::io::Result<(Self, std::os::fd::OwnedFd)> {
        let copy = to.as_fd().try_clone_to_owned()?;
        Ok((Self(Mutex::new(Some(Box::new(to)))), copy))
    }

    fn write(&self, text: &str) {
        let mut out = locked(&self.0);
        let done = out.as_mut().map(|to| to.write_all(text.as_bytes()).and_then(|()| to.flush()));
        if matches!(done, Some(Err(_))) {
            *out = None;
        }
    }

    /// Nobody reads the answers any more.
    fn gone(&self) -> bool {
        locked(&self.0).is_none()
    }
}

/// A request in flight.
struct Flight {
    handle: Handle,
    /// The request whose input the command has not taken yet.
    feeding: Option<(u64, Id)>,
    ticket: u64,
}

struct Desk {
    out: Out,
    flying: Mutex<HashMap<Id, Flight>>,
    landed: Condvar,
}

impl Desk {
    fn say(&self, event: &Event) {
        self.out.write(&event.line());
    }

    fn fail(&self, id: Option<Id>, error: Failure) {
        self.say(&Event::Error { id, error });
    }

    fn settle(&self, id: Id, done: Result<Shape, Failure>) {
        match done {
            Ok(result) => self.say(&Event::Result { id, result }),
            Err(error) => self.fail(Some(id), error),
        }
    }

    /// One line.
    fn take(self: &Arc<Self>, bytes: &[u8]) {
        let mut object: Map<String, Value> = match serde_json::from_slice(bytes) {
            Ok(object) => object,
            Err(e) => return self.fail(None, bad(&format!("not a JSON object: {e}"))),
        };
        let id: Id = match object.remove("id").map(serde_json::from_value) {
            Some(Ok(id)) if !matches!(&id, Id::Name(name) if name.len() > MAX_ID) => id,
            _ => {
                return self
                    .fail(None, bad("id: a whole number, or a string of at most 128 bytes"));
            }
        };
        // What has no parameters may leave them out.
        object.entry("params").or_insert_with(|| Value::Object(Map::new()));
        match serde_json::from_value(Value::Object(object)) {
            Ok(call) => self.call(id, call),
            Err(e) => self.fail(Some(id), bad(&e.to_string())),
        }
    }

    fn call(self: &Arc<Self>, id: Id, call: Call) {
        let made = match call {
            Call::Explain(params) => return self.settle(id, explain(&params)),
            Call::Stdin(params) => return self.feed(id, params),
            Call::Signal(params) => {
                let sent = signal(params.signal).and_then(|signal| {
                    self.steer(&params.request, |flight| match &flight.handle {
                        Handle::Command(remote) => {
                            remote.signal(signal);
                            Ok(())
                        }
                        Handle::Other(..) => Err(Failure::from(Code::UnknownCommand)),
                    })
                });
                return self.settle(id, sent.map(|()| Shape::Done(Done {})));
            }
            Call::Cancel(params) => {
                let cancelled = self.steer(&params.request, |flight| {
                    flight.handle.cancel();
                    Ok(())
                });
                return self.settle(id, cancelled.map(|()| Shape::Done(Done {})));
            }
            Call::RunCommand(params) => self.room(&id, || Job::run(params)),
            Call::WriteFile(params) => self.room(&id, || Job::write(params)),
            Call::ReadFile(params) => self.room(&id, || Job::read(&params.path)),
            Call::ListCredentials(_) => self.room(&id, Job::credentials),
            Call::RequestCredential(params) => self.room(&id, || Job::request_credential(params)),
            Call::DeleteCredential(params) => self.room(&id, || Job::delete_credential(params)),
            Call::RequestApproval(params) => self.room(&id, || Job::approval(params)),
            Call::ReadLog(params) => self.room(&id, || Job::log(params)),
        };
        match made {
            Ok(job) => self.start(id, job),
            Err(failure) => self.fail(Some(id), failure),
        }
    }

    /// Makes a job and enters it, where there is room. Only the thread that
    /// reads requests enters any.
    fn room(
        &self,
        id: &Id,
        make: impl FnOnce() -> Result<(Job, Handle), Failure>,
    ) -> Result<Job, Failure> {
        let flying = self.flying();
        if flying.contains_key(id) {
            return Err(bad("id: of a request that is not over"));
        }
        if flying.len() >= MAX_IN_FLIGHT {
            return Err(Failure::new(Code::TooManyAtOnce, "32 requests are in flight"));
        }
        drop(flying);
        let (job, handle) = make()?;
        let flight = Flight { handle, feeding: None, ticket: FIRST_INPUT };
        self.flying().insert(id.clone(), flight);
        Ok(job)
    }

    fn start(self: &Arc<Self>, id: Id, job: Job) {
        let desk = Arc::clone(self);
        let thread = std::thread::Builder::new().name("request".to_owned());
        let started = thread.spawn({
            let id = id.clone();
            move || desk.attend(id, job)
        });
        if started.is_err() {
            self.flying().remove(&id);
            self.fail(Some(id), Failure::new(Code::Internal, "no thread for the request"));
        }
    }

    /// Does a job to its end.
    fn attend(&self, id: Id, job: Job) {
        let (mut stdout, mut stderr) = (Pieces::default(), Pieces::default());
        let output = |stream, data| self.say(&Event::Output { id: id.clone(), stream, data });
        let done = job.act(&mut |event| match event {
            run::Event::Waiting(approval, left_ms) => {
                self.say(&Event::Waiting { id: id.clone(), approval: approval.0, left_ms });
            }
            run::Event::Started(command) => {
                self.say(&Event::Started { id: id.clone(), command: command.0 });
            }
            run::Event::Output(run::Stream::Stdout, bytes) => {
                stdout.push(bytes).into_iter().for_each(|data| output(Stream::Stdout, data));
            }
            run::Event::Output(run::Stream::Stderr, bytes) => {
                stderr.push(bytes).into_iter().for_each(|data| output(Stream::Stderr, data));
            }
            run::Event::Taken(ticket) => self.taken(&id, ticket),
        });
        stdout.end().into_iter().for_each(|data| output(Stream::Stdout, data));
        stderr.end().into_iter().for_each(|data| output(Stream::Stderr, data));
        // Its number is free when the caller reads that it is over.
        let flight = self.flying().remove(&id);
        if let Some((_, feeder)) = flight.and_then(|flight| flight.feeding) {
            self.settle(feeder, Ok(Shape::Done(Done {})));
        }
        self.settle(id, done);
        self.landed.notify_all();
    }

    fn feed(&self, id: Id, params: Stdin) {
        let fed = self.steer(&params.request, |flight| {
            let Handle::Command(remote) = &flight.handle else {
                return Err(Failure::from(Code::UnknownCommand));
            };
            if flight.feeding.is_some() {
                return Err(bad("request: its last input is not taken yet"));
            }
            flight.ticket += 1;
            flight.feeding = Some((flight.ticket, id.clone()));
            remote.input(flight.ticket, params.data.0);
            if params.end {
                remote.close();
            }
            Ok(())
        });
        if let Err(failure) = fed {
            self.fail(Some(id), failure);
        }
    }

    fn taken(&self, id: &Id, ticket: u64) {
        let mut flying = self.flying();
        let feeding = flying.get_mut(id).map(|flight| &mut flight.feeding);
        let feeder = feeding.and_then(|f| f.take_if(|(waits, _)| *waits == ticket));
        drop(flying);
        if let Some((_, feeder)) = feeder {
            self.settle(feeder, Ok(Shape::Done(Done {})));
        }
    }

    fn steer<T>(
        &self,
        id: &Id,
        act: impl FnOnce(&mut Flight) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match self.flying().get_mut(id) {
            Some(flight) => act(flight),
            None => Err(Failure::new(Code::UnknownCommand, "request: none in flight has this id")),
        }
    }

    /// Nothing more is asked for: what waits for more input gets its end, and
    /// everything in flight lands.
    fn finish(&self, to: std::os::fd::BorrowedFd<'_>) {
        let mut flying = self.flying();
        for flight in flying.values() {
            if let Handle::Command(remote) = &flight.handle {
                remote.close();
            }
        }
        while !flying.is_empty() && !self.out.gone() && !hung_up(to) {
            flying =
                self.landed.wait_timeout(flying, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn flying(&self) -> MutexGuard<'_, HashMap<Id, Flight>> {
        locked(&self.flying)
    }
}

/// The reader of a pipe or socket has gone.
fn hung_up(to: std::os::fd::BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(to, PollFlags::empty())];
    let _ = poll(&mut fds, PollTimeout::ZERO);
    fds.iter().any(|fd| fd.any().unwrap_or(false))
}

/// No thread of ours panics with a lock held and leaves something half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
