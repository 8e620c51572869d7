//! The grammar, exactly: `${credentials.KEY}`, `${credentials.KEY|FILTER}`, and
//! either of them with one more `$` in front, which means the text without that
//! `$`. Everything else is text, byte by byte. One pass from left to right.

use std::ops::Range;

use strongroom_protocol::limits::MAX_CREDENTIAL_NAME;
use strongroom_protocol::types::CredentialName;

use crate::error::{Error, Position, Problem};
use crate::filter::Filter;
use crate::{MAX_NEAR_MISSES, MAX_PLACEHOLDERS};

const OPEN: &[u8] = b"${credentials.";

/// Bytes looked at for the name of a filter.
const MAX_FILTER: usize = 64;

/// One placeholder.
#[derive(Debug)]
pub(crate) struct Placeholder {
    pub key: CredentialName,
    pub filter: Option<Filter>,
    pub at: Position,
}

/// What a text consists of.
#[derive(Debug)]
pub(crate) enum Piece {
    /// These bytes, as they are.
    Text(Range<usize>),
    /// The placeholder of this index.
    Placeholder(usize),
}

/// What the grammar says of a text.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub pieces: Vec<Piece>,
    pub placeholders: Vec<Placeholder>,
    /// Text that looks like a placeholder and is none.
    pub near_misses: Vec<Position>,
}

/// Finds all placeholders.
pub(crate) fn scan(text: &[u8]) -> Result<Scanned, Error> {
    let mut found = Scanned::default();
    let mut position = Position::START;
    let mut rest = text;
    let mut literal = 0..0;
    let mut escapes = 0;
    while let Some(before) = rest.iter().position(|b| *b == b'$') {
        let (passed, here) = rest.split_at(before);
        position.advance(passed);
        literal.end += before;
        let taken = if let Some(form) = here.strip_prefix(b"$").and_then(Form::at_start) {
            escapes += 1;
            found.pieces.push(Piece::Text(literal.clone()));
            literal = literal.end + 1..literal.end + 1 + form.length;
            1 + form.length
        } else if let Some(form) = Form::at_start(here) {
            let length = form.length;
            found.pieces.push(Piece::Text(literal.clone()));
            found.pieces.push(Piece::Placeholder(found.placeholders.len()));
            found.placeholders.push(form.placeholder(position)?);
            literal = literal.end + length..literal.end + length;
            length
        } else {
            if found.near_misses.len() < MAX_NEAR_MISSES && near_miss(here) {
                found.near_misses.push(position);
            }
            literal.end += 1;
            1
        };
        if found.placeholders.len() + escapes > MAX_PLACEHOLDERS {
            return Err(Error::whole(Problem::TooMany));
        }
        let (taken, after) = here.split_at(taken);
        position.advance(taken);
        rest = after;
    }
    literal.end = text.len();
    found.pieces.push(Piece::Text(literal));
    Ok(found)
}

/// The text of a placeholder; its filter need not exist.
struct Form<'a> {
    key: CredentialName,
    filter: Option<&'a [u8]>,
    length: usize,
}

impl<'a> Form<'a> {
    fn at_start(text: &'a [u8]) -> Option<Self> {
        let rest = text.strip_prefix(OPEN)?;
        let limit = MAX_CREDENTIAL_NAME + 1;
        let in_key = |b: &&u8| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'_');
        let (key, rest) = rest.split_at(rest.iter().take(limit).take_while(in_key).count());
        let key = CredentialName::new(key).ok()?;
        let (filter, rest) = match rest.split_first()? {
            (b'}', rest) => (None, rest),
            (b'|', rest) => {
                let end =
                    rest.iter().take(MAX_FILTER).position(|b| matches!(b, b'{' | b'}' | b'\n'))?;
                let (filter, rest) = rest.split_at(end);
                (Some(filter), rest.strip_prefix(b"}")?)
            }
            _ => return None,
        };
        Some(Self { key, filter, length: text.len() - rest.len() })
    }

    fn placeholder(self, at: Position) -> Result<Placeholder, Error> {
        let filter = match self.filter.map(Filter::named) {
            None => None,
            Some(Some(filter)) => Some(filter),
            Some(None) => {
                return Err(Error::at(self.key, at, "filter", Problem::UnknownFilter));
            }
        };
        Ok(Placeholder { key: self.key, filter, at })
    }
}

/// `$`, at most two brackets, `credential` in any case, and something that
/// could come before a key: `${credential.X}`, `${ credentials.X }`,
/// `${Credentials.X}`, `$(credentials.X)`, `$credentials.X`, `${{credentials.X`.
fn near_miss(text: &[u8]) -> bool {
    let skip = |text: &[u8], most: usize, of: &[u8]| {
        text.iter().take(most).take_while(|b| of.contains(b)).count()
    };
    let rest = text.get(1..).unwrap_or_default();
    let brackets = skip(rest, 2, b"{(");
    let rest = rest.get(brackets..).unwrap_or_default();
    let rest = rest.get(skip(rest, 8, b" \t")..).unwrap_or_default();
    let Some((word, rest)) = rest.split_at_checked(b"credential".len()) else {
        return false;
    };
    let rest = rest.get(skip(rest, 1, b"sS")..).unwrap_or_default();
    let rest = rest.get(skip(rest, 8, b" \t")..).unwrap_or_default();
    let separators: &[u8] = if brackets > 0 { b".:_-/[" } else { b"." };
    word.eq_ignore_ascii_case(b"credential") && rest.first().is_some_and(|b| separators.contains(b))
}
