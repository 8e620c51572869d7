//! Nothing outlives its command (attacks.md P07 to P10, invariant I3).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use strongroom_tests::{Session, eventually, places, processes};

const SOON: Duration = Duration::from_millis(250);

places! {
    /// P07: daemons of every kind are gone when the command has ended.
    all fn daemons(place) {
        let session = Session::new(place);
        let mark = format!("{}-daemon", session.mark);
        for script in [
            "(setsid nohup sleep 300.MARK >/dev/null 2>&1 &)",
            "sh -c '(sleep 300.MARK & ) & ' & sleep 0.02",
            "setsid -f sleep 300.MARK",
            "(trap '' TERM HUP INT; cd /; exec setsid sleep 300.MARK) >/dev/null 2>&1 & sleep 0.02",
        ] {
            let helper = session.in_ws(&mark);
            std::fs::copy("/usr/bin/sleep", &helper).unwrap();
            let script = script.replace("sleep 300.MARK", &format!("{helper} 300"));
            session.sh(&script).ok();
            let left = processes::marked(&mark);
            assert!(left.is_empty(), "{script}: {left:#?}");
        }
        // Positive control: while its command runs, a daemon runs.
        let helper = session.in_ws(&mark);
        let job = session.spawn(&[], &["sh", "-c", &format!("setsid -f {helper} 300; sleep 0.5")], b"");
        assert!(eventually(Duration::from_secs(2), || !processes::marked(&mark).is_empty()), "the daemon never ran");
        session.wait(&job).ok();
        assert!(eventually(SOON, || processes::marked(&mark).is_empty()));
        session.end();
    }

    /// P08: who keeps a pipe open holds nobody up, and all output is there.
    all fn descriptor_holders(place) {
        let session = Session::new(place);
        for script in [
            "echo done; setsid sleep 300 & exit 0",
            "echo done; setsid sleep 300 >/dev/null & exit 0",
            "echo done; (sleep 300 <&0 &) ; exit 0",
        ] {
            let began = Instant::now();
            let ran = session.sh(script);
            assert_eq!(ran.ok().text(), "done");
            assert!(began.elapsed() < Duration::from_millis(1500), "{script}: {:?}", began.elapsed());
        }
    }

    /// P09: two hundred daemons that go on forking while they are killed.
    all within 30 fn fork_race(place) {
        let session = Session::new(place);
        let helper = session.hostile("daemons");
        for round in 0..3 {
            let ran = session.exec(&[helper.as_str(), "150", "x"]);
            // Or it is ended for being too many; then they are as dead.
            assert!(ran.exit == 0 || ran.code() == "SR204", "{ran:?}");
            let left = processes::marked(&format!("{}/ws/hostile-daemons", session.mark));
            assert!(left.is_empty(), "round {round}: {} left", left.len());
        }
        session.exec(&["true"]).ok();
        session.end();
    }

    /// P10: no hiding behind a reaper of one's own.
    all fn reaper_in_the_middle(place) {
        let session = Session::new(place);
        let steps = session.attack("subreaper", &[]).ok().steps();
        assert!(steps.of("subreaper") < 0, "a command may not adopt orphans");
        let left = processes::marked(&format!("{}/ws/hostile-subreaper", session.mark));
        assert!(left.is_empty(), "{left:#?}");
        let zombies = processes::all().into_iter().filter(|p| p.state == 'Z' && p.parent == session.pid).count();
        assert_eq!(zombies, 0);
    }

    /// P12, P13: deaf and stopped trees end at the deadline.
    all within 20 fn deaf_and_stopped(place) {
        let session = Session::new(place);
        let helper = session.hostile("stubborn");
        let began = Instant::now();
        session.exec_with(&["--timeout", "300ms"], &[helper]).refused("SR201", 124);
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        assert!(processes::marked(&format!("{}/ws/hostile-stubborn", session.mark)).is_empty());
        for script in ["kill -STOP $$", "sleep 300 & kill -STOP 0", "trap '' TERM INT HUP; while :; do sleep 1; done"] {
            session.exec_with(&["--timeout", "200ms"], &["sh", "-c", script]).refused("SR201", 124);
        }
        session.end();
    }

    /// The client goes away: so does the command, with all it started.
    all fn client_gone(place) {
        let session = Session::new(place);
        let helper = session.hostile("stubborn");
        let job = session.spawn(&[], &[helper], b"");
        session.until_runs("hostile-stubborn");
        let client = session.process("strongroom exec").unwrap();
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(client.pid), Signal::SIGKILL);
        let mark = format!("{}/ws/hostile-stubborn", session.mark);
        let gone = || {
            processes::marked(&mark)
                .iter()
                .all(|p| p.cmdline.starts_with("strongroom") || p.cmdline.starts_with("/bin/sh"))
        };
        assert!(eventually(Duration::from_secs(2), gone), "{:#?}", processes::marked(&mark));
        session.wait(&job).exits(137);
        session.exec(&["true"]).ok();
    }

    /// One command's end is nobody else's: a sibling goes on.
    all fn siblings_go_on(place) {
        let session = Session::new(place);
        let sibling = session.spawn(&[], &["sh", "-c", "sleep 1.5; echo whole"], b"");
        session.until_runs("sleep 1.5");
        let helper = session.hostile("daemons");
        session.exec(&[helper.as_str(), "30", "x"]).ok();
        let _ = session.exec(&["sh", "-c", "kill -9 -1"]);
        let ran = session.wait(&sibling);
        assert_eq!(ran.ok().text(), "whole");
    }
}
