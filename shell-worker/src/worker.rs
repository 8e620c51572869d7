//! One worker's life: build the jail, report, wait, do one thing, report,
//! exit. Never returns to the zygote's code.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use strongroom_jail::{At, Step, private};
use strongroom_protocol::channel::w::{Down, FromWorker, Launch, ToWorker, Up, Write};
use strongroom_protocol::channel::{Direction, Gate};
use strongroom_protocol::codec;
use strongroom_protocol::limits::MAX_PACKET;
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_sys::{Errno, fd, memory, packet, process};
use zeroize::Zeroize as _;

use crate::command::{Armed, Launcher};
use crate::examine::{Examined, examine};
use crate::files::{self, Desk, Draft, Refusal};
use crate::killall::kill_all;
use crate::lease::Leases;
use crate::setup::{self, Jail, Setup};

/// The worker: what the zygote's child does.
pub fn worker(setup: &Setup<'_>, channel: OwnedFd, lifeline: OwnedFd) -> ! {
    let status = match live(setup, channel, lifeline) {
        Ok(()) => 0,
        Err(error) => error.stage.exit_code(),
    };
    process::exit(status)
}

fn live(setup: &Setup<'_>, channel: OwnedFd, lifeline: OwnedFd) -> Step<()> {
    process::reset_signals();
    let channel = settle(channel, setup::CHANNEL)?;
    let lifeline = settle(lifeline, setup::LIFELINE)?;
    let null = nix::fcntl::open(c"/dev/null", OFlag::O_RDWR, nix::sys::stat::Mode::empty())
        .at(Stage::CloseFds)?;
    for number in 0..3 {
        fd::place(null.as_fd(), number).at(Stage::CloseFds)?;
    }
    drop(null);

    let mut worker = Worker { channel, lifeline, gate: Gate::new(), buffer: Vec::new() };
    let tell = |error| {
        let _ = worker.say(&Up::Failed { error });
        error
    };
    let jail = setup.build().map_err(tell)?;
    let launcher = Launcher::new(setup, &jail).map_err(tell)?;
    worker.say(&Up::Ready { receipt: Box::new(jail.receipt.clone()) })?;
    // Only speed depends on it.
    let _ = memory::map_program();
    let desk = Desk { plan: setup.plan, workspace: jail.workspace.as_fd(), slot: setup.slot };
    let mut leases = Leases::new(&jail, setup.slot, setup.profile.limits.file_size);
    let mut examined = None;
    loop {
        let Some((order, fds)) = worker.hear()? else { return clean(&jail) };
        match order {
            Down::Examine { launch } => {
                match examine(setup, &jail, *launch, &|| !worker.is_abandoned()) {
                    Ok(found) => {
                        let files = Box::new(found.files.clone());
                        worker.say(&Up::Examined { files })?;
                        examined = Some(found);
                    }
                    Err(error) => {
                        clean(&jail)?;
                        return worker.say(&Up::Failed { error });
                    }
                }
            }
            Down::Lease { id, name, size } => leases.begin(id, &name, size)?,
            Down::LeaseBytes { bytes } => leases.add(bytes.as_bytes())?,
            Down::Launch { launch } => {
                let order = Order { launcher, launch: *launch, examined, fds, waits: true };
                return run(&mut worker, setup, &jail, leases, order);
            }
            Down::LaunchAgent { launch } => {
                let order = Order { launcher, launch: *launch, examined, fds, waits: false };
                return run(&mut worker, setup, &jail, leases, order);
            }
            Down::Link { link } => return filed(&worker, &jail, desk.link(&link)),
            Down::Write { write } => {
                let written = write_file(&mut worker, desk, &write)?;
                return written.map_or(Ok(()), |result| filed(&worker, &jail, result));
            }
            _ => return Err(broken()),
        }
    }
}

/// Moves a descriptor to its fixed number.
fn settle(from: OwnedFd, number: i32) -> Step<OwnedFd> {
    // First above all fixed numbers, or the second would close the first.
    let above = fd::duplicate_above(from.as_fd(), 32).at(Stage::CloseFds)?;
    drop(from);
    fd::place(above.as_fd(), number).at(Stage::CloseFds)?;
    fd::inherited(number).at(Stage::CloseFds)
}

/// A command to be run, and what was found when it was looked at.
struct Order<'j> {
    launcher: Launcher<'j>,
    launch: Launch,
    examined: Option<Examined>,
    fds: Vec<OwnedFd>,
    /// Not before it is said.
    waits: bool,
}

/// Runs the command, with what it was granted, as soon as it may run.
fn run<'j>(
    worker: &mut Worker,
    setup: &Setup<'j>,
    jail: &'j Jail,
    leases: Leases<'_>,
    order: Order<'j>,
) -> Step<()> {
    let Order { launcher, launch, examined, fds, waits } = order;
    let other = examined.as_ref().is_some_and(|examined| !examined.is(&launch));
    if other || !leases.are_whole() {
        return Err(broken());
    }
    let ready = leases
        .grant(jail.command_domain.as_fd())
        .and_then(|()| Armed::new(setup, jail, launcher, launch, examined.as_ref()));
    if waits && ready.is_ok() {
        match worker.hear()? {
            Some((Down::Go, _)) => {}
            None => {
                drop(leases);
                return clean(jail);
            }
            Some(_) => return Err(broken()),
        }
    }
    let started = ready.and_then(|armed| armed.launch(fds));
    drop(examined);
    match started {
        Ok(command) => command.supervise(worker, setup, jail, leases),
        Err(error) => {
            // It may have been started already.
            kill_all(|_| {});
            drop(leases);
            clean(jail)?;
            let _ = worker.say(&Up::Failed { error });
            Ok(())
        }
    }
}

/// Takes a file's bytes and writes it. All of them are heard, also when it
/// went wrong before: the broker speaks until it has said all, and then
/// listens. `None`: nobody is there any more.
fn write_file(
    worker: &mut Worker,
    desk: Desk<'_>,
    write: &Write,
) -> Step<Option<Result<(), Refusal>>> {
    let mut left = write.size as usize;
    let mut draft = desk.write(write);
    let mut add = |bytes: &[u8]| {
        left = left.checked_sub(bytes.len()).ok_or_else(broken)?;
        let added = draft.as_mut().map_or(Ok(()), |draft| draft.add(bytes));
        if let Err(refusal) = added {
            draft = Err(refusal);
        }
        Ok(())
    };
    loop {
        match worker.hear()? {
            None => return Ok(None),
            Some((Down::WriteText { bytes }, _)) => add(bytes.as_bytes())?,
            Some((Down::WriteBytes { bytes }, _)) => add(bytes.as_bytes())?,
            Some((Down::WriteDone, _)) if left == 0 => break,
            Some(_) => return Err(broken()),
        }
    }
    Ok(Some(draft.and_then(Draft::finish)))
}

fn filed(worker: &Worker, jail: &Jail, result: Result<(), Refusal>) -> Step<()> {
    clean(jail)?;
    let (filed, errno) = files::answer(result);
    worker.say(&Up::Filed { filed, errno })
}

/// Empties the private folder.
///
/// # Errors
/// [`Stage::Supervise`].
pub fn clean(jail: &Jail) -> Step<()> {
    match &jail.private_folder {
        Some(folder) => private::empty(folder.as_fd()).at(Stage::Supervise),
        None => Ok(()),
    }
}

/// The other side does not keep to the protocol.
pub fn broken() -> StageError {
    StageError { stage: Stage::Report, errno: Errno::EPROTO as i32 }
}

/// The worker's two ends.
pub struct Worker {
    /// Channel W.
    pub channel: OwnedFd,
    /// Closed by the supervisor when all must end.
    pub lifeline: OwnedFd,
    gate: Gate<ToWorker>,
    buffer: Vec<u8>,
}

impl Worker {
    /// Sends one message.
    ///
    /// # Errors
    /// [`Stage::Report`].
    pub fn say(&self, message: &<FromWorker as Direction>::Message) -> Step<()> {
        let frame = codec::encode(message)
            .map_err(|_| StageError { stage: Stage::Report, errno: Errno::EMSGSIZE as i32 })?;
        packet::send(self.channel.as_fd(), &frame, &[]).at(Stage::Report)
    }

    /// Nobody waits for us any more.
    pub fn is_abandoned(&self) -> bool {
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
        let mut polled = [
            PollFd::new(self.channel.as_fd(), PollFlags::empty()),
            PollFd::new(self.lifeline.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(&mut polled, PollTimeout::ZERO);
        let [channel, lifeline] = &polled;
        lifeline.any() == Some(true) || channel.revents().is_some_and(|r| r.intersects(gone))
    }

    /// Waits for one message. `None`: the other side, or the supervisor, is
    /// gone, and so is the reason to be here.
    fn hear(&mut self) -> Step<Option<(Down, Vec<OwnedFd>)>> {
        // Here, while nobody waits for us, and once.
        self.buffer.resize(MAX_PACKET, 0);
        let mut polled = [
            PollFd::new(self.channel.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.lifeline.as_fd(), PollFlags::POLLIN),
        ];
        loop {
            match poll(&mut polled, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                other => {
                    other.at(Stage::Report)?;
                    break;
                }
            }
        }
        let [_, lifeline] = &polled;
        if lifeline.any() == Some(true) { Ok(None) } else { self.receive() }
    }

    /// Receives a message that is there. It may hold a secret, so the packet
    /// is wiped; the message wipes itself.
    ///
    /// # Errors
    /// [`Stage::Report`].
    pub fn receive(&mut self) -> Step<Option<(Down, Vec<OwnedFd>)>> {
        let received = packet::receive(self.channel.as_fd(), &mut self.buffer);
        let packet = received.at(Stage::Report)?;
        if packet.len == 0 {
            return Ok(None);
        }
        let frame = self.buffer.get_mut(..packet.len).unwrap_or_default();
        let message = match packet.truncated {
            true => Err(broken()),
            false => self.gate.admit(frame, packet.fds.len(), 0).map_err(|_| broken()),
        };
        frame.zeroize();
        Ok(Some((message?, packet.fds)))
    }
}
