//! A plan as JSON. Written by hand: the plan's own types know one encoding
//! only, the one on the wire.

use serde_json::{Value, json};
use strongroom_protocol::plan::{Ids, Pattern, PatternKind, Plan, Profile, Rule};
use strongroom_protocol::text::hex;

/// The plan. Values of the environment are left out: an operator may have put
/// there what should not be in a bug report.
#[must_use]
pub fn dump(plan: &Plan) -> Value {
    let limits = &plan.session_limits;
    json!({
        "version": plan.version,
        "session": hex(&plan.session),
        "policy-digest": hex(&plan.policy_digest),
        "tier": plan.tier.as_str(),
        "namespaces": plan.namespaces.as_str(),
        "proc-view": plan.proc_view.as_str(),
        "landlock-abi": plan.landlock_abi,
        "sandbox": ids(plan.sandbox),
        "broker": ids(plan.broker),
        "recorder": ids(plan.recorder),
        "workspace": plan.workspace.display(),
        "protect": plan.protect.iter().map(|path| path.display()).collect::<Vec<_>>(),
        "state": plan.state.display(),
        "programs": plan.programs.display(),
        "links": plan.links.iter().map(|link| json!({
            "path": link.path.display(),
            "target": link.target.display(),
        })).collect::<Vec<_>>(),
        "agent": {
            "argv": plan.agent.argv.iter().map(|arg| arg.display()).collect::<Vec<_>>(),
            "cwd": plan.agent.cwd.display(),
            "profile": plan.profile(plan.agent.profile).map(|profile| profile.name.as_str()),
        },
        "profiles": plan.profiles.iter().map(profile).collect::<Vec<_>>(),
        "rules": plan.rules.iter().map(|written| rule(plan, written)).collect::<Vec<_>>(),
        "credentials": plan.credentials.iter().map(|credential| json!({
            "name": credential.name.as_str(),
            "env": credential.env,
            "file": credential.file,
            "plain": credential.plain.as_str(),
        })).collect::<Vec<_>>(),
        "leases": plan.leases.as_ref().map(|leases| json!({
            "folder": leases.folder.display(),
            "writer": plan.profile(leases.writer).map(|profile| profile.name.as_str()),
        })),
        "approvals": {
            "approvers": plan.approvals.approvers.iter().map(|n| n.as_str()).collect::<Vec<_>>(),
            "quorum": plan.approvals.quorum,
            "timeout-ms": plan.approvals.timeout_ms,
            "permission-ms": plan.approvals.permission_ms,
            "pending": plan.approvals.pending,
            "denials": plan.approvals.denials,
            "cool-down-ms": plan.approvals.cool_down_ms,
        },
        "session-limits": {
            "commands-per-minute": limits.commands_per_minute,
            "burst": limits.burst,
            "commands": limits.commands,
            "cpu-ms": limits.cpu_ms,
            "masks": limits.masks,
            "grace-ms": limits.grace_ms,
        },
        "errors": plan.errors.as_str(),
    })
}

fn ids(ids: Ids) -> Value {
    json!({ "uid": ids.uid, "gid": ids.gid })
}

fn profile(profile: &Profile) -> Value {
    let limits = &profile.limits;
    json!({
        "name": profile.name.as_str(),
        "paths": profile.paths.iter().map(|rule| json!({
            "path": rule.path.display(),
            "access": rule.access.as_str(),
        })).collect::<Vec<_>>(),
        "tmp": profile.tmp,
        "shm": profile.shm,
        "leases": profile.leases,
        "env": profile.env.iter().map(|var| var.name.display()).collect::<Vec<_>>(),
        "network": profile.network.as_str(),
        "limits": {
            "wall-ms": limits.wall_ms,
            "cpu-ms": limits.cpu_ms,
            "memory": limits.memory,
            "processes": limits.processes,
            "open-files": limits.open_files,
            "file-size": limits.file_size,
            "output": limits.output,
            "tmp": limits.tmp,
        },
        "warm": profile.warm,
    })
}

fn rule(plan: &Plan, rule: &Rule) -> Value {
    json!({
        "name": rule.name.as_str(),
        "match": rule.pattern.iter().map(word).collect::<Vec<_>>(),
        "profile": plan.profile(rule.profile).map(|profile| profile.name.as_str()),
        "action": rule.action.as_str(),
        "credentials": rule.credentials.iter().map(|name| name.display()).collect::<Vec<_>>(),
        "understood": rule.understood,
    })
}

/// A word of a pattern as it is written in a policy.
#[must_use]
pub fn word(pattern: &Pattern) -> String {
    match pattern.kind {
        PatternKind::Any | PatternKind::Rest => pattern.kind.to_string(),
        PatternKind::Literal | PatternKind::Glob => pattern.text.display(),
    }
}
