//! `builtin:base`: what applies when there is no policy file.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Folder, paths};
use strongroom_policy::{Floor, check_trust, floor, load, verbs, workspace_of};
use strongroom_protocol::plan::{Action, Network, Plan};
use strongroom_protocol::receipt::Tier;

#[test]
fn loads_and_compiles_with_no_file_at_all() {
    let folder = Folder::new();
    let place = folder.place();
    let loaded = load(None).unwrap();
    assert!(loaded.warnings.list.is_empty(), "{}", loaded.warnings);
    assert!(check_trust(&loaded, place.sandbox).is_ok());
    assert_eq!(floor(&loaded), Floor { tier: Tier::Rootless, landlock_abi: 6 });
    assert_eq!(workspace_of(&loaded), None);

    let plan = strongroom_policy::compile(&loaded, &place).unwrap();
    assert_eq!(Plan::decode(&plan.encode().unwrap()).unwrap(), plan);

    let agent = plan.profile(plan.agent.profile).unwrap();
    assert_eq!((agent.name.as_str(), agent.network), ("agent", Network::Open));
    assert_eq!((agent.limits.wall_ms, agent.limits.memory, agent.warm), (0, 0, 0));
    assert!(agent.tmp && agent.shm);
    let rule = plan.rules.first().unwrap();
    assert_eq!((rule.name.as_str(), rule.action, plan.rules.len()), ("anything", Action::Allow, 1));
    let worker = plan.profile(rule.profile).unwrap();
    assert_eq!((worker.name.as_str(), worker.network, worker.warm), ("worker", Network::None, 4));
    assert_eq!((worker.limits.wall_ms, worker.limits.memory), (600_000, 4 << 30));
    assert_eq!(plan.protect.len(), 13);
    assert_eq!(plan.session_limits.commands_per_minute, 600);
}

#[test]
fn paths_of_the_two_profiles() {
    let folder = Folder::new();
    let plan = strongroom_policy::compile(&load(None).unwrap(), &folder.place()).unwrap();
    let (agent, worker) = (paths(&plan, "agent"), paths(&plan, "worker"));
    let here = |what: &str, name: &str| format!("{what} {}", folder.path(name).display());
    for both in [&agent, &worker] {
        assert!(both.contains(&here("w", "workspace")));
        for path in ["r /usr", "r /etc/passwd", "r /proc", "w /dev/null"] {
            assert!(both.iter().any(|p| p == path), "{path}: {both:?}");
        }
        for path in ["/etc", "/etc/shadow", "/", "/tmp", "/root", "/home", "/dev", "/var"] {
            assert!(!both.iter().any(|p| &p[2..] == path), "{path}");
        }
        // The state folder itself is nobody's.
        assert!(!both.iter().any(|p| p[2..] == *folder.path("state").to_str().unwrap()));
        // Parents come first, and nothing is given twice.
        let mut sorted = both.to_vec();
        sorted.sort_by(|a, b| std::path::Path::new(&a[2..]).cmp(std::path::Path::new(&b[2..])));
        assert_eq!(both, &sorted);
    }
    assert!(agent.contains(&here("w", "state/home")));
    assert!(agent.contains(&here("r", "programs")));
    assert!(!worker.iter().any(|p| p.contains("state") || p.contains("programs")));
}

#[test]
fn the_environment_is_built_from_nothing() {
    let folder = Folder::new();
    let plan = strongroom_policy::compile(&load(None).unwrap(), &folder.place()).unwrap();
    let env = |name: &str| -> Vec<String> {
        let profile = plan.profiles.iter().find(|p| p.name.as_str() == name).unwrap();
        profile.env.iter().map(|v| format!("{}={}", v.name.display(), v.value.display())).collect()
    };
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(env("worker"), ["LANG=C.UTF-8", path, "TERM=xterm"]);
    let home = format!("HOME={}", folder.path("state/home").display());
    assert_eq!(env("agent"), [&home, "LANG=C.UTF-8", path, "TERM=xterm"]);
}

#[test]
fn verbs_without_a_file() {
    let (text, status) = verbs::check(None, false);
    assert_eq!(status, 0);
    assert!(text.starts_with("valid: 1 rules, 2 profiles, 0 tests passed\n"), "{text}");
    assert!(text.contains("files: builtin:base, builtin:defaults\n"));

    let argv = [b"git".to_vec(), b"pu\x1bsh".to_vec()];
    let (text, status) = verbs::explain(None, &argv, false);
    assert_eq!(status, 0);
    assert!(text.contains("result       allow\nrule         anything\n"), "{text}");
    assert!(text.contains("command      git pu\\x1bsh\n"));

    let folder = Folder::new();
    let (text, status) = verbs::compile_dump(None, &folder.place(), true);
    assert_eq!(status, 0);
    let dump: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(dump["agent"]["profile"], "agent");
    assert!(!text.contains("canary") && !text.contains("xterm"));
    let (text, status) = verbs::compile_dump(None, &folder.place(), false);
    assert!(status == 0 && text.contains("allow  anything: ...\n"), "{text}");
}

#[test]
fn verbs_with_mistakes() {
    let folder = Folder::new();
    let text = common::on_base(
        "[[test]]\nname = \"fine\"\nargv = [\"ls\"]\nexpect = { action = \"allow\" }\n\
         [[test]]\nname = \"not so\"\nargv = [\"ls\"]\nexpect = { action = \"deny\" }\n",
    );
    let file = folder.write("policy.toml", text);
    let (text, status) = verbs::test(Some(&file), false);
    assert_eq!(status, 78);
    assert!(text.starts_with("ok    fine\nFAIL  not so ("), "{text}");
    assert!(
        text.ends_with("expected deny, got allow by `anything`\n1 passed, 1 failed\n"),
        "{text}"
    );
    let (text, status) = verbs::test(Some(&file), true);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (status, json["failed"].as_u64(), json["tests"][0]["passed"].as_bool()),
        (78, Some(1), Some(true))
    );

    // A failing test refuses the policy everywhere else.
    let place = folder.place();
    let argv = [b"ls".to_vec()];
    for (text, status) in [
        verbs::check(Some(&file), true),
        verbs::explain(Some(&file), &argv, true),
        verbs::compile_dump(Some(&file), &place, true),
    ] {
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, json["valid"].as_bool()), (78, Some(false)));
        let first = &json["diagnostics"][0];
        assert_eq!((first["code"].as_str(), first["line"].as_u64()), (Some("SR701"), Some(10)));
    }
    let (text, status) = verbs::explain(None, &[], false);
    assert!(status == 78 && text.contains("SR131"), "{text}");
}

#[test]
fn explain_says_where_from() {
    let folder = Folder::new();
    let file = folder.write(
        "policy.toml",
        common::on_base(
            "[[rule]]\nname = \"push\"\nmatch = [\"git\", \"push\", \"...\"]\nprofile = \"worker\"\naction = \"ask\"\n",
        ),
    );
    let argv = [b"/x/git".to_vec(), b"push".to_vec()];
    let (text, status) = verbs::explain(Some(&file), &argv, true);
    assert_eq!(status, 0);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["action"], "ask");
    assert_eq!(json["matching"][0]["place"], format!("{}:4", file.display()));
    assert_eq!(json["matching"][1]["rule"], "anything");
    assert_eq!(json["jail"]["network"], "none");
    assert!(json["jail"]["place"].as_str().unwrap().starts_with("builtin:defaults:"));
}
