//! Opens the second place for the audit log's checkpoints, before anything
//! else runs. The recorder could not: it can open files in its own folder only.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open as open_file};
use nix::sys::stat::{Mode, SFlag, fstat};
use strongroom_policy::Witness;
use strongroom_protocol::codes::Code;

use crate::error::{Failure, shown};
use crate::facts;
use crate::place::{Who, soft_spot};

/// Our standard output, to be opened anew: so that it can be told not to block
/// without the agent's being told so too.
const STDOUT: &str = "/proc/self/fd/1";

/// Opens it, if there is to be one.
///
/// # Errors
/// [`Code::WitnessUnusable`].
pub fn open(
    witness: Option<Witness>,
    workspace: &Path,
    who: &Who,
) -> Result<Option<OwnedFd>, Failure> {
    let appending = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let flags = appending | OFlag::O_CLOEXEC;
    match witness {
        None => Ok(None),
        Some(Witness::Stdout) => open_file(STDOUT, flags, Mode::empty())
            .map(Some)
            .map_err(|errno| unusable(format!("standard output: {}", errno.desc()))),
        Some(Witness::File(path)) => {
            let path = apart(&path, workspace, who)?;
            let flags = flags | OFlag::O_CREAT | OFlag::O_NOFOLLOW;
            let file = open_file(&path, flags, Mode::S_IRUSR | Mode::S_IWUSR)
                .map_err(|errno| failed(&path, errno))?;
            let stat = fstat(&file).map_err(|errno| failed(&path, errno))?;
            let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
            // A named pipe is read by whoever takes checkpoints away.
            let usable = kind == SFlag::S_IFIFO || kind == SFlag::S_IFREG && stat.st_nlink == 1;
            if !usable || stat.st_mode & 0o022 != 0 {
                let why = "not a plain file or pipe, or others may write to it";
                return Err(unusable(format!("{}: {why}", shown(&path))));
            }
            Ok(Some(file))
        }
    }
}

/// The file with no link in the folders above; not where commands write.
fn apart(path: &Path, workspace: &Path, who: &Who) -> Result<PathBuf, Failure> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(unusable(format!("{}: not a file", shown(path))));
    };
    let above = above.canonicalize().map_err(|e| unusable(format!("{}: {e}", shown(above))))?;
    if above.starts_with(workspace) {
        return Err(unusable(format!("{}: commands write there", shown(path))));
    }
    let way = facts::way(&above).map_err(|e| unusable(format!("{}: {e}", shown(&above))))?;
    match soft_spot(&way, who.sandbox) {
        Some(step) if !who.shared() => Err(unusable(format!(
            "{}: uid {} could change {}",
            shown(path),
            who.sandbox.uid,
            shown(&step.path)
        ))),
        _ => Ok(above.join(name)),
    }
}

fn failed(path: &Path, errno: Errno) -> Failure {
    unusable(format!("{}: {}", shown(path), errno.desc()))
}

fn unusable(message: String) -> Failure {
    Failure::new(Code::WitnessUnusable, message)
}
