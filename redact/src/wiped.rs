//! Memory for secret bytes, and for text that may hold some.

use std::ops::{Deref, DerefMut};

use zeroize::optimization_barrier;

/// Where [`crate::Patterns`] keeps the forms of the secrets: an arena of the
/// caller's, or a plain buffer. It is wiped before it is dropped.
pub trait Region: DerefMut<Target = [u8]> {}

impl<T: DerefMut<Target = [u8]>> Region for T {}

/// Bytes that are wiped when they go, and when they move because the buffer
/// has to grow: a plain `Vec` would leave a copy behind.
#[derive(Default)]
pub(crate) struct Wiped(Vec<u8>);

impl Wiped {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(crate) fn push(&mut self, byte: u8) {
        if self.0.len() == self.0.capacity() {
            self.grow(1);
        }
        self.0.push(byte);
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if bytes.len() > self.0.capacity() - self.0.len() {
            self.grow(bytes.len());
        }
        self.0.extend_from_slice(bytes);
    }

    /// Empty again; it keeps its room.
    pub(crate) fn clear(&mut self) {
        wipe(&mut self.0);
        self.0.clear();
    }

    #[cold]
    fn grow(&mut self, by: usize) {
        let mut larger = Vec::with_capacity((self.0.len() + by).max(2 * self.0.len()));
        larger.extend_from_slice(&self.0);
        wipe(&mut self.0);
        self.0 = larger;
    }
}

impl From<&[u8]> for Wiped {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Deref for Wiped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites with zeroes, all at once: zeroize's own way writes each byte on
/// its own, which takes as long as redaction does.
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    optimization_barrier(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_keeps_the_bytes() {
        let mut buffer = Wiped::default();
        for byte in 0..=255 {
            buffer.push(byte);
            buffer.extend(&[byte; 3]);
        }
        assert_eq!(buffer.len(), 1024);
        assert!(buffer.chunks(4).zip(0..=255).all(|(four, byte)| four == [byte; 4]));
    }
}
