//! What a command has of its own: private folders, an environment, names; and
//! the names in the workspace that are protected from it (attacks.md 2.1).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::process::Command;
use std::time::Duration;

use strongroom_tests::{Session, Setup, places};

places! {
    /// F28, F38: temporary folder and home are private, and gone at the end.
    all fn private_folders(place) {
        let session = Session::new(place);
        let ran =
            session.sh("touch $TMPDIR/first-mark && touch $HOME/.bashrc && mkdir -p ~/.ssh && echo $TMPDIR $HOME");
        let text = ran.ok().text();
        let (tmp, home) = text.split_once(' ').unwrap();
        let second = session.sh(&format!("ls -A {tmp} {home} | grep -e first-mark -e bashrc; echo over"));
        assert_eq!(second.text(), "over");
        for shared in ["/tmp", "/var/tmp"] {
            let name = format!("{shared}/{}-leak", session.mark);
            let ran = session.sh(&format!("echo x >{name}; ls -d {name}"));
            assert!(!std::path::Path::new(&name).exists(), "{ran:#?}");
            if !place.private() {
                assert_ne!(ran.exit, 0, "{ran:#?}");
            }
        }
        let found = || {
            Command::new("find").arg(session.state.join("tmp")).args(["-name", "first-mark"]).output().unwrap().stdout
        };
        let emptied = || found().is_empty();
        assert!(strongroom_tests::eventually(Duration::from_secs(1), emptied));
        // The host's own home, and start-up files elsewhere.
        let ran = session.sh("for f in /root/.bashrc /home/x /etc/cron.d/x /etc/profile.d/x /usr/local/bin/x ../outside/x; do (echo x >$f) 2>/dev/null && echo wrote $f; done; true");
        assert_eq!(ran.text(), "");
    }

    /// F31, K02, K04: the environment is the policy's, to the letter, and a
    /// secret of the start environment is nowhere in the session.
    all fn environment(place) {
        let secret = strongroom_tests::outside::random_name("env");
        let mut setup = Setup::new(place);
        for name in [
            "GITHUB_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "SSH_AUTH_SOCK",
            "DOCKER_HOST",
            "KUBECONFIG",
            "XDG_RUNTIME_DIR",
            "BASH_FUNC_x%%",
            "NODE_OPTIONS",
            "ANYTHING",
        ] {
            setup = setup.env(name, &secret);
        }
        let session = setup.env("TERM", "dumb").env("TZ", "UTC").start();
        let ran = session.exec(&["env", "-0"]);
        let mut names: Vec<&str> = ran
            .ok()
            .stdout
            .split(|b| *b == 0)
            .filter_map(|v| std::str::from_utf8(v).ok()?.split('=').next())
            .filter(|n| !n.is_empty())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["HOME", "LANG", "PATH", "TERM", "TMPDIR", "TZ"]);
        let agents = session.agent("env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; true");
        let workers = session.sh("env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; true");
        assert!(!agents.everything().contains(&secret) && !workers.everything().contains(&secret));
        // Seen by root, too: in none of our processes.
        for process in strongroom_tests::processes::beneath(session.pid).iter().map(|p| p.pid).chain([session.pid]) {
            for file in ["environ", "cmdline"] {
                let bytes = fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
                assert!(!String::from_utf8_lossy(&bytes).contains(&secret), "{process}/{file}");
            }
        }
        assert!(session.log().contains("GITHUB_TOKEN") && !session.log().contains(&secret), "{}", session.log());
    }

    /// F32, F34: protected names, there or not.
    all fn protected_names(place) {
        let setup = Setup::new(place);
        setup.put(".git/config", "[core]\n");
        setup.put(".git/hooks/pre-commit", "old");
        let session = setup.start();
        let config = session.ws.join(".git/config");
        let hook = session.ws.join(".git/hooks/pre-commit");
        let ran = session.sh("echo evil >>.git/config; echo evil >.git/hooks/post-checkout; echo evil >.git/hooks/pre-commit; mkdir .claude; echo evil >.claude/settings.json; echo '{}' >.mcp.json; echo fine >plain; exit 0");
        ran.ok();
        assert!(!session.ws.join(".claude").exists(), "{ran:#?}");
        assert!(!session.ws.join(".mcp.json").exists(), "{ran:#?}");
        assert_eq!(fs::read_to_string(session.ws.join("plain")).unwrap(), "fine\n");
        let touched: Vec<&str> = ran.json["protected"].as_array().unwrap().iter().filter_map(|v| v.as_str()).collect();
        assert!(touched.contains(&".claude") && touched.contains(&".mcp.json"), "{touched:?}");
        let mechanism = ran.json["receipt"]["protect"].as_str().unwrap();
        let changed = fs::read_to_string(&config).unwrap() != "[core]\n" || fs::read_to_string(&hook).unwrap() != "old";
        if place.private() {
            assert_eq!(mechanism, "mounts");
            assert!(!changed, "{ran:#?}");
        } else {
            // What cannot be prevented here is at least told.
            assert_eq!(mechanism, "detection");
            assert!(!changed || touched.contains(&".git/config"), "{ran:#?}");
            assert!(touched.contains(&".git/hooks"), "{ran:#?}");
        }
        // Twins are other files and stay.
        let ran = session.sh("mkdir -p .GIT/hooks && echo x >.GIT/hooks/x && echo x >'.mcp.js\u{43e}n'");
        assert_eq!(ran.ok().json["protected"].as_array().unwrap().len(), 0, "{ran:#?}");
        assert!(session.ws.join(".GIT/hooks/x").exists());
    }

    /// A protected name that appears while commands are being made ready: what
    /// a change to it cannot be kept from is told.
    all fn protected_later(place) {
        let session = Session::new(place);
        session.exec(&["true"]).ok();
        session.put(".git/hooks/pre-commit", "old");
        let ran = session.sh("echo evil >.git/hooks/pre-commit; true");
        let hook = fs::read_to_string(session.ws.join(".git/hooks/pre-commit")).unwrap();
        let told = ran.json["protected"].as_array().unwrap().iter().any(|name| name == ".git/hooks");
        assert!(hook == "old" || told, "{ran:?}");
    }

    /// F45: names survive as they are, and stay one line of the log.
    all fn names(place) {
        let session = Session::new(place);
        let long = "n".repeat(255);
        let names: Vec<Vec<u8>> = [
            &b"new\nline"[..],
            b"esc\x1b[2Jape",
            b"-rf",
            b"%n%s",
            b"bad\xff\xfeutf8",
            b"sp ace'quote\"",
            long.as_bytes(),
        ]
        .map(<[u8]>::to_vec)
        .to_vec();
        for name in &names {
            let name = std::os::unix::ffi::OsStrExt::from_bytes(name.as_slice());
            let name: &std::ffi::OsStr = name;
            session.exec(&["touch".as_ref(), "--".as_ref(), name]).ok();
            assert!(session.ws.join(name).exists(), "{name:?}");
        }
        session.exec(&["touch".to_owned(), "x".repeat(256)]).exits(1);
        session.exec(&["touch".to_owned(), "x/".repeat(3000)]).exits(1);
        let intents = session.audit().iter().filter(|l| l["event"] == "intent").count();
        assert_eq!(intents, names.len() + 2, "{:#?}", session.audit());
    }
}
