//! Which characters are shown as themselves. The list is short, and what is
//! not on it is escaped: a character that a later version of Unicode brings,
//! that a terminal draws as nothing, onto its neighbour or from right to left
//! can be no surprise then (UTS #39, UAX #9).

use std::ops::RangeInclusive;

/// A script whose letters are shown: written from left to right, one sign for
/// one code point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Georgian,
    Hiragana,
    Katakana,
    Han,
    Hangul,
}

impl Script {
    /// Its name in Unicode.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Latin => "Latin",
            Self::Greek => "Greek",
            Self::Cyrillic => "Cyrillic",
            Self::Armenian => "Armenian",
            Self::Georgian => "Georgian",
            Self::Hiragana => "Hiragana",
            Self::Katakana => "Katakana",
            Self::Han => "Han",
            Self::Hangul => "Hangul",
        }
    }

    /// Its letters are drawn so much like Latin ones that a word with both
    /// is a word in disguise.
    pub const fn like_latin(self) -> bool {
        matches!(self, Self::Greek | Self::Cyrillic | Self::Armenian | Self::Georgian)
    }
}

/// Letters beyond ASCII, without what Unicode calls modifier letters and
/// clicks: they look like punctuation.
const LETTERS: &[(RangeInclusive<char>, Script)] = &[
    ('\u{00C0}'..='\u{00D6}', Script::Latin),
    ('\u{00D8}'..='\u{00F6}', Script::Latin),
    ('\u{00F8}'..='\u{01BF}', Script::Latin),
    ('\u{01C4}'..='\u{024F}', Script::Latin),
    ('\u{1E00}'..='\u{1EFF}', Script::Latin),
    ('\u{0386}'..='\u{03FF}', Script::Greek),
    ('\u{0400}'..='\u{0481}', Script::Cyrillic),
    ('\u{048A}'..='\u{052F}', Script::Cyrillic),
    ('\u{0531}'..='\u{0556}', Script::Armenian),
    ('\u{0561}'..='\u{0587}', Script::Armenian),
    ('\u{10D0}'..='\u{10FA}', Script::Georgian),
    ('\u{3041}'..='\u{3096}', Script::Hiragana),
    ('\u{30A1}'..='\u{30FA}', Script::Katakana),
    ('\u{30FC}'..='\u{30FC}', Script::Katakana),
    ('\u{3005}'..='\u{3005}', Script::Han),
    ('\u{3400}'..='\u{4DBF}', Script::Han),
    ('\u{4E00}'..='\u{9FFF}', Script::Han),
    ('\u{AC00}'..='\u{D7A3}', Script::Hangul),
];

/// Signs that prose is full of. In an argument they would be escaped.
const SIGNS: &str = "–—‘’“”„…•«»·§°€£×→、。「」『』";

/// The script of a letter that may be shown; `None` for everything else.
pub fn script(c: char) -> Option<Script> {
    if c.is_ascii() {
        return c.is_ascii_alphabetic().then_some(Script::Latin);
    }
    let listed = LETTERS.iter().find(|(range, _)| range.contains(&c));
    // A code point in a range may be unassigned, or no letter after all.
    listed.filter(|_| c.is_alphabetic()).map(|(_, script)| *script)
}

/// A sign of prose.
pub fn is_sign(c: char) -> bool {
    SIGNS.contains(c)
}

/// What belongs to a word, shown or not.
pub fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_hides_or_reorders_is_a_letter() {
        for c in [
            '\u{00AD}',
            '\u{034F}',
            '\u{0300}',
            '\u{0483}',
            '\u{061C}',
            '\u{115F}',
            '\u{200B}',
            '\u{200D}',
            '\u{202E}',
            '\u{2066}',
            '\u{2028}',
            '\u{3164}',
            '\u{FEFF}',
            '\u{FFA0}',
            '\u{FE0F}',
            '\u{E0041}',
            '\u{A0}',
            '\u{2003}',
            '\u{05D0}',
            '\u{0627}',
            '\u{01C3}',
            '\u{02BC}',
            '\u{037E}',
            '\u{0387}',
            '\u{FF0F}',
            '\u{2215}',
            '\u{FF41}',
            '\u{1D41A}',
            '\u{0251}',
            '\u{2502}',
            '\u{2506}',
            '\u{2423}',
            '\u{22EF}',
            '\u{0378}',
            '\u{03A2}',
            '\u{E000}',
            '\u{10FFFF}',
            '\u{85}',
            '\u{9B}',
        ] {
            assert_eq!(script(c), None, "U+{:04X}", c as u32);
            assert!(!is_sign(c), "U+{:04X}", c as u32);
        }
    }

    #[test]
    fn letters_have_a_script() {
        for (c, want) in [
            ('a', Script::Latin),
            ('é', Script::Latin),
            ('ẽ', Script::Latin),
            ('α', Script::Greek),
            ('а', Script::Cyrillic),
            ('ա', Script::Armenian),
            ('ა', Script::Georgian),
            ('ん', Script::Hiragana),
            ('ノ', Script::Katakana),
            ('口', Script::Han),
            ('한', Script::Hangul),
        ] {
            assert_eq!(script(c), Some(want), "{c}");
        }
    }
}
