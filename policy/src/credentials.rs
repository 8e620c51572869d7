//! What may carry a credential: names that can be one, and rules whose
//! command could take it elsewhere or be made to print it.

use strongroom_protocol::limits::MAX_CREDENTIALS;
use strongroom_protocol::names::{Why, may_be_credential};
use strongroom_protocol::plan::Network;

use crate::check::{items, unique};
use crate::diagnostics::Diagnostics;
use crate::model::{ActionWord, Credential, DeliverWord, File, PlainWord, Profile, Rule};
use crate::parse::closest;
use crate::paths::{self, List, Word};
use crate::programs;
use crate::source::{At, Site};

/// As many as a vault holds.
const MAX_DECLARED: usize = 512;

/// Checks each `[credential.NAME]`.
pub fn tables(policy: &File, found: &mut Diagnostics) {
    if let Some((extra, _)) = policy.credential.iter().nth(MAX_DECLARED) {
        found.error(extra.site(), "too many credentials", format!("{MAX_DECLARED} at most"));
    }
    for (key, credential) in &policy.credential {
        name(key, found);
        deliver(credential, found);
    }
}

fn name(name: &At<String>, found: &mut Diagnostics) {
    let Err(why) = may_be_credential(name) else { return };
    let (message, expected) = match why {
        Why::NotAName => (why.to_string(), "A-Z, 0-9 and `_`, no digit first, 128 at most"),
        _ => (format!("{} cannot be a credential: {why}", **name), "another name"),
    };
    found.error(name.site(), message, expected);
}

fn deliver(credential: &Credential, found: &mut Diagnostics) {
    let ways = &credential.deliver;
    if ways.is_empty() {
        found.error(ways.site(), "no way to deliver it", "[\"env\"] or [\"file\"]");
    }
    let mut seen: Vec<DeliverWord> = Vec::new();
    for way in ways.iter() {
        if seen.contains(way) {
            found.error(way.site(), "the same way again", "each way once");
        }
        seen.push(**way);
    }
    if let Some(plain) = credential.plain.as_ref().filter(|word| ***word != PlainWord::Deny)
        && !seen.contains(&DeliverWord::File)
    {
        found.warn(
            plain.site(),
            "its real value may be written into files, but not sealed, which exposes less",
            "\"file\" under `deliver` too",
        );
    }
}

/// Checks the credentials of one rule. A command that carries a secret must
/// not be able to take it anywhere, nor be somebody else's program.
pub fn rule(policy: &File, rule: &Rule, profile: Option<&Profile>, found: &mut Diagnostics) {
    let Some(names) = rule.credentials.as_ref().filter(|names| !names.is_empty()) else {
        return;
    };
    if names.len() > MAX_CREDENTIALS {
        found.error(names.site(), "too many credentials", format!("{MAX_CREDENTIALS} at most"));
    }
    unique(names.iter(), "credential", found);
    for name in names.iter().filter(|name| !policy.credential.contains_key(name.as_str())) {
        let declared = policy.credential.keys().map(|known| known.as_str());
        let expected = match closest(name, declared) {
            Some(near) => format!("a declared one; did you mean `{near}`?"),
            None => format!("a table [credential.{}]", name.as_str()),
        };
        found.error(name.site(), "no such credential", expected);
    }
    if *rule.action == ActionWord::Deny {
        found.error(names.site(), "a rule that denies carries no credential", "none here");
        return;
    }
    programs::check(rule, profile, found);
    let Some(profile) = profile else { return };
    for name in names.iter() {
        let Some((declared, credential)) = policy.credential.get_key_value(name.as_str()) else {
            continue;
        };
        network(name, declared.site(), credential, profile, found);
        reach(policy, name, credential, profile, found);
    }
}

/// A worker with a real value has no network unless the policy binds that
/// credential to it.
fn network(
    name: &At<String>,
    declared: &Site,
    credential: &Credential,
    profile: &Profile,
    found: &mut Diagnostics,
) {
    let Some(written) = &profile.network else { return };
    let reached = Network::from(**written);
    let bound = credential.network.as_ref().map_or(Network::None, |word| (**word).into());
    if reached <= bound {
        return;
    }
    let site = credential.network.as_ref().map_or(declared, At::site);
    found.error(
        name.site(),
        format!(
            "a command that carries {} may have network `{bound}` at most ({}), and this rule's \
             profile has `{reached}` ({})",
            name.as_str(),
            site.short(),
            written.site().short()
        ),
        format!(
            "a profile with less, or `network = \"{reached}\"` in [credential.{}]",
            name.as_str()
        ),
    );
}

/// A sealed file stands in the workspace: who is not shown that cannot open it.
fn reach(
    policy: &File,
    name: &At<String>,
    credential: &Credential,
    profile: &Profile,
    found: &mut Diagnostics,
) {
    let only_file = credential.deliver.iter().all(|way| **way == DeliverWord::File);
    if only_file && !shows_workspace(policy, profile) {
        found.warn(
            name.site(),
            format!(
                "{} comes in sealed files, which stand in the workspace, and this rule's profile \
                 does not show that",
                name.as_str()
            ),
            "`@workspace` under `read` of the profile",
        );
    }
}

fn shows_workspace(policy: &File, profile: &Profile) -> bool {
    let workspace = policy.workspace.path.as_ref();
    let given = [(List::Read, &profile.read), (List::Write, &profile.write)];
    let mut given =
        given.into_iter().flat_map(|(list, words)| items(words.as_ref()).map(move |w| (list, w)));
    given.any(|(list, word)| match paths::parse(word, list) {
        Ok(Word::Workspace { .. }) => true,
        // Without a path of its own the workspace may be anywhere.
        Ok(Word::Literal { path, .. }) => workspace.is_none_or(|at| {
            let at = std::path::Path::new(at.as_str());
            at.starts_with(&path) || path.starts_with(at)
        }),
        _ => false,
    })
}

/// Not wrong, and hardly meant.
pub fn unused(policy: &File, found: &mut Diagnostics) {
    let carried = |name: &At<String>| {
        policy.rule.iter().any(|rule| items(rule.credentials.as_ref()).any(|used| used == name))
    };
    for (name, credential) in &policy.credential {
        let plain = credential.plain.as_ref().is_some_and(|word| **word != PlainWord::Deny);
        if !plain && !carried(name) {
            found.warn(name.site(), "no rule carries this credential", "a rule that names it");
        }
    }
}
