//! Commands that run only after a human has said yes, in real sessions: from
//! the agent's request over the operator's decision to the run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use strongroom_tests::{Job, Place, Session, Setup, eventually, places};

const POLICY: &str = r#"
version = 1
extends = ["builtin:base"]
[[rule]]
name = "asks"
match = ["./tool", "..."]
profile = "worker"
action = "ask"
[[rule]]
name = "asks-firm"
match = ["env", "..."]
profile = "worker"
action = "ask"
"#;

const GOOD: &str = "#!/bin/sh\necho good \"$@\"\n";
const EVIL: &str = "#!/bin/sh\necho evil\n";

fn session(place: Place, more: &str) -> Session {
    let session = Setup::new(place).policy(&format!("{POLICY}{more}")).start();
    program(&session, "tool", GOOD);
    program(&session, "other", EVIL);
    session
}

fn program(session: &Session, name: &str, content: &str) {
    session.put(name, content);
    fs::set_permissions(session.ws.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

fn listed(session: &Session) -> Vec<Value> {
    let output = session.operator(&["approvals", "list", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    list["approvals"].as_array().unwrap().clone()
}

/// The number and the digest of the one request that waits.
fn waiting(session: &Session) -> (String, String) {
    let mut list = Vec::new();
    let there = eventually(Duration::from_secs(10), || {
        list = listed(session);
        list.len() == 1
    });
    assert!(there, "{list:?}\n{}", session.log());
    let id = list[0]["id"].to_string();
    let shown = session.operator(&["approvals", "show", &id, "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    (id, shown["approval"]["digest"].as_str().unwrap().to_owned())
}

fn decide(session: &Session, args: &[&str]) -> i32 {
    let output = session.operator(&[&["approvals"], args].concat());
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.code().unwrap()
}

fn asked(session: &Session, argv: &[&str]) -> (Job, String, String) {
    let job = session.spawn(&["--reason", "please"], argv, b"");
    let (id, digest) = waiting(session);
    (job, id, digest)
}

fn event(session: &Session, name: &str) -> usize {
    session.audit().iter().filter(|line| line["event"] == name).count()
}

places! {
    /// What a human said yes to runs, once, and is on record.
    all fn a_yes(place) {
        let session = session(place, "");
        for argv in [&["./tool", "word"][..], &["env", "echo", "good", "word"]] {
            let (job, id, digest) = asked(&session, argv);
            assert_eq!(decide(&session, &["approve", &id, "--digest", &digest]), 0);
            let ran = session.wait(&job);
            assert_eq!((ran.exit, ran.text()), (0, "good word".to_owned()), "{ran:?}");
            assert_eq!(decide(&session, &["approve", &id, "--digest", &digest]), 77);
        }
        let events = ["examine", "examined", "asked", "voted", "settled"];
        let twice = || events.iter().all(|name| event(&session, name) == 2);
        assert!(eventually(Duration::from_secs(1), twice), "{:#?}", session.audit());
        session.end();
    }

    /// A no is told with its reason; another digest is no decision.
    all fn a_no(place) {
        let session = session(place, "");
        let (job, id, digest) = asked(&session, &["./tool"]);
        let other = digest.chars().rev().collect::<String>();
        assert_eq!(decide(&session, &["approve", &id, "--digest", &other]), 77);
        assert_eq!(decide(&session, &["deny", &id, "--reason", "not today"]), 0);
        let ran = session.wait(&job);
        assert_eq!(ran.exit, 77, "{ran:?}");
        assert!(ran.everything().contains("not today"), "{ran:?}");
        session.end();
    }

    /// Whatever is put in the program's place after the yes is not run.
    all fn a_swap(place) {
        let session = session(place, "[approvals]\ndenials = 0\n");
        let tool = session.ws.join("tool");
        let (other, path) = (session.ws.join("other"), tool.clone());
        type Swap<'a> = Box<dyn Fn(&Path) + 'a>;
        let swaps: [(&str, Swap<'_>); 4] = [
            ("rename", Box::new(|_| fs::rename(&other, &path).unwrap())),
            ("in place", Box::new(|tool| fs::write(tool, EVIL).unwrap())),
            ("a link", Box::new(|tool| {
                fs::remove_file(tool).unwrap();
                symlink("other", tool).unwrap();
            })),
            ("mode", Box::new(|tool| fs::set_permissions(tool, fs::Permissions::from_mode(0o644)).unwrap())),
        ];
        for (name, swap) in swaps {
            let _ = fs::remove_file(&tool);
            program(&session, "tool", GOOD);
            program(&session, "other", EVIL);
            let (job, id, digest) = asked(&session, &["./tool"]);
            swap(&tool);
            assert_eq!(decide(&session, &["approve", &id, "--digest", &digest]), 0);
            let ran = session.wait(&job);
            let code = if name == "mode" { "SR302" } else { "SR152" };
            assert!(ran.everything().contains(code) && ran.stdout.is_empty(), "{name}: {ran:?}");
        }
        session.end();
    }

    /// Nobody answers.
    all fn no_answer(place) {
        let session = session(place, "[approvals]\ntimeout = \"1s\"\n");
        let ran = session.exec(&["./tool"]);
        assert_eq!(ran.exit, 75, "{ran:?}");
        session.end();
    }

    /// Two of three, none of them whoever runs the session.
    all fn two_of_three(place) {
        let session = session(place, "[approvals]\napprovers = [\"alice\", \"bob\", \"carol\"]\nquorum = 2\n");
        let (job, id, digest) = asked(&session, &["./tool"]);
        assert_eq!(decide(&session, &["approve", &id, "--digest", &digest]), 77);
        assert_eq!(decide(&session, &["approve", &id, "--digest", &digest, "--as", "alice"]), 0);
        assert_eq!(decide(&session, &["approve", &id, "--digest", &digest, "--as", "alice"]), 77);
        assert_eq!(decide(&session, &["approve", &id, "--digest", &digest, "--as", "carol"]), 0);
        assert_eq!(session.wait(&job).text(), "good");
        session.end();
    }

    /// The agent cannot decide for itself: it reads no token, and without one
    /// it is nobody.
    all fn no_self_approval(place) {
        let session = session(place, "[approvals]\napprovers = [\"operator\", \"alice\"]\n");
        let (job, id, digest) = asked(&session, &["./tool"]);
        let state = session.state.display().to_string();
        for who in [&[][..], &["--as", "alice"]] {
            let approve = format!("strongroom approvals approve {id} --digest {digest} --state {state} {}", who.join(" "));
            assert_ne!(session.agent(&approve).exit, 0);
            assert_ne!(session.sh(&approve).exit, 0);
        }
        for token in ["operator.token", "approvers/alice.token"] {
            let read = format!("cat {state}/broker/{token}");
            assert_ne!(session.agent(&read).exit, 0);
            assert_ne!(session.sh(&read).exit, 0);
            assert!(session.state.join("broker").join(token).exists());
        }
        assert_eq!(decide(&session, &["deny", &id]), 0);
        assert_eq!(session.wait(&job).exit, 77);
        session.end();
    }
}
