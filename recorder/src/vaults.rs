//! What the log has seen of vault files: the latest generation of each. An
//! older file put back is noticed here, in a folder that who can write vaults
//! cannot write.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, fdatasync, fsync, read, unlinkat, write};
use strongroom_protocol::text::hex;
use strongroom_sys::Errno;

/// The file's name in the recorder's folder: one line for each vault, its
/// random name in hex and the latest generation. `strongroom vault accept`
/// writes a third word: the generation that was the latest before.
pub const FILE: &str = "vaults";

const NEW_FILE: &str = "vaults.new";

/// Bytes of the longest file that is read: two thousand vaults.
const MAX_FILE: usize = 128 * 1024;

/// A vault file as the broker opened or wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// The vault's random name.
    pub vault: [u8; 16],
    /// Its generation.
    pub generation: u64,
}

/// An older vault file that the operator took as it is, before this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The vault, and the generation that is the latest from now on.
    pub now: Sight,
    /// The one that was.
    pub before: u64,
}

/// The latest generation of each vault.
#[derive(Debug)]
pub struct Vaults {
    folder: OwnedFd,
    latest: BTreeMap<[u8; 16], u64>,
    accepted: Vec<Accepted>,
}

impl Vaults {
    /// Reads the file in `folder`, if there is one.
    ///
    /// # Errors
    /// errno; `EBADMSG` when it is not such a file.
    pub fn open(folder: BorrowedFd<'_>) -> Result<Self, Errno> {
        let text = match openat(
            folder,
            FILE,
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::empty(),
        ) {
            Ok(file) => read_whole(&file)?,
            Err(Errno::ENOENT) => Vec::new(),
            Err(e) => return Err(e),
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = openat(folder, ".", flags, Mode::empty())?;
        let lines = parse(&text).ok_or(Errno::EBADMSG)?;
        let latest = lines.iter().map(|(now, _)| (now.vault, now.generation)).collect();
        let accepted = lines
            .iter()
            .filter_map(|(now, before)| before.map(|before| Accepted { now: *now, before }));
        Ok(Self { folder, latest, accepted: accepted.collect() })
    }

    /// What the operator took as it is, and no record says so yet.
    #[must_use]
    pub fn accepted(&self) -> &[Accepted] {
        &self.accepted
    }

    /// It is on record, on the disk. A crash before this writes it once more.
    ///
    /// # Errors
    /// errno of the disk.
    pub fn recorded(&mut self) -> Result<(), Errno> {
        self.accepted.clear();
        self.write()
    }

    /// Notes what was seen, on the disk, before the record of it is
    /// acknowledged.
    ///
    /// # Errors
    /// `ESTALE` for a generation older than one seen before; errno of the
    /// disk.
    pub fn see(&mut self, sight: Sight) -> Result<(), Errno> {
        let before = self.latest.get(&sight.vault).copied();
        if before.is_some_and(|latest| sight.generation < latest) {
            return Err(Errno::ESTALE);
        }
        if before == Some(sight.generation) {
            return Ok(());
        }
        self.latest.insert(sight.vault, sight.generation);
        self.write()
    }

    fn write(&self) -> Result<(), Errno> {
        let folder = self.folder.as_fd();
        match unlinkat(folder, NEW_FILE, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(e) => return Err(e),
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(folder, NEW_FILE, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let text: String = self
            .latest
            .iter()
            .map(|(vault, latest)| format!("{} {latest}\n", hex(vault)))
            .collect();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match write(&file, rest) {
                Ok(0) => return Err(Errno::EIO),
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
        fdatasync(&file)?;
        renameat(folder, NEW_FILE, folder, FILE)?;
        fsync(folder)
    }
}

fn read_whole(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut text = vec![0; MAX_FILE];
    let mut filled = 0;
    while let Some(rest) = text.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read(file, rest) {
            Ok(0) => {
                text.truncate(filled);
                return Ok(text);
            }
            Ok(n) => filled += n,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
    Err(Errno::EFBIG)
}

fn parse(text: &[u8]) -> Option<Vec<(Sight, Option<u64>)>> {
    std::str::from_utf8(text).ok()?.lines().map(line).collect()
}

fn line(line: &str) -> Option<(Sight, Option<u64>)> {
    let mut words = line.split(' ');
    let vault = words.next().filter(|vault| vault.len() == 32)?;
    let vault = u128::from_str_radix(vault, 16).ok()?.to_be_bytes();
    let generation = words.next()?.parse().ok()?;
    let before = words.next().map(str::parse).transpose().ok()?;
    words.next().is_none().then_some((Sight { vault, generation }, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(place: &tempfile::TempDir) -> OwnedFd {
        nix::fcntl::open(place.path(), OFlag::O_RDONLY, Mode::empty()).unwrap()
    }

    fn sight(vault: u8, generation: u64) -> Sight {
        Sight { vault: [vault; 16], generation }
    }

    #[test]
    fn an_older_one_is_noticed_also_by_the_next_recorder() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(&place);
        let mut vaults = Vaults::open(folder.as_fd()).unwrap();
        for (vault, generation) in [(1, 3), (2, 9), (1, 4), (1, 4)] {
            assert_eq!(vaults.see(sight(vault, generation)), Ok(()));
        }
        assert_eq!(vaults.see(sight(1, 3)), Err(Errno::ESTALE));
        let mut next = Vaults::open(folder.as_fd()).unwrap();
        assert_eq!(next.see(sight(1, 3)), Err(Errno::ESTALE));
        assert_eq!(next.see(sight(2, 9)), Ok(()));
        assert_eq!(next.see(sight(3, 1)), Ok(()));
    }

    #[test]
    fn one_that_was_accepted_is_told_until_it_is_recorded() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(&place);
        let (one, two) = ("01".repeat(16), "02".repeat(16));
        let file = place.path().join(FILE);
        std::fs::write(&file, format!("{one} 3 7\n{two} 9\n")).unwrap();
        let mut vaults = Vaults::open(folder.as_fd()).unwrap();
        assert_eq!(vaults.accepted(), [Accepted { now: sight(1, 3), before: 7 }]);
        assert_eq!(Vaults::open(folder.as_fd()).unwrap().accepted().len(), 1);
        assert_eq!(vaults.recorded(), Ok(()));
        assert_eq!(vaults.accepted(), []);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{one} 3\n{two} 9\n"));
        assert_eq!(vaults.see(sight(1, 2)), Err(Errno::ESTALE));
        assert_eq!(vaults.see(sight(1, 3)), Ok(()));
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let vault = "0".repeat(32);
        let more = |rest: &str| format!("{vault} {rest}\n");
        for text in ["x", "00 1\n", &"0".repeat(33), &more("-1"), &more("1 x"), &more("1 2 3")] {
            let place = tempfile::tempdir().unwrap();
            std::fs::write(place.path().join(FILE), text).unwrap();
            assert_eq!(Vaults::open(folder(&place).as_fd()).unwrap_err(), Errno::EBADMSG, "{text}");
        }
    }
}
