//! Random bytes from the kernel.

use crate::{Errno, Result};

/// Fills `bytes` from the kernel's generator, waiting until it is seeded
/// (getrandom(2)).
///
/// # Errors
/// errno of the call.
pub fn fill(bytes: &mut [u8]) -> Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: the kernel writes at most `rest.len()` bytes to `rest`.
        let ret = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(ret) {
            Ok(n) => rest = rest.get_mut(n..).unwrap_or_default(),
            Err(_) if Errno::last() == Errno::EINTR => {}
            Err(_) => return Err(Errno::last()),
        }
    }
    Ok(())
}
