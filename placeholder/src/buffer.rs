//! Where rendered bytes go: counted first, then written to memory of exactly
//! that size, which is wiped when it is given up.

use std::fmt;

use zeroize::Zeroize as _;

/// Takes what is written, piece by piece.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl fmt::Write for dyn Sink + '_ {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// Counts.
#[derive(Default)]
pub(crate) struct Count(pub usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

/// Compares with what is expected.
pub(crate) struct Same<'a> {
    rest: &'a [u8],
    same: bool,
}

impl<'a> Same<'a> {
    pub(crate) const fn new(expected: &'a [u8]) -> Self {
        Self { rest: expected, same: true }
    }

    /// Everything expected came, and nothing else.
    pub(crate) const fn holds(&self) -> bool {
        self.same && self.rest.is_empty()
    }
}

impl Sink for Same<'_> {
    fn put(&mut self, bytes: &[u8]) {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => self.same = false,
        }
    }
}

/// Secret bytes. Wiped on drop, never shown, never copied by growing.
pub struct SecretBuf(Vec<u8>);

impl SecretBuf {
    /// Writes with `write` twice: to know the size, then to memory of that
    /// size.
    pub(crate) fn collect<E>(
        mut write: impl FnMut(&mut dyn Sink) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut size = Count::default();
        write(&mut size)?;
        let mut out = Self(Vec::with_capacity(size.0));
        write(&mut out)?;
        Ok(out)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Sink for SecretBuf {
    /// What does not fit is left out: growing would leave a copy behind.
    fn put(&mut self, bytes: &[u8]) {
        let room = self.0.capacity() - self.0.len();
        self.0.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

impl Drop for SecretBuf {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBuf")
    }
}
