//! A line that is typed while the terminal gives every key at once.

use strongroom_protocol::limits::MAX_REASON;
use strongroom_protocol::text::visible;
use strongroom_protocol::types::Reason;

/// What was typed so far.
#[derive(Debug, Default)]
pub struct LineEdit {
    text: String,
    /// The beginning of a character that was not yet typed whole.
    partial: Vec<u8>,
}

/// What a key did.
#[derive(Debug, PartialEq, Eq)]
pub enum Edited {
    /// It goes on.
    Going,
    /// The line is there; `None`: it is empty.
    Done(Option<Reason>),
    /// It was given up.
    Left,
}

impl LineEdit {
    /// Takes what was typed.
    pub fn take(&mut self, typed: &[u8]) -> Edited {
        match typed {
            [0x1b] => return Edited::Left,
            // An arrow or another key that has no meaning here.
            [0x1b, ..] => return Edited::Going,
            _ => {}
        }
        for byte in typed {
            match byte {
                b'\r' | b'\n' => return self.done(),
                0x08 | 0x7f => {
                    self.text.pop();
                }
                // Ctrl-U
                0x15 => self.text.clear(),
                0..0x20 => {}
                byte => self.add(*byte),
            }
        }
        Edited::Going
    }

    fn add(&mut self, byte: u8) {
        self.partial.push(byte);
        let whole = match std::str::from_utf8(&self.partial) {
            Ok(whole) => Some(whole),
            Err(e) if e.error_len().is_none() => return,
            Err(_) => None,
        };
        if let Some(whole) = whole.filter(|whole| self.text.len() + whole.len() <= MAX_REASON) {
            self.text.push_str(whole);
        }
        self.partial.clear();
    }

    fn done(&self) -> Edited {
        let text = self.text.trim();
        Edited::Done(Reason::new(text).ok().filter(|_| !text.is_empty()))
    }

    /// As it can be shown.
    pub fn shown(&self) -> String {
        visible(self.text.as_bytes())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line() {
        let mut line = LineEdit::default();
        assert_eq!(line.take(b"no, x\x7f"), Edited::Going);
        // A character in two parts, an arrow, and what is none.
        assert_eq!(line.take(b"\xc3"), Edited::Going);
        assert_eq!(line.take(b"\xa9"), Edited::Going);
        assert_eq!(line.take(b"\x1b[A"), Edited::Going);
        assert_eq!(line.take(b"\xff\x01!"), Edited::Going);
        assert_eq!(line.shown(), "no, é!");
        assert_eq!(line.take(b"\r"), Edited::Done(Some(Reason::new("no, é!").unwrap())));
        assert_eq!(line.take(b"\x15 \n"), Edited::Done(None));
        assert_eq!(line.take(b"\x1b"), Edited::Left);
        line.take(&[b'x'; 3000]);
        assert_eq!(line.shown().len(), MAX_REASON);
    }
}
