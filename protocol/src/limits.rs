//! Named limits. Every length that arrives from outside is compared with one
//! of these before memory is allocated for it.

/// Bytes in one packet on any channel. One message is one packet; the kernel
/// keeps the boundary (`SOCK_SEQPACKET`), so a longer message cannot be sent.
pub const MAX_PACKET: usize = 64 * 1024;

/// Bytes in an encoded plan. It is written by the operator's own command from
/// files the sandbox uid cannot write, so this only bounds accidents.
pub const MAX_PLAN: usize = 4 * 1024 * 1024;

/// File descriptors in one packet: three pipe ends, and the agent's socket.
pub const MAX_FDS: usize = 4;

/// Arguments of one command, the program's name included. Together with the
/// environment they must fit one packet: the honest limit is [`MAX_PACKET`].
pub const MAX_ARGS: usize = 2048;

/// Bytes in one argument, without the closing NUL.
pub const MAX_ARG: usize = 60 * 1024;

/// Environment entries of one command.
pub const MAX_ENV: usize = 512;

/// Bytes in one environment value.
pub const MAX_ENV_VALUE: usize = 32 * 1024;

/// Bytes in a path. The kernel's PATH_MAX is 4096 with the closing NUL.
pub const MAX_PATH: usize = 4095;

/// Bytes in a rule's or profile's name.
pub const MAX_NAME: usize = 64;

/// Bytes in a credential's name, as design.md section 6 has it.
pub const MAX_CREDENTIAL_NAME: usize = 128;

/// Credential names in one request.
pub const MAX_CREDENTIALS: usize = 16;

/// Bytes in the value of a credential.
pub const MAX_SECRET: usize = 64 * 1024;

/// Bytes of everything the start hands to the broker, see [`crate::intake`].
pub const MAX_INTAKE: usize = 8 * 1024 * 1024;

/// Bytes of the broker's memory for secrets: the values of all credentials, old
/// ones of the session included.
pub const ARENA: usize = 4 * 1024 * 1024;

/// Bytes of an action object: it names what fits one packet, and files.
pub const MAX_ACTION: usize = 256 * 1024;

/// Bytes of a value or of a file's content in one packet; longer ones come in
/// pieces.
pub const MAX_PIECE: usize = 32 * 1024;

/// Bytes of one file an agent writes through the broker.
pub const MAX_CONTENT: usize = 16 * 1024 * 1024;

/// Bytes in the name of a file: the kernel's NAME_MAX.
pub const MAX_FILE_NAME: usize = 255;

/// Sealed files of one session, so also leases one command may hold.
pub const MAX_LEASES: usize = 64;

/// Bytes of all leases of one command together, values put in.
pub const MAX_LEASED: usize = 64 * 1024 * 1024;

/// Entries in one page of a list.
pub const MAX_PAGE: usize = 64;

/// Bytes of the agent's own words about a request.
pub const MAX_REASON: usize = 1024;

/// Commands one connection may have in flight.
pub const MAX_EXECS_PER_CONNECTION: usize = 32;

/// Commands in flight for the whole session.
pub const MAX_EXECS: usize = 64;

/// Connections the broker keeps on each listening socket.
pub const MAX_CONNECTIONS: usize = 128;

/// Seconds a new connection has to say hello.
pub const HELLO_SECONDS: u64 = 5;
