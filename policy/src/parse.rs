//! Text to [`File`], and the parser's own errors in our words.

use std::sync::Arc;

use crate::diagnostics::Diagnostics;
use crate::model::File;
use crate::source::{Site, Source, reading};

/// Parses one file. The first mistake is the only one reported: after it the
/// parser can only guess.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(source: &Arc<Source>) -> Result<File, Diagnostics> {
    reading(source, || toml::from_str(&source.text)).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let (message, expected) = reword(error.message());
        let mut found = Diagnostics::default();
        found.error(&Site { source: Arc::clone(source), span }, message, expected);
        found
    })
}

/// serde and toml say "thing, expected other"; some of their words are
/// Rust's, not an operator's.
fn reword(text: &str) -> (String, String) {
    let (message, expected) = text.split_once(", expected ").unwrap_or((text, ""));
    let message = [
        ("unknown field", "unknown key"),
        ("missing field", "missing key"),
        ("invalid type: map", "a table"),
        ("unknown variant", "unknown word"),
        ("string values must be quoted", "no value, or text without quotes"),
        ("cannot recurse further; max recursion depth met", "nested too deeply"),
        ("recursion limit", "nested too deeply"),
    ]
    .into_iter()
    .find_map(|(theirs, ours)| message.strip_prefix(theirs).map(|rest| format!("{ours}{rest}")))
    .unwrap_or_else(|| message.to_owned());
    let hint = near(&message, expected).map(|word| format!("; did you mean `{word}`?"));
    let expected = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number",
        "a sequence" => "a list: [ … ]",
        "a map" => "a table",
        "a boolean" => "`true` or `false`",
        "a string" => "text in quotes",
        "literal string" => "a value: text in quotes, a number, true, false, a list or a table",
        "" if message == "duplicate key" => "each key once",
        "" if message == "nested too deeply" => "a policy's own few levels",
        other => other,
    };
    (message, format!("{expected}{}", hint.unwrap_or_default()))
}

/// The expected word closest to the one that was written.
fn near<'e>(message: &str, expected: &'e str) -> Option<&'e str> {
    let quoted = |text: &'e str| text.split('`').skip(1).step_by(2);
    let written = message.split('`').nth(1)?;
    closest(written, quoted(expected))
}

/// The candidate that differs from `word` in a slip or two.
pub fn closest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .map(|candidate| match swapped(word, candidate) {
            true => (1, candidate),
            false => (distance(word, candidate), candidate),
        })
        .filter(|(slips, candidate)| *slips <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Two neighbours the wrong way round, the commonest slip.
fn swapped(a: &str, b: &str) -> bool {
    let mut wrong = a.chars().zip(b.chars()).enumerate().filter(|(_, (x, y))| x != y);
    match (wrong.next(), wrong.next(), wrong.next()) {
        (Some((i, (a1, b1))), Some((j, (a2, b2))), None) => {
            a.len() == b.len() && j == i + 1 && a1 == b2 && a2 == b1
        }
        _ => false,
    }
}

/// Edit distance (Levenshtein), one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    // A word far too long is no slip, and its distance is slow to find.
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((to, diagonal), above) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or(0);
            next.push((diagonal + usize::from(from != *to)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(closest("opne", ["none", "open"].into_iter()), Some("open"));
        assert_eq!(closest("netwrk", ["network", "read"].into_iter()), Some("network"));
        assert_eq!(closest("alow", ["allow", "ask"].into_iter()), Some("allow"));
        assert_eq!(closest("zzz", ["allow", "ask"].into_iter()), None);
    }
}
