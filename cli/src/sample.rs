//! A small plan and small requests, for tests.
#![allow(clippy::unwrap_used)]

use strongroom_protocol::action::{ActionObject, Deed};
use strongroom_protocol::channel::o::{Kind, Pending};
use strongroom_protocol::plan::{
    Action, Agent, Approvals, ErrorLevel, Ids, Limits, Namespaces, Network, Plan, Profile, Rule,
    SessionLimits,
};
use strongroom_protocol::receipt::{ProcView, Tier};
use strongroom_protocol::types::{
    ApprovalId, Arg, EnvName, EnvValue, EnvVar, List, Name, PathBytes, ProfileIx, Reason,
};

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
        session_limits: SessionLimits {
            commands_per_minute: 0,
            burst: 0,
            commands: 0,
            cpu_ms: 0,
            masks: 0,
            grace_ms: 0,
        },
        approvals: Approvals::default(),
        errors: ErrorLevel::Minimal,
    }
}

/// A request that waits.
pub fn pending(id: u64) -> Pending {
    let head = ["git", "push", "two words"].map(|word| Arg::new(word).unwrap());
    Pending {
        id: ApprovalId(id),
        kind: Kind::Exec,
        rule: Some(Name::new("git-push").unwrap()),
        head: List::new(head.to_vec()).unwrap(),
        cut: false,
        age_ms: 60_000,
        left_ms: 240_000,
        votes: 0,
        quorum: 2,
        approved: false,
        voted: false,
        times: 1,
    }
}

/// A question for a human.
pub fn question(id: u64, text: &str) -> ActionObject {
    ActionObject {
        session: [0xab; 16],
        policy: [0xcd; 32],
        id: ApprovalId(id),
        connection: 3,
        rule: None,
        why: None,
        quorum: 1,
        deed: Deed::Question(Reason::new(text).unwrap()),
        reason: None,
    }
}
