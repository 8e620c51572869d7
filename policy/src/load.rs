//! Files to one merged policy: reading, `extends`, the digest.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};
use strongroom_protocol::codes::Code;
use strongroom_protocol::plan::Rule;

use crate::diagnostics::Diagnostics;
use crate::merge::Over;
use crate::model::File;
use crate::parse::parse;
use crate::source::{At, Identity, Site, Source};
use crate::{builtin, check, rules, tests_in_file};

/// Bytes of one file. A policy of a thousand rules has about 200 KiB.
pub const MAX_FILE: u64 = 1 << 20;
/// Files below each other by `extends`.
const MAX_DEPTH: usize = 8;
/// Files read for one policy, each time one is named.
const MAX_FILES: usize = 32;

/// A policy: all its files read, merged and checked. Every value knows where
/// it was written.
#[derive(Debug)]
pub struct Loaded {
    /// The merged policy.
    pub policy: File,
    /// The files, in the order they were read; the first is the operator's.
    pub sources: Vec<Arc<Source>>,
    /// SHA-256 over name, length and bytes of each file in that order.
    pub digest: [u8; 32],
    /// The rules, compiled.
    pub rules: Vec<Rule>,
    /// Accepted, but probably not meant.
    pub warnings: Diagnostics,
}

/// Reads a policy file (or `builtin:base`), what it extends, checks it all
/// and runs the tests in it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(file: Option<&Path>) -> Result<Loaded, Diagnostics> {
    let loaded = load_untested(file)?;
    let failed = tests_in_file::failures(&loaded);
    if failed.has_errors() { Err(failed) } else { Ok(loaded) }
}

/// [`load`] without running the tests in the file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_untested(file: Option<&Path>) -> Result<Loaded, Diagnostics> {
    let mut reader = Reader::default();
    let origin = match file {
        Some(path) => Origin::Path(top(path).map_err(|why| unreadable(path, &why))?),
        None => Origin::Builtin(builtin::DEFAULT.to_owned()),
    };
    let Some(policy) = reader.read(&origin, None) else {
        return Err(reader.found);
    };
    check::policy(&policy, reader.sources.first(), &mut reader.found);
    let compiled = rules::compile(&policy);
    let (compiled, warnings) = reader.found.unless_errors(compiled)?;
    Ok(Loaded {
        policy,
        sources: reader.sources,
        digest: reader.digest.finalize().into(),
        rules: compiled,
        warnings,
    })
}

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Builtin(String),
    Path(PathBuf),
}

impl Origin {
    fn name(&self) -> String {
        match self {
            Self::Builtin(name) => format!("builtin:{name}"),
            Self::Path(path) => path.display().to_string(),
        }
    }
}

#[derive(Default)]
struct Reader {
    sources: Vec<Arc<Source>>,
    digest: Sha256,
    /// The files that are being read, outermost first.
    open: Vec<Origin>,
    found: Diagnostics,
}

impl Reader {
    /// Reads one file and all it extends. `asked` is the entry that names it.
    fn read(&mut self, origin: &Origin, asked: Option<&Site>) -> Option<File> {
        if self.sources.len() >= MAX_FILES {
            self.refuse(asked, format!("more than {MAX_FILES} files"), "fewer `extends`");
            return None;
        }
        let (bytes, file) = match origin {
            Origin::Builtin(name) => match builtin::text(name) {
                Some(text) => (text.as_bytes().to_vec(), None),
                None => {
                    self.refuse(asked, format!("no `builtin:{name}`"), builtin::names());
                    return None;
                }
            },
            Origin::Path(path) => match read_file(path) {
                Ok((bytes, identity)) => (bytes, Some((path.clone(), identity))),
                Err(why) => {
                    let name = origin.name();
                    self.refuse(asked, format!("cannot read {name}: {}", why.0), why.1);
                    return None;
                }
            },
        };
        self.record(origin, &bytes);
        let source = self.text(origin, file, bytes)?;
        let file = match parse(&source) {
            Ok(file) => file,
            Err(found) => {
                self.found.append(found);
                return None;
            }
        };
        self.version(&file, &source);
        let extends = file.extends.clone();
        self.open.push(origin.clone());
        let below = extends.iter().flat_map(|list| list.iter()).map(|entry| {
            let base = self.extended(origin, entry)?;
            self.read(&base, Some(entry.site()))
        });
        // Later in the list overrides earlier: fold from the bottom up.
        let bases: Option<Vec<File>> = below.collect();
        self.open.pop();
        let bases = bases?.into_iter().fold(File::default(), |under, upper| upper.over(under));
        Some(file.over(bases))
    }

    fn refuse(&mut self, asked: Option<&Site>, message: String, expected: impl AsRef<str>) {
        self.found.error_as(Code::PolicyInvalid, asked, message, expected);
    }

    fn record(&mut self, origin: &Origin, bytes: &[u8]) {
        for part in [origin.name().as_bytes(), bytes] {
            self.digest.update((part.len() as u64).to_le_bytes());
            self.digest.update(part);
        }
    }

    /// The bytes as text, kept for messages even where they are not valid.
    fn text(
        &mut self,
        origin: &Origin,
        file: Option<(PathBuf, Identity)>,
        bytes: Vec<u8>,
    ) -> Option<Arc<Source>> {
        let name = origin.name();
        match String::from_utf8(bytes) {
            Ok(text) => {
                let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
                let source = Arc::new(Source { name, file, text });
                self.sources.push(Arc::clone(&source));
                Some(source)
            }
            Err(error) => {
                let start = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let source = Arc::new(Source { name, file, text });
                let site = Site { source, span: start..start + '\u{fffd}'.len_utf8() };
                self.found.error(&site, "not UTF-8", "a text file in UTF-8");
                None
            }
        }
    }

    fn version(&mut self, file: &File, source: &Arc<Source>) {
        match &file.version {
            None => {
                self.found.error(&Site::start_of(source), "`version` is missing", "`version = 1`");
            }
            Some(version) if **version != 1 => {
                let message = format!("version {} of the policy language is not known", **version);
                self.found.error(version.site(), message, "`version = 1`");
            }
            Some(_) => {}
        }
    }

    /// Which file an entry of `extends` means.
    fn extended(&mut self, from: &Origin, entry: &At<String>) -> Option<Origin> {
        let site = entry.site();
        let origin = match (entry.strip_prefix("builtin:"), from) {
            (Some(name), _) => Origin::Builtin(name.to_owned()),
            (None, Origin::Builtin(_)) => return None,
            (None, Origin::Path(from)) => match beside(from, entry) {
                Ok(path) => Origin::Path(path),
                Err((message, expected)) => {
                    self.found.error(site, message, expected);
                    return None;
                }
            },
        };
        if self.open.contains(&origin) {
            self.found.error(
                site,
                format!("{} extends itself, directly or through others", origin.name()),
                "no loop",
            );
            return None;
        }
        if self.open.len() >= MAX_DEPTH {
            self.found.error(
                site,
                "too many files below each other",
                format!("{MAX_DEPTH} at most"),
            );
            return None;
        }
        Some(origin)
    }
}

/// The path an entry of `extends` names, without a link in what it adds.
fn beside(from: &Path, entry: &str) -> Result<PathBuf, (String, &'static str)> {
    const HOW: &str = "`builtin:NAME`, or a path without `..`, relative to this file's folder";
    let added = Path::new(entry);
    if entry.is_empty() || entry.contains('\0') {
        return Err(("not a path".to_owned(), HOW));
    }
    if added.components().any(|c| c == Component::ParentDir) {
        return Err(("`..` in a path".to_owned(), HOW));
    }
    let mut path = if added.is_absolute() {
        PathBuf::from("/")
    } else {
        from.parent().unwrap_or(Path::new("/")).to_path_buf()
    };
    for part in added.components() {
        let Component::Normal(part) = part else {
            continue;
        };
        path.push(part);
        if path.is_symlink() {
            let message = format!("{} is a symbolic link", path.display());
            return Err((message, "the path it leads to"));
        }
    }
    Ok(path)
}

/// The operator's own argument: relative to the current folder, `..` allowed.
fn top(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    if !path.components().any(|c| c == Component::ParentDir) {
        return Ok(path);
    }
    // Only the kernel knows where `..` leads.
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok(folder.canonicalize()?.join(name)),
        _ => Err(io::Error::other("not a file")),
    }
}

fn unreadable(path: &Path, why: &io::Error) -> Diagnostics {
    let mut found = Diagnostics::default();
    let message = format!("cannot read {}: {why}", path.display());
    found.error_as(Code::PolicyInvalid, None, message, "a policy file");
    found
}

/// Bytes and identity of a regular file that is not too big and no link. A
/// FIFO or device must not make us wait.
fn read_file(path: &Path) -> Result<(Vec<u8>, Identity), (String, &'static str)> {
    let plain = |error: io::Error| (error.to_string(), "a file that can be read");
    let quiet = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = fs::OpenOptions::new().read(true).custom_flags(quiet.bits()).open(path).map_err(
        |error| match error.raw_os_error() {
            Some(code) if code == nix::errno::Errno::ELOOP as i32 => {
                ("it is a symbolic link".to_owned(), "the path it leads to")
            }
            _ => plain(error),
        },
    )?;
    let about = file.metadata().map_err(plain)?;
    if !about.is_file() {
        return Err(("it is not a regular file".to_owned(), "a regular file"));
    }
    let mut bytes = Vec::new();
    (&file).take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(plain)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(("it is larger than 1 MiB".to_owned(), "a policy file"));
    }
    Ok((bytes, identity(&about)))
}

/// What tells one state of a file from another.
#[must_use]
pub fn identity(about: &fs::Metadata) -> Identity {
    Identity {
        inode: (about.dev(), about.ino()),
        content: (about.size(), about.ctime(), about.ctime_nsec()),
    }
}
