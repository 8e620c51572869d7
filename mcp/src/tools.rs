//! The tools: their names, what a model is told about them, and the schemas
//! of what goes in and comes out.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_api::request::{Level, RequestApproval, RequestCredential};
use strongroom_api::shape::{
    Approved, Credential, Explained, Failure, How, Log, Requested, Written,
};

use crate::once::MAX_KEY;
use crate::reply::Pending;

/// The argument that names a call, of every tool that does something.
pub const KEY: &str = "idempotency_key";

/// `run_command`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunCommand {
    /// Program and arguments, one string each: ["git", "status"]. No shell
    /// reads them; for one, say ["sh", "-c", "…"].
    #[schemars(length(min = 1, max = 2048))]
    pub argv: Vec<String>,
    /// Working folder, in the workspace. Default: the workspace.
    pub cwd: Option<String>,
    /// The command's standard input. Default: none.
    pub stdin: Option<String>,
    /// End the command after so many milliseconds.
    pub timeout_ms: Option<u64>,
    /// Names of credentials the command needs.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub credentials: Vec<String>,
    /// Why, for the human who may be asked.
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Where a human is asked, wait at most so many milliseconds for the
    /// answer. Default: 30000.
    pub patience_ms: Option<u64>,
    /// Bytes of each output stream to return; the middle of longer output is
    /// left out. Default: 32768.
    #[schemars(range(min = 1024, max = 262_144))]
    pub max_output_bytes: Option<usize>,
}

/// `write_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// Where, in the workspace.
    pub path: String,
    /// The whole content. ${credentials.NAME} stands for the value of a
    /// credential; $${ is the text itself.
    pub content: String,
    /// Its mode in octal, such as "640". Default: 600 for a new file.
    pub mode: Option<String>,
    /// Why, for the human who may be asked.
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Where a human is asked, wait at most so many milliseconds for the
    /// answer. Default: 30000.
    pub patience_ms: Option<u64>,
}

/// `list_credentials`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListCredentials {}

/// `read_log`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadLog {
    /// Records that follow this one.
    #[serde(default)]
    pub after: u64,
    /// At least this grave.
    #[serde(default)]
    pub level: Level,
    /// With this text somewhere.
    #[serde(rename = "match")]
    #[schemars(length(max = 1024))]
    pub pattern: Option<String>,
    /// At most so many. Default: 50.
    #[schemars(range(min = 1, max = 256))]
    pub limit: Option<u16>,
}

/// `explain`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// A code that another tool gave, such as SR101.
    pub code: String,
}

/// What comes of a command.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ran {
    /// How it ended.
    #[serde(flatten)]
    pub how: How,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// The middle of one of them is left out, or the policy's limit for output
    /// was reached.
    pub truncated: bool,
    /// Bytes that are not UTF-8 are shown as U+FFFD.
    pub lossy: bool,
    /// Values of credentials that were masked in the output.
    pub masked: u64,
    /// The session has masked as many as it may: output was withheld.
    pub withheld: bool,
    /// Protected names that it created or changed; see SR210.
    pub protected: Vec<String>,
}

/// The credentials there are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    /// They, by name. Never a value.
    pub credentials: Vec<Credential>,
    /// There are more, which are not shown.
    pub truncated: bool,
}

/// All tools.
pub fn all() -> Vec<Tool> {
    let hints = ToolAnnotations::new();
    let look = hints.clone().read_only(true).open_world(false);
    let act = hints.read_only(false);
    vec![
        tool::<RunCommand, Ran>(
            "run_command",
            "Run a command",
            "Runs a command in a jail of its own and returns how it ended and what it wrote. The \
             policy decides what it may reach and whether a human is asked first. `denied` says what \
             was refused and what to do instead; `pending` that a human has not answered yet: make \
             the same call again later.",
            act.clone().destructive(true).idempotent(false).open_world(true),
        ),
        tool::<WriteFile, Written>(
            "write_file",
            "Write a file",
            "Writes a whole file into the workspace. With ${credentials.NAME} in it the file is \
             sealed: only commands that are granted those credentials can read it, and nobody else \
             sees a value.",
            act.clone().destructive(true).idempotent(true).open_world(false),
        ),
        tool::<ListCredentials, Listed>(
            "list_credentials",
            "List credentials",
            "Lists the credentials that commands of this session may use: names and how they come, \
             never a value.",
            look.clone(),
        ),
        tool::<RequestCredential, Requested>(
            "request_credential",
            "Request a credential",
            "Asks a human to enter a credential that is missing. The value goes to Strongroom and \
             never through here; list_credentials shows when it is there.",
            act.clone().destructive(false).idempotent(true).open_world(false),
        ),
        tool::<RequestApproval, Approved>(
            "request_approval",
            "Ask a human",
            "Asks a human a question that can be answered with yes or no, and waits. A human decides \
             outside of this protocol: nothing said here approves anything.",
            act.destructive(false).idempotent(false).open_world(false),
        ),
        tool::<ReadLog, Log>(
            "read_log",
            "Read the log",
            "Reads the session's own records: what was run, what was refused and why, how it ended.",
            look.clone(),
        ),
        tool::<Explain, Explained>(
            "explain",
            "Explain a code",
            "Explains a code such as SR101: what it means, what to do instead, whether asking helps.",
            look,
        ),
    ]
}

fn tool<In: JsonSchema, Out: JsonSchema>(
    name: &'static str,
    title: &str,
    description: &'static str,
    hints: ToolAnnotations,
) -> Tool {
    let mut input = input::<In>();
    if hints.read_only_hint == Some(false)
        && let Some(properties) = input.get_mut("properties").and_then(Value::as_object_mut)
    {
        let key = json!({
            "type": "string", "minLength": 1, "maxLength": MAX_KEY,
            "description": "A name for this call. The same call with the same name is not done again; it returns \
                            what the first one returned."
        });
        properties.insert(KEY.to_owned(), key);
    }
    Tool::new(name, description, input)
        .with_title(title)
        .with_raw_output_schema(output::<Out>())
        .with_annotations(hints)
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

fn input<T: JsonSchema>() -> JsonObject {
    let mut schema = object(generator().into_root_schema_for::<T>().to_value());
    // What a tool is for stands in its description.
    schema.remove("description");
    schema.remove("title");
    object(portable(Value::Object(schema), true))
}

/// The fields of `T`, or why there are none.
fn output<T: JsonSchema>() -> Arc<JsonObject> {
    let mut generator = generator();
    let denied = generator.subschema_for::<Failure>();
    let pending = generator.subschema_for::<Pending>();
    let mut schema = object(generator.into_root_schema_for::<T>().to_value());
    schema.remove("description");
    schema.remove("title");
    schema.remove("required");
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("denied".to_owned(), denied.to_value());
        properties.insert("pending".to_owned(), pending.to_value());
        let repeated = json!({
            "type": "boolean",
            "description": "An earlier call with this idempotency key was done; this is its result."
        });
        properties.insert("repeated".to_owned(), repeated);
    }
    Arc::new(object(portable(Value::Object(schema), false)))
}

/// The same schema in words that every client's dialect has: one type each, no
/// format. What is optional in an argument is left out; that `null` is taken
/// too need not be said.
fn portable(schema: Value, input: bool) -> Value {
    match schema {
        Value::Array(list) => list.into_iter().map(|v| portable(v, input)).collect(),
        Value::Object(mut object) => {
            if object.get("format").is_some_and(Value::is_string) {
                object.remove("format");
            }
            if let Some(Value::String(words)) = object.get_mut("description") {
                *words = words.replace('\n', " ");
            }
            if let Some(Value::Array(types)) = object.get("type").cloned() {
                let real = types.iter().find(|t| *t != "null").cloned().unwrap_or_default();
                object.remove("type");
                if input {
                    object.insert("type".to_owned(), real);
                } else {
                    let either = json!([{ "type": real }, { "type": "null" }]);
                    object.insert("anyOf".to_owned(), either);
                }
            }
            object.into_iter().map(|(k, v)| (k, portable(v, input))).collect()
        }
        other => other,
    }
}

fn object(schema: Value) -> JsonObject {
    match schema {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_objects_with_fields() {
        for tool in all() {
            let output = tool.output_schema.clone().unwrap();
            for schema in [&tool.input_schema, &output] {
                assert_eq!(schema.get("type"), Some(&json!("object")), "{}", tool.name);
                assert!(schema.get("$ref").is_none());
            }
            let fields = output.get("properties").and_then(Value::as_object).unwrap();
            for field in ["denied", "pending", "repeated"] {
                assert!(fields.contains_key(field), "{}", tool.name);
            }
            assert!(fields.len() > 3, "{}", tool.name);
            for words in ["\"format\"", "[\"string\",\"null\"]"] {
                assert!(!json!([tool.input_schema, output]).to_string().contains(words));
            }
            assert!(tool.description.unwrap().len() < 400);
            assert!(tool.annotations.unwrap().read_only_hint.is_some());
        }
    }
}
