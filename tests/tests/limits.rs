//! Bounds of one command, and what its neighbours feel of one that breaks
//! them (attacks.md 2.9).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use strongroom_tests::{Session, Setup, eventually, places, processes};

/// The built-in policy with tight limits.
const TIGHT: &str = r#"
version = 1
extends = ["builtin:base"]
[profile.worker.limits]
wall = "20s"
cpu = "1s"
memory = "64MiB"
processes = 40
open-files = 100
output = "1MiB"
tmp = "8MiB"
file-size = "4MiB"
"#;

/// Runs commands until `over`; fails when one of them is refused or slow.
fn neighbours_are_served(session: &Session, over: &dyn Fn() -> bool) {
    let mut worst = Duration::ZERO;
    while !over() {
        let began = Instant::now();
        session.exec(&["true"]).ok();
        worst = worst.max(began.elapsed());
    }
    assert!(worst < Duration::from_secs(2), "a neighbour waited {worst:?}");
}

places! {
    /// R01, R02: a fork bomb ends itself; the next command starts, a sibling
    /// goes on.
    all within 30 fn fork_bomb(place) {
        let session = Setup::new(place).policy(TIGHT).start();
        let sibling = session.spawn(&[], &["sh", "-c", "sleep 3.5; echo whole"], b"");
        session.until_runs("sleep 3.5");
        let helper = session.hostile("bomb");
        let began = Instant::now();
        let bomb = session.spawn(&["--timeout", "5s"], &[helper], b"");
        session.exec(&["true"]).ok();
        let ran = session.wait(&bomb);
        assert!(matches!(ran.code(), "SR204" | "SR201" | "SR202"), "{ran:?}");
        assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
        assert_eq!(session.wait(&sibling).ok().text(), "whole");
        assert!(processes::marked(&format!("{}/ws/hostile-bomb", session.mark)).is_empty());
        session.sh("true | true | true").ok();
        session.end();
    }

    /// R03, R04: memory of every kind; nobody else is ended for it.
    all within 40 fn memory(place) {
        // A memfd is bounded by the size of a file, too: here only by memory.
        let session = Setup::new(place).policy(&TIGHT.replace("file-size", "# file-size")).start();
        for kind in ["heap", "mapping", "stack", "memfd", "children"] {
            let began = Instant::now();
            let ran = session.exec(&[session.hostile("balloon").as_str(), kind]);
            // Ended for it, refused by the kernel, or dead of the refusal.
            let bounded = ran.code() == "SR203" || [3, 139, 137].contains(&ran.exit);
            assert!(bounded, "{kind}: {ran:?}");
            let taken = ran.steps().0.get("taken").copied().unwrap_or(0);
            assert!(taken < 128, "{kind}: {taken} MiB under a limit of 64");
            let peak = ran.json["usage"]["max_rss_kib"].as_u64().unwrap();
            assert!(peak < 1024 * 1024, "{kind}: {peak} KiB at its peak");
            assert!(began.elapsed() < Duration::from_secs(6), "{kind}: {:?}", began.elapsed());
        }
        // Within the limit it works.
        session.exec(&["/usr/bin/python3", "-c", "x = bytearray(20 << 20)"]).ok();
        session.end();
    }

    /// R04, R11: memory that nobody maps, processor time that nobody waits for.
    all within 40 fn hidden_use(place) {
        let session = Setup::new(place).policy(&TIGHT.replace("file-size", "# file-size")).start();
        session.exec(&[session.hostile("hoard")]).refused("SR203", 137);
        session.exec(&[session.hostile("unreaped")]).refused("SR202", 124);
        session.exec(&["true"]).ok();
        session.end();
    }

    /// R05, R21: descriptors and limits that cannot be raised again.
    all fn descriptors_and_limits(place) {
        let session = Setup::new(place).policy(TIGHT).start();
        let steps = session.attack("files", &[]).ok().steps();
        assert!((90..=100).contains(&steps.of("opened")), "{steps:#?}");
        for step in ["raise-files", "raise-processes", "raise-cpu", "raise-data", "raise-core"] {
            assert!(steps.of(step) < 0, "{step}: {steps:#?}");
        }
        assert_eq!(steps.of("core-limit"), 0);
    }

    /// R06, R08: one file has a limit, a private folder in memory has one.
    all fn files(place) {
        let session = Setup::new(place).policy(TIGHT).start();
        session.sh("dd if=/dev/zero of=ok bs=1M count=3 2>/dev/null").ok();
        let ran = session.sh("dd if=/dev/zero of=big bs=1M count=9 2>/dev/null; truncate -s 1E sparse; echo over");
        assert_ne!(ran.exit, 77);
        assert!(std::fs::metadata(session.ws.join("big")).unwrap().len() <= 4 << 20);
        assert!(std::fs::metadata(session.ws.join("sparse")).map_or(0, |m| m.len()) <= 4 << 20);
        if place.private() {
            let ran = session.sh("for i in 1 2 3 4; do dd if=/dev/zero of=$TMPDIR/f$i bs=1M count=3 2>/dev/null || echo full; done; du -xsk $TMPDIR | cut -f1");
            let used: u64 = ran.text().lines().last().unwrap().parse().unwrap();
            assert!(ran.text().contains("full") && used <= 8 << 10, "{ran:?}");
        }
    }

    /// R11: processor time of all threads and children together.
    all within 20 fn processor_time(place) {
        let session = Setup::new(place).policy(TIGHT).start();
        let helper = session.hostile("spin");
        let began = Instant::now();
        let ran = session.exec(&[helper.as_str(), "4"]);
        ran.refused("SR202", 124);
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        // Handing the work on to children does not help.
        let ran = session.sh(&format!("for i in 1 2 3; do {helper} 1 & done; wait"));
        assert!(matches!(ran.code(), "SR202"), "{ran:?}");
        session.exec(&["true"]).ok();
    }

    /// R12: time by the clock, to a quarter of a second.
    all within 20 fn wall_time(place) {
        let session = Session::new(place);
        for (asked, script) in [(500, "sleep 60"), (700, "kill -STOP $$"), (500, "while :; do :; done")] {
            let began = Instant::now();
            let ran = session.exec_with(&["--timeout", &format!("{asked}ms")], &["sh", "-c", script]);
            ran.refused("SR201", 124);
            let used = ran.json["usage"]["wall_us"].as_u64().unwrap() / 1000;
            assert!((asked..asked + 400).contains(&used), "{script}: {used} ms of {asked}");
            assert!(began.elapsed() < Duration::from_millis(asked + 1500), "{:?}", began.elapsed());
        }
        // One that wants to clean up at SIGTERM may.
        let ran =
            session.exec_with(&["--timeout", "300ms"], &["sh", "-c", "trap 'echo bye; exit 3' TERM; sleep 9 & wait"]);
        assert_eq!(ran.refused("SR201", 124).text(), "bye");
    }

    /// R10, B22: a gigabyte of output, while a neighbour works.
    all within 60 fn output_flood(place) {
        let session = Session::new(place);
        let flood = session.spawn(&[], &["head", "-c", "1073741824", "/dev/zero"], b"");
        session.until_runs("1073741824");
        neighbours_are_served(&session, &|| {
            processes::beneath(session.pid).iter().all(|p| !p.cmdline.starts_with("head"))
        });
        let ran = session.wait(&flood);
        ran.ok();
        assert_eq!(ran.json["output_cut"], true);
        assert_eq!(ran.json["usage"]["stdout_bytes"], 1_073_741_824u64);
        assert_eq!(ran.stdout.len(), 16 << 20);
        let broker = session.process("strongroom-broker").unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", broker.pid)).unwrap();
        let peak: u64 = status
            .lines()
            .find_map(|l| l.strip_prefix("VmHWM:"))
            .unwrap()
            .trim()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(peak < 64 << 10, "the broker took {peak} KiB");
    }

    /// What is cut is cut exactly there, on both streams together.
    all fn output_is_cut(place) {
        let session = Setup::new(place).policy(TIGHT).start();
        let ran =
            session.sh("head -c 600000 /dev/zero; head -c 600000 /dev/zero >&2; head -c 600000 /dev/zero; exit 4");
        ran.exits(4);
        assert_eq!(ran.json["output_cut"], true);
        assert_eq!(ran.stdout.len() + ran.stderr.len(), 1 << 20);
        assert_eq!(ran.json["usage"]["stdout_bytes"], 1_200_000);
        let ran = session.sh("head -c 1048576 /dev/zero");
        assert_eq!((ran.ok().stdout.len(), &ran.json["output_cut"]), (1 << 20, &false.into()));
    }

    /// R13, R22: many commands, one after another: nothing grows.
    all within 60 fn slope(place) {
        let session = Session::new(place);
        session.exec(&["true"]).ok();
        let open = |name: &str| {
            let pid = if name.is_empty() { session.pid } else { session.process(name).unwrap().pid };
            std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
        };
        let settled =
            |before: [usize; 2]| eventually(Duration::from_secs(2), || [open(""), open("strongroom-broker")] == before);
        std::thread::sleep(Duration::from_millis(300));
        let before = [open(""), open("strongroom-broker")];
        for _ in 0..10 {
            let jobs: Vec<_> = (0..6).map(|_| session.spawn(&[], &["sh", "-c", "echo x; (sleep 9 &)"], b"")).collect();
            jobs.iter().for_each(|job| assert_eq!(session.wait(job).ok().text(), "x"));
        }
        assert!(settled(before), "{before:?} {:?}", [open(""), open("strongroom-broker")]);
        let zombies = processes::all().into_iter().filter(|p| p.parent == session.pid && p.state == 'Z').count();
        assert_eq!(zombies, 0);
        // The agent's, and those of the workers that stand ready.
        let slots = || std::fs::read_dir(session.state.join("tmp")).unwrap().count();
        let few = eventually(Duration::from_secs(2), || slots() <= 1 + 4);
        assert!(few, "{} private folders are left", slots());
        session.end();
    }
}
