//! Files beside the vault: new key files, backups.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use strongroom_protocol::codes::Code;
use strongroom_protocol::text::hex;
use strongroom_sys::random;
use strongroom_vault::limits::{MAX_FILE, MIN_KEY};
use zeroize::Zeroizing;

use super::at;
use crate::error::Failure;
use crate::facts::path_variable;
use crate::run;
use crate::state::idle::Idle;
use crate::workspace::Workspace;

/// A file that was made, whole and on the disk. It goes again with this,
/// unless it is kept.
pub struct NewFile {
    path: Option<PathBuf>,
}

impl NewFile {
    /// Makes it, for its owner alone. Nothing is overwritten.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn write(path: &Path, bytes: &[u8]) -> Result<Self, String> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = file.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => "it is there already, and is not overwritten".to_owned(),
            _ => e.to_string(),
        })?;
        let this = Self { path: Some(path.to_owned()) };
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::File::open(above.unwrap_or(Path::new(".")))?.sync_all())
            .map_err(|e| e.to_string())?;
        Ok(this)
    }

    /// Keeps it.
    pub fn keep(mut self) {
        self.path = None;
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = fs::remove_file(path);
        }
    }
}

/// A new key: 256 random bits as text, so that it survives every way a key
/// file may be carried.
///
/// # Errors
/// [`Code::Internal`].
pub fn random_key() -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new([0; MIN_KEY]);
    random::fill(&mut *bytes)
        .map_err(|e| Failure::new(Code::Internal, format!("random numbers: {}", e.desc())))?;
    Ok(Zeroizing::new(hex(&*bytes)))
}

/// Why a key file must not be made there.
pub fn unfit(path: &Path, state: &Path) -> Option<&'static str> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new(".")).canonicalize().ok()?;
    if above.starts_with(state) {
        return Some("it would lie beside what it opens: who copies the state folder has both");
    }
    let workspace = workspace()?;
    above.starts_with(workspace).then_some(
        "it would lie in the workspace, where commands read (`strongroom run` from here would \
         take this folder)",
    )
}

/// The workspace that `run` would take from here: the policy's, else the
/// current folder, but for one that somebody's home is in.
fn workspace() -> Option<PathBuf> {
    let policy = run::load(None).ok()?;
    let named = strongroom_policy::workspace_of(&policy);
    let is_named = named.is_some();
    let found = Workspace::find(None, named).ok()?.path;
    let home = path_variable("HOME").is_some_and(|home| home.starts_with(&found));
    (is_named || !home).then_some(found)
}

/// Reads a backup.
///
/// # Errors
/// What is wrong, in words.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    whole(file.map_err(|e| e.to_string())?)
}

/// Reads `vault.previous`.
///
/// # Errors
/// [`Code::NoVault`] where there is none, [`Code::StateUnusable`].
pub fn previous(idle: &Idle) -> Result<Vec<u8>, Failure> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let path = idle.path.join("broker/vault.previous");
    let file = openat(idle.broker(), "vault.previous", flags, Mode::empty()).map_err(|errno| {
        let code = if errno == strongroom_sys::Errno::ENOENT {
            Code::NoVault
        } else {
            Code::StateUnusable
        };
        Failure::new(code, at(&path, errno.desc()))
    })?;
    whole(file.into()).map_err(|why| Failure::new(Code::StateUnusable, at(&path, &why)))
}

fn whole(file: fs::File) -> Result<Vec<u8>, String> {
    if !file.metadata().map_err(|e| e.to_string())?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() > MAX_FILE { Err("it is longer than a vault".to_owned()) } else { Ok(bytes) }
}

/// The failure for a file the command line names.
pub fn refused(path: &Path, why: &str) -> Failure {
    Failure::new(Code::BadRequest, at(path, why)).hint("give another file")
}
