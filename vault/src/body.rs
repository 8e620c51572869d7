//! The body before it is sealed and after it is opened: all credentials, in
//! the order of their names, then zeros up to a whole step. One set of
//! credentials has exactly one encoding.

use std::collections::BTreeMap;

use strongroom_protocol::types::CredentialName;
use strongroom_sys::secret::{Arena, Stored};

use crate::bytes::{Reader, Writer};
use crate::entry::{Entries, Entry, State};
use crate::error::Error;
use crate::limits::{BODY_STEP, MAX_BODY, MAX_ENTRIES, MAX_SECRET};

const ACTIVE: u8 = 0;
const REVOKED: u8 = 1;

/// The credentials as they will be.
pub(crate) type View<'a> = BTreeMap<&'a CredentialName, &'a Entry>;

/// Encodes.
///
/// # Errors
/// [`Error::TooBig`], [`Error::ArenaFull`].
pub(crate) fn encode(entries: &View<'_>, arena: &Arena) -> Result<Stored, Error> {
    let length = entries.iter().map(|(name, entry)| size(name, entry)).sum::<usize>() + 4;
    let length = length.next_multiple_of(BODY_STEP);
    if length > MAX_BODY {
        return Err(Error::TooBig);
    }
    let mut body = arena.zeroed(length)?;
    let mut writer = Writer::new(&mut body);
    write(entries, &mut writer).ok_or(Error::TooBig)?;
    Ok(body)
}

fn size(name: &CredentialName, entry: &Entry) -> usize {
    let state = entry.value().map_or(8, |value| 4 + value.len());
    1 + name.as_bytes().len() + 1 + 1 + 3 * 8 + state
}

fn write(entries: &View<'_>, writer: &mut Writer<'_>) -> Option<()> {
    writer.put(&u32::try_from(entries.len()).ok()?.to_le_bytes())?;
    for (name, entry) in entries {
        writer.put(&[u8::try_from(name.as_bytes().len()).ok()?])?;
        writer.put(name.as_bytes())?;
        let state = if entry.value().is_some() { ACTIVE } else { REVOKED };
        writer.put(&[state, u8::from(entry.forced)])?;
        for number in [entry.version, entry.created, entry.rotated] {
            writer.put(&number.to_le_bytes())?;
        }
        match &entry.state {
            State::Active(value) => {
                writer.put(&u32::try_from(value.len()).ok()?.to_le_bytes())?;
                writer.put(value)?;
            }
            State::Revoked { when } => writer.put(&when.to_le_bytes())?,
        }
    }
    Some(())
}

/// Decodes.
///
/// # Errors
/// [`Error::Damaged`] where it is no encoding, [`Error::ArenaFull`].
pub(crate) fn decode(body: &[u8], arena: &Arena) -> Result<Entries, Error> {
    let mut reader = Reader::new(body);
    let count = reader.length(MAX_ENTRIES).ok_or(Error::DAMAGED)?;
    let mut entries = Entries::new();
    for _ in 0..count {
        let (name, entry) = read(&mut reader, arena)?;
        let in_order = entries.last_key_value().is_none_or(|(last, _)| *last < name);
        if !in_order {
            return Err(Error::DAMAGED);
        }
        entries.insert(name, entry);
    }
    let padding = reader.rest();
    if padding.len() >= BODY_STEP || padding.iter().any(|byte| *byte != 0) {
        return Err(Error::DAMAGED);
    }
    Ok(entries)
}

fn read(reader: &mut Reader<'_>, arena: &Arena) -> Result<(CredentialName, Entry), Error> {
    let (name, state, forced, numbers) = read_plain(reader).ok_or(Error::DAMAGED)?;
    let [version, created, rotated] = numbers;
    let state = match state {
        ACTIVE => State::Active(arena.store(read_value(reader).ok_or(Error::DAMAGED)?)?),
        REVOKED => State::Revoked { when: reader.u64().ok_or(Error::DAMAGED)? },
        _ => return Err(Error::DAMAGED),
    };
    Ok((name, Entry { state, version, created, rotated, forced }))
}

fn read_plain(reader: &mut Reader<'_>) -> Option<(CredentialName, u8, bool, [u64; 3])> {
    let length = usize::from(reader.u8()?);
    let name = CredentialName::new(reader.take(length)?).ok()?;
    let state = reader.u8()?;
    let forced = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let numbers = [reader.u64()?, reader.u64()?, reader.u64()?];
    (numbers[0] > 0).then_some((name, state, forced, numbers))
}

fn read_value<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.length(MAX_SECRET)?;
    reader.take(length).filter(|value| !value.is_empty())
}
