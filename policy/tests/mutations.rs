//! Damaged policies: refused or understood, never a panic, never a hang.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::Folder;
use strongroom_policy::{check_trust, compile, load};

/// xorshift64: the same damage on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

#[test]
fn damage() {
    const BITS: &[&[u8]] = &[
        b"\"",
        b"[",
        b"]",
        b"{",
        b"}",
        b"=",
        b"\n",
        b".",
        b"*",
        b"...",
        b"@home",
        b"/",
        b"..",
        b"0",
        b"-1",
        b"99999999999999999999",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"version",
        b"[[rule]]",
        b"none",
        b"true",
        b"'''",
        b"\\u0000",
        b"1979-05-27",
        b"inf",
        b"\r",
        b"\nplain = \"ask\"\n",
        b"\nnetwork = \"open\"\n",
        b"\ncredentials = [\"GITHUB_TOKEN\"]\n",
        b"\ni_understand_shell_can_print_it = true\n",
    ];
    let folder = Folder::new();
    let place = folder.place();
    let home = folder.path("home");
    std::fs::create_dir(&home).unwrap();
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/example.toml");
    let whole = std::fs::read_to_string(example)
        .unwrap()
        .replace("/home/agent", home.to_str().unwrap())
        .replace("[\"env\"]", "[\"env\", \"file\"]")
        .into_bytes();
    let mut dice = Dice(0x0dd5_eed5_0000_0001);
    let (mut refused, mut loaded_count, mut compiled) = (0, 0, 0);
    for _ in 0..3000 {
        let mut text = whole.clone();
        for _ in 0..=dice.roll(3) {
            let at = dice.roll(text.len());
            match dice.roll(4) {
                0 => text.truncate(at.max(1)),
                1 => {
                    let end = (at + dice.roll(12)).min(text.len());
                    text.drain(at..end);
                    text.push(b'\n');
                }
                2 => text[at] = text[at].wrapping_add(1),
                _ => {
                    let bit = BITS[dice.roll(BITS.len())];
                    text.splice(at..at, bit.iter().copied());
                }
            }
        }
        match load(Some(&folder.write("policy.toml", &text))) {
            Ok(loaded) => {
                loaded_count += 1;
                let _ = check_trust(&loaded, place.sandbox);
                compiled += usize::from(compile(&loaded, &place).is_ok());
            }
            Err(found) => {
                refused += 1;
                assert!(found.has_errors() && found.code().is_some());
                let rendered = found.to_string();
                assert!(!rendered.bytes().any(|b| b < b'\n'), "{rendered:?}");
            }
        }
    }
    assert!(refused > 500 && loaded_count > 100, "{refused} {loaded_count} {compiled}");
    assert!(compiled > 100, "{refused} {loaded_count} {compiled}");
}
