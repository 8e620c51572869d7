//! What the agent gets, over a small plan.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::sample::plan;
use strongroom_protocol::plan::Leases;

fn text<'p>(profile: &'p Profile, name: &str) -> Option<&'p str> {
    value(profile, name).map(|v| std::str::from_utf8(v).unwrap())
}

#[test]
fn the_agent_can_find_the_broker() {
    let mut plan = plan(1, &[("PATH", "/usr/bin:/bin")]);
    equip(&mut plan, Path::new("/opt/bin/strongroom"), Some(Path::new("/opt/lib/mcp"))).unwrap();
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
            ("/opt/lib/mcp".to_owned(), Access::Read),
            ("/state/run/agent.sock".to_owned(), Access::Write)
        ]
    );
    assert!(plan.profiles[1].env.is_empty() && plan.profiles[1].paths.is_empty());
    assert_eq!(Plan::decode(&plan.encode().unwrap()).unwrap(), plan);
}

#[test]
fn what_the_policy_set_stays() {
    let mut plan = plan(1, &[("HOME", "/home/agent")]);
    equip(&mut plan, Path::new("/opt/bin/strongroom"), None).unwrap();
    let agent = plan.profile(plan.agent.profile).unwrap();
    assert_eq!((text(agent, "HOME"), text(agent, "PATH")), (Some("/home/agent"), Some("/opt/bin")));
}

#[test]
fn a_command_does_not_get_the_agents_way() {
    let mut plan = plan(0, &[]);
    equip(&mut plan, Path::new("/opt/bin/strongroom"), None).unwrap();
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

#[test]
fn shared_memory_goes_where_sealed_files_are_in_it() {
    for (folder, stays) in
        [("/run/strongroom-leases-1", true), ("/dev/shm/strongroom-leases-1", false)]
    {
        let mut plan = plan(1, &[]);
        plan.profiles.iter_mut().for_each(|p| p.shm = true);
        plan.leases =
            Some(Leases { folder: PathBytes::new(folder).unwrap(), writer: ProfileIx(1) });
        let said = withhold_shm(&mut plan);
        assert_eq!(said.is_none(), stays, "{said:?}");
        assert!(plan.profiles.iter().all(|p| p.shm == stays), "{folder}");
    }
}
