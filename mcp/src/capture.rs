//! A stream of output, as much of it as fits: its beginning and its end.

use std::collections::VecDeque;

/// One stream.
#[derive(Debug)]
pub struct Capture {
    half: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

/// What is shown of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// Text.
    pub text: String,
    /// Something was left out of the middle.
    pub truncated: bool,
    /// Bytes that are not UTF-8 are shown as U+FFFD.
    pub lossy: bool,
}

impl Capture {
    /// Keeps at most so many bytes.
    pub fn new(most: usize) -> Self {
        Self { half: most / 2, head: Vec::new(), tail: VecDeque::new(), total: 0 }
    }

    /// The next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = self.half.saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..over);
    }

    /// Bytes that came so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What is shown of it.
    pub fn shown(self) -> Shown {
        let Self { head, tail, total, .. } = self;
        let mut tail = Vec::from(tail);
        let left_out = total - (head.len() + tail.len()) as u64;
        if left_out == 0 {
            tail.splice(..0, head);
            let lossy = std::str::from_utf8(&tail).is_err();
            let text = String::from_utf8_lossy(&tail).into_owned();
            return Shown { text, truncated: false, lossy };
        }
        let (head, tail) = (without_torn_end(&head), without_torn_start(&tail));
        let lossy = std::str::from_utf8(head).is_err() || std::str::from_utf8(tail).is_err();
        let text = format!(
            "{}\n[strongroom: {left_out} bytes left out]\n{}",
            String::from_utf8_lossy(head),
            String::from_utf8_lossy(tail)
        );
        Shown { text, truncated: true, lossy }
    }
}

/// Without the beginning of a character that was cut.
fn without_torn_end(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(e) if e.error_len().is_none() => bytes.get(..e.valid_up_to()).unwrap_or(bytes),
        _ => bytes,
    }
}

/// Without the end of a character that was cut.
fn without_torn_start(bytes: &[u8]) -> &[u8] {
    let torn = bytes.iter().take(3).take_while(|b| (0x80..0xc0).contains(*b)).count();
    bytes.get(torn..).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(most: usize, pieces: &[&[u8]]) -> Shown {
        let mut capture = Capture::new(most);
        pieces.iter().for_each(|piece| capture.push(piece));
        assert_eq!(capture.total(), pieces.iter().map(|p| p.len() as u64).sum::<u64>());
        capture.shown()
    }

    #[test]
    fn whole_where_it_fits() {
        for pieces in [&[&b"abcdefgh"[..]][..], &[b"abc", b"defgh"], &[b"abcde", b"", b"fgh"]] {
            let got = shown(8, pieces);
            assert_eq!((got.text.as_str(), got.truncated, got.lossy), ("abcdefgh", false, false));
        }
        assert_eq!(shown(8, &[b"a\xffb"]).text, "a\u{fffd}b");
        assert!(shown(8, &[b"a\xffb"]).lossy);
        assert_eq!(shown(8, &[]).text, "");
    }

    #[test]
    fn beginning_and_end_where_it_does_not() {
        let got = shown(8, &[b"abcdefghijkl", b"mnop"]);
        assert_eq!(got.text, "abcd\n[strongroom: 8 bytes left out]\nmnop");
        assert!(got.truncated);
        let text = "é".repeat(9);
        let got = shown(10, &[text.as_bytes()]);
        assert_eq!(got.text, "éé\n[strongroom: 8 bytes left out]\néé");
        assert!(!got.lossy, "cut characters are left out, not replaced");
    }
}
