//! What the agent gets, over a small plan.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use strongroom_protocol::plan::{
    Action, Agent, ErrorLevel, Ids, Limits, Namespaces, Network, Rule, SessionLimits,
};
use strongroom_protocol::receipt::{ProcView, Tier};
use strongroom_protocol::types::{Arg, Name};

fn profile(name: &str, env: &[(&str, &str)]) -> Profile {
    let limits = Limits {
        wall_ms: 0,
        cpu_ms: 0,
        memory: 0,
        processes: 0,
        open_files: 64,
        file_size: 0,
        output: 0,
        tmp: 0,
    };
    let env = env.iter().map(|(n, v)| EnvVar {
        name: EnvName::new(*n).unwrap(),
        value: EnvValue::new(*v).unwrap(),
    });
    Profile {
        name: Name::new(name).unwrap(),
        paths: Vec::new(),
        tmp: true,
        shm: false,
        env: env.collect(),
        network: Network::None,
        limits,
        warm: 0,
    }
}

fn plan(rule_profile: u16, env: &[(&str, &str)]) -> Plan {
    let ids = Ids { uid: 7, gid: 7 };
    Plan {
        version: strongroom_protocol::plan::VERSION,
        session: [0; 16],
        policy_digest: [0; 32],
        tier: Tier::Rootless,
        namespaces: Namespaces::None,
        proc_view: ProcView::Shared,
        landlock_abi: 7,
        sandbox: ids,
        broker: ids,
        recorder: ids,
        workspace: PathBytes::new("/work").unwrap(),
        protect: Vec::new(),
        state: PathBytes::new("/state").unwrap(),
        programs: PathBytes::new("/opt/lib").unwrap(),
        links: Vec::new(),
        agent: Agent {
            argv: vec![Arg::new("a").unwrap()],
            cwd: PathBytes::new("/work").unwrap(),
            profile: ProfileIx(0),
        },
        profiles: vec![profile("agent", env), profile("build", &[])],
        rules: vec![Rule {
            name: Name::new("any").unwrap(),
            pattern: Vec::new(),
            profile: ProfileIx(rule_profile),
            action: Action::Allow,
            why: Vec::new(),
            credentials: Vec::new(),
        }],
        session_limits: SessionLimits {
            commands_per_minute: 0,
            burst: 0,
            commands: 0,
            cpu_ms: 0,
            grace_ms: 0,
        },
        errors: ErrorLevel::Minimal,
    }
}

fn text<'p>(profile: &'p Profile, name: &str) -> Option<&'p str> {
    value(profile, name).map(|v| std::str::from_utf8(v).unwrap())
}

#[test]
fn the_agent_can_find_the_broker() {
    let mut plan = plan(1, &[("PATH", "/usr/bin:/bin")]);
    equip(&mut plan, Path::new("/opt/bin/strongroom")).unwrap();
    let agent = plan.profile(plan.agent.profile).unwrap();
    assert_eq!(plan.agent.profile, ProfileIx(0));
    for (name, want) in [
        ("PATH", "/opt/bin:/usr/bin:/bin"),
        ("HOME", "/state/home"),
        ("STRONGROOM_SOCKET", "/state/run/agent.sock"),
        ("STRONGROOM_FD", "3"),
        ("STRONGROOM_WORKSPACE", "/work"),
    ] {
        assert_eq!(text(agent, name), Some(want), "{name}");
    }
    let paths: Vec<_> = agent.paths.iter().map(|r| (r.path.display(), r.access)).collect();
    assert_eq!(
        paths,
        [
            ("/opt/bin/strongroom".to_owned(), Access::Read),
            ("/state/run/agent.sock".to_owned(), Access::Write)
        ]
    );
    assert!(plan.profiles[1].env.is_empty() && plan.profiles[1].paths.is_empty());
    assert_eq!(Plan::decode(&plan.encode().unwrap()).unwrap(), plan);
}

#[test]
fn what_the_policy_set_stays() {
    let mut plan = plan(1, &[("HOME", "/home/agent")]);
    equip(&mut plan, Path::new("/opt/bin/strongroom")).unwrap();
    let agent = plan.profile(plan.agent.profile).unwrap();
    assert_eq!((text(agent, "HOME"), text(agent, "PATH")), (Some("/home/agent"), Some("/opt/bin")));
}

#[test]
fn a_command_does_not_get_the_agents_way() {
    let mut plan = plan(0, &[]);
    equip(&mut plan, Path::new("/opt/bin/strongroom")).unwrap();
    assert_eq!((plan.agent.profile, plan.rules[0].profile), (ProfileIx(2), ProfileIx(0)));
    assert!(plan.profiles[0].env.is_empty() && plan.profiles[0].paths.is_empty());
    assert_eq!(text(&plan.profiles[2], "STRONGROOM_FD"), Some("3"));
    assert_eq!(Plan::decode(&plan.encode().unwrap()).unwrap(), plan);
}

#[test]
fn shared_memory_goes_where_the_state_folder_is_in_it() {
    let shared = |state: &str, namespaces: Namespaces| {
        let mut plan = plan(1, &[]);
        plan.profiles.iter_mut().for_each(|p| p.shm = true);
        plan.state = PathBytes::new(state).unwrap();
        plan.namespaces = namespaces;
        let said = withhold_shm(&mut plan).is_some();
        assert!(plan.profiles.iter().all(|p| p.shm != said), "{state}");
        !said
    };
    assert!(shared("/state", Namespaces::None));
    assert!(shared("/dev/shmem/state", Namespaces::None));
    assert!(shared("/dev/shm/state", Namespaces::Privileged));
    assert!(!shared("/dev/shm/state", Namespaces::None));
}
