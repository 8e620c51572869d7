//! Bytes to messages and back: the only module that names `bincode`.
//!
//! The wire format is bincode's fixed-int little-endian encoding, frozen here
//! and written down in `docs/protocol.md` so that another codec could take
//! over without a change on the wire. `bincode` 2.0.1 is unmaintained
//! (RUSTSEC-2025-0141); what that means for us is argued in `deny.toml`.

use bincode::config::{self, Configuration, Fixint, Limit, LittleEndian};
use bincode::enc::write::SizeWriter;
use bincode::{Decode, Encode};
use zeroize::Zeroizing;

use crate::limits::{MAX_ACTION, MAX_INTAKE, MAX_PACKET, MAX_PLAN};

/// Why bytes are not a message. Carries no input: it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// More bytes than the limit of this kind of frame.
    TooBig,
    /// Not the encoding of any message of this direction.
    Malformed,
    /// A whole message, then something else.
    TrailingBytes,
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooBig => "frame over its size limit",
            Self::Malformed => "malformed frame",
            Self::TrailingBytes => "bytes after the end of the frame",
        })
    }
}

impl std::error::Error for WireError {}

/// The encoding, for frames of at most `MOST` bytes.
const fn wire<const MOST: usize>() -> Configuration<LittleEndian, Fixint, Limit<MOST>> {
    config::standard().with_fixed_int_encoding().with_limit::<MOST>()
}

/// Decodes one packet, refusing trailing bytes.
///
/// # Errors
/// [`WireError`] when the bytes are not exactly one message.
pub fn decode<M: Decode<()>>(packet: &[u8]) -> Result<M, WireError> {
    decode_within::<_, MAX_PACKET>(packet)
}

/// Encodes one packet. It may hold a secret, so it is wiped when dropped.
///
/// # Errors
/// [`WireError::TooBig`] when the message does not fit [`MAX_PACKET`].
pub fn encode<M: Encode>(message: &M) -> Result<Zeroizing<Vec<u8>>, WireError> {
    encode_exactly::<_, MAX_PACKET>(message)
}

/// Decodes a plan, which may be longer than a packet.
///
/// # Errors
/// [`WireError`] when the bytes are not exactly one plan.
pub fn decode_plan<M: Decode<()>>(bytes: &[u8]) -> Result<M, WireError> {
    decode_within::<_, MAX_PLAN>(bytes)
}

/// Encodes a plan.
///
/// # Errors
/// [`WireError::TooBig`] when it does not fit [`MAX_PLAN`].
pub fn encode_plan<M: Encode>(plan: &M) -> Result<Vec<u8>, WireError> {
    encode_open::<_, MAX_PLAN>(plan)
}

/// Decodes an action object, which may be longer than a packet.
///
/// # Errors
/// [`WireError`] when the bytes are not exactly one.
pub fn decode_action<M: Decode<()>>(bytes: &[u8]) -> Result<M, WireError> {
    decode_within::<_, MAX_ACTION>(bytes)
}

/// Encodes an action object.
///
/// # Errors
/// [`WireError::TooBig`] when it does not fit [`MAX_ACTION`].
pub fn encode_action<M: Encode>(action: &M) -> Result<Vec<u8>, WireError> {
    encode_open::<_, MAX_ACTION>(action)
}

/// Decodes what the start hands to the broker.
///
/// # Errors
/// [`WireError`] when the bytes are not exactly one message.
pub fn decode_intake<M: Decode<()>>(bytes: &[u8]) -> Result<M, WireError> {
    decode_within::<_, MAX_INTAKE>(bytes)
}

/// Encodes what the start hands to the broker.
///
/// # Errors
/// [`WireError::TooBig`] when it does not fit [`MAX_INTAKE`].
pub fn encode_intake<M: Encode>(message: &M) -> Result<Zeroizing<Vec<u8>>, WireError> {
    encode_exactly::<_, MAX_INTAKE>(message)
}

/// Encodes what holds no secret.
fn encode_open<M: Encode, const MOST: usize>(message: &M) -> Result<Vec<u8>, WireError> {
    let bytes =
        bincode::encode_to_vec(message, wire::<MOST>()).map_err(|_| WireError::Malformed)?;
    if bytes.len() > MOST { Err(WireError::TooBig) } else { Ok(bytes) }
}

/// Measures first: for the limit, which bincode does not apply when encoding,
/// and for a buffer that never moves, so that a secret leaves no copy behind.
fn encode_exactly<M: Encode, const MOST: usize>(
    message: &M,
) -> Result<Zeroizing<Vec<u8>>, WireError> {
    let config = wire::<MOST>();
    let mut size = SizeWriter::default();
    bincode::encode_into_writer(message, &mut size, config).map_err(|_| WireError::Malformed)?;
    if size.bytes_written > MOST {
        return Err(WireError::TooBig);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.bytes_written));
    bincode::encode_into_std_write(message, &mut *bytes, config)
        .map_err(|_| WireError::Malformed)?;
    Ok(bytes)
}

fn decode_within<M: Decode<()>, const MOST: usize>(bytes: &[u8]) -> Result<M, WireError> {
    if bytes.len() > MOST {
        return Err(WireError::TooBig);
    }
    // The decoder's own error text can quote input, so it stops here.
    match bincode::decode_from_slice(bytes, wire::<MOST>()).map_err(|_| WireError::Malformed)? {
        (message, used) if used == bytes.len() => Ok(message),
        _ => Err(WireError::TrailingBytes),
    }
}
