//! The filters, as published.

use crate::format::Format;
use crate::transform::Transform;

/// What a filter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Nothing: the value as it is.
    Raw,
    /// Writes the value for what stands around the placeholder in this format.
    As(Format),
    /// Makes another text of it, which is then written for the file's format.
    Transform(Transform),
}

impl Filter {
    /// The filter of this name.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        FILTERS.iter().find(|row| row.name.as_bytes() == name).map(|row| row.filter)
    }
}

/// One filter.
#[derive(Debug, Clone, Copy)]
pub struct FilterRow {
    /// What stands after `|`.
    pub name: &'static str,
    /// What it does.
    pub filter: Filter,
    /// Where a placeholder may stand, and what is written there.
    pub places: &'static str,
    /// Values it refuses.
    pub refuses: &'static str,
}

const fn row(
    name: &'static str,
    filter: Filter,
    places: &'static str,
    refuses: &'static str,
) -> FilterRow {
    FilterRow { name, filter, places, refuses }
}

/// All filters.
pub const FILTERS: &[FilterRow] = &[
    row("raw", Filter::Raw, "anywhere: the value as it is, with no check", "nothing"),
    row(
        "json",
        Filter::As(Format::Json),
        "in a string: escaped; bare, where a value may be: a whole string",
        "invalid UTF-8",
    ),
    row(
        "yaml",
        Filter::As(Format::Yaml),
        "in double quotes: escaped; a whole plain scalar: in double quotes; in single quotes, in \
         a block scalar, or inside a plain scalar that is text whatever follows (`Bearer …`, \
         `https://…`): as it is",
        "invalid UTF-8; in single quotes and block scalars also control characters and spaces at \
         either end; inside a plain scalar all but printable ASCII, and `:` `#` `,` `?` `[` `]` \
         `{` `}`",
    ),
    row(
        "toml",
        Filter::As(Format::Toml),
        "in `\"` or `\"\"\"`: escaped; bare, where a value may be: a whole string; in `'` or \
         `'''`: as it is",
        "invalid UTF-8; in `'` and `'''` also `'` and control characters",
    ),
    row(
        "dotenv",
        Filter::As(Format::Dotenv),
        "a whole value without quotes: with the quotes it needs; in quotes, or inside a value \
         without quotes: as it is",
        "invalid UTF-8, `${`, control characters but newline and tab; in single quotes `'`, `\\\\`, \
         and `\\` or `$` at the end; in double quotes `\"` `\\` `$` `` ` ``; without quotes all but \
         letters, digits and `_./:@%+,=-`",
    ),
    row(
        "shell",
        Filter::As(Format::Shell),
        "bare: in single quotes; in single or double quotes, or in a line of a here-document that \
         has something else in it than a word: escaped",
        "NUL; in a here-document all but printable ASCII",
    ),
    row("sh", Filter::As(Format::Shell), "the same as `shell`", "the same"),
    row(
        "xml",
        Filter::As(Format::Xml),
        "in text or in a quoted attribute: character references",
        "invalid UTF-8, and the control characters that XML 1.0 has no way to write",
    ),
    row(
        "ini",
        Filter::As(Format::Ini),
        "in a value: as it is",
        "invalid UTF-8, control characters, `%`, `${`, `$$`, white space at either end, `#` or `;` \
         at the beginning or after white space, a quote at the beginning, `\\` or `$` at the end",
    ),
    row(
        "netrc",
        Filter::As(Format::Netrc),
        "a word, or part of one: as it is",
        "all but printable ASCII; white space, quotes, `\\`, `#` at the beginning",
    ),
    row(
        "pgpass",
        Filter::As(Format::Pgpass),
        "in a field, but not at the beginning of a line: `\\` before `:` and `\\`",
        "control characters, and a `*` alone",
    ),
    row(
        "properties",
        Filter::As(Format::Properties),
        "in a value: escaped, all ASCII",
        "invalid UTF-8",
    ),
    row(
        "url",
        Filter::Transform(Transform::Url),
        "percent-encoded, all but letters, digits and `-._~`; then as without a filter",
        "nothing; but `%` in an INI file",
    ),
    row(
        "form",
        Filter::Transform(Transform::Form),
        "as in a form: `+` for a space, percent-encoded all but letters, digits and `*-._`; then \
         as without a filter",
        "nothing; but `%` in an INI file",
    ),
    row(
        "base64",
        Filter::Transform(Transform::Base64),
        "base 64 with padding, in one line; then as without a filter",
        "nothing",
    ),
];
