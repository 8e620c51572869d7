//! Quoted strings of shells and languages, and what cat(1) makes of control
//! characters. What is made is the inside of the quotes.

use super::{Case, Forms, Unit, bytewise, charwise, push_char, push_hex};
use crate::wiped::Wiped;

/// Characters that bash(1) puts a backslash before, in `printf %q` and `set -x`.
const SHELL_SPECIAL: &[u8] = b" \t!\"$&'()*,;<>?[\\]^`{|}";

/// In single quotes: both ways to write one.
pub(crate) fn shell_single(value: &[u8], forms: &mut Forms<'_>) {
    for quote in [&br"'\''"[..], br#"'"'"'"#] {
        forms(replaced(value, b'\'', quote));
    }
}

/// In double quotes.
pub(crate) fn shell_double(value: &[u8], forms: &mut Forms<'_>) {
    forms(backslashed(value, b"\"$\\`"));
    forms(backslashed(value, b"\"$\\`!"));
}

/// Without quotes, a backslash before what is special: `#` at the beginning of
/// a word, `~` there and where an assignment or a path may begin (bash,
/// `sh_backslash_quote`).
pub(crate) fn shell_backslash(value: &[u8], forms: &mut Forms<'_>) {
    let mut before = None;
    forms(bytewise(value, |byte, form| {
        let special = match byte {
            b'#' => before.is_none(),
            b'~' => matches!(before, None | Some(b':' | b'=')),
            other => SHELL_SPECIAL.contains(&other),
        };
        if special {
            form.push(b'\\');
        }
        form.push(byte);
        before = Some(byte);
    }));
}

/// A quote written twice: SQL, CSV, YAML in single quotes, Windows.
pub(crate) fn doubled(value: &[u8], forms: &mut Forms<'_>) {
    forms(replaced(value, b'\'', b"''"));
    forms(replaced(value, b'"', b"\"\""));
}

fn replaced(value: &[u8], from: u8, to: &[u8]) -> Wiped {
    bytewise(value, |byte, form| {
        form.extend(if byte == from { to } else { std::slice::from_ref(&byte) })
    })
}

fn backslashed(value: &[u8], special: &[u8]) -> Wiped {
    bytewise(value, |byte, form| {
        if special.contains(&byte) {
            form.push(b'\\');
        }
        form.push(byte);
    })
}

/// How a language writes a string.
struct Quoting {
    /// Quotes that get a backslash.
    quotes: &'static [u8],
    /// Characters that have a letter of their own.
    letters: &'static [(char, u8)],
    control: Control,
    beyond_ascii: Beyond,
}

/// How other control characters are written.
#[derive(Clone, Copy)]
enum Control {
    /// `\x1b`
    Hex(Case),
    /// `\u{1b}`
    Braces,
    /// `\033`
    Octal,
}

/// How characters beyond ASCII are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Kept,
    /// Each byte like a control character.
    Bytes,
    /// `\xe9`, `\u20ac`, `\U0001f511`
    Shortest(Case),
    /// `\u00e9`, `\u20ac`, `\U0001f511`
    Unicode,
}

const BASIC: &[(char, u8)] = &[('\n', b'n'), ('\r', b'r'), ('\t', b't')];
const RUST: &[(char, u8)] = &[('\n', b'n'), ('\r', b'r'), ('\t', b't'), ('\0', b'0')];
const C: &[(char, u8)] = &[
    ('\n', b'n'),
    ('\r', b'r'),
    ('\t', b't'),
    ('\u{7}', b'a'),
    ('\u{8}', b'b'),
    ('\u{b}', b'v'),
    ('\u{c}', b'f'),
];
const JAVASCRIPT: &[(char, u8)] =
    &[('\n', b'n'), ('\r', b'r'), ('\t', b't'), ('\u{8}', b'b'), ('\u{c}', b'f')];
/// With ESC: bash(1), and YAML but for the two that come after.
const BASH: &[(char, u8)] = &[
    ('\n', b'n'),
    ('\r', b'r'),
    ('\t', b't'),
    ('\u{7}', b'a'),
    ('\u{8}', b'b'),
    ('\u{b}', b'v'),
    ('\u{c}', b'f'),
    ('\u{1b}', b'E'),
];
/// YAML 1.2 section 5.7.
const YAML: &[(char, u8)] = &[
    ('\n', b'n'),
    ('\r', b'r'),
    ('\t', b't'),
    ('\u{7}', b'a'),
    ('\u{8}', b'b'),
    ('\u{b}', b'v'),
    ('\u{c}', b'f'),
    ('\u{1b}', b'e'),
    ('\0', b'0'),
    ('\u{85}', b'N'),
    ('\u{a0}', b'_'),
    ('\u{2028}', b'L'),
    ('\u{2029}', b'P'),
];

const LOWER: Control = Control::Hex(Case::Lower);
const UPPER: Control = Control::Hex(Case::Upper);

/// bash's `$'...'`.
pub(crate) fn shell_ansi(value: &[u8], forms: &mut Forms<'_>) {
    let bash = Quoting {
        quotes: b"'",
        letters: BASH,
        control: Control::Octal,
        beyond_ascii: Beyond::Kept,
    };
    forms(bash.encode(value));
    forms(Quoting { beyond_ascii: Beyond::Bytes, ..bash }.encode(value));
}

/// Python's `repr` and `ascii` of text, `repr` of bytes. It chooses the quotes.
pub(crate) fn python(value: &[u8], forms: &mut Forms<'_>) {
    for quotes in [&b"'"[..], b""] {
        for beyond_ascii in [Beyond::Kept, Beyond::Shortest(Case::Lower), Beyond::Bytes] {
            forms(Quoting { quotes, letters: BASIC, control: LOWER, beyond_ascii }.encode(value));
        }
    }
}

/// Rust's `{:?}` of text and `escape_ascii` of bytes, Go's `%q` and `%+q`, C.
pub(crate) fn source(value: &[u8], forms: &mut Forms<'_>) {
    let rust = Quoting {
        quotes: b"\"",
        letters: RUST,
        control: Control::Braces,
        beyond_ascii: Beyond::Kept,
    };
    forms(rust.encode(value));
    let bytes =
        Quoting { quotes: b"\"'", letters: BASIC, control: LOWER, beyond_ascii: Beyond::Bytes };
    forms(bytes.encode(value));
    let go = Quoting { quotes: b"\"", letters: C, control: LOWER, beyond_ascii: Beyond::Kept };
    forms(go.encode(value));
    forms(Quoting { beyond_ascii: Beyond::Unicode, ..go }.encode(value));
    forms(Quoting { control: Control::Octal, beyond_ascii: Beyond::Bytes, ..go }.encode(value));
}

/// JavaScript strings as Node shows them, in the quotes that it chooses.
pub(crate) fn javascript(value: &[u8], forms: &mut Forms<'_>) {
    for quotes in [&b"'"[..], b"\"", b"`", b""] {
        let quoting =
            Quoting { quotes, letters: JAVASCRIPT, control: UPPER, beyond_ascii: Beyond::Kept };
        forms(quoting.encode(value));
    }
}

/// YAML in double quotes.
pub(crate) fn yaml(value: &[u8], forms: &mut Forms<'_>) {
    for beyond_ascii in [Beyond::Kept, Beyond::Shortest(Case::Upper)] {
        forms(Quoting { quotes: b"\"", letters: YAML, control: UPPER, beyond_ascii }.encode(value));
    }
}

impl Quoting {
    fn encode(&self, value: &[u8]) -> Wiped {
        charwise(value, |unit, form| match unit {
            Unit::Char(c) => self.push(c, form),
            Unit::Byte(b) if self.beyond_ascii == Beyond::Kept => form.push(b),
            Unit::Byte(b) => self.control(b, form),
        })
    }

    fn push(&self, c: char, form: &mut Wiped) {
        if c == '\\' || (c.is_ascii() && self.quotes.contains(&(c as u8))) {
            form.extend(&[b'\\', c as u8]);
        } else if let Some((_, letter)) = self.letters.iter().find(|(known, _)| *known == c) {
            form.extend(&[b'\\', *letter]);
        } else if c.is_ascii_control() {
            self.control(c as u8, form);
        } else if c.is_ascii() {
            form.push(c as u8);
        } else {
            self.beyond(c, form);
        }
    }

    fn control(&self, byte: u8, form: &mut Wiped) {
        match self.control {
            Control::Hex(case) => {
                form.extend(br"\x");
                push_hex(form, byte.into(), 2, case);
            }
            Control::Braces => {
                form.extend(br"\u{");
                push_hex(form, byte.into(), if byte < 16 { 1 } else { 2 }, Case::Lower);
                form.push(b'}');
            }
            Control::Octal => {
                form.extend(&[
                    b'\\',
                    b'0' + (byte >> 6),
                    b'0' + (byte >> 3 & 7),
                    b'0' + (byte & 7),
                ]);
            }
        }
    }

    fn beyond(&self, c: char, form: &mut Wiped) {
        let (number, shortest, case) = match self.beyond_ascii {
            Beyond::Kept => return push_char(form, c),
            Beyond::Bytes => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| self.control(byte, form));
                return;
            }
            Beyond::Shortest(case) => (u32::from(c), true, case),
            Beyond::Unicode => (u32::from(c), false, Case::Lower),
        };
        let (letter, digits) = match number {
            ..=0xff if shortest => (b'x', 2),
            ..=0xffff => (b'u', 4),
            _ => (b'U', 8),
        };
        form.extend(&[b'\\', letter]);
        push_hex(form, number, digits, case);
    }
}

/// cat -v and cat -A: `^M`, `M-C`.
pub(crate) fn caret(value: &[u8], forms: &mut Forms<'_>) {
    for all in [false, true] {
        forms(bytewise(value, |byte, form| match byte {
            b'\n' if all => form.extend(b"$\n"),
            b'\n' => form.push(byte),
            b'\t' if !all => form.push(byte),
            byte => {
                if byte >= 0x80 {
                    form.extend(b"M-");
                }
                match byte & 0x7f {
                    low @ (..0x20 | 0x7f) => form.extend(&[b'^', low ^ 0x40]),
                    low => form.push(low),
                }
            }
        }));
    }
}
