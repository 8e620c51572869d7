//! Untrusted bytes made safe for a terminal, a log line or an approval.

use std::fmt::Write as _;

/// Characters that change how the rest of a line is drawn or hide in it:
/// bidi controls, zero-width characters, line and paragraph separators, BOM.
/// Source: Unicode UAX #9 and UTS #39 (Trojan Source, CVE-2021-42574).
fn deceptive(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Shows every byte: printable text as it is, everything else escaped
/// (`\n`, `\x1b`, `\u{202e}`), so nothing can act on a terminal.
#[must_use]
pub fn visible(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                '\\' => out.push_str("\\\\"),
                c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                    let _ = write!(out, "\\x{:02x}", c as u32);
                }
                c if c.is_control() || deceptive(c) => {
                    let _ = write!(out, "\\u{{{:x}}}", c as u32);
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn nothing_acts_on_a_terminal() {
        assert_eq!(visible(b"ls -l"), "ls -l");
        assert_eq!(visible(b"a\x1b[2Jb\r\n"), "a\\x1b[2Jb\\r\\n");
        assert_eq!(visible("x\u{202e}y\u{200b}".as_bytes()), "x\\u{202e}y\\u{200b}");
        assert_eq!(visible(&[b'a', 0xff, b'b']), "a\\xffb");
        assert_eq!(visible("é\u{9b}".as_bytes()), "é\\u{9b}");
    }
}
