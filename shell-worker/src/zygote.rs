//! The zygote of one profile: carries the big filter, forks workers on
//! request. It reads fixed-size frames from the supervisor and nothing else.

use std::os::fd::{AsFd, OwnedFd};

use strongroom_jail::namespaces::Networks;
use strongroom_jail::template::Template;
use strongroom_jail::{At, Step, filter, leases, limits, namespaces, paths, private, privileges};
use strongroom_protocol::channel::{Gate, z};
use strongroom_protocol::limits::MAX_PLAN;
use strongroom_protocol::plan::{Namespaces, Network, Plan, Profile};
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_protocol::types::ProfileIx;
use strongroom_protocol::{codec, fds};
use strongroom_seccomp::{Net, Unix};
use strongroom_sys::process::{self, Forked, flags};
use strongroom_sys::{Errno, fd, packet};
use zeroize::Zeroizing;

use crate::program::Ground;
use crate::setup::{ABOVE, Lent, Setup};
use crate::worker;

/// Least OOM score of zygotes, workers and commands: the kernel ends them
/// before us, and of them the one with the most memory first, which is no
/// zygote (proc_pid_oom_score_adj(5)).
const OOM_SCORE: i32 = 300;

/// From this ABI on Landlock mediates pathname sockets itself.
const RESOLVE_UNIX_ABI: u8 = 9;

/// One profile's zygote.
pub struct Zygote {
    plan: Plan,
    profile: Profile,
    ground: Ground,
    control: OwnedFd,
    net: Net,
    unix: Unix,
    template: Template,
    networks: Networks,
}

impl Zygote {
    /// Takes over the descriptors, reads the plan, and does all of a jail that
    /// is inherited: signals, limits, the bounding set, the big filter.
    pub fn new(index: u16) -> Step<Self> {
        process::reset_signals();
        // Its own children only sweep; workers are the supervisor's.
        process::forget_children();
        // Folders of a new root are for the sandbox user to pass through.
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        process::die_with_parent().at(Stage::Dumpable)?;
        let bytes = {
            let plan = fd::inherited(fds::PLAN).at(Stage::Start)?;
            fd::read_sealed(plan.as_fd(), MAX_PLAN).at(Stage::Start)?
        };
        let wrong = StageError { stage: Stage::Start, errno: 0 };
        let plan = Plan::decode(&bytes).map_err(|_| wrong)?;
        let index = ProfileIx(index);
        let profile = plan.profile(index).cloned().ok_or(wrong)?;
        let control = fd::inherited(fds::CONTROL).at(Stage::Start)?;
        fd::close_from(5).at(Stage::CloseFds)?;
        let net = match profile.network {
            Network::None => Net::None,
            Network::Loopback => Net::Loopback,
            Network::Open => Net::Open,
        };
        let seen = plan.namespaces == Namespaces::None && plan.landlock_abi < RESOLVE_UNIX_ABI;
        let unix = match (seen, index == plan.agent.profile) {
            (false, _) => Unix::All,
            (true, true) => Unix::Seqpacket,
            (true, false) => Unix::None,
        };
        process::no_new_privs().at(Stage::NoNewPrivs)?;
        filter::install(strongroom_seccomp::base(net, unix))?;
        let ground = Ground::of(&plan);
        raise_oom_score()?;
        limits::set_common(&profile.limits)?;
        privileges::empty_bounding_set()?;
        if plan.namespaces == Namespaces::User {
            namespaces::own_ground(plan.sandbox, profile.network)?;
            // Reset with the capabilities that came.
            process::die_with_parent().at(Stage::Dumpable)?;
        }
        let template = Template::new(plan.namespaces, ABOVE)?;
        // From here on it has descriptors that no jail may get at.
        process::set_dumpable(false).at(Stage::Dumpable)?;
        Ok(Self {
            plan,
            profile,
            ground,
            control,
            net,
            unix,
            template,
            networks: Networks::default(),
        })
    }

    /// Serves until the supervisor closes the channel.
    pub fn serve(mut self) -> Step<()> {
        self.send(&z::Forked::Ready)?;
        let mut gate = Gate::<z::ToZygote>::new();
        let mut buffer = [0; 64];
        loop {
            let packet = packet::receive(self.control.as_fd(), &mut buffer).at(Stage::Start)?;
            if packet.len == 0 {
                // All workers have ended; some may have been killed.
                self.sweep_leases();
                return Ok(());
            }
            let frame = buffer.get(..packet.len).unwrap_or_default();
            let broken = StageError { stage: Stage::Start, errno: Errno::EPROTO as i32 };
            let order = gate.admit(frame, packet.fds.len(), 0).map_err(|_| broken)?;
            match order {
                z::Fork::Worker { slot } => {
                    self.worker(slot)?;
                    // While nobody waits. If there is none, the next worker's
                    // turn says so.
                    let _ = self.own_network().map_or(Ok(()), |net| self.networks.ahead(net));
                }
                z::Fork::Sweep { slot } => self.sweep(slot),
            }
        }
    }

    fn worker(&mut self, slot: u64) -> Step<()> {
        match self.fork(slot) {
            Ok(fds) => {
                let fds = [fds.0.as_fd(), fds.1.as_fd(), fds.2.as_fd()];
                let frame = encode(&z::Forked::Worker { slot })?;
                packet::send(self.control.as_fd(), &frame, &fds).at(Stage::Start)
            }
            Err(error) => self.send(&z::Forked::Failed { slot, error }),
        }
    }

    /// Makes a worker: a child of the supervisor, in namespaces of its own.
    /// Returns its pidfd, the other end of its channel W, and its lifeline.
    fn fork(&mut self, slot: u64) -> Step<(OwnedFd, OwnedFd, OwnedFd)> {
        self.template.refresh(&self.plan, &self.profile)?;
        // Made here for this one worker, which then has nothing of ours that
        // leads out of its jail.
        let ruleset = || {
            let domain = self.template.domain(&self.plan, &self.profile)?;
            fd::duplicate_above(domain.prepared().as_fd(), ABOVE).at(Stage::Landlock)
        };
        let domain = ruleset()?;
        let granted = self.plan.leases.is_some() && self.profile.leases;
        let command_domain = if granted { Some(ruleset()?) } else { None };
        let (worker_end, broker_end) = packet::pair().at(Stage::Namespaces)?;
        let (lifeline, hold) = fd::pipe().at(Stage::Namespaces)?;
        let (namespace_flags, bits) =
            namespaces::wanted(self.plan.namespaces, self.profile.network);
        if let Some(network) = self.own_network() {
            self.networks.take(network)?;
        }
        match process::fork(flags::PARENT | namespace_flags & !flags::NET).at(Stage::Namespaces)? {
            Forked::Parent { pidfd, .. } => Ok((pidfd, broker_end, hold)),
            Forked::Child => {
                drop((broker_end, hold));
                let setup = Setup {
                    plan: &self.plan,
                    profile: &self.profile,
                    ground: &self.ground,
                    slot,
                    namespaces: bits,
                    net: self.net,
                    unix: self.unix,
                    lent: Lent {
                        outside: self.template.outside(),
                        domain: domain.as_fd(),
                        command_domain: command_domain.as_ref().map(AsFd::as_fd),
                    },
                };
                worker::worker(&setup, worker_end, lifeline)
            }
        }
    }

    /// Workers of this profile have network namespaces of their own.
    fn own_network(&self) -> Option<Network> {
        let (flags, _) = namespaces::wanted(self.plan.namespaces, self.profile.network);
        (flags & flags::NET != 0).then_some(self.profile.network)
    }

    /// Removes what a worker left: its private folder, leases. Where it has
    /// mounts of its own they have gone with it.
    fn sweep(&self, slot: u64) {
        if self.plan.namespaces != Namespaces::None {
            return;
        }
        if self.profile.tmp {
            self.sweep_private(slot);
        }
        if self.profile.leases {
            self.sweep_leases();
        }
    }

    /// Usually the private folder is empty; anything in it means the worker
    /// was killed, and then a child removes it, so that no command waits for a
    /// long removal.
    fn sweep_private(&self, slot: u64) {
        let base = paths::c_string(&paths::join(self.plan.state.as_bytes(), b"tmp"));
        let name = paths::c_string(slot.to_string().as_bytes());
        let Ok(base) = fd::anchor(&base) else { return };
        let remove = nix::unistd::UnlinkatFlags::RemoveDir;
        if nix::unistd::unlinkat(&base, &*name, remove) != Err(Errno::ENOTEMPTY) {
            return;
        }
        if let Ok(Forked::Child) = process::fork(0) {
            let done = private::remove(base.as_fd(), &name);
            process::exit(if done.is_ok() { 0 } else { Stage::Supervise.exit_code() });
        }
    }

    /// Usually there is none: a worker removes its own. The supervisor has no
    /// right to look into a folder of the sandbox user's, so this is done here
    /// when the session ends, too.
    fn sweep_leases(&self) {
        let shared = self.plan.leases.as_ref().filter(|_| self.plan.namespaces == Namespaces::None);
        if let Some(Ok(folder)) = shared.map(|l| leases::open(&self.plan, l)) {
            let _ = leases::sweep(folder.as_fd());
        }
    }

    fn send(&self, message: &z::Forked) -> Step<()> {
        packet::send(self.control.as_fd(), &encode(message)?, &[]).at(Stage::Start)
    }
}

fn encode(message: &z::Forked) -> Step<Zeroizing<Vec<u8>>> {
    codec::encode(message).map_err(|_| StageError { stage: Stage::Start, errno: 0 })
}

/// Only upwards: without privilege a score cannot be lowered again below what
/// a privileged process has set, and Kubernetes sets up to 1000.
fn raise_oom_score() -> Step<()> {
    const FILE: &str = "/proc/self/oom_score_adj";
    let own = std::fs::read_to_string(FILE).at(Stage::Rlimits)?;
    if own.trim().parse::<i32>().is_ok_and(|own| own >= OOM_SCORE) {
        return Ok(());
    }
    std::fs::write(FILE, OOM_SCORE.to_string()).at(Stage::Rlimits)
}
