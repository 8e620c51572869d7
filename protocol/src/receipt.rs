//! What the kernel really enforced on one command. Built by the worker from
//! the calls that succeeded, never from what the plan asked for.

use bincode::{Decode, Encode};

use crate::wire_enum::wire_enum;

wire_enum!(
    /// How much the kernel lets us enforce here (design.md section 2).
    Tier {
        /// Landlock and seccomp, same uid.
        Rootless = "rootless",
        /// Distinct uids, Landlock and seccomp.
        Container = "container",
        /// All of it, and namespaces.
        Full = "full",
    }
);

wire_enum!(
    /// Which /proc a command sees.
    ProcView {
        /// A fresh one: only its own processes.
        Own = "own",
        /// The place's own /proc: names of other processes show, nothing opens.
        Shared = "shared",
    }
);

wire_enum!(
    /// What ends a command's descendants.
    KillAll {
        /// The worker is pid 1 of the command's pid namespace.
        PidNamespace = "pid-namespace",
        /// `kill(-1)` inside nested signal-scoped Landlock domains.
        LandlockScope = "landlock-scope",
    }
);

wire_enum!(
    /// What bounds memory and processes.
    LimitsBy {
        /// rlimits, and a watchdog that adds up the command's processes.
        Watchdog = "rlimits+watchdog",
        /// rlimits alone: the profile shows no /proc to add up.
        Rlimits = "rlimits",
    }
);

wire_enum!(
    /// What keeps the policy's `protect` names.
    ProtectBy {
        /// The policy names none.
        Nothing = "none",
        /// Read-only mounts over those that exist; the rest by comparison.
        Mounts = "mounts",
        /// Another uid owns them in a sticky folder.
        Ownership = "ownership",
        /// Compared before and after; what was created is moved aside, what was
        /// changed is reported.
        Detection = "detection",
    }
);

wire_enum!(
    /// What keeps path-based metadata calls (chmod, utimes) inside.
    MetadataBy {
        /// Other files are not visible.
        MountNamespace = "mount-namespace",
        /// The worker redoes them beneath the writable folders.
        Deputy = "deputy",
    }
);

/// Flags of [`Receipt::namespaces`].
pub mod ns {
    /// User namespace.
    pub const USER: u8 = 1;
    /// Pid namespace.
    pub const PID: u8 = 2;
    /// Mount namespace.
    pub const MOUNT: u8 = 4;
    /// Network namespace.
    pub const NET: u8 = 8;
    /// IPC namespace.
    pub const IPC: u8 = 16;
    /// UTS namespace.
    pub const UTS: u8 = 32;

    /// Names of the set bits, in a fixed order.
    pub fn names(bits: u8) -> impl Iterator<Item = &'static str> {
        [(USER, "user"), (PID, "pid"), (MOUNT, "mount"), (NET, "net"), (IPC, "ipc"), (UTS, "uts")]
            .into_iter()
            .filter_map(move |(bit, name)| (bits & bit != 0).then_some(name))
    }
}

/// Names of Landlock's bits (linux/landlock.h).
pub mod landlock {
    /// Names of LANDLOCK_ACCESS_FS_*, by bit.
    pub const FILESYSTEM: &[&str] = &[
        "execute",
        "write-file",
        "read-file",
        "read-dir",
        "remove-dir",
        "remove-file",
        "make-char",
        "make-dir",
        "make-reg",
        "make-sock",
        "make-fifo",
        "make-block",
        "make-sym",
        "refer",
        "truncate",
        "ioctl-dev",
    ];

    /// Names of LANDLOCK_ACCESS_NET_*, by bit.
    pub const NETWORK: &[&str] = &["bind-tcp", "connect-tcp"];

    /// Names of LANDLOCK_SCOPE_*, by bit.
    pub const SCOPES: &[&str] = &["abstract-unix-socket", "signal"];

    /// The names of the set bits; a bit newer than this table by its number.
    pub fn names(bits: u64, names: &'static [&str]) -> impl Iterator<Item = String> {
        (0..64usize)
            .filter(move |bit| bits >> bit & 1 == 1)
            .map(|bit| names.get(bit).map_or_else(|| format!("bit-{bit}"), |n| (*n).to_owned()))
    }
}

/// What one jail enforces. Every field is set after the call that gives it
/// has succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The tier.
    pub tier: Tier,
    /// The uid the command runs as, seen from inside.
    pub uid: u32,
    /// The gid likewise.
    pub gid: u32,
    /// Bits of [`ns`].
    pub namespaces: u8,
    /// Which /proc.
    pub proc_view: ProcView,
    /// Landlock ABI the kernel offers.
    pub landlock_abi: u8,
    /// Landlock filesystem rights handled (and so denied unless allowed).
    pub landlock_fs: u64,
    /// Landlock network rights handled.
    pub landlock_net: u64,
    /// Landlock scopes.
    pub landlock_scopes: u64,
    /// Seccomp filters in force on the command.
    pub seccomp_filters: u8,
    /// no_new_privs, and all capability sets empty. The bounding set is empty
    /// where there was the privilege to empty it; without, no_new_privs makes
    /// what it holds unreachable.
    pub unprivileged: bool,
    /// What ends the descendants.
    pub kill_all: KillAll,
    /// What bounds memory and processes.
    pub limits: LimitsBy,
    /// What keeps the protected names.
    pub protect: ProtectBy,
    /// What keeps metadata calls inside.
    pub metadata: MetadataBy,
    /// The folder private to the command is a tmpfs (else a folder on disk).
    pub private_tmpfs: bool,
    /// /dev/shm is shared with other processes of the uid.
    pub shared_shm: bool,
}

impl Receipt {
    /// The command's capabilities, in a word.
    #[must_use]
    pub const fn capabilities(&self) -> &'static str {
        if self.unprivileged { "none" } else { "unknown" }
    }

    /// What its private folder is, in a word.
    #[must_use]
    pub const fn private_tmp(&self) -> &'static str {
        if self.private_tmpfs { "tmpfs" } else { "folder" }
    }
}
