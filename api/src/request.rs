//! What may be asked. Unknown fields are errors: a misspelt limit must not be
//! no limit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

/// The caller's own number or name for a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a whole number, or a string of at most 128 bytes")]
pub enum Id {
    /// A number.
    Number(u64),
    /// A name of at most 128 bytes.
    Name(#[schemars(length(max = 128))] String),
}

/// A line that is sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "method", content = "params", rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// Run a command in a jail of its own.
    RunCommand(RunCommand),
    /// Give a running command input.
    Stdin(Stdin),
    /// Send a running command a signal.
    Signal(Signal),
    /// End a request: kill its command, take its question back.
    Cancel(Cancel),
    /// Write a file into the workspace. `${credentials.NAME}` in it stands for
    /// a credential.
    WriteFile(WriteFile),
    /// Read a file that was written with placeholders, as it was written.
    ReadFile(ReadFile),
    /// List the credentials there are for commands. Never a value.
    ListCredentials(Nothing),
    /// Ask a human to enter a credential.
    RequestCredential(RequestCredential),
    /// Have a credential deleted, if a human says so.
    DeleteCredential(DeleteCredential),
    /// Ask a human a question; the result comes when the answer is yes.
    RequestApproval(RequestApproval),
    /// Read the session's own records.
    ReadLog(ReadLog),
    /// Explain a code, or all.
    Explain(Explain),
}

/// `run_command`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunCommand {
    /// Program and arguments. No shell reads them.
    #[schemars(length(min = 1, max = 2048))]
    pub argv: Vec<Bytes>,
    /// Working folder, in the workspace. Without it the folder `strongroom
    /// api` was started in where that is in the workspace, else the workspace.
    pub cwd: Option<Bytes>,
    /// Use this rule of the policy, where it matches.
    pub rule: Option<String>,
    /// End the command after so many milliseconds.
    pub timeout_ms: Option<u64>,
    /// Names of credentials the command needs.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub credentials: Vec<String>,
    /// Why, in the agent's own words, for the human who may be asked.
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Where a human is asked, wait at most so many milliseconds; the request
    /// itself goes on waiting. Without it as long as the request does.
    pub patience_ms: Option<u64>,
    /// The command's input, or its beginning.
    pub stdin: Option<Bytes>,
    /// More input comes by `stdin`. Without it the input ends after the above.
    #[serde(default)]
    pub keep_stdin_open: bool,
}

/// `stdin`. Answered when the command has taken the data; at most one at a
/// time for a command.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stdin {
    /// The id of its `run_command`.
    pub request: Id,
    /// More input.
    #[serde(default)]
    pub data: Bytes,
    /// It is the end of the input.
    #[serde(default)]
    pub end: bool,
}

/// `signal`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// The id of its `run_command`.
    pub request: Id,
    /// Which.
    pub signal: SignalName,
}

/// The signals that may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum SignalName {
    Hup,
    Int,
    Quit,
    Kill,
    Usr1,
    Usr2,
    Term,
    Cont,
    Stop,
    Tstp,
    Winch,
}

/// `cancel`. The request is still answered: a command's result says that it
/// was killed, everything else fails with SR603.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// The id of what is to end.
    pub request: Id,
}

/// `write_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// Where, in the workspace.
    pub path: Bytes,
    /// What: at most 16 MiB.
    pub content: Bytes,
    /// Its mode, as a number: 384 is 0600. Without it 0600 for a new file, and
    /// an old one's is kept.
    #[schemars(range(max = 511))]
    pub mode: Option<u16>,
    /// Write real values into the workspace, where the policy allows it.
    /// Without it a file with placeholders is sealed.
    #[serde(default)]
    pub plain: bool,
    /// Why, in the agent's own words.
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// As for a command.
    pub patience_ms: Option<u64>,
}

/// `read_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFile {
    /// Where, in the workspace.
    pub path: Bytes,
}

/// No parameters.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// `request_credential`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestCredential {
    /// Its name.
    #[schemars(regex(pattern = "^[A-Z_][A-Z0-9_]{0,127}$"))]
    pub name: String,
    /// Why, in the agent's own words.
    #[schemars(length(max = 1024))]
    pub reason: String,
}

/// `delete_credential`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteCredential {
    /// Its name.
    #[schemars(regex(pattern = "^[A-Z_][A-Z0-9_]{0,127}$"))]
    pub name: String,
    /// Why, in the agent's own words.
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// As for a command.
    pub patience_ms: Option<u64>,
}

/// `request_approval`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestApproval {
    /// A question that can be answered with yes or no.
    #[schemars(length(max = 1024))]
    pub question: String,
    /// As for a command.
    pub patience_ms: Option<u64>,
}

/// `read_log`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadLog {
    /// Those that follow this one.
    #[serde(default)]
    pub after: u64,
    /// Not before this, milliseconds since 1970.
    #[serde(default)]
    pub since_ms: u64,
    /// At least this grave.
    #[serde(default)]
    pub level: Level,
    /// With this text somewhere.
    #[serde(rename = "match")]
    #[schemars(length(max = 1024))]
    pub pattern: Option<String>,
    /// At most so many; without it 256.
    #[schemars(range(min = 1, max = 1024))]
    pub limit: Option<u16>,
}

/// How much a record matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The course of things.
    #[default]
    Info,
    /// Worth a look.
    Notice,
    /// Something was refused or failed.
    Warning,
}

/// `explain`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// The code, such as SR101; all of them without it.
    pub code: Option<String>,
}
