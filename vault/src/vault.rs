//! The vault, unlocked: the credentials in memory, and the file they are kept
//! in. A change is made in the file first, and in memory when the file is on
//! the disk: what memory holds is always what the file holds.

use strongroom_protocol::types::CredentialName;
use strongroom_sys::random;
use strongroom_sys::secret::{Arena, Backend, Stored};
use zeroize::Zeroize as _;

use crate::body::{self, View};
use crate::crypto::{DIGEST, KEY};
use crate::disk::{Disk, Name};
use crate::entry::{Entries, Entry};
use crate::error::Error;
use crate::header::Id;
use crate::sealed::{self, Sealed};
use crate::slot::Slot;
use crate::store::{self, Past};
use crate::unlock::{NewSlot, Unlock};

/// An unlocked vault. What it holds is wiped when it is dropped.
#[derive(Debug)]
pub struct Vault {
    pub(crate) arena: Arena,
    pub(crate) id: Id,
    pub(crate) entries: Entries,
    pub(crate) file: Option<File>,
    /// Why nothing can be changed any more.
    closed: Option<Error>,
}

impl Vault {
    /// A vault in memory only: it ends with the process.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn memory(arena: &Arena) -> Result<Self, Error> {
        let id = Id::random()?;
        Ok(Self { arena: arena.clone(), id, entries: Entries::new(), file: None, closed: None })
    }

    /// Makes a new vault file, empty, with one slot.
    ///
    /// # Errors
    /// [`Error::Exists`]; errors of the slot; [`Error::Disk`].
    pub fn create(disk: Box<dyn Disk>, arena: &Arena, slot: &NewSlot<'_>) -> Result<Self, Error> {
        store::sweep(&*disk)?;
        for name in [Name::Vault, Name::Previous] {
            if store::read(&*disk, name)?.is_some() {
                return Err(Error::Exists);
            }
        }
        let id = Id::random()?;
        let root = new_root(arena)?;
        let slots = vec![Slot::wrap(slot, &id, &root, arena)?];
        let content = Content { id, slots, root, entries: Entries::new() };
        Self::write_first(disk, arena, content, 1, None)
    }

    /// Opens the vault file.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`], [`Error::WrongKey`] …; nothing
    /// is repaired silently.
    pub fn open(disk: Box<dyn Disk>, arena: &Arena, unlock: &Unlock) -> Result<Self, Error> {
        store::sweep(&*disk)?;
        let Some(sealed) = store::read(&*disk, Name::Vault)? else {
            let previous = store::read(&*disk, Name::Previous)?.is_some();
            return Err(Error::Missing { previous });
        };
        match opened(&sealed, arena, unlock) {
            Ok((content, generation)) => Ok(Self::of(disk, arena, content, sealed, generation)),
            Err(Error::Damaged { .. }) => {
                Err(Error::Damaged { previous: sound_previous(&*disk, arena, unlock) })
            }
            Err(error) => Err(error),
        }
    }

    /// Puts a backup, or the bytes of `vault.previous`, in the vault's place:
    /// a new generation with the old content. It is later than the file in
    /// place, where that can be read, and than `seen`, the last generation the
    /// caller knows of.
    ///
    /// # Errors
    /// Those of opening `backup`; [`Error::Disk`].
    pub fn restore(
        disk: Box<dyn Disk>,
        arena: &Arena,
        unlock: &Unlock,
        backup: &[u8],
        seen: u64,
    ) -> Result<Self, Error> {
        store::sweep(&*disk)?;
        let (content, generation) = opened(backup, arena, unlock)?;
        // A damaged file is no past to keep: a sound `vault.previous` is.
        let current = store::read(&*disk, Name::Vault)?
            .and_then(|bytes| Some((Sealed::parse(&bytes).ok()?.header.generation, bytes)));
        let latest = current.as_ref().map_or(0, |(generation, _)| *generation);
        let next = generation.max(latest).max(seen).saturating_add(1);
        Self::write_first(disk, arena, content, next, current.map(|(_, bytes)| bytes))
    }

    /// Seals `content` and puts it in the place of `old`.
    fn write_first(
        disk: Box<dyn Disk>,
        arena: &Arena,
        content: Content,
        generation: u64,
        old: Option<Vec<u8>>,
    ) -> Result<Self, Error> {
        let body = body::encode(&content.entries.iter().collect(), arena)?;
        let sealed = sealed::seal(content.id, generation, &content.slots, &content.root, &body)?;
        store::commit(&*disk, old.as_deref(), &sealed, Past::Keep)?;
        Ok(Self::of(disk, arena, content, sealed, generation))
    }

    fn of(
        disk: Box<dyn Disk>,
        arena: &Arena,
        content: Content,
        sealed: Vec<u8>,
        generation: u64,
    ) -> Self {
        let Content { id, slots, root, entries } = content;
        let file = File { disk, root, slots, sealed, generation, tried: generation };
        Self { arena: arena.clone(), id, entries, file: Some(file), closed: None }
    }

    /// The credential of this name.
    #[must_use]
    pub fn get(&self, name: &CredentialName) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All credentials, in the order of their names.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&CredentialName, &Entry)> {
        self.entries.iter()
    }

    /// Which vault this is.
    #[must_use]
    pub const fn id(&self) -> Id {
        self.id
    }

    /// How often the file has changed; 0 where there is none. Somebody else
    /// must remember it: an older file put in its place looks just as good.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.generation)
    }

    /// The checksum of the file: what to remember with the generation, where
    /// two different files of one generation must be told apart.
    #[must_use]
    pub fn digest(&self) -> Option<[u8; DIGEST]> {
        self.file.as_ref()?.sealed.last_chunk().copied()
    }

    /// There is no file.
    #[must_use]
    pub const fn is_memory_only(&self) -> bool {
        self.file.is_none()
    }

    /// What the secrets lie in.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.arena.backend()
    }

    /// Wipes all secrets now, for an exit that runs no destructor. Nothing can
    /// be read or changed afterwards.
    pub fn wipe(&mut self) {
        self.entries.clear();
        if let Some(file) = &mut self.file {
            file.root.zeroize();
        }
        self.closed = Some(Error::Wiped);
    }

    /// The credentials as they are.
    pub(crate) fn view(&self) -> View<'_> {
        self.entries.iter().collect()
    }

    /// Puts credentials that are about to change into the file, if there is
    /// one.
    pub(crate) fn commit(&mut self, body: &Stored, past: Past) -> Result<(), Error> {
        let slots = self.file.as_ref().map(|file| file.slots.clone()).unwrap_or_default();
        self.commit_slots(body, slots, None, past)
    }

    /// The same, with other slots, and another root key where there is one.
    pub(crate) fn commit_slots(
        &mut self,
        body: &Stored,
        slots: Vec<Slot>,
        root: Option<Stored>,
        past: Past,
    ) -> Result<(), Error> {
        if let Some(closed) = self.closed {
            return Err(closed);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let replaced = file.replace(self.id, body, slots, root, past);
        if let Err(in_doubt @ Error::InDoubt(_)) = replaced {
            self.closed = Some(in_doubt);
        }
        replaced
    }
}

/// Where a vault is kept.
pub(crate) struct File {
    pub disk: Box<dyn Disk>,
    pub root: Stored,
    pub slots: Vec<Slot>,
    /// The file's bytes as they are on the disk.
    pub sealed: Vec<u8>,
    generation: u64,
    /// The last generation a file was sealed for, be it in vain: no number is
    /// given to two files.
    tried: u64,
}

impl File {
    fn replace(
        &mut self,
        id: Id,
        body: &Stored,
        slots: Vec<Slot>,
        root: Option<Stored>,
        past: Past,
    ) -> Result<(), Error> {
        self.tried += 1;
        let generation = self.tried;
        let key = root.as_ref().unwrap_or(&self.root);
        let sealed = sealed::seal(id, generation, &slots, key, body)?;
        store::commit(&*self.disk, Some(&self.sealed), &sealed, past)?;
        (self.sealed, self.slots, self.generation) = (sealed, slots, generation);
        if let Some(root) = root {
            self.root = root;
        }
        Ok(())
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File(generation {}, {} slots)", self.generation, self.slots.len())
    }
}

/// What a file holds.
struct Content {
    id: Id,
    slots: Vec<Slot>,
    root: Stored,
    entries: Entries,
}

/// A new root key.
pub(crate) fn new_root(arena: &Arena) -> Result<Stored, Error> {
    let mut root = arena.zeroed(KEY)?;
    random::fill(&mut root).map_err(Error::Random)?;
    Ok(root)
}

/// Opens a file's bytes: what it holds, and its generation.
fn opened(sealed: &[u8], arena: &Arena, unlock: &Unlock) -> Result<(Content, u64), Error> {
    let sealed = Sealed::parse(sealed)?;
    let root = sealed.unlock(unlock, arena)?;
    let body = sealed.open(&root, arena)?;
    let entries = body::decode(&body, arena)?;
    let generation = sealed.header.generation;
    let (id, slots) = (sealed.header.id, sealed.header.slots);
    Ok((Content { id, slots, root, entries }, generation))
}

/// The generation of `vault.previous`, where it can be opened.
fn sound_previous(disk: &dyn Disk, arena: &Arena, unlock: &Unlock) -> Option<u64> {
    let bytes = store::read(disk, Name::Previous).ok()??;
    opened(&bytes, arena, unlock).ok().map(|(_, generation)| generation)
}
