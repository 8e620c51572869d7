//! Credentials: what a policy makes of them in a place, who may carry them,
//! and what is said about those that cannot work.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::os::unix::fs::symlink;

use common::{Folder, on_base, paths};
use strongroom_policy::{Diagnostics, Place, compile_with_warnings, load, verbs, wants_leases};
use strongroom_protocol::plan::{Namespaces, Network, Plain, Plan};

const ENV: &str = "[credential.TOKEN]\ndeliver = [\"env\"]\n";
const FILE: &str = "[credential.KEY]\ndeliver = [\"file\"]\n";

/// A rule that carries credentials, with these further lines.
fn rule(program: &str, profile: &str, credentials: &str, more: &str) -> String {
    format!(
        "[[rule]]\nname = \"r\"\nmatch = [\"{program}\", \"...\"]\nprofile = \"{profile}\"\n\
         action = \"ask\"\ncredentials = [{credentials}]\n{more}\n"
    )
}

fn compiled(folder: &Folder, place: &Place, text: &str) -> (Plan, Diagnostics) {
    compile_with_warnings(&folder.load(text), place).unwrap_or_else(|found| panic!("{found}"))
}

fn refused(folder: &Folder, text: &str) -> Diagnostics {
    folder.compile(text).expect_err(text)
}

/// What is said at load, each as line and message.
fn warned(folder: &Folder, text: &str) -> Vec<(usize, String)> {
    folder.load(text).warnings.list.into_iter().map(|d| (d.line, d.message)).collect()
}

#[test]
fn the_plan_says_how_each_is_delivered() {
    let folder = Folder::new();
    let text = format!(
        "[credential.B_TOKEN]\ndeliver = [\"env\"]\n\
         [credential.A_KEY]\ndeliver = [\"file\", \"env\"]\nplain = \"ask\"\n\
         [credential.C_KEY]\ndeliver = [\"file\"]\nplain = \"allow\"\n{}",
        rule("gh", "worker", "\"A_KEY\", \"B_TOKEN\", \"C_KEY\"", "")
    );
    let (plan, warnings) = compiled(&folder, &folder.place(), &text);
    assert!(warnings.list.is_empty(), "{warnings}");
    let said: Vec<_> =
        plan.credentials.iter().map(|c| (c.name.as_str(), c.env, c.file, c.plain)).collect();
    assert_eq!(
        said,
        [
            ("A_KEY", true, true, Plain::Ask),
            ("B_TOKEN", true, false, Plain::Deny),
            ("C_KEY", false, true, Plain::Allow),
        ]
    );
    assert_eq!(plan.rules[0].credentials.len(), 3);
    assert!(!plan.rules[0].understood);
    assert_eq!(Plan::decode(&plan.encode().unwrap()).unwrap(), plan);
}

#[test]
fn files_get_a_writer_and_profiles_that_may_be_granted_them() {
    let folder = Folder::new();
    let text = format!(
        "{ENV}{FILE}[profile.signer]\nread = [\"@system\", \"@workspace\"]\n{}",
        rule("minisign", "signer", "\"KEY\"", "")
            + &rule("gh", "worker", "\"TOKEN\"", "").replace("\"r\"", "\"s\"")
    );
    let (plan, _) = compiled(&folder, &folder.place(), &text);
    let leases = plan.leases.clone().unwrap();
    assert_eq!(leases.folder.display(), "/run/strongroom/leases");
    let granted: Vec<_> = plan.profiles.iter().map(|p| (p.name.as_str(), p.leases)).collect();
    assert_eq!(granted, [("agent", false), ("signer", true), ("worker", false), ("files", false)]);
    // The rules' own numbers are as they were.
    assert_eq!(plan.profile(plan.rules[0].profile).unwrap().name.as_str(), "signer");
    assert_eq!(plan.profile(plan.agent.profile).unwrap().name.as_str(), "agent");

    let writer = plan.profile(leases.writer).unwrap();
    assert_eq!(writer.name.as_str(), "files");
    assert_eq!(paths(&plan, "files"), [format!("w {}", folder.path("workspace").display())]);
    assert_eq!((writer.tmp, writer.shm, writer.network), (false, false, Network::None));
    assert_eq!((writer.warm, writer.env.len(), writer.limits.wall_ms), (0, 0, 30_000));
    assert_eq!(Plan::decode(&plan.encode().unwrap()).unwrap(), plan);
}

#[test]
fn without_files_there_is_no_writer() {
    let folder = Folder::new();
    for (text, wanted) in [
        (String::new(), false),
        (format!("{ENV}{}", rule("gh", "worker", "\"TOKEN\"", "")), false),
        (format!("{FILE}{}", rule("gh", "worker", "\"KEY\"", "")), true),
        ("[credential.A]\ndeliver = [\"env\"]\nplain = \"ask\"\n".to_owned(), true),
        ("[credential.A]\ndeliver = [\"env\"]\nplain = \"deny\"\n".to_owned(), false),
    ] {
        assert_eq!(wants_leases(&folder.load(&text)), wanted, "{text}");
        let (plan, _) = compiled(&folder, &folder.place(), &text);
        assert_eq!(plan.leases.is_some(), wanted, "{text}");
        assert_eq!(plan.profiles.len(), if wanted { 3 } else { 2 }, "{text}");
    }
}

/// Fail closed: no sealed file rather than one that all can read.
#[test]
fn places_that_cannot_keep_files_apart() {
    let folder = Folder::new();
    let shared = folder.path("memory/leases");
    std::fs::create_dir_all(shared.join("00000001")).unwrap();
    let at = |name: &str| folder.path(name).display().to_string();
    let carried = rule("gh", "worker", "\"KEY\"", "");
    let text = |more: String| format!("{FILE}{more}\n{carried}");
    let none = None;
    let some = Some(shared);
    for (more, leases, why) in [
        (String::new(), &none, "no folder in memory"),
        (format!("[profile.worker]\nread = [\"{}\"]", at("memory")), &some, "`worker` would show"),
        (
            format!("[profile.agent]\nread = [\"{}\"]", at("memory/leases/00000001")),
            &some,
            "`agent` would show",
        ),
        ("[profile.agent]\nwrite = [\"@tmp\"]".to_owned(), &some, "may write nothing"),
    ] {
        let place =
            Place { leases: leases.clone(), namespaces: Namespaces::None, ..folder.place() };
        let (plan, warnings) = compiled(&folder, &place, &text(more));
        assert_eq!((plan.leases.as_ref(), plan.profiles.len()), (None, 2), "{why}");
        assert!(plan.profiles.iter().all(|p| !p.leases), "{why}");
        assert_eq!(warnings.list.len(), 1, "{warnings}");
        let first = &warnings.list[0];
        assert!(first.message.contains(why), "{warnings}");
        assert_eq!((first.line, first.column), (4, 12), "{warnings}");
        // It is still a credential, for a session that has such a folder.
        assert!(plan.credentials[0].file);
    }
    let place = Place { leases: some.clone(), namespaces: Namespaces::None, ..folder.place() };
    let (plan, warnings) = compiled(&folder, &place, &text(String::new()));
    assert!(warnings.list.is_empty() && plan.leases.is_some(), "{warnings}");

    for wrong in ["relative", "/run/../run/x"] {
        let place = Place { leases: Some(wrong.into()), ..folder.place() };
        assert!(strongroom_policy::compile(&folder.load(""), &place).is_err(), "{wrong}");
    }
    for inside in ["workspace/leases", "workspace", ""] {
        let place = Place { leases: Some(folder.path(inside)), ..folder.place() };
        assert!(strongroom_policy::compile(&folder.load(""), &place).is_err(), "{inside}");
    }
}

/// The broker's help writes no more than the agent itself may.
#[test]
fn the_writer_has_the_agents_own_reach() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("workspace/src")).unwrap();
    std::fs::create_dir_all(folder.path("other")).unwrap();
    let root = folder.root.display().to_string();
    let with = |write: &str| {
        let text = format!(
            "{FILE}[profile.agent]\nwrite = [{write}]\n{}",
            rule("gh", "worker", "\"KEY\"", "")
        );
        let (plan, _) = compiled(&folder, &folder.place(), &text);
        paths(&plan, "files")
    };
    assert_eq!(with("\"@workspace/src\", \"@tmp\""), [format!("w {root}/workspace/src")]);
    let both = format!("\"@workspace\", \"{root}/other\", \"@home\"");
    assert_eq!(with(&both), [format!("w {root}/workspace")]);
    let exact = format!("\"{root}/workspace\"");
    assert_eq!(with(&exact), [format!("w {root}/workspace")]);

    // A path that the workspace lies in gives the workspace, no more.
    std::fs::create_dir_all(folder.path("home/ws")).unwrap();
    let place = Place {
        workspace: folder.path("home/ws"),
        agent_cwd: folder.path("home/ws"),
        ..folder.place()
    };
    let text = format!(
        "{FILE}[profile.agent]\nwrite = [\"{root}/home\"]\n{}",
        rule("gh", "worker", "\"KEY\"", "")
    );
    let (plan, _) = compiled(&folder, &place, &text);
    assert_eq!(paths(&plan, "files"), [format!("w {root}/home/ws")]);
}

#[test]
fn a_network_needs_every_credential_bound_to_it() {
    let folder = Folder::new();
    let text = |token: &str, key: &str, reached: &str| {
        format!(
            "[credential.TOKEN]\ndeliver = [\"env\"]\n{token}\n\
             [credential.KEY]\ndeliver = [\"env\"]\n{key}\n\
             [profile.net]\nread = [\"@system\"]\n{reached}\n{}",
            rule("gh", "net", "\"TOKEN\", \"KEY\"", "")
        )
    };
    let words = ["", "network = \"none\"", "network = \"loopback\"", "network = \"open\""];
    let rank = |word: &str| words.iter().position(|w| *w == word).unwrap().max(1);
    for token in words {
        for key in words {
            for reached in words {
                let fine = rank(reached) <= rank(token) && rank(reached) <= rank(key);
                let file = folder.write("policy.toml", on_base(&text(token, key, reached)));
                let got = load(Some(&file));
                assert_eq!(got.is_ok(), fine, "{token} {key} {reached}");
            }
        }
    }
}

#[test]
fn programs_that_the_sandbox_can_change() {
    let folder = Folder::new();
    let root = folder.root.display().to_string();
    folder.write("tools/gh", "");
    folder.write("data/bin/gh", "");
    folder.write("workspace/gh", "");
    symlink("../workspace/gh", folder.path("tools/link")).unwrap();
    symlink("../workspace", folder.path("tools/folder")).unwrap();
    symlink("../tools/gh", folder.path("data/gh")).unwrap();
    symlink("../data/gh", folder.path("tools/back")).unwrap();
    let data = format!("[profile.agent]\nwrite = [\"@workspace\", \"{root}/data\"]\n");
    let path = |path: &str| format!("{data}[profile.worker.env]\nset = {{ PATH = \"{path}\" }}\n");
    let system = path("/usr/bin:/bin");
    for (more, program, why) in [
        (&system, format!("{root}/workspace/gh"), Some("workspace")),
        (&system, format!("{root}/workspace/not-yet"), Some("workspace")),
        // What any profile may write, the agent's too.
        (&system, format!("{root}/data/bin/gh"), Some("data")),
        // By a link into such a place, and by a link that stands there.
        (&system, format!("{root}/tools/link"), Some("workspace")),
        (&system, format!("{root}/tools/folder/gh"), Some("workspace")),
        (&system, format!("{root}/tools/folder/not-yet"), Some("workspace")),
        (&system, format!("{root}/data/gh"), Some("data")),
        (&system, format!("{root}/tools/back"), Some("data")),
        (&system, format!("{root}/tools/gh"), None),
        (&system, format!("{root}/tools/not-yet"), None),
        (&system, "gh".to_owned(), None),
        // A folder of PATH, wherever it stands in it.
        (&path(&format!("/usr/bin:{root}/data/bin")), "gh".to_owned(), Some("data")),
        (&path(&format!("{root}/tools/folder:/bin")), "gh".to_owned(), Some("workspace")),
        (&path(&format!("{root}/tools:/bin")), "gh".to_owned(), None),
        // What the program starts is looked for there too.
        (&path(&format!("/usr/bin:{root}/data/bin")), format!("{root}/tools/gh"), Some("data")),
    ] {
        let text = format!("{ENV}{more}{}", rule(&program, "worker", "\"TOKEN\"", ""));
        match (folder.compile(&text), why) {
            (Ok(plan), None) => assert!(!plan.rules[0].understood),
            (Err(found), Some(why)) => {
                let first = &found.list[0];
                let beneath = format!("beneath {root}/{why},");
                assert!(first.message.contains(&beneath), "{program}: {found}");
                let line = on_base(&text).lines().position(|l| l.starts_with("match")).unwrap();
                assert_eq!((first.line, first.column), (line + 1, 10), "{program}: {found}");
            }
            (got, _) => panic!("{program} {why:?}: {got:?}"),
        }
        let yes = "i_understand_shell_can_print_it = true";
        let text = format!("{ENV}{more}{}", rule(&program, "worker", "\"TOKEN\"", yes));
        assert!(folder.compile(&text).unwrap().rules[0].understood, "{program}");
        // Without a credential the sandbox may run what it likes.
        let text = format!("{more}{}", rule(&program, "worker", "", ""));
        assert!(folder.compile(&text).is_ok(), "{program}");
    }
}

/// An allow rule for a name takes it in the system's folders, whatever PATH is.
#[test]
fn a_systems_folder_that_is_writable() {
    let folder = Folder::new();
    let text = format!(
        "{ENV}[profile.agent]\nwrite = [\"@workspace\", \"/usr/local/bin\"]\n\
         [profile.worker.env]\nset = {{ PATH = \"/usr/bin\" }}\n{}",
        rule("gh", "worker", "\"TOKEN\"", "")
    );
    let found = refused(&folder, &text);
    assert!(found.to_string().contains("/usr/local/bin/gh"), "{found}");
    // Memory that commands may share is no place for programs either.
    let text = format!("{ENV}{}", rule("/dev/shm/gh", "worker", "\"TOKEN\"", ""));
    assert!(refused(&folder, &text).to_string().contains("beneath /dev/shm,"));
}

#[test]
fn understood_opens_what_is_refused_at_load() {
    let folder = Folder::new();
    let yes = "i_understand_shell_can_print_it = true";
    for program in ["bash", "./deploy", "*"] {
        let text = format!("{ENV}{}", rule(program, "worker", "\"TOKEN\"", yes));
        assert!(folder.compile(&text).unwrap().rules[0].understood, "{program}");
        let no = text.replace("true", "false");
        assert!(load(Some(&folder.write("policy.toml", on_base(&no)))).is_err(), "{program}");
    }
}

#[test]
fn settings_that_the_sandbox_can_change_are_told() {
    let folder = Folder::new();
    let root = folder.root.display().to_string();
    for (set, told) in [
        (format!("HOME = \"{root}/workspace\""), true),
        (format!("GIT_CONFIG_GLOBAL = \"{root}/workspace/.gitconfig\""), true),
        (format!("LD_LIBRARY_PATH = \"/usr/lib:{root}/workspace/lib\""), true),
        (format!("NODE_OPTIONS = \"--require={root}/workspace/a.js\""), true),
        (format!("XDG_CONFIG_HOME = \"{root}/workspace\""), true),
        (format!("SSL_CERT_FILE = \"{root}/workspace/ca.pem\""), true),
        ("GIT_CONFIG_GLOBAL = \"/dev/null\"".to_owned(), false),
        ("HOME = \"/opt/settings\"".to_owned(), false),
        (format!("NOTE = \"{root}/workspace\""), false),
    ] {
        let env = format!("[profile.worker.env]\nset = {{ {set} }}\n");
        let text = format!("{ENV}{env}{}", rule("gh", "worker", "\"TOKEN\"", ""));
        let (_, warnings) = compiled(&folder, &folder.place(), &text);
        assert_eq!(warnings.list.len(), usize::from(told), "{set}: {warnings}");
        assert!(warnings.list.iter().all(|w| w.line == 8 && w.message.contains("this rule's")));
        // No rule carries anything: no word.
        let (_, warnings) = compiled(&folder, &folder.place(), &env);
        assert!(warnings.list.is_empty(), "{set}: {warnings}");
    }
}

#[test]
fn what_is_hardly_meant() {
    let folder = Folder::new();
    let carried = rule("gh", "worker", "\"KEY\"", "");
    assert_eq!(warned(&folder, &format!("{FILE}{carried}")), []);
    let unused = (3, "no rule carries this credential".to_owned());
    assert_eq!(warned(&folder, FILE), [unused]);
    // It may be meant for files that somebody else uses.
    assert_eq!(warned(&folder, &format!("{FILE}plain = \"ask\"\n")), []);

    let no_seal = warned(&folder, &format!("{ENV}plain = \"ask\"\n"));
    assert_eq!(no_seal.len(), 1);
    assert!(no_seal[0].0 == 5 && no_seal[0].1.contains("not sealed"), "{no_seal:?}");

    for (given, told) in [
        ("read = [\"@system\"]", true),
        ("read = [\"@system\", \"@workspace/src\"]", false),
        ("read = [\"@system\"]\nwrite = [\"@workspace\"]", false),
        ("read = [\"@system\", \"/data\"]", true),
        ("read = [\"@system\", \"/job\"]", false),
        ("read = [\"/job/src/x\"]", false),
    ] {
        let text = format!(
            "{FILE}[workspace]\npath = \"/job/src\"\n[profile.p]\n{given}\n{}",
            rule("gh", "p", "\"KEY\"", "")
        );
        let said = warned(&folder, &text);
        assert_eq!(said.len(), usize::from(told), "{given}: {said:?}");
        assert!(said.iter().all(|(_, m)| m.contains("does not show")), "{said:?}");
        // In the environment it arrives.
        let text = text.replace("[\"file\"]", "[\"file\", \"env\"]");
        assert_eq!(warned(&folder, &text), [], "{given}");
    }
}

#[test]
fn a_credential_is_replaced_whole() {
    let folder = Folder::new();
    folder.write(
        "team.toml",
        "version = 1\n[credential.TOKEN]\ndeliver = [\"env\"]\nnetwork = \"open\"\nplain = \"allow\"\n",
    );
    let text = "version = 1\nextends = [\"builtin:base\", \"team.toml\"]\n";
    let loaded = |more: &str| load(Some(&folder.write("policy.toml", format!("{text}{more}"))));
    let plan =
        |more: &str| strongroom_policy::compile(&loaded(more).unwrap(), &folder.place()).unwrap();
    assert_eq!(plan("").credentials[0].plain, Plain::Allow);
    assert_eq!(plan(ENV).credentials[0].plain, Plain::Deny);
    // Binding to a network is not inherited by a table that says nothing.
    let net = "[profile.net]\nnetwork = \"open\"\n";
    let carried = rule("gh", "net", "\"TOKEN\"", "");
    assert!(loaded(&format!("{net}{carried}")).is_ok());
    assert!(loaded(&format!("{ENV}{net}{carried}")).is_err());
}

#[test]
fn at_most_as_many_as_a_vault_holds() {
    let folder = Folder::new();
    let many = |n: usize| -> String {
        (0..n).map(|i| format!("[credential.C{i:04}]\ndeliver = [\"env\"]\n")).collect()
    };
    // Hundreds of warnings are none the worse for their number.
    let loaded = load(Some(&folder.write("policy.toml", on_base(&many(512))))).unwrap();
    assert_eq!((loaded.warnings.list.len(), loaded.warnings.left_out), (50, 462));
    let found = load(Some(&folder.write("policy.toml", on_base(&many(513))))).unwrap_err();
    let first = &found.list[0];
    assert_eq!((first.line, first.message.as_str()), (1027, "too many credentials"));
}

#[test]
fn masks_of_the_session() {
    let folder = Folder::new();
    for (text, want) in [("", 10_000), ("[session]\nmasks = 0\n", 0), ("[session]\nmasks = 7\n", 7)]
    {
        assert_eq!(folder.compile(text).unwrap().session_limits.masks, want);
    }
}

#[test]
fn explained_and_dumped() {
    let folder = Folder::new();
    let text = format!(
        "{ENV}network = \"open\"\n[credential.KEY]\ndeliver = [\"file\", \"env\"]\n{}",
        rule("gh", "worker", "\"TOKEN\", \"KEY\"", "")
    );
    let file = folder.write("policy.toml", on_base(&text));
    let argv = [b"gh".to_vec(), b"pr".to_vec()];
    let (text, status) = verbs::explain(Some(&file), &argv, false);
    assert_eq!(status, 0);
    let wanted = "credentials  TOKEN in the environment, network open at most\n\
                  \x20            KEY in sealed files and in the environment, network none at most\n\
                  program      must be one that the sandbox cannot change\n";
    assert!(text.contains(wanted), "{text}");
    let (text, _) = verbs::explain(Some(&file), &argv, true);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["firm"], true);
    assert_eq!(json["credentials"][0]["name"], "TOKEN");
    assert_eq!(json["credentials"][0]["place"], format!("{}:3", file.display()));
    assert_eq!(json["credentials"][1]["deliver"], serde_json::json!(["file", "env"]));
    // Another command carries nothing.
    let (text, _) = verbs::explain(Some(&file), &[b"ls".to_vec()], false);
    assert!(!text.contains("KEY") && !text.contains("cannot change"), "{text}");

    let (text, _) = verbs::compile_dump(Some(&file), &folder.place(), true);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        json["credentials"],
        serde_json::json!([
            { "name": "KEY", "env": true, "file": true, "plain": "deny" },
            { "name": "TOKEN", "env": true, "file": false, "plain": "deny" },
        ])
    );
    let leases = serde_json::json!({ "folder": "/run/strongroom/leases", "writer": "files" });
    assert_eq!(json["leases"], leases);
    assert_eq!(json["rules"][0]["understood"], false);
    assert_eq!(json["session-limits"]["masks"], 10_000);
    let granted: Vec<_> =
        json["profiles"].as_array().unwrap().iter().map(|p| &p["leases"]).collect();
    assert_eq!(granted, [false, true, false]);
    let (text, _) = verbs::compile_dump(Some(&file), &folder.place(), false);
    assert!(text.contains("sealed     /run/strongroom/leases\n"), "{text}");
    assert!(
        text.contains("ask    r: gh ...\n       carries TOKEN\n       carries KEY\n"),
        "{text}"
    );
}
