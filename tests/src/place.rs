//! Where a test runs: which user starts Strongroom, and in which tier.

use std::ffi::OsStr;
use std::process::Command;

/// An ordinary user for tests that are run by root.
pub const ORDINARY: u32 = 1000;

/// The sandbox user where root owns the workspace.
pub const SANDBOX: u32 = 64101;

/// One combination of user and tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Root, namespaces by privilege.
    Full,
    /// An ordinary user, namespaces by a user namespace.
    FullUser,
    /// Root without namespaces.
    Container,
    /// An ordinary user without any capability, `no_new_privs` set.
    Rootless,
}

impl Place {
    /// The tier, as `--tier` and the receipt spell it.
    #[must_use]
    pub fn tier(self) -> &'static str {
        match self {
            Self::Full | Self::FullUser => "full",
            Self::Container => "container",
            Self::Rootless => "rootless",
        }
    }

    /// Commands have namespaces of their own.
    #[must_use]
    pub fn private(self) -> bool {
        matches!(self, Self::Full | Self::FullUser)
    }

    /// Broker, recorder and sandbox have uids of their own.
    #[must_use]
    pub fn separate_uids(self) -> bool {
        matches!(self, Self::Full | Self::Container)
    }

    /// The uid of agent and commands. Workspaces of tests belong to whoever
    /// starts Strongroom.
    #[must_use]
    pub fn sandbox(self) -> u32 {
        match self {
            Self::Full | Self::Container => SANDBOX,
            _ if is_root() => ORDINARY,
            _ => nix::unistd::getuid().as_raw(),
        }
    }

    /// The uid that starts Strongroom.
    #[must_use]
    pub fn starter(self) -> u32 {
        if self.separate_uids() { 0 } else { self.sandbox() }
    }

    /// Why there is no such place here.
    #[must_use]
    pub fn missing(self) -> Option<&'static str> {
        (self.separate_uids() && !is_root()).then_some("it needs root")
    }

    /// A command line run as the user that starts Strongroom here.
    #[must_use]
    pub fn command(self, program: impl AsRef<OsStr>) -> Command {
        if self.separate_uids() || !is_root() {
            return Command::new(program);
        }
        let mut command = as_user(self.sandbox());
        if self == Self::Rootless {
            command.args([
                "--no-new-privs",
                "--bounding-set=-all",
                "--inh-caps=-all",
                "--ambient-caps=-all",
            ]);
        }
        command.arg(program);
        command
    }

    /// A command line run as the sandbox user, outside any jail: the
    /// strongest attacker a denial is compared with.
    #[must_use]
    pub fn attacker(self, program: impl AsRef<OsStr>) -> Command {
        if !is_root() {
            return Command::new(program);
        }
        let mut command = as_user(self.sandbox());
        command.arg(program);
        command
    }
}

/// `setpriv(1)` becomes the program, so its pid is the program's.
fn as_user(uid: u32) -> Command {
    let mut command = Command::new("setpriv");
    let uid = uid.to_string();
    command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups"]);
    command
}

/// Are the tests run by root?
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
