//! What the types cannot say: names that must exist, combinations that must
//! not. Everything here is true of a policy wherever it is used; what depends
//! on the place is found when compiling.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use strongroom_protocol::limits::MAX_REASON;
use strongroom_protocol::types::{Arg, Argv, Name};

use crate::diagnostics::Diagnostics;
use crate::model::{ActionWord, File, Items, Profile, Rule, Test};
use crate::parse::closest;
use crate::paths::{self, List};
use crate::rules::check_pattern;
use crate::source::{At, Site, Source};
use crate::{approvals, bounds, credentials, environment, files};

/// The witness that is no file.
pub const STDOUT: &str = "stdout";

/// Profiles each have a zygote; rules are tried one after the other.
const MAX_PROFILES: usize = 64;
const MAX_RULES: usize = 1024;
const MAX_TESTS: usize = 4096;
/// Workers kept ready per profile.
const MAX_WARM: u16 = 16;

const NAME: &str = "1 to 64 of a-z, 0-9, `-` and `_`, not `-` or `_` first";

/// Checks a merged policy. Missing things are reported at the top of `first`.
pub fn policy(policy: &File, first: Option<&Arc<Source>>, found: &mut Diagnostics) {
    if let Some(abi) = policy.require.landlock_abi.as_ref().filter(|abi| ***abi == 0) {
        found.error(abi.site(), "there is no ABI 0", "1 or more");
    }
    workspace(policy, found);
    audit(policy, found);
    agent(policy, first, found);
    for (name, profile) in &policy.profile {
        self::profile(policy, name, profile, found);
    }
    credentials::tables(policy, found);
    many(&policy.rule, MAX_RULES, "rules", found);
    unique(policy.rule.iter().map(|r| &r.name), "rule", found);
    policy.rule.iter().for_each(|r| rule(policy, r, found));
    many(&policy.test, MAX_TESTS, "tests", found);
    unique(policy.test.iter().map(|t| &t.name), "test", found);
    policy.test.iter().for_each(|t| test(policy, t, found));
    bounds::check_session(&policy.session, found);
    approvals::check(&policy.approvals, found);
    unused(policy, first, found);
    // After a mistake it may be what was meant to be carried.
    if !found.has_errors() {
        credentials::unused(policy, found);
    }
}

fn audit(policy: &File, found: &mut Diagnostics) {
    const EXPECTED: &str = "an absolute path, or `stdout`";
    let Some(witness) = policy.audit.witness.as_ref().filter(|w| w.as_str() != STDOUT) else {
        return;
    };
    if let Err((message, expected)) = paths::normal(witness) {
        found.error(witness.site(), message, expected);
    } else if !witness.starts_with('/') || witness.as_str() == "/" {
        found.error(witness.site(), "not the path of a file", EXPECTED);
    }
}

fn workspace(policy: &File, found: &mut Diagnostics) {
    if let Some(path) = &policy.workspace.path {
        let wrong = match paths::normal(path) {
            Err(wrong) => Some(wrong),
            Ok(()) if !path.starts_with('/') => {
                Some(("not an absolute path".to_owned(), "an absolute path"))
            }
            Ok(()) if path.as_str() == "/" => {
                Some(("the workspace is `/`".to_owned(), "a folder of its own"))
            }
            Ok(()) => None,
        };
        if let Some((message, expected)) = wrong {
            found.error(path.site(), message, expected);
        }
    }
    for name in items(policy.workspace.protect.as_ref()) {
        if let Err((message, expected)) = paths::protected(name) {
            found.error(name.site(), message, expected);
        }
    }
}

fn agent(policy: &File, first: Option<&Arc<Source>>, found: &mut Diagnostics) {
    match &policy.agent.profile {
        Some(name) => {
            exists(policy, name, found);
        }
        None => {
            if let Some(source) = first {
                found.error(
                    &Site::start_of(source),
                    "the agent has no profile",
                    "`[agent] profile = \"NAME\"`, or `extends = [\"builtin:base\"]`",
                );
            }
        }
    }
    environment::check(policy, &policy.agent.env, found);
    if policy.profile.len() > MAX_PROFILES
        && let Some(name) = policy.profile.keys().nth(MAX_PROFILES)
    {
        found.error(name.site(), "too many profiles", format!("{MAX_PROFILES} at most"));
    }
}

fn profile(policy: &File, name: &At<String>, profile: &Profile, found: &mut Diagnostics) {
    if Name::new(name.as_bytes()).is_err() {
        found.error(name.site(), "not a name", NAME);
    }
    if name.as_str() == files::WRITER {
        found.error(
            name.site(),
            "Strongroom has a profile of this name, for writing sealed files",
            "another name",
        );
    }
    let is_agents = policy.agent.profile.as_ref().is_some_and(|agent| agent == name);
    for (list, words) in
        [(List::Read, &profile.read), (List::Write, &profile.write), (List::Deny, &profile.deny)]
    {
        for word in items(words.as_ref()) {
            match paths::parse(word, list) {
                Err((message, expected)) => found.error(word.site(), message, expected),
                Ok(paths::Word::Home) if !is_agents => found.error(
                    word.site(),
                    "`@home` is the agent's own",
                    "`@tmp` or `@workspace` in a worker's profile",
                ),
                Ok(_) => {}
            }
        }
    }
    environment::check(policy, &profile.env, found);
    bounds::check_limits(&profile.limits, found);
    if let Some(warm) = profile.warm.as_ref().filter(|warm| ***warm > MAX_WARM) {
        found.error(warm.site(), "too many workers kept ready", format!("{MAX_WARM} at most"));
    }
}

fn rule(policy: &File, rule: &Rule, found: &mut Diagnostics) {
    if Name::new(rule.name.as_bytes()).is_err() {
        found.error(rule.name.site(), "not a name", NAME);
    }
    check_pattern(&rule.pattern, found);
    if let Some(why) = &rule.why
        && (why.len() > MAX_REASON || why.chars().any(char::is_control))
    {
        found.error(why.site(), "not a reason", "one line of at most 1024 bytes");
    }
    let profile = match &rule.profile {
        Some(name) => exists(policy, name, found),
        None if *rule.action == ActionWord::Deny => None,
        None => {
            found.error(
                rule.name.site(),
                "a rule that allows or asks needs a jail",
                "`profile = \"NAME\"`",
            );
            None
        }
    };
    if let Some(name) = rule.profile.as_ref().filter(|n| policy.agent.profile.as_ref() == Some(n)) {
        found.error(
            name.site(),
            "the agent's profile is for the agent alone",
            "a profile of its own for the commands",
        );
    }
    credentials::rule(policy, rule, profile, found);
}

fn test(policy: &File, test: &Test, found: &mut Diagnostics) {
    if argv(&test.argv).is_none() {
        found.error(test.argv.site(), "not a command", "a program and its arguments, without NUL");
    }
    if let Some(name) = &test.expect.rule
        && !policy.rule.iter().any(|rule| rule.name == *name)
    {
        let known = policy.rule.iter().map(|rule| rule.name.as_str());
        found.error(name.site(), "no such rule", meant(name, known, "the name of a rule"));
    }
}

/// A list of words as a command.
pub fn argv(words: &Items) -> Option<Argv> {
    let args: Option<Vec<Arg>> = words.iter().map(|w| Arg::new(w.as_bytes()).ok()).collect();
    Argv::new(args?).ok()
}

fn exists<'p>(policy: &'p File, name: &At<String>, found: &mut Diagnostics) -> Option<&'p Profile> {
    let profile = policy.profile.get(name.as_str());
    if profile.is_none() {
        let known = policy.profile.keys().map(|key| key.as_str());
        let expected = meant(name, known, "the name of a [profile.NAME]");
        found.error(name.site(), format!("no profile `{}`", name.as_str()), expected);
    }
    profile
}

fn meant<'k>(name: &str, known: impl Iterator<Item = &'k str>, otherwise: &str) -> String {
    match closest(name, known) {
        Some(near) => format!("{otherwise}; did you mean `{near}`?"),
        None => otherwise.to_owned(),
    }
}

/// The entries of a list that may be left out.
pub fn items(list: Option<&Items>) -> impl Iterator<Item = &At<String>> {
    list.into_iter().flat_map(|items| items.iter())
}

fn many<T>(list: &[At<T>], most: usize, what: &str, found: &mut Diagnostics) {
    if let Some(extra) = list.get(most) {
        found.error(extra.site(), format!("too many {what}"), format!("{most} at most"));
    }
}

/// Names that a file uses twice. (A name of an extended file was replaced.)
pub fn unique<'n>(
    names: impl Iterator<Item = &'n At<String>>,
    what: &str,
    found: &mut Diagnostics,
) {
    let mut seen: BTreeMap<&str, &At<String>> = BTreeMap::new();
    for name in names {
        if let Some(first) = seen.insert(name.as_str(), name) {
            found.error(
                name.site(),
                format!("a second {what} `{}`", name.as_str()),
                format!("another name; the first is at {}", first.site().short()),
            );
        }
    }
}

/// Not wrong, and hardly meant.
fn unused(policy: &File, first: Option<&Arc<Source>>, found: &mut Diagnostics) {
    if policy.rule.is_empty()
        && let Some(source) = first
    {
        found.warn(
            &Site::start_of(source),
            "no rules: no command can run",
            "a [[rule]], or `extends = [\"builtin:base\"]`",
        );
    }
    let used: BTreeSet<&str> = policy
        .rule
        .iter()
        .filter_map(|rule| rule.profile.as_ref())
        .chain(&policy.agent.profile)
        .map(|name| name.as_str())
        .collect();
    for name in policy.profile.keys().filter(|name| !used.contains(name.as_str())) {
        // A built-in profile is an offer.
        if name.site().source.file.is_some() {
            found.warn(name.site(), "no rule uses this profile", "a rule that does");
        }
    }
}
