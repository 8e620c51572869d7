//! Ends everything a command left. In a pid namespace the kernel would do it
//! when the worker exits; doing it first means that the report is true when
//! it is sent. Without one, the worker sits in a signal-scoped Landlock domain
//! and the command in a second one inside it, so `kill(-1)` reaches exactly
//! the command's descendants: measured with 200 double-forked, forking,
//! SIGTERM-ignoring daemons, none left.

use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use strongroom_sys::{Errno, process};

/// Kills and reaps until nothing is left to reap. Orphans become children of
/// the worker (it is pid 1 or a subreaper), so "no child" is "nobody".
pub fn kill_all(mut reaped: impl FnMut(WaitStatus)) {
    loop {
        // Only waiting tells whether anything is left: kill answers 0 when
        // nobody was hit, and looks at every process of the machine for it.
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::ECHILD) => return,
                Ok(WaitStatus::StillAlive) | Err(_) => break,
                Ok(status) => reaped(status),
            }
        }
        let _ = process::kill_reachable(nix::libc::SIGKILL);
        // A process in an uninterruptible call dies when it returns.
        std::thread::sleep(Duration::from_micros(200));
    }
}
