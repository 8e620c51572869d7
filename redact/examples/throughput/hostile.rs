//! Texts by somebody who knows the secrets and wants the redaction to be slow,
//! and secrets by somebody who chooses them so that it is.

use super::texts::{self, Random};
use super::{MIB, Secrets, name};

const SIZE: usize = 4 * MIB;

/// A text's name, and how it is made.
pub type Text<'a> = (&'static str, Maker<'a>);
type Maker<'a> = Box<dyn Fn(&mut Random) -> Vec<u8> + 'a>;

/// Texts against secrets such as people have.
pub fn of(secrets: &Secrets) -> Vec<Text<'_>> {
    let first = &secrets[0].1;
    let begin = &first[..8];
    let any = move |random: &mut Random| &secrets[random.below(secrets.len())].1[..];
    let encoded = move |random: &mut Random| match random.below(4) {
        0 => texts::base64(any(random)),
        1 => hex(any(random), ""),
        2 => hex(any(random), "%"),
        _ => hex(any(random), "\\u00"),
    };
    let beginning = move |bytes: Vec<u8>, random: &mut Random| {
        let longest = bytes.len().min(127) - 8;
        bytes[..8 + random.below(longest)].to_vec()
    };
    let broken = move |bytes: &[u8]| {
        let (head, rest) = bytes.split_at(8);
        let rest = rest.iter().flat_map(|byte| [b'\n', *byte]);
        head.iter().copied().chain(rest).collect::<Vec<_>>()
    };
    vec![
        ("a secret but its last byte", repeated(&first[..first.len() - 1])),
        ("its first 8 bytes", repeated(begin)),
        ("its first 8 bytes, line by line", repeated(&[begin, b"\n"].concat())),
        ("its first 8 bytes, blank lines", repeated(&[begin, b"\n\n"].concat())),
        ("its first 8 bytes, indented lines", repeated(&[begin, b"\\\r\n\t "].concat())),
        ("its first 8 bytes, much indentation", repeated(&[begin, b"\n", &[b' '; 40]].concat())),
        ("its first 8 bytes, in colour", repeated(&[begin, b"\x1b[1m"].concat())),
        (
            "beginnings of secrets",
            filled(move |random| {
                let bytes = any(random).to_vec();
                beginning(bytes, random)
            }),
        ),
        (
            "beginnings of secrets, line by line",
            filled(move |random| {
                let bytes = any(random).to_vec();
                [&beginning(bytes, random)[..], b"\n"].concat()
            }),
        ),
        (
            "beginnings of encodings",
            filled(move |random| {
                let bytes = encoded(random);
                beginning(bytes, random)
            }),
        ),
        (
            "beginnings of encodings, line by line",
            filled(move |random| {
                let bytes = encoded(random);
                [&beginning(bytes, random)[..], b"\n"].concat()
            }),
        ),
        (
            "blocks of 8 bytes from anywhere",
            filled(move |random| {
                let bytes = any(random);
                let at = random.below(bytes.len() - 7);
                bytes[at..at + 8].to_vec()
            }),
        ),
        (
            "blocks of 4 bytes from beginnings",
            filled(move |random| {
                let at = random.below(5);
                any(random)[at..at + 4].to_vec()
            }),
        ),
        ("the secrets, back to back", filled(move |random| any(random).to_vec())),
        ("the secrets, line by line", filled(move |random| [any(random), b"\n"].concat())),
        ("the secrets, a byte a line", filled(move |random| broken(any(random)))),
        (
            "the secrets, a byte a line, but the last",
            filled(move |random| {
                let bytes = broken(any(random));
                bytes[..bytes.len() - 1].to_vec()
            }),
        ),
        ("the secrets in base64", filled(move |random| texts::base64(any(random)))),
        ("the secrets in hex", filled(move |random| hex(any(random), ""))),
        ("percents", repeated(b"%")),
        ("backslashes", repeated(b"\\")),
        ("backslashes and carriage returns", repeated(b"\\\r")),
        ("empty lines", repeated(b"\n")),
        ("ends of lines, escaped", repeated(b"\\\r\n")),
        ("every byte in colour", repeated(b"s\x1b[1m")),
        ("every byte struck twice", repeated(b"s\x08s")),
        ("every byte underlined", repeated(b"_\x08s")),
        ("escapes", repeated(b"\x1b")),
        ("backspaces", repeated(b"\x08")),
        ("zero-width characters", repeated("s\u{200b}".as_bytes())),
        ("dashes, nearly zero-width", repeated("\u{2014}\u{2026}".as_bytes())),
    ]
}

/// Secrets made for it, and texts made for them.
pub struct Made {
    pub what: &'static str,
    pub secrets: Secrets,
    pub texts: Vec<Text<'static>>,
}

/// Sets of secrets that nobody has by chance.
pub fn made(random: &mut Random) -> Vec<Made> {
    let prefixed = |i| (name(i), [b"sk-live-", &random.token(24)[..]].concat());
    let prefixed: Secrets = (0..512).map(prefixed).collect();
    let values: Vec<_> = prefixed.iter().map(|(_, value)| value.clone()).collect();
    let beginning = move |random: &mut Random| {
        let len = 9 + random.below(23);
        values[random.below(values.len())][..len].to_vec()
    };
    let in_a_line = beginning.clone();
    let ring = random.token(64);
    let turned = |i: usize| (name(i), [&ring[i..], &ring[..i]].concat());
    let turned: Secrets = (0..64).map(turned).collect();
    let lines_of = |unit: &[u8]| [unit, b"\n"].concat();
    vec![
        Made {
            what: "sk-live-, 512",
            secrets: prefixed,
            texts: vec![
                ("sk-live-", repeated(b"sk-live-")),
                ("in lines", repeated(b"sk-live-\n")),
                ("beginnings", filled(beginning)),
                ("beginnings in lines", filled(move |random| lines_of(&in_a_line(random)))),
            ],
        },
        Made {
            what: "a, 12 to 75 of it",
            secrets: (0..64).map(|i| (name(i), vec![b'a'; 12 + i])).collect(),
            texts: vec![
                ("aaa", repeated(b"a")),
                ("lines of 9", repeated(&lines_of(&[b'a'; 9]))),
                ("lines of 100", repeated(&lines_of(&[b'a'; 100]))),
                ("lines of 11", repeated(&lines_of(&[b'a'; 11]))),
            ],
        },
        Made {
            what: "ab, 12 to 75 of it",
            secrets: (0..64).map(|i| (name(i), b"ab".repeat(50)[..12 + i].to_vec())).collect(),
            texts: vec![
                ("abab", repeated(b"ab")),
                ("lines of 9", repeated(&lines_of(b"ababababa"))),
                ("lines of 100", repeated(&lines_of(&b"ab".repeat(50)))),
            ],
        },
        Made {
            what: "64 KiB of a",
            secrets: vec![(name(0), vec![b'a'; 65536])],
            texts: vec![
                ("aaa", repeated(b"a")),
                ("lines of 100", repeated(&lines_of(&[b'a'; 100]))),
            ],
        },
        Made {
            what: "64 turns of one",
            secrets: turned,
            texts: vec![
                ("round and round", repeated(&ring)),
                ("lines of 100", repeated(&lines_of(&ring.repeat(2)[..100]))),
                ("seven bytes left out", repeated(&ring[7..])),
            ],
        },
    ]
}

fn repeated(unit: &[u8]) -> Maker<'static> {
    let unit = unit.to_vec();
    Box::new(move |_| unit.repeat(SIZE / unit.len()))
}

fn filled<'a>(part: impl Fn(&mut Random) -> Vec<u8> + 'a) -> Maker<'a> {
    Box::new(move |random| {
        let mut text = Vec::with_capacity(SIZE + 1024);
        while text.len() < SIZE {
            text.extend(part(random));
        }
        text
    })
}

fn hex(bytes: &[u8], before: &str) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{before}{byte:02x}").into_bytes()).collect()
}
