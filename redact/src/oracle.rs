//! What redaction should do, written to be obviously right and nothing else:
//! every form is compared at every place. The tests compare the engine with it.

use crate::scan::REACH;
use crate::tables::{LONGEST, SHORTEST};

/// One form, at most [`LONGEST`] bytes.
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    pub(crate) key: usize,
    pub(crate) joins: bool,
}

/// Cuts forms as the engine must: pieces of 64 bytes, up to 96 if white space
/// follows, the last up to 127.
/// The first of equals stays; it joins if one of the same key does.
pub(crate) fn cut(forms: &[(usize, Vec<u8>)]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (key, form) in forms {
        let mut rest = &form[..];
        while !rest.is_empty() {
            let mut len = rest.len();
            if len > LONGEST {
                len = (64..96).find(|at| !rest[*at].is_ascii_whitespace()).unwrap_or(96);
            }
            let (bytes, more) = rest.split_at(len);
            let joins = rest.len() < form.len();
            match pieces.iter_mut().find(|piece| piece.bytes == bytes) {
                Some(known) => known.joins |= joins && known.key == *key,
                None => pieces.push(Piece { bytes: bytes.to_vec(), key: *key, joins }),
            }
            rest = more;
        }
    }
    pieces.sort_by(|a, b| a.bytes.cmp(&b.bytes));
    pieces
}

#[derive(Clone, Copy, Debug)]
struct Range {
    start: usize,
    end: usize,
    key: usize,
    joins: bool,
}

/// Some bytes of a text, each with its place in it. `whole` is the length of
/// the text if it may go on after the last of them.
struct Line {
    bytes: Vec<(u8, usize)>,
    whole: Option<usize>,
}

/// The longest form at every place not before `from`, in the text and in what a
/// terminal shows.
fn matches(pieces: &[Piece], text: &[u8], from: usize, ended: bool) -> Vec<Range> {
    let mut ranges = Vec::new();
    for line in lines(text, ended).iter().flatten() {
        for place in line.bytes.partition_point(|(_, at)| *at < from)..line.bytes.len() {
            let mut best: Option<Range> = None;
            for (bytes, _) in views(line, place) {
                let fits = |piece: &&Piece| {
                    let heads = bytes.iter().map(|(byte, _)| byte);
                    bytes.len() >= piece.bytes.len()
                        && piece.bytes.iter().zip(heads).all(|(a, b)| a == b)
                };
                let longest = pieces.iter().filter(fits).max_by_key(|piece| piece.bytes.len());
                if let Some(piece) = longest {
                    let (start, end) = (line.bytes[place].1, bytes[piece.bytes.len() - 1].1);
                    if best.is_none_or(|best| best.end < end) {
                        best = Some(Range { start, end, key: piece.key, joins: piece.joins });
                    }
                }
            }
            ranges.extend(best);
        }
    }
    ranges.sort_by_key(|range| (range.start, usize::MAX - range.end));
    ranges
}

/// The first beginning of a form, not before `from`, at the end of the text, in
/// the text and in what is shown, with how many bytes of the form are there.
fn lives(pieces: &[Piece], text: &[u8], from: usize) -> Vec<(Range, usize)> {
    let live = |lines: &Vec<Line>| {
        let line = lines.last()?;
        let whole = line.whole?;
        let first = line.bytes.partition_point(|(_, at)| *at < from);
        (first..line.bytes.len()).find_map(|place| {
            views(line, place).into_iter().find_map(|(bytes, open)| {
                let begins = |piece: &&Piece| {
                    let heads = piece.bytes.iter();
                    piece.bytes.len() > bytes.len()
                        && bytes.iter().zip(heads).all(|(a, b)| a.0 == *b)
                };
                let piece = pieces.iter().filter(|_| open).find(begins)?;
                let start = line.bytes[place].1;
                Some((Range { start, end: whole, key: piece.key, joins: piece.joins }, bytes.len()))
            })
        })
    };
    lines(text, false).iter().filter_map(live).collect()
}

/// Where the engine must hold from.
pub(crate) fn settled(pieces: &[Piece], text: &[u8], from: usize) -> usize {
    let cut = shown(text, false).1;
    let lives = lives(pieces, text, from).into_iter().map(|(range, _)| range.start);
    lives.chain(cut).min().unwrap_or(text.len())
}

/// The ways to read a line from a place: as it is, with breaks left out, and
/// with a space for each; the bytes with the place where each ends, and whether
/// the line was read to its end and may go on.
fn views(line: &Line, place: usize) -> Vec<(Vec<(u8, usize)>, bool)> {
    let origin = line.bytes[place].1;
    let all = &line.bytes[place..];
    let near = all.iter().take_while(|(_, at)| *at < origin + REACH).count();
    let open =
        |from: usize| line.whole.is_some_and(|whole| whole < origin + REACH && from == all.len());
    let exact: Vec<_> = all[..near.min(LONGEST)].iter().map(|(byte, at)| (*byte, at + 1)).collect();
    let open_end = open(exact.len());
    let mut views = vec![(exact, open_end)];
    if !all.iter().take(near).any(|(byte, _)| matches!(byte, b'\n' | b'\r' | b'\\')) {
        return views;
    }
    for space in [false, true] {
        let mut bytes = Vec::new();
        let (mut at, mut after, mut begun) = (0, false, false);
        let limit = near.min(REACH);
        let end = |at: usize| all[at].1 + 1;
        while at < limit && bytes.len() < LONGEST && !begun {
            match if at < SHORTEST { Some(0) } else { break_at(&all[at..], line.whole.is_some()) } {
                Some(0) => {
                    bytes.push((all[at].0, end(at)));
                    at += 1;
                    after = false;
                }
                Some(len) => {
                    let newline =
                        at + all[at..].iter().position(|(byte, _)| *byte == b'\n').unwrap();
                    if newline >= limit {
                        break;
                    }
                    if space && !after {
                        bytes.push((b' ', end(newline)));
                    }
                    at += len;
                    after = true;
                }
                None => begun = true,
            }
        }
        let read = bytes.len() < LONGEST && at < REACH && open(at);
        views.push((bytes, begun || read));
    }
    views
}

/// Length of the line break here; `None` if the end hides whether it is one.
fn break_at(text: &[(u8, usize)], more: bool) -> Option<usize> {
    let byte = |at: usize| text.get(at).map(|(byte, _)| *byte);
    let mut at = 0;
    at += usize::from(byte(at) == Some(b'\\'));
    at += usize::from(byte(at) == Some(b'\r'));
    if byte(at).is_none() {
        return if more { None } else { Some(0) };
    }
    if byte(at) != Some(b'\n') {
        return Some(0);
    }
    at += 1;
    while matches!(byte(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    Some(at)
}

/// The text as it is, and what is shown of it, between walls.
fn lines(text: &[u8], ended: bool) -> [Vec<Line>; 2] {
    let plain = text.iter().copied().zip(0..).collect();
    let whole = (!ended).then_some(text.len());
    [vec![Line { bytes: plain, whole }], shown(text, ended).0]
}

/// What is shown, and where something begins that the end of the text cuts.
fn shown(text: &[u8], ended: bool) -> (Vec<Line>, Option<usize>) {
    let mut lines = vec![Line { bytes: Vec::new(), whole: None }];
    let mut cut = None;
    // The byte shown last, if only strikes of it stand between.
    let mut before = 0_u8;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if before.is_ascii_graphic() && rest.starts_with(&[8, before]) {
            at += 2;
        } else if let Some(len) = hidden(rest) {
            at += len;
            before = 0;
        } else if !ended && open(rest, before) {
            if !matches!(rest[0], b'_' | 8) {
                cut = Some(at);
            }
            break;
        } else if rest[0] == 0x1b || rest[0] == 8 {
            lines.push(Line { bytes: Vec::new(), whole: None });
            at += 1;
            before = 0;
        } else {
            lines.last_mut().unwrap().bytes.push((rest[0], at));
            at += 1;
            before = rest[0];
        }
    }
    lines.last_mut().unwrap().whole = (!ended).then_some(text.len());
    (lines, cut)
}

/// Bytes at the beginning that a terminal does not show.
fn hidden(text: &[u8]) -> Option<usize> {
    let zero_width = "\u{ad}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{feff}"
        .chars()
        .chain('\u{2060}'..='\u{206f}');
    for character in zero_width {
        let mut bytes = [0; 4];
        let bytes = character.encode_utf8(&mut bytes).as_bytes();
        if text.starts_with(bytes) {
            return Some(bytes.len());
        }
    }
    if text.starts_with(b"_\x08") {
        return Some(2);
    }
    (2..=32.min(text.len())).find(|len| is_escape(&text[..*len]))
}

fn is_escape(bytes: &[u8]) -> bool {
    match bytes {
        [0x1b, b'[', middle @ .., 0x30..=0x7e] if bytes.len() > 2 => {
            // Parameters come up to `?`, so the first byte beyond ends it.
            middle.iter().all(|byte| (0x20..0x40).contains(byte)) && bytes[bytes.len() - 1] >= 0x40
        }
        [0x1b, middle @ .., last @ 0x30..=0x7e] => {
            middle.iter().all(|byte| (0x20..0x30).contains(byte)) && !b"PX[]^_".contains(last)
        }
        _ => false,
    }
}

/// The text may go on so that its beginning is not shown.
fn open(text: &[u8], before: u8) -> bool {
    let cut_character = ["\u{ad}", "\u{200b}", "\u{2060}", "\u{feff}"];
    let cut_character = cut_character.iter().any(|whole| whole.as_bytes().starts_with(text));
    let cut_escape = text[0] == 0x1b
        && text.len() < 32
        && match text.get(1) {
            Some(b'[') => text[2..].iter().all(|byte| (0x20..0x40).contains(byte)),
            _ => text[1..].iter().all(|byte| (0x20..0x30).contains(byte)),
        };
    let struck = text == b"_" || (text == b"\x08" && before.is_ascii_graphic());
    cut_character || cut_escape || struck
}

/// What a command has printed so far, and what was written of it.
#[derive(Default)]
pub(crate) struct Reference {
    text: Vec<u8>,
    /// Before this place nothing is looked at again.
    settled: usize,
    done: usize,
    masked: bool,
    out: Vec<u8>,
}

impl Reference {
    pub(crate) fn push(&mut self, pieces: &[Piece], names: &[&str], chunk: &[u8]) {
        self.text.extend_from_slice(chunk);
        let settled = settled(pieces, &self.text, self.settled);
        let mut ranges = matches(pieces, &self.text, self.settled, false);
        // One that overlaps what is masked now is masked with it.
        let mut end = 0;
        ranges.retain(|range| {
            let now =
                range.start < settled || range.start < end || (range.start == end && range.joins);
            end = if now { end.max(range.end) } else { end };
            now
        });
        self.write(&ranges, names, settled);
        self.settled = settled;
    }

    pub(crate) fn idle(&mut self, pieces: &[Piece], names: &[&str]) {
        let mut ranges = matches(pieces, &self.text, self.settled, true);
        let lives = lives(pieces, &self.text, self.settled);
        let enough =
            lives.into_iter().filter(|(_, kept)| *kept >= SHORTEST).map(|(range, _)| range);
        ranges.extend(enough.min_by_key(|range| range.start));
        ranges.sort_by_key(|range| (range.start, usize::MAX - range.end));
        self.write(&ranges, names, self.text.len());
    }

    /// Everything written; the end of the stream.
    pub(crate) fn finish(mut self, pieces: &[Piece], names: &[&str]) -> Vec<u8> {
        self.idle(pieces, names);
        self.out
    }

    pub(crate) fn redact(pieces: &[Piece], names: &[&str], text: &[u8]) -> Vec<u8> {
        let mut whole = Self { text: text.to_vec(), ..Self::default() };
        let ranges = matches(pieces, text, 0, true);
        whole.write(&ranges, names, text.len());
        whole.out
    }

    fn write(&mut self, ranges: &[Range], names: &[&str], to: usize) {
        for range in ranges {
            if range.end <= self.done {
                continue;
            }
            self.show(range.start);
            let touches = range.start < self.done || (range.start == self.done && range.joins);
            if !(self.masked && touches) {
                self.out.extend_from_slice(format!("[REDACTED:{}]", names[range.key]).as_bytes());
            }
            self.done = range.end;
            self.masked = true;
        }
        self.show(to);
    }

    fn show(&mut self, to: usize) {
        if self.done < to {
            self.out.extend_from_slice(&self.text[self.done..to]);
            self.done = to;
            self.masked = false;
        }
    }
}
