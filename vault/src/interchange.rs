//! All credentials as text, to move them elsewhere: the plaintext of what
//! `strongroom-vault-age` encrypts. One line for each, its fields separated by
//! one space, its value in hexadecimal, so that any bytes survive and any tool
//! can read it:
//!
//! ```text
//! strongroom credentials 1
//! GITHUB_TOKEN 3 1790000000 1790000500 good active 6768705f31…
//! OLD_TOKEN 1 1780000000 1780000000 forced revoked 1790000900
//! ```
//!
//! Name, version, created, rotated, `good` or `forced`, then `active` and the
//! value, or `revoked` and when. Names in order, each once.

use std::io::Write as _;

use strongroom_protocol::types::CredentialName;
use strongroom_sys::secret::{Arena, Stored};

use crate::body;
use crate::change::Change;
use crate::entry::{Entries, Entry, State};
use crate::error::Error;
use crate::limits::{MAX_ENTRIES, MAX_SECRET};
use crate::store::Past;
use crate::value::check_value;
use crate::vault::Vault;

const FIRST: &[u8] = b"strongroom credentials 1";

/// Bytes of a line beside name and value, at most: four numbers of at most 20
/// digits, words, spaces.
const LINE: usize = 128;

impl Vault {
    /// Everything, as text, in the arena.
    ///
    /// # Errors
    /// [`Error::ArenaFull`].
    pub fn export(&self) -> Result<Stored, Error> {
        let line = |(name, entry): (&CredentialName, &Entry)| {
            LINE + name.as_bytes().len() + 2 * entry.value().map_or(0, <[u8]>::len)
        };
        let most = LINE + self.entries().map(line).sum::<usize>();
        let mut text = self.arena.zeroed(most)?;
        let mut rest: &mut [u8] = &mut text;
        write(&mut rest, self).map_err(|_| Error::ArenaFull)?;
        let left = rest.len();
        text.truncate(most - left);
        Ok(text)
    }

    /// Takes everything that [`export`](Self::export) wrote: all or nothing.
    /// Versions and times are taken as they are.
    ///
    /// # Errors
    /// [`Error::BadExport`]; [`Error::NameTaken`] where a credential is here
    /// already and `replace` is false; those of [`put`](Self::put).
    pub fn import(&mut self, text: &[u8], replace: bool) -> Result<Change, Error> {
        let imported = read(text, &self.arena)?;
        if !replace && imported.keys().any(|name| self.entries.contains_key(name)) {
            return Err(Error::NameTaken);
        }
        let mut next = self.view();
        next.extend(&imported);
        if next.len() > MAX_ENTRIES {
            return Err(Error::TooManyEntries);
        }
        let body = body::encode(&next, &self.arena)?;
        // What is replaced is lost with `vault.previous`, as with `put`.
        self.commit(&body, Past::Keep)?;
        self.entries.extend(imported);
        Ok(self.changed(0))
    }
}

fn write(out: &mut &mut [u8], vault: &Vault) -> std::io::Result<()> {
    out.write_all(FIRST)?;
    out.write_all(b"\n")?;
    for (name, entry) in vault.entries() {
        out.write_all(name.as_bytes())?;
        write!(out, " {} {} {}", entry.version, entry.created, entry.rotated)?;
        out.write_all(if entry.forced { b" forced" } else { b" good" })?;
        match &entry.state {
            State::Active(value) => {
                out.write_all(b" active ")?;
                value.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
            }
            State::Revoked { when } => write!(out, " revoked {when}")?,
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn read(text: &[u8], arena: &Arena) -> Result<Entries, Error> {
    // The last line ends with a newline, so a cut file is seen.
    let text = text.strip_suffix(b"\n").ok_or(Error::BadExport(1))?;
    let mut lines = text.split(|byte| *byte == b'\n');
    if lines.next() != Some(FIRST) {
        return Err(Error::BadExport(1));
    }
    let mut entries = Entries::new();
    for (index, line) in lines.enumerate() {
        let bad = Error::BadExport(index + 2);
        let (name, entry) = read_line(line, arena)?.ok_or(bad)?;
        if entries.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(bad);
        }
        entries.insert(name, entry);
    }
    Ok(entries)
}

/// `Ok(None)`: not a line of ours.
fn read_line(line: &[u8], arena: &Arena) -> Result<Option<(CredentialName, Entry)>, Error> {
    let mut fields = line.split(|byte| *byte == b' ');
    let mut field = || fields.next().unwrap_or_default();
    let name = CredentialName::new(field());
    let numbers = (number(field()), number(field()), number(field()));
    let forced = field();
    let (state, last) = (field(), field());
    let (Ok(name), (Some(version @ 1..), Some(created), Some(rotated))) = (name, numbers) else {
        return Ok(None);
    };
    let state = match state {
        b"active" => match value(last, arena)? {
            Some(value) => State::Active(value),
            None => return Ok(None),
        },
        b"revoked" => match number(last) {
            Some(when) => State::Revoked { when },
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    if fields.next().is_some() || !matches!(forced, b"forced" | b"good") {
        return Ok(None);
    }
    let mut entry = Entry { state, version, created, rotated, forced: forced == b"forced" };
    // What this program would not have taken unforced is not good.
    entry.forced |= entry.value().is_some_and(|value| check_value(value).is_err());
    Ok(Some((name, entry)))
}

/// Decimal digits only: `parse` alone would take a sign.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

fn value(text: &[u8], arena: &Arena) -> Result<Option<Stored>, Error> {
    let (pairs, odd) = text.as_chunks::<2>();
    if pairs.is_empty() || !odd.is_empty() || pairs.len() > MAX_SECRET {
        return Ok(None);
    }
    let mut value = arena.zeroed(pairs.len())?;
    for (byte, [high, low]) in value.iter_mut().zip(pairs) {
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else { return Ok(None) };
        *byte = high << 4 | low;
    }
    Ok(Some(value))
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}
