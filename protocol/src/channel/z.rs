//! Channel Z, supervisor and zygote. Fixed-size frames, no strings.

use super::{Budget, direction};
use crate::stage::StageError;

direction!(
    /// What the supervisor asks of a zygote.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    ToZygote, Fork, channel "Z", "supervisor" => "zygote",
    states ForkState { Serving },
    /// Make a worker.
    Worker {
        /// A number, echoed, that also names the worker's private folder.
        slot: u64,
    } = 0, in [Serving], fds 0, Budget::Unbounded;
    /// The worker of this slot ended: remove its private folder.
    Sweep {
        /// The number.
        slot: u64,
    } = 1, in [Serving], fds 0, Budget::Unbounded;
);

direction!(
    /// What a zygote answers.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    FromZygote, Forked, channel "Z", "zygote" => "supervisor",
    states ForkedState { Starting, Serving },
    /// The zygote is set up.
    Ready = 0, in [Starting] => Serving, fds 0, Budget::Once;
    /// A worker exists and sets itself up. It is the supervisor's child.
    /// Descriptors: its pidfd, the other end of its channel W, its lifeline
    /// (write end of a pipe: when it closes, the worker ends everything).
    Worker {
        /// The number.
        slot: u64,
    } = 1, in [Serving], fds 3, Budget::Unbounded;
    /// No worker.
    Failed {
        /// The number.
        slot: u64,
        /// The step.
        error: StageError,
    } = 2, in [Starting, Serving], fds 0, Budget::Unbounded;
);
