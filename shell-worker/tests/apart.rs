//! Workers of one zygote start from the same template, and have nothing of one
//! another's: a hostile command leaves what it can, and another, whose jail
//! was finished before that, looks for it. What the template was made of is
//! what the paths mean when a worker starts, not when its zygote did.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

// Shared with other tests, which use more of it.
#[allow(dead_code)]
mod driver;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use driver::{
    GRANTED, Lease, PLAIN, Place, Running, SANDBOX, Session, Worker, Zygote, give, launch, pid_of,
};
use nix::mount::{MntFlags, MsFlags};
use nix::sys::signal::Signal;
use strongroom_protocol::channel::w::Up;
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_sys::Errno;

type Test = (&'static str, fn(Place));

fn main() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can make jails of every kind");
        return;
    }
    // For file systems of our own, which go with this process.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    strongroom_sys::mount::make_private().unwrap();
    let tests: &[Test] = &[
        ("namespaces", namespaces),
        ("private_folders", private_folders),
        ("file_systems", file_systems),
        ("what_is_mounted", what_is_mounted),
        ("leases", leases),
        ("processes", processes),
        ("what_a_worker_holds", what_a_worker_holds),
        ("what_a_command_inherits", what_a_command_inherits),
        ("a_replaced_workspace", a_replaced_workspace),
        ("a_path_that_is_gone", a_path_that_is_gone),
        ("mounted_meanwhile", mounted_meanwhile),
    ];
    for place in Place::ALL {
        for (name, test) in tests {
            test(place);
            println!("test {name}, {place:?} ... ok");
        }
    }
}

/// Says what each line that it reads, run as a script, says; in one line.
const SHELL: &str = "while read -r line; do echo $(eval \"$line\" 2>&1); done";

fn shell(worker: Worker) -> Running {
    worker.launch(&launch(&["/bin/sh", "-c", SHELL]))
}

/// Two commands whose jails were both finished before either began.
fn two(session: &mut Session, zygote: &mut Zygote) -> (Running, Running) {
    let (first, second) = (session.worker(zygote), session.worker(zygote));
    (shell(first), shell(second))
}

/// Each has its own, and none its zygote's, however many are made in a row.
fn namespaces(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    let workers: Vec<_> = (0..4).map(|_| session.worker(&mut zygote)).collect();
    let pids = workers.iter().map(|worker| pid_of(&worker.pidfd)).chain([zygote.pid()]);
    let pids: Vec<_> = pids.chain([std::process::id().cast_signed()]).collect();
    let of = |kind: &str| -> BTreeSet<_> {
        pids.iter().map(|pid| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap()).collect()
    };
    for kind in ["mnt", "net"] {
        assert_eq!(of(kind).len(), if place.own_mounts() { pids.len() } else { 1 }, "{kind}");
    }
    for kind in ["pid", "ipc", "uts"] {
        // The zygote has ours.
        assert_eq!(of(kind).len(), if place.own_mounts() { pids.len() - 1 } else { 1 }, "{kind}");
    }
    assert_eq!(of("user").len(), if place == Place::User { pids.len() } else { 1 });
}

fn private_folders(place: Place) {
    let mut session = Session::new(place);
    // In a new root: over the folder in which the workspace is.
    session.plan.profiles[usize::from(PLAIN)].shm = place.own_mounts();
    let mut zygote = session.zygote(PLAIN);
    let (mut hostile, mut other) = two(&mut session, &mut zygote);
    let own = hostile.ask("echo $TMPDIR");
    for folder in [&*own, "/dev/shm"].iter().take(if place.own_mounts() { 2 } else { 1 }) {
        let leave = format!("mkdir {folder}/mark && chmod 777 {folder} && ls {folder}");
        assert!(hostile.ask(&leave).contains("mark"), "{folder}");
        let found = other.ask(&format!("ls -a {folder}; touch {folder}/mark/x"));
        assert!(!found.contains(" mark"), "{found}");
        let wanted = if place.own_mounts() { "No such file" } else { "denied" };
        assert!(found.contains(wanted), "{found}");
    }
    // Its own can be used; and what both may write is the same for both.
    assert_eq!(other.ask("echo x >$TMPDIR/x && cat $TMPDIR/x"), "x");
    assert_eq!(hostile.ask("echo shared >here && echo done"), "done");
    assert_eq!(other.ask("cat here"), "shared");
    for running in [hostile, other] {
        assert_eq!(running.finish().exit, 0);
    }
}

fn file_systems(place: Place) {
    if !place.own_mounts() {
        return;
    }
    let mut session = Session::new(place);
    session.plan.profiles[usize::from(GRANTED)].shm = true;
    let mut zygote = session.zygote(GRANTED);
    let (mut first, mut second) = two(&mut session, &mut zygote);
    // The folder of leases cannot be looked at by a command; its mount can.
    for folder in ["/tmp", "/dev/shm", "/proc", "/run/strongroom/leases"] {
        let ask = format!("grep ' {folder} ' /proc/self/mountinfo | tail -1 | cut -d' ' -f3");
        let (one, two) = (first.ask(&ask), second.ask(&ask));
        assert!(one.contains(':') && one != two, "{folder}: {one} and {two}");
    }
    // The one that they share cannot be written.
    let root = "stat -c %d /";
    assert_eq!(first.ask(root), second.ask(root));
    for folder in ["/", "/run", "/run/strongroom", "/dev"] {
        let answer = first.ask(&format!("mkdir {folder}/x || touch {folder}/x || rmdir {folder}"));
        assert!(!second.ask(&format!("ls {folder}")).contains('x'), "{folder}: {answer}");
    }
}

fn what_is_mounted(place: Place) {
    if !place.own_mounts() {
        return;
    }
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    let worker = session.worker(&mut zygote);
    let mut running = shell(worker);
    let points = running.ask("cut -d' ' -f5 /proc/self/mountinfo");
    let named: Vec<_> = session.plan.profiles[usize::from(PLAIN)].paths.iter().collect();
    for point in points.split(' ') {
        let beneath = |outer: &str| {
            point.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let known = named.iter().any(|r| beneath(str::from_utf8(r.path.as_bytes()).unwrap()));
        assert!(known || ["/", "/tmp"].contains(&point), "{point} in {points}");
    }
    // There is no way up out of it.
    let listed = running.ask("ls -a /; ls -a /..; ls /../../dev");
    assert!(!listed.contains("root") && !listed.contains("home"), "{listed}");
    assert_eq!(running.finish().exit, 0);
}

fn leases(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(GRANTED);
    let (holder, other) = (session.worker(&mut zygote), session.worker(&mut zygote));
    holder.grant(&[Lease { id: 1, name: "key", text: b"correct horse" }]);
    let folder = str::from_utf8(session.plan.leases.as_ref().unwrap().folder.as_bytes()).unwrap();
    let ask = format!("cat {folder}/00000001/key");
    let (mut holder, mut other) = (shell(holder), shell(other));
    assert_eq!(holder.ask(&ask), "correct horse");
    assert!(other.ask(&ask).contains(if place.own_mounts() { "No such" } else { "denied" }));
    assert!(other.ask(&format!("ls {folder}")).contains("denied"));
    for running in [holder, other] {
        assert_eq!(running.finish().exit, 0);
    }
}

fn processes(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    let (first, second) = (session.worker(&mut zygote), session.worker(&mut zygote));
    let victim = pid_of(&first.pidfd);
    let (mut first, mut second) = (shell(first), shell(second));
    let pid = first.ask("sleep 100 >/dev/null 2>&1 & echo $!");
    let runs =
        format!("until grep -q sleep /proc/{pid}/comm; do :; done; kill -0 {pid} && echo yes");
    assert_eq!(first.ask(&runs), "yes");
    let found = format!("grep -ls sleep /proc/[0-9]*/comm | grep -c '/{pid}/'");
    assert_eq!(first.ask(&found), "1");
    if place.own_mounts() {
        assert_eq!(second.ask(&found), "0");
        // Its worker, itself, and what it runs.
        let many = second.ask("ls -d /proc/[0-9]* | wc -l");
        assert!(many.parse::<u32>().unwrap() < 7, "{many}");
    } else {
        for target in [&*pid, &victim.to_string()] {
            let answer = second.ask(&format!("kill -0 {target}; head -c1 /proc/{target}/environ"));
            assert!(answer.contains("not permitted") && answer.contains("denied"), "{answer}");
        }
    }
    // A third one reaches all that it may signal, which is none of them.
    let text = session.run(&mut zygote, &[], "kill -KILL -1 2>/dev/null; echo over").text;
    assert_eq!(text, "over");
    assert_eq!(first.ask(&format!("kill -0 {pid} && echo yes")), "yes");
    for running in [first, second] {
        assert_eq!(running.finish().exit, 0);
    }
}

/// Nothing of its zygote's, which has descriptors that lead out of the jail.
fn what_a_worker_holds(place: Place) {
    let mut session = Session::new(place);
    let workspace = session.path("ws").display().to_string();
    let (state, leases) = (session.path("state/tmp"), session.plan.leases.clone().unwrap());
    let leases = str::from_utf8(leases.folder.as_bytes()).unwrap().to_owned();
    let held = |pid: i32| -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let links = entries.map(|entry| fs::read_link(entry.unwrap().path()).unwrap());
        links.map(|link| link.display().to_string()).collect()
    };
    const RULESET: &str = "anon_inode:[landlock-ruleset]";
    for profile in [GRANTED, PLAIN] {
        let mut zygote = session.zygote(profile);
        let worker = session.worker(&mut zygote);
        let holds = held(pid_of(&worker.pidfd));
        for link in &holds {
            let known = ["/dev/null", "anon_inode:[signalfd]", RULESET, &workspace, &leases];
            let own = link.starts_with(state.to_str().unwrap());
            let channel = ["socket:", "pipe:"].iter().any(|kind| link.starts_with(kind));
            assert!(known.contains(&&**link) || channel || own, "{link} in {holds:?}");
        }
        let count = |kind: &str| holds.iter().filter(|link| link.starts_with(kind)).count();
        // Where a deputy is needed, also the two ends of the way to it.
        let sockets = if place.own_mounts() { 1 } else { 3 };
        assert_eq!((count("socket:"), count("pipe:")), (sockets, 1), "{holds:?}");
        assert_eq!(count(RULESET), 1, "{holds:?}");
        // What is looked for can be seen: its zygote has it.
        assert!(held(zygote.pid()).iter().any(|link| link == "/"));
    }
}

fn what_a_command_inherits(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    let hostile = session.worker(&mut zygote);
    let mut hostile = shell(hostile);
    hostile.ask("umask 0; ulimit -n 8; ulimit -c 0; trap '' HUP CHLD; cd /; echo done");
    let worker = session.worker(&mut zygote);
    let mut running = shell(worker);
    let status = running.ask("cat /proc/self/status");
    // Its zygote ignores SIGCHLD and holds capabilities, and the bounding set
    // of a new user namespace is full.
    for wanted in ["SigBlk: 0000000000000000", "NoNewPrivs: 1"] {
        assert!(status.contains(wanted), "{wanted} in {status}");
    }
    let ignored = status.split("SigIgn: ").nth(1).and_then(|s| s.split(' ').next()).unwrap();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    assert_eq!(ignored & 1 << (Signal::SIGCHLD as u64 - 1), 0, "{status}");
    // The supervisor empties it where no namespace fills it.
    let bounding = place.own_mounts().then_some("Bnd");
    for set in ["Inh", "Prm", "Eff", "Amb"].into_iter().chain(bounding) {
        assert!(status.contains(&format!("Cap{set}: 0000000000000000")), "{set} in {status}");
    }
    assert!(status.contains(&format!("Uid: {0} {0} {0} {0} ", SANDBOX.uid)), "{status}");
    assert_eq!(running.ask("umask; ulimit -n; ulimit -c"), "0022 64 0");
    assert_eq!(running.ask("pwd"), session.path("ws").display().to_string());
    for running in [hostile, running] {
        assert_eq!(running.finish().exit, 0);
    }
}

fn a_replaced_workspace(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    session.put("file", "old");
    assert_eq!(session.run(&mut zygote, &[], "cat file").text, "old");
    fs::rename(session.path("ws"), session.path("old")).unwrap();
    fs::create_dir(session.path("ws")).unwrap();
    give(&session.path("ws"));
    session.put("file", "new");
    assert_eq!(session.run(&mut zygote, &[], "cat file && echo more >>file").text, "new");
    assert_eq!(fs::read_to_string(session.path("ws/file")).unwrap(), "newmore\n");
    assert_eq!(fs::read_to_string(session.path("old/file")).unwrap(), "old");
}

fn a_path_that_is_gone(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    assert_eq!(session.run(&mut zygote, &[], "echo here").text, "here");
    let (workspace, away) = (session.path("ws"), session.path("away"));
    let stage = if place.own_mounts() { Stage::Mounts } else { Stage::Landlock };
    fs::rename(&workspace, &away).unwrap();
    let gone = StageError { stage, errno: Errno::ENOENT as i32 };
    assert_eq!(session.no_worker(&mut zygote), gone);
    // The same folder by a link is not what the plan says.
    symlink(&away, &workspace).unwrap();
    let worker = session.worker(&mut zygote);
    let (report, ..) = shell(worker).report();
    assert!(matches!(report, Some(Up::Failed { .. })), "{report:?}");
    fs::remove_file(&workspace).unwrap();
    fs::rename(&away, &workspace).unwrap();
    assert_eq!(session.run(&mut zygote, &[], "echo back").text, "back");
}

/// As it always was where the zygote is in the namespace in which it happens.
fn mounted_meanwhile(place: Place) {
    if place == Place::User {
        return;
    }
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    let inner = session.path("ws/inner");
    fs::create_dir(&inner).unwrap();
    assert_eq!(session.run(&mut zygote, &[], "ls inner").text, "");
    let none: Option<&str> = None;
    nix::mount::mount(Some("x"), &inner, Some("tmpfs"), MsFlags::empty(), none).unwrap();
    fs::write(inner.join("mark"), "").unwrap();
    assert_eq!(session.run(&mut zygote, &[], "ls inner").text, "mark");
    nix::mount::umount2(&inner, MntFlags::empty()).unwrap();
    assert_eq!(session.run(&mut zygote, &[], "ls inner").text, "");
}
