//! One policy file, as it is written. The doc comments here are the
//! descriptions in the JSON Schema and in the key table of `docs/policy.md`.
//!
//! No `flatten` and no `untagged`: both lose the place of a mistake.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::At;
use crate::units::{Bytes, Millis};

/// A table whose keys are names the operator chose.
pub type Named<T> = BTreeMap<At<String>, T>;

/// A list whose items know where they stand.
pub type Items = At<Vec<At<String>>>;

/// A Strongroom policy file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a policy file")]
#[schemars(title = "Strongroom policy", extend("required" = ["version"]))]
pub struct File {
    /// Version of the policy language. Must be 1; every file says it.
    #[schemars(range(min = 1, max = 1))]
    pub version: Option<At<u32>>,
    /// Policies this one builds on: `builtin:NAME`, or a path without `..`,
    /// relative to this file's folder. This file overrides them key by key, a
    /// later one in the list overrides an earlier one.
    pub extends: Option<Items>,
    /// The floor: where the place offers less, nothing starts.
    pub require: Require,
    /// The folder the agent works in.
    pub workspace: Workspace,
    /// The program that is supervised.
    pub agent: Agent,
    /// What a jail allows. A name of `a-z 0-9 - _`.
    pub profile: Named<Profile>,
    /// Which command runs in which jail, and whether a human is asked. Deny
    /// beats ask beats allow; among equals the first wins. A rule with the
    /// name of an extended file's rule replaces that one.
    pub rule: Vec<At<Rule>>,
    /// A secret that rules may name. Its value is never in a policy.
    pub credential: Named<At<Credential>>,
    /// Bounds of the whole session.
    pub session: Session,
    /// Humans who decide where a rule asks.
    pub approvals: Approvals,
    /// The audit log.
    pub audit: Audit,
    /// How much a denial tells the agent.
    pub errors: Errors,
    /// Examples that are tried at every load; one that fails refuses the
    /// policy.
    pub test: Vec<At<Test>>,
}

/// The floor.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
pub struct Require {
    /// The lowest tier that will do. Default: `rootless`.
    pub tier: Option<At<TierWord>>,
    /// The lowest Landlock ABI that will do. Default: 6.
    #[schemars(range(min = 1, max = 255))]
    pub landlock_abi: Option<At<u8>>,
}

/// The folder the agent works in.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
pub struct Workspace {
    /// Absolute path. `--workspace` beats it; without either it is the folder
    /// `strongroom run` is started in.
    pub path: Option<At<String>>,
    /// Names in the workspace that workers may not create or change, there or
    /// not: files that other programs run or obey.
    pub protect: Option<Items>,
}

/// The program that is supervised.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
pub struct Agent {
    /// The agent's own profile. No rule may use it.
    pub profile: Option<At<String>>,
    /// Environment on top of the profile's.
    pub env: Env,
}

/// An environment, built from nothing.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
pub struct Env {
    /// Names taken over from the environment of `strongroom run`, where they
    /// are set there. No `*`, nothing that steers loaders or interpreters.
    pub pass: Option<Items>,
    /// Names with a fixed value. `PATH` and `LANG` have defaults.
    pub set: BTreeMap<At<String>, At<String>>,
}

/// What a jail allows. What is not named is refused.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
pub struct Profile {
    /// Paths that can be read, listed and executed: absolute, or `@system`,
    /// `@workspace`, `@workspace/DIR`, `@proc`, `@dev`. A `?` at the end: skipped where
    /// it does not exist.
    pub read: Option<Items>,
    /// Paths that can also be changed: absolute, or `@workspace`, `@workspace/DIR`,
    /// `@tmp` (private to the command), `@shm` (/dev/shm), `@home` (the
    /// agent's own, kept between sessions).
    pub write: Option<Items>,
    /// Paths that must not be reachable. The kernel cannot take back part of
    /// what `read` or `write` gives, so a path beneath one of those is an
    /// error: list its siblings instead.
    pub deny: Option<Items>,
    /// The environment.
    pub env: Env,
    /// What can be reached over the network. Default: `none`.
    pub network: Option<At<NetworkWord>>,
    /// Bounds of one command. Below, in brackets, the defaults of a worker and
    /// of the agent.
    pub limits: Limits,
    /// Workers kept ready, so that a command starts at once. Default: 0.
    #[schemars(range(min = 0, max = 16))]
    pub warm: Option<At<u16>>,
}

/// Bounds of one command. In brackets the defaults of a worker and of the agent.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
pub struct Limits {
    /// Time by the clock. [10m; none]
    pub wall: Option<At<Millis>>,
    /// Processor time of all its processes. [10m; none]
    pub cpu: Option<At<Millis>>,
    /// Memory of all its processes. [4GiB; none]
    pub memory: Option<At<Bytes>>,
    /// Processes and threads at once; 0 is none. [512; 0]
    pub processes: Option<At<u32>>,
    /// Open files of one process. [4096; 4096]
    #[schemars(range(min = 16, max = 1_048_576))]
    pub open_files: Option<At<u32>>,
    /// Size of one file. [none; none]
    pub file_size: Option<At<Bytes>>,
    /// Output, both streams together. [16MiB; none]
    pub output: Option<At<Bytes>>,
    /// Its private folder, where that is in memory. [1GiB; 1GiB]
    pub tmp: Option<At<Bytes>>,
}

/// Which command runs in which jail. Routing and questions, not a boundary.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Rule {
    /// Its name, of `a-z 0-9 - _`: in the log, and for `exec --rule`.
    pub name: At<String>,
    /// The program and its arguments. `*` is any one argument, `...` any rest
    /// (last only), a `*` inside an argument any text there.
    #[serde(rename = "match")]
    #[schemars(length(min = 1))]
    pub pattern: Items,
    /// The jail. Needed unless the rule denies.
    pub profile: Option<At<String>>,
    /// What is done.
    pub action: At<ActionWord>,
    /// The reason, for people; the agent sees it where `[errors] level` is
    /// `detailed`.
    pub why: Option<At<String>>,
    /// Credentials the command may carry; each needs a `[credential.NAME]`.
    pub credentials: Option<Items>,
    /// Needed where the program can print what it carries by being told to
    /// (a shell, an interpreter, `*`), or where the sandbox can change it (a
    /// script in the workspace): say `true`.
    pub i_understand_shell_can_print_it: Option<At<bool>>,
}

/// A secret that rules may name. A table of the same name in an extended file
/// is replaced whole.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Credential {
    /// The ways it may reach a command: in placeholders of a sealed file, in
    /// an environment variable of its name.
    #[schemars(length(min = 1))]
    pub deliver: At<Vec<At<DeliverWord>>>,
    /// Whether its real value may be written into the workspace: never, where
    /// a human says so for that file, or whenever the agent asks. Default:
    /// `deny`.
    pub plain: Option<At<PlainWord>>,
    /// The widest network that a command which carries it may have. Default:
    /// `none`.
    pub network: Option<At<NetworkWord>>,
}

/// Bounds of the whole session.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
pub struct Session {
    /// Commands a minute, on average; 0 is none. Default: 600.
    pub commands_per_minute: Option<At<u32>>,
    /// Commands at once on top of the average. Default: 100.
    pub burst: Option<At<u32>>,
    /// Commands in all; 0 is none. Default: 0.
    pub commands: Option<At<u64>>,
    /// Processor time of all commands. Default: none.
    pub cpu: Option<At<Millis>>,
    /// Secret values masked in output, in all; when there were more, output is
    /// withheld. 0 is none. Default: 10000.
    pub masks: Option<At<u64>>,
    /// Time the agent has to end after it was asked to. Default: 5s.
    pub grace: Option<At<Millis>>,
}

/// Humans who decide where a rule asks.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
pub struct Approvals {
    /// Who may decide, by names of `a-z 0-9 - _`. `operator` is who has the
    /// operator's token; each other name gets a token of its own. Default:
    /// `operator` alone.
    #[schemars(length(min = 1, max = 16))]
    pub approvers: Option<Items>,
    /// How many of them must agree. One who says no is enough. Default: 1.
    #[schemars(range(min = 1, max = 16))]
    pub quorum: Option<At<u8>>,
    /// A request that nobody has decided after this time is denied. Default:
    /// 5m.
    pub timeout: Option<At<Millis>>,
    /// How long an approval can be used whose requester did not wait for it.
    /// Default: 2m.
    pub permission: Option<At<Millis>>,
    /// Requests that may wait at once. Default: 16.
    #[schemars(range(min = 1, max = 64))]
    pub pending: Option<At<u16>>,
    /// Requests denied in a row after which nobody is asked for a while; 0 is
    /// any. Default: 3.
    pub denials: Option<At<u16>>,
    /// That while. Default: 30s.
    pub cool_down: Option<At<Millis>>,
}

/// The audit log.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Audit {
    /// A second place for the log's checkpoints: an absolute path of a file,
    /// best on another machine or file system, or `stdout`. What was written
    /// there shows when records are taken off the log's end. Default: none.
    pub witness: Option<At<String>>,
}

/// How much a denial tells the agent.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Errors {
    /// `detailed` adds the rule's `why`. Default: `minimal`.
    pub level: Option<At<LevelWord>>,
}

/// An example that is tried at every load.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Test {
    /// Its name, for people.
    pub name: At<String>,
    /// The command.
    #[schemars(length(min = 1))]
    pub argv: Items,
    /// What must come of it.
    pub expect: Expect,
}

/// What must come of an example.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Expect {
    /// What is done; `deny` also where no rule matches.
    pub action: At<ActionWord>,
    /// The rule that wins. Left out: any.
    pub rule: Option<At<String>>,
}

/// Words of the file that stand for a value of the plan.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident = $target:path { $($word:ident => $to:ident),* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        #[schemars(inline)]
        #[allow(missing_docs)]
        pub enum $name { $($word),* }

        impl From<$name> for $target {
            fn from(word: $name) -> Self {
                match word { $($name::$word => Self::$to),* }
            }
        }
    };
}

words!(
    /// How much the kernel lets us enforce.
    TierWord = strongroom_protocol::receipt::Tier {
        Rootless => Rootless, Container => Container, Full => Full
    }
);
words!(
    /// What can be reached.
    NetworkWord = strongroom_protocol::plan::Network {
        None => None, Loopback => Loopback, Open => Open
    }
);
words!(
    /// What a rule does.
    ActionWord = strongroom_protocol::plan::Action { Allow => Allow, Ask => Ask, Deny => Deny }
);
words!(
    /// Whether real values may be written into the workspace.
    PlainWord = strongroom_protocol::plan::Plain { Deny => Deny, Ask => Ask, Allow => Allow }
);
words!(
    /// How much a denial tells.
    LevelWord = strongroom_protocol::plan::ErrorLevel { Minimal => Minimal, Detailed => Detailed }
);

/// A way for a credential to reach a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum DeliverWord {
    /// Placeholders in a file.
    File,
    /// One environment variable.
    Env,
}
