//! `strongroom run`, up to the moment when it becomes the supervisor, and
//! everything an operator can get wrong.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use support::install::{Install, write_program};
use support::{err, out};

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn run_becomes_a_supervisor_with_nothing_of_ours() {
    let install = Install::new();
    let state = install.path("state");
    let mut command = install.run();
    command.arg("--state").arg(&state).args(["--", "agent", "--flag"]);
    command.env("MY_API_KEY", "value-of-it").env("EMPTY_TOKEN", "").env("LANG", "C");
    let output = command.output().unwrap();
    let (out, err) = (out(&output), err(&output));
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(out.starts_with("started: 0 arguments, in /\n"), "{out}");
    let lock = state.join("run/lock");
    assert!(
        out.contains(&format!(
            "3 /memfd:strongroom-plan (deleted)\n4 {}\n6 /memfd:strongroom-intake (deleted)\n",
            lock.display()
        )),
        "{out}"
    );
    assert!(!out.contains("\n5 ") && !out.contains("\n7 "), "{out}");
    assert_eq!(install.intake(), strongroom_protocol::intake::Intake::default());
    assert!(!out.contains("MY_API_KEY") && !out.contains("LANG"), "{out}");
    assert!(err.starts_with("strongroom: tier "), "{err}");
    assert!(err.contains(&format!("| policy builtin:base | state {}", state.display())), "{err}");
    assert!(
        err.contains("these look like secrets: MY_API_KEY (not passed on to the agent)"),
        "{err}"
    );
    assert!(!err.contains("value-of-it") && !err.contains("EMPTY_TOKEN"), "{err}");
    assert_eq!(
        err.contains("gave the folder itself (not its contents) to uid 64101"),
        is_root(),
        "{err}"
    );
}

#[test]
fn run_says_only_what_matters_or_one_object() {
    let install = Install::new();
    let state = install.path("state");
    let run = |flag: &str| {
        let output =
            install.run().arg(flag).arg("--state").arg(&state).args(["--", "a"]).output().unwrap();
        (output.status.code(), err(&output))
    };
    let _ = run("--quiet");
    assert_eq!(run("--quiet"), (Some(0), String::new()), "the second time nothing is given away");
    let (code, text) = run("--json");
    assert_eq!(code, Some(0));
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&object["v"], &object["start"]["policy"]),
        (&1.into(), &"builtin:base".into()),
        "{text}"
    );
}

#[test]
fn run_refuses() {
    let install = Install::new();
    let link = install.path("link");
    symlink(install.path("work"), &link).unwrap();
    fs::write(install.path("file"), "").unwrap();
    fs::write(install.path("bad.toml"), "version = 1\nbogus = 2\n").unwrap();
    fs::write(
        install.path("high.toml"),
        "version = 1\nextends = [\"builtin:base\"]\n[require]\nlandlock-abi = 99\n",
    )
    .unwrap();
    fs::write(install.path("open.toml"), "version = 1\nextends = [\"builtin:base\"]\n").unwrap();
    fs::set_permissions(install.path("open.toml"), fs::Permissions::from_mode(0o666)).unwrap();
    let at = |name: &str| install.path(name).display().to_string();
    for (args, code, what) in [
        (vec!["--state".to_owned(), at("work/state")], "SR707", "in the workspace"),
        (vec!["--state".to_owned(), at("none/state")], "SR707", "the folder above it"),
        (vec!["--state".to_owned(), at("file")], "SR707", "not a folder"),
        (vec!["--state".to_owned(), at("link")], "SR707", "symbolic link"),
        (vec!["--workspace".to_owned(), at("link")], "SR706", "symbolic link"),
        (vec!["--workspace".to_owned(), at("none")], "SR706", "No such file"),
        (vec!["--workspace".to_owned(), "/".to_owned()], "SR706", "whole file system"),
        (vec!["--workspace".to_owned(), at("lib")], "SR706", "own programs are in it"),
        (vec!["--policy".to_owned(), at("none.toml")], "SR701", "none.toml"),
        (vec!["--policy".to_owned(), at("bad.toml")], "SR701", "bad.toml:2:1"),
        (vec!["--policy".to_owned(), at("high.toml")], "SR704", "Landlock ABI 99"),
        (vec!["--policy".to_owned(), at("open.toml")], "SR702", "open.toml"),
    ] {
        let mut command = install.run();
        if args.first().is_some_and(|a| a != "--state") {
            command.arg("--state").arg(install.path("state"));
        }
        let output = command.args(&args).args(["--", "a"]).output().unwrap();
        let text = err(&output);
        assert_eq!(output.status.code(), Some(78), "{args:?}: {text}");
        assert!(text.contains(code) && text.contains(what), "{args:?}: {text}");
        assert!(
            text.contains("  instead: ") && text.contains("  more: strongroom explain SR"),
            "{text}"
        );
        assert!(out(&output).is_empty(), "nothing was started");
    }
}

#[test]
fn run_refuses_with_one_object() {
    let install = Install::new();
    let output = install.run().args(["--json", "--workspace", "/", "--", "a"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let object: serde_json::Value = serde_json::from_str(&err(&output)).unwrap();
    assert_eq!(object["error"]["code"], "SR706");
    assert_eq!(object["exit"], 78);
    assert!(output.stdout.is_empty(), "standard output is the agent's");
}

#[test]
fn run_refuses_a_broken_install() {
    let install = Install::new();
    fs::remove_file(install.path("lib/strongroom/strongroom-recorder")).unwrap();
    let output = install.run().args(["--", "a"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(err(&output).contains("SR709"), "{}", err(&output));
}

#[test]
fn run_gives_no_system_folder_away() {
    if !is_root() {
        return;
    }
    let install = Install::new();
    for folder in ["/etc", "/usr", "/root", "/home", "/var", "/tmp", "/usr/share"] {
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(folder).unwrap());
        let mut command = install.run();
        command.arg("--state").arg(install.path("state")).args([
            "--workspace",
            folder,
            "--own-workspace",
            "--",
            "a",
        ]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{folder}: {}", err(&output));
        assert!(err(&output).contains("SR706"), "{folder}: {}", err(&output));
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(folder).unwrap()), owner);
    }
}

#[test]
fn run_gives_contents_only_when_told() {
    if !is_root() {
        return;
    }
    let install = Install::new();
    let file = install.path("work/file");
    fs::write(&file, "").unwrap();
    let owner =
        |path: &Path| std::os::unix::fs::MetadataExt::uid(&fs::symlink_metadata(path).unwrap());
    let run = |flags: &[&str]| {
        let mut command = install.run();
        let output = command
            .arg("--state")
            .arg(install.path("state"))
            .args(flags)
            .args(["--", "a"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        err(&output)
    };
    run(&[]);
    assert_eq!((owner(&install.path("work")), owner(&file)), (64101, 0));
    let said = run(&["--own-workspace"]);
    assert!(said.contains("gave the folder and 1 entries in it to uid 64101"), "{said}");
    assert_eq!(owner(&file), 64101);
}

#[test]
fn hostile_starts_are_put_right_or_refused() {
    let install = Install::new();
    let program = install.path("bin/strongroom").display().to_string();
    let state = install.path("state").display().to_string();
    let run = |before: &str| {
        let line = format!("{before}; exec {program} run --quiet --state {state} -- a");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &line])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(install.path("work"));
        let output = shell.output().unwrap();
        (output.status.code(), out(&output), err(&output))
    };
    let (code, out, err) = run("umask 0");
    assert_eq!(code, Some(0), "{err}");
    assert!(out.ends_with("0002\n"), "{out}");
    for before in
        ["trap '' PIPE CHLD TERM", "ulimit -S -n 20", "exec <&- >/dev/null 2>&-", "unset PATH HOME"]
    {
        let (code, _, err) = run(before);
        assert_eq!(code, Some(0), "{before}: {err}");
    }
    for before in ["ulimit -n 10", "ulimit -f 0", "mkdir gone; cd gone; rmdir ../gone"] {
        let (code, out, err) = run(before);
        assert_eq!((code, out.as_str()), (Some(78), ""), "{before}: {err}");
        assert!(err.contains("strongroom: SR7"), "{before}: {err}");
    }
}

#[test]
fn one_session_for_a_state_folder() {
    let install = Install::new();
    let state = install.path("state");
    let lib = install.path("lib/strongroom/strongroom-supervisor");
    write_program(&lib, b"#!/bin/sh\necho up\nread -r line || true\n");
    let start = || {
        let mut command = install.run();
        command.arg("--quiet").arg("--state").arg(&state).args(["--", "a"]);
        command
    };
    let mut first = start().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut up = [0; 3];
    std::io::Read::read_exact(first.stdout.as_mut().unwrap(), &mut up).unwrap();
    let second = start().output().unwrap();
    assert_eq!(second.status.code(), Some(78));
    assert!(err(&second).contains("SR708"), "{}", err(&second));
    drop(first.stdin.take());
    first.wait().unwrap();
    assert_eq!(start().output().unwrap().status.code(), Some(0), "the lock went with its session");
}
