//! Colour, only where a person looks: a terminal, no `NO_COLOR`
//! (no-color.org), a terminal type that is not `dumb`.

use std::io::IsTerminal;

/// How words are marked on one stream.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// No marks.
    pub const PLAIN: Self = Self { colour: false };

    /// For a stream of this process.
    pub fn of(stream: &impl IsTerminal) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            && std::env::var_os("TERM").is_some_and(|v| v != "dumb");
        Self { colour: wanted && stream.is_terminal() }
    }

    /// Something is as it should be.
    pub fn good(self, text: &str) -> String {
        self.mark("32", text)
    }

    /// Something is not.
    pub fn bad(self, text: &str) -> String {
        self.mark("31", text)
    }

    /// A word to find.
    pub fn strong(self, text: &str) -> String {
        self.mark("1", text)
    }

    /// Something to look at twice.
    pub fn odd(self, text: &str) -> String {
        self.mark("33", text)
    }

    /// What only holds the rest together.
    pub fn faint(self, text: &str) -> String {
        self.mark("2", text)
    }

    fn mark(self, sgr: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{sgr}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
