//! Bounds with their defaults. What a policy leaves out is bounded, not open:
//! `none` has to be said.

use strongroom_protocol::plan;

use crate::diagnostics::Diagnostics;
use crate::model::{Limits, Session};
use crate::source::At;

/// Of a worker.
const WORKER: plan::Limits = plan::Limits {
    wall_ms: 10 * 60 * 1000,
    cpu_ms: 10 * 60 * 1000,
    memory: 4 << 30,
    processes: 512,
    open_files: 4096,
    file_size: 0,
    output: 16 << 20,
    tmp: 1 << 30,
};

/// Of the agent, which runs as long as the session and answers to a terminal.
const AGENT: plan::Limits = plan::Limits {
    wall_ms: 0,
    cpu_ms: 0,
    memory: 0,
    processes: 0,
    open_files: 4096,
    file_size: 0,
    output: 0,
    tmp: 1 << 30,
};

/// Fewer and nothing can start; more is above the kernel's usual ceiling.
const OPEN_FILES: std::ops::RangeInclusive<u32> = 16..=1_048_576;

/// Below this no program comes to life, and the message would be its crash.
const LEAST_MEMORY: u64 = 1 << 20;

/// A folder of no size, or an agent that may take a day to end, is a mistake.
const LONGEST_GRACE_MS: u64 = 10 * 60 * 1000;

fn or<T: Copy>(written: Option<&At<T>>, default: T) -> T {
    written.map_or(default, |at| **at)
}

/// Bounds of one command.
#[must_use]
pub fn limits(written: &Limits, agent: bool) -> plan::Limits {
    let default = if agent { AGENT } else { WORKER };
    plan::Limits {
        wall_ms: written.wall.as_ref().map_or(default.wall_ms, |v| v.0),
        cpu_ms: written.cpu.as_ref().map_or(default.cpu_ms, |v| v.0),
        memory: written.memory.as_ref().map_or(default.memory, |v| v.0),
        processes: or(written.processes.as_ref(), default.processes),
        open_files: or(written.open_files.as_ref(), default.open_files),
        file_size: written.file_size.as_ref().map_or(default.file_size, |v| v.0),
        output: written.output.as_ref().map_or(default.output, |v| v.0),
        tmp: written.tmp.as_ref().map_or(default.tmp, |v| v.0),
    }
}

/// Bounds of the session.
#[must_use]
pub fn session(written: &Session) -> plan::SessionLimits {
    plan::SessionLimits {
        commands_per_minute: or(written.commands_per_minute.as_ref(), 600),
        burst: or(written.burst.as_ref(), 100),
        commands: or(written.commands.as_ref(), 0),
        cpu_ms: written.cpu.as_ref().map_or(0, |v| v.0),
        masks: or(written.masks.as_ref(), 10_000),
        grace_ms: written.grace.as_ref().map_or(5000, |v| v.0),
    }
}

/// Bounds that cannot be meant.
pub fn check_limits(written: &Limits, found: &mut Diagnostics) {
    if let Some(files) = &written.open_files
        && !OPEN_FILES.contains(files)
    {
        found.error(files.site(), "out of range", "16 to 1048576");
    }
    if let Some(memory) = &written.memory
        && (1..LEAST_MEMORY).contains(&memory.0)
    {
        found.error(memory.site(), "nothing can start in so little memory", "at least \"1MiB\"");
    }
}

/// Bounds that cannot be meant.
pub fn check_session(written: &Session, found: &mut Diagnostics) {
    let rate = or(written.commands_per_minute.as_ref(), 600);
    if let Some(burst) = &written.burst
        && **burst == 0
        && rate > 0
    {
        found.error(burst.site(), "a burst of 0 lets no command run", "at least 1");
    }
    if let Some(grace) = &written.grace
        && !(1..=LONGEST_GRACE_MS).contains(&grace.0)
    {
        found.error(grace.site(), "the agent has to end some time", "\"1ms\" to \"10m\"");
    }
}
