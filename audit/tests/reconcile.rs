//! The two accounts against each other.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::*;
use strongroom_audit::chain::{Chain, Stamp, State, Why};
use strongroom_audit::verify::{Evidence, verify};

/// What the lines of a session come to, each written as `writer event fields`.
fn differences(lines: &[(&str, &str, &str)]) -> Vec<String> {
    let mut chain = Chain::new(State::default(), key(1, 0), &session(1));
    let mut files = vec![Vec::new()];
    let mut at = 0;
    let mut push = |make: &mut dyn FnMut(Stamp<'_>) -> String| {
        at += 1;
        let (time, mono_us) = clock(at);
        files[0].push((make(Stamp { time: &time, mono_us }) + "\n").into_bytes());
    };
    push(&mut |at| chain.head(at, 1));
    for (writer, event, fields) in lines {
        push(&mut |at| chain.line(at, writer, event, fields));
    }
    push(&mut |at| chain.seal(at, Why::End, &key(1, 1)).line);
    let report = verify(&segments(&files), &Evidence::default(), 1).unwrap();
    assert_eq!(report.findings, []);
    let word = |d: &strongroom_audit::reconcile::Disagreement| {
        let req = d.req.map_or_else(String::new, |req| format!(" {req}"));
        d.difference.as_str().to_owned() + &req
    };
    report.disagreements.iter().map(word).collect()
}

const BEGAN: (&str, &str, &str) = ("supervisor", "began", "\"tier\":\"full\"");
const ENDED: (&str, &str, &str) = ("supervisor", "ended", "\"status\":0");
const INTENT: (&str, &str, &str) = ("broker", "intent", "\"req\":1");
const SPAWNED: (&str, &str, &str) = ("supervisor", "spawned", "\"req\":1");
const EXITED: (&str, &str, &str) = ("supervisor", "exited", "\"req\":1");
const RAN: (&str, &str, &str) = ("broker", "outcome", "\"req\":1,\"end\":\"exited\"");
const FAILED: (&str, &str, &str) = ("broker", "outcome", "\"req\":1,\"end\":\"ended\"");
const NO_WORKER: (&str, &str, &str) = ("supervisor", "spawn-failed", "\"req\":1");
const WRITE: (&str, &str, &str) = ("broker", "write", "\"req\":1,\"credentials\":[\"TOKEN\"]");
const OPENED_7: (&str, &str, &str) = ("broker", "vault", "\"vault\":\"05\",\"generation\":7");
const OPENED_6: (&str, &str, &str) = ("broker", "vault", "\"vault\":\"05\",\"generation\":6");
const OTHER_6: (&str, &str, &str) = ("broker", "vault", "\"vault\":\"06\",\"generation\":6");
const OLDER: (&str, &str, &str) = ("recorder", "violation", "\"code\":\"SR722\"");
const BREACH: (&str, &str, &str) = ("recorder", "violation", "\"channel\":\"R\",\"by\":\"broker\"");
const ACCEPTED: (&str, &str, &str) =
    ("recorder", "vault-accepted", "\"vault\":\"05\",\"generation\":6,\"before\":7");
const EXAMINE: (&str, &str, &str) = ("broker", "examine", "\"req\":1,\"approval\":4");
const EXAMINED: (&str, &str, &str) = ("broker", "examined", "\"req\":1");
const ASKED: (&str, &str, &str) = ("broker", "asked", "\"approval\":4");
const APPROVED: (&str, &str, &str) = ("broker", "settled", "\"approval\":4,\"how\":\"approved\"");
const REFUSED: (&str, &str, &str) = ("broker", "settled", "\"approval\":4,\"how\":\"denied\"");
const ALLOWED: (&str, &str, &str) = ("broker", "intent", "\"req\":1,\"approval\":4");
const DELETED: (&str, &str, &str) = ("broker", "credential", "\"verb\":\"delete\",\"approval\":4");
const ORDER: (&str, &str, &str) = ("broker", "order", "\"order\":\"status\"");
const PUT: (&str, &str, &str) = ("broker", "credential", "\"verb\":\"put\"");
const AGENT: (&str, &str, &str) = ("supervisor", "agent-started", "\"pid\":7");
const LOST: (&str, &str, &str) = ("supervisor", "broker-lost", "");

#[test]
fn accounts_that_agree() {
    for lines in [
        &[BEGAN, INTENT, SPAWNED, EXITED, RAN, ENDED][..],
        &[BEGAN, INTENT, SPAWNED, RAN, EXITED, ENDED],
        &[BEGAN, INTENT, NO_WORKER, FAILED, ENDED],
        &[BEGAN, INTENT, FAILED, ENDED],
        // Operators can be there before the agent.
        &[ORDER, PUT, OPENED_7, BEGAN, INTENT, FAILED, ORDER, ENDED],
        // Cut short, and nobody left to write it.
        &[BEGAN, INTENT, SPAWNED],
        &[BEGAN, INTENT, SPAWNED, LOST, EXITED, ENDED],
        &[BEGAN, ENDED],
        &[BEGAN, WRITE, SPAWNED, EXITED, RAN, ENDED],
        &[BEGAN, WRITE, NO_WORKER, FAILED, ENDED],
        &[BEGAN, OPENED_6, OPENED_7, OTHER_6, ENDED],
        &[BEGAN, OPENED_7, OPENED_7, OPENED_6, OLDER, ENDED],
        &[BEGAN, OPENED_7, ACCEPTED, OPENED_6, ENDED],
        &[BEGAN, EXAMINE, SPAWNED, EXITED, EXAMINED, ASKED, REFUSED, ENDED],
        &[BEGAN, EXAMINE, NO_WORKER, EXAMINED, ENDED],
        &[BEGAN, ASKED, APPROVED, ALLOWED, SPAWNED, EXITED, RAN, ENDED],
        &[BEGAN, ASKED, APPROVED, DELETED, ENDED],
        &[BEGAN, ASKED, APPROVED, ENDED],
        &[],
    ] {
        assert_eq!(differences(lines), [""; 0], "{lines:?}");
    }
}

#[test]
fn accounts_that_differ() {
    let second = |event: (&'static str, &'static str, &'static str)| {
        let fields: &'static str =
            if event.2.contains("end") { "\"req\":3,\"end\":\"exited\"" } else { "\"req\":3" };
        (event.0, event.1, fields)
    };
    for (lines, want) in [
        (&[BEGAN, SPAWNED, EXITED, ENDED][..], &["spawn-without-intent 1"][..]),
        // A decision that comes after what it decides is none.
        (&[BEGAN, SPAWNED, INTENT, EXITED, RAN, ENDED], &["spawn-without-intent 1"]),
        (&[BEGAN, INTENT, SPAWNED, EXITED, ENDED], &["intent-without-outcome 1"]),
        (&[BEGAN, RAN, ENDED], &["outcome-without-intent 1"]),
        (&[BEGAN, INTENT, RAN, ENDED], &["ran-without-spawn 1"]),
        (&[BEGAN, INTENT, SPAWNED, RAN, ENDED], &["spawn-without-exit 1"]),
        (&[BEGAN, INTENT, EXITED, FAILED, ENDED], &["exit-without-spawn 1"]),
        (&[BEGAN, INTENT, INTENT, FAILED, ENDED], &["twice 1"]),
        (&[BEGAN, INTENT, SPAWNED, SPAWNED, EXITED, RAN, ENDED], &["twice 1"]),
        (&[BEGAN, INTENT, FAILED, FAILED, ENDED], &["twice 1"]),
        (&[INTENT, SPAWNED, EXITED, RAN, BEGAN, ENDED], &["before-begin"]),
        (&[AGENT, BEGAN, ENDED], &["before-begin"]),
        (&[LOST, ENDED], &["before-begin"]),
        (&[BEGAN, INTENT, ENDED, SPAWNED, EXITED, RAN], &["after-end"]),
        (&[BEGAN, INTENT, SPAWNED, EXITED, ENDED, RAN], &["after-end"]),
        (&[BEGAN, ENDED, ORDER], &["after-end"]),
        (&[BEGAN, ENDED, PUT], &["after-end"]),
        (&[BEGAN, ENDED, OPENED_7], &["after-end"]),
        (&[BEGAN, ENDED, AGENT], &["after-end"]),
        (&[BEGAN, ENDED, ENDED], &["after-end"]),
        (&[BEGAN, EXAMINE, SPAWNED, EXITED, ASKED, ENDED], &["intent-without-outcome 1"]),
        (&[BEGAN, ASKED, ALLOWED, FAILED, ENDED], &["not-approved 4"]),
        (&[BEGAN, ASKED, REFUSED, ALLOWED, FAILED, ENDED], &["not-approved 4"]),
        (&[BEGAN, ASKED, ALLOWED, APPROVED, FAILED, ENDED], &["not-approved 4"]),
        (&[BEGAN, APPROVED, ALLOWED, FAILED, DELETED, ENDED], &["approval-twice 4"]),
        (&[BEGAN, WRITE, SPAWNED, EXITED, ENDED], &["intent-without-outcome 1"]),
        (&[BEGAN, WRITE, RAN, ENDED], &["ran-without-spawn 1"]),
        (&[BEGAN, INTENT, WRITE, FAILED, ENDED], &["twice 1"]),
        (&[BEGAN, OPENED_7, OPENED_6, ENDED], &["older-vault"]),
        (&[BEGAN, OPENED_7, OPENED_6, BREACH, ENDED], &["older-vault"]),
        (&[BEGAN, ACCEPTED, OPENED_7, OPENED_6, ENDED], &["older-vault"]),
        (&[BEGAN, OPENED_7, OPENED_6, OLDER, OPENED_6, ENDED], &["older-vault"]),
        (
            &[
                BEGAN,
                INTENT,
                FAILED,
                second(INTENT),
                second(SPAWNED),
                second(EXITED),
                second(RAN),
                ENDED,
            ],
            &["number-missing 2"],
        ),
    ] {
        assert_eq!(differences(lines), want, "{lines:?}");
    }
}
