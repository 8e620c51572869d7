//! The policy, as it binds real commands (attacks.md 2.11).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use strongroom_tests::{Place, Session, Setup, eventually, limit, places};

fn with(place: Place, rest: &str) -> Session {
    Setup::new(place).policy(&format!("version = 1\nextends = [\"builtin:base\"]\n{rest}")).start()
}

/// Fails unless the policy is refused at start with this code, and nothing
/// has run.
#[track_caller]
fn refused(place: Place, policy: &str, code: &str) {
    let setup = Setup::new(place).policy(policy).agent(["/bin/sh", "-c", "echo ran >ran"]);
    let output = setup.run();
    assert_eq!(output.status.code(), Some(78), "{policy}\n{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains(code), "{policy}\n{output:?}");
    assert!(!setup.path("ws/ran").exists());
}

places! {
    /// Deny beats ask beats allow, wherever they stand; nothing of a denied
    /// command runs.
    all fn order_of_rules(place) {
        let session = with(
            place,
            r#"
[[rule]]
name = "first-allows"
match = ["touch", "..."]
profile = "worker"
action = "allow"
[[rule]]
name = "asks"
match = ["touch", "asked"]
profile = "worker"
action = "ask"
[[rule]]
name = "denies"
match = ["touch", "deni*"]
action = "deny"
"#,
        );
        session.exec(&["touch", "free"]).ok();
        session.exec(&["touch", "denied"]).refused("SR101", 77);
        session.exec(&["/usr/bin/touch", "denied"]).refused("SR101", 77);
        session.exec(&["../../../usr/bin/touch", "denied"]).refused("SR101", 77);
        session.exec_with(&["--no-wait"], &["touch", "asked"]).refused("SR103", 77);
        session.exec_with(&["--rule", "first-allows"], &["touch", "denied"]).refused("SR101", 77);
        session.exec_with(&["--rule", "first-allows"], &["touch", "free2"]).ok();
        session.exec_with(&["--rule", "no-such"], &["touch", "free3"]).refused("SR104", 77);
        let names = ["free", "free2", "free3", "denied", "asked"].map(|n| session.ws.join(n).exists());
        assert_eq!(names, [true, true, false, false, false]);
        let events = |name: &str| session.audit().iter().filter(|l| l["event"] == name).count();
        let recorded = || (events("denied"), events("asked")) == (5, 1);
        assert!(eventually(Duration::from_secs(1), recorded), "{:#?}", session.audit());
    }

    /// Without a rule nothing runs.
    all fn no_rule(place) {
        let session = Setup::new(place).policy("version = 1\nextends = [\"builtin:defaults\"]\n").start();
        session.exec(&["true"]).refused("SR102", 77);
        session.exec(&["sh", "-c", "echo x >ran"]).refused("SR102", 77);
        assert!(!session.ws.join("ran").exists());
    }

    /// Commands get the folders of their own profile, and no others.
    all fn paths(place) {
        let setup = Setup::new(place);
        for (name, mode) in [("outside/read", 0o755), ("outside/write", 0o755), ("outside/neither", 0o755)] {
            fs::create_dir(setup.path(name)).unwrap();
            fs::set_permissions(setup.path(name), fs::Permissions::from_mode(mode)).unwrap();
            fs::write(setup.path(name).join("file"), name).unwrap();
            strongroom_tests::outside::own(&setup.path(name), place.sandbox());
            strongroom_tests::outside::own(&setup.path(name).join("file"), place.sandbox());
        }
        let path = |name: &str| setup.path(name).to_str().unwrap().to_owned();
        let (read, write, neither) = (path("outside/read"), path("outside/write"), path("outside/neither"));
        let policy = format!(
            r#"
version = 1
extends = ["builtin:base"]
[profile.more]
read = ["@system", "@workspace", "{read}"]
write = ["@tmp", "{write}"]
[[rule]]
name = "more"
match = ["bash", "..."]
profile = "more"
action = "allow"
"#
        );
        let session = setup.policy(&policy).start();
        let bash = |script: &str| session.exec_with(&["--rule", "more"], &["bash", "-c", script]);
        assert_eq!(bash(&format!("cat {read}/file {write}/file")).ok().text(), "outside/readoutside/write");
        bash(&format!("echo new >{write}/new")).ok();
        assert!(Path::new(&write).join("new").exists());
        for script in [
            format!("cat {neither}/file"),
            format!("echo x >{read}/x"),
            format!("echo x >>{read}/file"),
            "echo x >here".to_owned(),
            format!("mv {write}/new {read}/"),
        ] {
            assert_ne!(bash(&script).exit, 0, "{script}");
        }
        // Another profile does not have them.
        session.exec(&["sh", "-c", &format!("cat {read}/file || cat {write}/file")]).exits(1);
        assert_eq!(fs::read_to_string(Path::new(&read).join("file")).unwrap(), "outside/read");
    }

    /// The environment of a profile: fixed values, and what is let through.
    all fn environment(place) {
        let session = Setup::new(place)
            .policy("version = 1\nextends = [\"builtin:base\"]\n[profile.worker]\nenv = { pass = [\"PASSED\", \"ABSENT\"], set = { CI = \"1\", HOME = \"/nowhere\" } }\n")
            .env("PASSED", "through").env("OTHER", "not").start();
        let ran = session.exec(&["env"]);
        let text = ran.ok().text();
        assert!(text.contains("PASSED=through") && text.contains("CI=1") && text.contains("HOME=/nowhere"), "{text}");
        assert!(!text.contains("OTHER") && !text.contains("ABSENT"), "{text}");
    }

    /// Bounds of the session: a rate, a number, how many at once.
    all within 20 fn session_limits(place) {
        let session = with(place, "[session]\ncommands-per-minute = 60\nburst = 4\n");
        let codes: Vec<String> = (0..8).map(|_| session.exec(&["true"]).code().to_owned()).collect();
        assert!(codes[..4].iter().all(String::is_empty) && codes[7] == "SR110", "{codes:?}");
        drop(session);
        let session = with(place, "[session]\ncommands = 2\n");
        session.exec(&["true"]).ok();
        session.exec(&["nonesuch"]).exits(127);
        session.exec(&["true"]).refused("SR111", 77);
        drop(session);
        let session = with(place, "[session]\ncpu = \"300ms\"\n");
        session.exec(&["sh", "-c", "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done"]).ok();
        session.exec(&["true"]).refused("SR113", 77);
    }

    /// As many at once as there is room for, then a code; then again.
    all within 20 fn at_once(place) {
        let session = Session::new(place);
        let jobs: Vec<_> = (0..70).map(|_| session.spawn(&[], &["sleep", "4"], b"")).collect();
        let ran: Vec<_> = jobs.iter().map(|job| session.wait(job)).collect();
        let full = ran.iter().filter(|r| r.code() == "SR112").count();
        let ok = ran.iter().filter(|r| r.exit == 0).count();
        assert!(
            ok == 64 && full == 6,
            "{ok} ran, {full} refused: {:?}",
            ran.iter().map(|r| r.code().to_owned()).collect::<Vec<_>>()
        );
        session.exec(&["true"]).ok();
    }

    /// C06: a policy that the sandbox could change is refused.
    all fn untrusted_files(place) {
        let base = "version = 1\nextends = [\"builtin:base\"]\n";
        let attempt = |change: &dyn Fn(&Setup) -> std::path::PathBuf| {
            let setup = Setup::new(place);
            let file = change(&setup);
            let setup = setup.args(["--policy".into(), file.into_os_string()]).agent(["/bin/true"]);
            let output = setup.run();
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let written = |setup: &Setup, name: &str, mode: u32| {
            let file = setup.path(name);
            fs::write(&file, base).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            strongroom_tests::outside::own(&file, place.starter());
            file
        };
        assert_eq!(attempt(&|s| written(s, "good.toml", 0o644)).0, Some(0));
        for (name, mode) in [("all.toml", 0o666), ("ws/inside.toml", 0o644)] {
            let (status, text) = attempt(&|s| written(s, name, mode));
            assert!(status == Some(78) && text.contains("SR70"), "{name}: {status:?} {text}");
        }
        let (status, text) = attempt(&|s| {
            let file = written(s, "real.toml", 0o644);
            let link = s.path("link.toml");
            std::os::unix::fs::symlink(file, &link).unwrap();
            link
        });
        assert!(status == Some(78), "{status:?} {text}");
        if place.separate_uids() {
            let (status, text) = attempt(&|s| {
                let file = written(s, "theirs.toml", 0o644);
                strongroom_tests::outside::own(&file, place.sandbox());
                file
            });
            assert!(status == Some(78) && text.contains("SR702"), "{status:?} {text}");
            let (status, text) = attempt(&|s| {
                let file = written(s, "group.toml", 0o664);
                std::os::unix::fs::chown(&file, None, Some(place.sandbox())).unwrap();
                file
            });
            assert!(status == Some(78) && text.contains("SR702"), "{status:?} {text}");
        }
    }

    /// C01 to C05, C10, C12: what is not understood is not guessed.
    all fn bad_policies(place) {
        for bad in [
            "",
            "version = 2",
            "not toml",
            "version = 1\n[profile.worker]\nnetwrk = \"open\"\n",
            "version = 1\nextends = [\"builtin:base\"]\n[profile.worker.limits]\nwall = \"5mm\"\n",
            "version = 1\nextends = [\"builtin:base\"]\n[profile.worker]\nread = [\"/usr/..\"]\n",
            "version = 1\nextends = [\"builtin:base\"]\n[profile.worker]\nread = [\"/nonesuch\"]\n",
            "version = 1\nextends = [\"builtin:base\"]\n[profile.worker]\nwrite = [\"/proc\"]\n",
            "version = 1\nextends = [\"builtin:base\"]\n[profile.worker]\nenv = { pass = [\"LD_PRELOAD\"] }\n",
            "version = 1\nextends = [\"builtin:base\"]\n[[test]]\nname = \"t\"\nargv = [\"rm\"]\nexpect = { action = \"deny\" }\n",
        ] {
            refused(place, bad, "SR70");
        }
        // What contains the state folder would give it away.
        let setup = Setup::new(place);
        let state = setup.path("state");
        let policy = format!(
            "version = 1\nextends = [\"builtin:base\"]\n[profile.worker]\nread = [\"@system\", \"{}\"]\n",
            state.parent().unwrap().display()
        );
        let output = setup.policy(&policy).agent(["/bin/true"]).run();
        assert_eq!(output.status.code(), Some(78), "{output:?}");
    }

    /// Which jail the agent is in: its own, with its own home, kept.
    all fn agents_jail(place) {
        let session = Session::new(place);
        let canary = session.canary();
        let state = session.state.display().to_string();
        let ran = session.agent(&format!("cat {} {state}/broker/* {state}/log/* /etc/shadow; touch {state}/x /etc/x; id -u; echo kept >$HOME/kept; ls /proc/1/root", canary.path()));
        assert!(!ran.everything().contains(&canary.secret), "{ran:?}");
        assert_eq!(ran.text().lines().next(), Some(place.sandbox().to_string().as_str()), "{ran:?}");
        assert!(!session.state.join("x").exists());
        canary.untouched();
        assert!(session.home().join("kept").exists());
        // A worker has no part in it.
        let home = session.home();
        session.sh(&format!("cat {0}/kept || touch {0}/planted", home.display())).exits(1);
        let leaked = || home.join("planted").exists();
        assert!(!eventually(Duration::from_millis(50), leaked));
    }
}

/// The policies that come with Strongroom are good.
#[test]
fn shipped_policies() {
    limit::within(10, || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/examples");
        let mut count = 0;
        for file in fs::read_dir(folder)
            .unwrap()
            .filter_map(Result::ok)
            .map(|e| e.path())
            .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        {
            for verb in ["check", "test"] {
                let output = std::process::Command::new(
                    strongroom_tests::setup::programs().join("strongroom"),
                )
                .args(["policy", verb])
                .arg(&file)
                .output()
                .unwrap();
                assert!(output.status.success(), "{}: {output:?}", file.display());
            }
            count += 1;
        }
        assert!(count >= 3);
    });
}
