//! The formats: for each a lexer that says where in such a text a placeholder
//! stands, and what a value looks like there.

use crate::buffer::Sink;
use crate::skeleton::{Found, Marks, Skeleton};

mod dotenv;
mod ini;
mod json;
mod netrc;
mod pgpass;
mod properties;
mod shell;
mod toml;
mod xml;
mod yaml;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// RFC 8259; comments are recognised.
    Json,
    /// YAML 1.1 and 1.2.
    Yaml,
    /// TOML 1.0.
    Toml,
    /// `KEY=value` as python-dotenv, Node.js and `.` of a POSIX shell read it.
    Dotenv,
    /// A script for a POSIX shell or bash.
    Shell,
    /// XML 1.0.
    Xml,
    /// Python's configparser.
    Ini,
    /// netrc(5).
    Netrc,
    /// libpq's password file.
    Pgpass,
    /// java.util.Properties.
    Properties,
}

/// Where a placeholder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the whole of a value without quotes.
    Bare,
    /// It is part of a text without quotes.
    Inside,
    /// In double quotes.
    Double,
    /// In single quotes.
    Single,
    /// In a line of a block scalar.
    Block,
    /// In a here-document.
    HereDocument {
        /// The shell looks for `$` in it.
        expands: bool,
    },
}

impl Place {
    /// What an error says when a value cannot be written here.
    pub const fn unfit(self) -> &'static str {
        match self {
            Self::Bare => {
                "the value holds something that this format cannot express; |base64 can, if the \
                 reader decodes it"
            }
            Self::Inside => {
                "the value holds something that would need quotes, and the placeholder is part of \
                 a text without quotes"
            }
            Self::Double => {
                "the value holds something that cannot be written in double quotes in this format"
            }
            Self::Single => {
                "the value holds something that cannot be written in single quotes in this \
                 format; double quotes, or none, may do"
            }
            Self::Block => {
                "the value holds more than one plain line, which cannot be written in a block \
                 scalar; write `key: ${credentials.KEY}`"
            }
            Self::HereDocument { .. } => {
                "the value holds something that cannot be written in a here-document; assign it to \
                 a variable first"
            }
        }
    }
}

/// A value cannot be written at a place.
pub(crate) struct Unfit;

impl Format {
    /// Its name, which is also the name of its filter.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Toml => "toml",
            Self::Dotenv => "dotenv",
            Self::Shell => "shell",
            Self::Xml => "xml",
            Self::Ini => "ini",
            Self::Netrc => "netrc",
            Self::Pgpass => "pgpass",
            Self::Properties => "properties",
        }
    }

    /// Where each placeholder stands, in order.
    pub(crate) fn places(self, skeleton: &Skeleton) -> Vec<Found> {
        let mut marks = Marks::new(skeleton);
        let lex = match self {
            Self::Json => json::lex,
            Self::Yaml => yaml::lex,
            Self::Toml => toml::lex,
            Self::Dotenv => dotenv::lex,
            Self::Shell => shell::lex,
            Self::Xml => xml::lex,
            Self::Ini => ini::lex,
            Self::Netrc => netrc::lex,
            Self::Pgpass => pgpass::lex,
            Self::Properties => properties::lex,
        };
        // A lexer that loses its way returns early; `finish` knows.
        let _ = lex(&skeleton.text, &mut marks);
        marks.finish()
    }

    /// Writes `value` so that a reader finds exactly it at this place.
    pub(crate) fn write(
        self,
        place: Place,
        value: &[u8],
        sink: &mut dyn Sink,
    ) -> Result<(), Unfit> {
        match self {
            Self::Json => json::write(value, place == Place::Bare, sink),
            Self::Yaml => yaml::write(place, value, sink),
            Self::Toml => toml::write(place, value, sink),
            Self::Dotenv => dotenv::write(place, value, sink),
            Self::Shell => shell::write(place, value, sink),
            Self::Xml => xml::write(value, sink),
            Self::Ini => ini::write(value, sink),
            Self::Netrc => netrc::write(value, sink),
            Self::Pgpass => pgpass::write(value, sink),
            Self::Properties => properties::write(value, sink),
        }
    }
}

/// A lexer's way to say that it does not know what follows.
type Lost = Option<()>;

/// A carriage return alone: a line end to some readers.
fn has_lone_return(text: &[u8]) -> bool {
    text.split(|b| *b == b'\n')
        .any(|line| line.strip_suffix(b"\r").unwrap_or(line).contains(&b'\r'))
}

fn utf8(value: &[u8]) -> Result<&str, Unfit> {
    std::str::from_utf8(value).map_err(|_| Unfit)
}

/// `Ok` when it holds.
const fn fits(holds: bool) -> Result<(), Unfit> {
    if holds { Ok(()) } else { Err(Unfit) }
}

/// Writes `text` with `escape` in place of every special character.
fn escaped(
    text: &str,
    sink: &mut dyn Sink,
    special: impl Fn(char) -> bool,
    escape: impl Fn(char, &mut dyn Sink),
) {
    for chunk in text.split_inclusive(&special) {
        match chunk.char_indices().next_back() {
            Some((at, last)) if special(last) => {
                sink.put(chunk.get(..at).unwrap_or_default().as_bytes());
                escape(last, sink);
            }
            _ => sink.put(chunk.as_bytes()),
        }
    }
}

/// Writes `value` with `prefix` before every special byte.
fn prefixed(value: &[u8], sink: &mut dyn Sink, prefix: &[u8], special: impl Fn(u8) -> bool) {
    for chunk in value.split_inclusive(|b| special(*b)) {
        match chunk.split_last() {
            Some((last, before)) if special(*last) => {
                sink.put(before);
                sink.put(prefix);
                sink.put(&[*last]);
            }
            _ => sink.put(chunk),
        }
    }
}

/// Writes `text` between two `quote`.
fn quoted<E>(
    quote: &[u8],
    sink: &mut dyn Sink,
    text: impl FnOnce(&mut dyn Sink) -> Result<(), E>,
) -> Result<(), E> {
    sink.put(quote);
    text(sink)?;
    sink.put(quote);
    Ok(())
}

/// NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR: line ends to some readers.
const fn is_line_end(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}')
}
