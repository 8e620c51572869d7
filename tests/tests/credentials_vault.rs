//! The vault's life: made, opened, changed, damaged, put back; and what a
//! session takes over from its place (attacks.md 2.6: K04, K47).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use strongroom_tests::outside::{own, random_name};
use strongroom_tests::secrets::{hash, holds, policy};
use strongroom_tests::{Place, Session, Setup, Values, places, processes};

/// A state folder with a vault, and a key for it.
struct Box {
    setup: Setup,
    key: PathBuf,
}

impl Box {
    fn new(place: Place) -> Self {
        let setup = Setup::new(place);
        let text = policy(&setup);
        let key = setup.path("vault.key");
        // Who starts Strongroom keeps its key where nobody else can look.
        let keys = setup.path("keys");
        fs::create_dir(&keys).unwrap();
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o700)).unwrap();
        own(&keys, place.starter());
        let this = Self { setup: setup.policy(&text), key: keys.join(key.file_name().unwrap()) };
        let key = this.key.to_str().unwrap().to_owned();
        good(&this.by_operator(&["vault", "init", "--new-key", &key], b""));
        this
    }

    /// An operator's line, no session running.
    fn by_operator(&self, args: &[&str], input: &[u8]) -> Output {
        let file = self.setup.path(&random_name("in"));
        fs::write(&file, input).unwrap();
        let mut command =
            self.setup.place.command(strongroom_tests::setup::programs().join("strongroom"));
        command.args(args).arg("--state").arg(self.setup.path("state")).env_clear();
        command.stdin(File::open(&file).unwrap()).output().unwrap()
    }

    fn with_key(&self, args: &[&str], input: &[u8]) -> Output {
        let key = self.key.to_str().unwrap();
        self.by_operator(&[args, &["--vault-key", key]].concat(), input)
    }

    fn put(&self, name: &str, value: &str) {
        good(&self.with_key(&["credentials", "put", name], value.as_bytes()));
    }

    /// The vault file.
    fn file(&self) -> PathBuf {
        self.setup.path("state/broker/vault")
    }

    fn again(&self) -> Setup {
        self.setup.again().args(["--vault-key".as_ref(), self.key.as_os_str()])
    }

    /// Starts with an agent that ends at once: status, and what was said.
    fn tried(&self, setup: Setup) -> (i32, String) {
        said(&setup.agent(["true"]).run())
    }
}

#[track_caller]
fn good(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

fn said(output: &Output) -> (i32, String) {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.code().unwrap_or(-1), text)
}

#[track_caller]
fn refused((status, text): &(i32, String), code: &str) {
    assert!(*status == 78 && text.contains(code), "wanted {code}: {status} {text}");
}

#[track_caller]
fn ended(mut session: Session) -> Session {
    session.dismiss();
    assert_eq!(session.ends_within(Duration::from_secs(8)), 0, "{}", session.log());
    session
}

#[track_caller]
fn has(session: &Session, value: &str) {
    let told = session.reveal("alpha", &[]);
    assert_eq!(told.get("ALPHA_TOKEN"), Some(&hash(value.as_bytes())), "{told:?}");
}

places! {
    /// Entered without a session, used in one, changed there, kept for the
    /// next; the file and its folder show nothing.
    all within 30 fn kept(place) {
        let vault = Box::new(place);
        let values = Values::new();
        vault.put("ALPHA_TOKEN", values.of("ALPHA_TOKEN"));
        let session = vault.again().start();
        has(&session, values.of("ALPHA_TOKEN"));
        session.enter("BETA_TOKEN", values.of("BETA_TOKEN"));
        session.enter("ALPHA_TOKEN", values.of("FILE_KEY"));
        has(&session, values.of("FILE_KEY"));
        assert!(session.operator(&["credentials", "revoke", "BETA_TOKEN"]).status.success());
        let session = ended(session).again();
        has(&session, values.of("FILE_KEY"));
        let reveal = session.setup().tool("reveal");
        session.exec(&[&reveal, "both", "x"]).refused("SR105", 77);
        values.none_beneath(&session.state);
        let mode = fs::metadata(session.state.join("broker/vault")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        session.end();
        let list = vault.with_key(&["credentials", "list", "--json"], b"");
        good(&list);
        assert!(said(&list).1.contains("BETA_TOKEN"), "{list:?}");
        values.none_in(&said(&list).1);
    }

    /// The broker is killed while values are entered: each one that was
    /// confirmed is there, and the vault opens.
    all within 30 fn broker_killed(place) {
        let vault = Box::new(place);
        let value = Values::new();
        vault.put("ALPHA_TOKEN", value.of("ALPHA_TOKEN"));
        let mut session = vault.again().start();
        session.enter("BETA_TOKEN", value.of("BETA_TOKEN"));
        let broker = session.process("strongroom-broker").unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(broker.pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        assert_eq!(session.ends_within(Duration::from_secs(3)), 70);
        let next = session.again();
        has(&next, value.of("ALPHA_TOKEN"));
        assert!(next.reveal("both", &[]).contains_key("BETA_TOKEN"));
    }

    /// Wrong key, no key, no vault, damage, another session: nothing starts,
    /// each by its code.
    all within 30 fn refused_to_start(place) {
        let vault = Box::new(place);
        vault.put("ALPHA_TOKEN", Values::new().of("ALPHA_TOKEN"));
        let (status, text) = vault.tried(vault.again());
        assert_eq!(status, 0, "{text}");
        refused(&vault.tried(vault.setup.again()), "SR720");
        let wrong = vault.key.with_file_name("wrong");
        let key = fs::read(&vault.key).unwrap();
        let mut other = key.clone();
        other[3] ^= 1;
        fs::write(&wrong, &other).unwrap();
        own(&wrong, place.starter());
        refused(&vault.tried(vault.setup.again().args(["--vault-key".as_ref(), wrong.as_os_str()])), "SR720");
        let nowhere = vault.setup.path("nonesuch");
        assert_eq!(vault.tried(vault.setup.again().args(["--vault-key".as_ref(), nowhere.as_os_str()])).0, 78);
        let whole = fs::read(vault.file()).unwrap();
        for (at, cut) in [(9, false), (whole.len() / 2, false), (whole.len() - 1, false), (0, true), (whole.len() - 40, true)] {
            let mut bytes = whole.clone();
            if cut { bytes.truncate(at) } else { bytes[at] ^= 0x20 }
            fs::write(vault.file(), &bytes).unwrap();
            let (status, text) = vault.tried(vault.again());
            assert!(status == 78 && (text.contains("SR721") || text.contains("SR720")), "{at} {cut}: {status} {text}");
        }
        fs::write(vault.file(), &whole).unwrap();
        assert_eq!(vault.tried(vault.again()).0, 0);
        let running = vault.again().start();
        refused(&vault.tried(vault.again()), "SR708");
        let out = vault.with_key(&["vault", "rekey"], b"");
        assert!(said(&out).0 == 78 && said(&out).1.contains("SR708"), "{out:?}");
        running.end();
        fs::remove_file(vault.file()).unwrap();
        let (status, text) = vault.tried(vault.again());
        assert!(status == 78 && (text.contains("SR724") || text.contains("SR721")), "{status} {text}");
    }

    /// An older file that is put back is noticed, and taken when the operator
    /// says so, on the record.
    all within 30 fn an_older_file(place) {
        let vault = Box::new(place);
        let (first, second) = (Values::new(), Values::new());
        vault.put("ALPHA_TOKEN", first.of("ALPHA_TOKEN"));
        let session = vault.again().start();
        let older = fs::read(vault.file()).unwrap();
        session.enter("ALPHA_TOKEN", second.of("ALPHA_TOKEN"));
        let _ = ended(session);
        let newer = fs::read(vault.file()).unwrap();
        assert_ne!(older, newer);
        fs::write(vault.file(), &older).unwrap();
        refused(&vault.tried(vault.again()), "SR722");
        // What is put back in turn is fine.
        fs::write(vault.file(), &newer).unwrap();
        let session = vault.again().start();
        has(&session, second.of("ALPHA_TOKEN"));
        let _ = ended(session);
        fs::write(vault.file(), &older).unwrap();
        refused(&vault.tried(vault.again()), "SR722");
        good(&vault.with_key(&["vault", "accept"], b""));
        let session = vault.again().start();
        has(&session, first.of("ALPHA_TOKEN"));
        let _ = ended(session);
        // Both refusals and what was accepted are on record.
        let verified = vault.by_operator(&["audit", "verify"], b"");
        assert!(verified.status.success(), "{verified:?}");
        let shown = |event| said(&vault.by_operator(&["audit", "show", "--event", event], b"")).1;
        assert_eq!(shown("violation").matches("SR722").count(), 2);
        assert_eq!(shown("vault-accepted").lines().count(), 1);
    }

    /// A folder that cannot be written: the change is refused, what there is
    /// stays in use.
    all within 20 fn cannot_be_written(place) {
        let vault = Box::new(place);
        let values = Values::new();
        vault.put("ALPHA_TOKEN", values.of("ALPHA_TOKEN"));
        let session = vault.again().start();
        let folder = session.state.join("broker");
        let before = fs::metadata(&folder).unwrap().permissions();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
        let put = session.operator_with(&["credentials", "put", "ALPHA_TOKEN"], values.of("BETA_TOKEN").as_bytes());
        assert!(!put.status.success() && said(&put).1.contains("SR725"), "{put:?}");
        has(&session, values.of("ALPHA_TOKEN"));
        fs::set_permissions(&folder, before).unwrap();
        session.enter("ALPHA_TOKEN", values.of("BETA_TOKEN"));
        has(&session, values.of("BETA_TOKEN"));
        session.end();
    }

    /// Slots, a new root key, backup and restore: each key opens what it
    /// should, and nothing else does.
    all within 40 fn slots_and_backups(place) {
        let vault = Box::new(place);
        let values = Values::new();
        vault.put("ALPHA_TOKEN", values.of("ALPHA_TOKEN"));
        let second = vault.key.with_file_name("second").display().to_string();
        good(&vault.with_key(&["vault", "slot", "add", "--label", "second", "--new-key", &second], b""));
        let slots = said(&vault.by_operator(&["vault", "slots", "--json"], b"")).1;
        assert!(slots.contains("second") && slots.contains("first"), "{slots}");
        let by = |key: &str| vault.tried(vault.setup.again().args(["--vault-key", key])).0;
        assert_eq!(by(&second), 0);
        let backup = vault.key.with_file_name("backup").display().to_string();
        good(&vault.with_key(&["vault", "backup", &backup], b""));
        values.none_in(&String::from_utf8_lossy(&fs::read(&backup).unwrap()));
        good(&vault.with_key(&["vault", "rekey"], b""));
        assert_eq!((by(&second), by(vault.key.to_str().unwrap())), (78, 0));
        vault.put("ALPHA_TOKEN", values.of("BETA_TOKEN"));
        good(&vault.with_key(&["vault", "restore", &backup], b""));
        good(&vault.with_key(&["vault", "accept"], b""));
        let session = vault.again().start();
        has(&session, values.of("ALPHA_TOKEN"));
        let _ = ended(session);
        assert_eq!(by(&second), 0);
        good(&vault.with_key(&["vault", "slot", "remove", "1"], b""));
        let last = vault.with_key(&["vault", "slot", "remove", "0"], b"");
        assert!(!last.status.success(), "{last:?}");
    }

    /// By passphrase, through a descriptor.
    rootless within 60 fn by_passphrase(place) {
        let setup = Setup::new(place);
        let text = policy(&setup);
        let vault = Box { key: setup.path("x"), setup: setup.policy(&text) };
        let phrase = b"a phrase of the tests 4711";
        good(&vault.by_operator(&["vault", "init", "--new-passphrase-fd", "0"], phrase));
        let run = |phrase: &[u8]| {
            let file = vault.setup.path("phrase");
            fs::write(&file, phrase).unwrap();
            let setup = vault.setup.again().args(["--vault-passphrase-fd", "0"]).agent(["true"]);
            said(&setup.command().stdin(File::open(file).unwrap()).output().unwrap())
        };
        let (status, text) = run(phrase);
        assert_eq!(status, 0, "{text}");
        refused(&run(b"another phrase of the tests"), "SR720");
    }

    /// A folder as Docker and Kubernetes mount secrets, and as systemd does;
    /// a descriptor; the start's environment, out of which it is moved (K04).
    all within 30 fn taken_over(place) {
        let values = Values::new();
        let setup = Setup::new(place);
        let text = policy(&setup);
        let setup = setup.policy(&text);
        for (folder, file, name) in [("secrets", "alpha-token", "ALPHA_TOKEN"), ("systemd", "file.key", "FILE_KEY")] {
            let folder = setup.path(folder);
            // Kubernetes: the file is a link into `..data`, a link itself.
            fs::create_dir_all(folder.join("..2026/x")).unwrap();
            fs::write(folder.join("..2026").join(file), format!("{}\n", values.of(name))).unwrap();
            fs::write(folder.join("unknown"), "left alone").unwrap();
            symlink("..2026", folder.join("..data")).unwrap();
            symlink(format!("..data/{file}"), folder.join(file)).unwrap();
            for path in [folder.join("..2026").join(file), folder.join("..2026"), folder.clone()] {
                own(&path, place.starter());
                let mode = if path.is_dir() { 0o700 } else { 0o400 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        let session = setup
            .again()
            .args(["--credentials".as_ref(), setup.path("secrets").as_os_str()])
            .env("CREDENTIALS_DIRECTORY", setup.path("systemd").to_str().unwrap())
            .env("BETA_TOKEN", values.of("BETA_TOKEN"))
            .start();
        let told = session.reveal("both", &[]);
        for name in ["ALPHA_TOKEN", "BETA_TOKEN"] {
            assert_eq!(told[name], hash(values.of(name).as_bytes()), "{name}");
        }
        session.write("f", "", "${credentials.FILE_KEY|raw}").ok();
        assert_eq!(session.reveal("file", &["f"])["f read"], hash(values.of("FILE_KEY").as_bytes()));
        values.none_in(&session.log());
        assert!(session.log().contains("unknown"), "{}", session.log());
        // Nowhere in the processes that are left of the start.
        let mut all = processes::beneath(session.pid);
        all.extend(processes::look(session.pid));
        assert!(all.len() > 3);
        for process in all {
            for file in ["environ", "cmdline"] {
                let bytes = fs::read(format!("/proc/{}/{file}", process.pid)).unwrap_or_default();
                for (name, value) in values.all() {
                    assert!(!holds(&bytes, value.as_bytes()), "{name} in {file} of {process:?}");
                }
            }
        }
        assert_eq!(fs::read(format!("/proc/{}/environ", session.pid)).unwrap_or_default(), b"");
        let agents = session.agent("env; cat /proc/*/environ 2>/dev/null; true");
        values.none_in(&agents.everything());
        values.none_beneath(&session.state);
        session.end();
    }

    /// Two sources of one name: nobody could tell which holds.
    all fn two_sources(place) {
        let setup = Setup::new(place);
        let text = policy(&setup);
        let setup = setup.policy(&text);
        let value = random_name("v");
        let folder = setup.path("secrets");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("ALPHA_TOKEN"), &value).unwrap();
        for path in [folder.join("ALPHA_TOKEN"), folder.clone()] {
            own(&path, place.starter());
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        let run = setup.again().args(["--credentials".as_ref(), folder.as_os_str()]).env("ALPHA_TOKEN", &value).agent(["true"]).run();
        refused(&said(&run), "SR711");
        assert!(!said(&run).1.contains(&value));
        // In a folder that commands can read it is no secret.
        let run = setup.again().args(["--credentials".as_ref(), setup.path("ws").as_os_str()]).agent(["true"]);
        setup.put("beta-token", &value);
        refused(&said(&run.run()), "SR711");
    }
}

/// What opens the vault is not left in the arguments, memory or files of
/// anything (root only: it looks at everybody's memory).
#[test]
fn the_key_is_nowhere_else() {
    if !strongroom_tests::place::is_root() {
        return strongroom_tests::limit::skip("it needs root");
    }
    let vault = Box::new(Place::Full);
    let session = vault.again().start();
    let key = fs::read(&vault.key).unwrap();
    let key = key.trim_ascii().to_vec();
    session.exec(&["true"]).ok();
    let broker = session.process("strongroom-broker").unwrap().pid;
    for process in processes::beneath(session.pid)
        .iter()
        .map(|p| p.pid)
        .chain([session.pid])
        .filter(|p| *p != broker)
    {
        for chunk in strongroom_tests::memory::of(process) {
            assert!(!holds(&chunk, &key), "in {process}");
        }
    }
    let _ = Command::new("true").status();
    session.end();
}
