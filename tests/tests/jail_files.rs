//! A command and files outside its jail (attacks.md 2.1).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use strongroom_tests::outside::own;
use strongroom_tests::{Place, Session, Setup, places};

const NO: &[i32] =
    &[Errno::EACCES as i32, Errno::EPERM as i32, Errno::EXDEV as i32, Errno::ENOENT as i32];
const REFUSED: &[i32] = &[Errno::EPERM as i32, Errno::ENOSYS as i32];

/// Shell text that prints what it can of a file and says how that went.
fn try_cat(path: &str) -> String {
    format!("cat '{path}' && echo LEAKED '{path}'\n")
}

places! {
    /// F01, F30: what is not named is not there, whoever owns it.
    all fn reading_outside(place) {
        let session = Session::new(place);
        let canary = session.canary();
        session.put("own", "inside");
        let state = session.state.to_str().unwrap();
        let script: String = [
            canary.path(),
            "/etc/shadow",
            "/etc/gshadow",
            "/etc/sudoers",
            "/root/.profile",
            "/root/.bashrc",
            &format!("{state}/broker/operator.token"),
            &format!("{state}/run/lock"),
            "/proc/1/environ",
            "/run/utmp",
            "/var/log/dpkg.log",
            "/var/lib/dpkg/status",
        ]
        .iter()
        .map(|p| try_cat(p))
        .collect();
        let ran = session
            .sh(&format!("{script}ls {state}/log {state}/broker /root /home /run /var/lib && echo LISTED\ntrue"));
        assert!(
            !ran.everything().contains(&canary.secret)
                && !ran.text().contains("LEAKED")
                && !ran.text().contains("LISTED"),
            "{ran:#?}"
        );
        let control =
            session.sh("cat own; cat /etc/hostname /etc/passwd >/dev/null && ls /usr/bin >/dev/null && echo readable");
        assert_eq!(control.ok().text(), "insidereadable");
        canary.untouched();
        session.end();
    }

    /// F04: a link of one's own leads nowhere new.
    all fn own_links(place) {
        let session = Session::new(place);
        let canary = session.canary();
        session.put("own", "inside");
        let path = canary.path();
        let ran = session.sh(&format!(
            "ln -s {path} s; cat s; cat /proc/self/root{path}; ln -s {} d; cat d/*; cat /proc/self/cwd/../outside/*; true",
            session.outside().display()
        ));
        assert!(!ran.everything().contains(&canary.secret), "{ran:#?}");
        assert_eq!(session.sh("ln -s own t; cat t; cat /proc/self/cwd/t").ok().text(), "insideinside");
        canary.untouched();
    }

    /// F05, F18, B25: the working folder is in the workspace, whatever is asked.
    all fn working_folder(place) {
        let session = Session::new(place);
        session.put("sub/deep/file", "x");
        session.put("file", "x");
        symlink(session.outside(), session.ws.join("out")).unwrap();
        symlink("sub/deep", session.ws.join("in")).unwrap();
        let at = |cwd: &str| session.exec_with(&["--cwd", cwd], &["/bin/pwd"]);
        assert_eq!(session.exec(&["/bin/pwd"]).ok().text(), session.in_ws("").trim_end_matches('/'));
        assert_eq!(at("sub/deep").ok().text(), session.in_ws("sub/deep"));
        assert_eq!(at(&session.in_ws("sub")).ok().text(), session.in_ws("sub"));
        for outside in ["/", "/etc", "..", "sub/../..", "/proc/self/cwd", session.outside().to_str().unwrap()] {
            at(outside).refused("SR120", 77);
        }
        for unusable in ["nonesuch", "file", "out", "out/x"] {
            let ran = at(unusable);
            assert!(matches!(ran.code(), "SR120" | "SR121") && ran.exit == 77, "{unusable}: {ran:#?}");
        }
        // A path that only begins like the workspace's.
        let twin = session.path("ws-evil");
        fs::create_dir(&twin).unwrap();
        at(twin.to_str().unwrap()).refused("SR120", 77);
        // The session was started in the workspace; a command stays there
        // though its folder is gone.
        let ran = session.sh("mkdir gone; cd gone; rmdir ../gone; cat ../../etc/shadow ../../outside/*; echo over");
        assert_eq!(ran.ok().text(), "over");
    }

    /// Within the workspace everything moves, from folder to folder as well.
    all fn moving_inside(place) {
        let session = Session::new(place);
        let script = "import os\nos.makedirs('a/b'); os.makedirs('c')\nopen('a/b/f', 'w').close()\nos.rename('a/b/f', 'c/f'); os.link('c/f', 'a/g'); os.rename('a/b', 'c/b'); os.replace('a/g', 'c/b/g')\nt = os.environ['TMPDIR']; open(t + '/x', 'w').close(); os.mkdir(t + '/d'); os.rename(t + '/x', t + '/d/x')";
        session.exec(&["/usr/bin/python3", "-c", script]).ok();
        assert!(session.ws.join("c/b/g").exists() && !session.ws.join("a/b").exists());
        // The agent, too.
        session.agent("mkdir d e && touch d/f && /usr/bin/python3 -c 'import os; os.rename(\"d/f\", \"e/f\")'").ok();
    }

    /// F09, F11: nothing moves, is linked or exchanged across the wall.
    all fn moving_across(place) {
        let session = Session::new(place);
        let canary = session.canary();
        session.put("own", "inside");
        let steps = session.attack("move", &[&session.in_ws("own"), canary.path()]).ok().steps();
        steps.works("control-link");
        steps.works("control-rename");
        for step in [
            "link-in",
            "linkat-in",
            "rename-in",
            "rename-out",
            "link-out",
            "exchange",
            "exchange-back",
            "over",
            "unlink",
            "truncate",
            "write",
            "create",
            "symlink",
        ] {
            steps.fails(step, NO);
        }
        canary.untouched();
        assert_eq!(fs::read_to_string(session.ws.join("own")).unwrap(), "inside");
        assert!(!session.ws.join("own.taken").exists());
        assert_eq!(fs::read_dir(session.outside()).unwrap().count(), 1);
        // Without a jail the same user does it.
        assert!(session.unjailed("move", &[&session.in_ws("own"), canary.path()]).of("link-in") >= 0);
    }

    /// F19: modes, times and attributes of files outside, which Landlock does
    /// not see; those of one's own files can be changed.
    all fn metadata(place) {
        let session = Session::new(place);
        let canary = session.canary();
        session.put("own", "inside");
        let steps = session.attack("metadata", &[canary.path()]).ok().steps();
        for step in ["chmod", "fchmodat", "utimes", "utimensat", "utime", "chown", "lchown"] {
            steps.fails(step, NO);
        }
        assert!(steps.of("setxattr") < 0);
        canary.untouched();
        let steps = session.attack("metadata", &["own"]).ok().steps();
        for step in ["chmod", "fchmodat", "utimes", "utimensat", "utime"] {
            steps.works(step);
        }
        let own = fs::metadata(session.ws.join("own")).unwrap();
        assert_eq!((own.permissions().mode() & 0o777, std::os::unix::fs::MetadataExt::mtime(&own)), (0o644, 3000));
        // By a link of one's own, by a folder that is open, by a descriptor.
        symlink(canary.path(), session.ws.join("link")).unwrap();
        let _ = session.sh(
            "chmod 777 link; touch -d @1 link; cd /; chmod 777 proc/self/cwd/etc; cd ../outside && chmod 777 *; true",
        );
        let _ = session.exec(&[
            "/usr/bin/python3",
            "-c",
            &format!("import os\nf = os.open('{}', os.O_PATH)\nos.chmod(f'/proc/self/fd/{{f}}', 0o777)", canary.path()),
        ]);
        canary.untouched();
        let own = "import os\nf = os.open('own', os.O_PATH)\nos.chmod(f'/proc/self/fd/{f}', 0o600)";
        session.exec(&["/usr/bin/python3", "-c", own]).ok();
        assert_eq!(fs::metadata(session.ws.join("own")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(session.unjailed("metadata", &[canary.path()]).of("chmod") == 0);
    }

    /// F19 by descriptor: what the profile may read, its mode, times, owner
    /// and attributes cannot be changed through a descriptor that reads it.
    all fn metadata_by_descriptor(place) {
        let setup = Setup::new(place);
        let outside = setup.path("outside").display().to_string();
        let session = setup
            .policy(&format!(
                "version = 1\nextends = [\"builtin:base\"]\n[profile.worker]\nread = [\"@system\", \"@workspace\", \"{outside}\"]\n"
            ))
            .start();
        let canary = session.canary();
        session.put("own", "inside");
        let steps = session.attack("metadata_fd", &[canary.path()]).ok().steps();
        steps.works("open");
        for step in ["fchmod", "futimens", "fchown", "fsetxattr"] {
            assert!(steps.of(step) < 0, "{step}: {steps:?}");
        }
        canary.untouched();
        let steps = session.attack("metadata_fd", &["own"]).ok().steps();
        steps.works("fchmod");
        steps.works("futimens");
        let own = fs::metadata(session.ws.join("own")).unwrap();
        assert_eq!((own.permissions().mode() & 0o777, std::os::unix::fs::MetadataExt::mtime(&own)), (0o640, 1000));
        assert!(session.unjailed("metadata_fd", &[canary.path()]).of("fchmod") == 0);
        session.end();
    }

    /// F12, F13, F15: the doors in /proc.
    all fn proc_doors(place) {
        let session = Session::new(place);
        let canary = session.canary();
        let victim = session.victim();
        let name = canary.path.file_name().unwrap().to_str().unwrap();
        let _ = session.hostile("grab");
        let ran = session.sh(&format!(
            "for p in /proc/[0-9]* /proc/{}; do cat $p/root{} $p/cwd/{name} $p/environ $p/task/*/environ; \
             done 2>/dev/null | tr '\\0' '\\n' | grep -a -e canary- -e victim-; \
             cat /proc/self/environ | tr '\\0' '\\n' | grep ^PATH= >/dev/null && test -r /proc/self/cwd/hostile-grab && echo control",
            victim.pid(), canary.path()
        ));
        assert_eq!(ran.ok().text(), "control");
        // Without a jail the same user reads it.
        let output = place.attacker("/bin/cat").arg(format!("/proc/{}/environ", victim.pid())).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains(&victim.secret));
        victim.unharmed();
    }

    /// F17: a command is born with 0, 1 and 2; an agent with its channel too.
    all fn descriptors(place) {
        let session = Session::new(place);
        assert_eq!(session.attack("fds", &[]).ok().text(), "fd 0\nfd 1\nfd 2");
        let listed = session.sh("cd /proc/self/fd; echo *").ok().text();
        assert!(matches!(listed.as_str(), "0 1 2" | "0 1 2 3"), "{listed}");
        let python = session.exec(&[
            "/usr/bin/python3",
            "-c",
            "import os; print(sorted(int(f) for f in os.listdir('/proc/self/fd')))",
        ]);
        // The last is that of the listing.
        assert_eq!(python.ok().text(), "[0, 1, 2, 3]");
        let agents = session.agent(&session.hostile("fds")).ok().text();
        assert_eq!(agents, "fd 0\nfd 1\nfd 2\nfd 3");
    }

    /// F20: nobody plants a set-id bit or a capability.
    all fn set_id(place) {
        let session = Session::new(place);
        let ran = session.attack("setid", &[]);
        let steps = ran.ok().steps();
        steps.works("control-chmod");
        steps.works("control-fchmod");
        for step in [
            "chmod",
            "fchmod",
            "fchmodat",
            "fchmodat2",
            "chmod-high",
            "open",
            "openat",
            "creat",
            "tmpfile",
            "openat2",
            "mkdir",
            "mknod",
        ] {
            steps.fails(step, REFUSED);
        }
        for step in ["capability", "fcapability"] {
            steps.fails(step, &[Errno::EPERM as i32, Errno::EOPNOTSUPP as i32]);
        }
        let found = Command::new("find").arg(&session.ws).args(["-perm", "/6000"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
        let mode = fs::metadata(session.ws.join("plant")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
    }

    /// F21: no device nodes.
    all fn device_nodes(place) {
        let session = Session::new(place);
        let steps = session.attack("devices", &[]).ok().steps();
        steps.works("control-fifo");
        steps.works("control-file");
        for step in ["character", "block", "at", "whiteout"] {
            steps.fails(step, REFUSED);
        }
        let found = Command::new("find").arg(&session.ws).args(["-type", "b", "-o", "-type", "c"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    }

    /// F23: no opening by handle.
    all fn handles(place) {
        let session = Session::new(place);
        let canary = session.canary();
        let steps = session.attack("handles", &[canary.path()]).ok().steps();
        steps.fails("name", REFUSED);
        steps.fails("open", REFUSED);
        assert!(session.unjailed("handles", &[canary.path()]).of("name") >= 0);
    }

    /// F24, F25, Y06: no mounts, old or new, and no chroot.
    all fn mounts(place) {
        let session = Session::new(place);
        let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let steps = session.attack("mounts", &[]).ok().steps();
        for (step, result) in &steps.0 {
            let shadow = step == "break-out";
            let expected = if shadow { NO } else { REFUSED };
            assert!(expected.iter().any(|e| *result == -i64::from(*e)), "{step} {result}");
        }
        assert!(steps.0.len() >= 18);
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    }

    /// F26: of the devices anybody may open, only the harmless ones.
    all fn devices(place) {
        let session = Session::new(place);
        let harmless = ["/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"];
        let mut all: Vec<String> = Vec::new();
        for folder in ["/dev", "/dev/net", "/dev/pts", "/dev/input"] {
            let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
            all.extend(
                entries
                    .filter(|e| !e.file_type().unwrap().is_dir() && !e.file_type().unwrap().is_symlink())
                    .map(|e| e.path().to_str().unwrap().to_owned()),
            );
        }
        assert!(all.len() > harmless.len(), "too few devices here to tell");
        all.extend(
            ["/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/vsock", "/dev/userfaultfd", "/dev/tty"]
                .map(str::to_owned),
        );
        let mut argv = vec![
            "sh".to_owned(),
            "-c".to_owned(),
            "for d in \"$@\"; do (exec 3<\"$d\") 2>/dev/null && echo \"$d\"; done; true".to_owned(),
            "sh".to_owned(),
        ];
        argv.extend(all);
        let ran = session.exec(&argv);
        let mut opened: Vec<String> = ran.ok().text().lines().map(str::to_owned).collect();
        opened.sort();
        opened.dedup();
        assert_eq!(opened, harmless);
    }

    /// F27, P34: no knob of the kernel turns.
    all fn kernel_knobs(place) {
        let session = Session::new(place);
        let pattern = fs::read("/proc/sys/kernel/core_pattern").unwrap();
        let ran = session.sh(
            "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/uevent_helper \
             /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/release_agent /proc/sys/fs/binfmt_misc/register /proc/1/oom_score_adj \
             /proc/self/oom_score_adj /proc/self/loginuid /proc/sys/vm/drop_caches; do (echo x >$f) 2>/dev/null && echo \"wrote $f\"; done; \
             echo -1000 >/proc/self/oom_score_adj && echo lowered; cat /proc/self/oom_score_adj"
        );
        assert_eq!(ran.text(), "300");
        assert_eq!(fs::read("/proc/sys/kernel/core_pattern").unwrap(), pattern);
        let broker = session.process("strongroom-broker").unwrap();
        let score: i32 =
            fs::read_to_string(format!("/proc/{}/oom_score_adj", broker.pid)).unwrap().trim().parse().unwrap();
        assert!(score < 300, "the broker would be ended first: {score}");
    }

    /// F42, F43: watching and measuring what is outside. The tier decides;
    /// what is left open in tier rootless is documented, and pinned here.
    all fn watching_outside(place) {
        let session = Session::new(place);
        session.put("sub/file", "x");
        let broker = session.state.join("broker");
        let log = session.state.join("log");
        let (broker, log) = (broker.to_str().unwrap(), log.to_str().unwrap());
        let steps = session.attack("watch", &["sub", broker, log]).ok().steps();
        steps.works("sub");
        let stat = session.exec(&["stat", "-c", "%s", broker]);
        match place {
            Place::Full | Place::FullUser => {
                steps.fails(broker, &[Errno::ENOENT as i32]);
                steps.fails(log, &[Errno::ENOENT as i32]);
                stat.exits(1);
            }
            Place::Container => {
                steps.fails(broker, &[Errno::EACCES as i32]);
                steps.fails(log, &[Errno::EACCES as i32]);
                assert_eq!(session.exec(&["stat", "-c", "%s", &format!("{broker}/operator.token")]).exit, 1);
            }
            Place::Rootless => {
                steps.works(broker);
                stat.ok();
            }
        }
    }

    /// A command cannot change what it is not given though it owns it: the
    /// system is read-only, the state folder out of reach.
    all fn writing_outside(place) {
        let session = Session::new(place);
        let outside = session.outside();
        let script = format!(
            "for d in / /etc /usr/bin /usr/local/bin /opt /proc /sys /dev {o} {s} {s}/run {s}/home {s}/broker {s}/log; do \
             (touch $d/planted) 2>/dev/null && echo touched $d; (mkdir $d/planted.d) 2>/dev/null && echo made $d; done; true",
            o = outside.display(),
            s = session.state.display()
        );
        let ran = session.sh(&script);
        assert_eq!(ran.text(), "", "{ran:#?}");
        // Above the workspace: what lands there, if anything, is not the host's.
        let _ = session.sh("touch ../planted; mkdir ../planted.d");
        assert!(!session.path("planted").exists() && !session.path("planted.d").exists());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        session.sh("touch planted && mkdir planted.d").ok();
        assert!(session.ws.join("planted.d").is_dir());
    }

    /// F44: a folder that is moved out from under a command, beneath a bind
    /// mount of the host, opens nothing.
    container fn disconnected_folder(place) {
        let session = Session::new(place);
        let real = session.outside().join("real");
        for folder in ["a/b", "c"] {
            fs::create_dir_all(real.join(folder)).unwrap();
        }
        fs::write(real.join("secret"), "not for commands").unwrap();
        fs::write(real.join("a/b/own"), "inside").unwrap();
        assert!(Command::new("chown").args(["-R", "64101:64101"]).arg(&real).status().unwrap().success());
        fs::create_dir(session.ws.join("m")).unwrap();
        let mount = Mount::bind(&real.join("a"), &session.ws.join("m"));
        let script = "cd m/b && cat own && touch here; while [ -e here ] && [ ! -e own.go ]; do sleep 0.02; done; \
                      cat ../secret ../../secret; ln own ../planted; mv own ../planted; mkdir ../planted.d; ls ..; true";
        let job = session.spawn(&[], &["sh", "-c", script], b"");
        assert!(strongroom_tests::eventually(Duration::from_secs(3), || real.join("a/b/here").exists()));
        fs::rename(real.join("a/b"), real.join("b")).unwrap();
        fs::write(real.join("b/own.go"), "").unwrap();
        let ran = session.wait(&job);
        assert!(ran.text().starts_with("inside") && !ran.text().contains("not for"), "{ran:?}");
        let mut left: Vec<_> = fs::read_dir(&real).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a", "b", "c", "secret"], "{ran:?}");
        drop(mount);
    }

    /// A workspace may hold files of others: a command is as any other user.
    container fn files_of_others(place) {
        let session = Session::new(place);
        let theirs = session.ws.join("roots");
        fs::write(&theirs, "root's").unwrap();
        own(&theirs, 0);
        fs::set_permissions(&theirs, fs::Permissions::from_mode(0o600)).unwrap();
        session.exec(&["cat", "roots"]).exits(1);
        session.sh("echo x >>roots").exits(2);
    }
}

/// A bind mount of the host, taken away again.
struct Mount(std::path::PathBuf);

impl Mount {
    fn bind(from: &std::path::Path, to: &std::path::Path) -> Self {
        let done = Command::new("mount").arg("--bind").arg(from).arg(to).status().unwrap();
        assert!(done.success(), "the host does not mount");
        Self(to.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
