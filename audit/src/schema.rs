//! Every event and its fields, as one table. The documentation and the JSON
//! Schema are made from it, and the recorder's tests hold every line they see
//! against it.

use serde_json::{Map, Value, json};

use crate::line::Line;
use crate::scan::{Raw, members};

/// What a field's value is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A whole number, not negative.
    Number,
    /// A whole number.
    Signed,
    /// True or false.
    Flag,
    /// Text of our own.
    Text,
    /// A SHA-256 in hexadecimal.
    Sha256,
    /// A list of texts of our own.
    Texts,
    /// Bytes of somebody else's, made visible. Where that is not exactly the
    /// bytes, they follow in hexadecimal as `NAME_hex`.
    Bytes,
    /// A list of such.
    BytesList,
    /// An object with these fields.
    Object(&'static [Field]),
}

impl Kind {
    fn describe(self) -> &'static str {
        match self {
            Self::Number | Self::Signed => "number",
            Self::Flag => "true or false",
            Self::Text => "text",
            Self::Sha256 => "SHA-256",
            Self::Texts => "texts",
            Self::Bytes => "bytes",
            Self::BytesList => "list of bytes",
            Self::Object(_) => "object",
        }
    }

    fn admits(self, value: Raw<'_>) -> bool {
        match (self, value) {
            (Self::Number, Raw::Number(_)) => value.number().is_some(),
            (Self::Signed, Raw::Number(_)) | (Self::Flag, Raw::Flag(_)) => true,
            (Self::Text | Self::Bytes, Raw::Text(_)) => true,
            (Self::Sha256, Raw::Text(text)) => crate::line::unhex(text).is_some(),
            (Self::Texts | Self::BytesList, Raw::List(_)) => true,
            (Self::Object(fields), Raw::Object(inside)) => check(fields.iter(), inside).is_ok(),
            _ => false,
        }
    }

    fn schema(self) -> Value {
        match self {
            Self::Number => json!({"type": "integer", "minimum": 0}),
            Self::Signed => json!({"type": "integer"}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Text | Self::Bytes => json!({"type": "string"}),
            Self::Sha256 => json!({"type": "string", "pattern": "^[0-9a-f]{64}$"}),
            Self::Texts | Self::BytesList => json!({"type": "array", "items": {"type": "string"}}),
            Self::Object(fields) => {
                let mut object = Shape::default();
                fields.iter().for_each(|field| object.add(field));
                object.whole()
            }
        }
    }

    /// The second field of such a value, for what the first cannot show.
    fn exact(self) -> Option<Value> {
        match self {
            Self::Bytes => Some(json!({"type": "string", "pattern": "^([0-9a-f]{2})*$"})),
            Self::BytesList => Some(
                json!({"type": "array", "items": {"type": "string", "pattern": "^([0-9a-f]{2})*$"}}),
            ),
            _ => None,
        }
    }
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub kind: Kind,
    /// It may be left out.
    pub optional: bool,
    /// What it says.
    pub what: &'static str,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The course of things.
    Info,
    /// Worth a look.
    Notice,
    /// Something was refused or failed.
    Warning,
    /// Somebody did what nobody should.
    Alert,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Alert => "alert",
        }
    }

    /// The level with this name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Info, Self::Notice, Self::Warning, Self::Alert]
            .into_iter()
            .find(|level| level.as_str() == word)
    }
}

/// One event.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Who says so.
    pub writer: &'static str,
    /// Its name.
    pub name: &'static str,
    /// How much it matters.
    pub level: Level,
    /// When it is written.
    pub when: &'static str,
    /// Its own fields, in their order, in groups that several events share.
    pub fields: &'static [&'static [Field]],
}

impl Event {
    /// All its fields, in their order.
    pub fn all_fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.fields.iter().flat_map(|group| group.iter())
    }
}

const fn must(name: &'static str, kind: Kind, what: &'static str) -> Field {
    Field { name, kind, optional: false, what }
}

const fn may(name: &'static str, kind: Kind, what: &'static str) -> Field {
    Field { name, kind, optional: true, what }
}

const REQ: Field = must("req", Kind::Number, "number of the command in its session, from 1");

const FAILED: &[Field] = &[
    must("step", Kind::Text, "the step of the jail"),
    must("errno", Kind::Signed, "what the kernel said"),
];

/// A command as it was asked for.
const ACTION: &[Field] = &[
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
    must("credentials", Kind::Texts, "names, never a value"),
    may("reason", Kind::Bytes, "the agent's own words, untrusted"),
];

/// How a command ended.
const END: &[Field] = &[
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
    may("masked", Kind::Number, "values masked in its output"),
    may("protected", Kind::BytesList, "protected names that it created or changed"),
    may("failed", Kind::Object(FAILED), "step of the jail that failed; the agent is not told"),
];

/// Every event.
pub const EVENTS: &[Event] = &[
    Event {
        writer: "broker",
        name: "intent",
        level: Level::Info,
        when: "a command was accepted. Kept before a worker is asked for: nothing takes effect without it",
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
        when: "a command ended. Each `intent` has exactly one, also where nothing was started",
        fields: &[&[REQ], END],
    },
    Event {
        writer: "broker",
        name: "write",
        level: Level::Info,
        when: "a file is about to be written for an agent. On the disk before it is; an `outcome` follows",
        fields: &[&[
            must("req", Kind::Number, "its number, of the same row as the commands'"),
            must("connection", Kind::Number, "the agent's connection"),
            must("path", Kind::Bytes, "where, relative to the workspace"),
            must("values", Kind::Text, "what becomes of its placeholders"),
            must("size", Kind::Number, "bytes as the agent sent them"),
            must("sha256", Kind::Sha256, "of them: placeholders, no value"),
            must("credentials", Kind::Texts, "named in it"),
            may("reason", Kind::Bytes, "the agent's own words, untrusted"),
        ]],
    },
    Event {
        writer: "broker",
        name: "write-denied",
        level: Level::Warning,
        when: "a file was not written",
        fields: &[&[
            must("code", Kind::Text, "why"),
            must("connection", Kind::Number, "the agent's connection"),
            must("path", Kind::Bytes, "where it was to stand"),
        ]],
    },
    Event {
        writer: "broker",
        name: "credential",
        level: Level::Notice,
        when: "something is about to be done with a credential, or was refused",
        fields: &[&[
            must("verb", Kind::Text, "what"),
            must("credential", Kind::Text, "its name"),
            may("connection", Kind::Number, "the agent's connection; left out for the operator"),
            may("reason", Kind::Bytes, "the agent's own words, untrusted"),
            may("code", Kind::Text, "why it was refused"),
        ]],
    },
    Event {
        writer: "broker",
        name: "vault",
        level: Level::Info,
        when: "the vault file was opened or written",
        fields: &[&[
            must("what", Kind::Text, "`opened` or `written`"),
            must("vault", Kind::Text, "its random name"),
            must("generation", Kind::Number, "counts its changes"),
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
            must("order", Kind::Text, "`status`, `kill`, `kill-all`, `shutdown`, `refused`"),
            may("req", Kind::Number, "the command, for `kill`"),
        ]],
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
        when: "the session ended",
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
        name: "violation",
        level: Level::Alert,
        when: "a writer broke the protocol of channel R, or showed an older vault than before, and is no longer heard",
        fields: &[&[
            may("channel", Kind::Text, "`R`"),
            may("by", Kind::Text, "`broker` or `supervisor`"),
            may("code", Kind::Text, "which, for an older vault"),
        ]],
    },
];

/// The row of an event.
#[must_use]
pub fn event(writer: &str, name: &str) -> Option<&'static Event> {
    EVENTS.iter().find(|event| event.writer == writer && event.name == name)
}

/// How much a line matters. One of a newer version than this program, which
/// it does not know, is worth a look.
#[must_use]
pub fn level(line: &Line<'_>) -> Level {
    let known = event(line.writer, line.event).map_or(Level::Notice, |event| event.level);
    // A command that we ended, or could not run.
    if line.event == "outcome" && line.field("code").is_some() { Level::Warning } else { known }
}

/// Holds a line against the table.
///
/// # Errors
/// What is wrong, in words.
pub fn conforms(line: &Line<'_>) -> Result<(), String> {
    let event = event(line.writer, line.event)
        .ok_or_else(|| format!("no event {} of {}", line.event, line.writer))?;
    check(event.all_fields(), line.fields).map_err(|why| format!("{}: {why}", line.event))?;
    let signed = matches!(line.event, "checkpoint" | "seal");
    if signed == line.is_checkpoint() {
        Ok(())
    } else {
        Err("a note where none belongs".to_owned())
    }
}

fn check(fields: impl Iterator<Item = &'static Field>, inside: &str) -> Result<(), String> {
    let mut present = members(inside).peekable();
    for field in fields {
        match present.next_if(|(key, _)| *key == field.name) {
            Some((_, value)) if !field.kind.admits(value) => {
                return Err(format!("{} is not a {}", field.name, field.kind.describe()));
            }
            Some(_) => {}
            None if field.optional => {}
            None => return Err(format!("{} is missing", field.name)),
        }
        if field.kind.exact().is_some() {
            present.next_if(|(key, _)| key.strip_suffix("_hex") == Some(field.name));
        }
    }
    present.next().map_or(Ok(()), |(key, _)| Err(format!("{key} is not in the table")))
}

/// The tables of `docs/audit.md`.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::new();
    for writer in ["broker", "supervisor", "recorder"] {
        out.push_str(&format!(
            "### Events of the {writer}\n\n| event | level | when | fields |\n|---|---|---|---|\n"
        ));
        for event in EVENTS.iter().filter(|event| event.writer == writer) {
            let fields: Vec<String> = event
                .fields
                .iter()
                .flat_map(|group| match *group {
                    group if std::ptr::eq(group, ACTION) => vec!["*action*".to_owned()],
                    group if std::ptr::eq(group, END) => vec!["*end*".to_owned()],
                    group => group.iter().map(short).collect(),
                })
                .collect();
            let (name, level, when) = (event.name, event.level.as_str(), event.when);
            out.push_str(&format!("| `{name}` | {level} | {when} | {} |\n", fields.join("; ")));
        }
        out.push('\n');
    }
    for (title, fields) in [("action", ACTION), ("end", END), ("failed", FAILED)] {
        out.push_str(&format!("*{title}*\n\n| field | is | what |\n|---|---|---|\n"));
        for field in fields {
            let optional = if field.optional { ", or left out" } else { "" };
            let (name, kind, what) = (field.name, field.kind.describe(), field.what);
            out.push_str(&format!("| `{name}` | {kind}{optional} | {what} |\n"));
        }
        out.push('\n');
    }
    out
}

fn short(field: &Field) -> String {
    let optional = if field.optional { ", optional" } else { "" };
    format!("`{}`: {}{optional}", field.name, field.what)
}

/// The JSON Schema of one line.
#[must_use]
pub fn json_schema() -> Value {
    let events: Vec<Value> = EVENTS.iter().map(event_schema).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Strongroom audit log, one line",
        "description": "Version 1. The order of the members is fixed too; see docs/audit.md.",
        "oneOf": events,
    })
}

fn event_schema(event: &Event) -> Value {
    let mut shape = Shape::default();
    shape.put("v", json!({"const": crate::line::VERSION}));
    shape.put("seq", json!({"type": "integer", "minimum": 1}));
    shape.put("time", json!({"type": "string", "format": "date-time"}));
    shape.put("mono_us", json!({"type": "integer", "minimum": 0}));
    shape.put("session", json!({"type": "string", "pattern": "^[0-9a-f]{32}$"}));
    shape.put("writer", json!({"const": event.writer}));
    shape.put("event", json!({"const": event.name}));
    event.all_fields().for_each(|field| shape.add(field));
    shape.put("prev", Kind::Sha256.schema());
    if matches!(event.name, "checkpoint" | "seal") {
        shape.put("note", json!({"type": "string"}));
    }
    let mut whole = shape.whole();
    if let Some(object) = whole.as_object_mut() {
        object.insert("title".to_owned(), format!("{} {}", event.writer, event.name).into());
        object.insert("description".to_owned(), event.when.into());
    }
    whole
}

/// An object's schema under construction.
#[derive(Default)]
struct Shape {
    properties: Map<String, Value>,
    required: Vec<Value>,
}

impl Shape {
    fn put(&mut self, name: &str, schema: Value) {
        self.properties.insert(name.to_owned(), schema);
        self.required.push(name.into());
    }

    fn add(&mut self, field: &Field) {
        let mut schema = field.kind.schema();
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), field.what.into());
        }
        self.properties.insert(field.name.to_owned(), schema);
        if !field.optional {
            self.required.push(field.name.into());
        }
        if let Some(exact) = field.kind.exact() {
            self.properties.insert(format!("{}_hex", field.name), exact);
        }
    }

    fn whole(self) -> Value {
        json!({
            "type": "object",
            "properties": self.properties,
            "required": self.required,
            "additionalProperties": false,
        })
    }
}
