//! The forms, sorted, and the two tables that find a form in a text: a bitmap
//! that passes almost every place over, and an index of the forms' beginnings.
//!
//! A form is at most [`LONGEST`] bytes, so looking at one place costs a bounded
//! number of steps, whatever the forms and the text are. Tables hold hashes and
//! positions; the bytes themselves are in the region only.

use std::cmp::Ordering;

use zeroize::Zeroize;

use crate::set::head;

/// Bytes of the shortest form. A value shorter than that makes no form.
pub const SHORTEST: usize = 8;

/// Bytes of the longest form. What is longer is cut into pieces, each a form.
pub const LONGEST: usize = 127;

/// Bytes of the block that the bitmap knows.
pub(crate) const GRAM: usize = 4;

/// Every `STEP`th place is looked at: the first [`SHORTEST`] bytes of a form
/// hold one whole block that begins at such a place, wherever they stand.
pub(crate) const STEP: usize = SHORTEST - GRAM + 1;

/// Bytes of a beginning that tells forms apart which begin alike.
pub(crate) const LONGER: usize = 2 * SHORTEST;

/// The bytes around a block that a beginning with it may have.
pub(crate) const NEAR: usize = 2 * SHORTEST - GRAM;

/// Bytes looked at before the first branch.
pub(crate) const STRIDE: usize = 8 * STEP;

/// Bits of the bitmap per block in it: one place in 32 is taken for a block
/// that it is not, and costs a look into the index.
const SPARSE: usize = 32;
const MIN_BITS: usize = 1 << 15;
const MAX_BITS: usize = 1 << 22;

pub(crate) const NONE: u32 = u32::MAX;

/// One form, or one piece of a long one.
pub(crate) struct Form {
    /// Where its bytes begin in the region.
    pub(crate) at: usize,
    /// The key whose value it is a form of: index in the list given to build.
    pub(crate) key: u32,
    /// The longest other form that this one begins with.
    pub(crate) parent: u32,
    /// One of those, far enough that any is reached in few steps.
    pub(crate) jump: u32,
    pub(crate) len: u8,
    /// Not the first piece: it joins a marker that it touches.
    pub(crate) joins: bool,
    /// A form with the same first bytes has a space, which a line break may
    /// stand for.
    pub(crate) spaced: bool,
    /// One with the same first bytes has a byte after them that a line break may
    /// begin with.
    pub(crate) breaks: bool,
    /// All with the same first bytes have at least [`LONGER`] bytes.
    pub(crate) longer: bool,
    /// No other form begins with it.
    pub(crate) leaf: bool,
    /// After how many bytes it repeats itself; 0 if not within its first half.
    pub(crate) period: u8,
}

impl Form {
    pub(crate) fn new(at: usize, len: u8, key: u32, joins: bool) -> Self {
        let (parent, jump) = (NONE, NONE);
        Self {
            at,
            key,
            parent,
            jump,
            len,
            joins,
            spaced: false,
            breaks: false,
            longer: false,
            leaf: true,
            period: 0,
        }
    }

    pub(crate) fn bytes<'a>(&self, region: &'a [u8]) -> &'a [u8] {
        region.get(self.at..self.at + usize::from(self.len)).unwrap_or_default()
    }
}

impl Form {
    /// What follows the first [`SHORTEST`] bytes.
    pub(crate) fn tail<'a>(&self, region: &'a [u8]) -> &'a [u8] {
        region.get(self.at + SHORTEST..self.at + usize::from(self.len)).unwrap_or_default()
    }
}

/// The tables of one set of forms.
pub(crate) struct Tables {
    pub(crate) forms: Vec<Form>,
    /// Where in `forms` those with another first byte begin.
    pub(crate) by_byte: Vec<u32>,
    /// Where in `forms` those with other first [`SHORTEST`] bytes begin; one
    /// more at the end.
    pub(crate) groups: Vec<u32>,
    /// Hash table, open addressing: group, and eight bits of its hash on top.
    pub(crate) slots: Vec<u32>,
    /// Bitmap of hashes of blocks.
    grams: Vec<u32>,
    gram_shift: u32,
    /// Bitmap of hashes of beginnings, and of the longer ones of those that
    /// several forms have.
    prefixes: Vec<u32>,
    prefix_shift: u32,
}

impl Tables {
    /// Sorts the forms; of several with the same bytes the first stays.
    pub(crate) fn build(mut forms: Vec<Form>, region: &[u8]) -> Self {
        // Stable: the first of equals stays the first.
        forms.sort_by(|a, b| compare(a.bytes(region), b.bytes(region)));
        forms.dedup_by(|later, first| {
            let same = later.bytes(region) == first.bytes(region);
            first.joins |= same && later.joins && later.key == first.key;
            same
        });
        let mut tables = Self {
            by_byte: by_byte(&forms, region),
            groups: groups(&forms, region),
            slots: Vec::new(),
            grams: Vec::new(),
            gram_shift: 0,
            prefixes: Vec::new(),
            prefix_shift: 0,
            forms,
        };
        tables.find_parents(region);
        tables.mark_groups(region);
        tables.fill(region);
        tables
    }

    /// Bytes that the tables take, without the forms' own.
    pub(crate) fn size(&self) -> usize {
        size_of_val(&*self.forms)
            + size_of_val(&*self.by_byte)
            + size_of_val(&*self.groups)
            + size_of_val(&*self.slots)
            + size_of_val(&*self.grams)
            + size_of_val(&*self.prefixes)
    }

    pub(crate) fn forms(&self) -> usize {
        self.forms.len()
    }

    fn find_parents(&mut self, region: &[u8]) {
        let mut above: Vec<(u32, &[u8])> = Vec::new();
        // Each jumps twice as far as two before it that jump equally far (Myers,
        // "An applicative random-access stack", 1983).
        let mut jumps: Vec<usize> = Vec::new();
        for (index, form) in (0..NONE).zip(&mut self.forms) {
            let bytes = form.bytes(region);
            while above.pop_if(|(_, prefix)| !bytes.starts_with(prefix)).is_some() {}
            jumps.truncate(above.len());
            let index_at = |depth: usize| above.get(depth).map_or(NONE, |(index, _)| *index);
            form.period = period(bytes);
            if let Some(parent) = above.len().checked_sub(1) {
                let jump = |depth: usize| jumps.get(depth).copied().unwrap_or_default();
                let (once, twice) = (jump(parent), jump(jump(parent)));
                let jump = if parent - once == once - twice { twice } else { parent };
                (form.parent, form.jump) = (index_at(parent), index_at(jump));
                jumps.push(jump);
            } else {
                jumps.push(0);
            }
            above.push((index, bytes));
        }
        let parents: Vec<u32> = self.forms.iter().map(|form| form.parent).collect();
        for parent in parents {
            if let Some(form) = self.forms.get_mut(parent as usize) {
                form.leaf = false;
            }
        }
    }

    /// What of a group all its forms say.
    fn mark_groups(&mut self, region: &[u8]) {
        for group in self.groups.windows(2) {
            let [first, end] = *group else { continue };
            let forms = self.forms.get_mut(first as usize..end as usize).unwrap_or_default();
            let spaced = forms.iter().any(|form| form.bytes(region).contains(&b' '));
            let begins_break = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'\\');
            let breaks = forms.iter().any(|form| form.tail(region).iter().any(begins_break));
            let longer = forms.iter().all(|form| usize::from(form.len) >= LONGER);
            for form in forms {
                (form.spaced, form.breaks, form.longer) = (spaced, breaks, longer);
            }
        }
    }

    fn fill(&mut self, region: &[u8]) {
        let groups = self.groups.len().saturating_sub(1);
        let bits = (groups * STEP * SPARSE).next_power_of_two().clamp(MIN_BITS, MAX_BITS);
        self.grams = vec![0; bits / 32];
        self.gram_shift = 32 - bits.trailing_zeros();
        let bits = ((groups + self.forms.len()) * SPARSE).next_power_of_two();
        let bits = bits.clamp(MIN_BITS, MAX_BITS / 4);
        self.prefixes = vec![0; bits / 32];
        self.prefix_shift = 64 - bits.trailing_zeros();
        self.slots = vec![NONE; (2 * groups).next_power_of_two().max(2)];
        for (group, first) in (0..NONE).zip(self.groups.clone()).take(groups) {
            let Some(form) = self.forms.get(first as usize) else { continue };
            let Some(prefix) = form.bytes(region).first_chunk::<SHORTEST>() else { continue };
            for gram in prefix.windows(GRAM) {
                set_bit(&mut self.grams, gram_hash(gram) >> self.gram_shift);
            }
            let hash = prefix_hash(*prefix);
            set_bit(&mut self.prefixes, (hash >> self.prefix_shift) as u32);
            let end = self.groups.get(group as usize + 1).map_or(first, |end| *end);
            let forms = self.forms.get(first as usize..end as usize).unwrap_or_default();
            for more in forms.iter().filter_map(|form| form.tail(region).first_chunk()) {
                let hash = longer_hash(hash, *more);
                set_bit(&mut self.prefixes, (hash >> self.prefix_shift) as u32);
            }
            let mut at = self.slot_of(hash);
            while let Some(slot) = self.slots.get_mut(at) {
                if *slot == NONE {
                    *slot = slot_for(group, hash);
                    break;
                }
                at = (at + 1) % self.slots.len();
            }
        }
    }

    pub(crate) fn slot_of(&self, hash: u64) -> usize {
        (hash >> (64 - self.slots.len().trailing_zeros())) as usize
    }

    /// The lowest bit says whether a block with this hash stands in a beginning.
    pub(crate) fn gram_bits(&self, hash: u32) -> u32 {
        bits_from(&self.grams, hash >> self.gram_shift)
    }

    /// Whether a beginning has this hash.
    pub(crate) fn prefix_bit(&self, hash: u64) -> u32 {
        bits_from(&self.prefixes, (hash >> self.prefix_shift) as u32) & 1
    }
}

fn set_bit(bitmap: &mut [u32], index: u32) {
    if let Some(word) = bitmap.get_mut((index >> 5) as usize) {
        *word |= 1_u32.wrapping_shl(index);
    }
}

/// A word of the bitmap, of which the lowest bit is the one asked for.
fn bits_from(bitmap: &[u32], index: u32) -> u32 {
    bitmap.get((index >> 5) as usize).map_or(0, |word| word.wrapping_shr(index))
}

impl Drop for Tables {
    fn drop(&mut self) {
        self.slots.zeroize();
        self.grams.zeroize();
        self.prefixes.zeroize();
    }
}

/// The order of forms: that of their bytes, with a fast look at the first ones.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    head(a).cmp(&head(b)).then_with(|| a.cmp(b))
}

/// The smallest one of at most half the length.
fn period(bytes: &[u8]) -> u8 {
    let repeats = |period: &u8| {
        let rest = bytes.get(usize::from(*period)..).unwrap_or_default();
        rest.first_chunk::<SHORTEST>() == bytes.first_chunk() && bytes.starts_with(rest)
    };
    (1..=(bytes.len() / 2) as u8).find(repeats).unwrap_or(0)
}

fn by_byte(forms: &[Form], region: &[u8]) -> Vec<u32> {
    let below = |byte: usize| {
        forms.partition_point(|form| {
            form.bytes(region).first().is_some_and(|first| usize::from(*first) < byte)
        })
    };
    (0..=256).map(|byte| below(byte) as u32).collect()
}

fn groups(forms: &[Form], region: &[u8]) -> Vec<u32> {
    let mut groups = Vec::new();
    let mut current = None;
    for (index, form) in (0..NONE).zip(forms) {
        let prefix = form.bytes(region).first_chunk::<SHORTEST>();
        if prefix != current || groups.is_empty() {
            groups.push(index);
            current = prefix;
        }
    }
    groups.push(forms.len() as u32);
    groups
}

pub(crate) fn gram_hash(gram: &[u8]) -> u32 {
    let gram = gram.first_chunk().map_or(0, |gram| u32::from_le_bytes(*gram));
    gram.wrapping_mul(0x9e37_79b1)
}

pub(crate) fn prefix_hash(prefix: [u8; SHORTEST]) -> u64 {
    let prefix = u64::from_le_bytes(prefix);
    (prefix ^ (prefix >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Of a beginning of [`LONGER`] bytes, by the hash of its first ones.
pub(crate) fn longer_hash(prefix: u64, more: [u8; LONGER - SHORTEST]) -> u64 {
    prefix_hash((prefix ^ u64::from_le_bytes(more)).to_le_bytes())
}

/// 24 bits of the group, eight of the hash that choose no slot.
pub(crate) fn slot_for(group: u32, hash: u64) -> u32 {
    (group & 0x00ff_ffff) | ((hash as u32) & 0xff00_0000)
}
