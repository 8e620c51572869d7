//! Channel W, broker and one worker. A secret travels here and nowhere else,
//! and only after [`Up::Ready`]: into a finished jail. The agent's own jail is
//! launched over the same channel, by the supervisor.

use super::{Budget, direction};
use crate::channel::a::{Outcome, Usage};
use crate::limits::MAX_ENV;
use crate::receipt::Receipt;
use crate::stage::StageError;
use crate::types::{Argv, EnvVar, List, PathBytes, SignalNo};

direction!(
    /// What a worker is told.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    ToWorker, Down, channel "W", "broker" => "worker",
    states DownState { Waiting, Running },
    /// Run this. Descriptors: standard input, output, error.
    Launch {
        /// The command.
        launch: Box<Launch>,
    } = 0, in [Waiting] => Running, fds 3, Budget::Once;
    /// The same, for the agent, with its end of channel A as fourth.
    LaunchAgent {
        /// The command.
        launch: Box<Launch>,
    } = 1, in [Waiting] => Running, fds 4, Budget::Once;
    /// Send a signal to the command.
    Signal {
        /// Which.
        signal: SignalNo,
    } = 2, in [Running], fds 0, Budget::Unbounded;
);

direction!(
    /// What a worker says.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    FromWorker, Up, channel "W", "worker" => "broker",
    states UpState { Setup, Ready, Done },
    /// The jail is finished.
    Ready {
        /// What it enforces.
        receipt: Box<Receipt>,
    } = 0, in [Setup] => Ready, fds 0, Budget::Once;
    /// A step failed; nothing was executed.
    Failed {
        /// The step.
        error: StageError,
    } = 1, in [Setup, Ready] => Done, fds 0, Budget::Once;
    /// The command ended, and every process it left was ended.
    Exited {
        /// How.
        outcome: Outcome,
        /// What it used.
        usage: Usage,
        /// Protected names it created or changed.
        protected: List<PathBytes, 16>,
    } = 2, in [Ready] => Done, fds 0, Budget::Once;
);

/// One command, as it will run.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Launch {
    /// Program and arguments.
    pub argv: Argv,
    /// Working folder, relative to the workspace; `None`: the workspace.
    pub cwd: Option<PathBytes>,
    /// What is granted, added to the profile's environment.
    pub env: List<EnvVar, MAX_ENV>,
    /// Wall clock, milliseconds; 0: the profile's.
    pub wall_ms: u64,
}
