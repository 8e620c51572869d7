//! How often something was masked, by key.

use crate::patterns::Patterns;

/// Markers written, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// By key; empty if nothing was masked.
    by_key: Vec<u64>,
}

impl Hits {
    /// All keys together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_key.iter().sum()
    }

    /// Nothing was masked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Each key that was masked, as its index in the list that the patterns
    /// were built from, and how often.
    pub fn by_key(&self) -> impl Iterator<Item = (usize, u64)> {
        self.by_key.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    /// Adds those of another call with the same patterns.
    pub fn add(&mut self, other: &Self) {
        if self.by_key.len() < other.by_key.len() {
            self.by_key.resize(other.by_key.len(), 0);
        }
        self.by_key.iter_mut().zip(&other.by_key).for_each(|(sum, more)| *sum += more);
    }

    pub(crate) fn count(&mut self, key: u32, patterns: &Patterns) {
        if self.by_key.is_empty() {
            self.by_key = vec![0; patterns.keys()];
        }
        if let Some(count) = self.by_key.get_mut(key as usize) {
            *count += 1;
        }
    }
}
