//! What this process's memory costs, and when: a page that is touched for the
//! first time costs a fault, and the one who waits should not be the one who
//! pays.

use crate::{Result, check};

/// Heap that is free stays with the process up to this many bytes.
const KEPT: libc::c_int = 16 << 20;

/// The heap keeps what is given back instead of returning it to the kernel
/// and faulting it in again a moment later (mallopt(3)). For a process that
/// lives as long as a session.
pub fn keep_heap() {
    // SAFETY: two settings of the allocator, made while nothing else runs in it.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT);
    }
}

/// Maps this program's code and constants now. A forked child starts without
/// them and takes a fault for each part it comes to (madvise(2),
/// `MADV_POPULATE_READ`).
///
/// # Errors
/// errno of madvise(2): `EINVAL` before Linux 5.14. Nothing depends on it.
pub fn map_program() -> Result<()> {
    unsafe extern "C" {
        // Set by the linker (end(3), ld(1)); only their addresses mean something.
        static __executable_start: u8;
        static etext: u8;
    }
    let start = (&raw const __executable_start) as usize;
    let length = ((&raw const etext) as usize).saturating_sub(start);
    // SAFETY: populates existing mappings of this program for reading; no
    // byte changes and no mapping moves.
    check(unsafe { libc::syscall(libc::SYS_madvise, start, length, libc::MADV_POPULATE_READ) })
        .map(drop)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_program_is_where_the_linker_says() {
        assert_eq!(super::map_program(), Ok(()));
    }
}
