//! `strongroom exec` as its callers see it: streams, statuses, refusals
//! (design.md section 10, attacks.md B15 to B17, B22, B23).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strongroom_tests::setup::programs;
use strongroom_tests::{Session, Setup, limit, places};

places! {
    /// Each status says what happened, and nothing else does.
    all fn exit_statuses(place) {
        let session = Setup::new(place)
            .policy(
                r#"
version = 1
extends = ["builtin:base"]
[[rule]]
name = "no"
match = ["rm", "..."]
action = "deny"
[[rule]]
name = "asks"
match = ["env", "push", "..."]
profile = "worker"
action = "ask"
"#,
            )
            .start();
        session.put("plain", "not a program");
        session.put("script", "#!/nonesuch/interpreter\n");
        std::fs::set_permissions(session.ws.join("script"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        session.exec(&["sh", "-c", "exit 42"]).exits(42);
        session.exec(&["sh", "-c", "kill -9 $$"]).exits(137);
        session.exec(&["nonesuch-program"]).refused("SR301", 127);
        session.exec(&["./nonesuch"]).refused("SR301", 127);
        session.exec(&["./plain"]).refused("SR302", 126);
        session.exec(&["/etc"]).refused("SR302", 126);
        assert!(matches!(session.exec(&["./script"]).exit, 126 | 127));
        session.exec(&["rm", "x"]).refused("SR101", 77);
        session.exec(&["/usr/bin/rm", "x"]).refused("SR101", 77);
        session.exec_with(&["--no-wait"], &["env", "push"]).refused("SR103", 77);
        session.exec_with(&["--rule", "asks"], &["true"]).refused("SR104", 77);
        session.exec_with(&["--cred", "NO_SUCH"], &["true"]).refused("SR105", 77);
        session.exec_with(&["--timeout", "100ms"], &["sleep", "9"]).refused("SR201", 124);
        session.exec_with(&["--timeout", "100h"], &["true"]).refused("SR132", 77);
        for bad in ["0s", "-1s", "5", "1e400", "NaN", "18446744073709551616ms"] {
            session.exec_with(&["--timeout", bad], &["true"]).exits(2);
        }
    }

    /// An agent reads its own records, and nothing of the operator's.
    all fn log(place) {
        let rule = "[[rule]]\nname = \"no\"\nmatch = [\"rm\", \"...\"]\naction = \"deny\"\n";
        let policy = format!("version = 1\nextends = [\"builtin:base\"]\n{rule}");
        let session = Setup::new(place).policy(&policy).start();
        session.exec(&["sh", "-c", "exit 3"]).exits(3);
        session.exec(&["rm", "x\u{1b}[2J"]).refused("SR101", 77);
        assert!(session.operator(&["status"]).status.success());
        let read = |flags: &str| -> Vec<serde_json::Value> {
            let ran = session.agent(&format!("strongroom log --json {flags}"));
            ran.ok().text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let all = read("");
        let events: Vec<&str> = all.iter().map(|l| l["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["intent", "outcome", "denied"], "{all:?}");
        assert_eq!(all[0]["req"], all[1]["req"]);
        assert!(all[1]["text"].as_str().unwrap().starts_with("exit 3 after "), "{all:?}");
        assert_eq!((&all[2]["code"], &all[2]["text"]), (&"SR101".into(), &"rm x\\x1b[2J".into()));
        assert_eq!(read("--level warning"), all[2..]);
        assert_eq!(read("--match 'exit 3'"), all[..2]);
        assert_eq!(read("--since 2090-01-01"), all[3..]);
        let text = session.agent("strongroom log --level warning");
        assert!(text.ok().text().contains("denied       SR101 rm x\\x1b[2J"), "{text:?}");
    }

    /// A refusal names a code, what and what instead; in text and as JSON; and
    /// no rule, no path, no key.
    all fn refusals(place) {
        let session = Setup::new(place)
            .policy(
                r#"
version = 1
extends = ["builtin:base"]
[[rule]]
name = "secret-rule-name"
match = ["rm", "..."]
action = "deny"
why = "the reason of the operator"
"#,
            )
            .start();
        let ran = session.exec(&["rm", "-rf", "/"]);
        let denied = &ran.refused("SR101", 77).json["denied"];
        assert!(denied["what"].is_string() && denied["instead"].is_string() && denied["ask"] == "no", "{ran:?}");
        let output = session.client(&[], &["rm", "x"]).output().unwrap();
        assert_eq!(output.status.code(), Some(77));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("SR101") && text.contains("instead:"), "{text}");
        for text in [text, ran.json.to_string()] {
            assert!(
                !text.contains("secret-rule") && !text.contains("the reason") && !text.contains(&session.mark),
                "{text}"
            );
        }
        let detailed = Setup::new(place).policy("version = 1\nextends = [\"builtin:base\"]\n[errors]\nlevel = \"detailed\"\n[[rule]]\nname = \"no\"\nmatch = [\"rm\", \"...\"]\naction = \"deny\"\nwhy = \"the reason\"\n").start();
        assert_eq!(detailed.exec(&["rm", "x"]).json["denied"]["why"], "the reason");
    }

    /// Output arrives while its command runs, and input while it reads.
    all fn streaming(place) {
        let session = Session::new(place);
        let began = Instant::now();
        let mut child = session.client(&[], &["sh", "-c", "echo one; sleep 1; echo two"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "one");
        assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
        assert_eq!(lines.next().unwrap().unwrap(), "two");
        assert!(child.wait().unwrap().success());

        let mut child = session.client(&[], &["cat"]).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for i in 0..20 {
            writeln!(input, "line {i}").unwrap();
            assert_eq!(lines.next().unwrap().unwrap(), format!("line {i}"));
        }
        drop(input);
        assert!(lines.next().is_none());
        assert!(child.wait().unwrap().success());
    }

    /// Everything that was written is there, in order, on each stream, when a
    /// command has ended; so is binary data, byte by byte.
    all within 20 fn complete_and_in_order(place) {
        let session = Session::new(place);
        let child = session
            .client(&[], &["sh", "-c", "seq 1 200000; seq 1 50000 >&2; setsid sleep 99 & exit 7"])
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(7));
        let numbers = |bytes: &[u8]| bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count();
        assert_eq!((numbers(&output.stdout), numbers(&output.stderr)), (200_000, 50_000));
        assert!(output.stdout.ends_with(b"\n199999\n200000\n"));
        let all: Vec<u8> = (0..=255u8).cycle().take(300_000).collect();
        let ran = session.wait(&session.spawn(&[], &["cat"], &all));
        assert!(ran.ok().stdout == all, "{} bytes", ran.stdout.len());
        // Many times, because it is a race.
        for _ in 0..30 {
            assert_eq!(session.exec(&["sh", "-c", "echo last; (sleep 9 &)"]).ok().text(), "last");
        }
    }

    /// B23: input that nobody reads, input without end, no input at all.
    all fn input(place) {
        let session = Session::new(place);
        let mut child = session
            .client(&[], &["true"])
            .stdin(Stdio::from(std::fs::File::open("/dev/zero").unwrap()))
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success());
        let child = session
            .client(&[], &["head", "-c", "5000000"])
            .stdin(Stdio::from(std::fs::File::open("/dev/zero").unwrap()))
            .spawn()
            .unwrap();
        assert_eq!(child.wait_with_output().unwrap().stdout.len(), 5_000_000);
        let mut child = session.client(&[], &["cat"]).stdin(Stdio::null()).spawn().unwrap();
        assert!(child.wait().unwrap().success());
        // Never closed: a command that does not read it ends all the same.
        let mut child = session.client(&[], &["echo", "x"]).spawn().unwrap();
        let kept = child.stdin.take();
        assert!(child.wait().unwrap().success());
        drop(kept);
        let ran = session.agent("strongroom exec -- cat <&-; echo $?; strongroom exec -- echo x >&-; strongroom exec -- sh -c 'echo y; echo z >&2' 2>&-");
        assert!(ran.text().contains('0') && ran.text().contains('y'), "{ran:?}");
    }

    /// The reader goes away: the command learns of it.
    all fn reader_gone(place) {
        let session = Session::new(place);
        let mut child = session.client(&[], &["yes"]).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 100]).unwrap();
        let began = Instant::now();
        let status = child.wait().unwrap();
        assert!(began.elapsed() < Duration::from_secs(3));
        assert_eq!(status.code(), Some(141), "{status:?}");
    }

    /// Signals are passed on; the command decides.
    all fn signals(place) {
        let session = Session::new(place);
        for (signal, status) in
            [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGUSR1, 138)]
        {
            let mut child = session.client(&[], &["sh", "-c", "echo up; exec sleep 99"]).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(status), "{signal}");
        }
        let mut child = session
            .client(&[], &["sh", "-c", "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 0.05; done"])
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "up");
        std::thread::sleep(Duration::from_millis(50));
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "caught");
        assert_eq!(child.wait().unwrap().code(), Some(5));
    }

    /// B15, B16: words are bytes, exact or refused.
    all fn words(place) {
        use std::os::unix::ffi::OsStrExt;
        let session = Session::new(place);
        let words: [&[u8]; 8] = [b"", b" ", b"a\nb", b"'\"\\$`", b"\xff\xfe", b"=x", b"--", b"\x1b[31m"];
        let mut argv: Vec<&std::ffi::OsStr> = vec!["printf".as_ref(), "<%s>".as_ref()];
        argv.extend(words.iter().map(|w| std::ffi::OsStr::from_bytes(w)));
        let want: Vec<u8> = words.iter().flat_map(|w| [b"<", *w, b">"].concat()).collect();
        assert_eq!(session.exec(&argv).ok().stdout, want);
        let big = "x".repeat(50_000);
        assert_eq!(session.exec(&["printf", "%s", &big]).ok().stdout.len(), 50_000);
        session.exec(&["true", &"x".repeat(64 * 1024)]).refused("SR130", 77);
        session.exec(&["true", &big, &big]).refused("SR130", 77);
        session
            .exec(
                &["sh".to_owned(), "-c".to_owned(), "echo $#".to_owned()]
                    .into_iter()
                    .chain((0..2000).map(|i| i.to_string()))
                    .collect::<Vec<_>>(),
            )
            .ok();
        session.exec(&[""]).exits(77);
        session.exec(&["true"]).ok();
    }

    /// The operator's verbs.
    all fn operator(place) {
        let session = Session::new(place);
        let job = session.spawn(&[], &["sleep", "77.25"], b"");
        session.until_runs("77.25");
        let status = session.operator(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        assert!(status.to_string().contains("77.25"), "{status}");
        assert!(session.operator(&["kill", "1"]).status.success());
        session.wait(&job).refused("SR602", 137);
        assert_eq!(session.operator(&["kill", "1"]).status.code(), Some(77));
        let mut session = session;
        assert!(session.operator(&["kill", "--all"]).status.success());
        assert_eq!(session.ends_within(Duration::from_secs(3)), 137);
        session.leaves_nothing();
    }

    /// Commands at the same time, and streams that are not mixed up.
    all fn concurrently(place) {
        let session = Session::new(place);
        let jobs: Vec<_> = (0..16)
            .map(|i| {
                session.spawn(
                    &[],
                    &["sh".to_owned(), "-c".to_owned(), format!("seq {i} 16 5000; sleep 0.2; echo end {i}")],
                    b"",
                )
            })
            .collect();
        for (i, job) in jobs.iter().enumerate() {
            let ran = session.wait(job);
            assert!(
                ran.ok().text().starts_with(&format!("{i}\n")) && ran.text().ends_with(&format!("end {i}")),
                "{ran:?}"
            );
        }
    }
}

/// Without a session there is nobody to ask.
#[test]
fn no_session() {
    limit::within(5, || {
        let run = |envs: &[(&str, &str)]| {
            let mut command = std::process::Command::new(programs().join("strongroom"));
            command
                .args(["exec", "--json", "--", "true"])
                .env_clear()
                .envs(envs.iter().copied())
                .output()
                .unwrap()
        };
        for envs in [&[][..], &[("STRONGROOM_SOCKET", "/nonesuch")], &[("STRONGROOM_FD", "1")]] {
            let output = run(envs);
            assert_eq!(output.status.code(), Some(125), "{output:?}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("SR503"), "{output:?}");
        }
    });
}

/// Every code is explained; nothing is written where nobody reads.
#[test]
fn explain() {
    limit::within(5, || {
        for entry in strongroom_protocol::codes::TABLE {
            let output = std::process::Command::new(programs().join("strongroom"))
                .args(["explain", &entry.code.to_string()])
                .output()
                .unwrap();
            assert!(output.status.success());
            assert!(String::from_utf8_lossy(&output.stdout).contains(entry.what));
        }
        let output = std::process::Command::new(programs().join("strongroom"))
            .arg("doctor")
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("tier"), "{output:?}");
    });
}
