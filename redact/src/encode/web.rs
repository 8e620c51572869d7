//! Encodings of addresses and documents: percent, JSON, XML and HTML.

use super::{CASES, Case, Forms, Unit, bytewise, charwise, push_char, push_decimal, push_hex};
use crate::wiped::Wiped;

/// Characters besides letters and digits that are left as they are: by RFC
/// 3986 section 2.3; by Python's `quote`; by JavaScript's `encodeURIComponent`
/// and `encodeURI`.
const KEPT: [&[u8]; 4] = [b"-._~", b"-._~/", b"-._~!'()*", b"-._~!'()*;,/?:@&=+$#"];

/// The same in a form: by the WHATWG's URL standard, and by Python's
/// `quote_plus`.
const KEPT_IN_FORMS: [&[u8]; 2] = [b"-._*", b"-._~"];

/// Percent-encoded where it must be.
pub(crate) fn percent(value: &[u8], forms: &mut Forms<'_>) {
    for kept in KEPT {
        for case in CASES {
            forms(bytewise(value, |byte, form| percent_byte(byte, kept, case, form)));
        }
    }
}

/// Percent-encoded as in a form: a plus for a space.
pub(crate) fn form(value: &[u8], forms: &mut Forms<'_>) {
    for kept in KEPT_IN_FORMS {
        for case in CASES {
            forms(bytewise(value, |byte, form| match byte {
                b' ' => form.push(b'+'),
                byte => percent_byte(byte, kept, case, form),
            }));
        }
    }
}

/// Every byte percent-encoded.
pub(crate) fn percent_all(value: &[u8], forms: &mut Forms<'_>) {
    for case in CASES {
        forms(bytewise(value, |byte, form| percent_escape(byte, case, form)));
    }
}

fn percent_byte(byte: u8, kept: &[u8], case: Case, form: &mut Wiped) {
    if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
        form.push(byte);
    } else {
        percent_escape(byte, case, form);
    }
}

fn percent_escape(byte: u8, case: Case, form: &mut Wiped) {
    form.push(b'%');
    push_hex(form, byte.into(), 2, case);
}

/// What else than the least is escaped in a JSON string.
#[derive(Clone, Copy)]
struct Json {
    slash: bool,
    /// Everything beyond ASCII, with digits of this case.
    ascii: Option<Case>,
    /// `<`, `>`, `&` and the two line separators, for HTML (Go).
    html: bool,
}

const JSON: Json = Json { slash: false, ascii: None, html: false };
const JSON_ASCII: Json = Json { ascii: Some(Case::Lower), ..JSON };

/// The inside of a JSON string, RFC 8259 section 7, as writers differ.
pub(crate) fn json(value: &[u8], forms: &mut Forms<'_>) {
    forms(JSON.encode(value));
    forms(Json { slash: true, ..JSON }.encode(value));
    forms(JSON_ASCII.encode(value));
    forms(Json { ascii: Some(Case::Upper), ..JSON }.encode(value));
    forms(Json { slash: true, ..JSON_ASCII }.encode(value));
    forms(Json { html: true, ..JSON }.encode(value));
}

/// A JSON string in a JSON string.
pub(crate) fn json_twice(value: &[u8], forms: &mut Forms<'_>) {
    for inner in [JSON, JSON_ASCII] {
        forms(JSON.encode(&inner.encode(value)));
    }
}

/// Every UTF-16 unit as `\uXXXX`. None for what is not UTF-8.
pub(crate) fn unicode_escapes(value: &[u8], forms: &mut Forms<'_>) {
    if str::from_utf8(value).is_err() {
        return;
    }
    for case in CASES {
        forms(charwise(value, |unit, form| match unit {
            Unit::Char(c) => push_utf16(form, c, case),
            Unit::Byte(b) => form.push(b),
        }));
    }
}

fn push_utf16(form: &mut Wiped, c: char, case: Case) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        form.extend(br"\u");
        push_hex(form, u32::from(*unit), 4, case);
    }
}

impl Json {
    fn encode(self, value: &[u8]) -> Wiped {
        charwise(value, |unit, form| match unit {
            Unit::Char(c) => self.push(c, form),
            Unit::Byte(b) => form.push(b),
        })
    }

    fn push(self, c: char, form: &mut Wiped) {
        match c {
            '"' => form.extend(br#"\""#),
            '\\' => form.extend(br"\\"),
            '\n' => form.extend(br"\n"),
            '\r' => form.extend(br"\r"),
            '\t' => form.extend(br"\t"),
            '\u{8}' => form.extend(br"\b"),
            '\u{c}' => form.extend(br"\f"),
            '/' if self.slash => form.extend(br"\/"),
            '\0'..='\u{1f}' => push_utf16(form, c, self.ascii.unwrap_or(Case::Lower)),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if self.html => {
                push_utf16(form, c, Case::Lower);
            }
            '\u{7f}'.. => match self.ascii {
                Some(case) => push_utf16(form, c, case),
                None => push_char(form, c),
            },
            c => push_char(form, c),
        }
    }
}

/// What stands for `"` and for `'` in XML and HTML: where neither has to be
/// escaped, by XML, by Python and JavaScript, by others, by Go.
const QUOTES: [(&[u8], &[u8]); 6] = [
    (b"\"", b"'"),
    (b"&quot;", b"'"),
    (b"&quot;", b"&apos;"),
    (b"&quot;", b"&#x27;"),
    (b"&quot;", b"&#39;"),
    (b"&#34;", b"&#39;"),
];

/// XML or HTML, with names for what must be escaped.
pub(crate) fn entities(value: &[u8], forms: &mut Forms<'_>) {
    for (double, single) in QUOTES {
        forms(bytewise(value, |byte, form| match byte {
            b'&' => form.extend(b"&amp;"),
            b'<' => form.extend(b"&lt;"),
            b'>' => form.extend(b"&gt;"),
            b'"' => form.extend(double),
            b'\'' => form.extend(single),
            byte => form.push(byte),
        }));
    }
}

/// Every character as a reference by its number. None for what is not UTF-8.
pub(crate) fn references(value: &[u8], forms: &mut Forms<'_>) {
    if str::from_utf8(value).is_err() {
        return;
    }
    forms(reference(value, b"&#", push_decimal));
    for case in CASES {
        forms(reference(value, b"&#x", |form, number| {
            let digits = (32 - number.leading_zeros()).div_ceil(4);
            push_hex(form, number, digits, case);
        }));
    }
}

fn reference(value: &[u8], start: &[u8], number: impl Fn(&mut Wiped, u32)) -> Wiped {
    charwise(value, |unit, form| {
        form.extend(start);
        match unit {
            Unit::Char(c) => number(form, u32::from(c)),
            Unit::Byte(b) => number(form, u32::from(b)),
        }
        form.push(b';');
    })
}
