//! The table of the forms that are looked for. It is what we promise: what is
//! not in it is not masked. The documents are made from it.

use crate::encode::{Forms, binary, quote, web};

/// One way in which a command may print a value.
pub struct Encoding {
    /// Its name.
    pub name: &'static str,
    /// What it covers.
    pub what: &'static str,
    /// Also for values of fewer than [`SHORT`](crate::SHORT) bytes.
    pub short: bool,
    /// Also for values of more than [`LONG`](crate::LONG) bytes.
    pub long: bool,
    /// Also for each line of a value that has several.
    pub lines: bool,
    /// Encoders wrap its lines: see [`INTERRUPTIONS`].
    pub(crate) wrapped: bool,
    /// Leaves letters, digits and these as they are: a value of nothing else
    /// has no form of its own here.
    pub(crate) keeps: Option<&'static [u8]>,
    pub(crate) encode: fn(&[u8], &mut Forms<'_>),
}

const ALL: Encoding = Encoding {
    name: "",
    what: "",
    short: false,
    long: true,
    lines: true,
    wrapped: false,
    keeps: None,
    encode: binary::plain,
};
/// Escapes what would end a string, and little else.
const TEXT: Encoding = Encoding { keeps: Some(b"-._+/="), ..ALL };
/// Escapes more.
const WORD: Encoding = Encoding { keeps: Some(b"-._"), ..ALL };
/// Of bytes: lines are lost in it, and encoders wrap it.
const WRAPPED: Encoding = Encoding { lines: false, wrapped: true, ..ALL };
/// Several times as long as the value, so not for long ones.
const LENGTHY: Encoding = Encoding { lines: false, long: false, ..ALL };

/// The published forms.
pub const ENCODINGS: &[Encoding] = &[
    Encoding {
        name: "plain",
        what: "the bytes themselves, without white space around them, and without quotes around them",
        short: true,
        ..ALL
    },
    Encoding {
        name: "base64",
        what: "RFC 4648 section 4, in whatever stands before and after the value; edge characters that hold bits of a neighbour stay",
        short: true,
        encode: binary::base64,
        ..WRAPPED
    },
    Encoding {
        name: "base64url",
        what: "RFC 4648 section 5, the same",
        short: true,
        encode: binary::base64url,
        ..WRAPPED
    },
    Encoding { name: "hex", what: "lower and upper case", encode: binary::hex, ..WRAPPED },
    Encoding {
        name: "hex with colons",
        what: "lower and upper case",
        encode: binary::hex_colons,
        ..LENGTHY
    },
    Encoding {
        name: "percent",
        what: "what RFC 3986, Python `quote`, JavaScript `encodeURIComponent` and `encodeURI` escape; lower and upper case",
        encode: web::percent,
        ..WORD
    },
    Encoding {
        name: "percent, every byte",
        what: "lower and upper case",
        encode: web::percent_all,
        ..LENGTHY
    },
    Encoding {
        name: "HTML form",
        what: "percent with `+` for a space; lower and upper case",
        encode: web::form,
        ..WORD
    },
    Encoding {
        name: "JSON",
        what: "the least, with `\\/`, ASCII only (lower and upper case), ASCII only with `\\/`, Go's `\\u003c`",
        encode: web::json,
        ..WORD
    },
    Encoding {
        name: "JSON in JSON",
        what: "the least, or ASCII only, in a string again",
        encode: web::json_twice,
        ..TEXT
    },
    Encoding {
        name: "`\\uXXXX`, every character",
        what: "lower and upper case; UTF-8 values",
        encode: web::unicode_escapes,
        ..LENGTHY
    },
    Encoding {
        name: "XML, HTML",
        what: "`&amp;` `&lt;` `&gt;`; quotes as they are, by name or by number",
        encode: web::entities,
        ..TEXT
    },
    Encoding {
        name: "XML, HTML, every character",
        what: "by decimal number, by hexadecimal number in lower and upper case; UTF-8 values",
        encode: web::references,
        ..LENGTHY
    },
    Encoding {
        name: "shell, single quotes",
        what: "a quote as `'\\''` or `'\"'\"'` (also `set -x`, Python `shlex.quote`)",
        encode: quote::shell_single,
        ..TEXT
    },
    Encoding {
        name: "shell, double quotes",
        what: "with or without a backslash before `!`",
        encode: quote::shell_double,
        ..TEXT
    },
    Encoding {
        name: "shell, backslashes",
        what: "bash's `printf %q`",
        encode: quote::shell_backslash,
        ..TEXT
    },
    Encoding {
        name: "shell, `$'...'`",
        what: "bash's `printf %q` of control characters; other bytes as they are or octal",
        encode: quote::shell_ansi,
        ..TEXT
    },
    Encoding {
        name: "doubled quotes",
        what: "SQL, CSV, YAML in single quotes",
        encode: quote::doubled,
        ..TEXT
    },
    Encoding {
        name: "Python",
        what: "`repr` of text and of bytes, `ascii`",
        encode: quote::python,
        ..TEXT
    },
    Encoding {
        name: "Rust, Go, C",
        what: "`{:?}`, `escape_ascii`, `%q`, `%+q`, octal escapes",
        encode: quote::source,
        ..TEXT
    },
    Encoding {
        name: "JavaScript",
        what: "strings as Node shows them",
        encode: quote::javascript,
        ..TEXT
    },
    Encoding {
        name: "YAML, double quotes",
        what: "text as it is, or ASCII only",
        encode: quote::yaml,
        ..TEXT
    },
    Encoding {
        name: "UTF-16",
        what: "little and big endian; UTF-8 values",
        encode: binary::utf16,
        ..LENGTHY
    },
    Encoding {
        name: "reversed",
        what: "by byte and by character",
        lines: true,
        encode: binary::reversed,
        ..LENGTHY
    },
    Encoding { name: "cat -v, cat -A", what: "`^M`, `M-C`", encode: quote::caret, ..TEXT },
];

/// What may stand between the bytes of a form: a name, and what it covers.
pub const INTERRUPTIONS: &[(&str, &str)] = &[
    (
        "line breaks",
        "`\\n` or `\\r\\n`, perhaps after a backslash, with the indentation that follows, from the ninth byte on (of base64 and \
         hex: anywhere, but up to seven bytes on either side of a break among the first eight stay); instead of spaces too",
    ),
    (
        "escape sequences",
        "colours and other CSI sequences, `ESC ( B` and the like, up to 32 bytes each",
    ),
    ("invisible characters", "zero-width characters, bidi controls, soft hyphen, byte order mark"),
    (
        "overstrike",
        "`_\\bX` and `X\\bX` of ASCII characters; of the last character the second stroke stays",
    ),
];

/// What is not masked, and never will be: it takes the grants and the missing
/// network to keep a secret in.
pub const LIMITS: &[&str] = &[
    "A value that a command transforms otherwise: one character per line, `xor`, compression, encryption, other encodings (base32, \
     `od -c`, the columns of `xxd`), two encodings one over the other but for JSON in JSON.",
    "Values of fewer than 8 bytes, and lines of fewer than 8 bytes when they are printed without the rest.",
    "A part of a value, unless the stream is cut off there (at its end, at a limit, by a timeout), or the form has more than 127 \
     bytes: then pieces of 64 bytes are masked each on its own.",
    "A value in pieces on different streams, or rewritten on the screen by `\\r` or cursor movement.",
    "A value that is interrupted so that it stretches over more than 1024 bytes.",
    "What is not bytes of output: exit status, times, lengths, names of files.",
];
