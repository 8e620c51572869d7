//! The residency map: a session in which credentials take every way there is,
//! then a look, with everything stopped, at every file, descriptor and byte of
//! memory of it (invariant I1; attacks.md 2.6: K01).
//!
//! `make residency` prints what was found. The table in docs/threat-model.md
//! says where a value may be seen; with RESIDENCY=write it is written anew,
//! else it is compared.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strongroom_tests::outside::{own, random_name};
use strongroom_tests::place::is_root;
use strongroom_tests::processes::{self, Process};
use strongroom_tests::residency::{Scanner, Sightings};
use strongroom_tests::secrets::policy;
use strongroom_tests::setup::programs;
use strongroom_tests::{Place, Session, Setup, eventually, limit};

/// The ways a value takes, as the table's columns.
const WAYS: [(&str, &str); 8] = [
    ("HANDED", "in an environment"),
    ("PRINTED", "printed, in all forms"),
    ("SEALED", "in a sealed file"),
    ("PLAIN", "in a plain file"),
    ("FOUND", "from the start's environment"),
    ("IMPORTED", "from a folder"),
    ("UNUSED", "in the vault only"),
    ("REVOKED", "revoked"),
];

/// The table's rows. Where nothing may be is said as well.
const ROWS: [&str; 13] = [
    "supervisor",
    "recorder",
    "zygotes, idle workers",
    "agent, its clients",
    "command without a grant",
    "its worker",
    "command with a grant",
    "worker of that command",
    "sealed files",
    "workspace",
    "state folder: vault",
    "state folder: log, the rest",
    "temporary folders",
];

/// Where invariant I1 lets a value be. The vault file has all of them, sealed.
fn may_be(row: &str, way: &str) -> bool {
    let granted = ["HANDED", "PRINTED", "SEALED", "FOUND", "IMPORTED"].contains(&way);
    match row {
        "command with a grant" => granted,
        "sealed files" => way == "SEALED",
        "workspace" => way == "PLAIN",
        _ => false,
    }
}

const POLICY: &str = r#"
credential.HANDED = { deliver = ["env"] }
credential.PRINTED = { deliver = ["env"] }
credential.FOUND = { deliver = ["env"] }
credential.IMPORTED = { deliver = ["env"] }
credential.SEALED = { deliver = ["file"] }
credential.PLAIN = { deliver = ["file"], plain = "allow" }
credential.UNUSED = { deliver = ["env"] }
credential.REVOKED = { deliver = ["env"] }
"#;

/// Prints a value in many forms, maps the sealed file, then waits.
const HOLDER: &str = "import base64, binascii, html, json, mmap, os, sys, time, urllib.parse
t = os.environ['PRINTED']; b = t.encode()
sealed = open('.env', 'rb'); m = mmap.mmap(sealed.fileno(), 0, prot=mmap.PROT_READ); m[0]; kept = sealed.read()
for form in [t, base64.b64encode(b).decode(), base64.b64encode(b'x' + b).decode(), base64.urlsafe_b64encode(b'xy' + b).decode(), b.hex(), b.hex(':').upper(), urllib.parse.quote(t), json.dumps(json.dumps(t)), html.escape(t), repr(b), t[::-1]]:
    print(form, flush=True); print(form, file=sys.stderr, flush=True)
sys.stdout.buffer.write(t.encode('utf-16-le') + b[:9]); sys.stdout.flush()
open('holding', 'w').close()
time.sleep(60)";

/// A session in the middle of it all.
struct Scene {
    session: Session,
    values: Vec<(&'static str, String)>,
    holder: Process,
    other: Process,
}

fn scene(place: Place) -> Scene {
    let values: Vec<_> = WAYS
        .iter()
        .map(|(name, _)| (*name, random_name("v-").to_uppercase().replace('-', "+q")))
        .collect();
    let value = |name: &str| values.iter().find(|(n, _)| *n == name).unwrap().1.clone();
    let setup = Setup::new(place);
    let text = policy(&setup).replacen(
        "credential.ALPHA_TOKEN",
        &format!("{}credential.ALPHA_TOKEN", &POLICY[1..]),
        1,
    );
    let granted = r#"credentials = ["HANDED", "PRINTED", "FOUND", "IMPORTED", "SEALED"]"#;
    let text =
        text.replacen(r#"credentials = ["ALPHA_TOKEN", "FILE_KEY", "OTHER_KEY"]"#, granted, 1);
    let text = text
        + &format!(
            "[[rule]]\nname = \"revoked\"\nmatch = [\"{}\", \"revoked\", \"...\"]\nprofile = \"granted\"\naction = \"allow\"\ncredentials = [\"REVOKED\"]\n",
            setup.tool("reveal")
        );
    let keys = setup.path("keys");
    fs::create_dir(&keys).unwrap();
    fs::write(keys.join("imported"), value("IMPORTED")).unwrap();
    for path in [keys.join("imported"), keys.clone()] {
        own(&path, place.starter());
    }
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700)).unwrap();
    let key = keys.join("vault.key");
    let mut init = place.command(programs().join("strongroom"));
    init.args(["vault", "init", "--state"]).arg(setup.path("state")).arg("--new-key").arg(&key);
    assert!(init.env_clear().output().unwrap().status.success());
    let session = setup
        .policy(&text)
        .args(["--vault-key".as_ref(), key.as_os_str(), "--credentials".as_ref(), keys.as_os_str()])
        .env("FOUND", &value("FOUND"))
        .start();
    for name in ["HANDED", "PRINTED", "SEALED", "PLAIN", "UNUSED", "REVOKED"] {
        session.enter(name, &value(name));
    }
    session.write(".env", "", "K=${credentials.SEALED}\n").ok();
    session.write("plain", "--plain", "K=${credentials.PLAIN|raw}\n").ok();
    assert!(session.reveal("revoked", &[]).contains_key("REVOKED"));
    assert!(session.operator(&["credentials", "revoke", "REVOKED"]).status.success());
    session.agent("strongroom credentials list; strongroom read .env; strongroom credentials request MORE --reason please").ok();
    // One that gets it all and one that gets nothing, at the same time.
    let reveal = session.setup().tool("reveal");
    let _ = session.spawn(&[], &["/usr/bin/python3", "-c", HOLDER], b"");
    let _ = session.spawn(&[], &[&reveal, "nothing+", "idle", ".env"], b"");
    let _ = session.revealed("idle");
    assert!(
        eventually(Duration::from_secs(10), || session.ws.join("holding").exists()),
        "{}",
        session.log()
    );
    let holder = session.until_runs("kept = sealed.read()");
    let other = session.until_runs("nothing+");
    Scene { session, values, holder, other }
}

/// The worker of a command: the nearest of ours above it.
fn worker_of(command: &Process) -> Process {
    let up = std::iter::successors(processes::look(command.pid), |p| processes::look(p.parent));
    up.skip(1).find(|p| p.cmdline.starts_with("strongroom-worker")).unwrap()
}

/// Stops everything of a session, the supervisor first: nobody ends what it
/// waits for.
fn stop(session: &Session) -> Vec<Process> {
    session.signal(Signal::SIGSTOP);
    let all = processes::beneath(session.pid);
    for process in &all {
        let _ = kill(Pid::from_raw(process.pid), Signal::SIGSTOP);
    }
    all.into_iter().chain(processes::look(session.pid)).collect()
}

fn row_of(process: &Process, scene: &Scene, workers: [&Process; 2]) -> &'static str {
    let is = |other: &Process| other.pid == process.pid;
    match process.cmdline.split(' ').next().unwrap_or_default() {
        "strongroom-supervisor" => "supervisor",
        "strongroom-broker" => "broker",
        "strongroom-recorder" => "recorder",
        _ if is(&scene.holder) => "command with a grant",
        _ if is(&scene.other) => "command without a grant",
        _ if is(workers[0]) => "worker of that command",
        _ if is(workers[1]) => "its worker",
        "strongroom-worker" => "zygotes, idle workers",
        _ => "agent, its clients",
    }
}

/// Looks at everything of a session.
fn look(scene: &Scene) -> (Sightings, usize) {
    let Scene { session, values, .. } = scene;
    let pairs: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let scanner = Scanner::new(&pairs);
    let (holder, other) = (worker_of(&scene.holder), worker_of(&scene.other));
    let leases = session.lease(".env").parent().and_then(Path::parent).unwrap().to_owned();
    let mut found = Sightings::new();
    let all = stop(session);
    for process in &all {
        scanner.process(process, row_of(process, scene, [&holder, &other]), &mut found);
    }
    scanner.folder(&session.ws, "workspace", &mut found);
    let vault = session.state.join("broker");
    let files = scanner.folder(&vault, "state folder: vault", &mut found);
    assert!(files >= 1, "no vault file");
    for entry in fs::read_dir(&session.state)
        .unwrap()
        .filter_map(Result::ok)
        .filter(|e| e.path() != vault && e.path() != leases)
    {
        scanner.folder(&entry.path(), "state folder: log, the rest", &mut found);
    }
    // Each mount namespace shows its own.
    for root in roots(&all) {
        scanner.folder(&root.join(leases.strip_prefix("/").unwrap()), "sealed files", &mut found);
        for folder in ["dev/shm", "run", "tmp"] {
            // The workspace is in /tmp; others' work in the host's own.
            let others =
                |name: &str| name == session.mark || name == "strongroom" || leases.ends_with(name);
            let own = folder != "tmp" || root != Path::new("/");
            for path in
                folders_in(&root.join(folder)).into_iter().filter(|p| own && !others(&name_of(p)))
            {
                scanner.folder(&path, "temporary folders", &mut found);
            }
        }
    }
    for process in &all {
        let _ = kill(Pid::from_raw(process.pid), Signal::SIGCONT);
    }
    scanner.folder(&session.outside(), "temporary folders", &mut found);
    (found, all.len())
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn roots(all: &[Process]) -> Vec<PathBuf> {
    let namespaces: BTreeMap<PathBuf, PathBuf> = all
        .iter()
        .filter_map(|p| {
            Some((
                fs::read_link(format!("/proc/{}/ns/mnt", p.pid)).ok()?,
                format!("/proc/{}/root", p.pid).into(),
            ))
        })
        .collect();
    let ours = fs::read_link("/proc/self/ns/mnt").unwrap();
    let others = namespaces.into_iter().filter(|(name, _)| *name != ours).map(|(_, root)| root);
    std::iter::once(PathBuf::from("/")).chain(others).collect()
}

fn print(place: Place, found: &Sightings, processes: usize) {
    println!("\n{place:?}: {processes} processes; sightings by place and value");
    for ((row, way), count) in found {
        println!("  {row:<30} {way:<10} {count}");
    }
}

fn map(place: Place) -> Sightings {
    let mut scene = scene(place);
    let (found, processes) = look(&scene);
    print(place, &found, processes);
    // Over: everything of it is ended, and looked at again.
    scene.session.signal(Signal::SIGKILL);
    assert_eq!(scene.session.ends_within(Duration::from_secs(5)), 137);
    scene.session.leaves_nothing();
    let next = scene.session.again();
    let pairs: Vec<(&str, &str)> = scene.values.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let mut left = Sightings::new();
    let scanner = Scanner::new(&pairs);
    let places = ["/dev/shm", "/run"].map(PathBuf::from).into_iter().chain([
        next.state.clone(),
        next.ws.clone(),
        next.outside(),
    ]);
    for folder in places.flat_map(|place| folders_in(&place).into_iter().chain([place])) {
        scanner.folder(&folder, "after the end", &mut left);
    }
    let names: Vec<&str> = left.keys().map(|(_, way)| way.as_str()).collect();
    assert_eq!(names, ["PLAIN"], "after the end: {left:?}");
    found
}

fn check(place: Place) {
    if !is_root() {
        return limit::skip("it needs root, to look at everybody's memory");
    }
    let found = map(place);
    for (row, way) in found.keys().filter(|(row, _)| row != "broker") {
        assert!(may_be(row, way), "{way} is in: {row}: {found:#?}");
    }
    // What may be there and was not seen would make the table say too much.
    for row in ["command with a grant", "sealed files", "workspace"] {
        for (way, _) in WAYS.iter().filter(|(way, _)| may_be(row, way)) {
            assert!(
                found.contains_key(&(row.to_owned(), (*way).to_owned())),
                "{way} was not seen in: {row}: {found:#?}"
            );
        }
    }
}

#[test]
fn full() {
    limit::within(120, || check(Place::Full));
}

#[test]
fn full_user() {
    limit::within(120, || check(Place::FullUser));
}

#[test]
fn container() {
    limit::within(120, || check(Place::Container));
}

#[test]
fn rootless() {
    limit::within(120, || check(Place::Rootless));
}

/// Control: what is put on purpose into memory, an environment, a file, a
/// name, a pipe, as it is and in other forms, is seen.
#[test]
fn the_look_sees() {
    let values = ["A", "B", "C", "D", "E"].map(|name| (name, random_name("seen")));
    let [(_, raw), (_, coded), (_, file), (_, piped), (_, named)] = &values;
    let folder = tempfile::tempdir().unwrap();
    let hex: String = file.bytes().map(|b| format!("{b:02x}")).collect();
    fs::write(folder.path().join("hex"), format!("--{hex}--")).unwrap();
    fs::write(folder.path().join(named), "").unwrap();
    let script = "import base64, os, sys, time\nx = base64.b64encode(b'.' + sys.stdin.buffer.read())\nr, w = os.pipe(); os.write(w, os.environb.pop(b'P'))\nprint('ready', flush=True)\ntime.sleep(60)";
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .env("RAW", raw)
        .env("P", piped)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), coded.as_bytes()).unwrap();
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 6]).unwrap();
    let pairs: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let scanner = Scanner::new(&pairs);
    let mut found = Sightings::new();
    let process = processes::look(i32::try_from(child.id()).unwrap()).unwrap();
    kill(Pid::from_raw(process.pid), Signal::SIGSTOP).unwrap();
    scanner.process(&process, "process", &mut found);
    assert_eq!(scanner.folder(folder.path(), "folder", &mut found), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let seen: Vec<(&str, &str)> =
        found.keys().map(|(place, name)| (place.as_str(), name.as_str())).collect();
    assert_eq!(
        seen,
        [("folder", "C"), ("folder", "E"), ("process", "A"), ("process", "B"), ("process", "D")]
    );
}

const BEGIN: &str = "<!-- begin residency -->\n";
const END: &str = "<!-- end residency -->\n";

/// The table of the threat model.
fn table() -> String {
    let ways: Vec<&str> = WAYS.iter().map(|(_, title)| *title).collect();
    let mut text = format!("| | {} |\n|---|{}\n", ways.join(" | "), "---|".repeat(ways.len()));
    for row in ROWS {
        let cells: Vec<&str> =
            WAYS.iter().map(|(way, _)| if may_be(row, way) { "yes" } else { "–" }).collect();
        text += &format!("| {row} | {} |\n", cells.join(" | "));
    }
    text
}

/// The table in the document is the one that is tested.
#[test]
fn the_document_says_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/threat-model.md");
    let text = fs::read_to_string(&path).unwrap();
    let start = text.find(BEGIN).expect("no table in docs/threat-model.md") + BEGIN.len();
    let end = text.find(END).expect("no table in docs/threat-model.md");
    if std::env::var_os("RESIDENCY").is_some_and(|v| v == "write") {
        fs::write(&path, [&text[..start], &table(), &text[end..]].concat()).unwrap();
    } else {
        assert_eq!(&text[start..end], table(), "write it anew with `make residency`");
    }
}
