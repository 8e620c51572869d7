//! A folder for a log, and a recorder in it.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::thread::JoinHandle;

use strongroom_recorder::disk::{Folder, Unusable};
use strongroom_recorder::log::Log;
use strongroom_recorder::vaults::Vaults;
use strongroom_recorder::{End, serve};
use strongroom_sys::{fd, packet};

use super::{intent, send, settings};

pub struct Place {
    pub folder: tempfile::TempDir,
    pub anchor: OwnedFd,
}

pub struct Writers {
    pub broker: OwnedFd,
    pub supervisor: OwnedFd,
    pub recorder: JoinHandle<End>,
}

impl Place {
    pub fn new() -> Self {
        // In memory, where waiting for the disk costs nothing.
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let path = std::ffi::CString::new(folder.path().to_str().unwrap()).unwrap();
        Self { anchor: fd::anchor(&path).unwrap(), folder }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    pub fn open(&self) -> Result<Log<Folder>, Unusable> {
        Log::open(Folder::open(self.anchor.as_fd(), None)?, settings())
    }

    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// A whole session of so many lines.
    pub fn session(&self, lines: u64) {
        let writers = self.start();
        for req in 1..=lines {
            send(&writers.broker, &intent(req, &[b"ls"]));
        }
        assert_eq!(writers.close(), End::Closed);
    }

    /// The same folder once more.
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.folder.path().join(entry.file_name())).unwrap();
        }
        copy
    }

    pub fn start(&self) -> Writers {
        let log = self.open().unwrap();
        let (broker, b) = packet::pair().unwrap();
        let (supervisor, s) = packet::pair().unwrap();
        let vaults = Vaults::open(self.anchor.as_fd()).unwrap();
        let recorder = std::thread::spawn(move || serve(log, vaults, b, s).unwrap());
        Writers { broker, supervisor, recorder }
    }
}

impl Writers {
    pub fn close(self) -> End {
        drop((self.broker, self.supervisor));
        self.recorder.join().unwrap()
    }
}
