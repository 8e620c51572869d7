//! `strongroom audit` on a log that was made here.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use strongroom_audit::chain::{Chain, Stamp, State, Why};
use strongroom_audit::note::{SignKey, witness_line};

const AT: Stamp<'static> = Stamp { time: "2026-01-31T23:59:59.000001Z", mono_us: 5 };

fn key(byte: u8) -> SignKey {
    SignKey::new("strongroom-audit/00", &mut [byte; 32])
}

/// A session with one command, in a log folder; what a witness heard.
fn log(folder: &Path) -> String {
    let mut chain = Chain::new(State::default(), key(1), &"ab".repeat(16));
    let mut lines = vec![chain.head(AT, 1)];
    let policy = "01".repeat(32);
    for (writer, event, fields) in [
        ("supervisor", "began", format!("\"policy\":\"{policy}\",\"tier\":\"full\"")),
        (
            "broker",
            "intent",
            "\"req\":1,\"connection\":1,\"argv\":[\"git\",\"push\"],\"argc\":2,\"rule\":\"git-push\",\"profile\":\"build\",\
             \"credentials\":[\"DEPLOY_KEY\"]"
                .to_owned(),
        ),
        ("supervisor", "spawned", "\"req\":1,\"slot\":1,\"pid\":7".to_owned()),
        ("supervisor", "exited", "\"req\":1,\"status\":0".to_owned()),
        (
            "broker",
            "outcome",
            "\"req\":1,\"end\":\"exited\",\"status\":0,\"wall_us\":1,\"user_us\":1,\"system_us\":1,\"max_rss_kib\":1,\
             \"stdout_bytes\":0,\"stderr_bytes\":0,\"output_cut\":false,\"masked\":0"
                .to_owned(),
        ),
        (
            "broker",
            "credential",
            "\"verb\":\"revoke\",\"credential\":\"DB_PASSWORD\",\"code\":\"SR611\"".to_owned(),
        ),
        (
            "broker",
            "write",
            format!(
                "\"req\":2,\"connection\":1,\"path\":\"conf/.env\",\"values\":\"sealed\",\"size\":9,\"sha256\":\"{policy}\",\
                 \"credentials\":[\"API_KEY\",\"DB_PASSWORD\"]"
            ),
        ),
        ("supervisor", "spawned", "\"req\":2,\"slot\":1,\"pid\":8".to_owned()),
        ("supervisor", "exited", "\"req\":2,\"status\":0".to_owned()),
        (
            "broker",
            "outcome",
            "\"req\":2,\"end\":\"exited\",\"status\":0,\"wall_us\":1,\"user_us\":1,\"system_us\":1,\"max_rss_kib\":1,\
             \"stdout_bytes\":0,\"stderr_bytes\":0,\"output_cut\":false,\"masked\":3"
                .to_owned(),
        ),
        (
            "broker",
            "vault",
            format!("\"what\":\"opened\",\"vault\":\"{}\",\"generation\":7", "05".repeat(16)),
        ),
        ("supervisor", "ended", "\"status\":0".to_owned()),
    ] {
        lines.push(chain.line(AT, writer, event, &fields));
    }
    let seal = chain.seal(AT, Why::End, &key(2));
    lines.push(seal.line.clone());
    fs::write(folder.join("audit.jsonl"), lines.join("\n") + "\n").unwrap();
    fs::write(folder.join("first-key.pub"), format!("{}\n", key(1).public())).unwrap();
    format!("other output\n{}", witness_line(&seal.note))
}

fn audit(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_strongroom"))
        .arg("audit")
        .args(args)
        .arg("--log")
        .arg(folder)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn verify_says_up_to_where_and_never_just_yes() {
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("witness");
    fs::write(&witness, log(folder.path())).unwrap();
    let output = audit(&["verify"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("nobody has witnessed that they are all"), "{}", text(&output));
    assert!(text(&output).contains("as it lies beside the log"));

    let pinned = key(1).public().to_string();
    let args = ["verify", "--key", &pinned, "--witness", witness.to_str().unwrap()];
    let output = audit(&args, folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("nothing wrong up to record 14, as witnessed"));
    assert!(text(&output).contains("as you know it from elsewhere"));

    let output = audit(&["verify", "--key", &key(9).public().to_string()], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("replaced") && text(&output).contains("SR801"));
}

#[test]
fn verify_names_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    log(folder.path());
    let file = folder.path().join("audit.jsonl");
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, whole.replacen("\"push\"", "\"pull\"", 1)).unwrap();
    let output = audit(&["verify", "--json"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = &report["verify"]["findings"][0];
    assert_eq!(
        (&found["what"], &found["first_record"], &found["line"]),
        (&"changed".into(), &3.into(), &3.into())
    );

    fs::write(&file, "").unwrap();
    let output = audit(&["verify"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("truncated"), "{}", text(&output));

    let nothing = tempfile::tempdir().unwrap();
    for folder in [nothing.path(), &nothing.path().join("none")] {
        let output = audit(&["verify"], folder);
        assert_eq!(output.status.code(), Some(78));
    }
}

#[test]
fn records_are_found_followed_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let heard = log(folder.path());
    let lines = |args: &[&str]| {
        let output = audit(args, folder.path());
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        text(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let uses = lines(&["show", "--credential", "DEPLOY_KEY"]);
    assert_eq!(uses.len(), 1, "{uses:?}");
    assert!(uses[0].contains("git push") && uses[0].contains("rule=git-push"), "{uses:?}");
    assert_eq!(lines(&["show", "--credential", "DEPLOY"]).len(), 0);
    assert_eq!(lines(&["show", "--command", "1"]).len(), 4);
    assert_eq!(lines(&["show", "--rule", "git-push"]).len(), 1);
    assert_eq!(lines(&["show", "--since", "2026-02-01"]).len(), 0);
    assert_eq!(lines(&["show", "--until", "2026-02-01"]).len(), 14);
    assert_eq!(lines(&["show", "--session", "ffff"]).len(), 0);
    let grave = lines(&["show", "--level", "warning"]);
    assert!(
        grave.len() == 2
            && grave[0].contains("SR611")
            && grave[1].contains("masked=3 ")
            && grave[1].contains("SR208"),
        "{grave:?}"
    );
    assert_eq!(lines(&["show", "--code", "SR208"]), grave[1..]);
    let uses = lines(&["show", "--credential", "DB_PASSWORD"]);
    assert_eq!(uses.len(), 2, "{uses:?}");
    assert!(
        uses[0].contains("credential verb=revoke credential=DB_PASSWORD code=SR611"),
        "{uses:?}"
    );
    assert!(uses[1].contains("#2 write path=conf/.env"), "{uses:?}");
    assert_eq!(lines(&["show", "--command", "2"]).len(), 4);
    assert_eq!(lines(&["show", "--match", "full"]).len(), 1);
    let raw = lines(&["show", "--json", "--event", "ended"]);
    assert!(raw[0].starts_with("{\"v\":1,\"seq\":13,"), "{raw:?}");

    assert_eq!(lines(&["tail", "--no-follow", "-n", "3"]).len(), 3);
    let checkpoints = lines(&["tail", "--no-follow", "--checkpoints"]);
    assert_eq!(lines(&["tail", "--no-follow", "--checkpoints", "-n", "1"]), checkpoints);
    assert_eq!(checkpoints, [heard.lines().nth(1).unwrap()]);

    let events = lines(&["export"]);
    assert_eq!(events.len(), 12, "lines that only keep the log together are left out");
    let events: Vec<serde_json::Value> =
        events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let classes: Vec<u64> = events.iter().map(|e| e["class_uid"].as_u64().unwrap()).collect();
    assert_eq!(classes[5..11], [6003, 1001, 1007, 1007, 1007, 6003]);
    assert_eq!(
        (&events[5]["api"]["operation"], &events[5]["status_id"]),
        (&"revoke".into(), &2.into())
    );
    assert_eq!(events[6]["file"]["path"], "conf/.env");
    for event in events {
        let number = |name: &str| event[name].as_u64().unwrap();
        assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
        assert_eq!(number("class_uid") / 1000, number("category_uid"));
        assert_eq!(number("time"), 1_769_903_999_000);
        assert!(event["metadata"]["version"].as_str().unwrap().starts_with("1."));
    }
}
