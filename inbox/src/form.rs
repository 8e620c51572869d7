//! What a form sends: `application/x-www-form-urlencoded` (WHATWG URL,
//! section 5). A value may be a secret, so each is wiped when it is dropped.

use zeroize::Zeroizing;

/// Fields of one form.
const MAX_FIELDS: usize = 8;

/// A form's fields.
#[derive(Default)]
pub struct Form(Vec<(String, Zeroizing<Vec<u8>>)>);

/// It is no form of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoForm;

impl Form {
    /// Reads one. A name that comes twice, or that is not one of `known`, is
    /// none of ours.
    ///
    /// # Errors
    /// [`NoForm`].
    pub fn parse(body: &[u8], known: &[&str]) -> Result<Self, NoForm> {
        let mut form = Self::default();
        for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|b| *b == b'=').ok_or(NoForm)?;
            let (name, value) = pair.split_at(at);
            let name = std::str::from_utf8(name).map_err(|_| NoForm)?;
            if !known.contains(&name) || form.has(name) || form.0.len() >= MAX_FIELDS {
                return Err(NoForm);
            }
            let value = decoded(value.get(1..).unwrap_or_default())?;
            form.0.push((name.to_owned(), value));
        }
        Ok(form)
    }

    /// Whether a field came at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// A field's value; empty where there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &[u8] {
        self.0.iter().find(|(known, _)| known == name).map_or(&[], |(_, value)| value)
    }

    /// A field's value, taken out.
    #[must_use]
    pub fn take(&mut self, name: &str) -> Zeroizing<Vec<u8>> {
        let found = self.0.iter_mut().find(|(known, _)| known == name);
        found.map(|(_, value)| std::mem::take(value)).unwrap_or_default()
    }
}

fn decoded(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, NoForm> {
    // Made at its full size: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut digit =
                    || rest.next().and_then(|b| char::from(*b).to_digit(16)).ok_or(NoForm);
                let value = digit()? << 4 | digit()?;
                bytes.push(u8::try_from(value).map_err(|_| NoForm)?);
            }
            other => bytes.push(*other),
        }
    }
    Ok(bytes)
}

/// A text of several lines as it was typed: browsers send each line's end as
/// CR LF (HTML, "newline normalization"), and no key has it.
#[must_use]
pub fn with_line_ends(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(value.len()));
    let mut rest = value.iter().peekable();
    while let Some(byte) = rest.next() {
        if *byte != b'\r' || rest.peek() != Some(&&b'\n') {
            bytes.push(*byte);
        }
    }
    bytes
}

/// A digest as forms have it.
#[must_use]
pub fn digest(text: &[u8]) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .iter()
        .map(|b| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |sum, d| sum << 4 | d)).collect();
    bytes.try_into().ok().filter(|_| text.len() == 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let mut form = Form::parse(b"a=1%2b+2&b=&c=%00%ff", &["a", "b", "c"]).unwrap();
        assert_eq!(
            (form.get("a"), form.get("b"), form.get("c")),
            (&b"1+ 2"[..], &b""[..], &b"\0\xff"[..])
        );
        assert!(form.has("b") && !form.has("d"));
        assert_eq!(form.take("a").as_slice(), b"1+ 2");
        assert_eq!(form.get("a"), b"");
        assert!(Form::parse(b"", &[]).is_ok());
    }

    #[test]
    fn what_is_none_of_ours() {
        for body in
            ["a", "a=1&a=2", "x=1", "a=%", "a=%4", "a=%zz", "a=%+1", "%61=1", "\u{e9}=1", "a =1"]
        {
            assert_eq!(Form::parse(body.as_bytes(), &["a"]).err(), Some(NoForm), "{body}");
        }
        let names: Vec<String> = (0..9).map(|n| n.to_string()).collect();
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let body = names.iter().map(|n| format!("{n}=&")).collect::<String>();
        assert!(Form::parse(body.as_bytes(), &known).is_err());
    }

    #[test]
    fn line_ends() {
        assert_eq!(with_line_ends(b"a\r\nb\r\n\rc\r").as_slice(), b"a\nb\n\rc\r");
    }

    #[test]
    fn digests() {
        let text = "00ff0a".to_owned() + &"ab".repeat(29);
        assert_eq!(digest(text.as_bytes()).unwrap()[..4], [0, 255, 10, 0xab]);
        for bad in ["", "ab", &"g".repeat(64), &"A".repeat(64), &"a".repeat(63), &"a".repeat(66)] {
            assert_eq!(digest(bad.as_bytes()), None);
        }
    }
}
