//! JSON with one text for one value: no space between tokens, integers only,
//! no `null`, and only the escapes that `serde_json` writes. What the recorder
//! writes is of this form; what is not was not written by it.

use crate::words;

/// Objects and lists within each other.
const MAX_DEPTH: usize = 4;

/// A value as it stands in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw<'a> {
    /// The digits, with a sign if there is one.
    Number(&'a str),
    /// What is between the quotes, escapes in place.
    Text(&'a str),
    /// True or false.
    Flag(bool),
    /// What is between the brackets.
    List(&'a str),
    /// What is between the braces.
    Object(&'a str),
}

impl<'a> Raw<'a> {
    /// The number, where it is one that fits.
    #[must_use]
    pub fn number(self) -> Option<u64> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// The text between the quotes, where it is a text.
    #[must_use]
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The texts of a list of texts.
    pub fn texts(self) -> impl Iterator<Item = &'a str> {
        let inside = match self {
            Self::List(inside) => inside,
            _ => "",
        };
        let mut cursor = Cursor::new(inside);
        std::iter::from_fn(move || {
            cursor.literal(",");
            cursor.string()
        })
    }
}

/// A place in a text.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// At its beginning.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, rest: text }
    }

    /// Offset of the place.
    #[must_use]
    #[inline]
    pub fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// Nothing is left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Steps over exactly this, if it is next.
    #[inline]
    pub fn literal(&mut self, expected: &str) -> bool {
        let after = self.rest.strip_prefix(expected);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// Steps over the next `length` bytes.
    #[inline]
    pub fn take(&mut self, length: usize) -> Option<&'a str> {
        let (taken, after) = self.rest.split_at_checked(length)?;
        self.rest = after;
        Some(taken)
    }

    /// Steps over a whole number without sign.
    #[inline]
    pub fn digits(&mut self) -> Option<&'a str> {
        let rest = self.rest.as_bytes();
        let length = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        let plain = length == 1 || (length > 1 && rest.first() != Some(&b'0'));
        if plain { self.take(length) } else { None }
    }

    /// Steps over a whole number without sign that fits.
    pub fn number(&mut self) -> Option<u64> {
        /// Digits of the largest number, less one: so many always fit.
        const FIT: usize = 19;
        let digits = self.digits()?;
        if digits.len() > FIT {
            return digits.parse().ok();
        }
        Some(digits.bytes().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
    }

    /// Steps over a text in quotes; returns what is between them.
    #[inline]
    pub fn string(&mut self) -> Option<&'a str> {
        let inside = self.rest.strip_prefix('"')?;
        let bytes = inside.as_bytes();
        let mut end = words::special(bytes)?;
        if bytes.get(end) != Some(&b'"') {
            end = after_escapes(bytes, end)?;
        }
        let (between, after) = inside.split_at_checked(end)?;
        self.rest = after.strip_prefix('"')?;
        Some(between)
    }

    /// Steps over a key and its colon.
    pub fn key(&mut self) -> Option<&'a str> {
        let key = self.string()?;
        self.literal(":").then_some(key)
    }

    /// Steps over a value.
    pub fn value(&mut self) -> Option<Raw<'a>> {
        // Most are one of these two.
        match self.rest.as_bytes().first()? {
            b'"' => self.string().map(Raw::Text),
            b'0'..=b'9' => self.digits().map(Raw::Number),
            _ => self.nested(MAX_DEPTH),
        }
    }

    fn nested(&mut self, depth: usize) -> Option<Raw<'a>> {
        let from = self.at();
        Some(match self.rest.as_bytes().first()? {
            b'"' => Raw::Text(self.string()?),
            b't' => self.literal("true").then_some(Raw::Flag(true))?,
            b'f' => self.literal("false").then_some(Raw::Flag(false))?,
            b'[' => {
                self.sequence(depth, "[", "]", |cursor, depth| cursor.nested(depth).map(drop))?;
                Raw::List(self.text.get(from + 1..self.at() - 1)?)
            }
            b'{' => {
                self.sequence(depth, "{", "}", |cursor, depth| {
                    cursor.key()?;
                    cursor.nested(depth).map(drop)
                })?;
                Raw::Object(self.text.get(from + 1..self.at() - 1)?)
            }
            b'-' => {
                self.literal("-");
                // There is no -0.
                self.digits().filter(|digits| *digits != "0")?;
                Raw::Number(self.text.get(from..self.at())?)
            }
            _ => Raw::Number(self.digits()?),
        })
    }

    fn sequence(
        &mut self,
        depth: usize,
        open: &str,
        close: &str,
        item: impl Fn(&mut Self, usize) -> Option<()>,
    ) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.literal(open);
        if self.literal(close) {
            return Some(());
        }
        loop {
            item(self, depth)?;
            if self.literal(close) {
                return Some(());
            }
            if !self.literal(",") {
                return None;
            }
        }
    }
}

/// Where a text ends in which the first escape is here.
#[cold]
fn after_escapes(bytes: &[u8], first: usize) -> Option<usize> {
    let mut end = first;
    while bytes.get(end) != Some(&b'"') {
        end += escape(bytes.get(end..)?)?;
        end += words::special(bytes.get(end..)?)?;
    }
    Some(end)
}

/// Bytes of an escape, if one is next.
fn escape(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'\\', b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(2),
        [b'\\', b'u', b'0', b'0', high @ (b'0' | b'1'), low, ..] => {
            // Those with a letter of their own are written by it.
            let short = *high == b'0' && matches!(low, b'8' | b'9' | b'a' | b'c' | b'd');
            let hex = matches!(low, b'0'..=b'9' | b'a'..=b'f');
            (hex && !short).then_some(6)
        }
        _ => None,
    }
}

/// The text that stands between quotes in a line.
#[must_use]
pub fn unescaped(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    serde_json::from_str(&format!("\"{text}\"")).unwrap_or_else(|_| text.to_owned())
}

/// The members of an object, given what is between its braces.
pub fn members(inside: &str) -> impl Iterator<Item = (&str, Raw<'_>)> {
    let mut cursor = Cursor::new(inside);
    std::iter::from_fn(move || {
        cursor.literal(",");
        Some((cursor.key()?, cursor.value()?))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn whole(text: &str) -> bool {
        let mut cursor = Cursor::new(text);
        cursor.value().is_some() && cursor.is_done()
    }

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "0",
            "-1",
            "18446744073709551615",
            "\"\"",
            "\"a\\\\b\\\"\\n\\u0000\\u001f\"",
            "true",
            "false",
            "[]",
            "{}",
            "[1,\"a\",[{}]]",
            "{\"a\":1,\"b\":{\"c\":[]}}",
            "\"é—\u{10ffff}\"",
        ] {
            assert!(whole(text), "{text}");
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn other_texts_for_the_same_are_not() {
        for text in [
            "",
            " 1",
            "1 ",
            "01",
            "-0",
            "+1",
            "1.0",
            "1e3",
            "null",
            "[1, 2]",
            "[1,]",
            "[,1]",
            "{\"a\" :1}",
            "{\"a\":1,}",
            "{a:1}",
            "\"\\/\"",
            "\"\\u0041\"",
            "\"\\u000a\"",
            "\"\\u001F\"",
            "\"\\x41\"",
            "\"\n\"",
            "\"",
            "\"\\\"",
            "[[[[[1]]]]]",
            "tru",
            "[1",
            "{\"a\":1",
            "\"\\u00",
            "-",
        ] {
            assert!(!whole(text), "{text}");
        }
    }

    #[test]
    fn members_and_texts() {
        let all: Vec<_> = members("\"a\":1,\"b\":[\"x\",\"y\"],\"c\":\"z\"").collect();
        assert_eq!(all.len(), 3);
        let [(_, a), (_, b), (_, c)] = all.as_slice() else { panic!() };
        assert_eq!((a.number(), c.text()), (Some(1), Some("z")));
        assert_eq!(b.texts().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(a.texts().count(), 0);
        assert_eq!(unescaped("a\\n\\\"—"), "a\n\"—");
    }
}
