//! Records as events of the Open Cybersecurity Schema Framework (OCSF 1.x,
//! schema.ocsf.io): for tools that collect those. Nothing is lost on the way:
//! the record's own fields are in `unmapped`.

use serde_json::{Map, Value, json};

use crate::line::Line;
use crate::scan::{Raw, members, unescaped};
use crate::schema::{Level, codes, level};
use crate::time;

/// Version of the schema that is followed.
const VERSION: &str = "1.3.0";

/// An OCSF class: its category, its number, its name.
struct Class(u32, u32, &'static str);

const FILE: Class = Class(1, 1001, "File System Activity");
const PROCESS: Class = Class(1, 1007, "Process Activity");
const FINDING: Class = Class(2, 2004, "Detection Finding");
const ACCESS: Class = Class(3, 3003, "Authorize Session");
const LIFECYCLE: Class = Class(6, 6002, "Application Lifecycle");
const API: Class = Class(6, 6003, "API Activity");

/// What an event becomes; `None` for those that only keep the log together.
fn mapped(line: &Line<'_>) -> Option<(Class, u32, &'static str)> {
    Some(match (line.writer, line.event) {
        ("recorder", "segment" | "checkpoint" | "seal") => return None,
        (_, "violation") => (FINDING, 1, "Create"),
        ("supervisor", "began" | "agent-started") | ("recorder", "opened") => {
            (LIFECYCLE, 3, "Start")
        }
        ("supervisor", "ended" | "agent-exited" | "broker-lost") => (LIFECYCLE, 4, "Stop"),
        ("broker", "intent" | "denied") | ("supervisor", "spawned" | "spawn-failed") => {
            (PROCESS, 1, "Launch")
        }
        ("broker", "outcome") | ("supervisor", "exited") => (PROCESS, 2, "Terminate"),
        ("broker", "examine" | "examined") => (PROCESS, 99, "Other"),
        ("broker", "settled") if line.text("how") == Some("approved") => {
            (ACCESS, 1, "Assign Privileges")
        }
        ("broker", "asked" | "voted" | "settled" | "unasked") => (ACCESS, 99, "Other"),
        ("broker", "write" | "write-denied") => (FILE, 1, "Create"),
        ("broker", "credential" | "order" | "vault") | ("recorder", "vault-accepted") => {
            (API, 99, "Other")
        }
        _ => (LIFECYCLE, 99, "Other"),
    })
}

/// A record as an OCSF event; `None` for lines that only keep the log together.
#[must_use]
pub fn event(line: &Line<'_>, origin: &str) -> Option<Value> {
    let (Class(category, class, class_name), activity, activity_name) = mapped(line)?;
    let refused = line.field("code").is_some()
        || line.event == "spawn-failed"
        || line.text("verdict") == Some("deny")
        || line.text("how").is_some_and(|how| how != "approved");
    let (severity_id, severity) = match level(line) {
        Level::Info => (1, "Informational"),
        Level::Notice => (2, "Low"),
        Level::Warning => (3, "Medium"),
        Level::Alert => (5, "Critical"),
    };
    let fields: Map<String, Value> =
        members(line.fields).map(|(key, value)| (key.to_owned(), plain(value))).collect();
    let mut event = json!({
        "category_uid": category,
        "class_uid": class,
        "class_name": class_name,
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": class * 100 + activity,
        "time": time::micros(line.time).unwrap_or(0) / 1000,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": if refused { 2 } else { 1 },
        "status": if refused { "Failure" } else { "Success" },
        "message": format!("{} {}", line.writer, line.event),
        "metadata": {
            "version": VERSION,
            "product": {"name": "Strongroom", "vendor_name": "Strongroom", "version": env!("CARGO_PKG_VERSION")},
            "log_name": origin,
            "uid": format!("{origin}/{}", line.seq),
            "sequence": line.seq,
            "original_time": line.time,
            "correlation_uid": correlation(line),
        },
        "unmapped": fields,
    });
    if let Some(code) = codes(line).next() {
        put(&mut event, "status_code", code.into());
    }
    match class {
        1007 => process(line, &mut event),
        1001 => file(line, &mut event),
        2004 => finding(line, &mut event),
        3003 => access(line, &mut event),
        6003 => api(line, &mut event),
        _ => put(&mut event, "app", json!({"name": "strongroom", "uid": line.session})),
    }
    Some(event)
}

/// A command's records have this in common.
fn correlation(line: &Line<'_>) -> String {
    line.number("req")
        .map_or_else(|| line.session.to_owned(), |req| format!("{}/{req}", line.session))
}

fn process(line: &Line<'_>, event: &mut Value) {
    let argv: Vec<String> =
        line.field("argv").into_iter().flat_map(Raw::texts).map(unescaped).collect();
    let mut process = json!({"uid": correlation(line)});
    if !argv.is_empty() {
        put(&mut process, "cmd_line", argv.join(" ").into());
        put(&mut process, "name", argv.first().cloned().into());
    }
    if let Some(pid) = line.number("pid") {
        put(&mut process, "pid", pid.into());
    }
    put(event, "process", process);
    put(event, "actor", json!({"app_name": "strongroom", "session": {"uid": line.session}}));
    put(event, "device", json!({"type_id": 0, "type": "Unknown"}));
    if line.event == "exited" || line.event == "outcome" {
        put(event, "exit_code", line.field("status").map_or(Value::Null, plain));
    }
    if line.event == "denied" {
        put(event, "action_id", 2.into());
        put(event, "action", "Denied".into());
    }
}

fn file(line: &Line<'_>, event: &mut Value) {
    let path = line.text("path").map(unescaped).unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    put(event, "file", json!({"name": name, "path": path, "type_id": 1, "type": "Regular File"}));
    put(event, "actor", json!({"app_name": "strongroom", "session": {"uid": line.session}}));
    put(event, "device", json!({"type_id": 0, "type": "Unknown"}));
}

fn finding(line: &Line<'_>, event: &mut Value) {
    // The recorder's violations have a code where they are about a vault file.
    let title = if line.field("code").is_some() {
        "an older vault file was put back".to_owned()
    } else {
        format!("a peer of the {} broke its protocol", line.writer)
    };
    let uid = format!("{}/{}", line.session, line.seq);
    put(event, "finding_info", json!({"title": title, "uid": uid}));
}

/// A human's leave for one action of the agent's session.
fn access(line: &Line<'_>, event: &mut Value) {
    let approvers = line.field("approvers").into_iter().flat_map(Raw::texts);
    let who: Vec<&str> = line.text("approver").into_iter().chain(approvers).collect();
    put(event, "user", json!({"name": who.join(", "), "type_id": 1, "type": "User"}));
    put(event, "session", json!({"uid": line.session}));
    put(event, "actor", json!({"app_name": "strongroom", "session": {"uid": line.session}}));
    let approval = line.number("approval").map(|number| format!("{}/{number}", line.session));
    put(event, "comment", approval.into());
}

fn api(line: &Line<'_>, event: &mut Value) {
    let operation = ["verb", "order", "what"].into_iter().find_map(|name| line.text(name));
    put(
        event,
        "api",
        json!({"operation": operation.unwrap_or(line.event), "service": {"name": "strongroom-broker"}}),
    );
    put(event, "actor", json!({"app_name": "strongroom", "session": {"uid": line.session}}));
    put(event, "src_endpoint", json!({"name": "local"}));
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut().filter(|_| !value.is_null()) {
        object.insert(key.to_owned(), value);
    }
}

fn plain(value: Raw<'_>) -> Value {
    match value {
        Raw::Flag(flag) => flag.into(),
        Raw::Text(text) => unescaped(text).into(),
        Raw::Number(digits) => serde_json::from_str(digits).unwrap_or(Value::Null),
        Raw::List(inside) => serde_json::from_str(&format!("[{inside}]")).unwrap_or(Value::Null),
        Raw::Object(inside) => {
            serde_json::from_str(&format!("{{{inside}}}")).unwrap_or(Value::Null)
        }
    }
}
