//! The secrets in all their forms, ready to be looked for.

use std::convert::Infallible;

use crate::examine::Examined;
use crate::forms::{self, Whole};
use crate::hits::Hits;
use crate::set::Set;
use crate::stream::Stream;
use crate::tables::{Form, Tables};
use crate::wiped::{Region, wipe};

/// All forms of all secrets. Never changes; a new one replaces it.
pub struct Patterns {
    /// The forms' bytes, and nothing else holds any.
    region: Option<Box<dyn Region>>,
    tables: Tables,
    markers: Vec<Box<[u8]>>,
}

/// A text that was redacted as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted {
    /// The text with markers in it.
    pub bytes: Vec<u8>,
    /// How many, by key.
    pub hits: Hits,
}

impl Patterns {
    /// Nothing is looked for.
    #[must_use]
    pub fn empty() -> Self {
        Self::build(&[])
    }

    /// From pairs of a key and its value. A key may have several values (a
    /// rotated secret is still one). The key is what the marker shows; of two
    /// keys with a form in common it shows the first.
    #[must_use]
    pub fn build(secrets: &[(&[u8], &[u8])]) -> Self {
        let Ok(patterns) = Self::build_in(secrets, |len| {
            Ok::<Box<dyn Region>, Infallible>(Box::new(vec![0; len]))
        });
        patterns
    }

    /// Like [`Self::build`], with the forms in memory that `region` gives: at
    /// least as many bytes as it is asked for. It is wiped before it is dropped.
    ///
    /// # Errors
    /// That of `region`.
    ///
    /// # Panics
    /// When `region` gives less than it was asked for.
    pub fn build_in<E>(
        secrets: &[(&[u8], &[u8])],
        region: impl FnOnce(usize) -> Result<Box<dyn Region>, E>,
    ) -> Result<Self, E> {
        let wholes = (0..).zip(secrets);
        let wholes = wholes.flat_map(|(key, (_, value))| forms::of(value, key)).collect();
        Self::from_wholes(secrets.iter().map(|(name, _)| *name), wholes, region)
    }

    pub(crate) fn from_wholes<'a, E>(
        names: impl Iterator<Item = &'a [u8]>,
        wholes: Vec<Whole>,
        region: impl FnOnce(usize) -> Result<Box<dyn Region>, E>,
    ) -> Result<Self, E> {
        let size = wholes.iter().map(|whole| whole.bytes.len()).sum();
        let mut region = if size == 0 { None } else { Some(region(size)?) };
        assert!(region.as_ref().is_none_or(|region| region.len() >= size), "a region too small");
        let mut pieces: Vec<Form> = Vec::new();
        let mut free = region.as_mut().map_or(&mut [][..], |region| region);
        let mut at = 0;
        for whole in wholes {
            let Some((place, rest)) = free.split_at_mut_checked(whole.bytes.len()) else { break };
            place.copy_from_slice(&whole.bytes);
            pieces.extend(whole.pieces(at));
            (free, at) = (rest, at + whole.bytes.len());
        }
        let tables = Tables::build(pieces, region.as_deref().map_or(&[], |region| region));
        let markers = names.map(|name| [b"[REDACTED:", name, b"]"].concat().into()).collect();
        Ok(Self { region, tables, markers })
    }

    /// Masks whatever `text` holds. It is taken as complete: the beginning of
    /// a secret at its end is none. For a text that was cut, use a [`Stream`].
    #[must_use]
    pub fn redact(&self, text: &[u8]) -> Redacted {
        let mut bytes = Vec::with_capacity(text.len());
        let examined = Examined::new(self.set(), text, 0, true);
        let hits = Stream::new().write_all(self, text, &examined.spans, &mut bytes);
        Redacted { bytes, hits }
    }

    /// The name of a key by its index in [`Hits`].
    #[must_use]
    pub fn name(&self, key: usize) -> Option<&[u8]> {
        self.markers.get(key)?.strip_prefix(b"[REDACTED:")?.strip_suffix(b"]")
    }

    /// Keys that it was built from.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.markers.len()
    }

    /// Forms that are looked for; one that is cut counts by its pieces.
    #[must_use]
    pub fn forms(&self) -> usize {
        self.tables.forms()
    }

    /// Bytes of the tables, and those of the forms.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.tables.size(), self.region.as_deref().map_or(0, |region| region.len()))
    }

    pub(crate) fn set(&self) -> Set<'_> {
        let region = self.region.as_deref().map_or::<&[u8], _>(&[], |region| region);
        Set { tables: &self.tables, region }
    }

    pub(crate) fn marker(&self, key: u32) -> &[u8] {
        self.markers.get(key as usize).map_or(b"[REDACTED]", |marker| marker)
    }
}

impl Drop for Patterns {
    fn drop(&mut self) {
        if let Some(region) = &mut self.region {
            wipe(region);
        }
    }
}
