//! What the start hands to the broker: the vault's key, and the credentials
//! found in this place. A child reads them and writes them into a memfd, so
//! that this process, which becomes the supervisor, never has one in memory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::uio::pwrite;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, write};
use serde::{Deserialize, Serialize};
use strongroom_protocol::codes::Code;
use strongroom_protocol::intake::{Found as Value, Intake};
use strongroom_protocol::types::{CredentialName, SecretValue};
use strongroom_sys::process::{self, Forked};
use strongroom_sys::{Errno, fd};
use strongroom_vault::value::check_value;

use crate::error::{Failure, to_json};
use crate::found::{Found, Source, some_of};
use crate::key;
use crate::secret;

/// Bytes of the child's last words.
const MAX_WORDS: usize = 32 * 1024;

/// What is passed on to the child while it works: it may be asking for a
/// passphrase, and then the terminal is its to give back.
const FORWARDED: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// A memfd with all of it, written by a child that has ended; and what is to
/// be said about it.
///
/// # Errors
/// What the child said; [`Code::StartFailed`] when it could not be made or a
/// signal ended it.
pub fn gather(key: Option<&key::Source>, found: &Found) -> Result<(OwnedFd, Vec<String>), Failure> {
    let memory = memfd_create(c"strongroom-intake", MFdFlags::MFD_CLOEXEC).map_err(failed)?;
    let (words, said) = fd::pipe().map_err(failed)?;
    let forwarded: SigSet =
        FORWARDED.into_iter().filter(|s| !process::ignored(*s as i32)).collect();
    let before = forwarded.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(failed)?;
    let ended = match process::fork(0).map_err(failed)? {
        Forked::Child => {
            drop(words);
            let _ = before.thread_set_mask();
            process::exit(child(key, found, memory.as_fd(), said.as_fd()))
        }
        Forked::Parent { pid, pidfd } => {
            drop(said);
            wait(pid, pidfd.as_fd(), &forwarded)
        }
    };
    let _ = before.thread_set_mask();
    match ended? {
        Ended::Itself => last_words(words.as_fd()).map(|notes| (memory, notes)),
        Ended::By(signal) => {
            // As if there had been no child. Where that does not end us
            // (the first process of a container), the start has failed.
            let _ = raise(signal);
            Err(start_failed("interrupted"))
        }
    }
}

/// How the child ended.
enum Ended {
    Itself,
    By(Signal),
}

fn wait(pid: i32, pidfd: BorrowedFd<'_>, forwarded: &SigSet) -> Result<Ended, Failure> {
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    let signals = SignalFd::with_flags(forwarded, flags).map_err(failed)?;
    let mut taken = None;
    loop {
        let mut ready = [
            PollFd::new(pidfd, PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let [ended, _] = ready.map(|fd| fd.any().unwrap_or(false));
        while let Ok(Some(info)) = signals.read_signal() {
            taken = i32::try_from(info.ssi_signo).ok().and_then(|n| Signal::try_from(n).ok());
            if let Some(signal) = taken {
                let _ = process::signal(pidfd, signal as i32);
            }
        }
        if ended {
            break;
        }
    }
    let status = loop {
        match waitpid(Pid::from_raw(pid), None) {
            Err(Errno::EINTR) => {}
            status => break status.map_err(failed)?,
        }
    };
    Ok(match (taken, status) {
        (Some(signal), _) | (None, WaitStatus::Signaled(_, signal, _)) => Ended::By(signal),
        _ => Ended::Itself,
    })
}

/// Reads everything and writes it down. Gives the exit status.
fn child(
    key: Option<&key::Source>,
    found: &Found,
    memory: BorrowedFd<'_>,
    said: BorrowedFd<'_>,
) -> i32 {
    let done = secret::seclude().and_then(|()| collect(key, found)).and_then(|intake| {
        deliver(&intake, memory)?;
        Ok(weak(&intake.found).into_iter().collect())
    });
    // Short enough for a pipe to take it whole; where nobody listens there is
    // nothing to say either.
    let _ = write(said, to_json(&Words::from(done)).as_bytes());
    0
}

fn collect(key: Option<&key::Source>, found: &Found) -> Result<Intake, Failure> {
    let key = key.map(key::Source::read).transpose()?;
    let found: Result<Vec<Value>, Failure> =
        found.list.iter().map(|(name, source)| value(name, source)).collect();
    Ok(Intake { key, found: found? })
}

/// What is to be said of values that are no good secrets. They are taken as
/// they are, unlike those that are typed.
fn weak(found: &[Value]) -> Option<String> {
    let weak = found.iter().filter(|found| check_value(found.value.as_bytes()).is_err());
    let names: Vec<String> = weak.map(|found| found.name.as_str().to_owned()).collect();
    let some = some_of(&names)?;
    Some(format!(
        "credentials: so short or simple that they cannot be hidden everywhere in output: {some}"
    ))
}

fn value(name: &CredentialName, source: &Source) -> Result<Value, Failure> {
    let refuse = |why: &str| {
        let message = format!("{} in {source}: {why}", name.as_str());
        Failure::new(Code::SecretInEnvironment, message)
    };
    let mut bytes = source.read().map_err(|why| refuse(&why))?;
    if bytes.is_empty() {
        return Err(refuse("it is empty"));
    }
    let value = SecretValue::new(std::mem::take(&mut *bytes)).map_err(|_| refuse("too long"))?;
    Ok(Value { name: name.clone(), value })
}

fn deliver(intake: &Intake, memory: BorrowedFd<'_>) -> Result<(), Failure> {
    let bytes = intake.encode().map_err(|_| {
        Failure::new(Code::SecretInEnvironment, "the credentials together are over 8 MiB")
    })?;
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        // Not write(2): the offset is shared with all who get the memfd.
        match pwrite(memory, rest, i64::try_from(at).unwrap_or(i64::MAX)) {
            Ok(n) => at += n,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(())
}

/// What the child has to say. Holds no value: no failure of ours does.
#[derive(Serialize, Deserialize)]
enum Words {
    Done(Vec<String>),
    Failed { code: u16, message: String, hint: Option<String> },
}

impl From<Result<Vec<String>, Failure>> for Words {
    fn from(done: Result<Vec<String>, Failure>) -> Self {
        match done {
            Ok(notes) => Self::Done(notes),
            Err(Failure { code, message, hint }) => {
                Self::Failed { code: code.number(), message, hint }
            }
        }
    }
}

fn last_words(from: BorrowedFd<'_>) -> Result<Vec<String>, Failure> {
    let words = secret::read_all(from, MAX_WORDS).ok();
    match words.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        Some(Words::Done(notes)) => Ok(notes),
        Some(Words::Failed { code, message, hint }) => {
            Err(Failure { code: Code::from_number(code).unwrap_or(Code::Internal), message, hint })
        }
        None => Err(start_failed("reading the credentials ended without a word")),
    }
}

fn failed(errno: Errno) -> Failure {
    start_failed(&format!("the credentials: {}", errno.desc()))
}

fn start_failed(message: &str) -> Failure {
    Failure::new(Code::StartFailed, message)
}
