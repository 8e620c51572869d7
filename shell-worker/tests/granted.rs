//! What commands get that are granted something, and what all others get:
//! sealed files, values, firm programs, and the files that are written for
//! the broker. In real jails, of every kind that this machine can make.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

// Shared with other tests, which use more of it.
#[allow(dead_code)]
mod driver;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use driver::{
    GRANTED, Lease, PLAIN, Place, Ran, SANDBOX, Session, WRITER, give, launch, pid_of, remembers,
};
use nix::mount::{MntFlags, MsFlags};
use strongroom_protocol::channel::w::{Down, Filed, Link, Up, Write};
use strongroom_protocol::channel::z::Fork;
use strongroom_protocol::stage::{Stage, StageError};
use strongroom_protocol::types::{
    CredentialName, LeaseId, List, PathBytes, Piece, SecretBytes, SecretVar, SignalNo,
};
use strongroom_sys::{Errno, process};

const SECRET: &[u8] = b"correct horse battery staple\n";
const SHOWN: &str = "correct horse battery staple";

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
        ("a_granted_file_is_read_every_way", a_granted_file_is_read_every_way),
        ("others_read_it_no_way", others_read_it_no_way),
        ("it_is_there_no_longer_than_its_command", no_longer_than_its_command),
        ("two_commands_hold_one", two_commands_hold_one),
        ("a_killed_worker_leaves_none", a_killed_worker_leaves_none),
        ("many_and_large_ones", many_and_large_ones),
        ("what_cannot_be_put_there_is_not_run_without", what_cannot_be_put_there),
        ("a_broken_delivery_ends_the_worker", a_broken_delivery),
        ("values_in_the_environment", values_in_the_environment),
        ("the_worker_keeps_no_value", the_worker_keeps_no_value),
        ("nothing_runs_without_the_word", nothing_runs_without_the_word),
        ("a_firm_program", a_firm_program),
        ("files_for_the_broker", files_for_the_broker),
        ("files_that_cannot_be_written", files_that_cannot_be_written),
        ("full_and_read_only_file_systems", full_and_read_only),
    ];
    for place in Place::ALL {
        for (name, test) in tests {
            test(place);
            println!("test {name}, {place:?} ... ok");
        }
    }
}

const ENV: Lease<'_> = Lease { id: 1, name: ".env", text: SECRET };

fn lease_path(session: &Session, lease: &Lease<'_>) -> String {
    let folder = session.plan.leases.as_ref().unwrap().folder.display();
    format!("{folder}/{:08x}/{}", lease.id, lease.name)
}

/// Tries everything that gets at a file or changes it; says what came of it.
const TRY: &str = r#"
import errno, mmap, os, sys
path = sys.argv[1]
folder = os.path.dirname(path)
def told(name, act):
    try:
        print(name, act())
    except OSError as e:
        print(name, errno.errorcode[e.errno])
def read(fd):
    text = os.read(fd, 100)
    os.close(fd)
    return text.decode().strip()
def seek():
    with open(path) as f:
        f.seek(8); first = f.read(5); f.seek(8)
        return first if f.read(5) == first else "?"
def mapped():
    with open(path) as f:
        return mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:7].decode()
def again(flags):
    held = os.open(path, flags)
    return read(os.open("/proc/self/fd/%d" % held, os.O_RDONLY))
def hard():
    held = os.open(path, os.O_PATH)
    os.link("/proc/self/fd/%d" % held, "hard", follow_symlinks=True)
    return open("hard").read()
def soft():
    os.symlink(path, "soft")
    try: return open("soft").read().strip()
    finally: os.unlink("soft")
def plain(target):
    os.link(path, target)
    return open(target).read()
def out():
    os.rename(path, "out")
    return open("out").read()
def folder_out():
    os.rename(folder, "folder")
    return os.listdir("folder")
def inside():
    os.chdir(folder)
    return read(os.open(os.path.basename(path), os.O_RDONLY))
here = os.getcwd()
told("open", lambda: read(os.open(path, os.O_RDONLY)))
told("twice", lambda: read(os.open(path, os.O_RDONLY)))
told("seek", seek)
told("mmap", mapped)
told("again", lambda: again(os.O_RDONLY))
told("o_path", lambda: again(os.O_PATH))
told("soft", soft)
told("list", lambda: os.listdir(folder))
told("inside", inside)
os.chdir(here)
told("hard", hard)
told("link", lambda: plain("linked"))
told("beside", lambda: plain(path + "2"))
told("rename", out)
told("rename_folder", folder_out)
told("write", lambda: os.open(path, os.O_WRONLY))
told("append", lambda: os.open(path, os.O_RDWR | os.O_APPEND))
told("truncate", lambda: os.truncate(path, 0))
told("unlink", lambda: os.unlink(path))
told("rmdir", lambda: os.rmdir(folder))
told("create", lambda: os.open(folder + "/new", os.O_CREAT | os.O_WRONLY))
told("mkdir", lambda: os.mkdir(os.path.dirname(folder) + "/00000009"))
told("list_all", lambda: os.listdir(os.path.dirname(folder)))
told("chmod", lambda: os.chmod(path, 0o777))
told("chmod_folder", lambda: os.chmod(folder, 0o777))
told("times", lambda: os.utime(path, (1, 1)))
"#;

/// The script's verdicts, by what was tried.
fn tried(
    session: &mut Session,
    profile: u16,
    leases: &[Lease<'_>],
    path: &str,
) -> Vec<(String, String)> {
    session.put("try.py", TRY);
    let mut zygote = session.zygote(profile);
    let ran = session.run(&mut zygote, leases, &format!("/usr/bin/python3 try.py {path}"));
    assert_eq!(ran.exit, 0, "{ran:#?}");
    let verdicts = ran.text.lines().map(|line| line.split_once(' ').unwrap());
    verdicts.map(|(name, verdict)| (name.to_owned(), verdict.to_owned())).collect()
}

fn a_granted_file_is_read_every_way(place: Place) {
    let mut session = Session::new(place);
    let path = lease_path(&session, &ENV);
    let verdicts = tried(&mut session, GRANTED, &[ENV], &path);
    let want = [
        ("open", SHOWN),
        ("twice", SHOWN),
        ("seek", "horse"),
        ("mmap", "correct"),
        ("again", SHOWN),
        ("o_path", SHOWN),
        ("soft", SHOWN),
        ("list", "['.env']"),
        ("inside", SHOWN),
    ];
    for (name, verdict) in &verdicts {
        match want.iter().find(|(n, _)| n == name) {
            Some((_, wanted)) => assert_eq!(verdict, wanted, "{name}"),
            // Its own copy, in a tmpfs that is nobody else's.
            None if place.own_mounts() && ["chmod", "chmod_folder", "times"].contains(&&**name) => {
                assert_eq!(verdict, "None", "{name}");
            }
            None => assert!(["EACCES", "EXDEV"].contains(&&**verdict), "{name}: {verdict}"),
        }
    }
    assert_eq!(verdicts.len(), 25);
    assert_eq!(fs::read_dir(session.path("ws")).unwrap().count(), 1);
}

fn others_read_it_no_way(place: Place) {
    let mut session = Session::new(place);
    let path = lease_path(&session, &ENV);
    let mut zygote = session.zygote(GRANTED);
    let holder = session.worker(&mut zygote);
    holder.grant(&[ENV]);
    let mut holder = holder.launch(&launch(&["/bin/sh", "-c", &format!("read x; cat {path}")]));
    let other = Lease { id: 2, name: "other", text: b"x" };
    for (profile, leases) in [(GRANTED, &[][..]), (GRANTED, &[other][..]), (PLAIN, &[][..])] {
        let verdicts = tried(&mut session, profile, leases, &path);
        assert_eq!(verdicts.len(), 25);
        for (name, verdict) in verdicts {
            // Nothing is there to make a link to, and a link may dangle.
            let denied = [place.denial(), "EACCES", "EXDEV", "EPERM"].contains(&&*verdict);
            let own = place.own_mounts() && name == "list_all" && !leases.is_empty();
            assert!(denied || (own && verdict == "['00000002']"), "{name}: {verdict}");
        }
    }
    let held = session.leases();
    assert_eq!(held.len(), usize::from(!place.own_mounts()));
    assert_eq!(holder.ask("go"), SHOWN);
    assert_eq!(holder.finish().exit, 0);
}

fn no_longer_than_its_command(place: Place) {
    let mut session = Session::new(place);
    let path = lease_path(&session, &ENV);
    let mut zygote = session.zygote(GRANTED);
    // A process is left behind that holds it open; it is ended first.
    let ran = session.run(&mut zygote, &[ENV], &format!("sleep 100 <{path} & cat {path}; exit 3"));
    assert_eq!((ran.exit, &*ran.text), (3, SHOWN));
    assert_eq!(session.leases().len(), 0);
    // Granted, but never launched.
    let worker = session.worker(&mut zygote);
    worker.grant(&[ENV]);
    drop(worker);
    assert_eq!(session.leases().len(), 0);
    // Told to end everything.
    let worker = session.worker(&mut zygote);
    worker.grant(&[ENV]);
    let mut running = worker.launch(&launch(&["/bin/sh", "-c", "read x; echo $x; sleep 100"]));
    assert_eq!(running.ask("here"), "here");
    running.worker.abandon();
    let (report, _, worker) = running.report();
    assert_eq!(report, None);
    assert_eq!(worker.end(), 0);
    assert_eq!(session.leases().len(), 0);
    // A program that is not there.
    let mut worker = session.worker(&mut zygote);
    worker.grant(&[ENV]);
    let order = launch(&["/nothing"]);
    let mut running = worker.launch(&order);
    worker = {
        let report = running.worker.hear();
        let error = StageError { stage: Stage::Exec, errno: Errno::ENOENT as i32 };
        assert_eq!(report, Some(Up::Failed { error }));
        running.worker
    };
    assert_eq!(session.leases().len(), 0);
    assert_eq!(worker.end(), 0);
}

fn two_commands_hold_one(place: Place) {
    let mut session = Session::new(place);
    let path = lease_path(&session, &ENV);
    let script = format!("while read x; do cat {path}; done");
    let mut zygote = session.zygote(GRANTED);
    let mut start = |text| {
        let worker = session.worker(&mut zygote);
        worker.grant(&[Lease { text, ..ENV }]);
        worker.launch(&launch(&["/bin/sh", "-c", &script]))
    };
    let mut first = start(SECRET);
    assert_eq!(first.ask("x"), SHOWN);
    let mut second = start(SECRET);
    assert_eq!(second.ask("x"), SHOWN);
    assert_eq!(first.ask("x"), SHOWN);
    assert_eq!(first.finish().exit, 0);
    assert_eq!(second.ask("x"), SHOWN);
    let mut third = start(SECRET);
    assert_eq!(second.finish().exit, 0);
    assert_eq!(third.ask("x"), SHOWN);
    assert_eq!(third.finish().exit, 0);
    assert_eq!(session.leases().len(), 0);
}

fn a_killed_worker_leaves_none(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(GRANTED);
    let kill = |session: &mut Session, zygote: &mut _| {
        let worker = session.worker(zygote);
        let slot = worker.slot;
        worker.grant(&[ENV]);
        let mut running = worker.launch(&launch(&["/bin/sh", "-c", "read x; echo $x; sleep 100"]));
        assert_eq!(running.ask("here"), "here");
        process::signal(std::os::fd::AsFd::as_fd(&running.worker.pidfd), 9).unwrap();
        assert_eq!(running.worker.end(), -9);
        slot
    };
    let slot = kill(&mut session, &mut zygote);
    assert_eq!(session.leases().len(), usize::from(!place.own_mounts()));
    zygote.say(&Fork::Sweep { slot });
    // Orders are carried out one after the other.
    drop(session.worker(&mut zygote));
    assert_eq!(session.leases().len(), 0);
    // The session's end finds it, too.
    kill(&mut session, &mut zygote);
    drop(zygote);
    assert_eq!(session.leases().len(), 0);
}

fn many_and_large_ones(place: Place) {
    let mut session = Session::new(place);
    let names: Vec<String> = (1..=64).map(|n| format!("file {n}\n")).collect();
    let text: Vec<Vec<u8>> = (1..=64u8).map(|n| vec![n; 1000 * usize::from(n)]).collect();
    let leases: Vec<Lease<'_>> =
        (0..64usize).map(|n| Lease { id: n as u32, name: &names[n], text: &text[n] }).collect();
    let large = vec![b'x'; 1 << 20];
    let mut zygote = session.zygote(GRANTED);
    let folder = session.plan.leases.as_ref().unwrap().folder.display();
    // As many open files as the profile says are left to the command.
    let script = format!("cd {folder} && cat 000000*/* | wc -c; ls | wc -l");
    let ran = session.run(&mut zygote, &leases, &script);
    let all: usize = text.iter().map(Vec::len).sum();
    let listed = if place.own_mounts() { "ls: cannot open directory" } else { "ls: " };
    assert!(ran.text.contains(listed), "{ran:?}");
    // Only by name: the folder around them is not for listing.
    let paths: Vec<String> =
        leases.iter().map(|l| format!("'{}'", lease_path(&session, l))).collect();
    let ran = session.run(&mut zygote, &leases, &format!("cat {} | wc -c", paths.join(" ")));
    assert_eq!(ran.text, all.to_string());
    let lease = Lease { id: 7, name: "large", text: &large };
    let path = lease_path(&session, &lease);
    let ran = session.run(&mut zygote, &[lease], &format!("wc -c <{path}"));
    assert_eq!(ran.text, large.len().to_string());
    assert_eq!(session.leases().len(), 0);
}

fn what_cannot_be_put_there(place: Place) {
    let mut session = Session::new(place);
    let mut failed = |profile, text: &[u8], errno| {
        let mut zygote = session.zygote(profile);
        let worker = session.worker(&mut zygote);
        worker.grant(&[ENV, Lease { id: 2, name: "big", text }, Lease { id: 3, ..ENV }]);
        let mut running = worker.launch(&launch(&["/bin/sh", "-c", "echo ran"]));
        let error = StageError { stage: Stage::Lease, errno };
        assert_eq!(running.worker.hear(), Some(Up::Failed { error }));
        assert_eq!(session.leases().len(), 0);
        assert_eq!(running.worker.end(), 0);
    };
    // The profile's own limit on files, which would end the worker by a signal.
    failed(GRANTED, &vec![0; (1 << 20) + 1], Errno::EFBIG as i32);
    // A jail without leases.
    failed(PLAIN, b"x", Errno::ENOENT as i32);
}

fn a_broken_delivery(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(GRANTED);
    let name = strongroom_protocol::types::FileName::new("a").unwrap();
    let lease = |size| Down::Lease { id: LeaseId(1), name: name.clone(), size };
    let bytes = |text: &[u8]| Down::LeaseBytes { bytes: SecretBytes::new(text.to_vec()).unwrap() };
    for orders in [
        vec![lease(2), bytes(b"abc")],
        vec![lease(2), lease(2)],
        vec![lease(0), lease(0)],
        vec![lease(0), bytes(b"x")],
        vec![bytes(b"x")],
    ] {
        let mut worker = session.worker(&mut zygote);
        orders.iter().for_each(|order| worker.say(order, &[]));
        assert_eq!(worker.hear(), None);
        assert_eq!(worker.end(), Stage::Report.exit_code());
    }
    let worker = session.worker(&mut zygote);
    worker.say(&lease(2), &[]);
    let mut running = worker.launch(&launch(&["/bin/sh", "-c", "echo ran"]));
    assert_eq!(running.worker.hear(), None);
    assert_eq!(running.worker.end(), Stage::Report.exit_code());
    assert_eq!(session.leases().len(), 0);
}

fn secret(name: &str, value: &[u8]) -> SecretVar {
    SecretVar {
        name: CredentialName::new(name).unwrap(),
        value: SecretBytes::new(value.to_vec()).unwrap(),
    }
}

fn values_in_the_environment(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    let mut order =
        launch(&["/bin/sh", "-c", "printf '%s|%s|%s' \"$TOKEN\" \"$PATH\" \"${EMPTY-unset}\""]);
    let secrets = vec![secret("TOKEN", b"two\nlines"), secret("EMPTY", b""), secret("PATH", b"/x")];
    order.secrets = List::new(secrets).unwrap();
    let ran = session.worker(&mut zygote).launch(&order).finish();
    assert_eq!(ran.text, "two\nlines|/x|");
    order.secrets = List::new(vec![secret("TOKEN", b"a\0b")]).unwrap();
    let mut running = session.worker(&mut zygote).launch(&order);
    let error = StageError { stage: Stage::Exec, errno: Errno::EINVAL as i32 };
    assert_eq!(running.worker.hear(), Some(Up::Failed { error }));
}

fn the_worker_keeps_no_value(place: Place) {
    let mut session = Session::new(place);
    let path = lease_path(&session, &ENV);
    let mut zygote = session.zygote(GRANTED);
    let worker = session.worker(&mut zygote);
    let pid = pid_of(&worker.pidfd);
    worker.grant(&[ENV]);
    let mut order = launch(&["/bin/sh", "-c", &format!("read x; echo $$; read x; cat {path}")]);
    let value = b"an umbrella in the rain";
    order.secrets = List::new(vec![secret("TOKEN", value)]).unwrap();
    let mut running = worker.launch(&order);
    let command = running.ask("who").parse().unwrap();
    assert!(remembers(pid, b"TMPDIR="), "this looks at nothing");
    // The command runs as soon as the kernel has its copy; the worker wipes
    // its own then.
    let forgotten = || !remembers(pid, value) && !remembers(pid, SHOWN.as_bytes());
    let mut looks = 0..100;
    while !forgotten() {
        assert!(looks.next().is_some(), "a value is still there");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    if place == Place::Shared {
        assert!(remembers(command, value));
    }
    assert_eq!(running.ask("go"), SHOWN);
    assert_eq!(running.finish().exit, 0);
}

/// A command that is ready waits. It never runs when nobody wants it any more,
/// nor when something else is said than the word; and it does with the word.
fn nothing_runs_without_the_word(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    let order = launch(&["/bin/sh", "-c", "echo ran > ran"]);
    let ran = session.path("ws").join("ran");

    let mut armed = session.worker(&mut zygote).arm(&order);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!ran.exists());
    armed.worker.abandon();
    assert_eq!((armed.worker.end(), ran.exists()), (0, false));

    let signal = Down::Signal { signal: SignalNo::new(15).unwrap() };
    let armed = session.worker(&mut zygote).arm(&order);
    armed.worker.say(&signal, &[]);
    assert_ne!(armed.worker.end(), 0);
    assert!(!ran.exists());

    assert_eq!(session.worker(&mut zygote).launch(&order).finish().exit, 0);
    assert!(ran.exists(), "the control");
}

fn a_firm_program(place: Place) {
    let mut session = Session::new(place);
    session.put("evil", "#!/bin/sh\necho evil\n");
    fs::set_permissions(session.path("ws/evil"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/usr/bin/env", session.path("ws/env")).unwrap();
    give(&session.path("ws/env"));
    let evil = session.path("ws/evil");
    let mut zygote = session.zygote(PLAIN);
    let mut run = |firm, argv: &[&str]| {
        let order = strongroom_protocol::channel::w::Launch { firm, ..launch(argv) };
        let (report, text, worker) = session.worker(&mut zygote).launch(&order).report();
        assert_eq!(worker.end(), 0);
        match report {
            Some(Up::Exited { .. }) => Ok(text.trim().to_owned()),
            Some(Up::Failed { error }) => Err((error.stage, error.errno)),
            other => panic!("{other:?}"),
        }
    };
    let changeable = Err((Stage::Program, Errno::EACCES as i32));
    assert_eq!(run(true, &["sh", "-c", "echo firm"]), Ok("firm".to_owned()));
    // By links of the system: /bin leads to /usr/bin, sh to another shell.
    assert_eq!(run(true, &["/bin/sh", "-c", "echo firm"]), Ok("firm".to_owned()));
    for program in [evil.to_str().unwrap(), "./evil", "./env"] {
        assert!(run(false, &[program]).is_ok(), "{program}");
        assert_eq!(run(true, &[program]), changeable, "{program}");
    }
    let missing = (Stage::Exec, Errno::ENOENT as i32);
    assert_eq!(run(true, &["no-such-program"]), Err(missing));
    assert_eq!(run(true, &["/usr/bin/no-such-program"]), Err(missing));
}

fn file(session: &mut Session, orders: &[Down]) -> (Option<(Filed, i32)>, i32) {
    let mut zygote = session.zygote(WRITER);
    let mut worker = session.worker(&mut zygote);
    orders.iter().for_each(|order| worker.say(order, &[]));
    let filed = match worker.hear() {
        None => None,
        Some(Up::Filed { filed, errno }) => Some((filed, errno)),
        other => panic!("{other:?}"),
    };
    (filed, worker.end())
}

fn path(text: &str) -> PathBytes {
    PathBytes::new(text).unwrap()
}

fn write(name: &str, size: usize) -> Down {
    let size = u32::try_from(size).unwrap();
    Down::Write { write: Box::new(Write { path: path(name), mode: None, size }) }
}

fn text(bytes: &[u8]) -> Down {
    Down::WriteText { bytes: Piece::new(bytes).unwrap() }
}

fn values(bytes: &[u8]) -> Down {
    Down::WriteBytes { bytes: SecretBytes::new(bytes.to_vec()).unwrap() }
}

fn link(name: &str) -> Down {
    Down::Link { link: Box::new(Link { path: path(name), id: LeaseId(1) }) }
}

const WRITTEN: (Option<(Filed, i32)>, i32) = (Some((Filed::Written, 0)), 0);

fn files_for_the_broker(place: Place) {
    let mut session = Session::new(place);
    fs::create_dir(session.path("ws/src")).unwrap();
    give(&session.path("ws/src"));
    let done = file(
        &mut session,
        &[write("src/plain", 7), text(b"some"), values(b"how"), Down::WriteDone],
    );
    assert_eq!(done, WRITTEN);
    let written = session.path("ws/src/plain");
    assert_eq!(fs::read(&written).unwrap(), b"somehow");
    let stat = fs::metadata(&written).unwrap();
    assert_eq!((stat.uid(), stat.mode() & 0o7777), (SANDBOX.uid, 0o600));
    assert_eq!(file(&mut session, &[write("empty", 0), Down::WriteDone]), WRITTEN);

    // The link is for everybody to see, and leads the granted to the file.
    assert_eq!(file(&mut session, &[link("src/.env")]), WRITTEN);
    let target = lease_path(&session, &ENV);
    assert_eq!(fs::read_link(session.path("ws/src/.env")).unwrap().to_str(), Some(&*target));
    let mut zygote = session.zygote(GRANTED);
    let told: Ran = session.run(&mut zygote, &[ENV], "cat src/.env");
    assert_eq!(told.text, SHOWN);
    let told = session.run(&mut zygote, &[], "cat src/.env");
    assert!(told.exit == 1 && told.text.contains("No such file"), "{told:?}");
    // chmod and touch follow the link, and are stopped at its end.
    let told = session.run(&mut zygote, &[ENV], "chmod 777 src/.env || touch src/.env");
    assert_eq!(told.exit == 0, place.own_mounts(), "{told:?}");
    // A plain file takes the link's place, a link the plain file's.
    assert_eq!(file(&mut session, &[write("src/.env", 1), text(b"x"), Down::WriteDone]), WRITTEN);
    assert!(fs::symlink_metadata(session.path("ws/src/.env")).unwrap().is_file());
    assert_eq!(file(&mut session, &[link("src/plain")]), WRITTEN);
    let names: Vec<_> = fs::read_dir(session.path("ws/src")).unwrap().collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

fn files_that_cannot_be_written(place: Place) {
    let mut session = Session::new(place);
    for folder in ["ws/full", "ws/closed", "ws/.claude", "outside"] {
        fs::create_dir(session.path(folder)).unwrap();
        give(&session.path(folder));
    }
    fs::set_permissions(session.path("ws/closed"), fs::Permissions::from_mode(0o555)).unwrap();
    symlink("../outside", session.path("ws/out")).unwrap();
    fs::write(session.path("outside/file"), "old").unwrap();
    symlink("../outside/file", session.path("ws/file")).unwrap();
    let not_plain = (Some((Filed::NotPlain, 0)), 0);
    let no_folder = (Some((Filed::NoFolder, 0)), 0);
    let failed = |errno: Errno| (Some((Filed::Failed, errno as i32)), 0);
    let one = [text(b"x"), Down::WriteDone];
    for (name, want) in [
        ("out/new", not_plain),
        ("file", not_plain),
        ("full", not_plain),
        (".git", not_plain),
        (".claude/settings.json", not_plain),
        ("missing/new", no_folder),
        ("closed/new", failed(Errno::EACCES)),
    ] {
        let orders = [&[write(name, 1)][..], &one].concat();
        assert_eq!(file(&mut session, &orders), want, "{name}");
        assert_eq!(file(&mut session, &[link(name)]), want, "{name}");
    }
    // All bytes are heard before the answer.
    let pieces: Vec<Down> = (0..40).map(|_| text(&[b'x'; 32 << 10])).collect();
    let size = 40 * (32 << 10);
    let orders = [&[write("large", size)][..], &pieces, &[Down::WriteDone]].concat();
    assert_eq!(file(&mut session, &orders), failed(Errno::EFBIG));
    // More, or fewer, than were announced.
    let broken = (None, Stage::Report.exit_code());
    assert_eq!(file(&mut session, &[write("new", 1), text(b"xx")]), broken);
    assert_eq!(file(&mut session, &[write("new", 2), text(b"x"), Down::WriteDone]), broken);
    // A worker that may write nothing writes nothing.
    assert_eq!(fs::read(session.path("outside/file")).unwrap(), b"old");
    assert_eq!(fs::read_dir(session.path("outside")).unwrap().count(), 1);
    let mut names: Vec<_> =
        fs::read_dir(session.path("ws")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".claude", "closed", "file", "full", "out"]);
    for folder in ["ws/full", "ws/closed", "ws/.claude"] {
        assert_eq!(fs::read_dir(session.path(folder)).unwrap().count(), 0);
    }
}

/// A file system of 64 KiB.
fn small(session: &Session, name: &str, flags: MsFlags) {
    let options = format!("size=64k,mode=700,uid={0},gid={0}", SANDBOX.uid);
    let tmpfs = Some("tmpfs");
    nix::mount::mount(tmpfs, &session.path(name), tmpfs, flags, Some(&*options)).unwrap();
}

fn full_and_read_only(place: Place) {
    let mut session = Session::new(place);
    for name in ["ws/small", "ws/closed"] {
        fs::create_dir(session.path(name)).unwrap();
    }
    small(&session, "ws/small", MsFlags::empty());
    small(&session, "ws/closed", MsFlags::MS_RDONLY);
    let failed = |errno: Errno| (Some((Filed::Failed, errno as i32)), 0);
    let orders = |name: &str| {
        let pieces = [text(&[b'x'; 32 << 10]), text(&[b'x'; 32 << 10]), text(&[b'x'; 32 << 10])];
        [&[write(name, 96 << 10)][..], &pieces, &[Down::WriteDone]].concat()
    };
    assert_eq!(file(&mut session, &orders("small/file")), failed(Errno::ENOSPC));
    assert_eq!(fs::read_dir(session.path("ws/small")).unwrap().count(), 0);
    assert_eq!(file(&mut session, &orders("closed/file")), failed(Errno::EROFS));
    assert_eq!(file(&mut session, &[link("closed/.env")]), failed(Errno::EROFS));
    let mut unmounted = vec!["ws/small", "ws/closed"];
    if place == Place::Shared {
        small(&session, "leases", MsFlags::empty());
        unmounted.push("leases");
        let mut zygote = session.zygote(GRANTED);
        let worker = session.worker(&mut zygote);
        worker.grant(&[ENV, Lease { id: 2, name: "big", text: &[b'x'; 96 << 10] }]);
        let mut running = worker.launch(&launch(&["/bin/sh", "-c", "echo ran"]));
        let error = StageError { stage: Stage::Lease, errno: Errno::ENOSPC as i32 };
        assert_eq!(running.worker.hear(), Some(Up::Failed { error }));
        assert_eq!(session.leases().len(), 0);
    }
    for name in unmounted {
        nix::mount::umount2(&session.path(name), MntFlags::MNT_DETACH).unwrap();
    }
}
