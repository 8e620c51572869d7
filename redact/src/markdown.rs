//! The tables as a part of the documents.

use std::fmt::Write as _;

use crate::encodings::{ENCODINGS, Encoding, INTERRUPTIONS, LIMITS};

/// The value that the examples show.
const EXAMPLE: &[u8] = "Gr\u{fc}n & \"it's\" 7/8".as_bytes();

/// What is masked, and what is not.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    for encoding in ENCODINGS {
        let Encoding { name, what, short, long, lines, .. } = encoding;
        let mark = |applies: &bool| if *applies { "yes" } else { "" };
        let (short, long, lines) = (mark(short), mark(long), mark(lines));
        let example = example(encoding);
        // Writing to a String does not fail.
        let _ = writeln!(out, "| {name} | {what} | {example} | {short} | {long} | {lines} |");
    }
    out.push_str(AMONG);
    for (name, what) in INTERRUPTIONS {
        let _ = writeln!(out, "| {name} | {what} |");
    }
    out.push_str(NOT_MASKED);
    for limit in LIMITS {
        let _ = writeln!(out, "- {limit}");
    }
    out
}

/// The first form that is not the value itself, if there is one.
fn example(encoding: &Encoding) -> String {
    let mut shown = String::new();
    (encoding.encode)(EXAMPLE, &mut |form| {
        if shown.is_empty() || (shown.as_bytes() == EXAMPLE && *form != *EXAMPLE) {
            shown = match str::from_utf8(&form) {
                Ok(text) if !text.contains('\0') => text.to_owned(),
                _ => form.escape_ascii().to_string(),
            };
        }
    });
    format!("`{}`", shown.replace('|', "\\|"))
}

const INTRODUCTION: &str = "\
White space around a value is not part of it. Values have at least 8 bytes. Those of 8 to 11 bytes and those of more than
1024 are looked for in the forms that say so. A value of several lines is looked for as a whole and line by line, whether
it has line ends or spells them `\\n`; the first and last line of a PEM block alone are no secret.

| form | what | example | short | long | lines |
|---|---|---|---|---|---|
";

const AMONG: &str = "
A form is found too with these between its bytes:

| | |
|---|---|
";

const NOT_MASKED: &str = "
At the end of a stream, at its limit, and when a command is killed, the beginning of a form is masked if eight bytes of it
or more were written. If a command pauses, the same holds, and the rest is masked when it comes.

Not masked:

";
