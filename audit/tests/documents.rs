//! The guide and the schema say what the code does. `STRONGROOM_BLESS=1`
//! writes them anew.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::path::{Path, PathBuf};

use common::*;
use strongroom_audit::line::Line;
use strongroom_audit::schema::{self, EVENTS};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

fn blessed(path: &Path, there: &str, now: &str) {
    if std::env::var_os("STRONGROOM_BLESS").is_some() {
        std::fs::write(path, now).unwrap();
    } else {
        assert!(there == now, "{} has drifted: run with STRONGROOM_BLESS=1", path.display());
    }
}

#[test]
fn the_tables_have_not_drifted() {
    const BEGIN: &str = "<!-- events: begin -->\n";
    const END: &str = "<!-- events: end -->";
    let path = repository("docs/audit.md");
    let guide = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = guide.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    blessed(&path, &guide, &format!("{before}{BEGIN}{}{END}{after}", schema::markdown()));
}

#[test]
fn the_schema_has_not_drifted() {
    let path = repository("docs/audit.schema.json");
    let now = serde_json::to_string_pretty(&schema::json_schema()).unwrap() + "\n";
    blessed(&path, &std::fs::read_to_string(&path).unwrap_or_default(), &now);
}

#[test]
fn every_event_and_field_is_described_once() {
    for event in EVENTS {
        assert!(event.when.len() > 8, "{}", event.name);
        let same =
            |other: &&schema::Event| other.name == event.name && other.writer == event.writer;
        assert_eq!(EVENTS.iter().filter(same).count(), 1, "{}", event.name);
        for field in event.all_fields() {
            assert!(field.what.len() > 2, "{}.{}", event.name, field.name);
        }
    }
}

#[test]
fn what_does_not_conform_is_told() {
    let log = Built::new(SMALL);
    for bytes in log.lines() {
        assert_eq!(schema::conforms(&Line::parse(bytes.trim_ascii_end()).unwrap()), Ok(()));
    }
    let intent =
        log.lines().into_iter().find(|l| l.windows(8).any(|w| w == b"\"intent\"")).unwrap();
    for (from, to, why) in [
        ("\"req\":1", "\"req\":\"1\"", "intent: req is not a number"),
        ("\"req\":1,", "", "intent: req is missing"),
        (",\"prev\"", ",\"more\":1,\"prev\"", "intent: more is not in the table"),
        ("\"intent\"", "\"intend\"", "no event intend of broker"),
        ("\"broker\"", "\"recorder\"", "no event intent of recorder"),
        ("\"argv\"", "\"argx\"", "intent: argv is missing"),
    ] {
        let line = edited(&intent, from, to);
        let line = Line::parse(line.trim_ascii_end()).unwrap();
        assert_eq!(schema::conforms(&line), Err(why.to_owned()));
    }
}
