//! Events as the fields of a line.

use strongroom_protocol::channel::a::{Outcome, Usage};
use strongroom_protocol::channel::r::{Account, ActionRecord, Digests, Input, Record, WriteRecord};
use strongroom_protocol::codes::Code;
use strongroom_protocol::receipt::{Receipt, landlock, ns};
use strongroom_protocol::stage::StageError;
use strongroom_protocol::text::hex;
use strongroom_protocol::types::{ApprovalId, List, PathBytes, ReqId};
use strongroom_sys::Errno;

use crate::json::Object;
use crate::vaults::{Accepted, Sight};

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// The broker.
    Broker,
    /// The supervisor.
    Supervisor,
    /// The recorder itself.
    Recorder,
}

impl Writer {
    /// The word in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Supervisor => "supervisor",
            Self::Recorder => "recorder",
        }
    }
}

/// What happened: the event's name and its fields.
#[derive(Debug)]
pub struct Event {
    /// The word in the log.
    pub name: &'static str,
    /// The event's own fields, in their order.
    pub fields: Object,
    /// On disk before it is acknowledged.
    pub durable: bool,
    /// Nothing of the session comes after it.
    pub last: bool,
    /// What it says of a vault file.
    pub sight: Option<Sight>,
}

impl Event {
    fn new(name: &'static str) -> Self {
        Self { name, fields: Object::new(), durable: false, last: false, sight: None }
    }

    /// A recorder started.
    #[must_use]
    pub fn opened(boot: &str) -> Self {
        let mut event = Self::new("opened");
        event.fields.text("boot", boot).text("recorder", env!("CARGO_PKG_VERSION"));
        event
    }

    /// The recorder before this one was cut short: bytes of a torn line were
    /// taken off, and lines taken over that nobody had signed.
    #[must_use]
    pub fn recovery(torn_bytes: u64, unsigned: u64) -> Self {
        let mut event = Self::new("recovery");
        event.fields.number("torn_bytes", torn_bytes).number("unsigned", unsigned);
        event
    }

    /// The wall clock was set.
    #[must_use]
    pub fn clock(step_us: i64) -> Self {
        let mut event = Self::new("clock");
        event.fields.number("step_us", step_us);
        event
    }

    /// A checkpoint could not be given to the witness.
    #[must_use]
    pub fn witness_lost(errno: Errno) -> Self {
        let mut event = Self::new("witness-lost");
        event.fields.number("errno", errno as i32);
        event
    }

    /// An older vault file was put back.
    #[must_use]
    pub fn older_vault() -> Self {
        let mut event = Self::new("violation");
        event.fields.text("code", &Code::VaultOlder.to_string());
        event
    }

    /// The operator took an older vault file as it is.
    #[must_use]
    pub fn vault_accepted(Accepted { now, before }: Accepted) -> Self {
        let mut event = Self::new("vault-accepted");
        event.fields.text("vault", &hex(&now.vault)).number("generation", now.generation);
        event.fields.number("before", before);
        event
    }

    /// A writer broke the protocol, and is no longer heard.
    #[must_use]
    pub fn breach(by: Writer) -> Self {
        let mut event = Self::new("violation");
        event.fields.text("channel", "R").text("by", by.as_str());
        event
    }
}

impl From<Record> for Event {
    fn from(record: Record) -> Self {
        match record {
            Record::Intent { req, action } => {
                // A credential or an approval is used only when the disk knows
                // of it.
                let durable =
                    !action.credentials.as_slice().is_empty() || action.approval.is_some();
                let mut event = Self { durable, ..Self::new("intent") };
                number(&mut event.fields, req);
                describe(&mut event.fields, &action);
                event
            }
            Record::Denied { code, action } => {
                let mut event = Self::new("denied");
                event.fields.text("code", &code.to_string());
                describe(&mut event.fields, &action);
                event
            }
            Record::Outcome {
                req,
                outcome,
                usage,
                output,
                output_cut,
                protected,
                failed,
                masked,
                digests,
            } => {
                let mut event = Self::new("outcome");
                let fields = number(&mut event.fields, req);
                end(fields, outcome);
                used(fields, &usage);
                let [stdout, stderr] = output;
                fields.number("stdout_bytes", stdout).number("stderr_bytes", stderr);
                fields.flag("output_cut", output_cut);
                fields.number("masked", masked);
                touched(fields, &protected);
                if let Some(error) = failed {
                    step(fields, error);
                }
                if let Some(digests) = &digests {
                    compared(fields, digests);
                }
                event
            }
            Record::Violation { channel, rule } => {
                let mut event = Self::new("violation");
                event.fields.bytes("channel", &[channel]).text("rule", rule.as_str());
                event
            }
            Record::Order { order, req, by } => {
                let mut event = Self::new("order");
                event.fields.text("order", order.as_str());
                if let Some(req) = req {
                    number(&mut event.fields, req);
                }
                if let Some(by) = by {
                    event.fields.text("by", by.as_str());
                }
                event
            }
            Record::Write { req, write } => {
                let mut event = Self { durable: true, ..Self::new("write") };
                number(&mut event.fields, req);
                file(&mut event.fields, &write);
                event
            }
            Record::WriteDenied { code, connection, path } => {
                let mut event = Self::new("write-denied");
                event.fields.text("code", &code.to_string()).number("connection", connection);
                event.fields.bytes("path", path.as_bytes());
                event
            }
            Record::Credential { verb, name, connection, reason, code, approval } => {
                let mut event = Self { durable: true, ..Self::new("credential") };
                event.fields.text("verb", verb.as_str()).text("credential", name.as_str());
                if let Some(connection) = connection {
                    event.fields.number("connection", connection);
                }
                if let Some(reason) = &reason {
                    event.fields.bytes("reason", reason.as_bytes());
                }
                if let Some(code) = code {
                    event.fields.text("code", &code.to_string());
                }
                allowed_by(&mut event.fields, approval);
                event
            }
            Record::Vault { what, vault, generation } => {
                let sight = Some(Sight { vault, generation });
                let mut event = Self { durable: true, sight, ..Self::new("vault") };
                event.fields.text("what", what.as_str());
                event.fields.text("vault", &hex(&vault)).number("generation", generation);
                event
            }
            Record::Examine { req, approval, action } => {
                let mut event = Self::new("examine");
                number(&mut event.fields, req);
                describe(&mut event.fields, &ActionRecord { approval: Some(approval), ..*action });
                event
            }
            Record::Examined { req, code } => {
                let mut event = Self::new("examined");
                number(&mut event.fields, req);
                if let Some(code) = code {
                    event.fields.text("code", &code.to_string());
                }
                event
            }
            Record::Asked { approval, kind, digest, connection, rule, quorum, program, reason } => {
                let mut event = request("asked", approval, &digest);
                let fields = event.fields.text("kind", kind.as_str());
                fields.number("connection", connection).number("quorum", quorum);
                if let Some(rule) = &rule {
                    fields.text("rule", rule.as_str());
                }
                if let Some(program) = &program {
                    fields.text("program_sha256", &hex(program));
                }
                if let Some(reason) = &reason {
                    fields.bytes("reason", reason.as_bytes());
                }
                event
            }
            Record::Voted { approval, digest, approver, verdict, reason } => {
                let mut event = request("voted", approval, &digest);
                let fields = event.fields.text("approver", approver.as_str());
                fields.text("verdict", verdict.as_str());
                if let Some(reason) = &reason {
                    fields.bytes("reason", reason.as_bytes());
                }
                event
            }
            Record::Settled { approval, digest, how, approvers } => {
                let mut event = request("settled", approval, &digest);
                event.fields.text("how", how.as_str());
                event.fields.texts("approvers", approvers.as_slice().iter().map(|n| n.as_str()));
                event
            }
            Record::Unasked { code, connection, question } => {
                let mut event = Self::new("unasked");
                event.fields.text("code", &code.to_string()).number("connection", connection);
                event.fields.bytes("question", question.as_bytes());
                event
            }
            Record::Receipt { digest, receipt } => {
                let mut event = Self::new("receipt");
                event.fields.text("receipt_sha256", &hex(&digest));
                enforced(&mut event.fields, &receipt);
                event
            }
        }
    }
}

/// What happens to a request for approval is on the disk before it counts.
fn request(name: &'static str, approval: ApprovalId, digest: &[u8; 32]) -> Event {
    let mut event = Event { durable: true, ..Event::new(name) };
    allowed_by(&mut event.fields, Some(approval));
    event.fields.text("action_sha256", &hex(digest));
    event
}

fn allowed_by(fields: &mut Object, approval: Option<ApprovalId>) {
    if let Some(approval) = approval {
        fields.number("approval", approval.0);
    }
}

impl From<Account> for Event {
    fn from(account: Account) -> Self {
        match account {
            // The session is on every line.
            Account::Began { session: _, policy, tier } => {
                let mut event = Self { durable: true, ..Self::new("began") };
                event.fields.text("policy", &hex(&policy)).text("tier", tier.as_str());
                event
            }
            Account::Spawned { req, slot, pid } => {
                let mut event = Self::new("spawned");
                number(&mut event.fields, req).number("slot", slot).number("pid", pid);
                event
            }
            Account::Exited { req, status } => {
                let mut event = Self::new("exited");
                number(&mut event.fields, req).number("status", status);
                event
            }
            Account::SpawnFailed { req, error } => {
                let mut event = Self::new("spawn-failed");
                step(number(&mut event.fields, req), error);
                event
            }
            Account::AgentStarted { pid } => {
                let mut event = Self::new("agent-started");
                event.fields.number("pid", pid);
                event
            }
            Account::AgentExited { status } => {
                let mut event = Self::new("agent-exited");
                event.fields.number("status", status);
                event
            }
            Account::BrokerLost => Self { durable: true, ..Self::new("broker-lost") },
            Account::Ended { status } => {
                let mut event = Self { durable: true, last: true, ..Self::new("ended") };
                event.fields.number("status", status);
                event
            }
        }
    }
}

fn number(fields: &mut Object, req: ReqId) -> &mut Object {
    fields.number("req", req.0)
}

fn describe(fields: &mut Object, action: &ActionRecord) {
    fields.number("connection", action.connection);
    fields.bytes_list("argv", action.argv.as_slice().iter().map(|a| a.as_bytes()));
    fields.number("argc", action.argc);
    if let Some(digest) = &action.argv_digest {
        fields.text("argv_sha256", &hex(digest));
    }
    if let Some(cwd) = &action.cwd {
        fields.bytes("cwd", cwd.as_bytes());
    }
    if let Some(rule) = &action.rule {
        fields.text("rule", rule.as_str());
    }
    if let Some(profile) = &action.profile {
        fields.text("profile", profile.as_str());
    }
    let credentials: Vec<String> =
        action.credentials.as_slice().iter().map(|name| name.display()).collect();
    fields.texts("credentials", credentials.iter().map(String::as_str));
    if let Some(reason) = &action.reason {
        fields.bytes("reason", reason.as_bytes());
    }
    allowed_by(fields, action.approval);
}

fn file(fields: &mut Object, write: &WriteRecord) {
    fields.number("connection", write.connection).bytes("path", write.path.as_bytes());
    fields.text("values", write.values.as_str()).number("size", write.size);
    fields.text("sha256", &hex(&write.digest));
    fields.texts("credentials", write.credentials.as_slice().iter().map(|name| name.as_str()));
    if let Some(reason) = &write.reason {
        fields.bytes("reason", reason.as_bytes());
    }
    allowed_by(fields, write.approval);
}

fn end(fields: &mut Object, outcome: Outcome) {
    match outcome {
        Outcome::Exited(status) => fields.text("end", "exited").number("status", status),
        Outcome::Signalled(signal) => fields.text("end", "signalled").number("signal", signal),
        Outcome::Ended(code) => fields.text("end", "ended").text("code", &code.to_string()),
    };
}

fn used(fields: &mut Object, usage: &Usage) {
    fields.number("wall_us", usage.wall_us);
    fields.number("user_us", usage.user_us).number("system_us", usage.system_us);
    fields.number("max_rss_kib", usage.max_rss_kib);
}

fn touched(fields: &mut Object, protected: &List<PathBytes, 16>) {
    let names = protected.as_slice();
    if !names.is_empty() {
        fields.bytes_list("protected", names.iter().map(|p| p.as_bytes()));
    }
}

fn compared(fields: &mut Object, digests: &Digests) {
    let Digests { argv, program, stdin, output, receipt } = digests;
    fields.text("argv_sha256", &hex(argv));
    if let Some(program) = program {
        fields.text("program_sha256", &hex(program));
    }
    if let Some(Input { bytes, digest }) = stdin {
        fields.number("stdin_bytes", *bytes).text("stdin_sha256", &hex(digest));
    }
    if let Some([stdout, stderr]) = output {
        fields.text("stdout_sha256", &hex(stdout)).text("stderr_sha256", &hex(stderr));
    }
    if let Some(receipt) = receipt {
        fields.text("receipt_sha256", &hex(receipt));
    }
}

/// The same names as in the agent's own copy (`strongroom exec --json`).
fn enforced(fields: &mut Object, receipt: &Receipt) {
    fields.text("tier", receipt.tier.as_str());
    fields.number("uid", receipt.uid).number("gid", receipt.gid);
    fields.texts("namespaces", ns::names(receipt.namespaces));
    fields.text("proc", receipt.proc_view.as_str());
    let mut kernel = Object::new();
    kernel.number("abi", receipt.landlock_abi);
    for (key, bits, table) in [
        ("filesystem", receipt.landlock_fs, landlock::FILESYSTEM),
        ("network", receipt.landlock_net, landlock::NETWORK),
        ("scopes", receipt.landlock_scopes, landlock::SCOPES),
    ] {
        let names: Vec<String> = landlock::names(bits, table).collect();
        kernel.texts(key, names.iter().map(String::as_str));
    }
    fields.object("landlock", &kernel);
    fields.number("seccomp_filters", receipt.seccomp_filters);
    fields.flag("no_new_privs", receipt.unprivileged);
    fields.text("capabilities", receipt.capabilities());
    fields.text("kill_all", receipt.kill_all.as_str()).text("limits", receipt.limits.as_str());
    fields.text("protect", receipt.protect.as_str());
    fields.text("metadata", receipt.metadata.as_str());
    fields.text("private_tmp", receipt.private_tmp()).flag("shared_shm", receipt.shared_shm);
}

fn step(fields: &mut Object, error: StageError) {
    let mut failed = Object::new();
    failed.text("step", &format!("{:?}", error.stage)).number("errno", error.errno);
    fields.object("failed", &failed);
}
