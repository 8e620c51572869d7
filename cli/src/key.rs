//! What opens the vault: where it comes from, and reading it.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use strongroom_protocol::codes::Code;
use strongroom_protocol::intake::Key;
use strongroom_protocol::types::SecretValue;
use strongroom_sys::{Errno, fd};

use crate::args;
use crate::error::{Failure, shown};
use crate::facts::path_variable;
use crate::prompt;
use crate::secret::{self, Bytes};

/// Bytes read of a key file or passphrase at most.
const MAX_KEY: usize = strongroom_vault::limits::MAX_KEY;

/// The key file's name where a service manager or container runtime brings
/// it.
pub const FILE: &str = "strongroom-vault-key";

/// Where systemd puts a service's credentials (systemd.exec(5)).
pub const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Where container runtimes put secrets.
const RUN_SECRETS: &str = "/run/secrets";

/// Where a key comes from.
#[derive(Debug)]
pub enum Source {
    /// A key file.
    File(PathBuf),
    /// A key file's content, through a descriptor.
    Descriptor(OwnedFd),
    /// A passphrase, through a descriptor.
    Passphrase(OwnedFd),
    /// A passphrase, typed.
    Terminal,
}

/// Takes over what the command line names. To be done before anything else
/// opens a file, which could get the number of a descriptor that is not there.
///
/// # Errors
/// As [`take_over`].
pub fn given(args: &args::vault::Key) -> Result<Option<Source>, Failure> {
    Ok(match (&args.file, args.key_fd, args.passphrase_fd) {
        (Some(file), _, _) => Some(Source::File(file.clone())),
        (_, Some(number), _) => Some(Source::Descriptor(take_over(number)?)),
        (_, _, Some(number)) => Some(Source::Passphrase(take_over(number)?)),
        (None, None, None) => None,
    })
}

/// Refuses a descriptor that is named twice: the second would find it empty.
///
/// # Errors
/// [`Code::BadRequest`].
pub fn distinct(numbers: impl Iterator<Item = i32>) -> Result<(), Failure> {
    let mut seen = std::collections::BTreeSet::new();
    for number in numbers {
        if !seen.insert(number) {
            let message = format!("descriptor {number} is named twice");
            return Err(Failure::new(Code::BadRequest, message));
        }
    }
    Ok(())
}

/// A descriptor the command line names; standard input is shared, not taken.
///
/// # Errors
/// [`Code::BadRequest`] when it is not open.
pub fn take_over(number: i32) -> Result<OwnedFd, Failure> {
    let [stdin, ..] = fd::standard();
    let taken = match number {
        0 => stdin.try_clone_to_owned().map_err(|_| Errno::EBADF),
        _ => fd::inherited(number),
    };
    taken.map_err(|errno| {
        Failure::new(Code::BadRequest, format!("descriptor {number}: {}", errno.desc()))
            .hint("open it: 5<FILE")
    })
}

/// The place looked at for a key that nobody named.
pub struct Surroundings<'a> {
    /// `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<&'a Path>,
    /// Whether a file is there.
    pub there: &'a dyn Fn(&Path) -> bool,
    /// Somebody sits at a terminal.
    pub terminal: bool,
}

/// What opens the vault where the command line says nothing.
///
/// # Errors
/// [`Code::VaultLocked`] where there is nothing.
pub fn usual(around: &Surroundings<'_>) -> Result<Source, Failure> {
    let folders = [around.credentials, Some(Path::new(RUN_SECRETS))];
    let files = folders.into_iter().flatten().map(|folder| folder.join(FILE));
    if let Some(file) = files.into_iter().find(|file| (around.there)(file)) {
        return Ok(Source::File(file));
    }
    if around.terminal {
        return Ok(Source::Terminal);
    }
    Err(Failure::new(Code::VaultLocked, "no key was given, and there is no terminal to ask on")
        .hint("give --vault-key FILE, --vault-key-fd N or --vault-passphrase-fd N"))
}

/// What opens the vault: what was given, else the usual.
///
/// # Errors
/// As [`usual`].
pub fn find(given: Option<Source>) -> Result<Source, Failure> {
    use std::io::IsTerminal as _;
    if let Some(source) = given {
        return Ok(source);
    }
    usual(&Surroundings {
        credentials: path_variable(CREDENTIALS_DIRECTORY).as_deref(),
        // What cannot be looked at is there: reading it says why not.
        there: &|file| !matches!(file.symlink_metadata(), Err(e) if absent(&e)),
        terminal: std::io::stdin().is_terminal() || std::io::stderr().is_terminal(),
    })
}

fn absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

impl Source {
    /// Reads the key. Every byte of a key file counts, since it may be random
    /// bytes; a passphrase ends where its line ends.
    ///
    /// # Errors
    /// [`Code::VaultLocked`] with what was wrong.
    pub fn read(&self) -> Result<Key, Failure> {
        let locked = |what: String| Failure::new(Code::VaultLocked, what);
        let (what, bytes) = match self {
            Self::Terminal => {
                let typed = prompt::ask("Passphrase of the vault");
                return Ok(Key::Passphrase(value(typed.map_err(|e| locked(e.to_string()))?)?));
            }
            Self::File(path) => (shown(path), open(path).and_then(|file| content(&file))),
            Self::Descriptor(from) => ("the key's descriptor".to_owned(), content(from)),
            Self::Passphrase(from) => ("the passphrase's descriptor".to_owned(), content(from)),
        };
        let mut bytes = bytes.map_err(|why| locked(format!("{what}: {why}")))?;
        if matches!(self, Self::Passphrase(_)) {
            secret::drop_line_end(&mut bytes);
        }
        if bytes.is_empty() {
            return Err(locked(format!("{what} is empty")));
        }
        Ok(match self {
            Self::Passphrase(_) => Key::Passphrase(value(bytes)?),
            _ => Key::File(value(bytes)?),
        })
    }
}

/// Opens a file of the operator's to read it; no FIFO is waited for.
fn open(path: &Path) -> Result<OwnedFd, String> {
    let flags = nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file = file.map_err(|e| e.to_string())?;
    match file.metadata() {
        Ok(meta) if meta.is_file() => Ok(file.into()),
        Ok(_) => Err("it is not a file".to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

fn content(from: &impl AsFd) -> Result<Bytes, String> {
    secret::read_all(from, MAX_KEY).map_err(|e| e.to_string())
}

fn value(mut bytes: Bytes) -> Result<SecretValue, Failure> {
    SecretValue::new(std::mem::take(&mut *bytes))
        .map_err(|_| Failure::new(Code::VaultLocked, "the key is too long"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn chosen(credentials: Option<&str>, there: &[&str], terminal: bool) -> Result<String, Code> {
        let source = usual(&Surroundings {
            credentials: credentials.map(Path::new),
            there: &|file| there.iter().any(|path| Path::new(path) == file),
            terminal,
        });
        source.map_err(|failure| failure.code).map(|source| match source {
            Source::File(path) => path.display().to_string(),
            Source::Terminal => "terminal".to_owned(),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn the_usual_places_in_their_order() {
        let (systemd, docker) =
            ("/run/c/strongroom-vault-key", "/run/secrets/strongroom-vault-key");
        for (credentials, there, terminal, want) in [
            (Some("/run/c"), &[systemd, docker][..], true, Ok(systemd)),
            (Some("/run/c"), &[docker], true, Ok(docker)),
            (None, &[systemd, docker], true, Ok(docker)),
            (None, &[systemd], true, Ok("terminal")),
            (Some("/run/c"), &[], false, Err(Code::VaultLocked)),
            (None, &[], false, Err(Code::VaultLocked)),
        ] {
            let got = chosen(credentials, there, terminal);
            assert_eq!(got.as_deref().map_err(|c| *c), want, "{credentials:?} {there:?}");
        }
    }

    #[test]
    fn a_key_file_is_read_whole_and_bounded() {
        let tmp = tempfile::tempdir().unwrap();
        let read = |content: &[u8]| {
            let path = tmp.path().join("key");
            std::fs::write(&path, content).unwrap();
            Source::File(path).read().map_err(|failure| (failure.code, failure.message))
        };
        let Ok(Key::File(key)) = read(b"line\n") else { panic!() };
        assert_eq!(key.as_bytes(), b"line\n", "every byte counts");
        for (content, what) in [(vec![], "is empty"), (vec![1; MAX_KEY + 1], "too long")] {
            let (code, message) = read(&content).unwrap_err();
            assert_eq!(code, Code::VaultLocked);
            assert!(message.contains(what), "{message}");
        }
        for (path, what) in [("/dev/null", "not a file"), ("/", "not a file"), ("/x", "No such")] {
            let failure = Source::File(path.into()).read().unwrap_err();
            assert!(failure.message.contains(what), "{}", failure.message);
        }
    }

    #[test]
    fn a_passphrase_through_a_descriptor() {
        let (from, to) = fd::pipe().unwrap();
        std::fs::File::from(to).write_all(b"correct horse\n").unwrap();
        let Ok(Key::Passphrase(passphrase)) = Source::Passphrase(from).read() else { panic!() };
        assert_eq!(passphrase.as_bytes(), b"correct horse");
    }
}
