//! Where a value was written: the file and the bytes of it, kept beside every
//! value so that any later check can point at it.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

/// What the kernel says a file is. Two reads of one file that differ here did
/// not read the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Device and inode.
    pub inode: (u64, u64),
    /// Size and time of the last change, to the nanosecond.
    pub content: (u64, i64, i64),
}

/// One file of a policy.
#[derive(Debug)]
pub struct Source {
    /// What people are shown: the path as it was asked for, or `builtin:NAME`.
    pub name: String,
    /// Absolute path and identity; none for a built-in file.
    pub file: Option<(PathBuf, Identity)>,
    /// The text, without a byte-order mark.
    pub text: String,
}

/// A place in a file.
#[derive(Debug, Clone)]
pub struct Site {
    /// The file.
    pub source: Arc<Source>,
    /// The bytes.
    pub span: Range<usize>,
}

impl Site {
    /// The beginning of a file: where a missing thing is reported.
    #[must_use]
    pub fn start_of(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), span: 0..0 }
    }

    /// Line and column, from 1, in characters.
    #[must_use]
    pub fn line_column(&self) -> (usize, usize) {
        let before = self.source.text.get(..self.span.start).unwrap_or(&self.source.text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    /// `file:line`, for people.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}:{}", self.source.name, self.line_column().0)
    }
}

/// A value, and where it was written.
#[derive(Debug, Clone)]
pub struct At<T> {
    value: T,
    site: Site,
}

impl<T> At<T> {
    /// Where it was written.
    #[must_use]
    pub const fn site(&self) -> &Site {
        &self.site
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Equality and order are the value's, so that a located name can be a key.
impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: Ord> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Ord for At<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

/// Lets a map with located keys be asked by plain text.
impl std::borrow::Borrow<str> for At<String> {
    fn borrow(&self) -> &str {
        &self.value
    }
}

thread_local! {
    /// The file being parsed. serde gives `Deserialize` no context to carry it
    /// in, and a second copy of every type only to add it would be worse.
    static READING: RefCell<Option<Arc<Source>>> = const { RefCell::new(None) };
}

/// Runs a parse during which every [`At`] belongs to `source`.
pub fn reading<T>(source: &Arc<Source>, parse: impl FnOnce() -> T) -> T {
    READING.set(Some(Arc::clone(source)));
    let parsed = parse();
    READING.set(None);
    parsed
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        let source = READING
            .with_borrow(Clone::clone)
            .ok_or_else(|| serde::de::Error::custom("parsed outside of `reading`"))?;
        let site = Site { source, span: spanned.span() };
        Ok(Self { value: spanned.into_inner(), site })
    }
}

/// In the schema a located value is the value.
impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
