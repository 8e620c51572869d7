//! The three primitives, each behind one function: XChaCha20-Poly1305
//! (draft-irtf-cfrg-xchacha-03), HKDF-SHA256 (RFC 5869), SHA-256. Argon2id is
//! with its parameters in `cost`.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut as _, KeyInit as _, XChaCha20Poly1305};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

/// Bytes of every key.
pub(crate) const KEY: usize = 32;

/// Bytes of a nonce. Long enough to be drawn at random every time.
pub(crate) const NONCE: usize = 24;

/// Bytes of an authentication tag.
pub(crate) const TAG: usize = 16;

/// Bytes of a SHA-256 digest.
pub(crate) const DIGEST: usize = 32;

/// Encrypts `plain` into `sealed`, which is as long. `None` where a length is
/// wrong.
pub(crate) fn seal(
    key: &[u8],
    nonce: &[u8; NONCE],
    context: &[u8],
    plain: &[u8],
    sealed: &mut [u8],
) -> Option<[u8; TAG]> {
    let cipher = XChaCha20Poly1305::new_from_slice(key).ok()?;
    let buffer = InOutBuf::new(plain, sealed).ok()?;
    let tag = cipher.encrypt_inout_detached(nonce.into(), context, buffer).ok()?;
    Some(tag.into())
}

/// Decrypts `sealed` into `plain`, which is as long. `None`, and nothing
/// written, where it or `context` is not what was sealed with this key.
pub(crate) fn open(
    key: &[u8],
    nonce: &[u8; NONCE],
    context: &[u8],
    sealed: &[u8],
    tag: &[u8; TAG],
    plain: &mut [u8],
) -> Option<()> {
    let cipher = XChaCha20Poly1305::new_from_slice(key).ok()?;
    let buffer = InOutBuf::new(sealed, plain).ok()?;
    cipher.decrypt_inout_detached(nonce.into(), context, buffer, tag.into()).ok()
}

/// Derives a key from key material. `None` where a length is wrong.
pub(crate) fn derive(salt: &[u8], material: &[u8], purpose: &[u8], key: &mut [u8]) -> Option<()> {
    let (mut pseudorandom, hkdf) = Hkdf::<Sha256>::extract(Some(salt), material);
    pseudorandom.as_mut_slice().zeroize();
    hkdf.expand(purpose, key).ok()
}

/// SHA-256 of all parts, one after the other.
pub(crate) fn digest(bytes: &[u8]) -> [u8; DIGEST] {
    Sha256::digest(bytes).into()
}
