//! What has passed through a stream: how much, and its digest.

use std::cell::{Cell, RefCell};

use sha2::{Digest as _, Sha256};

/// Bytes that have passed.
#[derive(Debug, Default)]
pub struct Tally {
    hash: RefCell<Sha256>,
    bytes: Cell<u64>,
}

impl Tally {
    /// These have, too.
    pub fn add(&self, bytes: &[u8]) {
        self.hash.borrow_mut().update(bytes);
        self.bytes.set(self.bytes.get().saturating_add(bytes.len() as u64));
    }

    /// How many.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// SHA-256 of them.
    pub fn digest(&self) -> [u8; 32] {
        self.hash.borrow().clone().finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use strongroom_protocol::text::hex;

    use super::*;

    #[test]
    fn pieces_count_as_the_whole_and_it_goes_on_after_a_look() {
        // printf abc | sha256sum
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let tally = Tally::default();
        tally.add(b"a");
        assert_ne!(hex(&tally.digest()), abc);
        tally.add(b"bc");
        assert_eq!((tally.bytes(), hex(&tally.digest()).as_str()), (3, abc));
    }
}
