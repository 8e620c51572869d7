//! The engine against the oracle, over sets of forms, texts and ways to cut
//! them. A million cases by default; `STRONGROOM_MANY=n` runs n times as many.

use std::convert::Infallible;

use crate::forms::Whole;
use crate::oracle::{self, Piece, Reference};
use crate::patterns::Patterns;
use crate::stream::Stream;
use crate::tables::SHORTEST;
use crate::wiped::Region;

const NAMES: [&str; 4] = ["A", "B", "C", "D"];

/// xorshift64*: the same cases every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

fn many() -> usize {
    std::env::var("STRONGROOM_MANY").ok().and_then(|many| many.parse().ok()).unwrap_or(1)
}

/// Forms of a few bytes, so that they often match, overlap and nest.
fn forms(random: &mut Random) -> Vec<(usize, Vec<u8>)> {
    let alphabet: &[&[u8]] = match random.below(6) {
        0 => &[b"a"],
        1 | 2 => &[b"a", b"b"],
        3 => &[b"a", b"b", b" ", b"\\", b"\n"],
        4 => &[b"a", b"_", b"m", b"\x1b", b"\x08", b"\r"],
        _ => &[b"a", b"b", b"c", b"\xe2", b"\x80", b"\xc2"],
    };
    let mut forms: Vec<(usize, Vec<u8>)> = Vec::new();
    for _ in 0..1 + random.below(5) {
        let key = random.below(NAMES.len());
        let len = SHORTEST + if random.one_in(12) { random.below(300) } else { random.below(14) };
        let mut form: Vec<u8> = match (random.below(4), forms.is_empty()) {
            (0, false) => forms[random.below(forms.len())].1.clone(),
            (1, false) => {
                let other = &forms[random.below(forms.len())].1;
                other[random.below(other.len() - 3)..].to_vec()
            }
            _ => Vec::new(),
        };
        if form.len() > len && random.one_in(2) {
            form.truncate(len);
        }
        while form.len() < len {
            form.extend_from_slice(random.pick(alphabet));
        }
        forms.push((key, form));
    }
    forms
}

/// Pieces of forms, whole forms, interrupted forms, and what comes between.
fn text(random: &mut Random, forms: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let noise: &[&[u8]] = &[
        b"a",
        b"b",
        b"\n",
        b" ",
        b"\r",
        b"\\",
        b"_",
        b"\x08",
        b"\x1b",
        b"\x1b[",
        b"\x1b[0m",
        b"\xe2",
        b"\xe2\x80",
        b"m",
        b"x",
    ];
    let mut text = Vec::new();
    let parts = 1 + random.below(4);
    for _ in 0..parts {
        let form = &forms[random.below(forms.len())].1;
        match random.below(6) {
            0 => (0..random.below(12)).for_each(|_| text.extend_from_slice(random.pick(noise))),
            1 => text.extend_from_slice(&form[..random.below(form.len())]),
            2 => text.extend_from_slice(&form[random.below(form.len())..]),
            3 => text.extend_from_slice(form),
            _ => interrupted(random, form, &mut text),
        }
    }
    text
}

fn interrupted(random: &mut Random, form: &[u8], text: &mut Vec<u8>) {
    let breaks: &[&[u8]] =
        &[b"\n", b"\r\n", b"\\\n", b"\n  ", b"\n\n", b"\\\r\n\t", b"\r", b"\n\\\n", b"\\\\\n"];
    let hidden: &[&[u8]] = &[
        b"\x1b[1m",
        b"\x1b[m",
        b"\x1b(B",
        b"\xe2\x80\x8b",
        b"\xc2\xad",
        b"\xef\xbb\xbf",
        b"_\x08",
        b"\x1bM",
        b"\x1b[38;5;1m\x1b[K",
        b"\xe2\x81\xa0",
        b"\x1b[\x01",
        b"\x1b]",
        b"\xe2\x80\xaf",
    ];
    let (break_in, hide_in) = (2 + random.below(30), 1 + random.below(30));
    for byte in form {
        if random.one_in(break_in) {
            text.extend_from_slice(random.pick(breaks));
            if *byte == b' ' && random.one_in(2) {
                continue;
            }
        }
        if random.one_in(hide_in) {
            match random.below(8) {
                0 => text.extend_from_slice(&[*byte, 8]),
                // Struck again.
                1 if random.one_in(40) => text.extend(b"\x1b[0m".repeat(300)),
                2 if random.one_in(40) => text.extend([b'\n'].iter().chain(&[b' '; 1100])),
                _ => text.extend_from_slice(random.pick(hidden)),
            }
        }
        text.push(*byte);
    }
}

fn build(forms: &[(usize, Vec<u8>)]) -> (Patterns, Vec<Piece>) {
    let whole = |(key, form): &(usize, Vec<u8>)| Whole {
        bytes: form[..].into(),
        key: *key as u32,
        wrapped: false,
    };
    let Ok(patterns) = Patterns::from_wholes(
        NAMES.iter().map(|name| name.as_bytes()),
        forms.iter().map(whole).collect(),
        |len| Ok::<Box<dyn Region>, Infallible>(Box::new(vec![0; len])),
    );
    (patterns, oracle::cut(forms))
}

fn run<'a>(patterns: &Patterns, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut stream, mut out) = (Stream::new(), Vec::new());
    chunks.for_each(|chunk| drop(stream.push(patterns, chunk, &mut out)));
    stream.finish(patterns, &mut out);
    out
}

struct Case<'a> {
    forms: &'a [(usize, Vec<u8>)],
    text: &'a [u8],
    expected: &'a [u8],
}

impl Case<'_> {
    fn check(&self, how: &str, out: &[u8]) {
        let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
        assert!(
            out == self.expected,
            "{how}\nforms {:?}\ntext     {}\nexpected {}\ngot      {}",
            self.forms.iter().map(|(key, form)| (NAMES[*key], show(form))).collect::<Vec<_>>(),
            show(self.text),
            show(self.expected),
            show(out),
        );
    }
}

/// Every way to cut a text in two, byte by byte, and some at random: the same
/// comes out, and it is what the oracle says.
#[test]
fn whatever_a_stream_is_cut_into_the_oracle_is_right() {
    let mut random = Random(0x0dd_5eed);
    let mut cases = 0;
    while cases < 900_000 * many() {
        let forms = forms(&mut random);
        let (patterns, pieces) = build(&forms);
        for _ in 0..6 {
            let text = text(&mut random, &forms);
            let mut reference = Reference::default();
            reference.push(&pieces, &NAMES, &text);
            let expected = reference.finish(&pieces, &NAMES);
            let case = Case { forms: &forms, text: &text, expected: &expected };
            for at in 0..=text.len().min(400) {
                let (first, second) = text.split_at(at);
                case.check(&format!("cut at {at}"), &run(&patterns, [first, second].into_iter()));
            }
            case.check("byte by byte", &run(&patterns, text.chunks(1)));
            for _ in 0..3 {
                let mut rest = &text[..];
                let chunks = std::iter::from_fn(|| {
                    let (chunk, more) = rest.split_at(random.below(rest.len().min(20) + 1));
                    (!std::mem::replace(&mut rest, more).is_empty()).then_some(chunk)
                });
                let chunks: Vec<_> = chunks.collect();
                case.check("at random", &run(&patterns, chunks.into_iter()));
            }
            cases += text.len().min(400) + 5;
            let whole = Reference::redact(&pieces, &NAMES, &text);
            let case = Case { expected: &whole, ..case };
            case.check("as a whole", &patterns.redact(&text).bytes);
        }
    }
    println!("{cases} cases");
}

/// Nothing is held but what may yet become a form, and all of that.
#[test]
fn only_a_live_beginning_is_held() {
    let mut random = Random(0x0b5e_55ed);
    let mut cases = 0;
    while cases < 60_000 * many() {
        let forms = forms(&mut random);
        let (patterns, pieces) = build(&forms);
        let text = text(&mut random, &forms);
        let (mut stream, mut out) = (Stream::new(), Vec::new());
        for at in 0..text.len().min(300) {
            stream.push(&patterns, &text[at..=at], &mut out);
            let so_far = &text[..=at];
            let held = so_far.len() - oracle::settled(&pieces, so_far, 0);
            assert_eq!(stream.held(), held, "{forms:?} {}", so_far.escape_ascii());
            cases += 1;
        }
    }
    println!("{cases} cases");
}

/// Other patterns from one write to the next, and pauses: what is held is
/// looked at again, and a form in both sets never leaves.
#[test]
fn patterns_may_change_and_writers_may_pause() {
    let mut random = Random(0x5a5a_1234);
    let mut cases = 0;
    while cases < 40_000 * many() {
        let common = forms(&mut random);
        let sets: Vec<_> = (0..3)
            .map(|_| {
                let mut forms = forms(&mut random);
                forms.extend_from_slice(&common);
                let (patterns, pieces) = build(&forms);
                (patterns, pieces, forms)
            })
            .collect();
        for _ in 0..8 {
            let text = text(&mut random, &sets[0].2);
            let (mut stream, mut out) = (Stream::new(), Vec::new());
            let mut reference = Reference::default();
            let (mut rest, mut set) = (&text[..], &sets[0]);
            while !rest.is_empty() {
                let (chunk, more) = rest.split_at(1 + random.below(rest.len().min(30)));
                rest = more;
                stream.push(&set.0, chunk, &mut out);
                reference.push(&set.1, &NAMES, chunk);
                if random.one_in(4) {
                    stream.idle(&set.0, &mut out);
                    reference.idle(&set.1, &NAMES);
                    assert!(!stream.holds());
                }
                set = &sets[random.below(sets.len())];
                cases += 1;
            }
            stream.finish(&set.0, &mut out);
            let expected = reference.finish(&set.1, &NAMES);
            Case { forms: &set.2, text: &text, expected: &expected }.check("with pauses", &out);
            for (_, form) in &common {
                let leaked =
                    clear_parts(&out).any(|part| part.windows(form.len()).any(|part| part == form));
                assert!(!leaked, "{} in {}", form.escape_ascii(), out.escape_ascii());
            }
        }
    }
    println!("{cases} cases");
}

/// Wherever a stream is cut off, fewer than eight bytes of a form are left.
#[test]
fn a_cut_leaves_no_fragment() {
    let mut random = Random(0xc07);
    let mut cases = 0;
    while cases < 60_000 * many() {
        let forms = forms(&mut random);
        let (patterns, pieces) = build(&forms);
        let mut text = text(&mut random, &forms);
        text.truncate(random.below(text.len() + 1));
        let out = run(&patterns, std::iter::once(&text[..]));
        let last = clear_parts(&out).last().unwrap();
        for piece in &pieces {
            let fragment = piece.bytes.first_chunk::<SHORTEST>().unwrap();
            let left = (0..last.len().saturating_sub(SHORTEST - 1))
                .any(|at| last[at..].starts_with(fragment) && piece.bytes.starts_with(&last[at..]));
            assert!(!left, "{} in {}", piece.bytes.escape_ascii(), out.escape_ascii());
        }
        cases += 1;
    }
    println!("{cases} cases");
}

/// Long repetitions, of which the engine looks at the ends only.
#[test]
fn repetitions_are_masked_like_anything_else() {
    let mut random = Random(0xaaaa);
    let mut cases = 0;
    while cases < 400 * many() {
        let unit: Vec<u8> =
            (0..1 + random.below(9)).map(|_| b"ab\n"[random.below(10) / 4]).collect();
        let long = unit.repeat(60);
        let mut forms = forms(&mut random);
        for _ in 0..1 + random.below(3) {
            let start = random.below(unit.len());
            let len = SHORTEST + random.below(40);
            forms.push((random.below(NAMES.len()), long[start..start + len].to_vec()));
        }
        let (patterns, pieces) = build(&forms);
        let mut text = Vec::new();
        for _ in 0..1 + random.below(3) {
            text.extend_from_slice(&unit.repeat((200 + random.below(3000)) / unit.len()));
            text.extend_from_slice(&forms[random.below(forms.len())].1[random.below(8)..]);
        }
        let expected = Reference::redact(&pieces, &NAMES, &text);
        let case = Case { forms: &forms, text: &text, expected: &expected };
        case.check("as a whole", &patterns.redact(&text).bytes);
        cases += 1;
    }
    println!("{cases} cases");
}

/// What stands between markers.
fn clear_parts(out: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(out);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let marker = text.windows(10).position(|bytes| bytes == b"[REDACTED:");
        let Some(at) = marker else { return Some(text) };
        rest = text.get(at + 12..);
        Some(&text[..at])
    })
}
