//! A text with placeholders: read once, completed as often as needed.

use std::collections::BTreeMap;
use std::fmt;

use strongroom_protocol::types::CredentialName;

use crate::buffer::{Count, Same, SecretBuf, Sink};
use crate::error::{Error, Position, Problem};
use crate::filter::Filter;
use crate::format::{Format, Place};
use crate::grammar::{Piece, Scanned, scan};
use crate::skeleton::{Found, Skeleton};
use crate::transform::Transform;
use crate::{MAX_TEXT, detect};

/// What a value needs counts in steps of this size against the limit, so that
/// a text that just fits cannot be used to measure a value.
const SIZE_STEP: usize = 4096;

/// A text whose placeholders all stand where they may. Holds no secret.
pub struct Template {
    text: Vec<u8>,
    pieces: Vec<Piece>,
    slots: Vec<Slot>,
    near_misses: Vec<Position>,
}

/// A placeholder, and how its value is written.
struct Slot {
    key: CredentialName,
    at: Position,
    context: &'static str,
    way: Way,
}

/// How a value is written.
enum Way {
    /// As it is.
    Raw,
    /// As it is, if it can mean nothing special anywhere.
    Guarded,
    /// Made into another text, and no more.
    Transformed(Transform),
    /// For its place, after a transformation if there is one.
    Placed(Option<Transform>, Format, Place),
    /// For its place in the format of the filter; the file is of another one
    /// and must take what comes out as it is.
    Both { filter: (Format, Place), file: (Format, Place) },
}

impl Template {
    /// Finds the placeholders and where they stand. `file_name`, or a path,
    /// decides on the format where no filter does.
    ///
    /// # Errors
    /// A text or a number of placeholders beyond the limits, an unknown
    /// filter, a place where no placeholder may stand.
    pub fn parse(content: &[u8], file_name: &[u8]) -> Result<Self, Error> {
        if content.len() > MAX_TEXT {
            return Err(Error::whole(Problem::TextTooLong));
        }
        let Scanned { pieces, placeholders, near_misses } = scan(content)?;
        let file = detect::by_name(file_name);
        let mut places = Places::new(content, &pieces);
        let mut slots = Vec::with_capacity(placeholders.len());
        for (index, placeholder) in placeholders.into_iter().enumerate() {
            let context = context(placeholder.filter, file);
            match places.way(index, placeholder.filter, file) {
                Ok(way) => {
                    let (key, at) = (placeholder.key, placeholder.at);
                    slots.push(Slot { key, at, context, way });
                }
                Err(problem) => {
                    return Err(Error::at(placeholder.key, placeholder.at, context, problem));
                }
            }
        }
        Ok(Self { text: content.to_vec(), pieces, slots, near_misses })
    }

    /// The text as it was written.
    #[must_use]
    pub fn logical(&self) -> &[u8] {
        &self.text
    }

    /// The credentials named in it, each once, in order of their names.
    pub fn keys(&self) -> impl Iterator<Item = &CredentialName> {
        let mut keys: Vec<&CredentialName> = self.slots.iter().map(|slot| &slot.key).collect();
        keys.sort();
        keys.dedup();
        keys.into_iter()
    }

    /// Every placeholder in order: credential, line and column.
    pub fn places(&self) -> impl Iterator<Item = (&CredentialName, u32, u32)> {
        self.slots.iter().map(|slot| (&slot.key, slot.at.line, slot.at.column))
    }

    /// Text that looks like a placeholder and is none, so it stays as it is:
    /// line and column. The first [`crate::MAX_NEAR_MISSES`].
    pub fn near_misses(&self) -> impl Iterator<Item = (u32, u32)> {
        self.near_misses.iter().map(|at| (at.line, at.column))
    }

    /// The text with a value for every placeholder, or nothing. `value_of` is
    /// asked once for each of [`Self::keys`].
    ///
    /// # Errors
    /// A key without a value or with an empty one, a value that cannot be
    /// written at its place, a result beyond the limit.
    pub fn render<'v>(
        &self,
        value_of: &dyn Fn(&CredentialName) -> Option<&'v [u8]>,
    ) -> Result<SecretBuf, Error> {
        let values: BTreeMap<&CredentialName, Option<&[u8]>> =
            self.keys().map(|key| (key, value_of(key))).collect();
        let values: Vec<&[u8]> = (self.slots.iter())
            .map(|slot| {
                let value = values.get(&slot.key).copied().flatten();
                value.filter(|value| !value.is_empty()).ok_or_else(|| slot.error(Problem::NoValue))
            })
            .collect::<Result<_, Error>>()?;
        let mut room = MAX_TEXT;
        for piece in &self.pieces {
            let mut size = Count::default();
            self.write(piece, &values, &mut size)?;
            let step = if matches!(piece, Piece::Text(_)) { 1 } else { SIZE_STEP };
            room = (size.0.checked_next_multiple_of(step))
                .and_then(|size| room.checked_sub(size))
                .ok_or_else(|| Error::whole(Problem::ResultTooLong))?;
        }
        SecretBuf::collect(|sink| {
            self.pieces.iter().try_for_each(|piece| self.write(piece, &values, sink))
        })
    }

    fn write(&self, piece: &Piece, values: &[&[u8]], sink: &mut dyn Sink) -> Result<(), Error> {
        match piece {
            Piece::Text(range) => sink.put(self.text.get(range.clone()).unwrap_or_default()),
            Piece::Placeholder(index) => {
                if let (Some(slot), Some(value)) = (self.slots.get(*index), values.get(*index)) {
                    slot.write(value, sink)?;
                }
            }
        }
        Ok(())
    }
}

/// Says how much there is, not what: a text may be long.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, slots, .. } = self;
        write!(f, "Template({} bytes, {} placeholders)", text.len(), slots.len())
    }
}

impl Slot {
    fn error(&self, problem: Problem) -> Error {
        Error::at(self.key.clone(), self.at, self.context, problem)
    }

    fn unfit(&self, place: Place) -> Error {
        self.error(Problem::Unfit).in_words(place.unfit())
    }

    fn write(&self, value: &[u8], sink: &mut dyn Sink) -> Result<(), Error> {
        // What follows makes no value shorter.
        if value.len() > MAX_TEXT {
            return Err(Error::whole(Problem::ResultTooLong));
        }
        match &self.way {
            Way::Raw => sink.put(value),
            Way::Guarded if value.iter().all(|b| is_plain(*b)) => sink.put(value),
            Way::Guarded => return Err(self.error(Problem::NeedsFilter)),
            Way::Transformed(transform) => transform.write(value, sink),
            Way::Placed(None, format, place) => {
                format.write(*place, value, sink).map_err(|_| self.unfit(*place))?;
            }
            Way::Placed(Some(transform), format, place) => {
                let text = SecretBuf::collect(|sink| {
                    transform.write(value, sink);
                    Ok(())
                })?;
                format.write(*place, text.as_bytes(), sink).map_err(|_| self.unfit(*place))?;
            }
            Way::Both { filter: (format, place), file } => {
                let text = SecretBuf::collect(|sink| format.write(*place, value, sink))
                    .map_err(|_| self.unfit(*place))?;
                let mut same = Same::new(text.as_bytes());
                let written = file.0.write(file.1, text.as_bytes(), &mut same);
                if written.is_err() || !same.holds() {
                    return Err(self.error(Problem::NeedsBoth));
                }
                sink.put(text.as_bytes());
            }
        }
        Ok(())
    }
}

/// Means nothing in any format, wherever it stands.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

const fn context(filter: Option<Filter>, file: Option<Format>) -> &'static str {
    match (filter, file) {
        (Some(Filter::Raw), _) => "raw",
        (Some(Filter::As(format)), _) | (_, Some(format)) => format.name(),
        (Some(Filter::Transform(transform)), None) => transform.name(),
        (None, None) => "unknown",
    }
}

/// What each format's lexer says of the placeholders, asked when needed.
struct Places<'a> {
    text: &'a [u8],
    pieces: &'a [Piece],
    skeleton: Option<Skeleton>,
    known: BTreeMap<Format, Vec<Found>>,
}

impl<'a> Places<'a> {
    const fn new(text: &'a [u8], pieces: &'a [Piece]) -> Self {
        Self { text, pieces, skeleton: None, known: BTreeMap::new() }
    }

    fn place(&mut self, index: usize, format: Format) -> Found {
        let Self { text, pieces, skeleton, known } = self;
        let skeleton = skeleton.get_or_insert_with(|| Skeleton::new(text, pieces));
        let found = known.entry(format).or_insert_with(|| format.places(skeleton));
        found.get(index).copied().unwrap_or(Err(Problem::Unclear))
    }

    fn way(
        &mut self,
        index: usize,
        filter: Option<Filter>,
        file: Option<Format>,
    ) -> Result<Way, Problem> {
        let (transform, format) = match filter {
            Some(Filter::Raw) => return Ok(Way::Raw),
            Some(Filter::As(format)) => (None, Some(format)),
            Some(Filter::Transform(transform)) => (Some(transform), None),
            None => (None, None),
        };
        Ok(match (format, file) {
            (Some(format), Some(file)) if format != file => Way::Both {
                filter: (format, self.place(index, format)?),
                file: (file, self.place(index, file)?),
            },
            (Some(format), _) | (None, Some(format)) => {
                Way::Placed(transform, format, self.place(index, format)?)
            }
            (None, None) => transform.map_or(Way::Guarded, Way::Transformed),
        })
    }
}
