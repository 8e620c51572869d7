//! Every event and its fields, as one table. The documentation and the JSON
//! Schema are made from it, and the recorder's tests hold every line they see
//! against it.

mod events;

use serde_json::{Map, Value, json};

use crate::line::Line;
use crate::scan::{Raw, members};

pub use events::EVENTS;
use events::{ACTION, END, FAILED, LANDLOCK, RECEIPT, REQUEST, WRITE};

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
    let grave = match line.event {
        "settled" => line.text("how") == Some("changed"),
        "order" => line.text("order") == Some("refused"),
        _ => codes(line).next().is_some(),
    };
    if grave { known.max(Level::Warning) } else { known }
}

/// An outcome's limit on output was reached.
pub const OUTPUT_CUT: &str = "SR205";
/// An outcome's output held a secret's value.
pub const VALUE_MASKED: &str = "SR208";
/// An outcome's command touched a protected name.
pub const PROTECTED_NAME: &str = "SR210";

/// The codes of a record: the one that it has, and those that follow from what
/// an outcome says. `strongroom explain` knows each.
pub fn codes<'a>(line: &Line<'a>) -> impl Iterator<Item = &'a str> {
    let outcome = line.event == "outcome";
    let cut = outcome && line.field("output_cut") == Some(Raw::Flag(true));
    let masked = outcome && line.number("masked").is_some_and(|times| times > 0);
    let protected = outcome && line.field("protected").is_some();
    let own = line.text("code").into_iter();
    own.chain(cut.then_some(OUTPUT_CUT))
        .chain(masked.then_some(VALUE_MASKED))
        .chain(protected.then_some(PROTECTED_NAME))
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
                    group if std::ptr::eq(group, WRITE) => vec!["*file*".to_owned()],
                    group if std::ptr::eq(group, END) => vec!["*end*".to_owned()],
                    group if std::ptr::eq(group, REQUEST) => vec!["*request*".to_owned()],
                    group if std::ptr::eq(group, RECEIPT) => vec!["*enforced*".to_owned()],
                    group => group.iter().map(short).collect(),
                })
                .collect();
            let (name, level, when) = (event.name, event.level.as_str(), event.when);
            out.push_str(&format!("| `{name}` | {level} | {when} | {} |\n", fields.join("; ")));
        }
        out.push('\n');
    }
    for (title, fields) in [
        ("action", ACTION),
        ("file", WRITE),
        ("end", END),
        ("request", REQUEST),
        ("failed", FAILED),
        ("enforced", RECEIPT),
        ("landlock", LANDLOCK),
    ] {
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
