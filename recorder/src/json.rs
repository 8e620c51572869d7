//! One JSON object on one line: fields in the order they are added, no spaces,
//! integers only.

use std::fmt::Write as _;

use strongroom_protocol::text::{hex, visible};

/// An object under construction.
#[derive(Debug)]
pub struct Object(String);

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

impl Object {
    /// No field yet.
    #[must_use]
    pub fn new() -> Self {
        Self(String::from("{"))
    }

    /// Text of our own.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        let value = quoted(value);
        self.raw(key, &value)
    }

    /// An integer.
    pub fn number(&mut self, key: &str, value: impl Into<i128>) -> &mut Self {
        self.raw(key, &value.into().to_string())
    }

    /// True or false.
    pub fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.raw(key, if value { "true" } else { "false" })
    }

    /// Untrusted bytes, made visible; where that is not exactly the bytes,
    /// they follow in hexadecimal as `KEY_hex`.
    pub fn bytes(&mut self, key: &str, value: &[u8]) -> &mut Self {
        let shown = visible(value);
        self.text(key, &shown);
        if shown.as_bytes() != value {
            self.text(&format!("{key}_hex"), &hex(value));
        }
        self
    }

    /// A list of untrusted bytes, likewise.
    pub fn bytes_list<'a>(
        &mut self,
        key: &str,
        values: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> &mut Self {
        let shown: Vec<String> = values.clone().map(visible).collect();
        self.texts(key, shown.iter().map(String::as_str));
        if !values.clone().eq(shown.iter().map(|s| s.as_bytes())) {
            let exact: Vec<String> = values.map(hex).collect();
            self.texts(&format!("{key}_hex"), exact.iter().map(String::as_str));
        }
        self
    }

    /// A list of texts of our own.
    pub fn texts<'a>(&mut self, key: &str, values: impl Iterator<Item = &'a str>) -> &mut Self {
        let items: Vec<String> = values.map(quoted).collect();
        self.raw(key, &format!("[{}]", items.join(",")))
    }

    /// Another object.
    pub fn object(&mut self, key: &str, value: &Self) -> &mut Self {
        let value = value.whole();
        self.raw(key, &value)
    }

    /// The object, closed.
    #[must_use]
    pub fn whole(&self) -> String {
        format!("{}}}", self.0)
    }

    /// Its fields, without the braces.
    #[must_use]
    pub fn fields(&self) -> &str {
        self.0.strip_prefix('{').unwrap_or_default()
    }

    fn raw(&mut self, key: &str, value: &str) -> &mut Self {
        self.comma();
        let _ = write!(self.0, "{}:{value}", quoted(key));
        self
    }

    fn comma(&mut self) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_safe_and_kept_exact() {
        let mut object = Object::new();
        object
            .bytes("plain", b"ls -l")
            .bytes("wild", b"a\nb\"\xff\x1b[2J\xe2\x80\xa8}")
            .bytes_list("argv", [b"x".as_slice(), b"\\".as_slice()].into_iter())
            .number("n", u64::MAX)
            .number("m", -9i32)
            .flag("f", true);
        assert_eq!(
            object.whole(),
            "{\"plain\":\"ls -l\",\
             \"wild\":\"a\\\\nb\\\"\\\\xff\\\\x1b[2J\\\\u{2028}}\",\
             \"wild_hex\":\"610a6222ff1b5b324ae280a87d\",\
             \"argv\":[\"x\",\"\\\\\\\\\"],\"argv_hex\":[\"78\",\"5c\"],\
             \"n\":18446744073709551615,\"m\":-9,\"f\":true}"
        );
    }
}
