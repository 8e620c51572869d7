//! The layers of a jail, one file each. Nothing here decides what a command
//! may do (the plan does) or when it runs (the worker does); each function
//! puts one layer in place, or fails with the stage it failed in.
#![forbid(unsafe_code)]

pub mod domain;
pub mod filter;
pub mod leases;
pub mod limits;
pub mod namespaces;
pub mod paths;
pub mod private;
pub mod privileges;
pub mod probe;
pub mod protect;
pub mod root;
pub mod service;
pub mod template;

use strongroom_protocol::stage::{Stage, StageError};
use strongroom_sys::Errno;

/// The result of one step of a jail.
pub type Step<T> = Result<T, StageError>;

/// Names the stage in which an errno came up.
pub trait At<T> {
    /// The result as a step's.
    ///
    /// # Errors
    /// The errno, with its stage.
    fn at(self, stage: Stage) -> Step<T>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, stage: Stage) -> Step<T> {
        self.map_err(|errno| StageError { stage, errno: errno as i32 })
    }
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, stage: Stage) -> Step<T> {
        self.map_err(|e| StageError { stage, errno: e.raw_os_error().unwrap_or(0) })
    }
}

/// A step that our own check refused.
#[must_use]
pub fn refused(stage: Stage) -> StageError {
    StageError { stage, errno: 0 }
}
