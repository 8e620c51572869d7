//! Channel S, broker and supervisor. Fixed-size frames, no strings: nothing
//! an agent wrote can reach the privileged side.

use super::{Budget, direction};
use crate::stage::StageError;
use crate::types::{ProfileIx, ReqId};

direction!(
    /// What the broker may ask of the supervisor.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    FromBroker, Command, channel "S", "broker" => "supervisor",
    states CommandState { Starting, Serving, Draining },
    /// The broker is locked down and serves: the agent may start.
    Ready = 0, in [Starting] => Serving, fds 0, Budget::Once;
    /// Make, or take, a worker of this profile for this command.
    Spawn {
        /// The command.
        req: ReqId,
        /// The profile.
        profile: ProfileIx,
    } = 1, in [Serving], fds 0, Budget::Unbounded;
    /// End this command's worker and all that is in its jail.
    Kill {
        /// The command.
        req: ReqId,
    } = 2, in [Serving, Draining], fds 0, Budget::Unbounded;
    /// End the session: in order, or at once.
    Shutdown {
        /// Skip the agent's grace.
        now: bool,
    } = 3, in [Serving, Draining] => Draining, fds 0, Budget::Unbounded;
);

direction!(
    /// What the supervisor answers.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    ToBroker, Event, channel "S", "supervisor" => "broker",
    states EventState { Serving },
    /// A worker is there. Descriptor: the broker's end of its channel W.
    Spawned {
        /// The command.
        req: ReqId,
    } = 0, in [Serving], fds 1, Budget::Unbounded;
    /// No worker could be made.
    SpawnFailed {
        /// The command.
        req: ReqId,
        /// The step that failed.
        error: StageError,
    } = 1, in [Serving], fds 0, Budget::Unbounded;
    /// The worker ended and its jail is empty; status from the kernel.
    Exited {
        /// The command.
        req: ReqId,
        /// Exit status, or -signal.
        status: i32,
    } = 2, in [Serving], fds 0, Budget::Unbounded;
    /// The session ends: accept nothing more.
    Drain = 3, in [Serving], fds 0, Budget::Unbounded;
);
