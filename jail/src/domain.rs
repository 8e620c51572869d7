//! Layer: a Landlock domain of one's own (landlock(7)).
//!
//! One ruleset per command, entered by that command's worker. A domain made
//! once in a zygote would be shared by all workers forked from it, and then
//! siblings can read and signal each other (measured, attacks.md section 1).
//! Where commands can be granted sealed files, a second one is prepared for
//! the command alone, which lacks the worker's own right to write them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    Scope,
};
use strongroom_protocol::plan::Access;
use strongroom_protocol::stage::Stage;
use strongroom_sys::{landlock as kernel, process};

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
    ruleset: OwnedFd,
    rights: Rights,
}

impl Domain {
    /// Handles everything the ABI has, and allows nothing yet. With
    /// `network`, TCP is left to other layers.
    ///
    /// # Errors
    /// [`Stage::Landlock`].
    pub fn new(abi: u8, network: bool) -> Step<Self> {
        let rights = handled(abi, network);
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
        let created = build().map_err(|_| refused(Stage::Landlock))?;
        let ruleset = Option::from(created).ok_or_else(|| refused(Stage::Landlock))?;
        Ok(Self { ruleset, rights })
    }

    /// Takes over a ruleset that [`Self::new`] made with the same arguments in
    /// another process, and [`Self::prepared`] gave away.
    #[must_use]
    pub fn from_prepared(ruleset: OwnedFd, abi: u8, network: bool) -> Self {
        Self { ruleset, rights: handled(abi, network) }
    }

    /// Allows what `access` means beneath an object.
    ///
    /// # Errors
    /// [`Stage::Landlock`].
    pub fn allow(self, object: BorrowedFd<'_>, access: Access) -> Step<Self> {
        let wanted = meant(access, self.rights);
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
        let wanted = wanted & self.rights.fs;
        self.add(object, fitting(wanted, folder))
    }

    /// As [`Self::allow`], for what has been looked at before.
    ///
    /// # Errors
    /// [`Stage::Landlock`].
    pub fn allow_known(self, object: BorrowedFd<'_>, access: Access, folder: bool) -> Step<Self> {
        let wanted = meant(access, self.rights);
        self.add(object, fitting(wanted, folder))
    }

    fn add(self, object: BorrowedFd<'_>, access: BitFlags<AccessFs>) -> Step<Self> {
        kernel::allow(self.ruleset.as_fd(), object, access.bits()).at(Stage::Landlock)?;
        Ok(self)
    }

    /// The ruleset itself, to be entered by somebody else.
    #[must_use]
    pub fn prepared(self) -> OwnedFd {
        self.ruleset
    }

    /// Enters the domain: from here on there is no way out of it. The ruleset
    /// was made with all that the ABI has, or not at all, so a domain made
    /// from it enforces all of it.
    ///
    /// # Errors
    /// [`Stage::Landlock`].
    pub fn enter(self) -> Step<Rights> {
        process::no_new_privs().at(Stage::Landlock)?;
        kernel::restrict_self(self.ruleset.as_fd()).at(Stage::Landlock)?;
        Ok(self.rights)
    }
}

/// What a domain handles.
fn handled(abi: u8, network: bool) -> Rights {
    let rights = rights(abi);
    if network { Rights { net: BitFlags::empty(), ..rights } } else { rights }
}

/// What `access` means beneath a folder.
fn meant(access: Access, rights: Rights) -> BitFlags<AccessFs> {
    match access {
        Access::Read => AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute,
        // Devices are never made; those that are given need no ioctl.
        Access::Write => {
            rights.fs & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev)
        }
    }
}

/// Those of the rights that apply to a folder, or to what is none.
fn fitting(wanted: BitFlags<AccessFs>, folder: bool) -> BitFlags<AccessFs> {
    if folder { wanted } else { wanted & AccessFs::from_file(ABI::V9) }
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
