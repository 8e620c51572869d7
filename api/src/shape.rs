//! What is answered. The shapes are a contract: fields may be added, never
//! changed. `strongroom exec --json` and its like print the same ones.

use std::time::Duration;

use nix::sys::signal;
use schemars::JsonSchema;
use serde::Serialize;
use strongroom_audit::time;
use strongroom_client::Error;
use strongroom_protocol::channel::a::{self, Outcome, Spot as Place};
use strongroom_protocol::codes::{Code, Entry, exit};
use strongroom_protocol::receipt::{self, landlock, ns};
use strongroom_protocol::types::{ApprovalId, CredentialName};

use crate::bytes::Bytes;

/// What comes of a request that was not refused.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Result {
    /// `run_command`.
    Ended(Box<Ended>),
    /// `write_file`.
    Written(Written),
    /// `read_file`.
    Read(Read),
    /// `list_credentials`.
    Credentials(Credentials),
    /// `request_credential`.
    Requested(Requested),
    /// `delete_credential`.
    Deleted(Deleted),
    /// `request_approval`.
    Approved(Approved),
    /// `read_log`.
    Log(Log),
    /// `explain`.
    Explained(Explained),
    /// `stdin`, `signal`, `cancel`.
    Done(Done),
}

/// How a command ended.
#[derive(Debug, Serialize, JsonSchema)]
pub struct How {
    /// The command's exit status; 128+n by signal n, 124 out of time, 126 and
    /// 127 where it could not be run.
    pub exit: i32,
    /// The signal that ended it.
    pub signal: Option<String>,
    /// Why Strongroom ended it, or could not run it.
    pub code: Option<String>,
    /// That code in words.
    pub message: Option<&'static str>,
}

/// Everything else about a command that ran.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Account {
    /// The policy's output limit was reached: what came after is gone.
    pub output_cut: bool,
    /// Values of credentials that were masked in its output.
    pub masked: u64,
    /// The session has masked as many as it may: the rest was withheld.
    pub withheld: bool,
    /// Protected names that it created or changed.
    pub protected: Vec<String>,
    /// What it used.
    pub usage: Usage,
    /// What the kernel enforced; `null`: the jail was never finished.
    pub receipt: Option<Receipt>,
}

/// The end of a command whose output went elsewhere.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ended {
    /// How.
    #[serde(flatten)]
    pub how: How,
    /// The rest.
    #[serde(flatten)]
    pub account: Account,
}

/// What a command used, all its processes together.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs)]
pub struct Usage {
    pub wall_us: u64,
    pub user_us: u64,
    pub system_us: u64,
    pub max_rss_kib: u64,
    /// Bytes it wrote, cut ones included.
    pub stdout_bytes: u64,
    /// Likewise.
    pub stderr_bytes: u64,
}

/// What the kernel enforced on a command.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs)]
pub struct Receipt {
    pub tier: &'static str,
    pub uid: u32,
    pub gid: u32,
    pub namespaces: Vec<&'static str>,
    pub proc: &'static str,
    pub landlock: Landlock,
    pub seccomp_filters: u8,
    pub no_new_privs: bool,
    pub capabilities: &'static str,
    pub kill_all: &'static str,
    pub limits: &'static str,
    pub protect: &'static str,
    pub metadata: &'static str,
    pub private_tmp: &'static str,
    pub shared_shm: bool,
}

/// Landlock's part of a receipt.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs)]
pub struct Landlock {
    pub abi: u8,
    pub filesystem: Vec<String>,
    pub network: Vec<String>,
    pub scopes: Vec<String>,
}

/// A file that was written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Written {
    /// `sealed`: only commands that are granted every credential in it can
    /// read it. `plain`: it stands in the workspace.
    pub values: &'static str,
    /// The credentials named in it.
    pub credentials: Vec<String>,
    /// Places that look like a placeholder and are none.
    pub near_misses: Vec<LineColumn>,
}

/// A place in a file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LineColumn {
    /// From 1.
    pub line: u32,
    /// In bytes, from 1.
    pub column: u32,
}

/// A sealed file as it was written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Read {
    /// It.
    pub content: Bytes,
}

/// The credentials there are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Credentials {
    /// They, by name.
    pub credentials: Vec<Credential>,
}

/// A credential, without its value.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Credential {
    /// Its name.
    pub name: String,
    /// It can be used now.
    pub there: bool,
    /// It can come in the environment.
    pub env: bool,
    /// It can stand in a sealed file.
    pub file: bool,
    /// When its value was entered or changed, seconds since 1970.
    pub changed: Option<u64>,
    /// When a command last got it in this session, likewise.
    pub used: Option<u64>,
    /// A request for it waits for a human.
    pub asked: bool,
}

/// A human is asked to enter a credential.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Requested {
    /// The request's number.
    pub request: u32,
}

/// A credential was deleted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deleted {
    /// Its name.
    pub deleted: String,
}

/// A human said yes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Approved {
    /// Always true: no is a refusal.
    pub approved: bool,
}

/// Records of the session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Log {
    /// Oldest first.
    pub records: Vec<Record>,
    /// Ask for those after this one next; `null`: there are no more.
    pub next: Option<u64>,
}

/// One record.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Record {
    /// Its number among these, from 1.
    pub number: u64,
    /// When: RFC 3339, UTC.
    pub time: String,
    /// `info`, `notice` or `warning`.
    pub level: &'static str,
    /// Its name: `intent`, `denied`, `outcome`, …
    pub event: String,
    /// The command, or the file written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req: Option<u64>,
    /// Its code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What it was about. An agent's bytes, escaped.
    pub text: String,
}

/// Codes, explained.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explained {
    /// They, in order.
    pub codes: Vec<Row>,
}

/// One code.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Row {
    /// Such as `SR101`.
    pub code: String,
    /// What was refused or what happened.
    pub what: &'static str,
    /// What is allowed instead, or what to do.
    pub instead: &'static str,
    /// Exit status of `strongroom exec`; `null`: the command's own.
    pub exit: Option<i32>,
    /// May asking help? `no`, `human`, `later`, `operator`.
    pub ask: &'static str,
}

/// It is done, and there is nothing to say.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Done {}

/// A refusal or a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    /// A code of the closed set, such as `SR101`.
    pub code: Box<str>,
    /// What was refused or what happened.
    pub what: &'static str,
    /// What is allowed instead, or what to do.
    pub instead: &'static str,
    /// May asking help? `no`: change the request. `human`: one may allow it.
    /// `later`: try again, unchanged. `operator`: who can change the policy.
    pub ask: &'static str,
    /// The policy's reason, where it gives one.
    pub why: Option<Box<str>>,
    /// The place in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot: Option<Box<Spot>>,
    /// What it was in this case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
    /// The request for approval that goes on waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<u64>,
}

/// A place in a file that has something wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Spot {
    /// The credential named there.
    pub key: Option<String>,
    /// From 1.
    pub line: u32,
    /// In bytes, from 1.
    pub column: u32,
    /// What stands around it, or the filter: `json`, `dotenv`, …
    pub context: String,
    /// What is wrong.
    pub what: String,
}

impl Failure {
    /// A code, and what it was in this case; may be empty.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let Entry { what, instead, ask, .. } = *code.entry();
        Self {
            code: code.to_string().into(),
            what,
            instead,
            ask: ask.as_str(),
            why: None,
            spot: None,
            message: Some(message.into()).filter(|m| !m.is_empty()).map(Into::into),
            approval: None,
        }
    }

    /// Adds the request for approval that a human has on the table.
    #[must_use]
    pub fn waits_for(mut self, approval: Option<ApprovalId>) -> Self {
        self.approval = approval.map(|a| a.0);
        self
    }
}

impl From<&a::Denial> for Failure {
    fn from(denial: &a::Denial) -> Self {
        Self { why: denial.why.as_ref().map(|w| w.display().into()), ..Self::new(denial.code, "") }
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::new(code, "")
    }
}

impl From<(Code, &Place)> for Failure {
    fn from((code, spot): (Code, &Place)) -> Self {
        let spot = Spot {
            key: spot.key.as_ref().map(|key| key.as_str().to_owned()),
            line: spot.line,
            column: spot.column,
            context: spot.context.as_str().to_owned(),
            what: spot.what.display(),
        };
        Self { spot: Some(Box::new(spot)), ..Self::new(code, "") }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match error {
            Error::Refused(denial) => denial.into(),
            Error::Misplaced(code, spot) => (*code, &**spot).into(),
            other => Self::new(other.code(), other.message()),
        }
    }
}

/// The exit status for an outcome (design.md section 10).
#[must_use]
pub fn exit_status(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Exited(status) => i32::from(status),
        Outcome::Signalled(signal) => exit::SIGNALLED + i32::from(signal),
        Outcome::Ended(code) => match code.entry().exit {
            // A notice is not an end; only a broken broker sends it as one.
            0 => exit::OWN_FAILURE,
            status => status,
        },
    }
}

/// The name of a signal, `SIG35` where it has none.
fn signal_name(number: u8) -> String {
    signal::Signal::try_from(i32::from(number))
        .map_or_else(|_| format!("SIG{number}"), |s| s.as_str().to_owned())
}

impl From<Outcome> for How {
    fn from(outcome: Outcome) -> Self {
        let code = match outcome {
            Outcome::Ended(code) => Some(code),
            _ => None,
        };
        Self {
            exit: exit_status(outcome),
            signal: match outcome {
                Outcome::Signalled(signal) => Some(signal_name(signal)),
                _ => None,
            },
            code: code.map(|c| c.to_string()),
            message: code.map(|c| c.entry().what),
        }
    }
}

impl From<&a::Report> for Account {
    fn from(report: &a::Report) -> Self {
        Self {
            output_cut: report.output_cut,
            masked: report.masked,
            withheld: report.withheld,
            protected: report.protected.as_slice().iter().map(|p| p.display()).collect(),
            usage: Usage {
                wall_us: report.usage.wall_us,
                user_us: report.usage.user_us,
                system_us: report.usage.system_us,
                max_rss_kib: report.usage.max_rss_kib,
                stdout_bytes: report.stdout_bytes,
                stderr_bytes: report.stderr_bytes,
            },
            receipt: report.receipt.as_ref().map(Receipt::from),
        }
    }
}

impl From<&a::Report> for Ended {
    fn from(report: &a::Report) -> Self {
        Self { how: report.outcome.into(), account: report.into() }
    }
}

impl From<&receipt::Receipt> for Receipt {
    fn from(receipt: &receipt::Receipt) -> Self {
        Self {
            tier: receipt.tier.as_str(),
            uid: receipt.uid,
            gid: receipt.gid,
            namespaces: ns::names(receipt.namespaces).collect(),
            proc: receipt.proc_view.as_str(),
            landlock: Landlock {
                abi: receipt.landlock_abi,
                filesystem: landlock::names(receipt.landlock_fs, landlock::FILESYSTEM).collect(),
                network: landlock::names(receipt.landlock_net, landlock::NETWORK).collect(),
                scopes: landlock::names(receipt.landlock_scopes, landlock::SCOPES).collect(),
            },
            seccomp_filters: receipt.seccomp_filters,
            no_new_privs: receipt.unprivileged,
            capabilities: receipt.capabilities(),
            kill_all: receipt.kill_all.as_str(),
            limits: receipt.limits.as_str(),
            protect: receipt.protect.as_str(),
            metadata: receipt.metadata.as_str(),
            private_tmp: receipt.private_tmp(),
            shared_shm: receipt.shared_shm,
        }
    }
}

impl From<&a::Written> for Written {
    fn from(written: &a::Written) -> Self {
        let places = written.near_misses.as_slice().iter();
        Self {
            values: written.values.as_str(),
            credentials: names(written.credentials.as_slice()),
            near_misses: places
                .map(|(line, column)| LineColumn { line: *line, column: *column })
                .collect(),
        }
    }
}

fn names(list: &[CredentialName]) -> Vec<String> {
    list.iter().map(|name| name.as_str().to_owned()).collect()
}

impl From<&a::Known> for Credential {
    fn from(known: &a::Known) -> Self {
        let some = |seconds: u64| Some(seconds).filter(|s| *s != 0);
        Self {
            name: known.name.as_str().to_owned(),
            there: known.there,
            env: known.env,
            file: known.file,
            changed: some(known.changed),
            used: some(known.used),
            asked: known.asked,
        }
    }
}

impl From<&a::Logged> for Record {
    fn from(entry: &a::Logged) -> Self {
        Self {
            number: entry.number,
            time: time::rfc3339(Duration::from_millis(entry.at_ms)),
            level: entry.level.as_str(),
            event: entry.event.as_str().to_owned(),
            req: entry.req.map(|req| req.0),
            code: entry.code.map(|code| code.to_string()),
            text: entry.text.display(),
        }
    }
}

impl From<&Entry> for Row {
    fn from(entry: &Entry) -> Self {
        Self {
            code: entry.code.to_string(),
            what: entry.what,
            instead: entry.instead,
            exit: (entry.exit != 0).then_some(entry.exit),
            ask: entry.ask.as_str(),
        }
    }
}
