//! Good and bad command lines.
#![allow(clippy::unwrap_used)]

use std::ffi::OsString;

use super::*;
use clap::{CommandFactory, Parser};

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn durations() {
    for (text, want) in [
        ("500ms", Some(500)),
        ("1ms", Some(1)),
        ("10s", Some(10_000)),
        ("5m", Some(300_000)),
        ("2h", Some(7_200_000)),
        ("007s", Some(7_000)),
        ("0s", None),
        ("10", None),
        ("s", None),
        ("", None),
        ("-1s", None),
        ("+1s", None),
        ("1.5s", None),
        ("10 s", None),
        ("5mm", None),
        ("5M", None),
        ("1d", None),
        ("18446744073709551615ms", Some(u64::MAX)),
        ("18446744073709551616ms", None),
        ("18446744073709551615s", None),
    ] {
        assert_eq!(duration(text).ok().map(NonZeroU64::get), want, "{text:?}");
    }
}

#[test]
fn what_follows_the_program_is_its_own() {
    for line in [
        &["strongroom", "run", "--quiet", "--", "agent", "--json", "-x"][..],
        &["strongroom", "run", "--quiet", "agent", "--json", "-x"],
    ] {
        let cli = Cli::try_parse_from(line).unwrap();
        assert!(!cli.json, "{line:?}");
        let Verb::Run(run) = cli.verb else { panic!("{line:?}") };
        assert_eq!(run.agent, ["agent", "--json", "-x"], "{line:?}");
    }
    let cli = Cli::try_parse_from(["strongroom", "exec", "--json", "--", "ls", "-l"]).unwrap();
    assert!(cli.json);
}

#[test]
fn bad_lines_are_refused() {
    for line in [
        &["strongroom"][..],
        &["strongroom", "run"],
        &["strongroom", "run", "--bogus", "sh"],
        &["strongroom", "run", "--state"],
        &["strongroom", "run", "--tier", "best", "sh"],
        &["strongroom", "exec"],
        &["strongroom", "exec", "--bogus", "--", "ls"],
        &["strongroom", "exec", "--timeout", "5", "--", "ls"],
        &["strongroom", "exec", "--cred", "lower", "--", "ls"],
        &["strongroom", "exec", "--rule", "No Such", "--", "ls"],
        &["strongroom", "kill"],
        &["strongroom", "kill", "1", "--all"],
        &["strongroom", "kill", "one"],
        &["strongroom", "explain", "SR999"],
        &["strongroom", "credentials"],
        &["strongroom", "credentials", "read", "A"],
        &["strongroom", "credentials", "get", "A"],
        &["strongroom", "credentials", "show", "A"],
        &["strongroom", "credentials", "put"],
        &["strongroom", "credentials", "put", "lower"],
        &["strongroom", "credentials", "put", "A", "value-of-it"],
        &["strongroom", "credentials", "put", "A", "--value", "x"],
        &["strongroom", "credentials", "put", "A", "--fd", "1"],
        &["strongroom", "credentials", "request", "A"],
        &["strongroom", "credentials", "put", "A", "--vault-key", "f", "--vault-key-fd", "5"],
        &["strongroom", "run", "--vault-passphrase", "x", "sh"],
        &["strongroom", "run", "--credential", "A=value", "sh"],
        &["strongroom", "write"],
        &["strongroom", "write", "x", "--plain", "--sealed"],
        &["strongroom", "write", "x", "--mode", "4755"],
        &["strongroom", "exec", "--patience", "0s", "--", "ls"],
        &["strongroom", "exec", "--patience", "1s", "--no-wait", "--", "ls"],
        &["strongroom", "ask-approval"],
        &["strongroom", "approvals"],
        &["strongroom", "approvals", "approve"],
        &["strongroom", "approvals", "approve", "all"],
        &["strongroom", "approvals", "approve", "7", "--digest", "yes"],
        &["strongroom", "approvals", "approve", "7", "--yes"],
        &["strongroom", "approvals", "list", "--as", "../operator"],
        &["strongroom", "vault"],
        &["strongroom", "vault", "init", "--new-key", "f", "--new-key-fd", "5"],
        &["strongroom", "vault", "slot", "remove"],
    ] {
        assert!(Cli::try_parse_from(line).is_err(), "{line:?}");
    }
}

/// The short way and the long one read the same, or the short one leaves it.
#[test]
fn exec_is_read_alike_both_ways() {
    let lines: &[&[&str]] = &[
        &["strongroom", "exec", "--", "ls", "-l", "--json"],
        &["strongroom", "exec", "ls"],
        &["strongroom", "exec", "--json", "--cwd", "a", "--timeout", "5s", "--", "ls"],
        &["strongroom", "exec", "--cred", "A", "--cred", "B", "--reason", "why", "--", "ls"],
        &["strongroom", "exec", "--no-wait", "--rule", "some", "--", "ls", "--help"],
    ];
    for line in lines {
        let short = Cli::read_exec(line.iter().map(OsString::from)).unwrap();
        let long = Cli::try_parse_from(*line).unwrap();
        assert_eq!(format!("{short:?}"), format!("{long:?}"));
    }
    for other in [
        &["strongroom", "--json", "exec", "--", "ls"][..],
        &["strongroom", "exec"],
        &["strongroom", "exec", "--help"],
        &["strongroom", "exec", "--bogus", "--", "ls"],
        &["strongroom", "status"],
        &["strongroom"],
    ] {
        assert!(Cli::read_exec(other.iter().map(OsString::from)).is_none(), "{other:?}");
    }
}
