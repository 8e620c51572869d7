//! What a policy becomes in a place, and what a place refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::os::unix::fs::symlink;

use common::{Folder, paths};
use strongroom_policy::{Diagnostics, Place, compile, compile_with_warnings};
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Action, ErrorLevel, Namespaces};

fn worker(paths: &str) -> String {
    format!("[profile.worker]\n{paths}\n")
}

fn refused(folder: &Folder, text: &str) -> Diagnostics {
    let found = folder.compile(text).expect_err(text);
    assert!(found.has_errors());
    found
}

#[test]
fn the_design_page_example_compiles() {
    let folder = Folder::new();
    let home = folder.path("agent-home");
    std::fs::create_dir(&home).unwrap();
    let text = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/example.toml"),
    )
    .unwrap()
    .replace("/home/agent", home.to_str().unwrap());
    let loaded = strongroom_policy::load(Some(&folder.write("policy.toml", text))).unwrap();
    let plan = compile(&loaded, &folder.place()).unwrap();
    let names: Vec<_> = plan.rules.iter().map(|r| (r.name.as_str(), r.action)).collect();
    let wanted =
        [("git-push", Action::Ask), ("anything-else", Action::Allow), ("anything", Action::Allow)];
    assert_eq!(names, wanted);
    assert_eq!(plan.rules[0].credentials[0].display(), "GITHUB_TOKEN");
    let build = plan.profile(plan.rules[0].profile).unwrap();
    assert_eq!((build.limits.wall_ms, build.limits.memory), (600_000, 2 << 30));
    assert_eq!((build.limits.processes, build.limits.output), (256, 8 << 20));
    assert_eq!(plan.session_limits.commands_per_minute, 240);
    assert_eq!(plan.protect.len(), 5);
    assert_eq!(plan.errors, ErrorLevel::Minimal);
    let agent = plan.profile(plan.agent.profile).unwrap();
    let home = format!("HOME={}", home.display());
    assert!(
        agent.env.iter().any(|v| format!("{}={}", v.name.display(), v.value.display()) == home)
    );
    assert!(!agent.env.iter().any(|v| v.value.display() == "canary"));
}

#[test]
fn missing_paths_are_errors_unless_marked() {
    let folder = Folder::new();
    let there = folder.path("there");
    std::fs::create_dir(&there).unwrap();
    let gone = folder.path("gone");
    let found = refused(&folder, &worker(&format!("read = [\"{}\"]", gone.display())));
    let first = &found.list[0];
    assert_eq!((first.line, first.column), (4, 9));
    assert!(first.expected.contains("`?`"), "{found}");

    let text = worker(&format!("read = [\"{}?\", \"{}?\"]", gone.display(), there.display()));
    let (plan, warnings) = compile_with_warnings(&folder.load(&text), &folder.place()).unwrap();
    assert_eq!(
        paths(&plan, "worker"),
        [format!("r {}", there.display()), format!("w {}", folder.path("workspace").display()),]
    );
    assert!(warnings.list[0].message.contains("left out"));
    refused(&folder, &worker("write = [\"@workspace/gone\"]"));
}

#[test]
fn writing_includes_reading_and_parents_include_children() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("data/in/deep")).unwrap();
    std::fs::create_dir_all(folder.path("data2")).unwrap();
    let at = |name: &str| folder.path(name).display().to_string();
    let text = worker(&format!(
        "read = [\"{0}\", \"{1}\", \"{2}\"]\nwrite = [\"{1}\", \"{0}/in/deep\"]",
        at("data"),
        at("data/in"),
        at("data2"),
    ));
    let plan = folder.compile(&text).unwrap();
    assert_eq!(
        paths(&plan, "worker"),
        [format!("r {}", at("data")), format!("w {}", at("data/in")), format!("r {}", at("data2")),]
    );
}

#[test]
fn own_files_stay_closed() {
    let folder = Folder::new();
    folder.write("state/vault/x", "");
    folder.write("programs/strongroom", "");
    let root = folder.root.display().to_string();
    for (text, why) in [
        (worker(&format!("read = [\"{root}\"]")), "state folder"),
        (worker(&format!("read = [\"{root}/state\"]")), "state folder"),
        (worker(&format!("read = [\"{root}/state/vault\"]")), "state folder"),
        (worker(&format!("write = [\"{root}/programs\"]")), "programs writable"),
        (worker(&format!("write = [\"{root}/programs/strongroom\"]")), "programs writable"),
        (worker(&format!("write = [\"{root}/policy.toml\"]")), "policy file writable"),
        (format!("[profile.agent]\nwrite = [\"{root}/policy.toml\"]\n"), "policy file writable"),
    ] {
        let found = refused(&folder, &text);
        assert!(found.to_string().contains(why), "{why}: {found}");
        assert_eq!(found.list[0].line, 4);
    }
    // Reading the programs is harmless; a name that only begins alike is too.
    std::fs::create_dir(folder.path("state2")).unwrap();
    assert!(
        folder
            .compile(&worker(&format!("read = [\"{root}/programs\"]\nwrite = [\"{root}/state2\"]")))
            .is_ok()
    );
}

#[test]
fn a_workspace_with_strongrooms_own_files_in_it() {
    let folder = Folder::new();
    for (what, change) in
        [("policy file", None), ("state folder", Some("state")), ("programs", Some("programs"))]
    {
        let mut place = folder.place();
        std::fs::create_dir_all(folder.path("workspace/inner")).unwrap();
        let mut file = folder.path("policy.toml");
        match change {
            Some("state") => place.state = folder.path("workspace/inner"),
            Some(_) => place.programs = folder.path("workspace/inner"),
            None => file = folder.path("workspace/policy.toml"),
        }
        std::fs::write(&file, common::on_base("")).unwrap();
        let loaded = strongroom_policy::load(Some(&file)).unwrap();
        let found = compile(&loaded, &place).unwrap_err();
        assert!(found.to_string().contains(what), "{what}: {found}");
    }
}

#[test]
fn links_on_the_way() {
    let folder = Folder::new();
    let root = folder.root.display().to_string();
    folder.write("lib/tool-2/file", "");
    symlink("tool-2", folder.path("lib/tool")).unwrap();
    let plan = folder.compile(&worker(&format!("read = [\"{root}/lib/tool/file\"]"))).unwrap();
    assert!(paths(&plan, "worker").contains(&format!("r {root}/lib/tool-2/file")));
    let links: Vec<_> = plan.links.iter().map(|l| (l.path.display(), l.target.display())).collect();
    assert!(links.contains(&(format!("{root}/lib/tool"), "tool-2".to_owned())), "{links:?}");

    let found = refused(&folder, &worker(&format!("write = [\"{root}/lib/tool\"]")));
    assert!(found.to_string().contains(&format!("{root}/lib/tool-2")), "{found}");

    // A link in the workspace is the agent's to turn.
    symlink("../lib", folder.path("workspace/lib")).unwrap();
    let found = refused(&folder, &worker(&format!("read = [\"{root}/workspace/lib\"]")));
    assert!(found.to_string().contains("jailed code can change"), "{found}");
    let found = refused(&folder, &worker("read = [\"@workspace/lib\"]"));
    assert!(found.to_string().contains("jailed code can change"), "{found}");
    // So is one in any other writable folder, whichever profile writes it.
    symlink("tool-2", folder.path("lib/other")).unwrap();
    let text = format!(
        "[profile.agent]\nwrite = [\"{root}/lib\"]\n[profile.worker]\nread = [\"{root}/lib/other\"]\n"
    );
    assert!(refused(&folder, &text).to_string().contains("jailed code can change"));
    // A link into the state folder leads nowhere.
    symlink("state", folder.path("innocent")).unwrap();
    assert!(
        refused(&folder, &worker(&format!("read = [\"{root}/innocent\"]")))
            .to_string()
            .contains("state folder")
    );
}

#[test]
fn the_systems_links_are_shown_in_a_new_root() {
    let folder = Folder::new();
    let plan = folder.compile("").unwrap();
    for name in ["/bin", "/lib", "/dev/fd"] {
        let path = std::path::Path::new(name);
        if path.is_symlink() {
            let link = plan.links.iter().find(|l| l.path.display() == name).expect(name);
            let target = path.read_link().unwrap();
            if !target.starts_with("/proc") {
                assert_eq!(link.target.display(), target.display().to_string());
            }
        }
    }
    // No rule stands on a link: Landlock would follow it, a new root would not.
    for rule in plan.profiles.iter().flat_map(|p| &p.paths) {
        let path = rule.path.display();
        if std::path::Path::new(&path).exists() {
            assert_eq!(std::fs::canonicalize(&path).unwrap().display().to_string(), path);
        }
    }
}

#[test]
fn a_hole_in_a_tree_is_refused_in_every_tier() {
    let folder = Folder::new();
    folder.write("workspace/secrets/key", "");
    folder.write("data/a", "");
    let root = folder.root.display().to_string();
    for deny in [
        "@workspace/secrets",
        "@workspace/not-yet",
        "@workspace",
        "/usr/share/doc",
        "/etc/passwd",
        "/",
        "/usr",
    ] {
        let found = refused(&folder, &worker(&format!("deny = [\"{deny}\"]")));
        assert_eq!(found.code(), Some(Code::PolicyInexpressible), "{deny}: {found}");
        assert_eq!((found.list[0].line, found.list[0].column), (4, 9));
    }
    // Through a link it is the same tree.
    symlink("workspace", folder.path("ws")).unwrap();
    refused(&folder, &worker(&format!("deny = [\"{root}/ws/secrets\"]")));
    // What nothing gives is denied already: a note, not an error.
    let text = worker(&format!("deny = [\"{root}/data\", \"/etc/shadow\", \"{root}/workspace2\"]"));
    let (_, warnings) = compile_with_warnings(&folder.load(&text), &folder.place()).unwrap();
    assert_eq!(warnings.list.len(), 3);
    assert!(warnings.list[0].message.contains("anyway"));
}

#[test]
fn loopback_needs_a_namespace() {
    let folder = Folder::new();
    let loaded = folder.load(&worker("network = \"loopback\""));
    for (namespaces, fine) in
        [(Namespaces::Privileged, true), (Namespaces::User, true), (Namespaces::None, false)]
    {
        let place = Place { namespaces, ..folder.place() };
        match compile(&loaded, &place) {
            Ok(_) => assert!(fine),
            Err(found) => {
                assert!(!fine);
                assert_eq!(found.code(), Some(Code::PolicyInexpressible));
                assert_eq!((found.list[0].line, found.list[0].column), (4, 11));
            }
        }
    }
}

#[test]
fn places_that_cannot_be() {
    let folder = Folder::new();
    symlink("workspace", folder.path("link")).unwrap();
    folder.write("file", "");
    let loaded = folder.load("");
    let place = || folder.place();
    let ids = |uid| strongroom_protocol::plan::Ids { uid, gid: 1 };
    let in_it = |name: &str| Place {
        workspace: folder.path(name),
        agent_cwd: folder.path(name),
        ..place()
    };
    for (place, code) in [
        (in_it("link"), Code::WorkspaceUnusable),
        (in_it("gone"), Code::WorkspaceUnusable),
        (in_it("file"), Code::WorkspaceUnusable),
        (Place { agent_cwd: "/".into(), ..place() }, Code::CwdOutside),
        (Place { agent_cwd: folder.path("workspace2"), ..place() }, Code::CwdOutside),
        (Place { state: "state".into(), ..place() }, Code::StateUnusable),
        (Place { state: folder.path("link"), ..place() }, Code::StateUnusable),
        (Place { programs: "x".into(), ..place() }, Code::InstallBroken),
        (Place { agent_argv: vec![], ..place() }, Code::BadRequest),
        (Place { agent_argv: vec!["".into()], ..place() }, Code::BadRequest),
        (Place { sandbox: ids(0), ..place() }, Code::StartFailed),
    ] {
        let found = compile(&loaded, &place).unwrap_err();
        assert_eq!(found.code(), Some(code), "{found}");
    }
}

#[test]
fn environment_layers() {
    let folder = Folder::new();
    let plan = folder
        .compile(
            "[agent.env]\nset = { PATH = \"/mine\", HOME = \"/h\" }\n\
             [profile.worker.env]\npass = [\"TERM\", \"NOT_SET\"]\nset = { TERM = \"dumb\", LD_PRELOAD = \"/ok.so\" }\n",
        )
        .unwrap();
    let env = |name: &str| -> Vec<String> {
        let profile = plan.profiles.iter().find(|p| p.name.as_str() == name).unwrap();
        profile.env.iter().map(|v| format!("{}={}", v.name.display(), v.value.display())).collect()
    };
    assert_eq!(env("agent"), ["HOME=/h", "LANG=C.UTF-8", "PATH=/mine", "TERM=xterm"]);
    let worker = env("worker");
    assert_eq!(worker[..2], ["LANG=C.UTF-8", "LD_PRELOAD=/ok.so"]);
    assert_eq!(worker[3], "TERM=dumb");
    assert_eq!(worker.len(), 4);
}
