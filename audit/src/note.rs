//! Checkpoints: a log's size and root, signed. The form is C2SP's
//! tlog-checkpoint in a C2SP signed-note, so that any tool for transparency
//! logs can read one.
//!
//! ```text
//! strongroom-audit/5f1d…            the log's name, made at random
//! 512                               lines covered
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2f…   root over them, base64
//!
//! — strongroom-audit/5f1d… Az3grlgtz…
//! ```

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use crate::base64;
use crate::tree::Hash;

/// Ed25519 as signed-note names it.
const ED25519: u8 = 1;

/// Signatures in one note: ours, and those of a few witnesses.
const MAX_SIGNATURES: usize = 16;

/// Bytes of one note.
pub const MAX_NOTE: usize = 64 * 1024;

/// A checkpoint as a witness file or stream gets it: one line of JSON, newline
/// included.
#[must_use]
pub fn witness_line(note: &str) -> String {
    format!("{{\"strongroom_checkpoint\":{}}}\n", serde_json::Value::from(note))
}

/// The checkpoint notes in a text: lines of [`witness_line`] between any other
/// lines, or notes as they are, one after the other.
#[must_use]
pub fn witnessed(text: &str) -> Vec<Checkpoint> {
    let line = |line: &str| {
        // Other programs write to the same stream, and not always whole lines.
        let at = line.find("{\"strongroom_checkpoint\":")?;
        let object: serde_json::Value = serde_json::from_str(line.get(at..)?.trim_end()).ok()?;
        Checkpoint::parse_witnessed(object.get("strongroom_checkpoint")?.as_str()?)
    };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let notes = (0..lines.len()).filter_map(|from| {
        // Three lines, an empty one, and signatures.
        let [_, _, _, empty, ..] = lines.get(from..)? else { return None };
        let signatures = lines.get(from + 4..)?.iter().take_while(|line| line.starts_with("— "));
        let note: String = lines.get(from..from + 4 + signatures.count())?.concat();
        (*empty == "\n").then(|| Checkpoint::parse_witnessed(&note)).flatten()
    });
    lines.iter().filter_map(|text| line(text)).chain(notes).collect()
}

/// A public key with the log's name: `NAME+ID+KEY`, as signed-note's verifiers
/// take it.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyKey {
    name: String,
    id: u32,
    key: VerifyingKey,
}

impl VerifyKey {
    fn new(name: &str, key: VerifyingKey) -> Self {
        let mut hash = Sha256::new();
        hash.update(name.as_bytes());
        hash.update([b'\n', ED25519]);
        hash.update(key.as_bytes());
        let [a, b, c, d, ..] = Hash::from(hash.finalize());
        Self { name: name.to_owned(), id: u32::from_be_bytes([a, b, c, d]), key }
    }

    /// Reads what [`Display`](fmt::Display) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let key = base64::decode(key)?;
        let (kind, key) = key.split_first()?;
        let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
        let read = Self::new(name, key);
        let exact = *kind == ED25519 && is_name(name) && id == format!("{:08x}", read.id);
        // A key of small order would verify what nobody signed.
        (exact && !read.key.is_weak()).then_some(read)
    }

    /// The log's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number by which signatures name the key.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }
}

impl fmt::Display for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, self.id, base64::encode(&key))
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A private key with the log's name. Erased from memory when dropped.
pub struct SignKey {
    public: VerifyKey,
    key: SigningKey,
}

impl SignKey {
    /// The key with this seed, which is erased.
    #[must_use]
    pub fn new(name: &str, seed: &mut Hash) -> Self {
        let key = SigningKey::from_bytes(seed);
        seed.zeroize();
        Self { public: VerifyKey::new(name, key.verifying_key()), key }
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> &VerifyKey {
        &self.public
    }

    /// The seed, for the key's own file.
    #[must_use]
    pub fn seed(&self) -> &Hash {
        self.key.as_bytes()
    }

    /// Signs a checkpoint of the log with the key's name.
    #[must_use]
    pub fn sign(&self, size: u64, root: &Hash) -> String {
        let name = self.public.name();
        let text = format!("{name}\n{size}\n{}\n", base64::encode(root));
        let mut signature = self.public.id.to_be_bytes().to_vec();
        signature.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n— {name} {}\n", base64::encode(&signature))
    }
}

impl fmt::Debug for SignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// A checkpoint that was read; its signature is yet to be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Lines covered.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// Number of the log's key that is said to have signed.
    pub key_id: u32,
    text: String,
    signature: [u8; 64],
}

impl Checkpoint {
    /// Reads a note as [`SignKey::sign`] writes it: no extension, and one
    /// signature, of the log itself.
    #[must_use]
    pub fn parse(note: &str) -> Option<Self> {
        let read = Self::parse_witnessed(note)?;
        let (_, signatures) = note.rsplit_once("\n\n")?;
        (signatures.lines().count() == 1).then_some(read)
    }

    /// Reads a note to which witnesses may have added signatures of theirs.
    #[must_use]
    pub fn parse_witnessed(note: &str) -> Option<Self> {
        if note.len() > MAX_NOTE || note.bytes().any(|b| b < 0x20 && b != b'\n') {
            return None;
        }
        let at = note.rfind("\n\n")?;
        let (text, rest) = (note.get(..=at)?, note.get(at + 2..)?);
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        if lines.next().is_some() || !is_name(origin) {
            return None;
        }
        let size = number(size)?;
        let root = base64::decode(root)?.try_into().ok()?;
        let signatures = rest.strip_suffix('\n')?;
        if signatures.split('\n').count() > MAX_SIGNATURES {
            return None;
        }
        let (key_id, signature) = signatures.split('\n').find_map(|line| own(line, origin))?;
        let (origin, text) = (origin.to_owned(), text.to_owned());
        Some(Self { origin, size, root, key_id, text, signature })
    }

    /// Did this key sign it?
    #[must_use]
    pub fn is_by(&self, key: &VerifyKey) -> bool {
        let signature = Signature::from_bytes(&self.signature);
        key.name == self.origin
            && key.id == self.key_id
            && key.key.verify_strict(self.text.as_bytes(), &signature).is_ok()
    }
}

/// The signature on this line, if it is the log's own.
fn own(line: &str, origin: &str) -> Option<(u32, [u8; 64])> {
    let signature = line.strip_prefix("— ")?.strip_prefix(origin)?.strip_prefix(' ')?;
    let signature = base64::decode(signature)?;
    let (id, signature) = signature.split_first_chunk()?;
    Some((u32::from_be_bytes(*id), signature.try_into().ok()?))
}

/// A key's name: not empty, no space, no plus.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// A number without leading zeros or sign.
pub(crate) fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const NAME: &str = "strongroom-audit/0011";

    fn key(byte: u8) -> SignKey {
        SignKey::new(NAME, &mut [byte; 32])
    }

    #[test]
    fn what_was_signed_is_read_and_verified() {
        let note = key(1).sign(512, &[7; 32]);
        let read = Checkpoint::parse(&note).unwrap();
        assert_eq!((read.origin.as_str(), read.size, read.root), (NAME, 512, [7; 32]));
        assert!(read.is_by(key(1).public()));
        assert!(!read.is_by(key(2).public()));
        assert!(!read.is_by(SignKey::new("other", &mut [1; 32]).public()));
    }

    /// Every byte that is changed makes it another note, or none.
    #[test]
    fn no_byte_can_be_changed() {
        let note = key(1).sign(512, &[7; 32]);
        for at in 0..note.len() {
            for flip in [1u8, 2, 4, 8, 16, 32, 64, 128] {
                let mut bytes = note.clone().into_bytes();
                *bytes.get_mut(at).unwrap() ^= flip;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                let holds = Checkpoint::parse(&text).is_some_and(|c| c.is_by(key(1).public()));
                assert!(!holds, "byte {at} ^ {flip}: {text}");
            }
        }
    }

    #[test]
    fn witnesses_may_add_their_signatures() {
        let note = key(1).sign(512, &[7; 32]);
        let more = format!("{note}— witness.example/w AAAAAAAA\n");
        assert_eq!(Checkpoint::parse(&more), None);
        let read = Checkpoint::parse_witnessed(&more).unwrap();
        assert!(read.is_by(key(1).public()));
    }

    #[test]
    fn what_a_witness_was_told_is_found_between_other_lines() {
        let notes = [key(1).sign(3, &[7; 32]), key(1).sign(9, &[8; 32])];
        let mixed = format!(
            "agent says hello\n{}half a line {}{{\"strongroom_checkpoint\":\"x\"}}\n",
            witness_line(&notes[0]),
            witness_line(&notes[1])
        );
        let sizes = |text: &str| witnessed(text).iter().map(|c| c.size).collect::<Vec<_>>();
        assert_eq!(sizes(&mixed), [3, 9]);
        assert_eq!(sizes(&notes.concat()), [3, 9]);
        assert_eq!(sizes(&format!("{}\n{}", notes[0], notes[1])), [3, 9]);
        assert_eq!(sizes(""), [0u64; 0]);
    }

    #[test]
    fn a_public_key_has_one_text() {
        let key = key(3);
        let text = key.public().to_string();
        assert_eq!(VerifyKey::parse(&text).as_ref(), Some(key.public()));
        for bad in [
            text.replace('+', " "),
            text.to_uppercase(),
            text.replacen("strongroom", "Strongroom", 1),
            format!("{text}="),
            text.split('+').next().unwrap().to_owned(),
            String::new(),
        ] {
            assert_eq!(VerifyKey::parse(&bad), None, "{bad}");
        }
        assert!(!format!("{key:?}").contains("030303"));
    }
}
