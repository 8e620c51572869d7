//! What a terminal does not show, taken out of a text, so that a secret that is
//! coloured, overstruck or interrupted by invisible characters is still found.
//!
//! Taken out are escape sequences (ECMA-48: CSI such as colours, and the short
//! ones such as `ESC ( B`), zero-width and bidi characters, and one stroke of
//! `_\bX` and `X\bX`, which is how grotty(1) underlines and emboldens. A lone
//! ESC or backspace stays a wall: no match spans it here.

use crate::scan::{self, Found, Live, REACH, Span};
use crate::set::Set;
use crate::tables::SHORTEST;
use crate::wiped::Wiped;

const ESC: u8 = 0x1b;
const BACKSPACE: u8 = 0x08;

/// Bytes of the longest escape sequence that is taken for one.
const MAX_ESCAPE: usize = 32;

/// Bytes looked at together for one that something to be taken out begins with.
const BLOCK: usize = 64;

/// What stands at one place of a text.
enum Piece {
    /// One byte that is shown.
    Shown,
    /// A lone control character.
    Wall,
    /// This many bytes that are not shown.
    Hidden(usize),
    /// A backspace, and the byte before it once more.
    Again,
    /// The end of the text cuts an escape sequence or a character.
    Cut,
    /// Not shown if the text goes on in one way, shown if in another.
    Open,
}

/// Whether [`scan_stripped`] would see another text than [`scan::scan`].
pub(crate) fn needed(text: &[u8], hidden: usize, ended: bool) -> bool {
    let mut at = 0;
    let mut marks = Marks::new(text);
    while let Some(mark) = marks.next(at) {
        let control = matches!(text.get(mark), Some(&(ESC | BACKSPACE)));
        if control || !matches!(piece(text, mark, None, ended), Piece::Shown) {
            return true;
        }
        at = mark + 1;
    }
    hidden > 0 || (text.last() == Some(&b'_') && !ended)
}

/// The bytes that make something not to be shown: themselves, what follows, or
/// (a backspace) what stands before.
struct Marks<'a> {
    text: &'a [u8],
    /// Bytes up to here are in `block`, which has a bit for each of the last
    /// [`BLOCK`] of them.
    end: usize,
    block: u64,
    /// Where the next of the bytes stand that a mark begins with: those that are
    /// marks in most texts, and the others.
    near: [Option<usize>; 2],
}

impl<'a> Marks<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, end: 0, block: 0, near: [None; 2] }
    }

    /// The next one, and perhaps a few too many at the end of the text;
    /// [`piece`] knows. `from` never goes back.
    fn next(&mut self, from: usize) -> Option<usize> {
        if let Some(left @ 1..=BLOCK) = self.end.checked_sub(from) {
            let block = self.block >> (BLOCK - left);
            if block != 0 {
                return Some(from + block.trailing_zeros() as usize);
            }
        }
        let mut at = self.begin(from.max(self.end));
        while let Some(marks) = self.text.get(at..).and_then(marks) {
            (self.end, self.block) = (at + BLOCK, bits(&marks));
            if self.block != 0 {
                return Some(at + self.block.trailing_zeros() as usize);
            }
            at = self.begin(self.end);
        }
        (at < self.text.len()).then_some(at)
    }

    /// Where the next byte stands that a mark may begin with.
    fn begin(&mut self, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        let [controls, others] = &mut self.near;
        let place = |found: Option<usize>| from + found.unwrap_or(rest.len());
        let known = |near: &Option<usize>| near.filter(|near| *near >= from);
        let control =
            known(controls).unwrap_or_else(|| place(memchr::memchr3(ESC, BACKSPACE, 0xe2, rest)));
        let other = known(others).unwrap_or_else(|| place(memchr::memchr2(0xc2, 0xef, rest)));
        (*controls, *others) = (Some(control), Some(other));
        control.min(other)
    }
}

/// Of each of the first bytes, whether it is a mark. Without a branch, so that
/// the compiler compares many at once.
fn marks(text: &[u8]) -> Option<[u8; BLOCK]> {
    let first = text.first_chunk::<BLOCK>()?;
    let second = text.get(1..)?.first_chunk::<BLOCK>()?;
    let third = text.get(2..)?.first_chunk::<BLOCK>()?;
    let mut marks = [0; BLOCK];
    let all = marks.iter_mut().zip(first).zip(second).zip(third);
    all.for_each(|(((mark, first), second), third)| {
        *mark = is_mark(*first, *second, *third).into()
    });
    Some(marks)
}

/// A bit for each mark. The product brings the lowest bits of eight bytes
/// together in the highest byte.
fn bits(marks: &[u8; BLOCK]) -> u64 {
    let (eights, _) = marks.as_chunks::<8>();
    let byte = |eight: &[u8; 8]| {
        u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> (BLOCK - 8)
    };
    eights.iter().rev().fold(0, |bits, eight| bits << 8 | byte(eight))
}

fn is_mark(first: u8, second: u8, third: u8) -> bool {
    let in_80 = (0x8b..=0x8f).contains(&third) | (0xaa..=0xae).contains(&third);
    let in_81 = (0xa0..=0xaf).contains(&third);
    let zero_width = (second == 0x80) & in_80 | (second == 0x81) & in_81;
    (first == ESC)
        | (first == BACKSPACE)
        | (first == 0xc2) & (second == 0xad)
        | (first == 0xe2) & zero_width
        | (first == 0xef) & (second == 0xbb) & (third == 0xbf)
}

/// Like [`scan::scan`], on what is shown of a text. Spans and the live one are
/// in places of the text itself.
pub(crate) fn scan_stripped(set: Set<'_>, stripped: &Stripped, ended: bool) -> Found {
    let mut all = Found::default();
    let last = stripped.walls.len();
    for (index, (from, to)) in stripped.segments().enumerate() {
        let segment = stripped.shown.get(from..to).unwrap_or_default();
        let more = !ended && index == last;
        if segment.len() < SHORTEST && !more {
            continue;
        }
        let reach = |place: usize| match stripped.origin(from + place) + REACH {
            far if far > stripped.len => usize::MAX,
            far => stripped.shown_before(far).saturating_sub(from),
        };
        let found = scan::scan(set, segment, !more, reach);
        for span in found.spans {
            let end = |end: usize| stripped.origin((from + end).saturating_sub(1)) + 1;
            let (start, first_end) = (stripped.origin(from + span.start), end(span.first_end));
            scan::add(&mut all.spans, Span { start, end: end(span.end), first_end, ..span });
        }
        if more {
            let origin = |live: Live| Live { start: stripped.origin(from + live.start), ..live };
            all.live = found.live.map(origin);
        }
    }
    all
}

/// A text without what is not shown.
pub(crate) struct Stripped {
    shown: Wiped,
    /// Bytes of the text itself.
    len: usize,
    /// Where bytes are missing: place in `shown`, place in the text.
    seams: Vec<(usize, usize)>,
    /// Places in `shown` that no match spans.
    walls: Vec<usize>,
    /// Where something begins that the end of the text cuts.
    pub(crate) cut: Option<usize>,
}

impl Stripped {
    /// `hidden`: so many bytes at the beginning are the rest of something that
    /// is not shown.
    pub(crate) fn new(text: &[u8], hidden: usize, ended: bool) -> Self {
        let mut stripped = Self {
            shown: Wiped::with_capacity(text.len()),
            len: text.len(),
            seams: vec![(0, hidden)],
            walls: Vec::new(),
            cut: None,
        };
        let mut at = hidden;
        let mut before = None;
        let mut marks = Marks::new(text);
        while at < text.len() {
            let mark = marks.next(at).unwrap_or(text.len());
            // What a backspace underlines stands before it, or is the last.
            let last = usize::from(matches!(text.get(mark), Some(&BACKSPACE) | None));
            let plain = text.get(at..mark.saturating_sub(last)).unwrap_or_default();
            stripped.shown.extend(plain);
            at += plain.len();
            before = plain.last().copied().or(before);
            match piece(text, at, before, ended) {
                Piece::Shown => {
                    before = text.get(at).copied();
                    stripped.shown.extend(before.as_slice());
                    at += 1;
                    continue;
                }
                Piece::Again => at += 2,
                Piece::Hidden(len) => (at, before) = (at + len, None),
                Piece::Wall => {
                    let wall = stripped.shown.len();
                    if stripped.walls.last() != Some(&wall) {
                        stripped.walls.push(wall);
                    }
                    (at, before) = (at + 1, None);
                }
                Piece::Cut => {
                    stripped.cut = Some(at);
                    break;
                }
                Piece::Open => break,
            }
            stripped.seams.push((stripped.shown.len(), at));
        }
        stripped
    }

    fn segments(&self) -> impl Iterator<Item = (usize, usize)> {
        let starts = std::iter::once(0).chain(self.walls.iter().copied());
        starts.zip(self.walls.iter().copied().chain([self.shown.len()]))
    }

    /// Where in the text a shown byte stands.
    fn origin(&self, shown: usize) -> usize {
        let above = self.seams.partition_point(|(seam, _)| *seam <= shown);
        let seam = above.checked_sub(1).and_then(|below| self.seams.get(below));
        seam.map_or(shown, |(seam, origin)| origin + (shown - seam))
    }

    /// How many shown bytes stand before this place of the text.
    fn shown_before(&self, place: usize) -> usize {
        let above = self.seams.partition_point(|(_, origin)| *origin <= place);
        let next = self.seams.get(above).map_or(self.shown.len(), |(seam, _)| *seam);
        let seam = above.checked_sub(1).and_then(|below| self.seams.get(below));
        seam.map_or(0, |(seam, origin)| seam + (place - origin)).min(next)
    }

    /// How many bytes from this place on are the rest of something not shown.
    pub(crate) fn hidden_at(&self, place: usize) -> usize {
        let above = self.seams.partition_point(|(_, origin)| *origin <= place);
        let Some((next, end)) = self.seams.get(above) else { return 0 };
        let seam = above.checked_sub(1).and_then(|below| self.seams.get(below));
        let begins = seam.map(|(seam, origin)| origin + (next - seam));
        if begins.is_none_or(|begins| begins < place) { end - place } else { 0 }
    }
}

/// `before`: the byte shown last, if nothing else stands between.
fn piece(text: &[u8], at: usize, before: Option<u8>, ended: bool) -> Piece {
    let before = before.filter(u8::is_ascii_graphic);
    let rest = text.get(at..).unwrap_or_default();
    match *rest {
        [ESC, ..] => escape(rest, ended),
        [BACKSPACE] if !ended && before.is_some() => Piece::Open,
        [BACKSPACE, again, ..] if before == Some(again) => Piece::Again,
        [BACKSPACE, ..] => Piece::Wall,
        [b'_', BACKSPACE, ..] => Piece::Hidden(2),
        [b'_'] if !ended => Piece::Open,
        [0xc2, 0xad, ..] => Piece::Hidden(2),
        [0xe2, 0x80, 0x8b..=0x8f | 0xaa..=0xae, ..] => Piece::Hidden(3),
        [0xe2, 0x81, 0xa0..=0xaf, ..] => Piece::Hidden(3),
        [0xef, 0xbb, 0xbf, ..] => Piece::Hidden(3),
        [0xc2 | 0xe2 | 0xef] | [0xe2, 0x80 | 0x81] | [0xef, 0xbb] if !ended => Piece::Cut,
        _ => Piece::Shown,
    }
}

/// `ESC [`, parameters, a letter; or `ESC`, intermediates, a letter
/// (ECMA-48 5.4, ECMA-35 13.1). Not the sequences that hold a string.
fn escape(text: &[u8], ended: bool) -> Piece {
    let (skipped, middle) = match text {
        [_, b'[', ..] => (2, 0x20..=0x3f),
        _ => (1, 0x20..=0x2f),
    };
    let len = skipped + text.iter().skip(skipped).take_while(|byte| middle.contains(*byte)).count();
    if len >= MAX_ESCAPE {
        return Piece::Wall;
    }
    match text.get(len) {
        None if !ended => Piece::Cut,
        Some(b'P' | b'X' | b'[' | b']' | b'^' | b'_') if skipped == 1 => Piece::Wall,
        Some(0x30..=0x7e) => Piece::Hidden(len + 1),
        _ => Piece::Wall,
    }
}
