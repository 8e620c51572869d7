//! Who is alive, seen from outside.

use std::fs;

/// One process, as /proc shows it.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// `R`, `S`, `T`, `Z`, …
    pub state: char,
    /// When it started, in ticks since boot: with the pid a name for ever.
    pub started: u64,
    /// argv, joined by spaces.
    pub cmdline: String,
}

/// Everything that runs.
#[must_use]
pub fn all() -> Vec<Process> {
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(look).collect()
}

/// One process; `None` when there is none.
#[must_use]
pub fn look(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    Some(Process {
        pid,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        cmdline: String::from_utf8_lossy(&cmdline).replace('\0', " "),
    })
}

/// Is this very process alive?
#[must_use]
pub fn alive(process: &Process) -> bool {
    look(process.pid).is_some_and(|p| p.started == process.started && p.state != 'Z')
}

/// Everything beneath a process, itself not included.
#[must_use]
pub fn beneath(pid: i32) -> Vec<Process> {
    let all = all();
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(all.iter().filter(|p| p.parent == parent).map(|p| p.pid));
        at += 1;
    }
    all.into_iter().filter(|p| p.pid != pid && family.contains(&p.pid)).collect()
}

/// Living processes that carry this mark in their arguments, their working
/// folder or their program's path.
#[must_use]
pub fn marked(mark: &str) -> Vec<Process> {
    let carries = |process: &Process| {
        let link = |name: &str| {
            let link = fs::read_link(format!("/proc/{}/{name}", process.pid));
            link.is_ok_and(|path| path.to_string_lossy().contains(mark))
        };
        process.cmdline.contains(mark) || link("cwd") || link("exe")
    };
    all().into_iter().filter(|p| p.state != 'Z' && carries(p)).collect()
}
