//! Bytes to messages and back: the only module that names `bincode`.
//!
//! The wire format is bincode's fixed-int little-endian encoding, frozen here
//! and written down in `docs/protocol.md` so that another codec could take
//! over without a change on the wire. `bincode` 2.0.1 is unmaintained
//! (RUSTSEC-2025-0141); what that means for us is argued in `deny.toml`.

use bincode::config::{self, Config, Configuration, Fixint, Limit, LittleEndian};
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

type Packet = Configuration<LittleEndian, Fixint, Limit<MAX_PACKET>>;
type Sealed = Configuration<LittleEndian, Fixint, Limit<MAX_PLAN>>;
type Acted = Configuration<LittleEndian, Fixint, Limit<MAX_ACTION>>;
type Handed = Configuration<LittleEndian, Fixint, Limit<MAX_INTAKE>>;

/// Decodes one packet, refusing trailing bytes.
///
/// # Errors
/// [`WireError`] when the bytes are not exactly one message.
pub fn decode<M: Decode<()>>(packet: &[u8]) -> Result<M, WireError> {
    const CFG: Packet = config::standard().with_fixed_int_encoding().with_limit::<MAX_PACKET>();
    if packet.len() > MAX_PACKET {
        return Err(WireError::TooBig);
    }
    whole(bincode::decode_from_slice(packet, CFG), packet.len())
}

/// Encodes one packet. It may hold a secret, so it is wiped when dropped.
///
/// # Errors
/// [`WireError::TooBig`] when the message does not fit [`MAX_PACKET`].
pub fn encode<M: Encode>(message: &M) -> Result<Zeroizing<Vec<u8>>, WireError> {
    const CFG: Packet = config::standard().with_fixed_int_encoding().with_limit::<MAX_PACKET>();
    encode_exactly(message, CFG, MAX_PACKET)
}

/// Decodes a plan, which may be longer than a packet.
///
/// # Errors
/// [`WireError`] when the bytes are not exactly one plan.
pub fn decode_plan<M: Decode<()>>(bytes: &[u8]) -> Result<M, WireError> {
    const CFG: Sealed = config::standard().with_fixed_int_encoding().with_limit::<MAX_PLAN>();
    if bytes.len() > MAX_PLAN {
        return Err(WireError::TooBig);
    }
    whole(bincode::decode_from_slice(bytes, CFG), bytes.len())
}

/// Encodes a plan.
///
/// # Errors
/// [`WireError::TooBig`] when it does not fit [`MAX_PLAN`].
pub fn encode_plan<M: Encode>(plan: &M) -> Result<Vec<u8>, WireError> {
    const CFG: Sealed = config::standard().with_fixed_int_encoding().with_limit::<MAX_PLAN>();
    let bytes = bincode::encode_to_vec(plan, CFG).map_err(|_| WireError::Malformed)?;
    if bytes.len() > MAX_PLAN {
        return Err(WireError::TooBig);
    }
    Ok(bytes)
}

/// Decodes an action object, which may be longer than a packet.
///
/// # Errors
/// [`WireError`] when the bytes are not exactly one.
pub fn decode_action<M: Decode<()>>(bytes: &[u8]) -> Result<M, WireError> {
    const CFG: Acted = config::standard().with_fixed_int_encoding().with_limit::<MAX_ACTION>();
    if bytes.len() > MAX_ACTION {
        return Err(WireError::TooBig);
    }
    whole(bincode::decode_from_slice(bytes, CFG), bytes.len())
}

/// Encodes an action object.
///
/// # Errors
/// [`WireError::TooBig`] when it does not fit [`MAX_ACTION`].
pub fn encode_action<M: Encode>(action: &M) -> Result<Vec<u8>, WireError> {
    const CFG: Acted = config::standard().with_fixed_int_encoding().with_limit::<MAX_ACTION>();
    let bytes = bincode::encode_to_vec(action, CFG).map_err(|_| WireError::Malformed)?;
    if bytes.len() > MAX_ACTION { Err(WireError::TooBig) } else { Ok(bytes) }
}

/// Decodes what the start hands to the broker.
///
/// # Errors
/// [`WireError`] when the bytes are not exactly one message.
pub fn decode_intake<M: Decode<()>>(bytes: &[u8]) -> Result<M, WireError> {
    const CFG: Handed = config::standard().with_fixed_int_encoding().with_limit::<MAX_INTAKE>();
    if bytes.len() > MAX_INTAKE {
        return Err(WireError::TooBig);
    }
    whole(bincode::decode_from_slice(bytes, CFG), bytes.len())
}

/// Encodes what the start hands to the broker.
///
/// # Errors
/// [`WireError::TooBig`] when it does not fit [`MAX_INTAKE`].
pub fn encode_intake<M: Encode>(message: &M) -> Result<Zeroizing<Vec<u8>>, WireError> {
    const CFG: Handed = config::standard().with_fixed_int_encoding().with_limit::<MAX_INTAKE>();
    encode_exactly(message, CFG, MAX_INTAKE)
}

/// Measures first: for the limit, which bincode does not apply when encoding,
/// and for a buffer that never moves, so that a secret leaves no copy behind.
fn encode_exactly<M: Encode, C: Config>(
    message: &M,
    config: C,
    most: usize,
) -> Result<Zeroizing<Vec<u8>>, WireError> {
    let mut size = SizeWriter::default();
    bincode::encode_into_writer(message, &mut size, config).map_err(|_| WireError::Malformed)?;
    if size.bytes_written > most {
        return Err(WireError::TooBig);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.bytes_written));
    bincode::encode_into_std_write(message, &mut *bytes, config)
        .map_err(|_| WireError::Malformed)?;
    Ok(bytes)
}

fn whole<M>(
    decoded: Result<(M, usize), bincode::error::DecodeError>,
    len: usize,
) -> Result<M, WireError> {
    // The decoder's own error text can quote input, so it stops here.
    match decoded.map_err(|_| WireError::Malformed)? {
        (message, used) if used == len => Ok(message),
        _ => Err(WireError::TrailingBytes),
    }
}
