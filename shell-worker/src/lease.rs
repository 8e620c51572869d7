//! The sealed files of one command: taken from the broker piece by piece, put
//! into the folder of leases whole, and removed when the command and all it
//! left have ended.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::write;
use strongroom_jail::leases::{Held, hold, release};
use strongroom_jail::{At, Step, paths};
use strongroom_protocol::limits::{MAX_CONTENT, MAX_LEASED, MAX_LEASES};
use strongroom_protocol::stage::Stage;
use strongroom_protocol::types::{FileName, LeaseId};
use strongroom_sys::{Errno, landlock};

use crate::setup::Jail;
use crate::worker::broken;

/// All leases of one command. When it is dropped they are gone.
pub struct Leases<'j> {
    /// `None`: this jail has none.
    root: Option<BorrowedFd<'j>>,
    /// Distinguishes what this worker is writing from what others are.
    slot: u64,
    /// Bytes that a file may have; 0: no bound.
    file_size: u64,
    held: Vec<Lease>,
    total: usize,
    coming: Option<Coming>,
    /// Why there will be no command. The rest is still heard: the broker
    /// speaks until it has said all, and then listens.
    failed: Option<Errno>,
}

/// One lease, written or being written.
struct Lease {
    id: LeaseId,
    name: CString,
    held: Held,
}

/// The file whose bytes come next; `None` once something failed.
struct Coming {
    left: usize,
    file: Option<(OwnedFd, CString)>,
}

impl<'j> Leases<'j> {
    /// None yet.
    pub fn new(jail: &'j Jail, slot: u64, file_size: u64) -> Self {
        Self {
            root: jail.leases.as_ref().map(AsFd::as_fd),
            slot,
            file_size,
            held: Vec::new(),
            total: 0,
            coming: None,
            failed: None,
        }
    }

    /// The next file begins.
    ///
    /// # Errors
    /// `EPROTO` when it may not: the last one is not whole, there are too
    /// many, it is too long, or there already.
    pub fn begin(&mut self, id: LeaseId, name: &FileName, size: u32) -> Step<()> {
        let known = self.held.iter().any(|lease| lease.id == id);
        let full = self.held.len() >= MAX_LEASES || size as usize > MAX_CONTENT;
        if self.coming.is_some() || known || full {
            return Err(broken());
        }
        self.total += size as usize;
        let created = match self.failed {
            None => self.create(id, name, size),
            Some(errno) => Err(errno),
        };
        let file = self.note(created);
        self.coming = Some(Coming { left: size as usize, file });
        self.whole();
        Ok(())
    }

    /// The next bytes of the file.
    ///
    /// # Errors
    /// `EPROTO` when there are more than it was said to have.
    pub fn add(&mut self, bytes: &[u8]) -> Step<()> {
        let coming = self.coming.as_mut().ok_or_else(broken)?;
        coming.left = coming.left.checked_sub(bytes.len()).ok_or_else(broken)?;
        if let (None, Some((file, _))) = (self.failed, &coming.file) {
            let written = write_all(file.as_fd(), bytes);
            self.note(written);
        }
        self.whole();
        Ok(())
    }

    /// Nothing more of a file is to come.
    pub fn are_whole(&self) -> bool {
        self.coming.is_none()
    }

    /// Lets the command, which enters this ruleset, read them.
    ///
    /// # Errors
    /// [`Stage::Lease`], also when one could not be written.
    pub fn grant(&self, ruleset: BorrowedFd<'_>) -> Step<()> {
        self.failed.map_or(Ok(()), Err).at(Stage::Lease)?;
        let mut folders = self.held.iter().map(|lease| lease.held.as_fd());
        folders.try_for_each(|f| landlock::allow_reading(ruleset, f)).at(Stage::Lease)
    }

    /// Puts the file under its name once its last byte is there.
    fn whole(&mut self) {
        let Some(Coming { file, .. }) = self.coming.take_if(|coming| coming.left == 0) else {
            return;
        };
        if let (None, Some((_, temporary)), Some(lease)) = (self.failed, file, self.held.last()) {
            let folder = lease.held.as_fd();
            let put = renameat(folder, &*temporary, folder, &*lease.name);
            self.note(put);
        }
    }

    fn note<T>(&mut self, result: Result<T, Errno>) -> Option<T> {
        result.map_err(|errno| self.failed.get_or_insert(errno)).ok()
    }

    fn create(
        &mut self,
        id: LeaseId,
        name: &FileName,
        size: u32,
    ) -> Result<(OwnedFd, CString), Errno> {
        let root = self.root.ok_or(Errno::ENOENT)?;
        let too_long = self.file_size != 0 && u64::from(size) > self.file_size;
        if self.total > MAX_LEASED || too_long {
            return Err(Errno::EFBIG);
        }
        let held = hold(root, id)?;
        let temporary = temporary(name, self.slot);
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let file = openat(held.as_fd(), &*temporary, flags, Mode::S_IRUSR);
        // Even without a file its folder is ours to remove.
        self.held.push(Lease { id, name: paths::c_string(name.as_bytes()), held });
        Ok((file?, temporary))
    }
}

impl Drop for Leases<'_> {
    fn drop(&mut self) {
        for lease in self.held.drain(..) {
            if let Some(root) = self.root {
                release(root, lease.held, &lease.name);
            }
        }
    }
}

/// A name that no worker writing this lease uses, and that is not the file's.
fn temporary(name: &FileName, slot: u64) -> CString {
    let dot = if name.as_bytes().starts_with(b".") { "" } else { "." };
    paths::c_string(format!("{dot}new-{slot}").as_bytes())
}

/// Writes all of it.
///
/// # Errors
/// errno of write(2).
pub fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(file, bytes) {
            Ok(0) => return Err(Errno::EIO),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use strongroom_protocol::stage::StageError;

    use super::*;

    fn leases(folder: &OwnedFd, file_size: u64) -> Leases<'_> {
        Leases {
            root: Some(folder.as_fd()),
            slot: 7,
            file_size,
            held: Vec::new(),
            total: 0,
            coming: None,
            failed: None,
        }
    }

    fn folder() -> (tempfile::TempDir, OwnedFd) {
        let folder = tempfile::tempdir().unwrap();
        let fd = OwnedFd::from(fs::File::open(folder.path()).unwrap());
        (folder, fd)
    }

    fn name(text: &str) -> FileName {
        FileName::new(text).unwrap()
    }

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_is_there_whole_and_then_gone() {
        let (folder, fd) = folder();
        let file = folder.path().join("00000001/.env");
        let mut leases = leases(&fd, 0);
        leases.begin(LeaseId(1), &name(".env"), 6).unwrap();
        leases.add(b"KEY").unwrap();
        assert!(!leases.are_whole() && !file.exists());
        leases.add(b"=ab").unwrap();
        assert!(leases.are_whole());
        assert_eq!(fs::read(&file).unwrap(), b"KEY=ab");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o400);
        assert_eq!(entries(&folder.path().join("00000001")), 1);
        leases.begin(LeaseId(2), &name(".new-7"), 0).unwrap();
        leases.begin(LeaseId(3), &name("new-7"), 1).unwrap();
        leases.add(b"x").unwrap();
        assert!(folder.path().join("00000002/.new-7").exists());
        assert!(folder.path().join("00000003/new-7").exists());
        assert!(leases.failed.is_none());
        drop(leases);
        assert_eq!(entries(folder.path()), 0);
    }

    #[test]
    fn sizes_must_add_up() {
        let (folder, fd) = folder();
        let mut list = leases(&fd, 0);
        assert_eq!(list.add(b""), Err(broken()));
        list.begin(LeaseId(1), &name("a"), 3).unwrap();
        assert_eq!(list.begin(LeaseId(2), &name("b"), 1), Err(broken()));
        assert_eq!(list.add(b"long"), Err(broken()));
        drop(list);
        let mut list = leases(&fd, 0);
        list.begin(LeaseId(1), &name("a"), 0).unwrap();
        assert_eq!(list.begin(LeaseId(1), &name("a"), 0), Err(broken()));
        let big = u32::try_from(MAX_CONTENT + 1).unwrap();
        assert_eq!(list.begin(LeaseId(2), &name("b"), big), Err(broken()));
        for id in 2..=MAX_LEASES as u32 {
            list.begin(LeaseId(id), &name("a"), 0).unwrap();
        }
        assert_eq!(list.begin(LeaseId(999), &name("a"), 0), Err(broken()));
        drop(list);
        assert_eq!(entries(folder.path()), 0);
    }

    /// What fails is told at the end; until then the rest is taken and
    /// forgotten.
    #[test]
    fn a_failure_is_kept_for_the_launch() {
        let (folder, fd) = folder();
        let failed = |errno| Err(StageError { stage: Stage::Lease, errno: errno as i32 });
        let mut list = leases(&fd, 4);
        list.begin(LeaseId(1), &name("a"), 1).unwrap();
        list.add(b"x").unwrap();
        list.begin(LeaseId(2), &name("b"), 5).unwrap();
        list.add(b"five!").unwrap();
        list.begin(LeaseId(3), &name("c"), 1).unwrap();
        list.add(b"x").unwrap();
        assert!(list.are_whole());
        assert_eq!(list.grant(fd.as_fd()), failed(Errno::EFBIG));
        assert_eq!(entries(folder.path()), 1);
        drop(list);
        assert_eq!(entries(folder.path()), 0);

        let mut list = leases(&fd, 0);
        list.total = MAX_LEASED;
        list.begin(LeaseId(1), &name("a"), 1).unwrap();
        list.add(b"x").unwrap();
        assert_eq!(list.grant(fd.as_fd()), failed(Errno::EFBIG));
        drop(list);

        let mut list = leases(&fd, 0);
        list.root = None;
        list.begin(LeaseId(1), &name("a"), 0).unwrap();
        assert_eq!(list.grant(fd.as_fd()), failed(Errno::ENOENT));
    }

    #[test]
    fn half_a_file_is_removed() {
        let (folder, fd) = folder();
        let mut list = leases(&fd, 0);
        list.begin(LeaseId(1), &name("a"), 3).unwrap();
        list.add(b"x").unwrap();
        assert_eq!(entries(&folder.path().join("00000001")), 1);
        drop(list);
        assert_eq!(entries(folder.path()), 0);
    }
}
