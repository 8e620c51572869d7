//! The same command in a jail of somebody else, as like ours as it can be
//! told to be. What each of them leaves out is part of the result.

use std::path::Path;
use std::process::Command;

/// Another jail.
pub struct Peer {
    /// Its name in the report.
    pub key: &'static str,
    /// What it does, and what it does not.
    pub what: &'static str,
    program: &'static str,
}

const PEERS: [Peer; 1] =
    [Peer { key: "bubblewrap", what: "bubblewrap (namespaces only)", program: "bwrap" }];

/// Those that are installed.
pub fn found() -> impl Iterator<Item = &'static Peer> {
    let folders: Vec<_> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    PEERS.iter().filter(move |peer| folders.iter().any(|f| f.join(peer.program).is_file()))
}

impl Peer {
    /// The command in its jail: every namespace, a root of its own with the
    /// system read-only, the workspace writable, no capability. No Landlock, no
    /// filter of system calls, no limits, no log, and nobody who holds secrets:
    /// it has none of these.
    pub fn command(&self, workspace: &Path, program: &str) -> Command {
        let mut command = Command::new(self.program);
        command.args(["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
        command.args(["--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc"]);
        for link in ["bin", "lib", "lib64", "sbin"] {
            command.args(["--symlink", &format!("usr/{link}"), &format!("/{link}")]);
        }
        command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
        command.arg("--bind").arg(workspace).arg("/workspace");
        command.args(["--chdir", "/workspace", "--clearenv", "--", program]);
        command
    }
}
