//! A disk in memory. It knows what was written and what of it is safe, can
//! fail at any call, and forgets what a power cut takes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use strongroom_audit::folder::{Segment, Source};
use strongroom_audit::keyfile::{self, KeyFile};
use strongroom_audit::note::VerifyKey;
use strongroom_audit::segment::Name;
use strongroom_recorder::disk::{Disk, How, Unusable};
use strongroom_sys::Errno;

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It and all later ones do nothing: the process is gone.
    Killed,
    /// It fails and does nothing.
    Errno(Errno),
    /// It takes half of what it is given, if it is a write.
    Short,
    /// From here on nothing more can be written.
    Full,
}

/// What a power cut takes of what was not safe yet.
#[derive(Debug, Clone, Copy)]
pub enum Lost {
    Everything,
    Nothing,
    Half,
    /// Lengths are there, bytes are not.
    Zeroed,
    /// Any of these for each file, and names or not.
    Random(u64),
}

#[derive(Debug, Clone, Default)]
struct File {
    bytes: Vec<u8>,
    safe: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Inner {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    /// What the names were after each change since they were last safe.
    history: Vec<BTreeMap<String, usize>>,
    told: Vec<String>,
    calls: u64,
    fault: Option<(u64, Fault)>,
}

/// The disk; copies are the same one.
#[derive(Debug, Clone)]
pub struct Model(Rc<RefCell<Inner>>);

impl Default for Model {
    fn default() -> Self {
        let history = vec![BTreeMap::new()];
        Self(Rc::new(RefCell::new(Inner { history, ..Inner::default() })))
    }
}

impl Model {
    pub fn failing(at: u64, fault: Fault) -> Self {
        let disk = Self::default();
        disk.0.borrow_mut().fault = Some((at, fault));
        disk
    }

    pub fn calls(&self) -> u64 {
        self.0.borrow().calls
    }

    pub fn told(&self) -> Vec<String> {
        self.0.borrow().told.clone()
    }

    pub fn describe(&self) -> String {
        let inner = self.0.borrow();
        let one = |(name, at): (&String, &usize)| {
            let bytes = &inner.files[*at].bytes;
            format!(
                "{name}: {} bytes, ends {:?}\n",
                bytes.len(),
                String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(300)..])
            )
        };
        inner.names.iter().map(one).collect()
    }

    /// The kernel goes on: what was written is there.
    pub fn after_kill(&self) -> Self {
        let mut inner = self.0.borrow().clone();
        inner.fault = None;
        Self(Rc::new(RefCell::new(inner)))
    }

    pub fn after_power_cut(&self, lost: Lost) -> Self {
        let mut inner = self.0.borrow().clone();
        inner.fault = None;
        let mut seed = match lost {
            Lost::Random(seed) => seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            _ => 1,
        };
        let mut random = |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        let changes = inner.history.len() as u64;
        let names = match lost {
            Lost::Nothing | Lost::Zeroed => changes - 1,
            Lost::Everything => 0,
            Lost::Half => changes / 2,
            // Names change in order, as a journal has them.
            Lost::Random(_) => random(changes),
        };
        inner.names = inner.history[names as usize].clone();
        inner.history = vec![inner.names.clone()];
        for file in &mut inner.files {
            let how = match lost {
                Lost::Everything => 0,
                Lost::Nothing => 1,
                Lost::Half => 2,
                Lost::Zeroed => 3,
                Lost::Random(_) => random(4),
            };
            let more = file.bytes.strip_prefix(file.safe.as_slice()).map(<[u8]>::to_vec);
            file.bytes = match (more, how) {
                (_, 0) => file.safe.clone(),
                (_, 1) | (None, _) => std::mem::take(&mut file.bytes),
                (Some(more), 2) => {
                    let some = match lost {
                        Lost::Random(_) => random(more.len() as u64 + 1) as usize,
                        _ => more.len() / 2,
                    };
                    [&file.safe, &more[..some]].concat()
                }
                (Some(mut more), _) => {
                    // A block in the middle, or all of it.
                    let from = match lost {
                        Lost::Random(_) => random(more.len() as u64 + 1) as usize,
                        _ => 0,
                    };
                    more[from..].fill(0);
                    [file.safe.clone(), more].concat()
                }
            };
            file.safe = file.bytes.clone();
        }
        Self(Rc::new(RefCell::new(inner)))
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let inner = self.0.borrow();
        inner.names.get(name).map(|at| inner.files[*at].bytes.clone())
    }

    pub fn key_file(&self) -> Option<KeyFile> {
        let text = String::from_utf8(self.bytes(keyfile::FILE)?).ok()?;
        Some(KeyFile::parse(&text).expect("the key file is whole").0)
    }

    pub fn first_key(&self) -> Option<VerifyKey> {
        let text = String::from_utf8(self.bytes(keyfile::FIRST)?).ok()?;
        VerifyKey::parse(text.trim())
    }

    pub fn segments(&self) -> Vec<Segment> {
        let names: Vec<String> = self.0.borrow().names.keys().cloned().collect();
        let mut names: Vec<Name> = names.iter().filter_map(|name| Name::parse(name)).collect();
        names.sort();
        let packed = names.clone();
        names.retain(|name| match name {
            Name::Closed { number, packed: false } => {
                !packed.contains(&Name::Closed { number: *number, packed: true })
            }
            _ => true,
        });
        let segment = |name: Name| {
            let bytes = self.bytes(&name.to_string()).unwrap();
            Segment { name, source: Source::Bytes(Arc::from(bytes)) }
        };
        names.into_iter().map(segment).collect()
    }

    /// Counts a call; says what becomes of it.
    fn call(&self, writes: bool) -> Result<Option<Fault>, Errno> {
        let mut inner = self.0.borrow_mut();
        inner.calls += 1;
        match inner.fault {
            Some((at, Fault::Killed)) if inner.calls >= at => Err(Errno::EIO),
            Some((at, Fault::Full)) if inner.calls >= at && writes => Err(Errno::ENOSPC),
            Some((at, Fault::Errno(errno))) if inner.calls == at => Err(errno),
            Some((at, fault @ Fault::Short)) if inner.calls == at => Ok(Some(fault)),
            _ => Ok(None),
        }
    }
}

impl Inner {
    fn renamed(&mut self, change: impl FnOnce(&mut BTreeMap<String, usize>)) {
        change(&mut self.names);
        self.history.push(self.names.clone());
    }
}

impl Disk for Model {
    type File = usize;

    fn names(&self) -> Result<Vec<String>, Errno> {
        self.call(false)?;
        Ok(self.0.borrow().names.keys().cloned().collect())
    }

    fn open(&self, name: &str, how: How) -> Result<usize, Unusable> {
        self.call(how != How::Existing)?;
        let mut inner = self.0.borrow_mut();
        if let Some(at) = inner.names.get(name).copied() {
            if how == How::Empty {
                inner.files[at].bytes.clear();
            }
            return Ok(at);
        }
        if how == How::Existing {
            return Err(Unusable::Errno(Errno::ENOENT));
        }
        inner.files.push(File::default());
        let at = inner.files.len() - 1;
        inner.renamed(|names| {
            names.insert(name.to_owned(), at);
        });
        Ok(at)
    }

    fn length(&self, file: &usize) -> Result<u64, Errno> {
        self.call(false)?;
        Ok(self.0.borrow().files[*file].bytes.len() as u64)
    }

    fn read(&self, file: &usize, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
        self.call(false)?;
        let inner = self.0.borrow();
        let bytes = &inner.files[*file].bytes;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn append(&self, file: &usize, bytes: &[u8]) -> Result<usize, Errno> {
        let short = self.call(true)?.is_some();
        let taken = if short { bytes.len().div_ceil(2) } else { bytes.len() };
        self.0.borrow_mut().files[*file].bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn cut(&self, file: &usize, length: u64) -> Result<(), Errno> {
        self.call(false)?;
        self.0.borrow_mut().files[*file].bytes.truncate(length as usize);
        Ok(())
    }

    fn sync(&self, file: &usize) -> Result<(), Errno> {
        self.call(true)?;
        let mut inner = self.0.borrow_mut();
        let file = &mut inner.files[*file];
        file.safe = file.bytes.clone();
        Ok(())
    }

    fn erase(&self, file: &usize) -> Result<(), Errno> {
        self.call(false)?;
        let mut inner = self.0.borrow_mut();
        let file = &mut inner.files[*file];
        file.bytes.fill(0);
        file.safe = file.bytes.clone();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        self.call(false)?;
        let mut inner = self.0.borrow_mut();
        let at = *inner.names.get(from).ok_or(Errno::ENOENT)?;
        inner.renamed(|names| {
            names.remove(from);
            names.insert(to.to_owned(), at);
        });
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), Errno> {
        self.call(false)?;
        self.0.borrow_mut().renamed(|names| {
            names.remove(name);
        });
        Ok(())
    }

    fn sync_folder(&self) -> Result<(), Errno> {
        self.call(true)?;
        let mut inner = self.0.borrow_mut();
        inner.history = vec![inner.names.clone()];
        Ok(())
    }

    fn witness(&mut self, note: &str, _: bool) -> Result<(), Errno> {
        self.call(false)?;
        self.0.borrow_mut().told.push(note.to_owned());
        Ok(())
    }
}
