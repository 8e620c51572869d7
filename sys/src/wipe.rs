//! An allocator that wipes what is given back. For a program through whose
//! buffers a secret passes that no type of ours holds: a library's buffer
//! grows, is copied and is dropped where nobody can wipe it.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator; memory is overwritten with zeros before it is
/// given back. Growing is a new allocation, a copy and giving back the old
/// one, so it leaves no copy either.
#[derive(Debug)]
pub struct Wiping;

// SAFETY: every block is the system allocator's own, asked for and given back
// with the same layout. `realloc` is the trait's own, which goes through
// `alloc` and `dealloc`.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as our caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is `layout.size()` bytes long and nobody uses it
        // any more. explicit_bzero(3) is not optimised away.
        unsafe {
            libc::explicit_bzero(block.cast(), layout.size());
            System.dealloc(block, layout);
        }
    }
}
