//! Which values can be kept secret at all. A value that is short, or that
//! anybody would guess, is also found by chance in ordinary output: hiding it
//! there would hide half of the output, and not hiding it would not hide it.

use std::collections::BTreeSet;

/// Bytes of a value, at least.
const MIN_LENGTH: usize = 12;

/// Bits a value must be worth, by [`bits`].
const MIN_BITS: f64 = 64.0;

/// Bytes that are looked at. A value whose first KiB is worth less than
/// [`MIN_BITS`] is mostly repetition.
const LOOKED_AT: usize = 1024;

/// Why a value is no secret. Says nothing of the value itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// It has no byte. Refused always.
    Empty,
    /// It has fewer than 12 bytes.
    Short,
    /// It repeats itself, or uses too few different characters.
    Guessable,
}

impl std::fmt::Display for Weakness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "the value is empty",
            Self::Short => "the value has fewer than 12 bytes",
            Self::Guessable => "the value is too easily guessed: it is worth less than 64 bits",
        })
    }
}

impl std::error::Error for Weakness {}

/// Checks that a value can be kept secret.
///
/// # Errors
/// [`Weakness`]. All but [`Weakness::Empty`] can be overruled by the operator.
pub fn check_value(value: &[u8]) -> Result<(), Weakness> {
    if value.is_empty() {
        return Err(Weakness::Empty);
    }
    if value.len() < MIN_LENGTH {
        return Err(Weakness::Short);
    }
    let start = value.get(..LOOKED_AT).unwrap_or(value);
    if bits(start) < MIN_BITS { Err(Weakness::Guessable) } else { Ok(()) }
}

/// An upper bound of what a value is worth, deliberately simple: the number of
/// bytes that their predecessors do not foretell, times the bits of one
/// character of the classes used. A byte is foretold when it goes on with the
/// same step as the two before it (`aaaa`, `1234`, `zyxw`), or when it ends
/// three bytes that stood in the value before (`abcabc`, `passwordpassword`).
fn bits(value: &[u8]) -> f64 {
    let mut seen = BTreeSet::new();
    // The first two have no two before them.
    let mut fresh = value.len().min(2);
    for window in value.windows(3) {
        let &[a, b, c] = window else { continue };
        let repeated = !seen.insert([a, b, c]);
        let stepped = b.wrapping_sub(a) == c.wrapping_sub(b);
        fresh += usize::from(!repeated && !stepped);
    }
    fresh as f64 * alphabet(value).log2()
}

/// Characters in the classes that a value uses: digits, lower case, upper
/// case, the other 33 printable ones, all other bytes.
fn alphabet(value: &[u8]) -> f64 {
    type Class = fn(&u8) -> bool;
    let classes: [(Class, f64); 5] = [
        (u8::is_ascii_digit, 10.0),
        (u8::is_ascii_lowercase, 26.0),
        (u8::is_ascii_uppercase, 26.0),
        (|byte| byte.is_ascii_punctuation() || *byte == b' ', 33.0),
        (|byte| byte.is_ascii_control() || !byte.is_ascii(), 161.0),
    ];
    classes.iter().filter(|(class, _)| value.iter().any(class)).map(|(_, size)| size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str) -> Result<(), Weakness> {
        check_value(value.as_bytes())
    }

    #[test]
    fn what_no_redaction_could_hide_is_refused() {
        assert_eq!(check(""), Err(Weakness::Empty));
        for short in ["1", "true", "allow", "deny", "/", "production", "hunter2hunt"] {
            assert_eq!(check(short), Err(Weakness::Short), "{short}");
        }
        for guessable in [
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "123456789012345678901234567890",
            "abcdefghijklmnopqrstuvwxyz",
            "zyxwvutsrqponmlkjihgfedcba",
            "passwordpassword",
            "changemechangeme",
            "abababababababababababab",
            "0000000000000000000000000000000000000001",
            "            ",
            "482910573856",
            "kubernetesxy",
        ] {
            assert_eq!(check(guessable), Err(Weakness::Guessable), "{guessable}");
        }
        assert_eq!(check(&"ab".repeat(30_000)), Err(Weakness::Guessable));
    }

    #[test]
    fn what_services_hand_out_is_taken() {
        for good in [
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "sk-ant-api03-x9QeT",
            "9f86d081884c7d65",
            "k3J9-xQ2v!Lm",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAA",
            "postgres://app:s3cr3t@db/app",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check_value(&[0, 200, 3, 7, 99, 0, 250, 13, 1, 77, 31, 5]), Ok(()));
    }
}
