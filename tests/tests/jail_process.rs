//! A command and processes outside its jail (attacks.md 2.2).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use strongroom_tests::ran::Steps;
use strongroom_tests::{Place, Session, Setup, eventually, places, processes};

const REFUSED: &[i32] = &[Errno::EPERM as i32, Errno::ENOSYS as i32, Errno::ESRCH as i32];
const CLOSED: &[i32] =
    &[Errno::EPERM as i32, Errno::EACCES as i32, Errno::ENOENT as i32, Errno::ESRCH as i32];

places! {
    /// P01, P02, F15: ptrace, its relatives, and /proc/PID.
    all fn taking_hold(place) {
        let session = Session::new(place);
        let victim = session.victim();
        let broker = session.process("strongroom-broker").unwrap().pid.to_string();
        let pid = victim.pid().to_string();
        for target in [&pid, &broker, &session.pid.to_string()] {
            let steps = session.attack("grab", &[target]).ok().steps();
            for (step, _) in steps.0.iter().filter(|(step, _)| *step != "pidfd_open") {
                steps.fails(step, CLOSED);
            }
        }
        victim.unharmed();
        let control = session.unjailed("grab", &[&pid]);
        for step in ["attach", "open-environ", "open-mem", "open-map_files", "pidfd_getfd"] {
            control.works(step);
        }
        victim.unharmed();
        assert!(processes::look(session.pid).is_some());
    }

    /// P03: signals by pid, thread, group, everybody.
    all fn signals(place) {
        let session = Session::new(place);
        let victim = session.victim();
        let sibling = session.spawn(&[], &["sleep", "5.25"], b"");
        let sleeping = session.until_runs("sleep 5.25");
        for target in [victim.pid(), sleeping.pid, session.pid, session.process("strongroom-broker").unwrap().pid] {
            let steps = session.attack("signals", &[&target.to_string()]).steps();
            assert_eq!((steps.of("control"), steps.of("control-signal")), (0, 15));
            victim.unharmed();
            assert!(processes::alive(&sleeping), "the sibling is dead");
        }
        assert!(processes::look(session.pid).is_some());
        session.wait(&sibling).ok();
        // Unjailed, the same program ends it.
        let doomed = session.victim();
        let _ = session.unjailed("signals", &[&doomed.pid().to_string(), "only"]);
        let dead = || processes::look(doomed.pid()).is_none_or(|p| p.state == 'Z');
        assert!(eventually(Duration::from_secs(2), dead), "the control does nothing");
        drop((victim, doomed));
        session.end();
    }

    /// P04: signals that the kernel sends for somebody.
    all fn signals_by_io(place) {
        let session = Session::new(place);
        let victim = session.victim();
        let steps = session.attack("sigio", &[&victim.pid().to_string()]).ok().steps();
        steps.works("ring");
        std::thread::sleep(Duration::from_millis(50));
        victim.unharmed();
        let doomed = session.victim();
        let _ = session.unjailed("sigio", &[&doomed.pid().to_string()]);
        let dead = || processes::look(doomed.pid()).is_none_or(|p| p.state == 'Z');
        assert!(eventually(Duration::from_secs(2), dead), "the control does nothing");
    }

    /// P06: nobody else is starved or pinned.
    all fn scheduling(place) {
        let session = Session::new(place);
        let victim = session.victim();
        let broker = session.process("strongroom-broker").unwrap().pid;
        for target in [victim.pid(), broker] {
            let steps = session.attack("schedule", &[&target.to_string()]).ok().steps();
            steps.works("control-affinity");
            steps.works("control-nice");
            for step in ["affinity", "idle", "setattr", "nice", "nice-user", "nice-group", "ioprio", "nofile", "cpu"] {
                steps.fails(step, REFUSED);
            }
        }
        victim.unharmed();
        let doomed = session.victim();
        assert!(session.unjailed("schedule", &[&doomed.pid().to_string(), "only"]).of("nofile") >= 0);
    }

    /// P26, Y26: who a command is, as the kernel sees it: never root, no
    /// group, no capability, no_new_privs, filters on.
    all fn identity(place) {
        let session = Session::new(place);
        let status = session.exec(&["cat", "/proc/self/status"]).ok().text();
        let agents = session.agent("cat /proc/self/status").ok().text();
        for status in [status, agents] {
            let field = |name: &str| {
                let line = status.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{name}: {status}"));
                line[name.len() + 1..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
            };
            let uid = place.sandbox().to_string();
            assert_eq!(field("Uid"), [&*uid; 4]);
            assert_eq!(field("Gid"), [&*uid; 4]);
            assert!(field("Groups").iter().all(|g| *g == uid), "{:?}", field("Groups"));
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert_eq!(field(set), ["0000000000000000"], "{set}");
            }
            assert_eq!(field("NoNewPrivs"), ["1"]);
            assert_eq!(field("Seccomp"), ["2"]);
            assert_eq!(field("TracerPid"), ["0"]);
            assert_eq!(field("Threads"), ["1"]);
            let caught = u64::from_str_radix(&field("SigBlk")[0], 16).unwrap();
            assert_eq!(caught, 0, "signals are blocked");
        }
        assert_eq!(session.exec(&["id", "-u"]).ok().text(), place.sandbox().to_string());
        // A set-id program of the system gains nothing.
        let ran = session.sh("for p in /usr/bin/su /usr/bin/mount /usr/bin/passwd /bin/su; do test -u $p && $p --version >/dev/null 2>&1; done; id -u");
        assert_eq!(ran.text(), place.sandbox().to_string());
    }

    /// P14: how a command ended is told exactly.
    all fn exit_statuses(place) {
        let session = Session::new(place);
        let exits = session.hostile("exits");
        for status in [0, 1, 2, 70, 77, 124, 125, 126, 127, 128, 137, 255] {
            let ran = session.exec(&[exits.clone(), status.to_string()]);
            ran.exits(status);
            assert_eq!((ran.code(), &ran.json["signal"]), ("", &serde_json::Value::Null), "{ran:?}");
        }
        session.exec(&[exits.clone(), "256".to_owned()]).exits(0);
        for (signal, name) in [(1, "HUP"), (6, "ABRT"), (9, "KILL"), (11, "SEGV"), (13, "PIPE"), (15, "TERM")] {
            let ran = session.exec(&[exits.clone(), format!("-{signal}")]);
            ran.exits(128 + signal);
            assert!(ran.json["signal"].as_str().is_some_and(|s| s.ends_with(name)), "{ran:?}");
        }
        // Its own status counts though children go on writing.
        let ran = session.sh("(for i in 1 2 3; do echo late; sleep 0.02; done) & exit 5");
        ran.exits(5);
    }

    /// P17, P19: the agent has the operator's terminal as its streams, and can
    /// neither type into it nor take it; a command has none.
    all fn terminals(place) {
        let setup = Setup::new(place);
        let helper = setup.path("ws/tty");
        fs::copy(strongroom_tests::hostile("tty"), &helper).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        let script = "./tty; strongroom exec -- ./tty </dev/tty; strongroom exec -- ./tty; stty -a";
        let setup = setup.agent(["/bin/sh", "-c", script]);
        let pty = nix::pty::openpty(None, None).unwrap();
        nix::unistd::fchown(&pty.slave, Some(place.sandbox().into()), None).unwrap();
        let before = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut child = setup.command().stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        strongroom_tests::limit::started(child.id());
        let mut master = fs::File::from(pty.master.try_clone().unwrap());
        let reader = std::thread::spawn(move || {
            let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(n @ 1..) = master.read(&mut buffer) {
                text.extend_from_slice(&buffer[..n]);
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        child.wait().unwrap();
        let after = nix::sys::termios::tcgetattr(&pty.slave).unwrap();
        assert_eq!((before.local_flags, before.input_flags), (after.local_flags, after.input_flags));
        drop(pty);
        // The last end is in the command that made it.
        drop(setup);
        let text = reader.join().unwrap();
        let (agent, command) = text.split_at(text.rfind("terminal ").unwrap());
        for (text, has) in [(agent, 1), (command, 0)] {
            let steps = Steps::read(&text.replace('\r', ""));
            assert_eq!(steps.of("terminal"), has, "{text}");
            for step in ["sti", "sti-high", "linux", "cons", "setd", "sctty"] {
                steps.fails(step, &[Errno::EPERM as i32]);
            }
            assert!(steps.of("dev-tty") < 0 && steps.of("ptmx") < 0, "{text}");
        }
        assert_eq!(Steps::read(&agent.replace('\r', "")).of("control-size"), 0);
        assert!(!text.contains("X\r") && !text.contains("\nX"), "something was typed: {text}");
    }

    /// P20: no core, wherever it would land.
    all fn no_core(place) {
        let session = Session::new(place);
        let exits = session.hostile("exits");
        for signal in [3, 6, 11] {
            session
                .sh(&format!(
                    "ulimit -c unlimited 2>/dev/null; cd $TMPDIR; cp {exits} e; ./e -{signal}; ls core* 2>/dev/null"
                ))
                .exits(2);
            session.exec(&[exits.clone(), format!("-{signal}")]).exits(128 + signal);
        }
        let cores: Vec<_> = fs::read_dir(&session.ws)
            .unwrap()
            .filter_map(Result::ok)
            .map(|e| e.file_name())
            .filter(|n| n.to_string_lossy().starts_with("core"))
            .collect();
        assert!(cores.is_empty(), "{cores:?}");
    }

    /// P28: no System V or POSIX IPC, neither theirs nor ours.
    all fn ipc(place) {
        let session = Session::new(place);
        let before = fs::read_to_string("/proc/sysvipc/shm").unwrap();
        let steps = session.attack("ipc", &["0x5151"]).ok().steps();
        for step in ["shmget", "shmat", "shm-new", "semget", "msgget", "mq_open"] {
            steps.fails(step, REFUSED);
        }
        assert_eq!(fs::read_to_string("/proc/sysvipc/shm").unwrap(), before);
    }

    /// P31, P32, Y04, Y05: no namespaces, by any call or flag.
    all fn namespaces(place) {
        let session = Session::new(place);
        let steps = session.attack("namespaces", &[]).ok().steps();
        steps.works("control-clone");
        steps.fails("clone3", &[Errno::ENOSYS as i32]);
        for (step, _) in steps.0.iter().filter(|(s, _)| *s != "control-clone") {
            steps.fails(step, &[Errno::EPERM as i32, Errno::ENOSYS as i32]);
        }
        assert!(steps.0.len() >= 25);
        session.exec(&["unshare", "-Ur", "id"]).exits(1);
    }

    /// P33: a vfork child that is stopped ends at the deadline all the same.
    all fn stopped_in_vfork(place) {
        let session = Session::new(place);
        let helper = session.hostile("vfork_stop");
        let ran = session.exec_with(&["--timeout", "300ms"], &[helper]);
        ran.refused("SR201", 124);
        assert_eq!(ran.text(), "stopping");
        assert!(processes::marked("hostile-vfork_stop").iter().all(|p| !p.cmdline.contains(&session.mark)));
    }

    /// P16: children left unreaped are gone with their command, and the
    /// supervisor has no zombie.
    all fn zombies(place) {
        let session = Session::new(place);
        let ran = session.attack("zombies", &["400"]);
        assert!(ran.ok().steps().of("made") >= 100, "{ran:?}");
        let zombies = || processes::all().into_iter().filter(|p| p.state == 'Z' && p.parent == session.pid).count();
        assert!(eventually(Duration::from_secs(1), || zombies() == 0));
        session.end();
    }

    /// P35: arguments are for everybody to read, so nothing secret is there;
    /// and a name is a name only: nothing is decided by argv[0].
    all fn names_give_nothing(place) {
        let session = Session::new(place);
        let canary = session.canary();
        let script = format!("exec -a strongroom-broker cat {}", canary.path());
        let ran = session.exec(&["bash", "-c", &script]);
        ran.exits(1);
        assert!(!ran.everything().contains(&canary.secret));
        for process in processes::beneath(session.pid) {
            assert!(!process.cmdline.contains("token"), "{process:?}");
        }
        if place == Place::Full {
            let seen = session.sh("cat /proc/*/cmdline | tr '\\0' ' '").ok().text();
            assert!(!seen.contains("strongroom-broker") && !seen.contains("strongroom-supervisor"), "{seen}");
        }
    }

    /// Two commands at once cannot see or touch each other (S13).
    all fn siblings(place) {
        let session = Session::new(place);
        let first = session.spawn(&[], &["env", "sleep", "3.5"], b"");
        let sleeping = session.until_runs("sleep 3.5");
        let inside = session.sh("for p in /proc/[0-9]*; do cat $p/environ 2>/dev/null | tr '\\0' '\\n' | grep -a TMPDIR; done | sort -u | wc -l");
        // Only its own.
        assert_eq!(inside.ok().text(), "1");
        let pid = sleeping.pid.to_string();
        let steps = session.attack("grab", &[&pid]).ok().steps();
        for step in ["process_vm_readv", "pidfd_getfd", "attach", "open-environ", "open-mem", "open-fd/0"] {
            steps.fails(step, CLOSED);
        }
        assert!(processes::alive(&sleeping));
        // Their private folders are apart, too.
        let theirs = fs::read_to_string(format!("/proc/{}/environ", sleeping.pid)).unwrap();
        let tmp = theirs.split('\0').find_map(|v| v.strip_prefix("TMPDIR=")).unwrap().to_owned();
        let ran = session.sh(&format!("echo x >{tmp}/planted; ls -la {tmp}"));
        if !place.private() {
            ran.exits(2);
            assert!(!std::path::Path::new(&tmp).join("planted").exists());
        }
        let _ = session.wait(&first);
    }
}
