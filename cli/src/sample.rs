//! A small plan, for tests.
#![allow(clippy::unwrap_used)]

use strongroom_protocol::plan::{
    Action, Agent, Approvals, ErrorLevel, Ids, Limits, Namespaces, Network, Plan, Profile, Rule,
    SessionLimits,
};
use strongroom_protocol::receipt::{ProcView, Tier};
use strongroom_protocol::types::{Arg, EnvName, EnvValue, EnvVar, Name, PathBytes, ProfileIx};

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
        leases: false,
        env: env.collect(),
        network: Network::None,
        limits,
        warm: 0,
    }
}

/// Two profiles, the agent's and `build`, and a rule that leads to one of them.
pub fn plan(rule_profile: u16, env: &[(&str, &str)]) -> Plan {
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
            understood: false,
        }],
        credentials: Vec::new(),
        leases: None,
        approvals: Approvals::default(),
        session_limits: SessionLimits {
            commands_per_minute: 0,
            burst: 0,
            commands: 0,
            cpu_ms: 0,
            masks: 0,
            grace_ms: 0,
        },
        errors: ErrorLevel::Minimal,
    }
}
