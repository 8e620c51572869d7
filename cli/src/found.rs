//! Credentials found in this place, which a session takes over: in folders of
//! secret files, in descriptors, in the start's environment. Here they are
//! only found; a child reads them (see `intake`).

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, fstat};
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_SECRET;
use strongroom_protocol::text::visible;
use strongroom_protocol::types::CredentialName;
use strongroom_sys::{Errno, fd};

use crate::error::{Failure, shown};
use crate::key;
use crate::secret::{self, Bytes};
use crate::tree;

/// Names shown of many.
const SHOWN: usize = 8;

/// The credential that a file of this name holds: `github-token`,
/// `GITHUB_TOKEN` and `github.token` are all GITHUB_TOKEN.
pub fn credential_of(file: &[u8]) -> Option<CredentialName> {
    let name = file.iter().map(|byte| match byte {
        b'-' | b'.' => b'_',
        other => other.to_ascii_uppercase(),
    });
    CredentialName::new(name.collect::<Vec<u8>>()).ok()
}

/// Where a value is.
#[derive(Debug)]
pub enum Source {
    /// In a file.
    File {
        /// The folder it is in; no link leads out of it.
        folder: Rc<OwnedFd>,
        /// Its name there.
        name: CString,
        /// The path, for people.
        path: String,
    },
    /// Behind a descriptor.
    Descriptor(OwnedFd, i32),
    /// In the environment.
    Variable(OsString),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, .. } => f.write_str(path),
            Self::Descriptor(_, number) => write!(f, "descriptor {number}"),
            Self::Variable(name) => write!(f, "the variable {}", visible(name.as_bytes())),
        }
    }
}

impl Source {
    /// Reads the value. A line end after a single line is no part of it, but
    /// in a variable, where nothing adds one.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(&self) -> Result<Bytes, String> {
        let mut bytes = match self {
            Self::File { folder, name, .. } => {
                let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
                let file = fd::open_beneath(folder.as_fd(), name, flags, true)
                    .map_err(|e| e.desc().to_owned())?;
                secret::read_all(file, MAX_SECRET)
            }
            Self::Descriptor(from, _) => secret::read_all(from, MAX_SECRET),
            Self::Variable(name) => {
                let value = std::env::var_os(name).unwrap_or_default();
                let value = Bytes::new(std::os::unix::ffi::OsStringExt::into_vec(value));
                return if value.len() > MAX_SECRET {
                    Err("too long".to_owned())
                } else {
                    Ok(value)
                };
            }
        }
        .map_err(|e| e.to_string())?;
        secret::drop_line_end(&mut bytes);
        Ok(bytes)
    }
}

/// What was found, and what is to be said about it.
#[derive(Debug, Default)]
pub struct Found {
    /// Each credential once, in the order of their names.
    pub list: BTreeMap<CredentialName, Source>,
    /// What an operator must not miss.
    pub notes: Vec<String>,
}

impl Found {
    /// Adds one.
    ///
    /// # Errors
    /// [`Code::SecretInEnvironment`] where there is one of that name: nobody
    /// could tell which holds.
    pub fn add(&mut self, name: CredentialName, source: Source) -> Result<(), Failure> {
        match self.list.get(&name) {
            Some(other) => Err(Failure::new(
                Code::SecretInEnvironment,
                format!("{}: it is in {other} and in {source}", name.as_str()),
            )
            .hint("take one of them away")),
            None => {
                self.list.insert(name, source);
                Ok(())
            }
        }
    }

    /// Adds the files of a folder whose names `wanted` takes; says which were
    /// left alone, as `left` calls them.
    ///
    /// # Errors
    /// [`Code::SecretInEnvironment`] where the folder cannot be read or two
    /// files of it hold the same credential.
    pub fn add_folder(
        &mut self,
        path: &Path,
        wanted: &dyn Fn(&CredentialName) -> bool,
        left: &str,
    ) -> Result<(), Failure> {
        let unusable = |e: Errno| {
            Failure::new(Code::SecretInEnvironment, format!("{}: {}", shown(path), e.desc()))
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = Rc::new(nix::fcntl::open(path, flags, Mode::empty()).map_err(unusable)?);
        let mut names: Vec<CString> = files(&folder).map_err(unusable)?;
        names.sort();
        let mut alone = Vec::new();
        for name in names {
            match credential_of(name.as_bytes()).filter(wanted) {
                Some(credential) => {
                    let path = shown(&path.join(std::ffi::OsStr::from_bytes(name.as_bytes())));
                    self.add(credential, Source::File { folder: Rc::clone(&folder), name, path })?;
                }
                None => alone.push(visible(name.as_bytes())),
            }
        }
        self.notes.extend(left_alone(path, left, &alone));
        Ok(())
    }
}

fn left_alone(folder: &Path, left: &str, names: &[String]) -> Option<String> {
    let some = some_of(names)?;
    Some(format!("credentials: {}: {left}, left alone: {some}", shown(folder)))
}

/// The first few of some names, and how many more there are.
pub fn some_of(names: &[String]) -> Option<String> {
    let some = names.get(..SHOWN).unwrap_or(names).join(", ");
    match names.len() {
        0 => None,
        count if count > SHOWN => Some(format!("{some} and {} more", count - SHOWN)),
        _ => Some(some),
    }
}

/// The files of a folder of secrets. Names that start with `..` are how
/// Kubernetes exchanges all of them at once; folders hold something else; the
/// vault's key is no credential.
fn files(folder: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let names = tree::names(folder.as_fd())?.into_iter().map(|(name, _)| name);
    let mut files = Vec::new();
    for name in names {
        let skipped = name.as_bytes().starts_with(b"..") || name.as_bytes() == key::FILE.as_bytes();
        if !skipped && is_file(folder, &name)? {
            files.push(name);
        }
    }
    Ok(files)
}

/// Whether it is a file, a link within the folder followed. `false` for a
/// link that leads out of it or nowhere.
fn is_file(folder: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
    match fd::open_beneath(folder.as_fd(), name, OFlag::O_PATH, true) {
        Ok(file) => {
            let mode = SFlag::from_bits_truncate(fstat(&file)?.st_mode);
            Ok(mode & SFlag::S_IFMT == SFlag::S_IFREG)
        }
        Err(Errno::EXDEV | Errno::ENOENT | Errno::ELOOP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
#[path = "found_tests.rs"]
mod tests;
