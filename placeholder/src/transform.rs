//! Filters that make other text of a value. What they make is ASCII from a
//! small alphabet.

use std::fmt::Write as _;

use crate::buffer::Sink;

/// Another text for the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transform {
    /// Percent-encoding of everything but the unreserved characters of RFC
    /// 3986, section 2.3.
    Url,
    /// `application/x-www-form-urlencoded`, WHATWG URL Standard, section 5.2.
    Form,
    /// Base 64 with padding and without line ends, RFC 4648, section 4.
    Base64,
}

impl Transform {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Form => "form",
            Self::Base64 => "base64",
        }
    }

    pub(crate) fn write(self, value: &[u8], sink: &mut dyn Sink) {
        match self {
            Self::Url => percent(value, b"-._~", false, sink),
            Self::Form => percent(value, b"*-._", true, sink),
            Self::Base64 => base64(value, sink),
        }
    }
}

fn percent(value: &[u8], kept: &[u8], plus: bool, sink: &mut dyn Sink) {
    for byte in value {
        match byte {
            b if b.is_ascii_alphanumeric() || kept.contains(b) => sink.put(&[*b]),
            b' ' if plus => sink.put(b"+"),
            b => {
                let _ = write!(sink, "%{b:02X}");
            }
        }
    }
}

fn base64(value: &[u8], sink: &mut dyn Sink) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in value.chunks(3) {
        let byte = |n: usize| u32::from(group.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for n in 0..4 {
            let index = bits >> (18 - 6 * n) & 0x3f;
            let digit = ALPHABET.get(index as usize).filter(|_| n <= group.len() as u32);
            sink.put(&[*digit.unwrap_or(&b'=')]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretBuf;

    fn of(transform: Transform, value: &[u8]) -> String {
        let out = SecretBuf::collect(|sink| {
            transform.write(value, sink);
            Ok::<(), ()>(())
        });
        String::from_utf8(out.unwrap().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn rfc_4648_section_10() {
        for (value, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(of(Transform::Base64, value.as_bytes()), text);
        }
        assert_eq!(of(Transform::Base64, &[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(of(Transform::Url, b"aZ09-._~ +*/@\0\xff"), "aZ09-._~%20%2B%2A%2F%40%00%FF");
        assert_eq!(of(Transform::Form, b"aZ09-._~ +*/@\0\xff"), "aZ09-._%7E+%2B*%2F%40%00%FF");
    }
}
