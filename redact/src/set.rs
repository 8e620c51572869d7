//! Finding forms in a text: the places where one may begin, those that begin
//! there, and which of them the text has.

use crate::tables::{
    Form, GRAM, NEAR, NONE, SHORTEST, STEP, STRIDE, Tables, gram_hash, longer_hash, prefix_hash,
    slot_for,
};

/// The tables with the bytes they speak of.
#[derive(Clone, Copy)]
pub(crate) struct Set<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) region: &'a [u8],
}

/// The forms with the same first [`SHORTEST`] bytes.
#[derive(Clone, Copy)]
pub(crate) struct Group<'a> {
    forms: &'a [Form],
    /// Of the first bytes.
    hash: u64,
    /// All have at least [`crate::tables::LONGER`] bytes.
    longer: bool,
    /// One has a space, which a line break may stand for.
    pub(crate) spaced: bool,
    /// One has a byte after the first ones that a line break may begin with.
    pub(crate) breaks: bool,
}

impl Group<'_> {
    fn holds(&self, form: &Form) -> bool {
        self.forms.as_ptr_range().contains(&std::ptr::from_ref(form))
    }
}

/// What the forms have to say of the bytes at one place.
#[derive(Clone, Copy)]
pub(crate) struct Answer<'a> {
    /// The longest form that the bytes begin with.
    pub(crate) longest: Option<&'a Form>,
    /// A form that begins with all of the bytes, and goes on; more may follow.
    pub(crate) longer: Option<&'a Form>,
}

impl<'a> Set<'a> {
    /// Calls `at` with each place where a form may begin, in order.
    pub(crate) fn candidates(&self, text: &[u8], mut at: impl FnMut(usize)) {
        if self.tables.forms.is_empty() {
            return;
        }
        let mut from = 0;
        for stride in text.chunks(STRIDE) {
            let grams =
                stride.chunks_exact(STEP).map(|gram| self.tables.gram_bits(gram_hash(gram)));
            if stride.len() < STRIDE || grams.fold(0, |any, bits| any | bits) & 1 == 1 {
                self.candidates_near(text, from, &mut at);
            }
            from += STRIDE;
        }
    }

    fn candidates_near(&self, text: &[u8], from: usize, at: &mut impl FnMut(usize)) {
        for place in (from..from + STRIDE).step_by(STEP) {
            let Some(gram) = text.get(place..place + GRAM) else { return };
            if self.tables.gram_bits(gram_hash(gram)) & 1 == 0 {
                continue;
            }
            let (first, mut beginnings) = self.beginnings(text, place);
            while beginnings != 0 {
                at(first + beginnings.trailing_zeros() as usize);
                beginnings &= beginnings - 1;
            }
        }
    }

    /// Of the places at which a form with this block in its beginning may begin,
    /// the first, and a bit for each that looks like one. Without a branch: who
    /// writes many such blocks would have it guessed wrong.
    fn beginnings(&self, text: &[u8], block: usize) -> (usize, u32) {
        let first = block.saturating_sub(STEP - 1);
        let near = text.get(first..).unwrap_or_default();
        match near.first_chunk::<NEAR>() {
            Some(near) if first + STEP - 1 == block => (first, self.prefix_bits(near)),
            _ => (first, self.prefix_bits(near.get(..block + SHORTEST - first).unwrap_or(near))),
        }
    }

    #[inline(always)]
    fn prefix_bits(&self, near: &[u8]) -> u32 {
        let prefixes = near.windows(SHORTEST).enumerate();
        let bits = prefixes.map(|(offset, prefix)| {
            let prefix = prefix.first_chunk().copied().unwrap_or_default();
            self.tables.prefix_bit(prefix_hash(prefix)) << offset
        });
        bits.fold(0, |bits, bit| bits | bit)
    }

    /// The forms that begin with these bytes.
    pub(crate) fn group(&self, prefix: [u8; SHORTEST]) -> Option<Group<'a>> {
        let tables = self.tables;
        let hash = prefix_hash(prefix);
        let mut at = tables.slot_of(hash);
        loop {
            let slot = *tables.slots.get(at)?;
            if slot == NONE {
                return None;
            }
            let group = (slot & 0x00ff_ffff) as usize;
            if slot == slot_for(slot, hash) {
                let first = *tables.groups.get(group)?;
                let end = *tables.groups.get(group + 1)?;
                let forms = tables.forms.get(first as usize..end as usize)?;
                let head = forms.first()?;
                if head.bytes(self.region).starts_with(&prefix) {
                    let Form { spaced, breaks, longer, .. } = *head;
                    return Some(Group { forms, hash, spaced, breaks, longer });
                }
            }
            at = (at + 1) % tables.slots.len();
        }
    }

    /// Compares the forms of a group, beyond their first [`SHORTEST`] bytes, with
    /// `tail`. `open`: more may follow it. `guess`: perhaps the answer.
    pub(crate) fn compare(
        &self,
        group: Group<'a>,
        tail: &[u8],
        open: bool,
        guess: Option<&'a Form>,
    ) -> Answer<'a> {
        let region = self.region;
        if let [form] = group.forms {
            let bytes = form.tail(region);
            let longest = tail.starts_with(bytes).then_some(form);
            let longer = open && bytes.len() > tail.len() && bytes.starts_with(tail);
            return Answer { longest, longer: longer.then_some(form) };
        }
        if let Some(form) = guess
            && form.leaf
            && group.holds(form)
            && tail.starts_with(form.tail(region))
        {
            return Answer { longest: guess, longer: None };
        }
        if group.longer && !open && !self.may_go_on(group, tail) {
            return Answer { longest: None, longer: None };
        }
        let head = head(tail);
        let not_above = |form: &Form| {
            let bytes = form.tail(region);
            self::head(bytes).cmp(&head).then_with(|| bytes.cmp(tail)).is_le()
        };
        let above = group.forms.partition_point(not_above);
        let longer = group.forms.get(above).filter(|_| open);
        let longer = longer.filter(|form| form.tail(region).starts_with(tail));
        // Whatever `tail` begins with, the form before it in order does too.
        let below = above.checked_sub(1).and_then(|below| group.forms.get(below));
        Answer { longest: below.and_then(|form| self.longest(form, tail)), longer }
    }

    /// The first bytes of `tail` may follow those of the group in a form.
    fn may_go_on(&self, group: Group<'a>, tail: &[u8]) -> bool {
        let more = tail.first_chunk();
        more.is_some_and(|more| self.tables.prefix_bit(longer_hash(group.hash, *more)) == 1)
    }

    /// The longest of this form and those it begins with that `tail` begins
    /// with.
    fn longest(&self, form: &'a Form, tail: &[u8]) -> Option<&'a Form> {
        let same = SHORTEST + agreement(form.tail(self.region), tail);
        let fits = |form: &Form| usize::from(form.len) <= same;
        let at = |index: u32| self.tables.forms.get(index as usize);
        let mut longest = form;
        while !fits(longest) {
            let parent = at(longest.parent)?;
            longest = at(longest.jump).filter(|jump| !fits(jump)).unwrap_or(parent);
        }
        Some(longest)
    }

    /// A form that begins with all of `text`, and goes on. For a text too
    /// short for [`Set::group`].
    pub(crate) fn longer(&self, text: &[u8]) -> Option<&'a Form> {
        let byte = usize::from(*text.first()?);
        let from = *self.tables.by_byte.get(byte)? as usize;
        let to = *self.tables.by_byte.get(byte + 1)? as usize;
        let forms = self.tables.forms.get(from..to)?;
        let above = forms.partition_point(|form| form.bytes(self.region) <= text);
        forms.get(above).filter(|form| form.bytes(self.region).starts_with(text))
    }
}

/// The first eight bytes as a number that is in the same order; zeroes for
/// those that are missing.
pub(crate) fn head(bytes: &[u8]) -> u64 {
    let missing = || {
        let mut head = [0; 8];
        head.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
        head
    };
    u64::from_be_bytes(bytes.first_chunk().copied().unwrap_or_else(missing))
}

/// How many bytes two texts have in common.
fn agreement(a: &[u8], b: &[u8]) -> usize {
    const BLOCK: usize = 8;
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
    let same = BLOCK * blocks.take_while(|(a, b)| a == b).count();
    let rest = a.iter().zip(b).skip(same);
    same + rest.take_while(|(a, b)| a == b).count()
}
