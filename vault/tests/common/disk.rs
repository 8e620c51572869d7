//! A disk that fails on demand, and that shows every state a power cut could
//! leave it in.
//!
//! What POSIX promises, and no more: file content is there after `fdatasync`,
//! names are there after `fsync` of the folder. Before that each name, by
//! itself, stands for what it stood for at the last sync or for anything it
//! has stood for since, and a file that was not synced holds what it held at
//! its last sync, all of what was written, half of it, or zeros.

#![allow(dead_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use strongroom_sys::Errno;
use strongroom_vault::disk::{Disk, File, Name};

/// What goes wrong at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The process is killed, or the power cut, before it.
    Kill,
    /// It fails, once.
    Once(Errno),
    /// It fails, and so does everything after it.
    Ever(Errno),
    /// A write takes half of the bytes.
    Short,
    /// A write takes half of the bytes, and the next one none.
    ShortThen(Errno),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    content: Vec<u8>,
    durable: Vec<u8>,
    /// A failed sync has lost its writes: the next one will not save them,
    /// though it will say so (fsync(2), "errors").
    lost: bool,
}

#[derive(Debug, Clone, Default)]
struct World {
    inodes: Vec<Inode>,
    names: BTreeMap<Name, usize>,
    durable: BTreeMap<Name, usize>,
    since: Vec<(Name, Option<usize>)>,
    calls: usize,
    writes: Vec<usize>,
    fault: Option<(usize, Kind)>,
    dead: bool,
    next_write: Option<Errno>,
}

/// A handle to the disk.
#[derive(Debug, Clone, Default)]
pub struct Faulty(Rc<RefCell<World>>);

impl Faulty {
    /// A disk with these files, all of them safe.
    pub fn with(files: &BTreeMap<Name, Vec<u8>>) -> Self {
        let disk = Self::default();
        {
            let mut world = disk.0.borrow_mut();
            for (name, content) in files {
                let number = world.inodes.len();
                let (content, durable) = (content.clone(), content.clone());
                world.inodes.push(Inode { content, durable, lost: false });
                world.names.insert(*name, number);
            }
            world.durable = world.names.clone();
        }
        disk
    }

    /// From now on, count calls from 0 and let the one numbered `at` fail.
    pub fn arm(&self, at: usize, kind: Kind) {
        let mut world = self.0.borrow_mut();
        (world.calls, world.fault) = (0, Some((at, kind)));
        world.writes.clear();
    }

    /// No more faults. A process that was killed stays dead.
    pub fn disarm(&self) {
        let mut world = self.0.borrow_mut();
        (world.fault, world.next_write) = (None, None);
    }

    /// The process was killed.
    pub fn is_dead(&self) -> bool {
        self.0.borrow().dead
    }

    /// Calls since it was armed, and which of them were writes.
    pub fn calls(&self) -> (usize, Vec<usize>) {
        let world = self.0.borrow();
        (world.calls, world.writes.clone())
    }

    /// What a process sees now.
    pub fn files(&self) -> BTreeMap<Name, Vec<u8>> {
        let world = self.0.borrow();
        world.names.iter().map(|(n, i)| (*n, world.inodes[*i].content.clone())).collect()
    }

    /// Every state a power cut could leave now.
    pub fn crashes(&self) -> Vec<BTreeMap<Name, Vec<u8>>> {
        let world = self.0.borrow();
        let mut states = vec![BTreeMap::new()];
        for name in [Name::Vault, Name::Previous, Name::New] {
            let mut stands_for = vec![world.durable.get(&name).copied()];
            stands_for.extend(world.since.iter().filter(|(n, _)| *n == name).map(|(_, i)| *i));
            stands_for.sort_unstable();
            stands_for.dedup();
            let mut contents: Vec<Option<Vec<u8>>> = Vec::new();
            for number in stands_for {
                match number {
                    None => contents.push(None),
                    Some(i) => contents.extend(world.inodes[i].crashes().into_iter().map(Some)),
                }
            }
            contents.sort_unstable();
            contents.dedup();
            states = states
                .iter()
                .flat_map(|state| contents.iter().map(move |content| (state, content)))
                .map(|(state, content)| {
                    let mut state: BTreeMap<_, _> = BTreeMap::clone(state);
                    if let Some(content) = content {
                        state.insert(name, content.clone());
                    }
                    state
                })
                .collect();
        }
        states
    }

    /// Whether the call goes through; `Some(half)` for a write cut short.
    fn call(&self, is_write: bool) -> Result<bool, Errno> {
        let mut world = self.0.borrow_mut();
        if world.dead {
            return Err(Errno::EOWNERDEAD);
        }
        let number = world.calls;
        world.calls += 1;
        if is_write {
            world.writes.push(number);
            if let Some(errno) = world.next_write.take() {
                return Err(errno);
            }
        }
        match world.fault {
            Some((at, Kind::Kill)) if at == number => {
                world.dead = true;
                Err(Errno::EOWNERDEAD)
            }
            Some((at, Kind::Once(errno))) if at == number => Err(errno),
            Some((at, Kind::Ever(errno))) if at <= number => Err(errno),
            Some((at, Kind::Short)) if at == number && is_write => Ok(true),
            Some((at, Kind::ShortThen(errno))) if at == number && is_write => {
                world.next_write = Some(errno);
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

impl Inode {
    fn crashes(&self) -> Vec<Vec<u8>> {
        if self.content == self.durable {
            return vec![self.content.clone()];
        }
        let half = self.content[..self.content.len() / 2].to_vec();
        let zeros = vec![0; self.content.len()];
        vec![self.durable.clone(), self.content.clone(), half, zeros]
    }
}

impl World {
    fn set(&mut self, name: Name, number: Option<usize>) {
        match number {
            Some(number) => self.names.insert(name, number),
            None => self.names.remove(&name),
        };
        self.since.push((name, number));
    }
}

struct Open {
    disk: Faulty,
    number: usize,
    at: usize,
}

impl Disk for Faulty {
    fn open(&self, name: Name) -> Result<Box<dyn File>, Errno> {
        self.call(false)?;
        let number = *self.0.borrow().names.get(&name).ok_or(Errno::ENOENT)?;
        Ok(Box::new(Open { disk: self.clone(), number, at: 0 }))
    }

    fn create(&self, name: Name) -> Result<Box<dyn File>, Errno> {
        self.call(false)?;
        let mut world = self.0.borrow_mut();
        if world.names.contains_key(&name) {
            return Err(Errno::EEXIST);
        }
        let number = world.inodes.len();
        world.inodes.push(Inode::default());
        world.set(name, Some(number));
        Ok(Box::new(Open { disk: self.clone(), number, at: 0 }))
    }

    fn rename(&self, from: Name, to: Name) -> Result<(), Errno> {
        self.call(false)?;
        let mut world = self.0.borrow_mut();
        let number = *world.names.get(&from).ok_or(Errno::ENOENT)?;
        world.set(to, Some(number));
        world.set(from, None);
        Ok(())
    }

    fn unlink(&self, name: Name) -> Result<(), Errno> {
        self.call(false)?;
        let mut world = self.0.borrow_mut();
        if !world.names.contains_key(&name) {
            return Err(Errno::ENOENT);
        }
        world.set(name, None);
        Ok(())
    }

    fn sync(&self) -> Result<(), Errno> {
        self.call(false)?;
        let mut world = self.0.borrow_mut();
        world.durable = world.names.clone();
        world.since.clear();
        Ok(())
    }
}

impl File for Open {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        self.disk.call(false)?;
        let world = self.disk.0.borrow();
        let rest = &world.inodes[self.number].content[self.at..];
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let short = self.disk.call(true)?;
        let length = if short { bytes.len() / 2 } else { bytes.len() };
        let mut world = self.disk.0.borrow_mut();
        world.inodes[self.number].content.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn sync(&mut self) -> Result<(), Errno> {
        let called = self.disk.call(false);
        let mut world = self.disk.0.borrow_mut();
        let inode = &mut world.inodes[self.number];
        if called.is_err() {
            inode.lost = true;
        } else if !inode.lost {
            inode.durable = inode.content.clone();
        }
        called.map(drop)
    }
}
