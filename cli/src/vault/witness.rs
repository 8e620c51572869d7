//! What the audit log has seen of vault files, for those who put an older one
//! back on purpose. The recorder writes this file, in its own folder: a line
//! for each vault, its random name in hex and the latest generation. A third
//! word, the generation that was the latest before, has it put that on record.

use std::io::{Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::path::Path;

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, geteuid, unlinkat};
use strongroom_protocol::codes::Code;
use strongroom_protocol::text::hex;
use strongroom_sys::Errno;
use strongroom_vault::Id;

use super::at;
use crate::error::Failure;

const FILE: &str = "vaults";

const NEW_FILE: &str = "vaults.new";

/// Bytes of the longest file that is read, as the recorder has it.
const MAX_FILE: u64 = 128 * 1024;

/// The latest generation of a vault that was seen; 0: none.
///
/// # Errors
/// errno; `EBADMSG` when it is not such a file.
pub fn seen(log: BorrowedFd<'_>, vault: Id) -> Result<u64, Errno> {
    let text = read(log)?;
    let line = text.lines().find_map(|line| line.strip_prefix(&start(vault)));
    let latest = line.map(|line| line.split_once(' ').map_or(line, |(latest, _)| latest));
    latest.map_or(Ok(0), |latest| latest.parse().map_err(|_| Errno::EBADMSG))
}

/// From now on this generation is the latest that was seen of the vault.
///
/// # Errors
/// As [`seen`].
pub fn accept(log: BorrowedFd<'_>, vault: Id, generation: u64) -> Result<(), Errno> {
    if seen(log, vault)? <= generation {
        return Ok(());
    }
    let start = start(vault);
    let text: String = read(log)?
        .lines()
        .map(|line| match line.strip_prefix(&start) {
            // What the log has seen is the last word, whichever there are.
            Some(seen) => {
                let before = seen.rsplit_once(' ').map_or(seen, |(_, before)| before);
                format!("{start}{generation} {before}\n")
            }
            None => format!("{line}\n"),
        })
        .collect();
    write(log, text.as_bytes())
}

fn start(vault: Id) -> String {
    format!("{} ", hex(vault.as_bytes()))
}

fn read(log: BorrowedFd<'_>) -> Result<String, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match openat(log, FILE, flags, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(String::new()),
        file => std::fs::File::from(file?),
    };
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|_| Errno::EBADMSG)?;
    Ok(text)
}

fn write(log: BorrowedFd<'_>, text: &[u8]) -> Result<(), Errno> {
    match unlinkat(log, NEW_FILE, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let file = openat(log, NEW_FILE, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let owner = fstat(log)?;
    if owner.st_uid != geteuid().as_raw() {
        fchown(&file, Some(Uid::from_raw(owner.st_uid)), Some(Gid::from_raw(owner.st_gid)))?;
    }
    let mut file = std::fs::File::from(file);
    file.write_all(text)
        .and_then(|()| file.sync_all())
        .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(Errno::EIO as i32)))?;
    renameat(log, NEW_FILE, log, FILE)?;
    fsync(log)
}

/// The failure for a folder that does not let itself be read or written.
pub fn unusable(state: &Path, errno: Errno) -> Failure {
    let path = state.join("log").join(FILE);
    Failure::new(Code::StateUnusable, at(&path, errno.desc()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn only_the_one_vault_and_only_downwards() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = std::fs::File::open(tmp.path()).unwrap();
        let log = folder.as_fd();
        let path = tmp.path().join(FILE);
        let (one, two) = (Id::new([0x11; 16]), Id::new([0x22; 16]));
        assert_eq!(seen(log, one), Ok(0));
        assert_eq!(accept(log, one, 3), Ok(()));
        assert!(!path.exists(), "nothing was seen, so there is nothing to accept");

        let lines = |a: u64, b: u64| format!("{} {a}\n{} {b}\n", "11".repeat(16), "22".repeat(16));
        std::fs::write(&path, lines(9, 5)).unwrap();
        assert_eq!((seen(log, one), seen(log, two)), (Ok(9), Ok(5)));
        accept(log, one, 9).unwrap();
        accept(log, two, 7).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), lines(9, 5));
        accept(log, one, 4).unwrap();
        let accepted = |generation: u64| lines(9, 5).replacen(" 9", &format!(" {generation} 9"), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), accepted(4));
        assert_eq!(seen(log, one), Ok(4));
        accept(log, one, 3).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), accepted(3));

        std::fs::write(&path, format!("{} x\n", "11".repeat(16))).unwrap();
        assert_eq!(accept(log, one, 1), Err(Errno::EBADMSG));
    }
}
