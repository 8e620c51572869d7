//! Layer: a Landlock domain of one's own (landlock(7)).
//!
//! One ruleset per command, entered by that command's worker. A domain made
//! once in a zygote would be shared by all workers forked from it, and then
//! siblings can read and signal each other (measured, attacks.md section 1).
//! Where commands can be granted sealed files, a second one is prepared for
//! the command alone, which lacks the worker's own right to write them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use strongroom_protocol::plan::Access;
use strongroom_protocol::stage::Stage;

use crate::paths::is_folder;
use crate::{At, Step, refused};

/// What one ABI can handle. Each is asked for by name and required: the
/// crate's default would leave out silently what a kernel lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Filesystem rights.
    pub fs: BitFlags<AccessFs>,
    /// Network rights.
    pub net: BitFlags<AccessNet>,
    /// Scopes.
    pub scopes: BitFlags<Scope>,
}

/// The rights of a kernel's ABI. Newer ABIs than we know are used as 9.
///
/// | ABI | adds | before it, the job is done by |
/// |---|---|---|
/// | 1 | filesystem | nothing: below it no tier starts |
/// | 2 | rename across folders | refused altogether |
/// | 3 | truncate | ownership; read-only mounts in tier full |
/// | 4 | TCP bind and connect | seccomp `socket`; own network namespace |
/// | 5 | ioctl on devices | seccomp `ioctl`; only five device nodes are given |
/// | 6 | signal and abstract-socket scopes | pid and network namespace; so the tiers without need 6 |
/// | 7 | (audit flags only) | – |
/// | 8 | (all threads at once) | our processes have one thread |
/// | 9 | connect to pathname sockets | seccomp `socket(AF_UNIX)`; mount namespace |
#[must_use]
pub fn rights(abi: u8) -> Rights {
    let abi = match abi {
        0 => ABI::Unsupported,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        7 => ABI::V7,
        8 => ABI::V8,
        _ => ABI::V9,
    };
    Rights {
        fs: AccessFs::from_all(abi),
        net: AccessNet::from_all(abi),
        scopes: Scope::from_all(abi),
    }
}

/// A ruleset under construction.
#[derive(Debug)]
pub struct Domain {
    ruleset: RulesetCreated,
    rights: Rights,
}

impl Domain {
    /// Handles everything the ABI has, and allows nothing yet. With
    /// `network`, TCP is left to other layers.
    ///
    /// # Errors
    /// [`Stage::Landlock`].
    pub fn new(abi: u8, network: bool) -> Step<Self> {
        let mut rights = rights(abi);
        if network {
            rights.net = BitFlags::empty();
        }
        let build = || {
            let mut ruleset = Ruleset::default()
                .set_compatibility(CompatLevel::HardRequirement)
                .handle_access(rights.fs)?;
            if !rights.net.is_empty() {
                ruleset = ruleset.handle_access(rights.net)?;
            }
            if !rights.scopes.is_empty() {
                ruleset = ruleset.scope(rights.scopes)?;
            }
            ruleset.create()
        };
        let ruleset = build().map_err(|_| refused(Stage::Landlock))?;
        Ok(Self { ruleset, rights })
    }

    /// Allows what `access` means beneath an object.
    ///
    /// # Errors
    /// [`Stage::Landlock`].
    pub fn allow(self, object: BorrowedFd<'_>, access: Access) -> Step<Self> {
        let wanted = match access {
            Access::Read => AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute,
            // Devices are never made; those that are given need no ioctl.
            Access::Write => {
                self.rights.fs & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev)
            }
        };
        self.allow_exactly(object, wanted)
    }

    /// Allows what a worker does in the folder of leases: make folders with a
    /// file in them, and remove both.
    ///
    /// # Errors
    /// [`Stage::Landlock`].
    pub fn allow_leasing(self, folder: BorrowedFd<'_>) -> Step<Self> {
        let files = AccessFs::ReadFile
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::RemoveFile;
        let folders = AccessFs::ReadDir | AccessFs::MakeDir | AccessFs::RemoveDir;
        self.allow_exactly(folder, files | folders)
    }

    /// Allows these rights beneath an object, as far as they apply to it.
    ///
    /// # Errors
    /// [`Stage::Landlock`].
    pub fn allow_exactly(self, object: BorrowedFd<'_>, wanted: BitFlags<AccessFs>) -> Step<Self> {
        let folder = is_folder(&object.as_fd()).at(Stage::Landlock)?;
        let fitting = if folder { wanted } else { wanted & AccessFs::from_file(ABI::V9) };
        let rule = PathBeneath::new(object, fitting & self.rights.fs);
        let ruleset = self.ruleset.add_rule(rule).map_err(|_| refused(Stage::Landlock))?;
        Ok(Self { ruleset, ..self })
    }

    /// The ruleset itself, to be entered by somebody else.
    ///
    /// # Errors
    /// [`Stage::Landlock`].
    pub fn prepared(self) -> Step<OwnedFd> {
        Option::from(self.ruleset).ok_or_else(|| refused(Stage::Landlock))
    }

    /// Enters the domain: from here on there is no way out of it.
    ///
    /// # Errors
    /// [`Stage::Landlock`], also when the kernel enforced less than all.
    pub fn enter(self) -> Step<Rights> {
        let rights = self.rights;
        let status = self.ruleset.restrict_self().map_err(|_| refused(Stage::Landlock))?;
        let whole = status.ruleset == RulesetStatus::FullyEnforced && status.no_new_privs;
        if whole { Ok(rights) } else { Err(refused(Stage::Landlock)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rights by name, so that an upgrade of the crate cannot change what
    /// we ask for without this list changing.
    #[test]
    fn each_abi_adds_what_the_kernel_documentation_says() {
        let fs = |abi| rights(abi).fs;
        assert_eq!(fs(1).bits(), 0x1fff);
        assert_eq!((fs(2) & !fs(1)), AccessFs::Refer);
        assert_eq!((fs(3) & !fs(2)), AccessFs::Truncate);
        assert_eq!(fs(4), fs(3));
        assert_eq!(rights(3).net, BitFlags::<AccessNet>::empty());
        assert_eq!(rights(4).net, AccessNet::BindTcp | AccessNet::ConnectTcp);
        assert_eq!((fs(5) & !fs(4)), AccessFs::IoctlDev);
        assert_eq!(rights(5).scopes, BitFlags::<Scope>::empty());
        assert_eq!(rights(6).scopes, Scope::AbstractUnixSocket | Scope::Signal);
        assert_eq!(rights(7), rights(6));
        assert_eq!(rights(8), rights(7));
        assert_eq!((fs(9) & !fs(8)), AccessFs::ResolveUnix);
        assert_eq!(rights(10), rights(9));
        assert_eq!(rights(255), rights(9));
    }
}
