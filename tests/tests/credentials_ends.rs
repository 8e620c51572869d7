//! How a grant ends: by revoke and delete, by the death of whoever is part of
//! it, at the session's end (attacks.md 2.6: K47; invariants I3, I12).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strongroom_tests::processes::{self, Process};
use strongroom_tests::secrets::hash;
use strongroom_tests::{Job, Place, Session, Setup, Values, eventually, places};

const SOON: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

/// A command that holds a value in its environment and one in a sealed file.
struct Held {
    session: Session,
    values: Values,
    job: Job,
    holder: Process,
}

fn held(place: Place) -> Held {
    let (session, values) = Session::with_credentials(place);
    hold(session, values)
}

fn hold(session: Session, values: Values) -> Held {
    session.write(".env", "", "KEY=${credentials.FILE_KEY}\n").ok();
    let reveal = session.setup().tool("reveal");
    let job = session.spawn(&[], &[&reveal, "mixed+", "held", ".env"], b"");
    let told = session.revealed("held");
    assert_eq!(told["ALPHA_TOKEN"], hash(values.of("ALPHA_TOKEN").as_bytes()));
    assert_eq!(told[".env read"], hash(format!("KEY={}\n", values.of("FILE_KEY")).as_bytes()));
    let holder = session.until_runs("mixed+");
    assert!(!session.leases(".env").is_empty());
    Held { session, values, job, holder }
}

impl Held {
    /// The folder of sealed files, where it can be seen after the end.
    fn folder(&self) -> PathBuf {
        self.session.lease(".env").parent().unwrap().parent().unwrap().to_owned()
    }

    fn worker(&self) -> Process {
        let parents =
            std::iter::successors(processes::look(self.holder.pid), |p| processes::look(p.parent));
        parents.skip(1).find(|p| p.cmdline.starts_with("strongroom-worker")).unwrap()
    }
}

/// Revokes what is held; how long after the answer holder and files are gone.
fn revoking(held: &Held) -> Duration {
    assert!(held.session.operator(&["credentials", "revoke", "FILE_KEY"]).status.success());
    let answered = Instant::now();
    let gone = || !processes::alive(&held.holder) && held.session.leases(".env").is_empty();
    assert!(eventually(SECOND, gone), "{:?} {:?}", held.holder, held.session.leases(".env"));
    answered.elapsed()
}

fn kill_9(process: &Process) {
    kill(Pid::from_raw(process.pid), Signal::SIGKILL).unwrap();
}

/// Files beneath a folder of leases.
fn left(folder: &std::path::Path) -> Vec<PathBuf> {
    let list = |path: &std::path::Path| -> Vec<PathBuf> {
        fs::read_dir(path).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect()
    };
    list(folder).iter().flat_map(|f| list(f)).collect()
}

/// Ends the session from outside, and sees that the next start sweeps what was
/// left of sealed files.
fn crashed(mut held: Held, status: i32) {
    let folder = held.folder();
    assert_eq!(held.session.ends_within(2 * SECOND), status);
    held.session.leaves_nothing();
    let gone = eventually(SECOND, || left(&folder).is_empty());
    let (state, ws, place) =
        (held.session.state.clone(), held.session.ws.clone(), held.session.place);
    let files = left(&folder);
    assert!(gone || !place.private(), "{files:?}");
    let next = held.session.again();
    assert!(left(&folder).is_empty(), "{files:?} is still there");
    assert!(!folder.exists() || folder.starts_with(&state), "{}", folder.display());
    assert!(ws.join(".env").is_symlink());
    held.values.none_beneath(&ws);
    held.values.none_beneath(&state);
    next.exec(&["true"]).ok();
}

places! {
    /// Revoked: refused from now on, whoever holds it is killed, and its files
    /// are gone, within 100 ms.
    all within 20 fn revoked(place) {
        // A busy machine can make one round slow, a fault makes all of them.
        let mut rounds = Vec::new();
        let mut held = held(place);
        loop {
            rounds.push(revoking(&held));
            if rounds.last().is_some_and(|took| *took <= SOON) {
                break;
            }
            assert!(rounds.len() < 5, "after the answer: {rounds:?}");
            held.session.wait(&held.job).refused("SR604", 137);
            held.session.enter("FILE_KEY", held.values.of("FILE_KEY"));
            fs::remove_file(held.session.ws.join("held")).unwrap();
            held = hold(held.session, held.values);
        }
        let Held { session, job, .. } = &held;
        assert!(session.operator(&["credentials", "delete", "BETA_TOKEN"]).status.success());
        session.wait(job).refused("SR604", 137);
        let reveal = session.setup().tool("reveal");
        for label in ["mixed", "both", "file"] {
            session.exec(&[&reveal, label, "after"]).refused("SR105", 77);
        }
        assert!(!session.ws.join("after").exists());
        let ran = session.write("again.env", "", "KEY=${credentials.FILE_KEY}\n");
        assert!(ran.exit == 77 && ran.everything().contains("SR105"), "{ran:?}");
        assert!(!session.ws.join("again.env").exists());
        let audit = session.audit();
        let verbs: Vec<_> = audit.iter().filter_map(|l| l["verb"].as_str()).collect();
        assert!(verbs.contains(&"revoke") && verbs.contains(&"delete"), "{verbs:?}");
        assert!(audit.iter().any(|l| l["event"] == "outcome" && l["code"] == "SR604"), "{audit:#?}");
        // Who does not hold it is not disturbed; entered again it is good again.
        let value = Values::new();
        session.enter("FILE_KEY", value.of("FILE_KEY"));
        let told = session.reveal("file", &[".env"]);
        assert_eq!(told[".env read"], hash(format!("KEY={}\n", value.of("FILE_KEY")).as_bytes()));
    }

    /// Others go on when one credential is revoked.
    all fn revoked_for_holders_only(place) {
        let held = held(place);
        let Held { session, holder, job, .. } = &held;
        assert!(session.operator(&["credentials", "revoke", "BETA_TOKEN"]).status.success());
        std::thread::sleep(SOON);
        assert!(processes::alive(holder));
        fs::write(session.ws.join("held.go"), "").unwrap();
        session.wait(job).ok();
    }

    /// The worker is killed: the command goes, and its files.
    all fn worker_killed(place) {
        let held = held(place);
        kill_9(&held.worker());
        assert!(eventually(SECOND, || !processes::alive(&held.holder)));
        held.session.wait(&held.job).refused("SR402", 125);
        let left = || held.session.leases(".env");
        assert!(eventually(SECOND, || left().is_empty()), "{:?}", left());
        let told = held.session.reveal("file", &[".env"]);
        assert_eq!(told[".env read"], hash(format!("KEY={}\n", held.values.of("FILE_KEY")).as_bytes()));
    }

    /// The broker is killed: everything ends.
    all within 20 fn broker_killed(place) {
        let held = held(place);
        kill_9(&held.session.process("strongroom-broker").unwrap());
        crashed(held, 70);
    }

    /// The supervisor is killed: everything ends, and nobody is left to sweep.
    all within 20 fn supervisor_killed(place) {
        let held = held(place);
        held.session.signal(Signal::SIGKILL);
        crashed(held, 137);
    }

    /// The session ends while a command holds it.
    all within 20 fn ended(place) {
        let mut held = held(place);
        let folder = held.folder();
        held.session.signal(Signal::SIGTERM);
        assert_eq!(held.session.ends_within(8 * SECOND), 143);
        held.session.leaves_nothing();
        assert!(left(&folder).is_empty());
        assert!(!folder.exists() || folder.starts_with(&held.session.state), "{}", folder.display());
        held.values.none_beneath(&held.session.ws);
        held.values.none_beneath(&held.session.state);
    }

    /// A command that was given everything is over when its client goes away,
    /// and so is what it got.
    all fn client_gone(place) {
        let (session, values) = Session::with_credentials(place);
        session.write(".env", "", "KEY=${credentials.FILE_KEY}\n").ok();
        let reveal = session.setup().tool("reveal");
        let mut client = session.client(&[], &[&reveal, "file+", "held", ".env"]).spawn().unwrap();
        assert!(session.revealed("held")[".env read"].len() == 16);
        let holder = session.until_runs("file+");
        client.kill().unwrap();
        client.wait().unwrap();
        assert!(eventually(SECOND, || !processes::alive(&holder) && session.leases(".env").is_empty()));
        values.none_beneath(&session.ws);
    }

    /// Memory only: the next session knows none of it.
    all within 20 fn memory_only(place) {
        let values = Values::new();
        let mut session = Setup::new(place).start_with(&values);
        session.dismiss();
        assert_eq!(session.ends_within(8 * SECOND), 0);
        assert!(!session.state.join("broker/vault").exists());
        let next = session.again();
        let reveal = next.setup().tool("reveal");
        next.exec(&[&reveal, "alpha", "out"]).refused("SR105", 77);
        let list = next.operator(&["credentials", "list", "--json"]);
        let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
        assert!(list.to_string().contains("ALPHA_TOKEN"), "{list}");
        next.enter("ALPHA_TOKEN", values.of("ALPHA_TOKEN"));
        assert!(next.reveal("alpha", &[]).contains_key("ALPHA_TOKEN"));
    }
}
