//! Adds up what all processes of a command use, where no cgroup does it.
//!
//! /proc is read from inside the jail. A process is the command's when its
//! chain of parents leads to this worker: orphans are handed to the worker,
//! so a daemon does not get away by forking twice.
//!
//! Memory that no process maps (a memfd) is found through its descriptors.
//! What the private folder holds has a limit of its own. Processor time of a
//! process that its parent never waits for is kept as last seen.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::Limits;

/// Milliseconds between two looks.
pub const PERIOD_MS: u64 = 100;

/// What one look found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    tasks: u64,
    resident: u64,
    /// Of the processes themselves.
    ticks: u64,
    /// Of children they have waited for.
    waited_ticks: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    parent: i32,
    tasks: u64,
    resident_pages: u64,
    ticks: u64,
    waited_ticks: u64,
    /// With the pid it names a process for ever.
    started: u64,
}

/// Looks after one command.
pub struct Watchdog {
    own: i32,
    limits: Limits,
    page: u64,
    ticks_per_second: u64,
    /// When to look again: a look reads all of /proc, and what wakes the
    /// worker (a child's end, a metadata call) can come a thousand times as
    /// often.
    due: Instant,
    /// Processes of the last look, and what each had used.
    seen: HashMap<(i32, u64), u64>,
    /// What processes had used that are gone since.
    gone_ticks: u64,
}

impl Watchdog {
    /// A watchdog for this worker's descendants; `None` when there is nothing
    /// to look after, or nothing to see.
    pub fn new(limits: Limits, sees_proc: bool) -> Option<Self> {
        let wanted = limits.memory != 0 || limits.processes != 0 || limits.cpu_ms != 0;
        if !wanted || !sees_proc {
            return None;
        }
        // The number by which this /proc knows us: not getpid() where /proc
        // belongs to an outer pid namespace.
        let own = fs::read_link("/proc/self").ok()?.to_str()?.parse().ok()?;
        let value =
            |name| nix::unistd::sysconf(name).ok().flatten().and_then(|v| u64::try_from(v).ok());
        Some(Self {
            own,
            limits,
            page: value(nix::unistd::SysconfVar::PAGE_SIZE)?,
            ticks_per_second: value(nix::unistd::SysconfVar::CLK_TCK)?,
            // Most commands are over before the first look.
            due: Instant::now() + Duration::from_millis(PERIOD_MS),
            seen: HashMap::new(),
            gone_ticks: 0,
        })
    }

    /// The limit that is broken, if one is. `reaped_cpu_ms` is what children
    /// that are gone have used. Looks once a period, however often asked.
    pub fn look(&mut self, reaped_cpu_ms: u64) -> Option<Code> {
        let now = Instant::now();
        if now < self.due {
            return None;
        }
        self.due = now + Duration::from_millis(PERIOD_MS);
        let table = read_table();
        let family = descendants(&table, self.own);
        let mut sum = Sum::default();
        let mut seen = HashMap::new();
        for (pid, entry) in family.iter().filter_map(|pid| Some((*pid, table.get(pid)?))) {
            sum.tasks += entry.tasks;
            sum.resident += entry.resident_pages.saturating_mul(self.page);
            sum.ticks += entry.ticks;
            sum.waited_ticks += entry.waited_ticks;
            seen.insert((pid, entry.started), entry.ticks);
        }
        let left = self.seen.iter().filter(|(process, _)| !seen.contains_key(*process));
        self.gone_ticks += left.map(|(_, ticks)| ticks).sum::<u64>();
        self.seen = seen;

        let limits = &self.limits;
        if limits.processes != 0 && sum.tasks > u64::from(limits.processes) {
            return Some(Code::Processes);
        }
        // Two accounts of the dead, each blind to some: what was waited for,
        // and what was seen alive. Neither counts anything twice.
        let ms = |ticks: u64| ticks.saturating_mul(1000) / self.ticks_per_second.max(1);
        let waited = ms(sum.ticks + sum.waited_ticks).saturating_add(reaped_cpu_ms);
        let watched = ms(sum.ticks + self.gone_ticks);
        if limits.cpu_ms != 0 && waited.max(watched) > limits.cpu_ms {
            return Some(Code::CpuTime);
        }
        if limits.memory == 0 {
            return None;
        }
        let unmapped = memfd_bytes(&family);
        // Resident sets count shared pages once a process. Only when their
        // sum is too high is it worth asking for the exact, slower figure.
        if sum.resident.saturating_add(unmapped) > limits.memory {
            let exact: u64 = family.iter().map(|pid| proportional(*pid)).sum();
            let shared: u64 = family.iter().map(|pid| proportional_shared(*pid)).sum();
            let without = exact.saturating_sub(shared).saturating_add(unmapped);
            if exact.max(without) > limits.memory {
                return Some(Code::Memory);
            }
        }
        None
    }
}

fn descendants(table: &HashMap<i32, Entry>, root: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, entry) in table {
        children.entry(entry.parent).or_default().push(*pid);
    }
    let mut family = Vec::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        if let Some(next) = children.remove(&pid) {
            family.extend_from_slice(&next);
            open.extend_from_slice(&next);
        }
    }
    family
}

fn read_table() -> HashMap<i32, Entry> {
    let Ok(dir) = fs::read_dir("/proc") else { return HashMap::new() };
    dir.filter_map(Result::ok)
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| {
            let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, parse_stat(&stat)?))
        })
        .collect()
}

/// Fields of proc_pid_stat(5), counted from behind the name: the name may
/// hold anything, `)` and newlines included.
fn parse_stat(stat: &[u8]) -> Option<Entry> {
    let end = stat.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // fields[0] is field 3 (state).
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    // What waits to be reaped runs no more.
    let over = matches!(fields.first(), Some(&"Z" | &"X"));
    Some(Entry {
        parent: i32::try_from(number(4)?).ok()?,
        ticks: number(14)? + number(15)?,
        waited_ticks: number(16)? + number(17)?,
        started: number(22)?,
        tasks: if over { 0 } else { number(20)? },
        resident_pages: number(24)?,
    })
}

/// Proportional set size in bytes; the anonymous part of the resident set
/// where the kernel does not let us see it.
fn proportional(pid: i32) -> u64 {
    field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
        .or_else(|| field(&format!("/proc/{pid}/status"), "RssAnon:"))
        .unwrap_or(0)
        .saturating_mul(1024)
}

/// The part of it that is shared memory, a mapped memfd included.
fn proportional_shared(pid: i32) -> u64 {
    let shared = field(&format!("/proc/{pid}/smaps_rollup"), "Pss_Shmem:");
    shared.unwrap_or(0).saturating_mul(1024)
}

/// Bytes in memfds these processes hold, each memfd once.
fn memfd_bytes(family: &[i32]) -> u64 {
    let mut known = HashSet::new();
    let folders = family.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok());
    folders
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            fs::read_link(path)
                .is_ok_and(|l| l.as_os_str().as_encoded_bytes().starts_with(b"/memfd:"))
        })
        .filter_map(|path| fs::metadata(path).ok())
        .filter(|m| known.insert((m.dev(), m.ino())))
        // stat(2): blocks of 512 bytes.
        .map(|m| m.blocks().saturating_mul(512))
        .sum()
}

fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_cannot_shift_the_fields() {
        let line = b"7 (a) R 1 (x)) S 3 7 7 0 -1 0 0 0 0 0 10 20 30 40 20 0 5 0 99 1000 250 0";
        let entry = parse_stat(line).unwrap();
        assert_eq!(entry.parent, 3);
        assert_eq!((entry.ticks, entry.waited_ticks), (30, 70));
        assert_eq!(entry.tasks, 5);
        assert_eq!(entry.resident_pages, 250);
        let ended = b"7 (a) Z 3 7 7 0 -1 0 0 0 0 0 10 20 30 40 20 0 1 0 99 0 0 0";
        assert_eq!(parse_stat(ended).unwrap().tasks, 0);
    }

    #[test]
    fn descendants_are_those_whose_parents_lead_here() {
        let entry = |parent| Entry {
            parent,
            tasks: 1,
            resident_pages: 0,
            ticks: 0,
            waited_ticks: 0,
            started: 0,
        };
        let table = [(2, entry(1)), (3, entry(2)), (4, entry(3)), (9, entry(8))].into();
        let mut family = descendants(&table, 2);
        family.sort_unstable();
        assert_eq!(family, [3, 4]);
    }
}
