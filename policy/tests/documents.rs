//! The guide, the schema and the examples say what the code does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::path::{Path, PathBuf};

use common::Folder;
use strongroom_policy::{load, run_tests, schema, verbs};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap().parent().unwrap().join(path)
}

/// The key table in the guide is the schema's. `STRONGROOM_BLESS=1` writes it.
#[test]
fn the_key_table_has_not_drifted() {
    const BEGIN: &str = "<!-- keys: begin -->\n";
    const END: &str = "<!-- keys: end -->";
    let path = repository("docs/policy.md");
    let guide = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = guide.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    let now = schema::key_table();
    if std::env::var_os("STRONGROOM_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{now}{END}{after}")).unwrap();
    } else {
        assert_eq!(table, now, "run with STRONGROOM_BLESS=1");
    }
}

#[test]
fn every_key_is_described() {
    for line in schema::key_table().lines().skip(2) {
        let cells: Vec<&str> = line.split(" | ").collect();
        assert!(cells.len() >= 3 && cells[2].len() > 3, "{line}");
    }
}

#[test]
fn the_policies_in_the_guides_are_valid() {
    for guide in ["docs/policy.md", "docs/credentials.md"] {
        let text = std::fs::read_to_string(repository(guide)).unwrap();
        let blocks = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let whole: Vec<&str> = blocks.filter(|block| block.starts_with("version")).collect();
        assert_eq!(whole.len(), 2, "{guide}");
        for text in whole {
            let folder = Folder::new();
            let file = folder.write("policy.toml", text);
            let (said, status) = verbs::check(Some(&file), false);
            assert!(status == 0 && said.starts_with("valid"), "{guide}: {said}");
            let (said, status) = verbs::compile_dump(Some(&file), &folder.place(), false);
            assert_eq!(status, 0, "{guide}: {said}");
        }
    }
}

#[test]
fn the_examples_are_valid_and_tested() {
    let mut seen = 0;
    for entry in std::fs::read_dir(repository("policies/examples")).unwrap() {
        let path = entry.unwrap().path();
        let loaded = load(Some(&path)).unwrap_or_else(|found| panic!("{found}"));
        assert!(loaded.warnings.list.is_empty(), "{}", loaded.warnings);
        assert!(run_tests(&loaded).len() >= 5, "{}", path.display());
        let folder = Folder::new();
        let plan = strongroom_policy::compile(&loaded, &folder.place());
        assert!(plan.is_ok(), "{}: {}", path.display(), plan.unwrap_err());
        seen += 1;
    }
    assert_eq!(seen, 3);
}

/// The schema agrees with the parser on what a table may hold.
#[test]
fn the_schema_is_closed() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["version"]));
    let defs = schema["$defs"].as_object().unwrap();
    assert!(defs.len() >= 10, "{:?}", defs.keys());
    assert!(!schema.to_string().contains("null"));
    for (name, table) in defs {
        assert_eq!(table["additionalProperties"], false, "{name}");
    }
    let (text, status) = verbs::schema();
    assert_eq!((status, serde_json::from_str::<serde_json::Value>(&text).unwrap()), (0, schema));
}
