//! Memory for secrets: one mapping, made at start, that holds all of them.
//!
//! One arena and not one mapping for each secret, because locked memory is
//! counted by the page and its limit is small. Best is memfd_secret(2): pages
//! that the kernel itself does not map, so that neither another process nor a
//! kernel bug that reads memory finds them. Where there is none, locked pages
//! (mlock2(2)) that no core file and no child gets; where the limit on locked
//! memory is too small, the same without the lock. [`Arena::backend`] says
//! which, and the caller tells the operator.
//!
//! Making an arena takes system calls that a locked-down process no longer
//! has; using it takes none.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut, Range};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::rc::Rc;

use zeroize::Zeroize as _;

use crate::{Errno, Result, check};

/// What an arena is allotted in: the alignment malloc(3) gives.
const GRAIN: usize = 16;

/// What lies under an arena, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// memfd_secret(2): out of the kernel's own reach, never swapped, in no
    /// core file, not in a child. As long as it exists the machine cannot
    /// hibernate.
    MemfdSecret,
    /// Locked: never swapped, in no core file, zeros in a child.
    Locked,
    /// In no core file, zeros in a child; may be swapped.
    Unlocked,
}

impl Backend {
    /// As status lines and `doctor` name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MemfdSecret => "memfd_secret",
            Self::Locked => "locked memory",
            Self::Unlocked => "unlocked memory",
        }
    }
}

/// There is no room left for this many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the memory for secrets is full")
    }
}

impl std::error::Error for Full {}

/// The memory for secrets. A clone is another handle to the same memory,
/// which goes back to the kernel, wiped, with the last handle and the last
/// [`Stored`].
#[derive(Clone)]
pub struct Arena(Rc<Region>);

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arena({})", self.backend().as_str())
    }
}

impl Arena {
    /// An arena of at least `capacity` bytes on the best backend there is.
    /// Its pages are taken from the machine as they are used.
    ///
    /// # Errors
    /// `EINVAL` for a capacity of 0, else errno of mmap(2).
    pub fn new(capacity: usize) -> Result<Self> {
        [Backend::MemfdSecret, Backend::Locked]
            .into_iter()
            .find_map(|backend| Self::on(backend, capacity).ok())
            .map_or_else(|| Self::on(Backend::Unlocked, capacity), Ok)
    }

    /// An arena on this backend and no other.
    ///
    /// # Errors
    /// `EINVAL` for a capacity of 0; errno of memfd_secret(2) (`ENOSYS` where
    /// it is switched off), mmap(2) or mlock2(2): `EAGAIN`, `ENOMEM` or
    /// `EPERM` where `RLIMIT_MEMLOCK` is too small.
    pub fn on(backend: Backend, capacity: usize) -> Result<Self> {
        Ok(Self(Rc::new(Region::new(backend, capacity)?)))
    }

    /// What lies under it.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.0.backend
    }

    /// A copy of `bytes`.
    ///
    /// # Errors
    /// [`Full`].
    pub fn store(&self, bytes: &[u8]) -> std::result::Result<Stored, Full> {
        let mut stored = self.zeroed(bytes.len())?;
        stored.copy_from_slice(bytes);
        Ok(stored)
    }

    /// `length` zeros, to be written in place.
    ///
    /// # Errors
    /// [`Full`].
    pub fn zeroed(&self, length: usize) -> std::result::Result<Stored, Full> {
        let held = length.checked_next_multiple_of(GRAIN).ok_or(Full)?;
        let place = self.0.take(held).ok_or(Full)?;
        Ok(Stored { region: Rc::clone(&self.0), place, length })
    }
}

/// Bytes in an arena, wiped when dropped. Nothing shows them and nothing
/// copies them silently.
pub struct Stored {
    region: Rc<Region>,
    /// What is held: `length`, rounded up.
    place: Range<usize>,
    length: usize,
}

impl Stored {
    /// Another copy of the same bytes in the same arena.
    ///
    /// # Errors
    /// [`Full`].
    pub fn copy(&self) -> std::result::Result<Self, Full> {
        Arena(Rc::clone(&self.region)).store(self)
    }

    /// Drops what follows the first `length` bytes, wiped. The room it took
    /// comes back when the rest is dropped.
    pub fn truncate(&mut self, length: usize) {
        if let Some(rest) = self.get_mut(length..) {
            rest.zeroize();
            self.length = length;
        }
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("secret")
    }
}

impl Deref for Stored {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = self.region.at(self.place.start);
        // SAFETY: `place` lies within the region, which lives as long as
        // `self.region`; it is readable and initialised (mmap gives zeros).
        // The free list gave it to this value alone, so that nothing else
        // writes to it while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.length) }
    }
}

impl DerefMut for Stored {
    fn deref_mut(&mut self) -> &mut [u8] {
        let start = self.region.at(self.place.start);
        // SAFETY: as for `deref`; writable, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.length) }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.zeroize();
        self.region.give_back(self.place.clone());
    }
}

/// The mapping, and which of its bytes are free. Free bytes are zeros.
struct Region {
    mapping: Mapping,
    capacity: usize,
    backend: Backend,
    /// In order, without neighbours that touch.
    free: RefCell<Vec<Range<usize>>>,
}

impl Region {
    fn new(backend: Backend, capacity: usize) -> Result<Self> {
        let page = page_size()?;
        if capacity == 0 {
            return Err(Errno::EINVAL);
        }
        let capacity = capacity.checked_next_multiple_of(page).ok_or(Errno::ENOMEM)?;
        let mapping = Mapping::new(backend, capacity, page)?;
        Ok(Self {
            mapping,
            capacity,
            backend,
            free: RefCell::new(vec![Range { start: 0, end: capacity }]),
        })
    }

    fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset <= self.capacity, "an offset outside the arena");
        // SAFETY: offsets come from the free list, which never leaves
        // 0..=capacity, and the mapping is longer than that.
        unsafe { self.mapping.inside().add(offset) }
    }

    /// First fit: secrets are few, live long and are much smaller than the
    /// arena.
    fn take(&self, length: usize) -> Option<Range<usize>> {
        if length == 0 {
            return Some(0..0);
        }
        let mut free = self.free.borrow_mut();
        let index = free.iter().position(|hole| hole.len() >= length)?;
        let hole = free.get_mut(index)?;
        let place = hole.start..hole.start + length;
        hole.start = place.end;
        if hole.start == hole.end {
            free.remove(index);
        }
        Some(place)
    }

    fn give_back(&self, mut place: Range<usize>) {
        if place.is_empty() {
            return;
        }
        let mut free = self.free.borrow_mut();
        let mut index = free.partition_point(|hole| hole.start < place.start);
        if free.get(index).is_some_and(|next| next.start == place.end) {
            place.end = free.remove(index).end;
        }
        if let Some(before) = index.checked_sub(1)
            && free.get(before).is_some_and(|hole| hole.end == place.start)
        {
            place.start = free.remove(before).start;
            index = before;
        }
        free.insert(index, place);
    }
}

/// The pages, with one that cannot be touched on either side: a read or write
/// that runs out of the arena ends the process.
struct Mapping {
    start: NonNull<libc::c_void>,
    length: NonZeroUsize,
    page: usize,
}

impl Mapping {
    fn new(backend: Backend, capacity: usize, page: usize) -> Result<Self> {
        let length = page.checked_mul(2).and_then(|guards| capacity.checked_add(guards));
        let length = length.and_then(NonZeroUsize::new).ok_or(Errno::ENOMEM)?;
        let mapping = Self { start: reserve(backend, length)?, length, page };
        let inside = mapping.inside().cast::<libc::c_void>().as_ptr();
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: here and below, these pages are part of the mapping just
        // made, and nothing refers to them yet.
        check(unsafe { libc::mprotect(inside, capacity, access) }.into())?;
        // A private mapping can be zeros in a child. A shared one cannot, so a
        // child gets none: it would see what its parent stores later.
        let advices: &[libc::c_int] = match backend {
            Backend::MemfdSecret => &[libc::MADV_DONTFORK],
            Backend::Locked | Backend::Unlocked => &[libc::MADV_DONTDUMP, libc::MADV_WIPEONFORK],
        };
        for advice in advices {
            // SAFETY: as above; none of these changes what the pages hold.
            check(unsafe { libc::madvise(inside, capacity, *advice) }.into())?;
        }
        if backend == Backend::Locked {
            // As they are used: mlock(2) would take all of them at once.
            let on_fault = libc::MLOCK_ONFAULT as libc::c_uint;
            // SAFETY: as above; locking changes nothing in memory.
            check(unsafe { libc::mlock2(inside, capacity, on_fault) }.into())?;
        }
        Ok(mapping)
    }

    /// Where the usable pages begin.
    fn inside(&self) -> NonNull<u8> {
        // SAFETY: the mapping is longer than its first guard page.
        unsafe { self.start.cast::<u8>().add(self.page) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // No `Stored` is left, and each wiped its own bytes.
        // SAFETY: nothing refers to the mapping any more.
        unsafe { libc::munmap(self.start.as_ptr(), self.length.get()) };
    }
}

/// Address space without access, from the kernel's secret memory or from
/// ordinary memory.
fn reserve(backend: Backend, length: NonZeroUsize) -> Result<NonNull<libc::c_void>> {
    let secret = if backend == Backend::MemfdSecret { Some(secret_file(length)?) } else { None };
    let (flags, fd) = match &secret {
        Some(fd) => (libc::MAP_SHARED, fd.as_raw_fd()),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    // SAFETY: a new mapping at an address of the kernel's choice. It keeps the
    // file alive, whose descriptor is closed here, so that nobody can be
    // handed it.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), length.get(), libc::PROT_NONE, flags, fd, 0) };
    if start == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    NonNull::new(start).ok_or(Errno::ENOMEM)
}

fn secret_file(length: NonZeroUsize) -> Result<OwnedFd> {
    let length = i64::try_from(length.get()).map_err(|_| Errno::ENOMEM)?;
    // SAFETY: takes flags only.
    let raw = check(unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) })?;
    let raw = i32::try_from(raw).map_err(|_| Errno::EBADF)?;
    // SAFETY: the call has just returned this descriptor to us alone.
    let file = unsafe { OwnedFd::from_raw_fd(raw) };
    nix::unistd::ftruncate(&file, length)?;
    Ok(file)
}

fn page_size() -> Result<usize> {
    // SAFETY: sysconf(3) only reads.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).map_err(|_| Errno::EINVAL)
}
