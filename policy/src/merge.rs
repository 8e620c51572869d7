//! One file on top of another: tables key by key, values whole, named list
//! entries by name.

use std::collections::BTreeSet;

use crate::model::{
    Agent, Approvals, Audit, Credential, Env, Errors, File, Limits, Named, Profile, Require, Rule,
    Session, Test, Workspace,
};
use crate::source::At;

/// Something that can lie on top of another of its kind.
pub trait Over {
    /// `self` where it says something, else `base`.
    #[must_use]
    fn over(self, base: Self) -> Self;
}

impl<T> Over for Option<T> {
    fn over(self, base: Self) -> Self {
        self.or(base)
    }
}

impl<T: Over> Over for Named<T> {
    fn over(mut self, base: Self) -> Self {
        for (name, below) in base {
            let merged = match self.remove_entry(name.as_str()) {
                Some((name, above)) => (name, above.over(below)),
                None => (name, below),
            };
            self.insert(merged.0, merged.1);
        }
        self
    }
}

/// A value is one thing: the upper one stays.
macro_rules! whole {
    ($($type:ty),*) => { $(impl Over for $type { fn over(self, _: Self) -> Self { self } })* };
}

whole!(At<String>, At<Credential>);

/// Entries of the upper file first; an entry below is replaced by name.
macro_rules! by_name {
    ($($type:ty),*) => { $(
        impl Over for Vec<At<$type>> {
            fn over(mut self, base: Self) -> Self {
                let taken: BTreeSet<String> = self.iter().map(|e| e.name.to_string()).collect();
                self.extend(base.into_iter().filter(|e| !taken.contains(e.name.as_str())));
                self
            }
        }
    )* };
}

by_name!(Rule, Test);

macro_rules! field_by_field {
    ($($type:ident { $($field:ident),* })*) => { $(
        impl Over for $type {
            fn over(self, base: Self) -> Self {
                Self { $($field: self.$field.over(base.$field)),* }
            }
        }
    )* };
}

field_by_field! {
    File { version, extends, require, workspace, agent, profile, rule, credential, session, approvals, audit, errors, test }
    Audit { witness }
    Require { tier, landlock_abi }
    Workspace { path, protect }
    Agent { profile, env }
    Env { pass, set }
    Profile { read, write, deny, env, network, limits, warm }
    Limits { wall, cpu, memory, processes, open_files, file_size, output, tmp }
    Session { commands_per_minute, burst, commands, cpu, masks, grace }
    Approvals { approvers, quorum, timeout, permission, pending, denials, cool_down }
    Errors { level }
}
