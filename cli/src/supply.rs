//! What a session is supplied with: the vault's key, and the credentials that
//! are found in this place. All of it is only found here, and read by a child
//! (see `intake`).

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use strongroom_policy::Loaded;
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::Plan;
use strongroom_protocol::types::CredentialName;

use crate::args::{self, credentials::Handed};
use crate::error::{Failure, shown};
use crate::facts::{self, path_variable, secret_like};
use crate::found::{Found, Source};
use crate::key::{self, CREDENTIALS_DIRECTORY};
use crate::place::barrier;
use crate::reach::{SHM, shares_memory, shown_by};

/// The vault's files in the state folder: it, and what it was before.
const VAULT: [&str; 2] = ["broker/vault", "broker/vault.previous"];

/// What the command line names, its descriptors taken over.
#[derive(Debug)]
pub struct Given {
    key: Option<key::Source>,
    handed: Vec<(CredentialName, OwnedFd, i32)>,
    folders: Vec<PathBuf>,
}

/// What was found.
#[derive(Debug)]
pub struct Supply {
    /// What opens the vault; `None`: there is none.
    pub key: Option<key::Source>,
    /// Credentials to take over.
    pub found: Found,
    /// Variables that look like secrets and are no credentials.
    pub secret_like: Vec<OsString>,
    /// Folders that were looked through.
    folders: Vec<PathBuf>,
}

impl Supply {
    /// Refuses what commands could read by themselves, so that keeping it
    /// from them would be in vain.
    ///
    /// # Errors
    /// [`Code::SecretInEnvironment`].
    pub fn out_of_reach(&self, plan: &Plan) -> Result<(), Failure> {
        let key = match &self.key {
            Some(key::Source::File(path)) => Some(path),
            _ => None,
        };
        for path in key.into_iter().chain(&self.folders) {
            let Ok(real) = path.canonicalize() else { continue };
            let memory = || shares_memory(plan).filter(|_| real.starts_with(SHM));
            let open = shown_by(plan, &real).or_else(|| memory().map(|p| (p, real.as_path())));
            if let Some((profile, open)) = open.filter(|(_, open)| readable(open, plan)) {
                return Err(Failure::new(
                    Code::SecretInEnvironment,
                    format!(
                        "{}: profile `{}` lets commands read {}",
                        shown(path),
                        profile.name.as_str(),
                        shown(open)
                    ),
                )
                .hint("keep secrets in a folder that no profile shows"));
            }
        }
        Ok(())
    }
}

/// Whether the sandbox user may read what is there, or change what lies in
/// the workspace.
fn readable(path: &Path, plan: &Plan) -> bool {
    let workspace = Path::new(std::ffi::OsStr::from_bytes(plan.workspace.as_bytes()));
    let Ok(way) = facts::way(path) else { return true };
    let open = way.split_last().is_some_and(|(last, above)| {
        last.open_to(plan.sandbox) && barrier(above, plan.sandbox).is_none()
    });
    open || path.starts_with(workspace)
}

impl Given {
    /// Takes over what the command line names.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for a descriptor that is not open or named twice.
    pub fn take(args: &args::Run) -> Result<Self, Failure> {
        let handed = args.handed.iter().map(|handed| handed.fd);
        key::distinct(handed.chain(args.key.descriptors()))?;
        let take =
            |handed: &Handed| Ok((handed.name.clone(), key::take_over(handed.fd)?, handed.fd));
        Ok(Self {
            key: key::given(&args.key)?,
            handed: args.handed.iter().map(take).collect::<Result<_, Failure>>()?,
            folders: args.folders.clone(),
        })
    }

    /// Finds everything else.
    ///
    /// # Errors
    /// [`Code::SecretInEnvironment`] where it is not clear what holds;
    /// [`Code::NoVault`], [`Code::VaultLocked`], [`Code::VaultDamaged`].
    pub fn find(self, loaded: &Loaded, state: &Path) -> Result<Supply, Failure> {
        let declared = |name: &CredentialName| declares(loaded, name.as_str().as_bytes());
        let mut found = Found::default();
        for (name, fd, number) in self.handed {
            if !declared(&name) {
                let name = name.as_str();
                return Err(Failure::new(
                    Code::SecretInEnvironment,
                    format!("--credential {name}: the policy has no [credential.{name}]"),
                ));
            }
            found.add(name, Source::Descriptor(fd, number))?;
        }
        let mut secrets = Vec::new();
        for (name, filled) in variables() {
            match CredentialName::new(name.as_bytes()).ok().filter(declared) {
                Some(credential) if filled => found.add(credential, Source::Variable(name))?,
                Some(credential) => found.notes.push(format!(
                    "credentials: the variable {} is empty and was left out",
                    credential.as_str()
                )),
                None if filled => secrets.push(name),
                None => {}
            }
        }
        let mut folders = self.folders;
        let usual = path_variable(CREDENTIALS_DIRECTORY).filter(|path| path.is_dir());
        folders.extend(usual.filter(|usual| !folders.iter().any(|f| same(f, usual))));
        for folder in &folders {
            found.add_folder(folder, &declared, "not in the policy")?;
        }
        let key = unlocking(self.key, state)?;
        let secret_like = secret_like(secrets);
        Ok(Supply { key, found, secret_like, folders })
    }
}

/// What opens the vault of a state folder, where there is one.
fn unlocking(given: Option<key::Source>, state: &Path) -> Result<Option<key::Source>, Failure> {
    let there = |name: &str| {
        let looked = state.join(name).symlink_metadata();
        !matches!(looked, Err(e) if e.kind() == std::io::ErrorKind::NotFound)
    };
    match VAULT.map(there) {
        [true, _] => key::find(given).map(Some),
        [false, true] => Err(Failure::new(
            Code::VaultDamaged,
            format!("{}: there is only vault.previous", shown(state)),
        )),
        [false, false] if given.is_some() => {
            Err(Failure::new(Code::NoVault, format!("{}, but a key was given", shown(state))))
        }
        [false, false] => Ok(None),
    }
}

/// The start's environment without the credentials in it, for the policy to
/// pass from.
pub fn environment(loaded: &Loaded) -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| !declares(loaded, name.as_bytes())).collect()
}

fn declares(loaded: &Loaded, name: &[u8]) -> bool {
    loaded.policy.credential.keys().any(|declared| declared.as_bytes() == name)
}

/// The names of the variables, and whether each has a value.
fn variables() -> Vec<(OsString, bool)> {
    std::env::vars_os().map(|(name, value)| (name, !value.is_empty())).collect()
}

fn same(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().is_some_and(|one| other.canonicalize().is_ok_and(|o| o == one))
}
