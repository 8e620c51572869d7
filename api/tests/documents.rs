//! The schema says what the code does, and every line of the guide is one.
//! `STRONGROOM_BLESS=1` writes the schema anew.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::path::{Path, PathBuf};

use common::conforms;
use serde_json::{Value, json};
use strongroom_api::request::Call;
use strongroom_api::schema::json_schema;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

#[test]
fn the_schema_has_not_drifted() {
    let path = repository("docs/api.schema.json");
    let now = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    if std::env::var_os("STRONGROOM_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == now, "{} has drifted: run with STRONGROOM_BLESS=1", path.display());
}

/// The lines of the guide's two examples: sent, received.
fn examples() -> [Vec<Value>; 2] {
    let guide = std::fs::read_to_string(repository("docs/api.md")).unwrap();
    let blocks: Vec<Vec<Value>> = guide
        .split("```json\n")
        .skip(1)
        .map(|rest| rest.split_once("```").unwrap().0)
        .map(|block| block.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
        .collect();
    blocks.try_into().unwrap()
}

fn part(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

#[test]
fn every_line_of_the_guide_is_one() {
    let root = json_schema();
    let [sent, received] = examples();
    for line in &sent {
        conforms(&root, &part("Request"), line).unwrap();
        let mut call = line.clone();
        call.as_object_mut().unwrap().remove("id");
        call.as_object_mut().unwrap().entry("params").or_insert(json!({}));
        serde_json::from_value::<Call>(call).unwrap();
        assert!(conforms(&root, &part("Event"), line).is_err(), "{line}");
    }
    for line in &received {
        conforms(&root, &part("Event"), line).unwrap();
        assert!(conforms(&root, &part("Request"), line).is_err(), "{line}");
    }
    let methods = |line: &Value| line["method"].as_str().map(str::to_owned);
    for call in root["$defs"]["Request"]["oneOf"].as_array().unwrap() {
        let name = call["properties"]["method"]["const"].as_str().unwrap().to_owned();
        assert!(sent.iter().any(|line| methods(line).as_ref() == Some(&name)), "{name}");
    }
}

/// The schema and the code refuse the same.
#[test]
fn what_is_no_request() {
    let root = json_schema();
    for line in [
        json!({"method": "read_log", "params": {"levle": "info"}}),
        json!({"method": "run_command", "params": {}}),
        json!({"method": "run_command", "params": {"argv": "ls"}}),
        json!({"method": "run_command", "params": {"argv": [1]}}),
        json!({"method": "run_command", "params": {"argv": ["x"], "timeout_ms": -1}}),
        json!({"method": "run_command", "params": {"argv": ["x"], "timeout_ms": "1"}}),
        json!({"method": "signal", "params": {"request": 1, "signal": "SEGV"}}),
        json!({"method": "signal", "params": {"request": null, "signal": "TERM"}}),
        json!({"method": "approve", "params": {}}),
        json!({"params": {}}),
    ] {
        assert!(serde_json::from_value::<Call>(line.clone()).is_err(), "{line}");
        let mut request = line;
        request["id"] = json!(1);
        assert!(conforms(&root, &part("Request"), &request).is_err(), "{request}");
    }
}
