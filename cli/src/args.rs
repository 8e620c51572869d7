//! The command line as types. Help texts are the reference an operator reads
//! first: `strongroom man` and `docs/cli.md` are made from them.

pub mod approvals;
pub mod audit;
pub mod credentials;
pub mod files;
pub mod inbox;
pub mod vault;

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use strongroom_protocol::codes::Code;
use strongroom_protocol::receipt::Tier;
use strongroom_protocol::types::{CredentialName, Name, Reason, ReqId};

/// A sandbox supervisor for AI agents.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    pub json: bool,
}

impl Cli {
    /// Reads the command line. An agent waits for each start of `exec`, so for
    /// it only its own grammar is built first; what that does not understand
    /// is read again as all else is, and refused in the usual words.
    pub fn read() -> Self {
        Self::read_exec(std::env::args_os()).unwrap_or_else(Self::parse)
    }

    fn read_exec(args: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut args = args.into_iter().skip(1).peekable();
        args.peek().filter(|verb| *verb == "exec")?;
        let ExecOnly { exec, json } = ExecOnly::try_parse_from(args).ok()?;
        Some(Self { verb: Verb::Exec(exec), json })
    }
}

/// The command line of one verb, without the others.
#[derive(Debug, Parser)]
struct ExecOnly {
    #[command(flatten)]
    exec: Exec,
    #[arg(long)]
    json: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Start a session: the agent in its jail, and a broker for its commands.
    Run(Run),
    /// Run a command in a jail of its own (agent side).
    Exec(Exec),
    /// Write a file into the workspace; placeholders such as
    /// ${credentials.NAME} in it stand for credentials (agent side).
    Write(files::Write),
    /// Print a sealed file as it was written, with its placeholders (agent
    /// side).
    Read(files::Read),
    /// Print what the log has of this session's agent (agent side).
    Log(files::Log),
    /// Take requests as lines of JSON on standard input, and answer them on
    /// standard output (agent side; docs/api.md).
    Api,
    /// Offer commands, files and credentials as tools over MCP, on standard
    /// input and output (agent side; docs/mcp.md).
    Mcp,
    /// Ask a human a question that can be answered with yes or no (agent side).
    AskApproval(approvals::Question),
    /// Decide on what waits for a human (operator side, and other approvers).
    Approvals(approvals::Approvals),
    /// Serve a small web page on which a human decides and enters credentials
    /// (operator side, and other approvers).
    Inbox(inbox::Inbox),
    /// List credentials, enter them, ask for them, take them away.
    Credentials(credentials::Credentials),
    /// Make the vault that keeps credentials, and look after it.
    Vault(vault::Vault),
    /// Show the session that uses a state folder (operator side).
    Status(approvals::Seat),
    /// End commands, or the session (operator side).
    Kill(Kill),
    /// Check, show, follow and export the audit log (operator side).
    Audit(audit::Audit),
    /// Say what this place can enforce, what is missing and how to get it.
    Doctor,
    /// Explain a code such as SR101.
    Explain(Explain),
    /// Check, explain and test policy files.
    Policy(Policy),
    /// Print a completion script.
    Completions(Completions),
    /// Print the manual page, or write all pages to a folder.
    Man(Man),
    /// Print a generated document.
    #[command(hide = true)]
    Docs(Docs),
}

/// `strongroom run`.
#[derive(Debug, Args)]
#[command(override_usage = "strongroom run [OPTIONS] [--] AGENT [ARG]...")]
#[command(
    after_help = "Credentials come from the vault in the state folder (`strongroom vault init` makes one), and for this \
session from --credentials, --credential, $CREDENTIALS_DIRECTORY and variables named like a credential of the policy. \
Such a variable is passed on to nobody. Without a vault all of them are in memory only.\n\n\
Exit status: the agent's own; 128+n when signal n ended it; 78 when the policy, the place \
or the install does not allow a start; 70 when the broker was lost; 125 when strongroom itself failed."
)]
pub struct Run {
    /// Policy file. Without it /etc/strongroom/policy.toml, where there is
    /// one, else the policy `builtin:base`.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub policy: Option<PathBuf>,
    #[command(flatten)]
    pub state: State,
    /// Folder the agent works in. Without it the policy's, else the current one.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub workspace: Option<PathBuf>,
    /// Give everything in the workspace to the sandbox user, recursively
    /// (only as root). Hard links and other file systems are left alone.
    #[arg(long)]
    pub own_workspace: bool,
    #[command(flatten)]
    pub key: vault::Key,
    /// Folder of secret files, as Docker and Kubernetes mount them: those whose
    /// names are credentials of the policy are taken over for this session.
    /// `github-token` is GITHUB_TOKEN. May be given more than once.
    #[arg(long = "credentials", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folders: Vec<PathBuf>,
    /// Take a credential over for this session from a descriptor. May be given
    /// more than once.
    #[arg(long = "credential", value_name = "NAME=fd:N", value_parser = credentials::handed)]
    pub handed: Vec<credentials::Handed>,
    /// Use this tier though the place offers a higher one.
    #[arg(long, value_name = "TIER", value_enum)]
    pub tier: Option<TierWord>,
    /// Print warnings only.
    #[arg(long, short)]
    pub quiet: bool,
    /// The agent's program and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "AGENT", value_hint = ValueHint::CommandWithArguments)]
    pub agent: Vec<OsString>,
}

/// `strongroom exec`.
#[derive(Debug, Args)]
#[command(override_usage = "strongroom exec [OPTIONS] -- CMD [ARG]...")]
#[command(
    after_help = "Exit status: the command's own; 128+n when signal n ended it; 124 out of time; 126 cannot be \
executed; 127 not found; 77 denied; 75 approval timed out; 76 protocol broken; 70 broker lost; 125 strongroom failed.\n\n\
Standard input is passed on as the command reads it. In a shell loop that reads a file, add </dev/null."
)]
pub struct Exec {
    /// Use this rule of the policy, where it matches.
    #[arg(long, value_name = "RULE", value_parser = name)]
    pub rule: Option<Name>,
    /// Working folder, in the workspace. Without it the current one where that
    /// is in the workspace, else the workspace.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub cwd: Option<PathBuf>,
    /// End the command after this time: 500ms, 10s, 5m, 1h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<NonZeroU64>,
    /// A credential the command needs. May be given more than once.
    #[arg(long = "cred", value_name = "KEY", value_parser = credential)]
    pub credentials: Vec<CredentialName>,
    /// Why, in your own words, for the human who may be asked.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<Reason>,
    #[command(flatten)]
    pub patience: approvals::Patience,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// Where the state folder is.
#[derive(Debug, Default, Args)]
pub struct State {
    /// State folder. Without it $STRONGROOM_STATE, else /var/lib/strongroom
    /// as root or $XDG_STATE_HOME/strongroom.
    #[arg(long = "state", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
}

/// `strongroom kill`.
#[derive(Debug, Args)]
#[group(id = "target", required = true, multiple = false, args = ["id", "all", "shutdown"])]
pub struct Kill {
    #[command(flatten)]
    pub seat: approvals::Seat,
    /// Number of the command, from `strongroom status`.
    #[arg(value_parser = request)]
    pub id: Option<ReqId>,
    /// End all commands and the agent at once. This is the kill switch: every
    /// approver has it.
    #[arg(long)]
    pub all: bool,
    /// End the session in order: the agent first, then what is left.
    #[arg(long)]
    pub shutdown: bool,
}

/// `strongroom explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The code, with or without SR; all of them when left out.
    #[arg(value_parser = code)]
    pub code: Option<Code>,
}

/// `strongroom policy`.
#[derive(Debug, Args)]
pub struct Policy {
    /// What to do.
    #[command(subcommand)]
    pub verb: PolicyVerb,
}

/// The verbs of `strongroom policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Check a file and run the tests in it.
    Check {
        /// The policy file.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Say which rule a command falls under, and what its jail allows.
    Explain {
        /// The policy file.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Run the tests in a file.
    Test {
        /// The policy file.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Print the JSON Schema of policy files.
    Schema,
    /// Show the plan a file compiles to in this place.
    Compile {
        /// The policy file.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        #[command(flatten)]
        state: State,
        /// Folder the agent would work in.
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        workspace: Option<PathBuf>,
    },
}

/// `strongroom completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// `strongroom man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Write strongroom.1 and a page for each verb to this folder.
    #[arg(value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
}

/// `strongroom docs`.
#[derive(Debug, Args)]
pub struct Docs {
    /// Which document.
    pub document: Document,
}

/// The generated documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// docs/protocol.md: the tables of the channels.
    Protocol,
    /// docs/errors.md: the codes.
    Errors,
    /// docs/cli.md: this command line.
    Cli,
    /// docs/seccomp.md: the system-call lists.
    Seccomp,
    /// A part of docs/credentials.md: placeholders.
    Placeholders,
    /// A part of docs/credentials.md: what is looked for in output.
    Encodings,
}

/// A tier as a flag's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TierWord {
    /// Namespaces, uids, Landlock and seccomp.
    Full,
    /// Uids, Landlock and seccomp.
    Container,
    /// Landlock and seccomp.
    Rootless,
}

impl From<TierWord> for Tier {
    fn from(word: TierWord) -> Self {
        match word {
            TierWord::Full => Self::Full,
            TierWord::Container => Self::Container,
            TierWord::Rootless => Self::Rootless,
        }
    }
}

fn name(text: &str) -> Result<Name, String> {
    Name::new(text).map_err(|_| "a-z, 0-9, - and _, at most 64 of them".to_owned())
}

/// Reads the name of a credential.
///
/// # Errors
/// What is wrong, in words.
pub fn credential(text: &str) -> Result<CredentialName, String> {
    CredentialName::new(text)
        .map_err(|_| "a credential's name has A-Z, 0-9 and _, at most 128".to_owned())
}

/// Reads the agent's own words.
///
/// # Errors
/// What is wrong, in words.
pub fn reason(text: &str) -> Result<Reason, String> {
    Reason::new(text).map_err(|_| "at most 1024 bytes".to_owned())
}

fn request(text: &str) -> Result<ReqId, String> {
    text.parse().map(ReqId).map_err(|_| "a number, as `strongroom status` shows it".to_owned())
}

fn code(text: &str) -> Result<Code, String> {
    text.parse().map_err(|()| "no such code; `strongroom explain` lists them".to_owned())
}

/// Reads a time: a whole number and a unit, `500ms`, `10s`, `5m`, `1h`.
/// Returns milliseconds.
///
/// # Errors
/// What is wrong, in words.
pub fn duration(text: &str) -> Result<NonZeroU64, String> {
    const FORM: &str = "a whole number and ms, s, m or h, such as 500ms, 10s or 5m";
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(FORM.to_owned()),
    };
    if number.is_empty() {
        return Err(FORM.to_owned());
    }
    let milliseconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale));
    let milliseconds = milliseconds.ok_or_else(|| "too long".to_owned())?;
    NonZeroU64::new(milliseconds).ok_or_else(|| "longer than zero".to_owned())
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
