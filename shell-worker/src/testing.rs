//! A plan and a profile for the tests of this crate.

use strongroom_protocol::plan::{
    Agent, Approvals, ErrorLevel, Ids, Limits, Namespaces, Network, Plan, Profile, SessionLimits,
    VERSION,
};
use strongroom_protocol::receipt::{ProcView, Tier};
use strongroom_protocol::types::{Name, PathBytes, ProfileIx};

/// A path.
pub fn path(text: &str) -> PathBytes {
    PathBytes::new(text).unwrap()
}

/// A profile that allows nothing.
pub fn profile(name: &str) -> Profile {
    Profile {
        name: Name::new(name).unwrap(),
        paths: Vec::new(),
        tmp: false,
        shm: false,
        leases: false,
        env: Vec::new(),
        network: Network::None,
        limits: Limits {
            wall_ms: 0,
            cpu_ms: 0,
            memory: 0,
            processes: 0,
            open_files: 256,
            file_size: 0,
            output: 0,
            tmp: 0,
        },
        warm: 0,
    }
}

/// A plan with this workspace and one profile, in a place without namespaces.
pub fn plan(workspace: &str) -> Plan {
    let ids = Ids { uid: 64101, gid: 64101 };
    Plan {
        version: VERSION,
        session: [0; 16],
        policy_digest: [0; 32],
        tier: Tier::Container,
        namespaces: Namespaces::None,
        proc_view: ProcView::Shared,
        landlock_abi: 6,
        sandbox: ids,
        broker: ids,
        recorder: ids,
        workspace: path(workspace),
        protect: Vec::new(),
        state: path("/nonexistent-state"),
        programs: path("/nonexistent-programs"),
        links: Vec::new(),
        agent: Agent { argv: Vec::new(), cwd: path(workspace), profile: ProfileIx(0) },
        profiles: vec![profile("agent")],
        rules: Vec::new(),
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
