//! What can be wrong, and where. Holds no value, no length of one, and no text
//! of the file.

use std::fmt;

use strongroom_protocol::types::CredentialName;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The text has more than [`crate::MAX_TEXT`] bytes.
    TextTooLong,
    /// It has more than [`crate::MAX_PLACEHOLDERS`] placeholders and escapes.
    TooMany,
    /// No filter has this name.
    UnknownFilter,
    /// The placeholder stands in a comment.
    InComment,
    /// It is, or is part of, a key: a value must not make a new one.
    InKey,
    /// It stands where an escape sequence or an entity ends.
    InEscape,
    /// How the file's reader would take it cannot be told for certain.
    Unclear,
    /// There is no value for this key.
    NoValue,
    /// The value holds something that cannot be written at this place.
    Unfit,
    /// The value holds something that means something in some kind of file,
    /// and it is not known what kind this is.
    NeedsFilter,
    /// The file is of another kind than the filter, and what the filter makes
    /// of the value would have to be written in a different way there.
    NeedsBoth,
    /// With the values in it the text may have more than [`crate::MAX_TEXT`]
    /// bytes.
    ResultTooLong,
}

impl Problem {
    const fn what(self) -> &'static str {
        match self {
            Self::TextTooLong => "the text is too long",
            Self::TooMany => "the text has too many placeholders",
            Self::UnknownFilter => "there is no filter of this name",
            Self::InComment => {
                "the placeholder stands in a comment; one more `$` in front keeps it as text"
            }
            Self::InKey => "the placeholder stands in a key, where no value may be",
            Self::InEscape => {
                "the placeholder stands in an escape sequence or an entity, or right after a \
                 backslash"
            }
            Self::Unclear => {
                "it is not clear how a reader of this file takes what stands here; make the \
                 placeholder a whole value, put quotes around it, or write |raw"
            }
            Self::NoValue => "there is no value for this key",
            Self::Unfit => "the value cannot be written here",
            Self::NeedsFilter => {
                "the value needs a filter here, because the file's name does not tell what kind \
                 of file it is: |json, |yaml, |shell, … or |raw"
            }
            Self::NeedsBoth => {
                "the filter is for another kind of file than this one, and the value needs both; \
                 leave the filter out, or write |raw"
            }
            Self::ResultTooLong => "with the values in it the text is too long",
        }
    }
}

/// Why a text is refused, or cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub problem: Problem,
    /// The same in words.
    pub what: &'static str,
    /// The credential that the placeholder names; none where the text as a
    /// whole is meant.
    pub key: Option<CredentialName>,
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// How the value was to be written: `json`, `dotenv`, `url`, `raw`, …;
    /// `unknown` in a file of unknown kind; `filter` where the filter is wrong;
    /// `text` where the text as a whole is meant.
    pub context: &'static str,
}

impl Error {
    pub(crate) const fn whole(problem: Problem) -> Self {
        let Position { line, column } = Position::START;
        Self { problem, what: problem.what(), key: None, line, column, context: "text" }
    }

    pub(crate) const fn at(
        key: CredentialName,
        at: Position,
        context: &'static str,
        problem: Problem,
    ) -> Self {
        let Position { line, column } = at;
        Self { problem, what: problem.what(), key: Some(key), line, column, context }
    }

    /// The same with words of its own.
    pub(crate) fn in_words(self, what: &'static str) -> Self {
        Self { what, ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = &self.key {
            let Self { line, column, context, .. } = self;
            write!(f, "line {line}, column {column}: {} ({context}): ", key.display())?;
        }
        f.write_str(self.what)
    }
}

impl std::error::Error for Error {}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub line: u32,
    pub column: u32,
}

impl Position {
    /// The first byte of a text.
    pub const START: Self = Self { line: 1, column: 1 };

    /// Moves over `bytes`.
    pub fn advance(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                *self = Self { line: self.line.saturating_add(1), column: 1 };
            } else {
                self.column = self.column.saturating_add(1);
            }
        }
    }
}
