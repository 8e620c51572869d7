//! The environment of a profile: built from nothing, in the order of names.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use strongroom_protocol::limits::MAX_ENV;
use strongroom_protocol::names::{is_ours, steers};
use strongroom_protocol::types::{EnvName, EnvValue, EnvVar};

use crate::diagnostics::Diagnostics;
use crate::model::{Env, File};
use crate::source::At;

/// Where the policy sets none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LANG: &str = "C.UTF-8";

/// Whether the names are ones a policy may give.
pub fn check(policy: &File, env: &Env, found: &mut Diagnostics) {
    for name in env.pass.iter().flat_map(|list| list.iter()) {
        if name.contains('*') {
            found.error(
                name.site(),
                "`pass` takes no patterns: a secret in the environment would go along",
                "one name for each variable",
            );
        } else if known(policy, name, found) && steers(name) {
            found.error(
                name.site(),
                format!(
                    "{} steers what programs load or run, so it is not taken from outside",
                    **name
                ),
                "a fixed value under `set`",
            );
        }
    }
    for (name, value) in &env.set {
        known(policy, name, found);
        if EnvValue::new(value.as_bytes()).is_err() {
            found.error(value.site(), "not a value", "no NUL, and at most 32 KiB");
        }
    }
}

/// Whether it is a name, and nobody else's.
fn known(policy: &File, name: &At<String>, found: &mut Diagnostics) -> bool {
    if EnvName::new(name.as_bytes()).is_err() {
        let expected = "letters, digits and `_`, no digit first";
        found.error(name.site(), "not the name of a variable", expected);
    } else if is_ours(name) {
        let message = "Strongroom sets the names that begin with STRONGROOM_";
        found.error(name.site(), message, "another name");
    } else if let Some((declared, _)) = policy.credential.get_key_value(name.as_str()) {
        found.error(
            name.site(),
            format!("this is the name of the credential at {}", declared.site().short()),
            "it under `credentials` of a rule, and nowhere else",
        );
    } else {
        return true;
    }
    false
}

/// Builds it: each layer on top of the one before, `set` on top of `pass`, and
/// all of them on top of `home` and the defaults.
pub fn build(
    layers: &[&Env],
    home: Option<&OsStr>,
    outside: &[(OsString, OsString)],
    found: &mut Diagnostics,
) -> Vec<EnvVar> {
    let mut vars: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    vars.insert(b"PATH", PATH.as_bytes());
    vars.insert(b"LANG", LANG.as_bytes());
    if let Some(home) = home {
        vars.insert(b"HOME", home.as_bytes());
    }
    for env in layers {
        for name in env.pass.iter().flat_map(|list| list.iter()) {
            let Some((_, value)) = outside.iter().find(|(n, _)| n == name.as_str()) else {
                continue;
            };
            if EnvValue::new(value.as_bytes()).is_err() {
                let message = format!("the value of {} outside is too long", **name);
                found.error(name.site(), message, "at most 32 KiB");
            }
            vars.insert(name.as_bytes(), value.as_bytes());
        }
        vars.extend(env.set.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    }
    if vars.len() > MAX_ENV
        && let Some(name) = layers.iter().flat_map(|env| env.set.keys()).next_back()
    {
        found.error(name.site(), "too many variables", format!("{MAX_ENV} at most"));
    }
    vars.into_iter()
        .filter_map(|(name, value)| {
            Some(EnvVar { name: EnvName::new(name).ok()?, value: EnvValue::new(value).ok()? })
        })
        .collect()
}
