//! What is asked on a terminal: never shown, and the terminal is given back.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strongroom_protocol::intake::Key;
use support::install::Install;
use support::pty::Session;
use support::{err, strongroom};

const VALUE: &str = "canary-value-0123456789-abcdef";

/// A vault, and a command that enters a credential into it.
fn place(install: &Install) -> (PathBuf, Command) {
    let key = install.path("vault.key");
    let state = install.path("state");
    let mut init = strongroom();
    init.args(["vault", "init", "--state"]).arg(&state).arg("--new-key").arg(&key);
    let output = init.current_dir(install.path("work")).output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    let mut put = strongroom();
    put.args(["credentials", "put", "GITHUB_TOKEN", "--state"]).arg(&state);
    put.arg("--vault-key").arg(&key);
    (key, put)
}

#[test]
fn a_value_is_typed_twice_and_never_shown() {
    let install = Install::new();
    let (key, put) = place(&install);
    let mut session = Session::start(&put);
    session.wait_for("Value of GITHUB_TOKEN: ");
    assert!(session.is_mute());
    session.type_in(&format!("{VALUE}\n"));
    session.wait_for("Once more: ");
    assert!(session.is_mute());
    session.type_in(&format!("{VALUE}\n"));
    let (code, _, said) = session.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("GITHUB_TOKEN: entered, version 1; vault generation 2"), "{said}");
    assert!(!fs::read_dir(install.path("state/broker")).unwrap().any(|entry| {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(6).any(|window| window == b"canary")
    }));
    assert!(key.is_file());
}

#[test]
fn entries_that_differ_are_asked_for_again() {
    let install = Install::new();
    let (_, put) = place(&install);
    let mut session = Session::start(&put);
    for _ in 0..3 {
        session.wait_for("Value of GITHUB_TOKEN: ");
        session.type_in(&format!("{VALUE}\n"));
        session.wait_for("Once more: ");
        session.type_in(&format!("{VALUE}?\n"));
        session.wait_for("The two differ.");
    }
    let (code, _, said) = session.end();
    assert_eq!(code, Some(77), "{said}");
    assert!(said.contains("SR131") && said.contains("the two entries differ"), "{said}");
}

#[test]
fn a_question_that_is_given_up_gives_the_terminal_back() {
    let install = Install::new();
    let (_, put) = place(&install);
    // Ctrl-C, as the terminal makes a signal of it.
    let mut session = Session::start(&put);
    session.wait_for("Value of GITHUB_TOKEN: ");
    session.type_in("canary");
    session.type_in("\x03");
    let (code, signal, said) = session.end();
    assert_eq!((code, signal), (None, Some(2)), "{said}");

    // A signal from elsewhere.
    for name in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        let mut session = Session::start(&put);
        session.wait_for("Value of GITHUB_TOKEN: ");
        kill(Pid::from_raw(i32::try_from(session.child.id()).unwrap()), name).unwrap();
        let (code, signal, said) = session.end();
        assert_eq!((code, signal), (None, Some(name as i32)), "{said}");
    }

    // The end of the input, and nothing.
    for (typed, what) in [("\x04", "nobody answered"), ("\n", "nothing was typed")] {
        let mut session = Session::start(&put);
        session.wait_for("Value of GITHUB_TOKEN: ");
        session.type_in(typed);
        let (code, _, said) = session.end();
        assert_eq!(code, Some(77), "{said}");
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn more_than_a_line_can_hold_is_refused_and_not_cut() {
    let install = Install::new();
    let (_, put) = place(&install);
    let mut session = Session::start(&put);
    session.wait_for("Value of GITHUB_TOKEN: ");
    session.type_in(&format!("{}\n", "x".repeat(5_000)));
    let (code, _, said) = session.end();
    assert_eq!(code, Some(77), "{said}");
    assert!(said.contains("SR612") && said.contains("4095 bytes"), "{said}");
}

#[test]
fn a_start_asks_for_the_passphrase() {
    let install = Install::new();
    place(&install);
    let mut run = install.run();
    run.arg("--quiet").arg("--state").arg(install.path("state")).args(["--", "agent"]);
    let mut session = Session::start(&run);
    session.wait_for("Passphrase of the vault: ");
    assert!(session.is_mute());
    session.type_in(&format!("{VALUE}\n"));
    let (code, _, said) = session.end();
    assert_eq!(code, Some(0), "{said}");
    let Some(Key::Passphrase(typed)) = install.intake().key else { panic!("{said}") };
    assert_eq!(typed.as_bytes(), VALUE.as_bytes());

    // The child asks, the parent is told to end: both do.
    for by_key in [false, true] {
        fs::remove_file(install.path("lib/strongroom/intake")).ok();
        let mut session = Session::start(&run);
        session.wait_for("Passphrase of the vault: ");
        if by_key {
            session.type_in("\x03");
        } else {
            let pid = Pid::from_raw(i32::try_from(session.child.id()).unwrap());
            kill(pid, Signal::SIGTERM).unwrap();
        }
        let (code, signal, said) = session.end();
        assert_eq!((code, signal), (None, Some(if by_key { 2 } else { 15 })), "{said}");
        assert!(!install.path("lib/strongroom/intake").exists(), "nothing was started");
    }
}
