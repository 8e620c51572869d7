//! Where values are: looks through the files, descriptors and memory of a
//! session, for the values and for every form of them that is redacted.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc::O_NONBLOCK;
use strongroom_redact::Patterns;

use crate::memory;
use crate::processes::Process;
use crate::secrets::holds;

/// The largest file that is read whole.
const LARGE: u64 = 256 << 20;

/// Which values were found where, and how often.
pub type Sightings = BTreeMap<(String, String), u64>;

/// Looks for a set of values.
pub struct Scanner {
    values: Vec<(String, Vec<u8>)>,
    patterns: Patterns,
}

impl Scanner {
    /// For these values, by name.
    #[must_use]
    pub fn new(values: &[(&str, &str)]) -> Self {
        let pairs: Vec<(&[u8], &[u8])> =
            values.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let values = values.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
        Self { values, patterns: Patterns::build(&pairs) }
    }

    /// Notes what is in some bytes. A value as it is counts though the forms
    /// should have it, too: their search is part of what is tested.
    pub fn bytes(&self, bytes: &[u8], place: &str, found: &mut Sightings) {
        let forms = self.patterns.redact(bytes).hits;
        let by_form =
            forms.by_key().filter_map(|(key, count)| Some((self.values.get(key)?, count)));
        let mut counts: BTreeMap<&str, u64> = by_form.map(|((n, _), c)| (n.as_str(), c)).collect();
        for (name, value) in &self.values {
            if holds(bytes, value) {
                counts.entry(name).or_insert(1);
            }
        }
        for (name, count) in counts {
            *found.entry((place.to_owned(), name.to_owned())).or_default() += count;
        }
    }

    /// Notes what is in the files beneath a folder; how many there are.
    pub fn folder(&self, folder: &Path, place: &str, found: &mut Sightings) -> usize {
        let mut seen = 0;
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            // A name can be a value as well.
            self.bytes(path.as_os_str().as_encoded_bytes(), place, found);
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => seen += self.folder(&path, place, found),
                Ok(kind) if kind.is_file() => {
                    self.bytes(&content(&path), place, found);
                    seen += 1;
                }
                Ok(kind) if kind.is_symlink() => {
                    let target = fs::read_link(&path).unwrap_or_default();
                    self.bytes(target.as_os_str().as_encoded_bytes(), place, found);
                }
                _ => {}
            }
        }
        seen
    }

    /// Notes what is in a process: its environment and arguments, all memory
    /// that the kernel shows, what it has open. What is in its pipes is taken
    /// out of them.
    pub fn process(&self, process: &Process, place: &str, found: &mut Sightings) {
        let own = |name: &str| PathBuf::from(format!("/proc/{}/{name}", process.pid));
        for name in ["environ", "cmdline", "comm", "auxv"] {
            self.bytes(&content(&own(name)), place, found);
        }
        for piece in memory::of(process.pid) {
            self.bytes(&piece, place, found);
        }
        for entry in fs::read_dir(own("fd")).into_iter().flatten().filter_map(Result::ok) {
            self.bytes(&content(&entry.path()), place, found);
        }
    }
}

/// What can be read there without waiting.
fn content(path: &Path) -> Vec<u8> {
    let Ok(kind) = fs::metadata(path) else { return Vec::new() };
    let large = kind.len() > LARGE;
    if large || !(kind.is_file() || kind.file_type().is_fifo()) {
        return Vec::new();
    }
    let open = |path: &Path| -> std::io::Result<File> {
        OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)
    };
    let mut bytes = Vec::new();
    if let Ok(file) = open(path) {
        // A pipe with a writer ends with EAGAIN.
        let _ = file.take(LARGE).read_to_end(&mut bytes);
    }
    bytes
}
