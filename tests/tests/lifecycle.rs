//! Starting, ending, and the death of each process (attacks.md 2.12,
//! invariants I3, I12).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strongroom_tests::processes::{self, Process};
use strongroom_tests::{Job, Place, Session, Setup, eventually, places};

/// A session in which a command runs that ignores everything, and all
/// processes of it.
fn busy(place: Place) -> (Session, Vec<Process>) {
    let session = Session::new(place);
    let helper = session.hostile("stubborn");
    let _ = session.spawn(&[], &[helper], b"");
    session.until_runs("hostile-stubborn");
    std::thread::sleep(Duration::from_millis(100));
    let all = processes::beneath(session.pid);
    assert!(all.iter().filter(|p| p.cmdline.contains("hostile-stubborn")).count() >= 5, "{all:#?}");
    (session, all)
}

fn kill_9(process: &Process) {
    kill(Pid::from_raw(process.pid), Signal::SIGKILL).unwrap();
}

fn all_gone(all: &[Process], time: Duration) {
    let mut left = Vec::new();
    let gone = eventually(time, || {
        left = all.iter().filter(|p| processes::alive(p)).collect();
        left.is_empty()
    });
    assert!(gone, "alive after {time:?}: {left:#?}");
}

const SECOND: Duration = Duration::from_secs(1);

/// From the operator's order to the last process.
const SWITCH: Duration = Duration::from_millis(250);

places! {
    /// U01, P30: the supervisor is killed: everything goes with it.
    all fn supervisor_killed(place) {
        let (mut session, all) = busy(place);
        session.signal(Signal::SIGKILL);
        all_gone(&all, SECOND);
        assert_eq!(session.ends_within(SECOND), 137);
        session.leaves_nothing();
    }

    /// The kill switch ends all commands and the agent, whatever they ignore,
    /// and is on record.
    all fn kill_switch(place) {
        let (mut session, mut all) = busy(place);
        session.dictate("trap '' HUP INT TERM QUIT");
        all.retain(|p| !["strongroom-broker", "strongroom-recorder"].iter().any(|own| p.cmdline.starts_with(own)));
        let since = Instant::now();
        assert!(session.operator(&["kill", "--all"]).status.success());
        let answered = since.elapsed();
        all_gone(&all, SWITCH.saturating_sub(answered));
        eprintln!("answered after {answered:?}, {} processes gone after {:?}", all.len(), since.elapsed());
        assert_eq!(session.ends_within(SECOND), 137);
        let record = session.audit().into_iter().find(|line| line["order"] == "kill-all").unwrap();
        assert_eq!((&record["event"], &record["by"]), (&"order".into(), &"operator".into()));
        session.leaves_nothing();
    }

    /// I12: the broker is killed: everything ends, and the status says so.
    all fn broker_killed(place) {
        let (mut session, all) = busy(place);
        kill_9(&session.process("strongroom-broker").unwrap());
        all_gone(&all, SECOND);
        assert_eq!(session.ends_within(SECOND), 70);
        assert!(session.log().contains("SR601"), "{}", session.log());
        session.leaves_nothing();
    }

    /// The end of a session is the last thing on record, however many commands
    /// it takes along: no account is written behind it, and none is missing.
    all fn the_end_is_last(place) {
        for _ in 0..4 {
            let mut session = Session::new(place);
            let jobs: Vec<Job> = (0..6).map(|_| session.spawn(&[], &["sleep", "60"], b"")).collect();
            session.until_runs("sleep");
            session.signal(Signal::SIGTERM);
            session.ends_within(SECOND * 5);
            let lines = session.audit();
            let last = lines.iter().rfind(|line| line["writer"] != "recorder").unwrap();
            assert_eq!(last["event"], "ended", "{last}");
            let count = |event| lines.iter().filter(|line| line["event"] == event).count();
            assert_eq!(count("outcome"), count("intent"));
            assert!((1..=jobs.len()).contains(&count("intent")), "control: commands ran");
        }
    }

    /// No record, no effect: the recorder's death ends everything too.
    all fn recorder_killed(place) {
        let (mut session, all) = busy(place);
        kill_9(&session.process("strongroom-recorder").unwrap());
        all_gone(&all, SECOND);
        assert_eq!(session.ends_within(SECOND), 70);
        session.leaves_nothing();
    }

    /// A worker is killed: its command is over, with all it left; the session
    /// goes on.
    all fn worker_killed(place) {
        let session = Session::new(place);
        let helper = session.hostile("stubborn");
        let job = session.spawn(&[], &[helper], b"");
        let command = session.until_runs("hostile-stubborn");
        std::thread::sleep(Duration::from_millis(100));
        // The parent of the first of them is their worker.
        let all: Vec<Process> = processes::beneath(session.pid)
            .into_iter()
            .filter(|p| {
                p.cmdline.contains("hostile-stubborn")
                    && !p.cmdline.starts_with("strongroom exec")
                    && !p.cmdline.starts_with("/bin/sh")
            })
            .collect();
        let worker = all
            .iter()
            .map(|p| p.parent)
            .filter_map(processes::look)
            .find(|p| p.cmdline.starts_with("strongroom-worker"))
            .unwrap_or_else(|| panic!("{all:#?}"));
        assert!(processes::alive(&command));
        kill_9(&worker);
        all_gone(&all, SECOND);
        session.wait(&job).refused("SR402", 125);
        session.exec(&["true"]).ok();
        session.end();
    }

    /// A zygote is killed: its profile is of no use any more, told by a code;
    /// the session ends in order.
    all fn zygotes_killed(place) {
        let session = Session::new(place);
        session.exec(&["true"]).ok();
        let zygotes: Vec<Process> = processes::all()
            .into_iter()
            .filter(|p| p.parent == session.pid && p.cmdline.starts_with("strongroom-worker"))
            .collect();
        let oldest = zygotes.iter().map(|p| p.started).min().unwrap();
        // The first ones, before any worker: started with the broker.
        let count = zygotes.len();
        for zygote in zygotes.iter().filter(|p| p.started <= oldest + 3) {
            let _ = kill(Pid::from_raw(zygote.pid), Signal::SIGKILL);
        }
        assert!(count >= 2);
        let mut session = session;
        // Either the agent's own is among them and all ends, or commands are
        // refused with a code; nobody hangs.
        let job = session.spawn(&[], &["true"], b"");
        let over = eventually(Duration::from_secs(3), || {
            session.home().join("x").exists() || processes::look(session.pid).is_none_or(|p| p.state == 'Z')
        });
        if !over {
            let ran = session.wait(&job);
            assert!(ran.exit == 0 || ran.exit == 125, "{ran:?}");
            session.dismiss();
        }
        session.ends_within(Duration::from_secs(8));
        session.leaves_nothing();
    }

    /// U05: asked to end, it ends: the agent first, then what is left; the
    /// log is closed; asking twice does no harm.
    all fn terminated(place) {
        let (mut session, all) = busy(place);
        let began = Instant::now();
        session.signal(Signal::SIGTERM);
        session.signal(Signal::SIGTERM);
        assert_eq!(session.ends_within(Duration::from_secs(5)), 143);
        assert!(began.elapsed() < Duration::from_secs(5));
        all_gone(&all, SECOND);
        let mut lines = session.audit();
        lines.retain(|l| l["writer"] != "recorder");
        let events: Vec<String> =
            lines.iter().filter_map(|l| l["event"].as_str().map(str::to_owned)).collect();
        assert_eq!(events.first().map(String::as_str), Some("began"), "{events:?}");
        let count = |event: &str| events.iter().filter(|e| *e == event).count();
        assert_eq!((count("ended"), count("intent"), count("outcome")), (1, 1, 1), "{events:?}");
        session.leaves_nothing();
    }

    /// An agent that does not listen is given its grace, and no more.
    all fn deaf_agent(place) {
        let policy = "version = 1\nextends = [\"builtin:base\"]\n[session]\ngrace = \"700ms\"\n";
        let setup = Setup::new(place).policy(policy).agent([
            "/bin/sh",
            "-c",
            "trap '' TERM INT HUP; while :; do sleep 0.1; done",
        ]);
        let mut session = setup.launch();
        session.until_runs("sleep 0.1");
        let began = Instant::now();
        session.signal(Signal::SIGTERM);
        assert_eq!(session.ends_within(Duration::from_secs(3)), 143);
        let took = began.elapsed();
        assert!(took > Duration::from_millis(600) && took < Duration::from_millis(2500), "{took:?}");
        session.leaves_nothing();
    }

    /// The agent's own end is the session's.
    all within 20 fn agents_status(place) {
        for (script, status) in
            [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("exit 255", 255)]
        {
            let output = Setup::new(place).agent(["/bin/sh", "-c", script]).run();
            assert_eq!(output.status.code(), Some(status), "{script}: {output:?}");
        }
        let output = Setup::new(place).agent(["nonesuch-agent"]).run();
        assert_eq!(output.status.code(), Some(127), "{output:?}");
        let output = Setup::new(place).agent(["/etc/passwd"]).run();
        assert_eq!(output.status.code(), Some(126), "{output:?}");
    }

    /// U06: orphans are reaped, in the agent's jail too.
    all fn orphans(place) {
        let session = Session::new(place);
        session.agent("for i in $(seq 300); do (sleep 0 &) ; done; true").ok();
        session.agent("setsid -f sleep 55.5; true").ok();
        let zombies = || processes::all().into_iter().filter(|p| p.state == 'Z' && p.parent == session.pid).count();
        assert!(eventually(SECOND, || zombies() == 0));
        session.end();
    }

    /// U07: standard streams that are closed, or that nobody reads.
    all fn odd_streams(place) {
        for redirect in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "</dev/null >/dev/full", "<&- >/dev/null"] {
            let setup = Setup::new(place).agent(["/bin/sh", "-c", "strongroom exec -- true"]);
            let mut command = setup.command();
            let mut words: Vec<String> = vec![command.get_program().to_string_lossy().into_owned()];
            words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
            let line: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
            command = std::process::Command::new("/bin/sh");
            command
                .arg("-c")
                .arg(format!("exec {} {redirect}", line.join(" ")))
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .current_dir(setup.path("ws"));
            let mut child = command.stdin(Stdio::null()).spawn().unwrap();
            limit_started(&child);
            let mut status = None;
            assert!(
                eventually(Duration::from_secs(5), || {
                    status = child.try_wait().unwrap();
                    status.is_some()
                }),
                "{redirect} hangs"
            );
            assert_eq!(status.unwrap().code(), Some(0), "{redirect}");
        }
    }

    /// U10: what a careless or hostile parent leaves us.
    all within 20 fn inherited_state(place) {
        for (before, agent) in [
            ("trap '' CHLD PIPE TERM HUP INT; exec", "strongroom exec -- sh -c 'kill -TERM $$'; test $? = 143"),
            ("umask 000; exec", "umask | grep -q 0*22; strongroom exec -- sh -c 'umask'"),
            ("umask 777; exec", "strongroom exec -- sh -c 'echo x >f; cat f'"),
            ("ulimit -n 300; exec", "strongroom exec -- true"),
            ("ulimit -s 1024; ulimit -c unlimited; exec", "strongroom exec -- true"),
            ("exec nice -n 19", "strongroom exec -- true"),
            ("exec env --block-signal", "strongroom exec --timeout 200ms -- sleep 9; test $? = 124"),
            ("exec env --ignore-signal", "strongroom exec -- sh -c 'kill -USR1 $$'; test $? = 138"),
            ("mkdir gone; cd gone; rmdir ../gone; exec", "strongroom exec -- pwd"),
            (
                "exec 7</etc/passwd 8>>/dev/null 50</ 9</dev/null; exec",
                "strongroom exec -- sh -c 'test ! -e /proc/self/fd/7 -a ! -e /proc/self/fd/50'",
            ),
        ] {
            let setup = Setup::new(place).agent(["/bin/sh", "-c", agent]);
            let output = started_by(&setup, before);
            assert_eq!(output.status.code(), Some(0), "{before}: {output:?}");
        }
        for before in ["ulimit -f 0; exec", "ulimit -n 16; exec"] {
            let setup = Setup::new(place).agent(["/bin/true"]);
            let output = started_by(&setup, before);
            assert_eq!(output.status.code(), Some(78), "{before}: {output:?}");
        }
    }

    /// A command is asked for as soon as somebody listens, which is before all
    /// parts of the session are ready.
    all fn first_command(place) {
        for _ in 0..10 {
            let mut session = Setup::new(place).agent(["/bin/sleep", "100"]).launch();
            let deadline = Instant::now() + 5 * SECOND;
            let output = loop {
                let output = session.client(&[], &["true"]).stdin(Stdio::null()).output().unwrap();
                let nobody = String::from_utf8_lossy(&output.stderr).contains("SR503");
                if !nobody || Instant::now() > deadline {
                    break output;
                }
            };
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            session.signal(Signal::SIGTERM);
            session.ends_within(5 * SECOND);
        }
    }

    /// A workspace where each command has a folder of its own instead.
    all fn workspace_in_var_tmp(place) {
        let session = Setup::within(place, std::path::Path::new("/var/tmp")).start();
        assert!(session.ws.starts_with("/var/tmp"));
        let ran = session.sh("echo kept >here; pwd");
        assert_eq!(ran.ok().text(), session.ws.display().to_string());
        assert_eq!(std::fs::read(session.ws.join("here")).unwrap(), b"kept\n");
    }

    /// U15: one supervisor for one state folder; what a killed one left does
    /// not stop the next.
    all fn one_at_a_time(place) {
        let mut session = Session::new(place);
        let again = |session: &Session| {
            let mut command = place.command(strongroom_tests::setup::programs().join("strongroom"));
            command
                .args(["run", "--tier", place.tier(), "--state"])
                .arg(&session.state)
                .arg("--workspace")
                .arg(&session.ws);
            command
                .args(["--", "/bin/sh", "-c", "strongroom exec -- true"])
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .stdin(Stdio::null())
                .output()
                .unwrap()
        };
        let output = again(&session);
        assert_eq!(output.status.code(), Some(78));
        assert!(String::from_utf8_lossy(&output.stderr).contains("SR708"), "{output:?}");
        session.exec(&["true"]).ok();
        session.sh("echo x >$TMPDIR/left").ok();
        session.signal(Signal::SIGKILL);
        assert_eq!(session.ends_within(SECOND), 137);
        session.leaves_nothing();
        let output = again(&session);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }

    /// The tier is said at start, never lower than asked for, never higher
    /// than there is.
    all fn tiers(place) {
        let session = Session::new(place);
        assert!(session.log().contains(&format!("tier {}", place.tier())), "{}", session.log());
        let receipt = session.exec(&["true"]).json["receipt"].clone();
        assert_eq!(receipt["tier"], place.tier());
        assert_eq!(receipt["no_new_privs"], true);
        if !place.private() {
            let output = Setup::new(place)
                .policy("version = 1\nextends = [\"builtin:base\"]\n[require]\ntier = \"full\"\n")
                .run();
            assert_eq!(output.status.code(), Some(78));
            assert!(String::from_utf8_lossy(&output.stderr).contains("SR704"), "{output:?}");
        }
        let wrong = if place.separate_uids() { "rootless" } else { "container" };
        let output = Setup::new(place).args(["--tier", wrong]).run();
        assert_ne!(output.status.code(), Some(0), "{output:?}");
    }

    /// Every intent has its outcome, every spawn its exit, and both accounts
    /// tell of the same commands.
    all fn accounts(place) {
        let session = Session::new(place);
        for script in ["true", "exit 3", "kill -9 $$"] {
            let _ = session.sh(script);
        }
        session.exec(&["nonesuch"]).exits(127);
        session.exec_with(&["--timeout", "100ms"], &["sleep", "9"]).exits(124);
        let mut session = session;
        session.dismiss();
        assert_eq!(session.ends_within(Duration::from_secs(5)), 0, "{}", session.log());
        let lines = session.audit();
        let of = |event: &str| lines.iter().filter(|l| l["event"] == event).count();
        assert_eq!((of("intent"), of("outcome")), (5, 5), "{lines:#?}");
        assert_eq!(of("spawned"), of("exited"), "{lines:#?}");
        let numbers: Vec<u64> = lines.iter().filter_map(|l| l["seq"].as_u64().or(l["n"].as_u64())).collect();
        assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "{numbers:?}");
        let verified = session.operator(&["audit", "verify"]);
        assert!(verified.status.success(), "{verified:?}");
    }
}

fn limit_started(child: &std::process::Child) {
    strongroom_tests::limit::started(child.id());
}

/// Has a shell set things up and then become `strongroom run`.
fn started_by(setup: &Setup, before: &str) -> std::process::Output {
    let command = setup.command();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> =
        words.map(|w| format!("'{}'", w.to_string_lossy().replace('\'', "'\\''"))).collect();
    let mut shell = std::process::Command::new("/bin/bash");
    shell
        .arg("-c")
        .arg(format!("{before} {}", line.join(" ")))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir(setup.path("ws"));
    let child =
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    limit_started(&child);
    child.wait_with_output().unwrap()
}
