//! Processes that lost their worker. A worker ends its descendants itself; if
//! it is killed first (out of memory, say) and has no pid namespace, they are
//! handed to us, the nearest subreaper, and we end them one by one until no
//! child is left that we do not know.

use std::fs;

use strongroom_sys::process;

/// Kills every child that is not `known`. Returns how many were there.
pub fn end(known: impl Fn(i32) -> bool) -> usize {
    let orphans: Vec<i32> = children().into_iter().filter(|pid| !known(*pid)).collect();
    for pid in &orphans {
        // Not yet reaped, so the number is still theirs.
        let _ = process::kill_child(*pid, nix::libc::SIGKILL);
    }
    orphans.len()
}

/// Our children, as /proc has them: in one file (CONFIG_PROC_CHILDREN), else
/// by the parent each process names (proc_pid_stat(5)).
fn children() -> Vec<i32> {
    let own = std::process::id();
    if let Ok(list) = fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        return list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    }
    let pids = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent(*pid) == Some(own)).collect()
}

fn parent(pid: i32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; the last `)` ends it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}
