//! The table.

use super::{Event, Field, Kind, Level};

const fn must(name: &'static str, kind: Kind, what: &'static str) -> Field {
    Field { name, kind, optional: false, what }
}

const fn may(name: &'static str, kind: Kind, what: &'static str) -> Field {
    Field { name, kind, optional: true, what }
}

const REQ: Field = must(
    "req",
    Kind::Number,
    "number of the command, or of the file written, in its session, from 1",
);

const APPROVAL: Field = may("approval", Kind::Number, "the request for approval that allows it");

/// A request for approval.
pub static REQUEST: &[Field] = &[
    must("approval", Kind::Number, "number of the request in its session, from 1"),
    must("action_sha256", Kind::Sha256, "of what was shown to humans, and of nothing else"),
];

pub static FAILED: &[Field] = &[
    must("step", Kind::Text, "the step of the jail"),
    must("errno", Kind::Signed, "what the kernel said"),
];

/// A command as it was asked for.
pub static ACTION: &[Field] = &[
    must("connection", Kind::Number, "the agent's connection"),
    must("argv", Kind::BytesList, "the first arguments, the longest cut"),
    must("argc", Kind::Number, "how many there were"),
    may(
        "argv_sha256",
        Kind::Sha256,
        "over all, each closed by a NUL, where `argv` is not all of them",
    ),
    may("cwd", Kind::Bytes, "working folder, as it was asked for"),
    may("rule", Kind::Text, "rule that decided"),
    may("profile", Kind::Text, "its profile"),
    must(
        "credentials",
        Kind::Texts,
        "names, never a value: those it gets or, in `denied`, those it would have got or asked for",
    ),
    may("reason", Kind::Bytes, "the agent's own words, untrusted"),
    APPROVAL,
];

/// A file as it is to be written.
pub static WRITE: &[Field] = &[
    must("connection", Kind::Number, "the agent's connection"),
    must("path", Kind::Bytes, "where, relative to the workspace"),
    must(
        "values",
        Kind::Text,
        "`sealed`, or `plain` for a file with real values and for one without placeholders",
    ),
    must("size", Kind::Number, "bytes as the agent sent them"),
    must("sha256", Kind::Sha256, "of them, placeholders and all"),
    must("credentials", Kind::Texts, "those named in it"),
    may("reason", Kind::Bytes, "the agent's own words, untrusted"),
    APPROVAL,
];

/// How a command ended.
pub static END: &[Field] = &[
    must("end", Kind::Text, "`exited`, `signalled`, or `ended` by us"),
    may("status", Kind::Number, "with `exited`"),
    may("signal", Kind::Number, "with `signalled`"),
    may("code", Kind::Text, "with `ended`: why"),
    must("wall_us", Kind::Number, "time by the clock"),
    must("user_us", Kind::Number, "processor time"),
    must("system_us", Kind::Number, "processor time in the kernel"),
    must("max_rss_kib", Kind::Number, "memory of its largest process"),
    must("stdout_bytes", Kind::Number, "written, cut or not"),
    must("stderr_bytes", Kind::Number, "written, cut or not"),
    must("output_cut", Kind::Flag, "the limit was reached"),
    must("masked", Kind::Number, "how often a value was hidden in its output"),
    may("protected", Kind::BytesList, "protected names that it created or changed"),
    may("failed", Kind::Object(FAILED), "step of the jail that failed; the agent is not told"),
    may(
        "argv_sha256",
        Kind::Sha256,
        "over all arguments, each closed by a NUL, values of credentials in them masked: nobody can find out here that a guess is right. In every outcome of a command; none of what follows is in that of a file",
    ),
    may("program_sha256", Kind::Sha256, "of its program's file, where it could be read"),
    may(
        "stdin_bytes",
        Kind::Number,
        "put into its standard input; a command that ends before it has read all may have left some",
    ),
    may("stdin_sha256", Kind::Sha256, "of them, as they are"),
    may(
        "stdout_sha256",
        Kind::Sha256,
        "of what the client got: after masking, and cut where `output_cut`. Left out where it had not taken all of it one second after the end",
    ),
    may("stderr_sha256", Kind::Sha256, "likewise"),
    may("receipt_sha256", Kind::Sha256, "names the `receipt` before it"),
];

/// What Landlock enforces.
pub static LANDLOCK: &[Field] = &[
    must("abi", Kind::Number, "version of the kernel's interface"),
    must("filesystem", Kind::Texts, "rights that are denied unless allowed"),
    must("network", Kind::Texts, "likewise"),
    must("scopes", Kind::Texts, "what ends at the jail"),
];

/// What a jail enforces.
pub static RECEIPT: &[Field] = &[
    must("tier", Kind::Text, "what the place enforces"),
    must("uid", Kind::Number, "the command's, seen from inside"),
    must("gid", Kind::Number, "likewise"),
    must("namespaces", Kind::Texts, "those of its own"),
    must("proc", Kind::Text, "which /proc it sees: `own` or `shared`"),
    must("landlock", Kind::Object(LANDLOCK), "what Landlock enforces"),
    must("seccomp_filters", Kind::Number, "filters in force"),
    must("no_new_privs", Kind::Flag, "no program gives it more rights"),
    must("capabilities", Kind::Text, "`none` or `unknown`"),
    must("kill_all", Kind::Text, "what ends its descendants"),
    must("limits", Kind::Text, "what bounds memory and processes"),
    must("protect", Kind::Text, "what keeps protected names"),
    must("metadata", Kind::Text, "what keeps chmod and the like inside"),
    must("private_tmp", Kind::Text, "its private folder: `tmpfs` or `folder`"),
    must("shared_shm", Kind::Flag, "/dev/shm is shared with others of its user"),
];

/// Every event.
pub static EVENTS: &[Event] = &[
    Event {
        writer: "broker",
        name: "intent",
        level: Level::Info,
        when: "a command was accepted. Kept before anything of it runs. On the disk first where it names credentials",
        fields: &[&[REQ], ACTION],
    },
    Event {
        writer: "broker",
        name: "denied",
        level: Level::Warning,
        when: "a request was refused; `strongroom explain CODE` says why",
        fields: &[&[must("code", Kind::Text, "why")], ACTION],
    },
    Event {
        writer: "broker",
        name: "outcome",
        level: Level::Info,
        when: "a command ended, or a file was written. Each `intent` and each `write` has exactly one, also where nothing was started",
        fields: &[&[REQ], END],
    },
    Event {
        writer: "broker",
        name: "write",
        level: Level::Info,
        when: "a file is about to be written for an agent (`strongroom write`). On the disk first",
        fields: &[&[REQ], WRITE],
    },
    Event {
        writer: "broker",
        name: "write-denied",
        level: Level::Warning,
        when: "a file was not written",
        fields: &[&[
            must("code", Kind::Text, "why"),
            must("connection", Kind::Number, "the agent's connection"),
            must("path", Kind::Bytes, "as it was asked for"),
        ]],
    },
    Event {
        writer: "broker",
        name: "credential",
        level: Level::Notice,
        when: "something is about to be done with a credential or, where there is a `code`, was refused. On the disk first",
        fields: &[&[
            must("verb", Kind::Text, "what; see below"),
            must("credential", Kind::Text, "its name"),
            may("connection", Kind::Number, "the agent's, where an agent asked"),
            may("reason", Kind::Bytes, "the agent's own words, untrusted"),
            may("code", Kind::Text, "why it was refused"),
            APPROVAL,
        ]],
    },
    Event {
        writer: "broker",
        name: "vault",
        level: Level::Info,
        when: "the vault file was opened or written. On the disk first",
        fields: &[&[
            must("what", Kind::Text, "`opened` or `written`"),
            must("vault", Kind::Text, "its random name"),
            must("generation", Kind::Number, "how often it was written"),
        ]],
    },
    Event {
        writer: "broker",
        name: "violation",
        level: Level::Alert,
        when: "a peer broke the protocol of channel A, O or W and was cut off",
        fields: &[&[
            must("channel", Kind::Bytes, "the channel's letter"),
            must("rule", Kind::Text, "which rule of it; see below"),
        ]],
    },
    Event {
        writer: "broker",
        name: "order",
        level: Level::Notice,
        when: "an operator gave an order; `refused` for one without the token",
        fields: &[&[
            must(
                "order",
                Kind::Text,
                "`status`, `kill`, `kill-all`, `shutdown`, `credentials`, `requests`, `refused`",
            ),
            may("req", Kind::Number, "the command, for `kill`"),
            may("by", Kind::Text, "the approver, where it was not the operator"),
        ]],
    },
    Event {
        writer: "broker",
        name: "examine",
        level: Level::Info,
        when: "the files of a command that a human must decide on are about to be looked at, in its jail; nothing of it runs",
        fields: &[&[REQ], ACTION],
    },
    Event {
        writer: "broker",
        name: "examined",
        level: Level::Info,
        when: "they were. Each `examine` has exactly one",
        fields: &[&[REQ, may("code", Kind::Text, "why it came to nothing")]],
    },
    Event {
        writer: "broker",
        name: "asked",
        level: Level::Notice,
        when: "humans are asked. On the disk first",
        fields: &[
            REQUEST,
            &[
                must("kind", Kind::Text, "`exec`, `plain`, `delete` or `question`"),
                must("connection", Kind::Number, "the agent's connection"),
                must("quorum", Kind::Number, "how many must agree"),
                may("rule", Kind::Text, "rule that asks"),
                may("program_sha256", Kind::Sha256, "of a command's program"),
                may("reason", Kind::Bytes, "the agent's own words, untrusted"),
            ],
        ],
    },
    Event {
        writer: "broker",
        name: "voted",
        level: Level::Notice,
        when: "a human decided. On the disk first",
        fields: &[
            REQUEST,
            &[
                must("approver", Kind::Text, "who, by the token that was shown"),
                must("verdict", Kind::Text, "`approve` or `deny`"),
                may("reason", Kind::Bytes, "in the human's words"),
            ],
        ],
    },
    Event {
        writer: "broker",
        name: "settled",
        level: Level::Notice,
        when: "a request for approval is decided, or over. On the disk first; what is approved can be used once, after that",
        fields: &[
            REQUEST,
            &[
                must(
                    "how",
                    Kind::Text,
                    "`approved`, `denied`, `timed-out`; after `approved` also `expired`, or `changed`: another file was there; `ended` with the session",
                ),
                must("approvers", Kind::Texts, "who agreed"),
            ],
        ],
    },
    Event {
        writer: "broker",
        name: "unasked",
        level: Level::Warning,
        when: "an agent's question was not put to a human",
        fields: &[&[
            must("code", Kind::Text, "why"),
            must("connection", Kind::Number, "the agent's connection"),
            must("question", Kind::Bytes, "the agent's own words, untrusted"),
        ]],
    },
    Event {
        writer: "broker",
        name: "receipt",
        level: Level::Info,
        when: "what a jail enforces, by what its worker has seen succeed. Once a session, before the first `outcome` that names it",
        fields: &[
            &[must(
                "receipt_sha256",
                Kind::Sha256,
                "over its encoding in docs/protocol.md, type `Receipt`",
            )],
            RECEIPT,
        ],
    },
    Event {
        writer: "supervisor",
        name: "began",
        level: Level::Info,
        when: "the session began",
        fields: &[&[
            must("policy", Kind::Sha256, "of the policy"),
            must("tier", Kind::Text, "what the place enforces"),
        ]],
    },
    Event {
        writer: "supervisor",
        name: "spawned",
        level: Level::Info,
        when: "a worker was handed to a command",
        fields: &[&[
            REQ,
            must("slot", Kind::Number, "its worker"),
            must("pid", Kind::Number, "its worker's process"),
        ]],
    },
    Event {
        writer: "supervisor",
        name: "exited",
        level: Level::Info,
        when: "that worker ended and its jail is empty",
        fields: &[&[REQ, must("status", Kind::Signed, "exit status, or -signal")]],
    },
    Event {
        writer: "supervisor",
        name: "spawn-failed",
        level: Level::Warning,
        when: "no worker could be made",
        fields: &[&[REQ, must("failed", Kind::Object(FAILED), "step of the jail that failed")]],
    },
    Event {
        writer: "supervisor",
        name: "agent-started",
        level: Level::Info,
        when: "the agent was started",
        fields: &[&[must("pid", Kind::Number, "its worker's process")]],
    },
    Event {
        writer: "supervisor",
        name: "agent-exited",
        level: Level::Info,
        when: "the agent ended",
        fields: &[&[must("status", Kind::Signed, "exit status, or -signal")]],
    },
    Event {
        writer: "supervisor",
        name: "broker-lost",
        level: Level::Alert,
        when: "the broker ended; everything is being ended",
        fields: &[],
    },
    Event {
        writer: "supervisor",
        name: "ended",
        level: Level::Info,
        when: "the session ended; nothing of it comes after this, for its broker has gone",
        fields: &[&[must("status", Kind::Signed, "exit status of `strongroom run`")]],
    },
    Event {
        writer: "recorder",
        name: "segment",
        level: Level::Info,
        when: "the first line of each file: all that is needed to check that file by itself",
        fields: &[&[
            must("origin", Kind::Text, "the log's name, made at random"),
            must("segment", Kind::Number, "number of the file, from 1"),
            must("epoch", Kind::Number, "epoch of the key in force"),
            must("key", Kind::Text, "that key, public"),
            must("tree", Kind::Texts, "complete subtrees over the lines before, the largest first"),
        ]],
    },
    Event {
        writer: "recorder",
        name: "opened",
        level: Level::Info,
        when: "a recorder started",
        fields: &[&[
            must(
                "boot",
                Kind::Text,
                "name of the machine's boot; the monotonic clock begins with it",
            ),
            must("recorder", Kind::Text, "the recorder's version"),
        ]],
    },
    Event {
        writer: "recorder",
        name: "checkpoint",
        level: Level::Info,
        when: "every 256 lines, or 200 ms after a line that has none yet. Signs all up to this line",
        fields: &[&[must("epoch", Kind::Number, "epoch of the key that signed")]],
    },
    Event {
        writer: "recorder",
        name: "seal",
        level: Level::Info,
        when: "a checkpoint that ends its epoch: the key that signs it is erased, the next one is in force",
        fields: &[&[
            must("epoch", Kind::Number, "epoch that ends"),
            must(
                "why",
                Kind::Text,
                "`start`, `time`, `size`, `segment` (the file's last line) or `end`",
            ),
            must("next", Kind::Text, "the next epoch's key, public"),
        ]],
    },
    Event {
        writer: "recorder",
        name: "recovery",
        level: Level::Notice,
        when: "the recorder before this one was cut short",
        fields: &[&[
            must("torn_bytes", Kind::Number, "bytes of a line half written, taken off"),
            must(
                "unsigned",
                Kind::Number,
                "lines after the last checkpoint, taken over as they were found",
            ),
        ]],
    },
    Event {
        writer: "recorder",
        name: "clock",
        level: Level::Notice,
        when: "the wall clock was set, or has drifted by two seconds",
        fields: &[&[must("step_us", Kind::Signed, "by how much")]],
    },
    Event {
        writer: "recorder",
        name: "witness-lost",
        level: Level::Warning,
        when: "a checkpoint could not be written to the witness file; none will be until the next start",
        fields: &[&[must("errno", Kind::Signed, "what the kernel said")]],
    },
    Event {
        writer: "recorder",
        name: "vault-accepted",
        level: Level::Notice,
        when: "the operator has taken an older vault file as it is (`strongroom vault accept`), since the session before",
        fields: &[&[
            must("vault", Kind::Text, "its random name"),
            must("generation", Kind::Number, "that of the file"),
            must("before", Kind::Number, "the latest that was seen"),
        ]],
    },
    Event {
        writer: "recorder",
        name: "violation",
        level: Level::Alert,
        when: "a writer broke the protocol of channel R, or showed an older vault than before, and is no longer heard",
        fields: &[&[
            may("channel", Kind::Text, "`R`"),
            may("by", Kind::Text, "`broker` or `supervisor`"),
            may("code", Kind::Text, "`SR722`: the `vault` record before it is of an older file"),
        ]],
    },
];
