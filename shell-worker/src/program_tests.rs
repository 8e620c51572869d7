//! What is firm and what is not, on folders made for it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use super::*;

/// A place: `sys` is nobody's to write, `ws` is.
struct Place {
    folder: tempfile::TempDir,
    ground: Ground,
}

const SANDBOX: u32 = 64101;
const CHANGEABLE: StageError = StageError { stage: Stage::Program, errno: Errno::EACCES as i32 };

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("sys/bin")).unwrap();
        fs::create_dir_all(folder.path().join("ws/bin")).unwrap();
        let writable = vec![folder.path().join("ws").into_os_string().into_encoded_bytes()];
        // The folder of temporary folders is anybody's, but sticky.
        let mounts = Mounts::read();
        Self { folder, ground: Ground { uid: SANDBOX, writable, mounts } }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).into_os_string().into_string().unwrap()
    }

    fn put(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        self.path(name)
    }

    /// Makes it the sandbox user's; only root can.
    fn give(&self, name: &str) -> bool {
        let given = chown(self.path(name), Some(SANDBOX), Some(SANDBOX));
        if given.is_err() {
            eprintln!("skipped: only root can give a file away");
        }
        given.is_ok()
    }

    fn link(&self, name: &str, target: &str) -> String {
        symlink(target, self.path(name)).unwrap();
        self.path(name)
    }

    fn first(&self, candidates: &[&str]) -> Step<String> {
        let candidates: Vec<_> = candidates.iter().map(|c| c_string(c.as_bytes())).collect();
        self.ground.program(&candidates, b"").map(|p| p.path.into_string().unwrap())
    }

    fn firm(&self, program: &str) -> Step<()> {
        self.first(&[program]).map(drop)
    }

    fn firm_with_path(&self, path: &str) -> Step<()> {
        let program = c_string(self.put("sys/bin/any", "").as_bytes());
        self.ground.program(&[program], path.as_bytes()).map(drop)
    }
}

#[test]
fn by_where_it_is() {
    let place = Place::new();
    assert_eq!(place.firm(&place.put("sys/bin/git", "")), Ok(()));
    assert_eq!(place.firm(&place.put("ws/bin/git", "")), Err(CHANGEABLE));
    assert_eq!(place.firm(&place.path("ws/../sys/bin/git")), Ok(()));
    assert_eq!(place.firm(&place.path("sys/bin/../../ws/bin/git")), Err(CHANGEABLE));
    assert_eq!(place.firm("bin/git"), Err(CHANGEABLE));
    assert_eq!(place.firm("./git"), Err(CHANGEABLE));
    // `wsx` is not `ws`.
    fs::create_dir(place.path("wsx")).unwrap();
    assert_eq!(place.firm(&place.put("wsx/git", "")), Ok(()));
}

#[test]
fn by_the_links_on_its_way() {
    let place = Place::new();
    let git = place.put("sys/bin/git", "");
    let evil = place.put("ws/bin/evil", "");
    assert_eq!(place.firm(&place.link("sys/bin/fine", "git")), Ok(()));
    assert_eq!(place.firm(&place.link("sys/bin/finer", "../../sys/./bin/fine")), Ok(()));
    // From the system into the workspace.
    assert_eq!(place.firm(&place.link("sys/bin/out", &evil)), Err(CHANGEABLE));
    assert_eq!(place.firm(&place.link("sys/bin/out2", "../../ws/bin/evil")), Err(CHANGEABLE));
    place.link("sys/lib", "../ws/bin");
    assert_eq!(place.firm(&place.path("sys/lib/evil")), Err(CHANGEABLE));
    // From the workspace to the system: today to git, tomorrow to env.
    assert_eq!(place.firm(&place.link("ws/bin/git", &git)), Err(CHANGEABLE));
    place.link("ws/sys", &place.path("sys"));
    assert_eq!(place.firm(&place.path("ws/sys/bin/git")), Err(CHANGEABLE));
    place.link("sys/way", "../ws/sys");
    assert_eq!(place.firm(&place.path("sys/way/bin/git")), Err(CHANGEABLE));
    let circle = place.link("sys/bin/circle", "circle");
    assert_eq!(place.firm(&circle), Err(no_program(Errno::ELOOP)));
}

#[test]
fn by_its_other_names() {
    let place = Place::new();
    let names = ["root", "own", "open", "listed"];
    let [root, own, open, listed] = names.map(|name| place.put(&format!("sys/bin/{name}"), ""));
    if !place.give("sys/bin/own") {
        return;
    }
    fs::set_permissions(&open, fs::Permissions::from_mode(0o757)).unwrap();
    fs::set_permissions(&listed, fs::Permissions::from_mode(0o775)).unwrap();
    for program in [&root, &own, &open, &listed] {
        assert_eq!(place.firm(program), Ok(()), "{program}");
    }
    for (name, program) in [("1", &root), ("2", &own), ("3", &open), ("4", &listed)] {
        fs::hard_link(program, place.path(&format!("ws/{name}"))).unwrap();
    }
    assert_eq!(place.firm(&root), Ok(()));
    assert_eq!(place.firm(&own), Err(CHANGEABLE));
    assert_eq!(place.firm(&open), Err(CHANGEABLE));
    assert_eq!(place.firm(&listed), Err(CHANGEABLE));
}

/// `ws` is /src, and `sys` shows /src/tools read-only.
#[test]
fn by_the_other_paths_to_it() {
    let mut place = Place::new();
    let list = |tools: &str| {
        let line =
            |root: &str, at: &str| format!("9 1 8:1 {root} {} rw - ext4 x rw\n", place.path(at));
        let list =
            format!("1 1 0:1 / / rw - overlay x rw\n{}{}", line("/src", "ws"), line(tools, "sys"));
        Mounts::parse(list.as_bytes())
    };
    let (aliased, apart) = (list("/src/tools"), list("/tools"));
    let root = place.put("sys/bin/root", "");
    let own = place.put("sys/bin/own", "");
    if !place.give("sys/bin/own") {
        return;
    }
    place.ground.mounts = apart;
    assert_eq!(place.firm(&own), Ok(()));
    place.ground.mounts = aliased;
    assert_eq!(place.firm(&own), Err(CHANGEABLE));
    // The file is root's, but its folder can be renamed from the other side.
    assert!(place.give("sys/bin"));
    assert_eq!(place.firm(&root), Err(CHANGEABLE));
    // Nobody knows: nothing of the sandbox user's is firm.
    place.ground.mounts = None;
    assert_eq!(place.firm(&own), Err(CHANGEABLE));
}

#[test]
fn by_its_interpreter() {
    let place = Place::new();
    let sh = place.put("sys/bin/sh", "");
    let evil = place.put("ws/bin/sh", "");
    let mut number = 0;
    let mut script = |line: &str| {
        number += 1;
        place.put(&format!("sys/bin/script-{number}"), line)
    };
    assert_eq!(place.firm(&script(&format!("#!{sh}\n"))), Ok(()));
    assert_eq!(place.firm(&script(&format!("#! \t{sh} -e\n"))), Ok(()));
    assert_eq!(place.firm(&script(&format!("#!{sh}"))), Ok(()));
    assert_eq!(place.firm(&script(&format!("#!{evil}\n"))), Err(CHANGEABLE));
    assert_eq!(place.firm(&script(&format!("#!{evil} {sh}\n"))), Err(CHANGEABLE));
    assert_eq!(place.firm(&script("#!sh\n")), Err(CHANGEABLE));
    let missing = place.path("sys/bin/missing");
    assert_eq!(place.firm(&script(&format!("#!{missing}\n"))), Err(no_program(Errno::ENOENT)));
    assert_eq!(place.firm(&script("#!\n")), Err(no_program(Errno::ENOEXEC)));
    assert_eq!(
        place.firm(&script(&format!("#!/{}", "x".repeat(300)))),
        Err(no_program(Errno::ENOEXEC))
    );
    // An interpreter that is a script itself.
    let inner = script(&format!("#!{evil}\n"));
    assert_eq!(place.firm(&script(&format!("#!{inner}\n"))), Err(CHANGEABLE));
    let own = place.path("sys/bin/own");
    place.put("sys/bin/own", &format!("#!{own}\n"));
    assert_eq!(place.firm(&own), Err(no_program(Errno::ELOOP)));
}

#[test]
fn the_first_that_can_be_executed() {
    let place = Place::new();
    let git = place.put("sys/bin/git", "");
    let evil = place.put("ws/bin/evil", "");
    let text = place.put("sys/text", "");
    fs::set_permissions(&text, fs::Permissions::from_mode(0o644)).unwrap();
    let (folder, missing) = (place.path("sys/bin"), place.path("sys/missing"));
    let beneath_file = format!("{git}/x");
    assert_eq!(
        place.first(&[&missing, &beneath_file, &text, &folder, &git, &evil]),
        Ok(git.clone())
    );
    assert_eq!(place.first(&[&evil, &git]), Err(CHANGEABLE));
    // Nothing is there yet, but could be.
    assert_eq!(place.first(&[&place.path("ws/bin/git"), &git]), Err(CHANGEABLE));
    assert_eq!(place.first(&[&missing]), Err(no_program(Errno::ENOENT)));
    assert_eq!(place.first(&[&missing, &text]), Err(no_program(Errno::EACCES)));
    assert_eq!(place.first(&[]), Err(no_program(Errno::ENOENT)));
}

#[test]
fn by_where_it_looks_for_others() {
    let place = Place::new();
    let (sys, ws) = (place.path("sys/bin"), place.path("ws/bin"));
    let missing = place.path("sys/missing");
    assert_eq!(place.firm_with_path(&format!("{sys}:{missing}:/usr/bin")), Ok(()));
    place.link("sys/to-ws", "../ws");
    for bad in [
        format!("{sys}:{ws}"),
        format!("{sys}:{ws}/not-yet"),
        format!("{sys}:"),
        format!(":{sys}"),
        format!("{sys}:bin"),
        place.path("sys/to-ws"),
        place.path("ws/bin/.."),
    ] {
        assert_eq!(place.firm_with_path(&bad), Err(CHANGEABLE), "{bad}");
    }
}

#[test]
fn the_plans_ground() {
    use strongroom_protocol::plan::{Leases, PathRule};
    use strongroom_protocol::types::ProfileIx;

    use crate::testing;

    let mut plan = testing::plan("/w");
    let rule = |path, access| PathRule { path: testing::path(path), access };
    plan.profiles[0].paths =
        vec![rule("/w", Access::Write), rule("/usr", Access::Read), rule("/agent", Access::Write)];
    plan.profiles.push(testing::profile("other"));
    plan.profiles[1].paths = vec![rule("/other", Access::Write)];
    plan.leases = Some(Leases { folder: testing::path("/leases"), writer: ProfileIx(0) });
    let ground = Ground::of(&plan);
    let paths = ["/w", "/agent", "/other", "/nonexistent-state", "/tmp", "/dev/shm", "/leases"];
    assert_eq!(ground.writable, paths.map(|p| p.as_bytes().to_vec()));
    assert!(ground.mounts.is_some());
    let sh = Path::new("/bin/sh").canonicalize().unwrap();
    let sh = c_string(sh.as_os_str().as_encoded_bytes());
    let found = ground.program(std::slice::from_ref(&sh), b"/usr/bin:/bin");
    assert_eq!(found.map(|program| program.path), Ok(sh));
}
