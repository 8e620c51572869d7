//! Harness of the end-to-end tests: real programs, real kernel, one session
//! per test, and verdicts seen from outside the jail.
//!
//! * [`place`]: where a test runs: which user, which tier.
//! * [`setup`]: a workspace, a state folder, a policy, a command line.
//! * [`session`]: `strongroom run` with a shell as agent, to which a test
//!   dictates.
//! * [`ran`]: what came of one command.
//! * [`secrets`]: credentials, and a policy that grants them.
//! * [`residency`]: where values are.
//! * [`outside`]: what is there to be attacked, and whether it was harmed.
//! * [`processes`]: who is alive; [`memory`]: what is in theirs.
//! * [`terminal`]: a terminal with somebody who types.
//! * [`limit`]: the time a test has, and skipping loudly.
//!
//! A denial is believed only next to a positive control: the same thing done
//! to an object that is allowed, or by an attacker without a jail.
#![forbid(unsafe_code)]
// Helpers of tests: a failure here is a failure of the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc
)]

pub mod limit;
pub mod memory;
pub mod outside;
pub mod place;
pub mod processes;
pub mod ran;
pub mod residency;
pub mod secrets;
pub mod session;
pub mod setup;
pub mod terminal;

pub use limit::eventually;
pub use outside::{Canary, Victim};
pub use place::Place;
pub use ran::Ran;
pub use secrets::Values;
pub use session::{Job, Session};
pub use setup::Setup;

use std::path::PathBuf;

/// A hostile helper program, compiled from `hostile/NAME.c`.
#[must_use]
pub fn hostile(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("HOSTILE_DIR")).join(name);
    assert!(
        path.is_file(),
        "hostile/{name}.c is not compiled: a C compiler with a static libc is needed"
    );
    path
}

/// Defines tests that run in several places. `all` is every place; `private`
/// those with a mount namespace (tier full, as root and as an ordinary user);
/// `shared` those without (tiers container and rootless).
///
/// ```text
/// places! {
///     all fn name(place) { … }
///     all within 30 fn slow(place) { … }
/// }
/// ```
#[macro_export]
macro_rules! places {
    ($($(#[doc = $doc:literal])* $which:ident $(within $seconds:literal)? fn $name:ident($place:ident) $body:block)*) => {$(
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn body($place: $crate::Place) $body

            const SECONDS: u64 = [$($seconds,)? $crate::limit::SECONDS][0];

            $crate::places!(@$which);
        }
    )*};
    (@all) => { $crate::places!(@private); $crate::places!(@shared); };
    (@private) => {
        $crate::places!(@one full Full);
        $crate::places!(@one full_user FullUser);
    };
    (@shared) => {
        $crate::places!(@one container Container);
        $crate::places!(@one rootless Rootless);
    };
    (@full) => { $crate::places!(@one full Full); };
    (@container) => { $crate::places!(@one container Container); };
    (@rootless) => { $crate::places!(@one rootless Rootless); };
    (@one $name:ident $place:ident) => {
        #[test]
        fn $name() {
            $crate::limit::run($crate::Place::$place, SECONDS, body);
        }
    };
}
