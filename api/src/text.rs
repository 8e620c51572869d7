//! Output as it comes, without breaking a character in two where that would
//! make bytes of what is text.

use crate::bytes::Bytes;

/// One stream of output.
#[derive(Debug, Default)]
pub struct Pieces {
    /// The beginning of a character.
    held: Vec<u8>,
}

impl Pieces {
    /// The next piece; `None`: it was only the beginning of a character.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Bytes> {
        self.held.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.held) {
            // A character may have its other bytes in the next piece.
            Err(e) if e.error_len().is_none() => e.valid_up_to(),
            _ => self.held.len(),
        };
        let rest = self.held.split_off(whole);
        let piece = std::mem::replace(&mut self.held, rest);
        (!piece.is_empty()).then_some(Bytes(piece))
    }

    /// What is left at the end of the stream.
    pub fn end(&mut self) -> Option<Bytes> {
        let rest = std::mem::take(&mut self.held);
        (!rest.is_empty()).then_some(Bytes(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stay_whole_and_no_byte_is_lost() {
        let text = "aé€😀z".as_bytes();
        for size in 1..=text.len() {
            let mut pieces = Pieces::default();
            let mut all = Vec::new();
            for chunk in text.chunks(size) {
                if let Some(Bytes(piece)) = pieces.push(chunk) {
                    assert!(std::str::from_utf8(&piece).is_ok(), "{size}");
                    all.extend(piece);
                }
            }
            assert_eq!(pieces.end(), None);
            assert_eq!(all, text, "{size}");
        }
        let mut pieces = Pieces::default();
        assert_eq!(pieces.push(b"a\xffb"), Some(Bytes(b"a\xffb".to_vec())));
        assert_eq!(pieces.push(b"c\xe2\x82"), Some(Bytes(b"c".to_vec())));
        assert_eq!(pieces.end(), Some(Bytes(b"\xe2\x82".to_vec())));
    }
}
