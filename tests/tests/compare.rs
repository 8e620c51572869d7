//! Two runs of a command, by what the audit log says of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use strongroom_tests::outside::own;
use strongroom_tests::{Session, eventually, places};

/// What `sha256sum` says, outside of any jail.
fn sha(bytes: &[u8]) -> String {
    let mut sum = Command::new("sha256sum");
    let mut sum = sum.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sum.stdin.take().unwrap().write_all(bytes).unwrap();
    let said = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap();
    said.split(' ').next().unwrap().to_owned()
}

/// A program of the workspace.
fn program(session: &Session, text: &str) {
    let path = session.ws.join("tool");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    own(&path, session.place.sandbox());
}

/// Runs a command; what the last outcome has by which it can be compared.
fn run(session: &Session, argv: &[&str], input: &[u8]) -> BTreeMap<String, String> {
    let outcomes = || {
        let mut lines = session.audit();
        lines.retain(|line| line["event"] == "outcome");
        lines
    };
    let before = outcomes().len();
    let ran = session.wait(&session.spawn(&[], argv, input));
    assert_eq!(ran.exit, 0, "{ran:#?}");
    assert!(eventually(Duration::from_secs(2), || outcomes().len() > before));
    let last = outcomes().pop().unwrap();
    let fields = last.as_object().unwrap().iter();
    let compared = fields.filter(|(key, _)| key.ends_with("_sha256") || *key == "stdin_bytes");
    compared.map(|(key, value)| (key.clone(), value.to_string().replace('"', ""))).collect()
}

places! {
    /// Digests are those of the bytes; one byte changed changes that one.
    all fn digests(place) {
        let session = Session::new(place);
        program(&session, "#!/bin/sh\ncat >&2\ncat shown\n");
        fs::write(session.ws.join("shown"), "one\n").unwrap();
        let first = run(&session, &["./tool", "a"], b"input");
        let expected = [
            ("argv_sha256", sha(b"./tool\0a\0")),
            ("program_sha256", sha(&fs::read(session.ws.join("tool")).unwrap())),
            ("stdin_bytes", "5".to_owned()),
            ("stdin_sha256", sha(b"input")),
            ("stdout_sha256", sha(b"one\n")),
            ("stderr_sha256", sha(b"input")),
        ];
        for (key, value) in expected {
            assert_eq!(first[key], value, "{key}");
        }
        let changes = |now: &BTreeMap<String, String>| -> Vec<String> {
            assert_eq!(now.len(), first.len(), "{now:#?}");
            now.iter().filter(|(key, value)| first[*key] != **value).map(|(k, _)| k.clone()).collect()
        };
        assert!(changes(&run(&session, &["./tool", "a"], b"input")).is_empty());
        assert_eq!(changes(&run(&session, &["./tool", "b"], b"input")), ["argv_sha256"]);
        let given = run(&session, &["./tool", "a"], b"inpux");
        assert_eq!(changes(&given), ["stderr_sha256", "stdin_sha256"]);
        program(&session, "#!/bin/sh\ncat >&2\ncat shown \n");
        assert_eq!(changes(&run(&session, &["./tool", "a"], b"input")), ["program_sha256"]);
        program(&session, "#!/bin/sh\ncat >&2\ncat shown\n");
        fs::write(session.ws.join("shown"), "onf\n").unwrap();
        assert_eq!(changes(&run(&session, &["./tool", "a"], b"input")), ["stdout_sha256"]);
    }

    /// By the place where it is found; read once, and again when it changed.
    all fn programs(place) {
        let session = Session::new(place);
        let real = sha(&fs::read(fs::canonicalize("/usr/bin/cat").unwrap()).unwrap());
        for _ in 0..3 {
            assert_eq!(run(&session, &["cat"], b"x")["program_sha256"], real);
        }
        for text in ["#!/bin/sh\n: 1\n", "#!/bin/sh\n: 2\n"] {
            program(&session, text);
            // Old enough to be remembered.
            std::thread::sleep(Duration::from_millis(2100));
            for _ in 0..2 {
                assert_eq!(run(&session, &["./tool"], b"")["program_sha256"], sha(text.as_bytes()));
            }
        }
    }

    /// What the outcome names is there, once, with what the agent is told.
    all fn receipts(place) {
        let session = Session::new(place);
        let named = run(&session, &["true"], b"")["receipt_sha256"].clone();
        assert_eq!(run(&session, &["true"], b"")["receipt_sha256"], named);
        let lines = session.audit();
        let kept: Vec<_> = lines.iter().filter(|l| l["receipt_sha256"] == *named).collect();
        let events: Vec<_> = kept.iter().map(|l| l["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["receipt", "outcome", "outcome"]);
        let told = session.exec(&["true"]).json["receipt"].clone();
        for (key, value) in told.as_object().unwrap() {
            assert_eq!(kept[0][key], *value, "{key}");
        }
    }

    /// A large program, and input that is passed on as it is.
    all fn large_ones(place) {
        let session = Session::new(place);
        let input: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let cat = run(&session, &["cat"], &input);
        let all = sha(&input);
        assert_eq!((&cat["stdin_sha256"], &cat["stdin_bytes"]), (&all, &input.len().to_string()));
        let out = session.ws.join("out");
        let copied = run(&session, &["sh", "-c", "cat >out"], &input);
        assert_eq!((&copied["stdin_sha256"], sha(&fs::read(Path::new(&out)).unwrap())), (&all, all.clone()));
    }
}
