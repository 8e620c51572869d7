//! A request, checked as far as that can be done without the broker, and then
//! done over a connection of its own: rights belong to a connection, and a
//! fault on one ends that request and no other.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strongroom_client::run::{self, Event, Remote, Steering, remote};
use strongroom_client::{Content, Error, Line, connect, here, line};
use strongroom_protocol::channel::a::{self, Request, Values};
use strongroom_protocol::codes::{Code, TABLE};
use strongroom_protocol::types::{
    ApprovalId, Arg, Argv, CredentialName, List, Name, PathBytes, Reason, SignalNo,
};

use crate::bytes::Bytes;
use crate::request::{
    DeleteCredential, Explain, Level, ReadLog, RequestApproval, RequestCredential, RunCommand,
    SignalName, WriteFile,
};
use crate::shape::{
    Approved, Credentials, Deleted, Ended, Explained, Failure, Log, Read, Requested,
    Result as Shape, Written,
};

/// Records in one answer, unless another number is asked for.
const RECORDS: u16 = 256;

/// The most records in one answer: all that are kept.
const MAX_RECORDS: u16 = 1024;

/// Characters of what is said about a bad request.
const MAX_MESSAGE: usize = 512;

/// The ticket of the input that comes with a command.
pub const FIRST_INPUT: u64 = 0;

/// Something to do.
#[derive(Debug)]
pub struct Job {
    line: Line,
    work: Work,
    /// Whoever asked for it takes it back.
    cancelled: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Work {
    Run(Box<Request>, Steering),
    Write(Content),
    Read(PathBytes),
    List,
    Ask(CredentialName, Reason),
    Delete(CredentialName, Option<Reason>, Option<u64>),
    Approval(Reason, Option<u64>),
    Log(ReadLog, Option<Reason>),
}

/// Steers a job from another thread.
#[derive(Debug)]
pub enum Handle {
    /// A command.
    Command(Remote),
    /// Anything else: it can be ended.
    Other(line::Hangup, Arc<AtomicBool>),
}

impl Handle {
    /// Ends it.
    pub fn cancel(&self) {
        match self {
            Self::Command(remote) => remote.cancel(),
            Self::Other(hangup, cancelled) => {
                cancelled.store(true, Ordering::Relaxed);
                hangup.now();
            }
        }
    }
}

type Made = Result<(Job, Handle), Failure>;

impl Job {
    /// A command.
    ///
    /// # Errors
    /// What is wrong with the request; [`Code::NoSession`].
    pub fn run(params: RunCommand) -> Made {
        let argv: Result<Vec<Arg>, Failure> = params
            .argv
            .into_iter()
            .map(|Bytes(word)| {
                Arg::new(word).map_err(|_| bad("argv: a word with a NUL, or too long"))
            })
            .collect();
        let cwd = match params.cwd {
            Some(Bytes(cwd)) => Some(PathBytes::new(cwd).map_err(|_| bad("cwd: not a path"))?),
            None => here::folder(),
        };
        let credentials: Result<Vec<CredentialName>, Failure> =
            params.credentials.into_iter().map(credential).collect();
        let request = Request::Exec {
            tag: line::TAG,
            argv: Argv::new(argv?).map_err(|_| bad("argv: a program, and at most 2048 words"))?,
            cwd,
            rule: params.rule.map(rule).transpose()?,
            timeout_ms: params.timeout_ms,
            credentials: List::new(credentials?).map_err(|_| bad("credentials: at most 16"))?,
            reason: params.reason.map(words).transpose()?,
            patience_ms: params.patience_ms,
        };
        let (remote, steering) = remote().map_err(|e| Failure::from(&e))?;
        if let Some(Bytes(input)) = params.stdin {
            remote.input(FIRST_INPUT, input);
        }
        if !params.keep_stdin_open {
            remote.close();
        }
        let work = Work::Run(Box::new(request), steering);
        Ok((Self { line: line()?, work, cancelled: Arc::default() }, Handle::Command(remote)))
    }

    /// A file to write.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn write(params: WriteFile) -> Made {
        if params.mode.is_some_and(|mode| mode > 0o777) {
            return Err(bad("mode: at most 511, which is 0777"));
        }
        Self::other(Work::Write(Content {
            path: path(&params.path)?,
            mode: params.mode,
            values: if params.plain { Values::Plain } else { Values::Sealed },
            bytes: params.content.0,
            reason: params.reason.map(words).transpose()?,
            patience: params.patience_ms,
        }))
    }

    /// A sealed file to read.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn read(at: &Bytes) -> Made {
        Self::other(Work::Read(path(at)?))
    }

    /// The credentials there are.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn credentials() -> Made {
        Self::other(Work::List)
    }

    /// A credential that is missing.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn request_credential(params: RequestCredential) -> Made {
        Self::other(Work::Ask(credential(params.name)?, words(params.reason)?))
    }

    /// A credential to delete.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn delete_credential(params: DeleteCredential) -> Made {
        let reason = params.reason.map(words).transpose()?;
        Self::other(Work::Delete(credential(params.name)?, reason, params.patience_ms))
    }

    /// A question for a human.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn approval(params: RequestApproval) -> Made {
        Self::other(Work::Approval(words(params.question)?, params.patience_ms))
    }

    /// Records to read.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn log(params: ReadLog) -> Made {
        if params.limit.is_some_and(|limit| !(1..=MAX_RECORDS).contains(&limit)) {
            return Err(bad("limit: 1 to 1024"));
        }
        let pattern = params.pattern.clone().map(words).transpose()?;
        Self::other(Work::Log(params, pattern))
    }

    fn other(work: Work) -> Made {
        let line = line()?;
        let hangup = line.hangup().map_err(|e| Failure::from(&e))?;
        let cancelled = Arc::<AtomicBool>::default();
        let handle = Handle::Other(hangup, Arc::clone(&cancelled));
        Ok((Self { line, work, cancelled }, handle))
    }

    /// Does it, and tells `on` of what happens meanwhile.
    ///
    /// # Errors
    /// Why it was refused, or failed.
    pub fn act(self, on: &mut dyn FnMut(Event<'_>)) -> Result<Shape, Failure> {
        let cancelled = Arc::clone(&self.cancelled);
        let mut asked = None;
        let done = self.go(&mut |event| {
            if let Event::Waiting(approval, _) = event {
                asked = Some(approval);
            }
            on(event);
        });
        done.map_err(|error| {
            if cancelled.load(Ordering::Relaxed) && matches!(error, Error::Lost(_)) {
                return Failure::from(Code::ClientGone);
            }
            let waits = error.code() == Code::NeedsApproval;
            Failure::from(&error).waits_for(asked.filter(|_| waits))
        })
    }

    fn go(self, on: &mut dyn FnMut(Event<'_>)) -> Result<Shape, Error> {
        let Self { mut line, work, .. } = self;
        match work {
            Work::Run(request, steering) => run::run(line, &request, steering, on)
                .map(|report| Shape::Ended(Box::new(Ended::from(&report)))),
            Work::Write(content) => line
                .write(content, waiting(on))
                .map(|written| Shape::Written(Written::from(&written))),
            Work::Read(path) => {
                line.read(path).map(|content| Shape::Read(Read { content: Bytes(content) }))
            }
            Work::List => line.credentials().map(|known| {
                let credentials = known.iter().map(Into::into).collect();
                Shape::Credentials(Credentials { credentials })
            }),
            Work::Ask(name, reason) => line
                .request_credential(name, reason)
                .map(|request| Shape::Requested(Requested { request })),
            Work::Delete(name, reason, patience) => {
                let deleted = name.as_str().to_owned();
                line.delete_credential(name, reason, patience, waiting(on))
                    .map(|()| Shape::Deleted(Deleted { deleted }))
            }
            Work::Approval(question, patience) => line
                .request_approval(question, patience, waiting(on))
                .map(|()| Shape::Approved(Approved { approved: true })),
            Work::Log(params, pattern) => records(&mut line, &params, pattern.as_ref()),
        }
    }
}

fn waiting<'f>(on: &'f mut dyn FnMut(Event<'_>)) -> impl FnMut(ApprovalId, u64) + 'f {
    |approval, left_ms| on(Event::Waiting(approval, left_ms))
}

fn records(line: &mut Line, params: &ReadLog, pattern: Option<&Reason>) -> Result<Shape, Error> {
    let level = match params.level {
        Level::Info => a::Level::Info,
        Level::Notice => a::Level::Notice,
        Level::Warning => a::Level::Warning,
    };
    let limit = usize::from(params.limit.unwrap_or(RECORDS));
    let (mut records, mut after) = (Vec::new(), params.after);
    loop {
        let (page, next) = line.log(after, params.since_ms, level, pattern.cloned())?;
        records.extend(page.iter().map(crate::shape::Record::from));
        after = next;
        if records.len() >= limit {
            break;
        }
        if after == 0 {
            return Ok(Shape::Log(Log { records, next: None }));
        }
    }
    let more = records.len() > limit || after != 0;
    records.truncate(limit);
    let next = records.last().map(|last| last.number).filter(|_| more);
    Ok(Shape::Log(Log { records, next }))
}

/// Explains a code, or all; needs no session.
///
/// # Errors
/// There is no such code.
pub fn explain(params: &Explain) -> Result<Shape, Failure> {
    let codes = match &params.code {
        None => TABLE.iter().map(Into::into).collect(),
        Some(text) => {
            let code: Code = text.parse().map_err(|()| bad("code: there is no such code"))?;
            vec![code.entry().into()]
        }
    };
    Ok(Shape::Explained(Explained { codes }))
}

/// The signal with this name.
///
/// # Errors
/// [`Code::BadRequest`] for one that may not be sent.
pub fn signal(name: SignalName) -> Result<SignalNo, Failure> {
    let number = match name {
        SignalName::Hup => 1,
        SignalName::Int => 2,
        SignalName::Quit => 3,
        SignalName::Kill => 9,
        SignalName::Usr1 => 10,
        SignalName::Usr2 => 12,
        SignalName::Term => 15,
        SignalName::Cont => 18,
        SignalName::Stop => 19,
        SignalName::Tstp => 20,
        SignalName::Winch => 28,
    };
    SignalNo::new(number).map_err(|_| bad("signal: not one that may be sent"))
}

/// A field of the request is not valid. What a parser says may quote all of
/// it: only the beginning is kept.
#[must_use]
pub fn bad(message: &str) -> Failure {
    let message: String = message.chars().take(MAX_MESSAGE).collect();
    Failure::new(Code::BadRequest, message)
}

fn line() -> Result<Line, Failure> {
    connect::another().and_then(Line::over).map_err(|e| Failure::from(&e))
}

fn path(Bytes(bytes): &Bytes) -> Result<PathBytes, Failure> {
    here::path(Path::new(std::ffi::OsStr::from_bytes(bytes))).map_err(Failure::from)
}

fn rule(text: String) -> Result<Name, Failure> {
    Name::new(text).map_err(|_| bad("rule: a-z, 0-9, - and _, at most 64 of them"))
}

fn credential(text: String) -> Result<CredentialName, Failure> {
    CredentialName::new(text)
        .map_err(|_| bad("a credential's name has A-Z, 0-9 and _, at most 128"))
}

fn words(text: String) -> Result<Reason, Failure> {
    Reason::new(text).map_err(|_| bad("reason: at most 1024 bytes, no NUL"))
}
