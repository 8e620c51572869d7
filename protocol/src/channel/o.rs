//! Channel O, operator and broker. The socket stands in the state folder; the
//! client must also present the token from a file there, because Landlock
//! ABI 7 does not mediate pathname sockets and in the same-uid tier the
//! file's mode alone would not keep a worker out.

use super::{Budget, direction};
use crate::codes::Code;
use crate::receipt::Tier;
use crate::types::{Argv, List, Name, ReqId};

/// Bytes of the operator's token.
pub const TOKEN: usize = 32;

direction!(
    /// What an operator may ask.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    FromOperator, Order, channel "O", "operator" => "broker",
    states OrderState { Fresh, Open },
    /// First message: version, and the token from the state folder.
    Hello {
        /// [`crate::plan::VERSION`].
        version: u16,
        /// The token.
        token: [u8; TOKEN],
    } = 0, in [Fresh] => Open, fds 0, Budget::Once;
    /// How is the session?
    Status = 1, in [Open], fds 0, Budget::PerSecond(100);
    /// End one command at once.
    Kill {
        /// Which.
        id: ReqId,
    } = 2, in [Open], fds 0, Budget::PerSecond(100);
    /// End all commands and the agent at once.
    KillAll = 3, in [Open], fds 0, Budget::PerSecond(100);
    /// End the session in order: agent first, then what is left.
    Shutdown = 4, in [Open], fds 0, Budget::PerSecond(100);
);

direction!(
    /// What the broker answers.
    #[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
    ToOperator, Reply, channel "O", "broker" => "operator",
    states ReplyState { Fresh, Open },
    /// The token was right.
    Welcome {
        /// [`crate::plan::VERSION`].
        version: u16,
    } = 0, in [Fresh] => Open, fds 0, Budget::Once;
    /// The state of the session.
    Status {
        /// It.
        status: Box<Status>,
    } = 1, in [Open], fds 0, Budget::Unbounded;
    /// Done.
    Done = 2, in [Open], fds 0, Budget::Unbounded;
    /// Refused.
    Refused {
        /// Why.
        code: Code,
    } = 3, in [Fresh, Open], fds 0, Budget::Unbounded;
);

/// One running command.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Running {
    /// Its number.
    pub id: ReqId,
    /// Its rule.
    pub rule: Name,
    /// Its arguments, cut where the whole would not fit.
    pub argv: Argv,
    /// Arguments were cut.
    pub cut: bool,
    /// Milliseconds since it was accepted.
    pub age_ms: u64,
}

/// The state of the session.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Status {
    /// The session's random name.
    pub session: [u8; 16],
    /// The tier.
    pub tier: Tier,
    /// Milliseconds since start.
    pub age_ms: u64,
    /// Commands accepted so far.
    pub accepted: u64,
    /// Requests refused so far.
    pub refused: u64,
    /// Connections of agents.
    pub connections: u32,
    /// Running now, oldest first; no more than fit.
    pub running: List<Running, 64>,
    /// Running now, all of them.
    pub running_count: u32,
}
