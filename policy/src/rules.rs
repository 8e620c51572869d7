//! `[[rule]]` to the plan's rules, and what is wrong with a pattern.

use strongroom_protocol::limits::MAX_ARGS;
use strongroom_protocol::plan::{Pattern, PatternKind, Rule};
use strongroom_protocol::types::{Arg, CredentialName, Name, ProfileIx};

use crate::diagnostics::Diagnostics;
use crate::model::{self, File, Items};

/// The rules of a checked policy. A part that did not pass the checks is left
/// out; then the result is not used.
#[must_use]
pub fn compile(policy: &File) -> Vec<Rule> {
    policy.rule.iter().filter_map(|written| rule(policy, written)).collect()
}

fn rule(policy: &File, written: &model::Rule) -> Option<Rule> {
    Some(Rule {
        name: Name::new(written.name.as_bytes()).ok()?,
        pattern: written.pattern.iter().map(|w| element(w)).collect::<Option<_>>()?,
        profile: match &written.profile {
            Some(name) => profile_index(policy, name)?,
            // A deny rule needs no jail; the plan has a field for one.
            None => ProfileIx(0),
        },
        action: (*written.action).into(),
        why: written.why.as_ref().map(|w| w.as_bytes().to_vec()).unwrap_or_default(),
        credentials: written
            .credentials
            .iter()
            .flat_map(|list| list.iter())
            .map(|name| CredentialName::new(name.as_bytes()).ok())
            .collect::<Option<_>>()?,
        understood: understood(written),
    })
}

/// Whether the operator knows that the rule's program can be told to print
/// what it carries.
#[must_use]
pub fn understood(rule: &model::Rule) -> bool {
    rule.i_understand_shell_can_print_it.as_ref().is_some_and(|yes| **yes)
}

/// Profiles are numbered in the order of their names.
#[must_use]
pub fn profile_index(policy: &File, name: &str) -> Option<ProfileIx> {
    let index = policy.profile.keys().position(|known| known.as_str() == name)?;
    u16::try_from(index).ok().map(ProfileIx)
}

/// One word of `match`.
#[must_use]
pub fn element(word: &str) -> Option<Pattern> {
    let (kind, text) = match word {
        "*" => (PatternKind::Any, ""),
        "..." => (PatternKind::Rest, ""),
        word if word.contains('*') => (PatternKind::Glob, word),
        word => (PatternKind::Literal, word),
    };
    Some(Pattern { kind, text: Arg::new(text).ok()? })
}

/// Whether a `match` can mean anything.
pub fn check_pattern(pattern: &Items, found: &mut Diagnostics) {
    if pattern.is_empty() {
        found.error(
            pattern.site(),
            "an empty `match` matches nothing",
            "a program and its arguments, or [\"...\"] for any command",
        );
    }
    if pattern.len() > MAX_ARGS {
        found.error(pattern.site(), "too many words", format!("{MAX_ARGS} at most"));
    }
    if let Some(first) = pattern.first().filter(|first| first.is_empty()) {
        found.error(first.site(), "a program without a name", "a program");
    }
    for word in pattern.iter().rev().skip(1).filter(|word| word.as_str() == "...") {
        found.error(
            word.site(),
            "`...` before the end",
            "`...` only as the last word, `*` elsewhere",
        );
    }
    for word in pattern.iter().filter(|word| element(word).is_none()) {
        found.error(word.site(), "not an argument", "no NUL, and fewer than 60 KiB");
    }
}
