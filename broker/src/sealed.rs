//! The session's sealed files: what stands behind the links in the workspace.
//! Templates only; a value comes in when a command is granted one.

use std::rc::Rc;

use strongroom_placeholder::Template;
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_LEASES;
use strongroom_protocol::types::{CredentialName, FileName, LeaseId, PathBytes};

/// Bytes of all templates together.
const MAX_TEXT: usize = 64 * 1024 * 1024;

/// One sealed file.
#[derive(Debug)]
pub struct Sealed {
    /// Its number.
    pub id: LeaseId,
    /// The link's place, relative to the workspace.
    pub path: PathBytes,
    /// Its name.
    pub name: FileName,
    /// What is in it.
    pub template: Template,
}

/// All of them.
#[derive(Debug, Default)]
pub struct SealedFiles {
    files: Vec<Rc<Sealed>>,
    last: u32,
}

impl SealedFiles {
    /// A number for a new one.
    ///
    /// # Errors
    /// [`Code::TooManyFiles`] when there are as many, or as large ones, as
    /// may be; one at the same path would be replaced and does not count.
    pub fn number(&mut self, path: &PathBytes, template: &Template) -> Result<LeaseId, Code> {
        let others = || self.files.iter().filter(|f| f.path != *path);
        let text: usize = others().map(|f| f.template.logical().len()).sum();
        if others().count() >= MAX_LEASES || text + template.logical().len() > MAX_TEXT {
            return Err(Code::TooManyFiles);
        }
        self.last += 1;
        Ok(LeaseId(self.last))
    }

    /// Its link stands in the workspace: it replaces the one at its path.
    pub fn keep(&mut self, sealed: Sealed) {
        self.files.retain(|f| f.path != sealed.path);
        self.files.push(Rc::new(sealed));
    }

    /// Something else stands at this path now.
    pub fn forget(&mut self, path: &PathBytes) {
        self.files.retain(|f| f.path != *path);
    }

    /// The one at this path.
    pub fn at(&self, path: &PathBytes) -> Option<Rc<Sealed>> {
        self.files.iter().find(|f| f.path == *path).cloned()
    }

    /// Those that a command with these credentials may read: all that is in
    /// them is granted to it.
    pub fn readable_with(&self, granted: &[&CredentialName]) -> Vec<Rc<Sealed>> {
        let covered = |f: &&Rc<Sealed>| f.template.keys().all(|key| granted.contains(&key));
        self.files.iter().filter(covered).cloned().collect()
    }
}
