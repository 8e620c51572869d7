//! The policy file: read, checked and compiled to a plan.
//!
//! ```text
//! load        files, `extends`, digest      ┐ true of the policy anywhere,
//! parse       TOML to the model             │ with file:line:column for
//! check       what types cannot say         │ every mistake
//! tests       examples in the file          ┘
//! check_trust who can change those files
//! compile     the model and a place to a `Plan`
//! ```
//!
//! A policy chooses jails and asks questions. What holds is the jail.
#![forbid(unsafe_code)]

mod approvals;
mod bounds;
pub mod builtin;
mod check;
pub mod compile;
mod credentials;
pub mod diagnostics;
mod dump;
mod environment;
pub mod explain;
mod files;
mod grant;
pub mod load;
mod merge;
pub mod model;
mod parse;
mod paths;
mod programs;
mod resolve;
mod rules;
pub mod schema;
pub mod source;
mod system;
pub mod tests_in_file;
mod trust;
pub mod units;
pub mod verbs;

use std::path::PathBuf;

use strongroom_protocol::receipt::Tier;

pub use compile::{Place, compile, compile_with_warnings};
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use explain::{Explanation, explain};
pub use load::{Loaded, load};
pub use schema::schema;
pub use tests_in_file::{TestResult, run_tests};
pub use trust::check_trust;

/// The least a place must offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// The tier.
    pub tier: Tier,
    /// The Landlock ABI.
    pub landlock_abi: u8,
}

/// The least that keeps agent and workers apart (scopes came with ABI 6).
const LEAST: Floor = Floor { tier: Tier::Rootless, landlock_abi: 6 };

/// The floor of a policy, `[require]`.
#[must_use]
pub fn floor(loaded: &Loaded) -> Floor {
    let require = &loaded.policy.require;
    Floor {
        tier: require.tier.as_ref().map_or(LEAST.tier, |tier| (**tier).into()),
        landlock_abi: require.landlock_abi.as_ref().map_or(LEAST.landlock_abi, |abi| **abi),
    }
}

/// Where the audit log's checkpoints go beside the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Witness {
    /// To the standard output of `strongroom run`.
    Stdout,
    /// To a file.
    File(PathBuf),
}

/// The log's witness, `[audit] witness`.
#[must_use]
pub fn witness_of(loaded: &Loaded) -> Option<Witness> {
    loaded.policy.audit.witness.as_ref().map(|witness| match witness.as_str() {
        check::STDOUT => Witness::Stdout,
        path => Witness::File(PathBuf::from(path)),
    })
}

/// Whether a place needs a folder in memory for sealed files,
/// [`Place::leases`]: the policy has a credential that agents may write into
/// files.
#[must_use]
pub fn wants_leases(loaded: &Loaded) -> bool {
    files::wanted(&loaded.policy)
}

/// The workspace of a policy, `[workspace] path`.
#[must_use]
pub fn workspace_of(loaded: &Loaded) -> Option<PathBuf> {
    loaded.policy.workspace.path.as_ref().map(|path| PathBuf::from(path.as_str()))
}
