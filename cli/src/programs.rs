//! The install: this program and the ones it starts.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::{Access, Ids, Namespaces, Plan};

use crate::error::{Failure, shown};
use crate::facts;
use crate::place::{Who, soft_spot};
use crate::reach::{passable, reached_by};

/// The programs besides `strongroom` itself.
pub const NAMES: [&str; 4] =
    ["strongroom-supervisor", "strongroom-broker", "strongroom-recorder", "strongroom-worker"];

/// The program behind `strongroom mcp`. No session needs it, but where it is
/// its agent may run it.
pub const MCP: &str = "strongroom-mcp";

/// Where the programs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// This program.
    pub client: PathBuf,
    /// The folder of the others.
    pub folder: PathBuf,
    /// [`MCP`], where it is installed.
    pub mcp: Option<PathBuf>,
}

impl Programs {
    /// Finds them beside this program or in `../lib/strongroom`.
    ///
    /// # Errors
    /// [`Code::InstallBroken`].
    pub fn find() -> Result<Self, Failure> {
        Self::near(client()?)
    }

    fn near(client: PathBuf) -> Result<Self, Failure> {
        let beside = client.parent().unwrap_or(Path::new("/")).to_owned();
        let library = beside
            .parent()
            .map(|above| above.join("lib/strongroom"))
            .and_then(|f| f.canonicalize().ok());
        let missing = lacking(&beside);
        let mcp = [Some(&beside), library.as_ref()];
        let mcp = mcp.into_iter().flatten().find(|folder| usable(folder, MCP));
        let mcp = mcp.map(|folder| folder.join(MCP));
        if missing.is_empty() {
            return Ok(Self { client, folder: beside, mcp });
        }
        match library {
            Some(folder) if lacking(&folder).is_empty() => Ok(Self { client, folder, mcp }),
            Some(folder) if lacking(&folder).len() < missing.len() => Err(incomplete(&folder)),
            _ => Err(incomplete(&beside)),
        }
    }

    /// Every file, this program first.
    pub fn files(&self) -> Vec<PathBuf> {
        std::iter::once(self.client.clone())
            .chain(NAMES.iter().map(|name| self.folder.join(name)))
            .chain(self.mcp.clone())
            .collect()
    }

    /// The program this one becomes.
    pub fn supervisor(&self) -> PathBuf {
        let [supervisor, ..] = NAMES;
        self.folder.join(supervisor)
    }

    /// Refuses programs that the sandbox user could change. Where everything
    /// runs as one user file modes say nothing: there the plan must not let
    /// commands write to them, which [`Self::outside`] checks.
    ///
    /// # Errors
    /// [`Code::InstallBroken`].
    pub fn firm(&self, who: &Who) -> Result<(), Failure> {
        if who.shared() {
            return Ok(());
        }
        for file in self.files() {
            let way = facts::way(&file).map_err(|e| broken(format!("{}: {e}", shown(&file))))?;
            if let Some(step) = soft_spot(&way, who.sandbox) {
                return Err(broken(format!(
                    "commands run as uid {}, who could change {}",
                    who.sandbox.uid,
                    shown(&step.path)
                ))
                .hint("install strongroom where only root writes, such as /usr/local/bin"));
            }
        }
        Ok(())
    }

    /// Refuses programs behind a folder that the sandbox user cannot enter,
    /// unless root mounts them in a root of its own.
    ///
    /// # Errors
    /// [`Code::InstallBroken`].
    pub fn reachable(&self, sandbox: Ids, namespaces: Namespaces) -> Result<(), Failure> {
        let way = facts::way(&self.client)
            .map_err(|e| broken(format!("{}: {e}", shown(&self.client))))?;
        passable(Code::InstallBroken, &self.client, &way, sandbox, namespaces).map_err(|failure| {
            let open_up = failure.hint.as_deref().unwrap_or_default();
            let hint = format!("install it elsewhere, or {open_up}");
            failure.hint(hint)
        })
    }

    /// Refuses a plan that lets commands write to them.
    ///
    /// # Errors
    /// [`Code::InstallBroken`].
    pub fn outside(&self, plan: &Plan) -> Result<(), Failure> {
        for file in self.files() {
            if let Some((_, open)) = reached_by(plan, &file, Access::Write) {
                return Err(broken(format!(
                    "the policy lets commands write to {}, where {} is",
                    shown(open),
                    shown(&file)
                ))
                .hint("install strongroom elsewhere, or take the folder out of the policy"));
            }
        }
        Ok(())
    }
}

/// Finds a program that no session needs, and that may be left out of an
/// install: beside this one or in `../lib/strongroom`.
///
/// # Errors
/// [`Code::InstallBroken`].
pub fn companion(name: &str) -> Result<PathBuf, Failure> {
    let client = client()?;
    let beside = client.parent().unwrap_or(Path::new("/"));
    let library = beside.parent().map(|above| above.join("lib/strongroom"));
    let folders = [Some(beside.to_owned()), library];
    let found = folders.into_iter().flatten().find(|folder| usable(folder, name));
    found
        .map(|folder| folder.join(name))
        .ok_or_else(|| broken(format!("{} lacks {name}", shown(beside))))
}

fn client() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .and_then(|exe| exe.canonicalize())
        .map_err(|e| broken(format!("/proc/self/exe does not name this program: {e}")))
}

/// What a folder lacks of the programs.
pub fn lacking(folder: &Path) -> Vec<&'static str> {
    NAMES.into_iter().filter(|name| !usable(folder, name)).collect()
}

fn usable(folder: &Path, name: &str) -> bool {
    let file = folder.join(name).metadata();
    file.is_ok_and(|m| m.is_file() && m.size() > 0 && m.permissions().mode() & 0o111 != 0)
}

fn incomplete(folder: &Path) -> Failure {
    broken(format!("{} lacks {}", shown(folder), lacking(folder).join(", ")))
}

fn broken(message: String) -> Failure {
    Failure::new(Code::InstallBroken, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    fn install(folder: &Path, names: &[&str]) {
        fs::create_dir_all(folder).unwrap();
        for name in names {
            fs::write(folder.join(name), "#!").unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn beside_or_in_the_library() {
        let tmp = tempfile::tempdir().unwrap();
        let (bin, lib) = (tmp.path().join("bin"), tmp.path().join("lib/strongroom"));
        install(&bin, &["strongroom"]);
        let client = bin.join("strongroom");
        let failure = Programs::near(client.clone()).unwrap_err();
        assert_eq!(failure.code, Code::InstallBroken);
        assert!(failure.message.contains("bin lacks strongroom-supervisor"), "{}", failure.message);

        install(&lib, &NAMES[..3]);
        let failure = Programs::near(client.clone()).unwrap_err();
        assert!(
            failure.message.ends_with("lib/strongroom lacks strongroom-worker"),
            "{}",
            failure.message
        );

        install(&lib, &NAMES);
        assert_eq!(Programs::near(client.clone()).unwrap().folder, lib);
        install(&bin, &NAMES);
        let programs = Programs::near(client).unwrap();
        assert_eq!(
            (programs.supervisor(), &programs.folder),
            (bin.join("strongroom-supervisor"), &bin)
        );

        assert_eq!(Programs::near(bin.join("strongroom")).unwrap().mcp, None);
        for folder in [&lib, &bin] {
            install(folder, &[MCP]);
            let programs = Programs::near(bin.join("strongroom")).unwrap();
            assert_eq!(programs.mcp, Some(folder.join(MCP)));
            assert!(programs.files().contains(&folder.join(MCP)), "looked after like the others");
        }

        fs::write(bin.join("strongroom-broker"), "").unwrap();
        assert_eq!(lacking(&bin), ["strongroom-broker"]);
        fs::set_permissions(bin.join("strongroom-worker"), fs::Permissions::from_mode(0o644))
            .unwrap();
        assert_eq!(lacking(&bin), ["strongroom-broker", "strongroom-worker"]);
    }
}
