//! `strongroom approvals`, by verbs and without a terminal, and what an agent
//! sees while it waits.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use strongroom_protocol::action::ActionObject;
use strongroom_protocol::channel::a::{Answer, Denial, Outcome, Request};
use strongroom_protocol::channel::o::Verdict;
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::{ApprovalId, CredentialName, Reason};
use support::waiting::{NOT_FOR_OPERATORS, Waiting, command, hex_of};
use support::{Broker, Peer, err, out};

fn run(broker: &Waiting, args: &[&str]) -> (Option<i32>, String, String) {
    let output = broker.verb(args).output().unwrap();
    (output.status.code(), out(&output), err(&output))
}

#[test]
fn what_waits_is_listed_page_by_page() {
    let broker = Waiting::new();
    for id in 1..=5 {
        broker.add(command(id, &["git", "push", "a\x1b[2J\nb"], 2));
    }
    let (code, said, _) = run(&broker, &["approvals", "list"]);
    assert_eq!(code, Some(0));
    assert_eq!(said.lines().count(), 6, "{said}");
    assert!(
        said.starts_with("ID  AGE    LEFT   VOTES  TIMES  STATE    RULE      WHAT\n"),
        "{said}"
    );
    assert!(
        said.contains("\n5   1m01s  3m59s  0/2    1      waiting  git-push  exec: git push \"a\\x1b[2J\\nb\"\n"),
        "{said}"
    );
    let (_, said, _) = run(&broker, &["approvals", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(list["approvals"][4]["id"], 5);
    assert_eq!(list["approvals"][0]["head"][2], "a\x1b[2J\nb");
}

#[test]
fn a_request_is_shown_whole_with_its_digest() {
    let broker = Waiting::new();
    let long = format!("a{}b", " ".repeat(5_000));
    let request = command(7, &["git", "push", &long], 1);
    broker.add(request.clone());
    let (code, said, _) = run(&broker, &["approvals", "show", "7"]);
    assert_eq!(code, Some(0));
    assert!(said.contains(&format!("\ndigest        {}\n", hex_of(&request))), "{said}");
    assert!(said.matches('␣').count() >= 5_000, "{said}");
    assert!(said.contains("5002 B │ \"a"), "{said}");
    assert!(!said.contains("not shown"), "{said}");
    let (_, said, _) = run(&broker, &["approvals", "show", "7", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(shown["approval"]["digest"], hex_of(&request));
    assert_eq!(shown["approval"]["argv"][2], long.as_str());
    assert_eq!(shown["approval"]["rows"][1]["values"][0]["fact"], "to run a command");
    let (code, said, error) = run(&broker, &["approvals", "show", "8"]);
    assert_eq!((code, said.as_str()), (Some(77), ""));
    assert!(error.contains("SR614") && error.contains("approval 8"), "{error}");
}

#[test]
fn nothing_is_approved_that_was_not_shown() {
    let broker = Waiting::new();
    let request = command(7, &["git", "push"], 1);
    broker.add(request.clone());
    // No terminal, no digest.
    let (code, _, error) = run(&broker, &["approvals", "approve", "7"]);
    assert_eq!(code, Some(77), "{error}");
    assert!(
        error.contains("must be shown whole first") && error.contains("--digest HEX"),
        "{error}"
    );
    // The digest of another.
    let other = hex_of(&command(7, &["git", "pull"], 1));
    let (code, _, error) = run(&broker, &["approvals", "approve", "7", "--digest", &other]);
    assert_eq!(code, Some(77), "{error}");
    assert!(error.contains("SR615"), "{error}");
    assert!(broker.decisions().is_empty());
    let right = hex_of(&request);
    let args = ["approvals", "approve", "7", "--digest", &right, "--reason", "read it"];
    let (code, said, _) = run(&broker, &args);
    assert_eq!((code, said.as_str()), (Some(0), "approval 7: approved\n"));
    let read = ("operator".to_owned(), 7, Verdict::Approve, Some("read it".to_owned()));
    assert_eq!(broker.decisions(), [read]);
}

#[test]
fn two_of_two() {
    let broker = Waiting::new();
    let request = command(7, &["git", "push"], 2);
    broker.add(request.clone());
    let right = hex_of(&request);
    let approve = ["approvals", "approve", "7", "--digest", &right];
    let (code, said, _) = run(&broker, &approve);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "approval 7: 1 of 2 approvals; others must agree\n")
    );
    let (_, said, _) = run(&broker, &["approvals", "list"]);
    assert!(said.contains("1/2    1      you said yes  git-push"), "{said}");
    let (code, _, error) = run(&broker, &approve);
    assert_eq!(code, Some(77));
    assert!(error.contains("SR616"), "{error}");
    let (_, said, _) = run(&broker, &["approvals", "list", "--as", "alice"]);
    assert!(said.contains("1/2    1      waiting  git-push"), "{said}");
    let (code, said, _) = run(&broker, &[&approve[..], &["--as", "alice", "--json"]].concat());
    assert_eq!(code, Some(0));
    assert_eq!(
        said,
        "{\"v\":1,\"decided\":{\"id\":7,\"verdict\":\"approve\",\"votes\":2,\"quorum\":2,\"settled\":true}}\n"
    );
    let (code, _, error) = run(&broker, &["approvals", "list", "--as", "mallory"]);
    assert_eq!(code, Some(77), "{error}");
    assert!(error.contains("SR610") && error.contains("mallory is none"), "{error}");
}

#[test]
fn a_denial_needs_no_look() {
    let broker = Waiting::new();
    broker.add(command(7, &["git", "push"], 2));
    let (code, said, _) = run(&broker, &["approvals", "deny", "7", "--reason", "not on a Friday"]);
    assert_eq!((code, said.as_str()), (Some(0), "approval 7: denied\n"));
    let denied = ("operator".to_owned(), 7, Verdict::Deny, Some("not on a Friday".to_owned()));
    assert_eq!(broker.decisions(), [denied]);
}

#[test]
fn an_operator_may_be_no_approver() {
    let broker = Waiting::new();
    broker.add(ActionObject { connection: NOT_FOR_OPERATORS, ..command(7, &["git", "push"], 1) });
    let (code, _, error) = run(&broker, &["approvals", "deny", "7"]);
    assert_eq!(code, Some(77));
    assert!(error.contains("SR617") && error.contains("--as"), "{error}");
    assert_eq!(run(&broker, &["approvals", "deny", "7", "--as", "alice"]).0, Some(0));
}

#[test]
fn an_approver_has_the_kill_switch() {
    let broker = Waiting::new();
    assert_eq!(run(&broker, &["kill", "--all", "--as", "alice"]).0, Some(0));
    let (code, _, error) = run(&broker, &["kill", "7", "--as", "alice"]);
    assert_eq!(code, Some(77));
    assert!(error.contains("SR617"), "{error}");
}

#[test]
fn changes_as_lines_and_again_after_a_restart() {
    let broker = Waiting::new();
    broker.add(command(1, &["git", "push"], 1));
    for _ in 0..2 {
        let mut child = broker.verb(&["approvals", "watch"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        assert_eq!(line, "1 waiting, rule git-push, 3m59s left: exec: git push");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut child = broker.verb(&["approvals", "watch", "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next =
        || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["event"], "waiting");
    broker.add(command(2, &["rm", "x"], 1));
    let two = next();
    assert_eq!((&two["event"], &two["approval"]["id"]), (&"waiting".into(), &2.into()));
    run(&broker, &["approvals", "deny", "1"]);
    assert_eq!(next(), serde_json::json!({"v": 1, "event": "over", "id": 1}));
    child.kill().unwrap();
    child.wait().unwrap();
    // A reader that has gone away ends it.
    let mut child = broker.verb(&["approvals", "watch"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_storm_of_changes_does_not_cost_the_connection() {
    let broker = Waiting::new();
    let mut child = broker.verb(&["approvals", "watch"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    broker.add(command(1, &["git", "push"], 1));
    lines.next().unwrap().unwrap();
    // Nothing that waits becomes another, but the broker's state does.
    for _ in 0..1_000 {
        broker.remove(7);
        std::thread::sleep(Duration::from_millis(1));
    }
    broker.add(command(2, &["git", "push"], 1));
    let line = lines.next().expect("it is still connected").unwrap();
    assert!(line.starts_with("2 waiting"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A broker that says that a human is asked, twice, and then this.
fn asked(peer: &mut Peer, then: Answer) -> Request {
    let request = peer.greet();
    for left_ms in [300_000, 200_000] {
        peer.send(&Answer::Waiting { tag: 1, approval: ApprovalId(7), left_ms }, &[]);
    }
    peer.send(&then, &[]);
    request
}

fn refused(code: Code) -> Answer {
    let why = Some(Reason::new("not on a Friday").unwrap());
    Answer::Refused { tag: 1, denial: Denial { code, why } }
}

#[test]
fn a_command_waits_for_a_human() {
    for (args, patience) in [
        (&["--", "x"][..], None),
        (&["--patience", "10s", "--", "x"], Some(10_000)),
        (&["--no-wait", "--", "x"], Some(0)),
        (&["--json", "--", "x"], None),
    ] {
        let broker = Broker::new();
        let child = broker.exec(args).spawn().unwrap();
        let mut peer = broker.accept();
        let request = peer.greet();
        let Request::Exec { patience_ms, .. } = request else { panic!("{request:?}") };
        assert_eq!(patience_ms, patience, "{args:?}");
        let waiting = Answer::Waiting { tag: 1, approval: ApprovalId(7), left_ms: 300_000 };
        peer.send(&waiting, &[]);
        peer.send(&waiting, &[]);
        drop(peer.begin());
        peer.end(Outcome::Exited(3));
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", err(&output));
        assert_eq!(
            err(&output),
            match args.contains(&"--json") {
                true => "{\"v\":1,\"waiting\":{\"approval\":7,\"left_ms\":300000}}\n",
                false => "strongroom: waiting for a human: approval 7, 5m00s left\n",
            },
            "once"
        );
    }
}

#[test]
fn what_a_human_says_is_told() {
    for (code, status) in [
        (Code::ApprovalDenied, 77),
        (Code::ApprovalTimedOut, 75),
        (Code::NeedsApproval, 77),
        (Code::ApprovalChanged, 77),
    ] {
        let broker = Broker::new();
        let child = broker.exec(&["--", "x"]).spawn().unwrap();
        asked(&mut broker.accept(), refused(code));
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(status));
        assert!(err(&output).contains(&format!("{code}: ")), "{}", err(&output));
        assert!(err(&output).contains("\n  why: not on a Friday\n"), "{}", err(&output));
    }
}

#[test]
fn a_deletion_waits_for_a_human() {
    let name = CredentialName::new("A_KEY").unwrap();
    for (args, then, status, said) in [
        (&["--patience", "1s"][..], Answer::Approved { tag: 1 }, 0, "A_KEY: deleted\n"),
        (&["--json"], Answer::Approved { tag: 1 }, 0, "{\"v\":1,\"deleted\":\"A_KEY\"}\n"),
        (&[], refused(Code::ApprovalDenied), 77, ""),
        (&[], refused(Code::UnknownCredential), 77, ""),
        (&[], refused(Code::ApprovalTimedOut), 75, ""),
    ] {
        let broker = Broker::new();
        let mut child = broker.verb("credentials");
        let child = child.args(["delete", "A_KEY"]).args(args).spawn().unwrap();
        let request = asked(&mut broker.accept(), then);
        let patience_ms = args.contains(&"1s").then_some(1_000);
        let want = Request::Delete { tag: 1, name: name.clone(), reason: None, patience_ms };
        assert_eq!(request, want);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(status), said));
        assert_eq!(err(&output).matches("waiting").count(), 1, "{}", err(&output));
    }
}

#[test]
fn an_agent_asks_a_question() {
    for (args, then, status, said) in [
        (&["May I?", "--no-wait"][..], refused(Code::NeedsApproval), 77, ""),
        (&["May I?"], Answer::Approved { tag: 1 }, 0, "yes\n"),
        (&["May I?", "--json"], Answer::Approved { tag: 1 }, 0, "{\"v\":1,\"approved\":true}\n"),
        (&["May I?"], refused(Code::ApprovalDenied), 77, ""),
        (&["May I?"], refused(Code::ApprovalTimedOut), 75, ""),
        (&["May I?"], refused(Code::CoolingDown), 77, ""),
    ] {
        let broker = Broker::new();
        let child = broker.verb("ask-approval").args(args).spawn().unwrap();
        let request = asked(&mut broker.accept(), then);
        let Request::AskApproval { question, patience_ms, .. } = request else {
            panic!("{request:?}")
        };
        assert_eq!(question.as_bytes(), b"May I?");
        assert_eq!(patience_ms, args.contains(&"--no-wait").then_some(0));
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(status), said));
    }
}
