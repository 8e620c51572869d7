//! The verbs that only look or print, and bad command lines.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::process::Command;

use support::{err, out, strongroom};

#[test]
fn a_bad_command_line_exits_2() {
    for args in [
        &["run", "--bogus", "x"][..],
        &["exec"],
        &["nonesuch"],
        &["kill"],
        &["explain", "SR000"],
        &[],
    ] {
        let output = strongroom().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", err(&output));
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn no_session_for_the_operator() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["status"][..], &["kill", "--all"], &["kill", "7"], &["kill", "--shutdown"]] {
        let output = strongroom().args(args).arg("--state").arg(folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{args:?}");
        assert!(err(&output).contains("SR503"), "{}", err(&output));
        let output = strongroom()
            .args(args)
            .arg("--json")
            .env("STRONGROOM_STATE", folder.path())
            .output()
            .unwrap();
        assert!(
            out(&output).starts_with("{\"v\":1,\"error\":{\"code\":\"SR503\""),
            "{}",
            out(&output)
        );
    }
}

#[test]
fn verbs_that_only_print() {
    for (args, want) in [
        (&["explain", "SR101"][..], "SR101: policy refuses this command\n"),
        (&["explain", "sr101", "--json"], "{\"code\":\"SR101\""),
        (&["explain"], "SR101  policy refuses"),
        (&["explain", "--json"], "{\"v\":1,\"codes\":[{\"code\":\"SR101\""),
        (&["man"], ".ie"),
        (&["completions", "bash"], "_strongroom()"),
        (&["completions", "zsh"], "#compdef strongroom"),
        (&["completions", "fish"], "# Print an optspec"),
        (&["policy", "schema"], "{"),
        (&["policy", "check", "builtin:base"], "valid: "),
        (&["policy", "explain", "builtin:base", "--", "git", "--version"], ""),
        (&["docs", "errors"], "# Codes"),
        (&["--version"], "strongroom 0."),
    ] {
        let output = strongroom().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", err(&output));
        assert!(out(&output).starts_with(want), "{args:?}: {}", out(&output));
        assert!(!out(&output).is_empty());
    }
}

#[test]
fn the_doctor_has_a_diagnosis() {
    let output = strongroom().args(["doctor", "--json"]).output().unwrap();
    let object: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    let reached = !object["tier"].is_null();
    assert_eq!(output.status.code(), Some(if reached { 0 } else { 78 }));
    assert!(object["layers"].as_array().unwrap().len() >= 7);
    let text = strongroom().arg("doctor").output().unwrap();
    assert!(out(&text).contains("Landlock"), "{}", out(&text));
    assert!(!out(&text).contains('\x1b'), "no colour into a pipe");
}

#[test]
fn pages_for_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    assert!(strongroom().arg("man").arg(folder.path()).status().unwrap().success());
    for page in [
        "strongroom.1",
        "strongroom-run.1",
        "strongroom-approvals-watch.1",
        "strongroom-credentials-put.1",
        "strongroom-vault-slot-add.1",
        "strongroom-exec.1",
        "strongroom-policy-check.1",
    ] {
        assert!(folder.path().join(page).is_file(), "{page}");
    }
    assert!(!folder.path().join("strongroom-docs.1").exists(), "hidden");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let line = format!("{} docs seccomp | head -n 1", env!("CARGO_BIN_EXE_strongroom"));
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(err(&output), "");
}
