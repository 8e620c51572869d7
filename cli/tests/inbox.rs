//! `strongroom inbox` becomes another program, and hands its arguments over.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::{Command, Output};

use support::install::{Install, write_program};
use support::{err, out};

fn inbox(install: &Install, args: &[&str]) -> Output {
    let mut command = Command::new(install.path("bin/strongroom"));
    command.arg("inbox").args(args).env_clear().env("HOME", install.path("work"));
    command.output().unwrap()
}

#[test]
fn its_arguments() {
    let install = Install::new();
    let missing = inbox(&install, &[]);
    assert_eq!(missing.status.code(), Some(78));
    assert!(err(&missing).contains("SR709") && err(&missing).contains("lacks strongroom-inbox"));

    let echo = b"#!/bin/sh\nfor word; do printf '%s ' \"$word\"; done\n";
    write_program(&install.path("lib/strongroom/strongroom-inbox"), echo);
    for (args, want) in [
        (&["--state", "/s"][..], "--state /s "),
        (
            &["--state", "/s", "--as", "alice", "--listen", "127.0.0.1:0"],
            "--state /s --as alice --listen 127.0.0.1:0 ",
        ),
        (
            &["--state", "/s", "--unix", "/u", "--notify", "/n", "--webhook-key", "/k"],
            "--state /s --unix /u --notify /n --webhook-key /k ",
        ),
        (
            &["--state", "/s", "--webhook", "http://127.0.0.1/", "--webhook-key", "/k"],
            "--state /s --webhook http://127.0.0.1/ --webhook-key /k ",
        ),
        (&["--new-webhook-key", "/k"], "--new-webhook-key /k "),
    ] {
        assert_eq!(out(&inbox(&install, args)), want);
    }
    write_program(&install.path("bin/strongroom-inbox"), b"#!/bin/sh\necho beside\n");
    assert_eq!(out(&inbox(&install, &["--state", "/s"])), "beside\n");
    for args in [
        &["--listen", "0.0.0.0:80"][..],
        &["--listen", "127.0.0.1:0", "--unix", "/u"],
        &["--webhook", "http://127.0.0.1/"],
        &["--notify", "/n", "--webhook", "http://127.0.0.1/", "--webhook-key", "/k"],
        &["--new-webhook-key", "/k", "--unix", "/u"],
    ] {
        assert_eq!(inbox(&install, args).status.code(), Some(2), "{args:?}");
    }
}
