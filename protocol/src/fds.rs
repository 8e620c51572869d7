//! Descriptor numbers that one of our processes is started with. They are
//! constants so that the documentation can be generated from them.

/// The sealed plan (memfd), in every process.
pub const PLAN: i32 = 3;

/// Supervisor: the state folder's lock, held as long as it lives.
pub const LOCK: i32 = 4;

/// Broker: channel S to the supervisor. Zygote: channel Z to the supervisor.
/// Recorder: channel R from the broker.
pub const CONTROL: i32 = 4;

/// Broker: channel R to the recorder. Recorder: channel R from the supervisor.
pub const RECORD: i32 = 5;

/// Broker: the listening socket of channel A.
pub const AGENT_LISTENER: i32 = 6;

/// Recorder: where checkpoints go beside the log, if the policy names a place.
pub const WITNESS: i32 = 6;

/// Supervisor: the recorder's witness, likewise.
pub const HANDED_WITNESS: i32 = 7;

/// Broker: the listening socket of channel O.
pub const OPERATOR_LISTENER: i32 = 7;

/// Broker: its own end of the agent's inherited connection on channel A.
pub const AGENT_SOCKET: i32 = 8;

/// Broker and recorder: the only folder each may open files in.
pub const FOLDER: i32 = 9;

/// Supervisor: the folder of leases, locked as long as it lives, where it is
/// one for all workers.
pub const LEASES: i32 = 5;

/// Supervisor: what the start hands to the broker (memfd).
pub const SUPERVISOR_INTAKE: i32 = 6;

/// Broker: what the start hands to it (memfd).
pub const INTAKE: i32 = 10;

/// Agent: its inherited end of channel A, named by `STRONGROOM_FD`.
pub const AGENT_CLIENT: i32 = 3;

/// Rows for the generated documentation: process, number, what it is.
pub const TABLE: &[(&str, i32, &str)] = &[
    ("supervisor", PLAN, "the sealed plan"),
    ("supervisor", LOCK, "the state folder's lock"),
    ("supervisor", LEASES, "the folder of leases, where it is one for all workers"),
    ("supervisor", SUPERVISOR_INTAKE, "the vault's key and found credentials (memfd), unread"),
    ("supervisor", HANDED_WITNESS, "the recorder's witness, if the policy names one"),
    ("broker", PLAN, "the sealed plan"),
    ("broker", CONTROL, "channel S, to the supervisor"),
    ("broker", RECORD, "channel R, to the recorder"),
    ("broker", AGENT_LISTENER, "channel A, listening"),
    ("broker", OPERATOR_LISTENER, "channel O, listening"),
    ("broker", AGENT_SOCKET, "channel A, the agent's inherited connection"),
    ("broker", FOLDER, "its own folder (vault, tokens)"),
    ("broker", INTAKE, "the vault's key and found credentials (memfd), wiped when read"),
    ("recorder", PLAN, "the sealed plan"),
    ("recorder", CONTROL, "channel R, from the broker"),
    ("recorder", RECORD, "channel R, from the supervisor"),
    ("recorder", WITNESS, "the log's witness, if the policy names one"),
    ("recorder", FOLDER, "its own folder (the audit log)"),
    ("zygote", PLAN, "the sealed plan"),
    ("zygote", CONTROL, "channel Z, to the supervisor"),
    ("agent", AGENT_CLIENT, "channel A, to the broker"),
];
