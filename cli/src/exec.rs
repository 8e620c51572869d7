//! `strongroom exec`: asks the broker for a command and stands in for it:
//! its streams, its signals, its exit status.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use strongroom_api::shape::exit_status;
use strongroom_client::connect;
use strongroom_client::line::TAG;
use strongroom_client::{Error, Lost, Port, here};
use strongroom_protocol::channel::a::{Answer, Denial, FromAgent, Report, Request, ToAgent};
use strongroom_protocol::codes::{Code, exit};
use strongroom_protocol::plan;
use strongroom_protocol::types::{Arg, Argv, List, PathBytes, ReqId, SignalNo};
use strongroom_sys::{Errno, fd};

use crate::agent::{refused, waiting};
use crate::args;
use crate::error::{Failure, print, warn_raw};
use crate::relay::{Inlet, Interest, Outlet};
use crate::report;
use crate::signals::Signals;
use crate::style::Style;

/// Runs the verb and gives the exit status.
///
/// # Errors
/// A [`Failure`] when the command did not run, or its end is not known.
pub fn exec(args: &args::Exec, json: bool) -> Result<i32, Failure> {
    let request = match request(args) {
        Ok(request) => request,
        Err(code) => return Ok(refused(&Denial::from(code), json)),
    };
    let mut call = Call::start(connect::agent()?, json)?;
    match call.run(&request)? {
        End::Refused(denial) => Ok(refused(&denial, json)),
        End::Signalled(signal) => Ok(exit::SIGNALLED + signal as i32),
        End::Exited(report) => Ok(call.tell(args, &report)),
    }
}

/// The request, or the code the broker would answer it with.
fn request(args: &args::Exec) -> Result<Request, Code> {
    let argv: Result<Vec<Arg>, Code> = args.command.iter().map(|word| argument(word)).collect();
    let cwd = match &args.cwd {
        Some(cwd) => Some(path(cwd)?),
        None => here::folder(),
    };
    Ok(Request::Exec {
        tag: TAG,
        argv: Argv::new(argv?).map_err(|_| Code::BadRequest)?,
        cwd,
        rule: args.rule.clone(),
        timeout_ms: args.timeout.map(Into::into),
        credentials: List::new(args.credentials.clone()).map_err(|_| Code::BadRequest)?,
        reason: args.reason.clone(),
        patience_ms: args.patience.ms(),
    })
}

fn argument(word: &OsStr) -> Result<Arg, Code> {
    // An argument cannot hold a NUL here, so only its length can be wrong.
    Arg::new(word.as_bytes()).map_err(|_| Code::RequestTooBig)
}

fn path(path: &Path) -> Result<PathBytes, Code> {
    PathBytes::new(path.as_os_str().as_bytes()).map_err(|_| Code::BadRequest)
}

/// How a call ended.
enum End {
    Refused(Denial),
    Exited(Box<Report>),
    /// A signal came before there was a command to pass it on to.
    Signalled(Signal),
}

/// A descriptor of the poll loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Broker,
    Signals,
    Input,
    InputPipe,
    Output(usize),
}

/// One command, from request to end.
struct Call {
    port: Port<ToAgent, FromAgent>,
    signals: Signals,
    json: bool,
    /// It was told that a human is asked.
    told: bool,
    id: Option<ReqId>,
    input: Option<Inlet>,
    outputs: Vec<Outlet>,
    report: Option<Box<Report>>,
    lost: Option<Lost>,
}

impl Call {
    fn start(socket: OwnedFd, json: bool) -> Result<Self, Failure> {
        Ok(Self {
            port: Port::new(socket),
            signals: Signals::new().map_err(internal)?,
            json,
            told: false,
            id: None,
            input: None,
            outputs: Vec::new(),
            report: None,
            lost: None,
        })
    }

    fn run(&mut self, request: &Request) -> Result<End, Failure> {
        self.port.send(&Request::Hello { version: plan::VERSION })?;
        match self.port.send(request) {
            Err(Lost::TooBig) => return Ok(End::Refused(Code::RequestTooBig.into())),
            sent => sent?,
        }
        loop {
            if self.outputs.iter().all(Outlet::done) {
                if let Some(report) = self.report.take() {
                    return Ok(End::Exited(report));
                }
                if let Some(lost) = self.lost {
                    return Err(lost.into());
                }
            }
            for (source, events) in self.wait()? {
                if let Some(end) = self.handle(source, events)? {
                    return Ok(end);
                }
            }
        }
    }

    /// What poll(2) has to say about everything that can go on.
    fn wait(&self) -> Result<Vec<(Source, PollFlags)>, Failure> {
        let over = self.report.is_some() || self.lost.is_some();
        let mut interests: Vec<(Source, Interest<'_>)> = Vec::with_capacity(6);
        if !over {
            interests.push((
                Source::Broker,
                Some((std::os::fd::AsFd::as_fd(&self.port), PollFlags::POLLIN)),
            ));
        }
        let pause = self.signals.pause();
        if pause.is_none() {
            interests.push((
                Source::Signals,
                Some((std::os::fd::AsFd::as_fd(&self.signals), PollFlags::POLLIN)),
            ));
        }
        if let Some(input) = self.input.as_ref().filter(|_| !over) {
            interests.push((Source::Input, input.source()));
            interests.push((Source::InputPipe, input.target()));
        }
        for (i, output) in self.outputs.iter().enumerate() {
            interests.push((Source::Output(i), output.interest()));
        }
        interests.retain(|(_, interest)| interest.is_some());
        let mut fds: Vec<PollFd<'_>> = interests
            .iter()
            .filter_map(|(_, i)| *i)
            .map(|(fd, events)| PollFd::new(fd, events))
            .collect();
        let timeout = pause.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::ZERO)
        });
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(errno) => return Err(internal(errno)),
        }
        let ready = interests
            .iter()
            .zip(&fds)
            .map(|((source, _), fd)| (*source, fd.revents().unwrap_or(PollFlags::empty())));
        Ok(ready.filter(|(_, events)| !events.is_empty()).collect())
    }

    fn handle(&mut self, source: Source, events: PollFlags) -> Result<Option<End>, Failure> {
        match source {
            Source::Broker => return self.answer(),
            Source::Signals => return Ok(self.signal()),
            Source::Input => self.input.iter_mut().for_each(Inlet::take),
            Source::InputPipe if events.contains(PollFlags::POLLERR) => {
                self.input.iter_mut().for_each(Inlet::close)
            }
            Source::InputPipe => self.input.iter_mut().for_each(Inlet::give),
            Source::Output(i) => self.outputs.iter_mut().skip(i).take(1).for_each(Outlet::step),
        }
        Ok(None)
    }

    fn answer(&mut self) -> Result<Option<End>, Failure> {
        let (answer, fds) = match self.port.receive() {
            Ok(received) => received,
            // What the command wrote before is still passed on.
            Err(lost) => {
                self.lost = Some(lost);
                return Ok(None);
            }
        };
        match answer {
            Answer::Welcome { version, .. } if version != plan::VERSION => {
                return Err(Error::Version(version).into());
            }
            Answer::Waiting { tag: TAG, approval, left_ms } if self.id.is_none() => {
                if !std::mem::replace(&mut self.told, true) {
                    waiting(approval, left_ms, self.json);
                }
            }
            Answer::Started { tag: TAG, id } if self.id.is_none() => self.started(id, fds)?,
            Answer::Refused { tag: _, denial } if self.id.is_none() => {
                return Ok(Some(End::Refused(denial)));
            }
            Answer::Exited { id, report } if self.id == Some(id) => self.report = Some(report),
            // It ended while the signal was on its way; the report comes.
            Answer::Welcome { .. } | Answer::NoSuchCommand { .. } => {}
            _ => return Err(Error::Unexpected.into()),
        }
        Ok(None)
    }

    fn started(&mut self, id: ReqId, fds: Vec<OwnedFd>) -> Result<(), Failure> {
        let [input, output, error] = <[OwnedFd; 3]>::try_from(fds)
            .map_err(|_| Failure::new(Code::Protocol, "descriptors are missing"))?;
        let [stdin, stdout, stderr] = fd::standard();
        self.id = Some(id);
        self.input = Some(Inlet::new(stdin, input).map_err(internal)?);
        for (pipe, stream) in [(output, stdout), (error, stderr)] {
            let outlet =
                if self.json { Outlet::to_memory(pipe) } else { Outlet::to_stream(pipe, stream) };
            self.outputs.push(outlet.map_err(internal)?);
        }
        Ok(())
    }

    fn signal(&mut self) -> Option<End> {
        let signal = self.signals.next()?;
        let Some(id) = self.id else {
            return match signal {
                Signal::SIGHUP | Signal::SIGINT | Signal::SIGQUIT | Signal::SIGTERM => {
                    Some(End::Signalled(signal))
                }
                Signal::SIGTSTP => {
                    stop_self();
                    None
                }
                _ => None,
            };
        };
        match signal {
            // The command has no terminal and its group is an orphan, for
            // which the kernel drops SIGTSTP (setpgid(2)): SIGSTOP it is.
            Signal::SIGTSTP => {
                self.pass_on(id, Signal::SIGSTOP);
                stop_self();
            }
            other => self.pass_on(id, other),
        }
        None
    }

    fn pass_on(&mut self, id: ReqId, signal: Signal) {
        let Some(signal) = u8::try_from(signal as i32).ok().and_then(|n| SignalNo::new(n).ok())
        else {
            return;
        };
        if self.report.is_none() && self.lost.is_none() {
            self.lost = self.port.send(&Request::Signal { id, signal }).err();
        }
    }

    /// Says how it ended, and gives the exit status.
    fn tell(self, args: &args::Exec, ended: &Report) -> i32 {
        if self.json {
            let argv: Vec<Vec<u8>> = args.command.iter().map(|a| a.as_bytes().to_vec()).collect();
            let kept: Vec<Vec<u8>> = self.outputs.into_iter().map(Outlet::into_memory).collect();
            let stream = |i: usize| kept.get(i).map_or(&[][..], Vec::as_slice);
            print(&format!("{}\n", report::ended(&argv, ended, stream(0), stream(1))));
        } else {
            warn_raw(&report::notices(ended, Style::of(&std::io::stderr())));
            // A reader that went away is no fault; a full disk is.
            let lost = self.outputs.iter().filter_map(Outlet::lost).find(|e| *e != Errno::EPIPE);
            if let Some(errno) = lost {
                warn_raw(&format!("strongroom: output was lost: {}\n", errno.desc()));
                return exit::OWN_FAILURE;
            }
        }
        exit_status(ended.outcome)
    }
}

/// Stops this process as its default action would, until SIGCONT.
fn stop_self() {
    let _ = nix::sys::signal::raise(Signal::SIGSTOP);
}

fn internal(errno: Errno) -> Failure {
    Failure::new(Code::Internal, errno.desc())
}
