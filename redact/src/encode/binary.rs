//! Encodings of bytes, whatever they mean.

use super::{CASES, Case, Forms, bytewise, push_hex};
use crate::wiped::Wiped;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The bytes themselves, and what stands in quotes.
pub(crate) fn plain(value: &[u8], forms: &mut Forms<'_>) {
    forms(value.into());
    for quote in [&b"\""[..], b"'"] {
        let inside = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(inside) = inside {
            forms(inside.into());
        }
    }
}

/// Base64, RFC 4648 section 4.
pub(crate) fn base64(value: &[u8], forms: &mut Forms<'_>) {
    base64_in(STANDARD, value, forms);
}

/// Base64 for URLs and file names, RFC 4648 section 5.
pub(crate) fn base64url(value: &[u8], forms: &mut Forms<'_>) {
    base64_in(URL_SAFE, value, forms);
}

/// The value may begin at any of the three bytes that make four characters.
/// Characters that hold bits of its neighbours too are left out.
fn base64_in(alphabet: &[u8; 64], value: &[u8], forms: &mut Forms<'_>) {
    for before in 0..3 {
        let mut form = Wiped::with_capacity(4 * value.len() / 3 + 4);
        let (mut bits, mut pending) = (0_u32, 8 * before);
        for byte in value {
            bits = bits << 8 | u32::from(*byte);
            pending += 8;
            while pending >= 6 {
                pending -= 6;
                let index = (bits >> pending & 0x3f) as usize;
                form.push(alphabet.get(index).copied().unwrap_or_default());
            }
        }
        // Of the first characters, `8 * before` bits are not the value's.
        let foreign = (8_usize * before).div_ceil(6);
        forms(form.get(foreign..).unwrap_or_default().into());
    }
}

/// Hexadecimal digits.
pub(crate) fn hex(value: &[u8], forms: &mut Forms<'_>) {
    for case in CASES {
        forms(bytewise(value, |byte, form| push_hex(form, byte.into(), 2, case)));
    }
}

/// Hexadecimal digits with a colon after each two.
pub(crate) fn hex_colons(value: &[u8], forms: &mut Forms<'_>) {
    for case in CASES {
        forms(separated(value, case));
    }
}

fn separated(value: &[u8], case: Case) -> Wiped {
    bytewise(value, |byte, form| {
        if !form.is_empty() {
            form.push(b':');
        }
        push_hex(form, byte.into(), 2, case);
    })
}

/// UTF-16, either byte order. None for what is not UTF-8.
pub(crate) fn utf16(value: &[u8], forms: &mut Forms<'_>) {
    let Ok(text) = str::from_utf8(value) else { return };
    for order in [u16::to_le_bytes, u16::to_be_bytes] {
        let mut form = Wiped::with_capacity(2 * value.len());
        text.encode_utf16().for_each(|unit| form.extend(&order(unit)));
        forms(form);
    }
}

/// Last byte first, and last character first.
pub(crate) fn reversed(value: &[u8], forms: &mut Forms<'_>) {
    let mut bytes: Wiped = value.into();
    bytes.reverse();
    forms(bytes);
    if let Ok(text) = str::from_utf8(value) {
        let mut form = Wiped::with_capacity(value.len());
        text.chars().rev().for_each(|c| super::push_char(&mut form, c));
        forms(form);
    }
}
