//! Who gets a credential in its environment, and who does not (attacks.md 2.6:
//! K02, K04, K06, K12, K13, K50; invariants I1, I2, I8).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use nix::errno::Errno;
use strongroom_tests::outside::own as give;
use strongroom_tests::secrets::{hash, policy};
use strongroom_tests::{Session, Setup, Values, places};

const TOKENS: [&str; 2] = ["ALPHA_TOKEN", "BETA_TOKEN"];

/// Which of the tokens a command got, and that each had its value.
fn got(session: &Session, values: &Values, label: &str) -> Vec<&'static str> {
    let told = session.reveal(label, &[]);
    for (name, value) in values.all() {
        if let Some(seen) = told.get(name) {
            assert_eq!(*seen, hash(value.as_bytes()), "{name}");
        }
    }
    assert!(told.contains_key("PATH"), "{told:?}");
    ["ALPHA_TOKEN", "BETA_TOKEN", "FILE_KEY", "OTHER_KEY"]
        .into_iter()
        .filter(|n| told.contains_key(*n))
        .collect()
}

/// Puts a program into the workspace.
fn plant(session: &Session, name: &str, content: &str) {
    session.put(name, content);
    fs::set_permissions(session.ws.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

places! {
    /// K02: exactly the keys of the rule, with their values; no other command
    /// has any, and nobody has those that come in files.
    all fn exactly_the_named_keys(place) {
        let (session, values) = Session::with_credentials(place);
        assert_eq!(got(&session, &values, "alpha"), ["ALPHA_TOKEN"]);
        assert_eq!(got(&session, &values, "both"), TOKENS);
        assert!(got(&session, &values, "file").is_empty());
        assert!(got(&session, &values, "nobody").is_empty());
        // What `--cred` names, and never more.
        let reveal = session.setup().tool("reveal");
        session.exec_with(&["--cred", "BETA_TOKEN"], &[&reveal, "both", "less"]).ok();
        let told = session.revealed("less");
        assert!(told.contains_key("BETA_TOKEN") && !told.contains_key("ALPHA_TOKEN"), "{told:?}");
        values.none_in(&session.agent("env; cat /proc/self/environ").everything());
        let audit = format!("{:?}", session.audit());
        assert!(audit.contains("ALPHA_TOKEN"), "{audit}");
        values.none_in(&audit);
        values.none_in(&session.log());
        session.end();
    }

    /// A new value is the next command's, a revoked one nobody's; neither
    /// value is shown.
    all fn rotated_and_revoked(place) {
        let (session, old) = Session::with_credentials(place);
        assert_eq!(got(&session, &old, "alpha"), ["ALPHA_TOKEN"]);
        let new = Values::new();
        session.enter("ALPHA_TOKEN", new.of("ALPHA_TOKEN"));
        assert_eq!(got(&session, &new, "alpha"), ["ALPHA_TOKEN"]);
        let both = format!("print('{}', '{}')", old.of("ALPHA_TOKEN"), new.of("ALPHA_TOKEN"));
        let ran = session.exec(&["/usr/bin/python3", "-c", &both]);
        assert_eq!(ran.ok().text(), "[REDACTED:ALPHA_TOKEN] [REDACTED:ALPHA_TOKEN]");
        assert!(session.operator(&["credentials", "revoke", "ALPHA_TOKEN"]).status.success());
        let reveal = session.setup().tool("reveal");
        session.exec(&[&reveal, "alpha", "revoked"]).refused("SR105", 77);
        assert!(!session.ws.join("revoked").exists());
        // Its other half is still good.
        let told = session.exec_with(&["--cred", "BETA_TOKEN"], &[&reveal, "both", "rest"]);
        assert_eq!(told.ok().exit, 0);
    }

    /// Siblings, the agent, and a command of the same rule can do nothing to
    /// one that holds a value: not by /proc, ptrace or descriptors.
    all within 20 fn siblings(place) {
        let (session, values) = Session::with_credentials(place);
        let reveal = session.setup().tool("reveal");
        let job = session.spawn(&[], &[&reveal, "both+", "held"], b"");
        let told = session.revealed("held");
        assert_eq!(told["ALPHA_TOKEN"], hash(values.of("ALPHA_TOKEN").as_bytes()));
        let holder = session.until_runs("both+");
        // Control: the value is there to be read, by who may.
        let environ = fs::read(format!("/proc/{}/environ", holder.pid)).unwrap();
        assert!(String::from_utf8_lossy(&environ).contains(values.of("ALPHA_TOKEN")));
        let look = "import os, re\n\
            seen = b''\n\
            for pid in [p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]:\n\
            \x20for name in ['environ', 'cmdline', 'auxv', 'mem', 'task/%s/environ' % pid]:\n\
            \x20 try:\n\
            \x20  f = open('/proc/%s/%s' % (pid, name), 'rb', 0)\n\
            \x20  if name != 'mem': seen += f.read(); continue\n\
            \x20  for line in open('/proc/%s/maps' % pid):\n\
            \x20   m = re.match('([0-9a-f]+)-([0-9a-f]+) r', line)\n\
            \x20   if m: f.seek(int(m[1], 16)); seen += f.read(min(int(m[2], 16) - int(m[1], 16), 1 << 20))\n\
            \x20 except Exception: pass\n\
            \x20try: fds = os.listdir('/proc/%s/fd' % pid)\n\
            \x20except Exception: continue\n\
            \x20for fd in fds:\n\
            \x20 try: seen += open('/proc/%s/fd/%s' % (pid, fd), 'rb').read(1 << 16) if os.path.isfile('/proc/%s/fd/%s' % (pid, fd)) else b''\n\
            \x20 except Exception: pass\n\
            import hashlib\n\
            open('seen', 'wb').write(seen)\n";
        session.put("look.py", look);
        // An ordinary command; then one of a rule that carries credentials,
        // though none is asked for; then the agent itself.
        for run in ["strongroom exec -- /usr/bin/python3 look.py", "strongroom exec --cred OTHER_KEY -- /usr/bin/python3 -c 'exec(open(\"look.py\").read())'", "/usr/bin/python3 look.py"] {
            let _ = fs::remove_file(session.ws.join("seen"));
            let ran = session.agent(run);
            let seen = fs::read(session.ws.join("seen")).unwrap_or_else(|e| panic!("{run}: {e} {ran:?}"));
            values.none_in(&String::from_utf8_lossy(&seen));
        }
        let steps = session.attack("grab", &[&holder.pid.to_string()]).steps();
        for step in ["process_vm_readv", "pidfd_getfd", "open-environ", "open-mem", "attach", "seize"] {
            steps.fails(step, &[Errno::EPERM as i32, Errno::EACCES as i32, Errno::ENOSYS as i32, Errno::ESRCH as i32, Errno::ENOENT as i32, Errno::EBADF as i32]);
        }
        fs::write(session.ws.join("held.go"), "").unwrap();
        session.wait(&job).ok();
    }

    /// K50: what is not the command of the rule gets nothing, however near it
    /// comes.
    all fn near_misses_of_a_rule(place) {
        let (session, values) = Session::with_credentials(place);
        let reveal = session.setup().tool("reveal");
        let ws = session.ws.display().to_string();
        plant(&session, "reveal", "#!/bin/sh\necho twin >twin-ran\nexec \"$REAL\" \"$@\"\n");
        fs::create_dir(session.ws.join("sub")).unwrap();
        give(&session.ws.join("sub"), place.sandbox());
        let home = Path::new(&reveal).parent().unwrap().display().to_string();
        let own = home.rsplit('/').next().unwrap().to_owned();
        let tries: [&[&str]; 9] = [
            &["sh", "-c", &format!("{reveal} alpha o1")],
            &["env", &reveal, "alpha", "o2"],
            &["nice", &reveal, "alpha", "o3"],
            &[&reveal, "Alpha", "o4"],
            &[&reveal, "alpha ", "o5"],
            &[&format!("{home}/./reveal"), "alpha", "o6"],
            &[&format!("{home}//reveal"), "alpha", "o7"],
            &[&format!("/{reveal}"), "alpha", "o8"],
            &[&format!("{home}/../{own}/reveal"), "alpha", "o9"],
        ];
        for (argv, number) in tries.iter().zip(1..) {
            session.exec(argv).ok();
            let told = session.revealed(&format!("o{number}"));
            assert!(TOKENS.iter().all(|token| !told.contains_key(*token)), "{argv:?}: {told:?}");
        }
        // A caller's environment reaches no command.
        let ran = session.agent(&format!("PATH={ws}:$PATH LD_PRELOAD={ws}/x.so strongroom exec --cwd sub -- {reveal} alpha '{ws}/o10'"));
        ran.ok();
        let told = session.revealed("o10");
        assert_eq!(told["ALPHA_TOKEN"], hash(values.of("ALPHA_TOKEN").as_bytes()));
        assert!(!told.contains_key("LD_PRELOAD") && !told.contains_key("REAL"), "{told:?}");
        // The workspace's twin by its bare name, and by its path.
        let _ = session.exec(&[&format!("{ws}/reveal"), "alpha", "o11"]);
        let _ = session.exec(&["reveal", "alpha", "o12"]);
        assert!(!session.ws.join("o11").exists() && !session.ws.join("o12").exists());
        for rule in ["alpha", "both", "python"] {
            session.exec_with(&["--rule", rule], &["true"]).refused("SR104", 77);
        }
    }

    /// K50, SR106: a program that the sandbox can change is not the program
    /// of the rule any more.
    all fn a_program_that_can_be_changed(place) {
        let values = Values::new();
        let setup = Setup::new(place);
        let names = ["firm", "linked", "hard", "scripted", "gone"];
        let mut text = policy(&setup);
        let reveal = setup.tool("reveal");
        let folder = setup.tools().to_owned();
        for name in names {
            fs::copy(&reveal, folder.join(name)).unwrap();
            give(&folder.join(name), place.sandbox());
            text += &format!(
                "[[rule]]\nname = \"{name}\"\nmatch = [\"{}\", \"...\"]\nprofile = \"granted\"\naction = \"allow\"\ncredentials = [\"ALPHA_TOKEN\"]\n",
                folder.join(name).display()
            );
        }
        setup.put("mine", "#!/bin/sh\nenv >leak\n");
        fs::set_permissions(setup.path("ws/mine"), fs::Permissions::from_mode(0o755)).unwrap();
        let session = setup.policy(&text).start();
        session.enter("ALPHA_TOKEN", values.of("ALPHA_TOKEN"));
        let mine = session.ws.join("mine");
        for name in &names[1..] {
            fs::remove_file(folder.join(name)).unwrap();
        }
        symlink(&mine, folder.join("linked")).unwrap();
        // Only on one file system.
        let hard = fs::hard_link(&mine, folder.join("hard")).is_ok();
        fs::write(folder.join("scripted"), format!("#!{} \n", mine.display())).unwrap();
        fs::set_permissions(folder.join("scripted"), fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| folder.join(name).display().to_string();
        for name in ["linked", "hard", "scripted"].into_iter().filter(|n| hard || *n != "hard") {
            let ran = session.exec(&[&at(name), "x", "out"]);
            ran.refused("SR106", 77);
            values.none_in(&ran.everything());
        }
        session.exec(&[&at("gone"), "x", "out"]).refused("SR301", 127);
        assert!(!session.ws.join("leak").exists());
        // Control: the same file, at a place that only we can change.
        session.exec(&[&at("firm"), "x", "out"]).ok();
        assert!(session.revealed("out").contains_key("ALPHA_TOKEN"));
    }

    /// I8, K12, K13: no such key, not yours, not there, revoked: the same
    /// bytes. A name that is none is refused before it is asked.
    all fn unknown_and_not_yours(place) {
        let (session, _) = Session::with_credentials(place);
        let reveal = session.setup().tool("reveal");
        let ask = |name: &str| {
            let ran = session.agent(&format!("strongroom exec --json --cred {name} -- {reveal} alpha x"));
            (ran.exit, ran.everything())
        };
        assert!(session.operator(&["credentials", "revoke", "BETA_TOKEN"]).status.success());
        let unknown = ask("NO_SUCH");
        assert!(unknown.0 == 77 && unknown.1.contains("SR105"), "{unknown:?}");
        for name in ["BETA_TOKEN", "FILE_KEY", "OTHER_KEY", "ALPHA_TOKE", "ALPHA_TOKEN_"] {
            assert_eq!(ask(name), unknown, "{name}");
        }
        for name in ["../ALPHA_TOKEN", "alpha_token", "'ALPHA_TOKEN\n'", "\u{410}LPHA_TOKEN", "A$(head -c 1000000 /dev/zero | tr '\\0' A)"] {
            let (exit, said) = ask(name);
            assert!(exit != 0, "{name}: {said}");
        }
        session.exec_with(&["--cred", "ALPHA_TOKEN"], &[&reveal, "alpha", "x"]).ok();
    }
}
