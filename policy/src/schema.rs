//! The JSON Schema of a policy file, and the key table of the guide.

use std::fmt::Write as _;

use serde_json::Value;

use crate::model::File;

/// The schema, for editors and validators.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(File).to_value();
    without_null(&mut schema);
    schema
}

/// An optional key may be left out; TOML has no `null` to give it.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(words)) = object.get_mut("enum") {
                words.retain(|word| !word.is_null());
            }
            if let Some(Value::Array(any)) = object.get_mut("anyOf") {
                any.retain(|one| one.get("type").is_none_or(|name| name != "null"));
                if let [Value::Object(only)] = any.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    // The words beside the key beat the ones of its type.
                    only.into_iter().for_each(|(key, value)| {
                        object.entry(key).or_insert(value);
                    });
                }
            }
            object.retain(|key, value| key != "default" || !value.is_null());
            object.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// Every key, one row each, for `docs/policy.md`.
#[must_use]
pub fn key_table() -> String {
    let schema = schema();
    let mut out = String::from("| key | value | meaning |\n|---|---|---|\n");
    rows(&schema, &schema, "", &mut out);
    out
}

fn rows(root: &Value, table: &Value, prefix: &str, out: &mut String) {
    let Some(keys) = table.get("properties").and_then(Value::as_object) else {
        return;
    };
    for (key, schema) in keys {
        let named = followed(root, schema);
        // The words beside the key beat the ones of its type.
        let meaning = text(schema, "description").or_else(|| text(named, "description"));
        let meaning = meaning.unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let path = format!("{prefix}{key}");
        let (path, inner) = match inner(root, named) {
            Some(Inner::Entries(entry)) => {
                (format!("[{path}.NAME]"), Some((entry, format!("{path}.NAME."))))
            }
            Some(Inner::Items(item)) => (format!("[[{path}]]"), Some((item, format!("{path}.")))),
            Some(Inner::Table) => (format!("[{path}]"), Some((named, format!("{path}.")))),
            None => (path, None),
        };
        let _ = writeln!(out, "| `{path}` | {} | {meaning} |", kind(root, schema));
        if let Some((table, prefix)) = inner {
            rows(root, table, &prefix, out);
        }
    }
}

enum Inner<'s> {
    /// A table of tables with names.
    Entries(&'s Value),
    /// A list of tables.
    Items(&'s Value),
    /// A table.
    Table,
}

fn inner<'s>(root: &'s Value, schema: &'s Value) -> Option<Inner<'s>> {
    if schema.get("properties").is_some() {
        return Some(Inner::Table);
    }
    let table = |key: &str| {
        let found = followed(root, schema.get(key)?);
        found.get("properties").is_some().then_some(found)
    };
    table("additionalProperties").map(Inner::Entries).or_else(|| table("items").map(Inner::Items))
}

/// The type in an operator's words.
fn kind(root: &Value, schema: &Value) -> String {
    let schema = followed(root, schema);
    if let Some(words) = words(schema) {
        return words;
    }
    match (text(schema, "type").unwrap_or_default(), text(schema, "pattern")) {
        ("string", Some(pattern)) if pattern.contains("ms") => "duration".to_owned(),
        ("string", Some(_)) => "size".to_owned(),
        ("string", None) => "text".to_owned(),
        ("integer", _) => "number".to_owned(),
        ("boolean", _) => "true or false".to_owned(),
        ("array", _) => match schema.get("items").map(|items| kind(root, items)) {
            Some(item) if item == "table" => "tables".to_owned(),
            Some(item) => format!("list of {item}"),
            None => "list".to_owned(),
        },
        _ => match schema.get("additionalProperties").filter(|more| more.is_object()) {
            Some(entry) if kind(root, entry) == "table" => "tables".to_owned(),
            Some(entry) => format!("table of {}", kind(root, entry)),
            None => "table".to_owned(),
        },
    }
}

/// `none`, `loopback`, … of an enumeration.
fn words(schema: &Value) -> Option<String> {
    let listed = schema.get("enum").or_else(|| schema.get("oneOf"))?.as_array()?;
    let word = |word: &Value| {
        let word = word.as_str().or_else(|| word.get("const")?.as_str())?;
        Some(format!("`{word}`"))
    };
    Some(listed.iter().filter_map(word).collect::<Vec<_>>().join(", "))
}

/// The schema behind a `$ref`.
fn followed<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    text(schema, "$ref")
        .and_then(|reference| root.pointer(reference.trim_start_matches('#')))
        .unwrap_or(schema)
}

fn text<'s>(schema: &'s Value, key: &str) -> Option<&'s str> {
    schema.get(key).and_then(Value::as_str)
}
