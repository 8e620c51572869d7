//! The operator's `credentials` and `vault`, with a session and without.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use strongroom_protocol::channel::o::{Held, Order, Reply};
use strongroom_protocol::codes::Code;
use strongroom_protocol::types::{CredentialName, List};
use support::operator::{Operated, verb};
use support::{err, out};

const VALUE: &str = "canary-value-0123456789-abcdef";

fn name(text: &str) -> CredentialName {
    CredentialName::new(text).unwrap()
}

/// Runs it with this on its standard input; no value is in what it says.
fn fed(command: &mut Command, input: &str) -> (Option<i32>, String, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), input).unwrap();
    let output: Output = command.stdin(file.reopen().unwrap()).output().unwrap();
    let said = (output.status.code(), out(&output), err(&output));
    assert!(!said.1.contains("canary") && !said.2.contains("canary"), "{said:?}");
    said
}

fn held(text: &str) -> Held {
    Held {
        name: name(text),
        there: true,
        revoked: false,
        env: true,
        file: true,
        created: 1,
        changed: 1,
        version: 1,
        used: 0,
        holders: 0,
    }
}

#[test]
fn a_sessions_broker_gets_the_value_in_pieces() {
    let place = Operated::new();
    let long = VALUE.repeat(2_000);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("{long}\n")).unwrap();
    let child = place
        .verb(&["credentials", "put", "A_KEY", "--force"])
        .stdin(file.reopen().unwrap())
        .spawn()
        .unwrap();
    let orders = place.serve(|order| match order {
        Order::Keep => Some(Reply::Changed { version: 2, generation: 9, holders: 1 }),
        _ => None,
    });
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(
        out(&output),
        "A_KEY: entered, version 2; vault generation 9; 1 command that held it is ended\n"
    );
    assert!(err(&output).contains("the line end after the value was dropped"), "{}", err(&output));
    let size = u32::try_from(long.len()).unwrap();
    assert_eq!(orders[1], Order::Put { name: name("A_KEY"), size, force: true });
    let value: Vec<u8> = orders
        .iter()
        .filter_map(|order| match order {
            Order::Value { bytes } => Some(bytes.as_bytes().to_vec()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(value, long.as_bytes());
}

#[test]
fn other_orders_of_an_operator() {
    for (args, want, reply, code, said) in [
        (
            &["credentials", "revoke", "A"][..],
            Order::Revoke { name: name("A") },
            Reply::Changed { version: 3, generation: 4, holders: 2 },
            0,
            "A: revoked, version 3; vault generation 4; 2 commands that held it are ended\n",
        ),
        (
            &["credentials", "delete", "A", "--json"],
            Order::Delete { name: name("A") },
            Reply::Changed { version: 0, generation: 0, holders: 0 },
            0,
            "{\"v\":1,\"changed\":{\"name\":\"A\",\"version\":null,\"generation\":null,\"holders\":0}}\n",
        ),
        (
            &["credentials", "revoke", "NONE"],
            Order::Revoke { name: name("NONE") },
            Reply::Refused { code: Code::UnknownCredential },
            77,
            "SR611: there is no such credential: NONE\n",
        ),
        (
            &["credentials", "list"],
            Order::Credentials { after: None },
            Reply::Credentials { list: List::new(vec![held("A")]).unwrap(), more: false },
            0,
            "A     there  env, file  1",
        ),
        (
            &["credentials", "requests"],
            Order::Requests,
            Reply::Requests { list: List::empty() },
            0,
            "ID  AGE",
        ),
        (&["credentials", "dismiss", "7"], Order::Dismiss { request: 7 }, Reply::Done, 0, ""),
        (
            &["credentials", "dismiss", "7"],
            Order::Dismiss { request: 7 },
            Reply::Refused { code: Code::UnknownCredential },
            77,
            "no request 7",
        ),
    ] {
        let place = Operated::new();
        let child = place.verb(args).spawn().unwrap();
        let orders = place.serve(|_| Some(reply.clone()));
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", err(&output));
        assert_eq!(orders[1..], [want], "{args:?}");
        let all = out(&output) + &err(&output);
        assert!(all.contains(said), "{args:?}: {all}");
    }
}

#[test]
fn bad_names_and_values_go_nowhere() {
    let place = Operated::new();
    for (args, input, code, what) in [
        (&["credentials", "put", "LD_PRELOAD"][..], VALUE, "SR613", "LD_PRELOAD"),
        (&["credentials", "put", "STRONGROOM_X"], VALUE, "SR613", "STRONGROOM_"),
        (&["credentials", "put", "A", "--fd", "77"], VALUE, "SR131", "descriptor 77"),
        (
            &["credentials", "put", "A", "--fd", "0", "--vault-key-fd", "0"],
            VALUE,
            "SR131",
            "named twice",
        ),
    ] {
        let (status, _, err) = fed(&mut place.verb(args), input);
        assert_eq!(status, Some(77), "{args:?}: {err}");
        assert!(err.contains(code) && err.contains(what), "{args:?}: {err}");
    }
    let long = "x".repeat(64 * 1024 + 1);
    for (input, what) in
        [("short\n", "fewer than 12"), ("", "empty"), ("\n", "empty"), (&long, "64 KiB")]
    {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), input).unwrap();
        let mut command = place.verb(&["credentials", "put", "A"]);
        let child = command.stdin(file.reopen().unwrap()).spawn().unwrap();
        let orders = place.serve(|_| None);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), orders.len()), (Some(77), 1), "{}", err(&output));
        assert!(err(&output).contains("SR612") && err(&output).contains(what), "{}", err(&output));
    }
}

/// A state folder with a vault, and its key file.
struct Vault {
    folder: tempfile::TempDir,
}

impl Vault {
    fn new() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(this.path("work")).unwrap();
        let key = this.path("key").display().to_string();
        let (code, said, err) = this.plain(&["vault", "init", "--new-key", &key]);
        assert_eq!(code, Some(0), "{err}");
        assert!(said.contains("generation 1\n") && said.contains("0  key         first"), "{said}");
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Without any key.
    fn plain(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = verb(&self.path("state"), args);
        let output = command.current_dir(self.path("work")).output().unwrap();
        (output.status.code(), out(&output), err(&output))
    }

    /// With the key, and this on standard input.
    fn with(&self, args: &[&str], input: &str) -> (Option<i32>, String, String) {
        let mut command = verb(&self.path("state"), args);
        command.arg("--vault-key").arg(self.path("key")).current_dir(self.path("work"));
        fed(&mut command, input)
    }

    fn done(&self, args: &[&str], input: &str) -> String {
        let (code, said, err) = self.with(args, input);
        assert_eq!(code, Some(0), "{args:?}: {err}");
        said
    }

    fn names(&self) -> Vec<String> {
        let list = self.done(&["credentials", "list", "--json"], "");
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        let list = list["credentials"].as_array().unwrap();
        list.iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn without_a_session_the_file_itself_is_changed() {
    let vault = Vault::new();
    assert_eq!(
        vault.done(&["credentials", "put", "A_KEY"], &format!("{VALUE}\n")),
        "A_KEY: entered, version 1; vault generation 2\n"
    );
    let said = vault.done(&["credentials", "put", "A_KEY", "--exact"], &format!("{VALUE}\n"));
    assert_eq!(said, "A_KEY: entered, version 2; vault generation 3\n");
    let (code, _, err) = vault.with(&["credentials", "put", "SHORT"], "short");
    assert!(code == Some(77) && err.contains("SR612"), "{err}");
    vault.done(&["credentials", "put", "SHORT", "--force"], "short");
    assert_eq!(vault.names(), ["A_KEY", "SHORT"]);
    assert_eq!(
        vault.done(&["credentials", "revoke", "A_KEY"], ""),
        "A_KEY: revoked, version 2; vault generation 5\n"
    );
    vault.done(&["credentials", "delete", "SHORT"], "");
    let list = vault.done(&["credentials", "list"], "");
    assert!(list.contains("A_KEY  revoked") && !list.contains("SHORT"), "{list}");
    let (code, _, err) = vault.with(&["credentials", "delete", "SHORT"], "");
    assert!(code == Some(77) && err.contains("there is no such credential: SHORT"), "{err}");
    for file in ["vault", "vault.previous"] {
        let meta = vault.path("state/broker").join(file).symlink_metadata().unwrap();
        let folder = vault.path("state/broker").metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o600, folder.uid()), "{file}");
    }
}

#[test]
fn a_folder_of_secrets_is_imported() {
    let vault = Vault::new();
    let secrets = vault.path("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("a-key"), format!("{VALUE}\n")).unwrap();
    fs::write(secrets.join("B_KEY"), VALUE).unwrap();
    fs::write(secrets.join("path"), VALUE).unwrap();
    let at = secrets.display().to_string();
    let (code, said, err) = vault.with(&["credentials", "import", &at], "");
    assert_eq!(code, Some(0), "{err}");
    assert!(said.starts_with("A_KEY: entered") && said.contains("\nB_KEY: entered"), "{said}");
    assert!(err.contains("not the names of credentials, left alone: path"), "{err}");
    assert_eq!(vault.names(), ["A_KEY", "B_KEY"]);

    fs::write(secrets.join("a.key"), VALUE).unwrap();
    let (code, _, err) = vault.with(&["credentials", "import", &at], "");
    assert!(code == Some(78) && err.contains("/a-key and in ") && err.contains("/a.key"), "{err}");
    fs::remove_file(secrets.join("a.key")).unwrap();
    fs::write(secrets.join("c"), "short").unwrap();
    let (code, _, err) = vault.with(&["credentials", "import", &at], "");
    assert!(
        code == Some(77) && err.contains("C from ") && err.contains("2 entered before"),
        "{err}"
    );
}

#[test]
fn slots_come_and_go() {
    let vault = Vault::new();
    vault.done(&["credentials", "put", "A_KEY"], VALUE);
    let second = vault.path("second").display().to_string();
    let said = vault.done(&["vault", "slot", "add", "--label", "spare", "--new-key", &second], "");
    assert!(said.contains("generation 3\n") && said.contains("1  key         spare"), "{said}");
    let with_second = |args: &[&str]| {
        let mut command = verb(&vault.path("state"), args);
        fed(command.arg("--vault-key").arg(&second).current_dir(vault.path("work")), "")
    };
    assert_eq!(with_second(&["credentials", "list"]).0, Some(0));
    vault.done(&["vault", "slot", "remove", "1"], "");
    let (code, _, err) = with_second(&["credentials", "list"]);
    assert!(code == Some(78) && err.contains("SR720"), "{err}");
    for (args, what) in [
        (&["vault", "slot", "remove", "0"][..], "the last slot cannot be removed"),
        (&["vault", "slot", "remove", "5"], "no slot of this number"),
        (&["vault", "slot", "add", "--label", "", "--new-key-fd", "0"], "--label"),
        (&["vault", "slot", "add", "--label", "x", "--new-key-fd", "0"], "is empty"),
    ] {
        let (code, _, err) = vault.with(args, "");
        assert!(matches!(code, Some(77 | 78)) && err.contains(what), "{args:?}: {err}");
    }
    let said = vault.done(&["vault", "rekey", "--label", "only"], "");
    assert!(said.contains("0  key         only") && said.contains("generation 5"), "{said}");
    assert_eq!(vault.names(), ["A_KEY"]);
    let (code, said, _) = vault.plain(&["vault", "slots", "--json"]);
    assert_eq!(code, Some(0), "no key is needed");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["generation"], &said["slots"][0]["label"]), (&5.into(), &"only".into()));
}

#[test]
fn backup_restore_and_what_the_log_has_seen() {
    let vault = Vault::new();
    vault.done(&["credentials", "put", "A_KEY"], VALUE);
    let backup = vault.path("backup").display().to_string();
    vault.done(&["vault", "backup", &backup], "");
    let (code, _, err) = vault.with(&["vault", "backup", &backup], "");
    assert!(code == Some(77) && err.contains("is not overwritten"), "{err}");
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o7777, 0o600);
    vault.done(&["credentials", "put", "B_KEY"], VALUE);
    assert_eq!(vault.names(), ["A_KEY", "B_KEY"]);

    // The log has seen generation 9 of it: what is restored is later.
    let state = vault.path("state");
    let (_, said, _) = vault.plain(&["vault", "slots", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let id = said["vault"].as_str().unwrap().to_owned();
    let seen = |generation: u64| {
        fs::write(state.join("log/vaults"), format!("{id} {generation}\n")).unwrap();
    };
    seen(9);
    let said = vault.done(&["vault", "restore", &backup], "");
    assert!(said.contains("generation 10\n"), "{said}");
    assert_eq!(vault.names(), ["A_KEY"]);
    vault.done(&["vault", "restore"], "");
    assert_eq!(vault.names(), ["A_KEY", "B_KEY"], "vault.previous is what was replaced");

    // An old file put back by hand is accepted by hand.
    seen(50);
    vault.done(&["vault", "accept"], "");
    assert_eq!(fs::read_to_string(state.join("log/vaults")).unwrap(), format!("{id} 11 50\n"));

    // On a new machine.
    let moved = vault.path("moved");
    let mut command = verb(&moved, &["vault", "restore", &backup]);
    let (code, _, err) = fed(command.arg("--vault-key").arg(vault.path("key")), "");
    assert_eq!(code, Some(0), "{err}");
    assert!(moved.join("broker/vault").is_file());
}

#[test]
fn a_damaged_vault_is_named_and_restored() {
    let vault = Vault::new();
    vault.done(&["credentials", "put", "A_KEY"], VALUE);
    vault.done(&["credentials", "put", "B_KEY"], VALUE);
    let file = vault.path("state/broker/vault");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, &bytes).unwrap();
    let (code, _, err) = vault.with(&["credentials", "list"], "");
    assert!(code == Some(78) && err.contains("SR721") && err.contains("vault.previous"), "{err}");
    vault.done(&["vault", "restore"], "");
    assert_eq!(vault.names(), ["A_KEY"]);
}

#[test]
fn key_files_are_made_where_they_are_safe() {
    let vault = Vault::new();
    let state = vault.path("new");
    let init = |key: &Path| {
        let mut command = verb(&state, &["vault", "init"]);
        command.arg("--new-key").arg(key).current_dir(vault.path("work"));
        let output = command.output().unwrap();
        (output.status.code(), err(&output))
    };
    for (key, what) in [
        (vault.path("work/key"), "in the workspace"),
        (state.join("key"), "beside what it opens"),
        (vault.path("key"), "is not overwritten"),
        (vault.path("nonesuch/key"), "No such file"),
    ] {
        let (code, err) = init(&key);
        assert!(code == Some(77) && err.contains(what), "{key:?}: {err}");
        assert!(!state.join("broker/vault").exists(), "{key:?}");
    }
    let key = vault.path("fresh");
    assert_eq!(init(&key).0, Some(0));
    let meta = key.metadata().unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.len()), (0o600, 64));
    let other = vault.path("another");
    let (code, err) = init(&other);
    assert!(code == Some(78) && err.contains("SR727") && !other.exists(), "{err}");
}

#[test]
fn who_has_no_vault_or_no_right_is_told() {
    let vault = Vault::new();
    let nowhere = vault.path("nowhere");
    for args in [
        &["credentials", "list"][..],
        &["vault", "slots"],
        &["vault", "rekey"],
        &["vault", "accept"],
        &["vault", "backup", "x"],
    ] {
        let output = verb(&nowhere, args).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{args:?}: {}", err(&output));
        assert!(err(&output).contains("SR724"), "{args:?}: {}", err(&output));
    }
    assert!(!nowhere.exists());
    let (code, _, err) = vault.plain(&["credentials", "list"]);
    assert!(code == Some(78) && err.contains("SR720") && err.contains("give --vault-key"), "{err}");

    // Somebody uses it.
    let lock = fs::File::open(vault.path("state/run/lock")).unwrap();
    let _held = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).unwrap();
    let (code, _, err) = vault.with(&["credentials", "list"], "");
    assert!(code == Some(78) && err.contains("SR708"), "{err}");
    assert_eq!(vault.plain(&["vault", "slots"]).0, Some(0), "looking takes no lock");
}

#[test]
fn many_large_values_are_imported() {
    let vault = Vault::new();
    let secrets = vault.path("secrets");
    fs::create_dir(&secrets).unwrap();
    for n in 0..63 {
        let value = format!("{VALUE}{n}").repeat(16 * 1024 / (VALUE.len() + 2) - 1);
        fs::write(secrets.join(format!("key-{n}")), value).unwrap();
    }
    let at = secrets.display().to_string();
    vault.done(&["credentials", "import", &at], "");
    assert_eq!(vault.names().len(), 63);
    // One that makes them too many is refused, here as in a session.
    let (code, _, err) =
        vault.with(&["credentials", "put", "MORE"], &VALUE.repeat(65_536 / VALUE.len()));
    assert_eq!(code, Some(77), "{err}");
    assert!(err.contains("SR726"), "{err}");
    assert_eq!(vault.names().len(), 63);
}
