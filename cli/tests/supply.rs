//! `strongroom run`: the vault's key and the credentials found in a place, on
//! their way to the broker.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::symlink;
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use strongroom_protocol::intake::Key;
use support::install::Install;
use support::operator::patiently;
use support::{err, strongroom};

const POLICY: &str = r#"
version = 1
extends = ["builtin:base"]

[credential.GITHUB_TOKEN]
deliver = ["env"]

[credential.NPM_TOKEN]
deliver = ["file"]

[[rule]]
name = "gh"
match = ["gh", "..."]
profile = "worker"
action = "allow"
credentials = ["GITHUB_TOKEN", "NPM_TOKEN"]
"#;

const GITHUB: &str = "canary-github-0123456789-abcdef";
const NPM: &str = "canary-npm-9876543210-fedcba";

fn install() -> Install {
    let install = Install::new();
    fs::write(install.path("policy.toml"), POLICY).unwrap();
    for folder in ["secrets", "more"] {
        fs::create_dir(install.path(folder)).unwrap();
    }
    install
}

fn run(install: &Install) -> Command {
    let mut command = install.run();
    command.arg("--policy").arg(install.path("policy.toml"));
    command.arg("--state").arg(install.path("state"));
    command
}

/// Starts, and finds no value in anything that was said.
fn start(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.args(["--", "agent"]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&stdout), text(&stderr));
    assert!(!out.contains("canary") && !err.contains("canary"), "{out}{err}");
    (status.code(), out, err)
}

fn pair(name: &str, value: &str) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_bytes().to_vec())
}

#[test]
fn from_folders_descriptors_and_the_environment() {
    let install = install();
    let secrets = install.path("secrets");
    fs::write(secrets.join("github-token"), format!("{GITHUB}\n")).unwrap();
    fs::write(secrets.join("other"), "canary-of-another").unwrap();
    fs::write(install.path("npm"), NPM).unwrap();
    let mut command = run(&install);
    command.arg("--credentials").arg(&secrets).args(["--credential", "NPM_TOKEN=fd:0"]);
    command.stdin(fs::File::open(install.path("npm")).unwrap());
    let (code, _, err) = start(&mut command);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(install.found(), [pair("GITHUB_TOKEN", GITHUB), pair("NPM_TOKEN", NPM)]);
    assert!(
        err.contains(
            "credentials: 2 of the policy, 2 taken over (GITHUB_TOKEN, NPM_TOKEN), in memory only"
        ),
        "{err}"
    );
    assert!(err.contains("not in the policy, left alone: other"), "{err}");

    let (code, out, err) = start(run(&install).env("GITHUB_TOKEN", GITHUB).env("NPM_TOKEN", ""));
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(install.found(), [pair("GITHUB_TOKEN", GITHUB)]);
    assert!(!out.contains("GITHUB_TOKEN"), "{out}");
    assert!(err.contains("NPM_TOKEN is empty and was left out"), "{err}");
    assert!(!err.contains("look like secrets"), "{err}");

    // What systemd brings, once, though it is also named.
    let mut command = run(&install);
    command.env("CREDENTIALS_DIRECTORY", &secrets).arg("--credentials").arg(&secrets);
    let (code, _, err) = start(&mut command);
    assert_eq!((code, install.found()), (Some(0), vec![pair("GITHUB_TOKEN", GITHUB)]), "{err}");

    let (code, _, err) = start(run(&install).arg("--json").env("GITHUB_TOKEN", "short"));
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains(r#""taken_over":["GITHUB_TOKEN"],"vault":false"#), "{err}");
    assert!(err.contains("cannot be hidden everywhere in output: GITHUB_TOKEN"), "{err}");
}

#[test]
fn what_is_not_clear_is_refused() {
    let install = install();
    let secrets = install.path("secrets");
    fs::write(secrets.join("github-token"), GITHUB).unwrap();
    fs::write(install.path("more/GITHUB_TOKEN"), GITHUB).unwrap();
    fs::write(install.path("work/npm-token"), NPM).unwrap();
    let at = |name: &str| install.path(name).display().to_string();
    let (secrets, more, work, above) = (at("secrets"), at("more"), at("work"), at(""));
    for (args, env, code, what) in [
        (
            vec!["--credentials", &secrets, "--credentials", &more],
            "",
            "SR711",
            "/more/GITHUB_TOKEN",
        ),
        (vec!["--credentials", &secrets], GITHUB, "SR711", "in the variable GITHUB_TOKEN and in /"),
        (vec!["--credentials", "/nonesuch"], "", "SR711", "/nonesuch: No such file"),
        (vec!["--credentials", &work], "", "SR711", "lets commands read /"),
        (vec!["--credentials", &above], "", "SR711", "lets commands read /"),
        (vec!["--credential", "OTHER=fd:0"], "", "SR711", "no [credential.OTHER]"),
        (vec!["--credential", "GITHUB_TOKEN=fd:0"], "", "SR711", "it is empty"),
        (vec!["--credential", "GITHUB_TOKEN=fd:77"], "", "SR131", "descriptor 77"),
        (
            vec!["--credential", "GITHUB_TOKEN=fd:0", "--credential", "NPM_TOKEN=fd:0"],
            "",
            "SR131",
            "descriptor 0 is named twice",
        ),
        (vec!["--vault-key", "/nonesuch"], "", "SR724", "but a key was given"),
        (vec!["--vault-key-fd", "77"], "", "SR131", "descriptor 77"),
    ] {
        let mut command = run(&install);
        command.args(&args);
        if !env.is_empty() {
            command.env("GITHUB_TOKEN", env);
        }
        let (status, out, err) = start(&mut command);
        assert!(matches!(status, Some(77 | 78)), "{args:?}: {err}");
        assert!(err.contains(code) && err.contains(what), "{args:?}: {err}");
        assert!(out.is_empty(), "nothing was started");
    }
}

/// A state folder with a vault that a key file opens.
fn with_vault(install: &Install) -> std::path::PathBuf {
    let key = install.path("vault.key");
    let mut init = strongroom();
    init.args(["vault", "init", "--state"]).arg(install.path("state"));
    let output =
        init.arg("--new-key").arg(&key).current_dir(install.path("work")).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    key
}

#[test]
fn the_vaults_key_comes_from_a_file_or_descriptor() {
    let install = install();
    let key = with_vault(&install);
    let material = fs::read(&key).unwrap();
    let key_is = |want: &[u8]| match install.intake().key {
        Some(Key::File(got)) => got.as_bytes() == want,
        _ => false,
    };
    let (code, _, err) = start(run(&install).arg("--vault-key").arg(&key));
    assert_eq!(code, Some(0), "{err}");
    assert!(key_is(&material) && err.contains("kept in the vault"), "{err}");

    let mut command = run(&install);
    command.args(["--vault-key-fd", "0"]).stdin(fs::File::open(&key).unwrap());
    assert_eq!(start(&mut command).0, Some(0));
    assert!(key_is(&material));

    let mut command = run(&install);
    command.args(["--vault-passphrase-fd", "0"]).stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.args(["--", "agent"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"correct horse\n").unwrap();
    assert!(child.wait().unwrap().success());
    let Some(Key::Passphrase(got)) = install.intake().key else { panic!() };
    assert_eq!(got.as_bytes(), b"correct horse");

    // As systemd brings it; and as no credential.
    fs::rename(&key, install.path("secrets/strongroom-vault-key")).unwrap();
    let (code, _, err) = start(run(&install).env("CREDENTIALS_DIRECTORY", install.path("secrets")));
    assert_eq!(code, Some(0), "{err}");
    assert!(key_is(&material) && install.found().is_empty() && !err.contains("left alone"));
}

#[test]
fn a_vault_without_a_key_is_refused() {
    let install = install();
    let key = with_vault(&install);
    let (code, out, err) = start(&mut run(&install));
    assert_eq!((code, out.as_str()), (Some(78), ""), "{err}");
    assert!(err.contains("SR720") && err.contains("give --vault-key FILE"), "{err}");

    fs::rename(&key, install.path("work/key")).unwrap();
    let (code, _, err) = start(run(&install).arg("--vault-key").arg(install.path("work/key")));
    assert_eq!(code, Some(78));
    assert!(err.contains("SR711") && err.contains("lets commands read /"), "{err}");

    let broker = install.path("state/broker");
    fs::rename(broker.join("vault"), broker.join("vault.previous")).unwrap();
    let (code, _, err) = start(&mut run(&install));
    assert_eq!(code, Some(78));
    assert!(err.contains("SR721") && err.contains("only vault.previous"), "{err}");
}

#[test]
fn a_folder_for_sealed_files_is_handed_over_where_it_is_one_for_all() {
    let install = install();
    let tier = if nix::unistd::geteuid().is_root() { "container" } else { "rootless" };
    let (code, out, err) = start(run(&install).args(["--tier", tier]));
    assert_eq!(code, Some(0), "{err}");
    let handed = out.lines().find_map(|line| line.strip_prefix("5 "));
    let none = err.contains("no folder in memory");
    assert_eq!(handed.is_some(), !none, "{out}{err}");
    if let Some(path) = handed {
        assert!(path.contains("/strongroom-leases-") || path.ends_with("/leases"), "{path}");
        // Nobody holds it any more: the next start sweeps it away.
        let first = path.to_owned();
        let (_, out, _) = start(run(&install).args(["--tier", tier]));
        assert_ne!(out.lines().find_map(|line| line.strip_prefix("5 ")), Some(first.as_str()));
        assert!(!std::path::Path::new(&first).exists());
        let last = out.lines().find_map(|line| line.strip_prefix("5 ")).unwrap();
        fs::remove_dir(last).unwrap();
    }
}

/// Where `needle` is in the memory of a process, as far as that can be read.
fn in_memory_of(pid: u32, needle: &[u8]) -> Option<bool> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let memory = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut found = false;
    for line in maps.lines().filter(|line| line.contains(" rw") && !line.contains("[v")) {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let start = u64::from_str_radix(start, 16).ok()?;
        let end = u64::from_str_radix(end, 16).ok()?;
        let mut bytes = vec![0; usize::try_from(end - start).ok()?];
        let got = memory.read_at(&mut bytes, start).unwrap_or(0);
        found |= bytes[..got].windows(needle.len()).any(|window| window == needle);
    }
    Some(found)
}

/// The child that has read what was written, and waits for more.
fn reader_of(parent: &Child, pipe: &ChildStdin) -> u32 {
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    patiently(|| {
        let read = strongroom_sys::fd::waiting(pipe.as_fd()).unwrap() == 0;
        let list = fs::read_to_string(&children).unwrap_or_default();
        list.split_whitespace().next().filter(|_| read).map(|child| child.parse().unwrap())
    })
}

/// The child reads the value and waits for more of it; meanwhile this looks
/// into both.
#[test]
fn the_process_that_becomes_the_supervisor_never_holds_a_value() {
    let install = install();
    let mut command = run(&install);
    command.args(["--credential", "GITHUB_TOKEN=fd:0", "--", "agent"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut parent = command.spawn().unwrap();
    let mut value = parent.stdin.take().unwrap();
    value.write_all(GITHUB.as_bytes()).unwrap();
    let child = reader_of(&parent, &value);
    let needle = &GITHUB.as_bytes()[..24];
    if let Some(found) = in_memory_of(parent.id(), needle) {
        assert!(!found, "the value is in the memory of the parent");
    }
    // A child that no other process of the user may look into: only root can.
    if let Some(found) = in_memory_of(child, needle) {
        assert!(found, "this test finds nothing anywhere");
        assert!(nix::unistd::geteuid().is_root());
    }
    drop(value);
    assert!(parent.wait().unwrap().success());
    assert_eq!(install.found(), [pair("GITHUB_TOKEN", GITHUB)]);
}

#[test]
fn a_link_out_of_the_folder_is_left_alone() {
    let install = install();
    fs::write(install.path("outside"), GITHUB).unwrap();
    symlink("../outside", install.path("secrets/github-token")).unwrap();
    let (code, _, err) = start(run(&install).arg("--credentials").arg(install.path("secrets")));
    assert_eq!((code, install.found()), (Some(0), vec![]), "{err}");
}

#[test]
fn a_start_that_is_given_up_leaves_no_child() {
    let install = install();
    let mut command = run(&install);
    command.args(["--credential", "GITHUB_TOKEN=fd:0", "--", "agent"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut parent = command.spawn().unwrap();
    let mut value = parent.stdin.take().unwrap();
    value.write_all(GITHUB.as_bytes()).unwrap();
    let child = reader_of(&parent, &value);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(parent.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let status = parent.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    assert!(!std::path::Path::new(&format!("/proc/{child}")).exists());
}
