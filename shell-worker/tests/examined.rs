//! What a worker finds when it looks at a command for a human, and that
//! nothing else runs afterwards. In real jails, of every kind that this
//! machine can make.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

// Shared with other tests, which use more of it.
#[allow(dead_code)]
mod driver;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use driver::{PLAIN, Place, Session, Worker, Zygote, give, launch};
use sha2::{Digest as _, Sha256};
use strongroom_protocol::action::{Exhibit, Files, MAX_EXHIBITS};
use strongroom_protocol::channel::w::{Down, Launch, Up};
use strongroom_protocol::stage::Stage;
use strongroom_protocol::types::PathBytes;
use strongroom_sys::Errno;

type Test = (&'static str, fn(Place));

fn main() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can make jails of every kind");
        return;
    }
    let tests: &[Test] = &[
        ("what_is_found", what_is_found),
        ("files_that_arguments_name", files_that_arguments_name),
        ("what_cannot_be_looked_at", what_cannot_be_looked_at),
        ("a_swap_is_seen", a_swap_is_seen),
        ("what_was_seen_is_what_runs", what_was_seen_is_what_runs),
        ("a_program_of_the_workspace_runs_from_its_copy", a_binary_runs_from_its_copy),
        ("nobody_can_change_the_copy", nobody_can_change_the_copy),
        ("only_what_was_looked_at_is_launched", only_what_was_looked_at),
        ("nobody_waits_for_a_look_that_nobody_wants", a_look_that_nobody_wants),
    ];
    for place in Place::ALL {
        for (name, test) in tests {
            test(place);
            println!("test {name}, {place:?} ... ok");
        }
    }
}

type Refused = (Stage, Errno);

impl Session {
    fn program(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path("ws").join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        give(&path);
    }

    fn examined(
        &mut self,
        zygote: &mut Zygote,
        launch: &Launch,
    ) -> Result<(Worker, Files), Refused> {
        let mut worker = self.worker(zygote);
        worker.say(&Down::Examine { launch: Box::new(launch.clone()) }, &[]);
        match worker.hear() {
            Some(Up::Examined { files }) => Ok((worker, *files)),
            Some(Up::Failed { error }) => {
                assert_eq!(worker.end(), 0);
                Err((error.stage, Errno::from_raw(error.errno)))
            }
            other => panic!("{other:?}"),
        }
    }

    fn files(&mut self, zygote: &mut Zygote, argv: &[&str]) -> Result<Files, Refused> {
        let (worker, files) = self.examined(zygote, &launch(argv))?;
        // The broker wants no more of it.
        drop(worker);
        Ok(files)
    }
}

fn digest(content: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(content).into()
}

fn exhibit(path: &str, content: impl AsRef<[u8]>, firm: bool) -> Exhibit {
    let content = content.as_ref();
    let size = content.len() as u64;
    Exhibit { path: PathBytes::new(path).unwrap(), digest: digest(content), size, firm }
}

const SCRIPT: &str = "#!/bin/sh\necho good \"$@\"\n";

fn what_is_found(place: Place) {
    let mut session = Session::new(place);
    session.program("tool", SCRIPT);
    let mut zygote = session.zygote(PLAIN);
    let shell = fs::read("/bin/sh").unwrap();

    let files = session.files(&mut zygote, &["sh", "-c", "tool"]).unwrap();
    assert_eq!(files.program, exhibit("/usr/bin/sh", &shell, true));
    // A word that is also a file's name counts: who is to tell?
    let named: Vec<_> = files.named.as_slice().iter().map(|e| e.path.display()).collect();
    assert_eq!((named, files.unseen), (vec!["tool".to_owned()], 0));
    assert!(files.interpreters.as_slice().is_empty());

    for name in ["./tool", session.path("ws/tool").to_str().unwrap()] {
        let files = session.files(&mut zygote, &[name, "x"]).unwrap();
        assert_eq!(files.program, exhibit(name, SCRIPT, false));
        assert_eq!(files.interpreters.as_slice(), [exhibit("/bin/sh", &shell, true)]);
        assert!(files.named.as_slice().is_empty());
    }
}

fn files_that_arguments_name(place: Place) {
    let mut session = Session::new(place);
    fs::create_dir(session.path("ws/sub")).unwrap();
    give(&session.path("ws/sub"));
    session.put("a", "top");
    session.put("sub/b", "below");
    symlink("/etc/passwd", session.path("ws/out")).unwrap();
    symlink("b", session.path("ws/sub/in")).unwrap();
    for number in 0..MAX_EXHIBITS + 2 {
        session.put(&format!("many{number}"), "x");
    }
    let large = fs::File::create(session.path("ws/large")).unwrap();
    large.set_len((64 << 20) + 1).unwrap();
    session.put("secret", "no one may read it");
    fs::set_permissions(session.path("ws/secret"), fs::Permissions::from_mode(0o000)).unwrap();
    let mut zygote = session.zygote(PLAIN);
    let absolute = session.path("ws/a").to_str().unwrap().to_owned();

    let mut order = launch(&[
        "ls",
        "b",
        "../a",
        "in",
        &absolute,
        "../../state",
        "../out",
        ".",
        "",
        "gone",
        "/etc/passwd",
        "-b",
    ]);
    order.cwd = Some(PathBytes::new("sub").unwrap());
    let (worker, files) = session.examined(&mut zygote, &order).unwrap();
    drop(worker);
    let wanted = [
        exhibit("b", "below", false),
        exhibit("../a", "top", false),
        exhibit("in", "below", false),
        exhibit(&absolute, "top", false),
    ];
    assert_eq!((files.named.as_slice(), files.unseen), (&wanted[..], 0));

    let files = session.files(&mut zygote, &["ls", "large", "secret", "a"]).unwrap();
    assert_eq!((files.named.as_slice(), files.unseen), (&[exhibit("a", "top", false)][..], 2));

    let many: Vec<String> = (0..MAX_EXHIBITS + 2).map(|n| format!("many{n}")).collect();
    let argv: Vec<&str> = ["ls"].into_iter().chain(many.iter().map(String::as_str)).collect();
    let files = session.files(&mut zygote, &argv).unwrap();
    assert_eq!((files.named.as_slice().len(), files.unseen), (MAX_EXHIBITS, 2));

    // All that is found fits one packet.
    let long: Vec<String> =
        (1..=MAX_EXHIBITS).map(|n| format!("{}a", "./".repeat(2000 + n))).collect();
    let argv: Vec<&str> = ["ls"].into_iter().chain(long.iter().map(String::as_str)).collect();
    let files = session.files(&mut zygote, &argv[..15]).unwrap();
    assert_eq!((files.named.as_slice().len(), files.unseen), (8, 6));
}

fn what_cannot_be_looked_at(place: Place) {
    let mut session = Session::new(place);
    session.program("interpreter", SCRIPT);
    let own = session.path("ws/interpreter").to_str().unwrap().to_owned();
    session.program("script", format!("#!{own}\n"));
    session.program("no-interpreter", "#!/usr/bin/no-such-program\n");
    session.program("nothing-named", "#!\n");
    // Over the limit `file-size` of this profile.
    session.program("large", vec![b'x'; (1 << 20) + 1]);
    session.put("plain", "echo not executable\n");
    nix::unistd::mkfifo(&session.path("ws/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    give(&session.path("ws/fifo"));
    let mut zygote = session.zygote(PLAIN);
    let mut refused = |argv: &[&str]| session.files(&mut zygote, argv).unwrap_err();

    assert_eq!(refused(&["./script"]), (Stage::Examine, Errno::EACCES));
    assert_eq!(refused(&["./large"]), (Stage::Examine, Errno::EFBIG));
    // As when it is executed.
    assert_eq!(refused(&["./no-interpreter"]), (Stage::Exec, Errno::ENOENT));
    assert_eq!(refused(&["./nothing-named"]), (Stage::Exec, Errno::ENOEXEC));
    assert_eq!(refused(&["./gone"]), (Stage::Exec, Errno::ENOENT));
    assert_eq!(refused(&["no-such-program"]), (Stage::Exec, Errno::ENOENT));
    for program in ["./plain", "./fifo", "."] {
        let refused = refused(&[if program == "." { "./." } else { program }]);
        assert_eq!(refused, (Stage::Exec, Errno::EACCES), "{program}");
    }
    let firm = Launch { firm: true, ..launch(&["./script"]) };
    let refused = session.examined(&mut zygote, &firm).map(drop).unwrap_err();
    assert_eq!(refused, (Stage::Program, Errno::EACCES));
}

/// What is done, and whether it is seen.
type Swap<'a> = (&'static str, Box<dyn Fn() + 'a>, bool);

/// The second look is the one that counts: it finds what has changed since
/// the first one.
fn a_swap_is_seen(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    let argv = ["./tool", "input"];
    let path = |name: &str| session.path("ws").join(name);
    let (tool, other, input) = (path("tool"), path("other"), path("input"));
    let swaps: [Swap<'_>; 7] = [
        ("nothing", Box::new(|| {}), false),
        ("rename", Box::new(|| fs::rename(&other, &tool).unwrap()), true),
        ("in place", Box::new(|| fs::write(&tool, "#!/bin/sh\necho evil\n").unwrap()), true),
        (
            "a link",
            Box::new(|| {
                fs::remove_file(&tool).unwrap();
                symlink("other", &tool).unwrap();
            }),
            true,
        ),
        (
            "the interpreter",
            Box::new(|| fs::write(&tool, SCRIPT.replace("/bin/sh", "/bin/cat")).unwrap()),
            true,
        ),
        ("a file it is given", Box::new(|| fs::write(&input, "evil").unwrap()), true),
        (
            "its mode",
            Box::new(|| fs::set_permissions(&tool, fs::Permissions::from_mode(0o700)).unwrap()),
            false,
        ),
    ];
    for (name, swap, seen) in swaps {
        let _ = fs::remove_file(session.path("ws/tool"));
        session.program("tool", SCRIPT);
        session.program("other", "#!/bin/sh\necho evil\n");
        session.put("input", "good");
        let before = session.files(&mut zygote, &argv).unwrap();
        swap();
        let after = session.files(&mut zygote, &argv).unwrap();
        assert_eq!(before != after, seen, "{name}");
    }
    // One that may no longer be executed is not executed.
    fs::set_permissions(session.path("ws/tool"), fs::Permissions::from_mode(0o644)).unwrap();
    let refused = session.files(&mut zygote, &argv).unwrap_err();
    assert_eq!(refused, (Stage::Exec, Errno::EACCES));
}

/// Somebody who rewrites a file without pause, in every way. A process: these
/// tests fork.
struct Rewriter(Child);

impl Rewriter {
    fn start(session: &Session) -> Self {
        let script = "i=0; while :; do i=$((i+1))
            printf '#!/bin/sh\\necho evil\\n' > tool
            printf '#!/bin/sh\\necho evil %s\\n' $i > new; chmod 755 new; mv new tool
            ln -sf evil new; mv -T new tool
            printf '#!/bin/sh\\necho good \"$@\"\\n' > new; chmod 755 new; mv new tool
        done";
        session.program("evil", "#!/bin/sh\necho evil\n");
        // A file that is being executed cannot be written: it tries again.
        let shell = Command::new("/bin/sh")
            .args(["-c", script])
            .current_dir(session.path("ws"))
            .stderr(Stdio::null())
            .spawn();
        Self(shell.unwrap())
    }
}

impl Drop for Rewriter {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn what_was_seen_is_what_runs(place: Place) {
    let mut session = Session::new(place);
    session.program("tool", SCRIPT);
    let mut zygote = session.zygote(PLAIN);
    let rewriter = Rewriter::start(&session);
    let order = launch(&["./tool", "word"]);
    let (mut good, mut evil, mut unseen_evil) = (0, 0, 0);
    let deadline = Instant::now() + Duration::from_secs(20);
    while (good < 10 || evil < 10 || unseen_evil == 0) && Instant::now() < deadline {
        // Half written, or a name that is gone for a moment: no decision.
        let Ok((worker, files)) = session.examined(&mut zygote, &order) else { continue };
        let said_good = files.program.digest == digest(SCRIPT);
        let (report, text, worker) = worker.launch(&order).report();
        assert!(matches!(report, Some(Up::Exited { .. } | Up::Failed { .. })), "{report:?}");
        assert_eq!(worker.end(), 0);
        assert_eq!(text == "good word\n", said_good, "{text}");
        assert_eq!(text.starts_with("evil"), !said_good && !text.is_empty(), "{text}");
        *(if said_good { &mut good } else { &mut evil }) += 1;

        // The control: without a look, what is there at last is what runs.
        let (_, text, worker) = session.worker(&mut zygote).launch(&order).report();
        assert_eq!(worker.end(), 0);
        unseen_evil += u32::from(text.starts_with("evil"));
    }
    drop(rewriter);
    assert!(good > 0 && evil > 0 && unseen_evil > 0, "{good} {evil} {unseen_evil}");
}

fn a_binary_runs_from_its_copy(place: Place) {
    let mut session = Session::new(place);
    session.program("tool", fs::read("/bin/echo").unwrap());
    let mut zygote = session.zygote(PLAIN);
    let order = launch(&["./tool", "good"]);
    let (worker, files) = session.examined(&mut zygote, &order).unwrap();
    assert_eq!(files.program, exhibit("./tool", fs::read("/bin/echo").unwrap(), false));
    session.program("tool", "#!/bin/sh\necho evil\n");
    assert_eq!(worker.launch(&order).finish().text, "good");
    let changed = session.worker(&mut zygote).launch(&order).finish();
    assert_eq!(changed.text, "evil", "the control");
}

fn nobody_can_change_the_copy(place: Place) {
    let mut session = Session::new(place);
    let script = "#!/bin/sh\n(echo 'echo evil' >> \"$0\") 2> /dev/null || echo refused\n\
                  (: > \"$0\") 2> /dev/null || echo refused\n";
    session.program("tool", script);
    let mut zygote = session.zygote(PLAIN);
    let order = launch(&["./tool"]);
    let (worker, _) = session.examined(&mut zygote, &order).unwrap();
    let ran = worker.launch(&order).finish();
    assert_eq!((ran.exit, ran.text.as_str()), (0, "refused\nrefused"));
}

fn only_what_was_looked_at(place: Place) {
    let mut session = Session::new(place);
    let mut zygote = session.zygote(PLAIN);
    let order = launch(&["sh", "-c", "echo good"]);
    let subfolder = Launch { cwd: Some(PathBytes::new("sub").unwrap()), ..order.clone() };
    fs::create_dir(session.path("ws/sub")).unwrap();
    for other in
        [launch(&["sh", "-c", "echo evil"]), subfolder, Launch { wall_ms: 1, ..order.clone() }]
    {
        let (worker, _) = session.examined(&mut zygote, &order).unwrap();
        let (report, text, worker) = worker.launch(&other).report();
        assert_eq!((report, text.as_str()), (None, ""));
        assert_eq!(worker.end(), Stage::Report.exit_code());
    }
    let (worker, _) = session.examined(&mut zygote, &order).unwrap();
    assert_eq!(worker.launch(&order).finish().text, "good", "the control");
}

fn a_look_that_nobody_wants(place: Place) {
    let mut session = Session::new(place);
    let names: Vec<String> = (0..MAX_EXHIBITS).map(|n| format!("large{n}")).collect();
    for name in &names {
        let file = fs::File::create(session.path("ws").join(name)).unwrap();
        file.set_len(64 << 20).unwrap();
    }
    let mut zygote = session.zygote(PLAIN);
    let argv: Vec<&str> = ["ls"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut worker = session.worker(&mut zygote);
    worker.say(&Down::Examine { launch: Box::new(launch(&argv)) }, &[]);
    std::thread::sleep(Duration::from_millis(20));
    let began = Instant::now();
    worker.abandon();
    worker.end();
    assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
}
