//! Which rule a command falls under, and what its jail would allow: the
//! answer to "why was this refused", without running anything.

use std::fmt;

use serde::Serialize;
use strongroom_protocol::plan::Action;
use strongroom_protocol::rules::{decide, matches};
use strongroom_protocol::types::Argv;

use crate::bounds;
use crate::load::Loaded;
use crate::model::{Env, Items, NetworkWord, Profile, Rule};
use crate::source::At;
use crate::units::{Bytes, Millis};

/// A rule that matches.
#[derive(Debug, Clone, Serialize)]
pub struct Match {
    /// Its name.
    pub rule: String,
    /// What it does.
    pub action: String,
    /// Where it stands, `file:line`.
    pub place: String,
}

/// A profile as the policy words it.
#[derive(Debug, Clone, Serialize)]
pub struct Jail {
    /// Its name.
    pub profile: String,
    /// Where it stands, `file:line`.
    pub place: String,
    /// `read`
    pub read: Vec<String>,
    /// `write`
    pub write: Vec<String>,
    /// Names of its variables, never a value.
    pub env: Vec<String>,
    /// What it reaches.
    pub network: String,
    /// Its bounds, as words and values.
    pub limits: Vec<(&'static str, String)>,
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The command.
    pub argv: Vec<String>,
    /// `allow`, `ask` or `deny`.
    pub action: String,
    /// The rule that wins; none where none matches.
    pub rule: Option<String>,
    /// Why that one.
    pub because: String,
    /// The rule's own reason.
    pub why: Option<String>,
    /// Credentials the command may carry.
    pub credentials: Vec<String>,
    /// Every rule that matches, the winner first, then in the file's order.
    pub matching: Vec<Match>,
    /// The jail it would run in.
    pub jail: Option<Jail>,
}

/// Explains what would come of a command.
#[must_use]
pub fn explain(loaded: &Loaded, argv: &Argv) -> Explanation {
    let written = &loaded.policy.rule;
    let decided = decide(&loaded.rules, argv, None).ok();
    let winner = decided.map(|d| usize::from(d.index));
    let mut hits: Vec<usize> = loaded
        .rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| matches(rule, argv))
        .map(|(index, _)| index)
        .collect();
    hits.sort_by_key(|index| Some(*index) != winner);
    let rule = winner.and_then(|index| written.get(index));
    let action = decided.map_or(Action::Deny, |d| d.action);
    Explanation {
        argv: argv.as_slice().iter().map(|arg| arg.display()).collect(),
        action: action.to_string(),
        rule: rule.map(|rule| rule.name.to_string()),
        because: because(action, rule.is_some(), hits.len()).to_owned(),
        why: rule.and_then(|rule| rule.why.as_ref()).map(|why| why.to_string()),
        credentials: rule.map_or_else(Vec::new, |rule| words(rule.credentials.as_ref())),
        matching: hits.iter().filter_map(|index| written.get(*index)).map(matching).collect(),
        jail: rule.filter(|_| action != Action::Deny).and_then(|rule| jail(loaded, rule)),
    }
}

const fn because(action: Action, matched: bool, hits: usize) -> &'static str {
    match (action, matched, hits) {
        (_, false, _) => "no rule matches, and what no rule names is refused",
        (_, _, 1) => "it is the only rule that matches",
        (Action::Deny, ..) => "deny beats ask and allow",
        (Action::Ask, ..) => "ask beats allow, and it is the first that asks",
        (Action::Allow, ..) => "it is the first that matches, and all of them allow",
    }
}

fn matching(rule: &At<Rule>) -> Match {
    let action: Action = (*rule.action).into();
    Match {
        rule: rule.name.to_string(),
        action: action.to_string(),
        place: rule.name.site().short(),
    }
}

fn jail(loaded: &Loaded, rule: &Rule) -> Option<Jail> {
    let name = rule.profile.as_ref()?;
    let (key, profile) = loaded.policy.profile.get_key_value(name.as_str())?;
    Some(Jail {
        profile: key.to_string(),
        place: key.site().short(),
        read: words(profile.read.as_ref()),
        write: words(profile.write.as_ref()),
        env: env(&profile.env),
        network: network(profile).to_owned(),
        limits: limits(profile),
    })
}

fn words(items: Option<&Items>) -> Vec<String> {
    items.into_iter().flat_map(|items| items.iter()).map(|word| word.to_string()).collect()
}

fn env(env: &Env) -> Vec<String> {
    let mut names = words(env.pass.as_ref());
    names.extend(env.set.keys().map(|name| name.to_string()));
    names.extend(["PATH", "LANG"].map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

fn network(profile: &Profile) -> &'static str {
    let word = profile.network.as_ref().map_or(NetworkWord::None, |word| **word);
    strongroom_protocol::plan::Network::from(word).as_str()
}

fn limits(profile: &Profile) -> Vec<(&'static str, String)> {
    let limits = bounds::limits(&profile.limits, false);
    let count = |n: u32| {
        if n == 0 { "none".to_owned() } else { n.to_string() }
    };
    vec![
        ("wall", Millis(limits.wall_ms).to_string()),
        ("cpu", Millis(limits.cpu_ms).to_string()),
        ("memory", Bytes(limits.memory).to_string()),
        ("processes", count(limits.processes)),
        ("open-files", count(limits.open_files)),
        ("file-size", Bytes(limits.file_size).to_string()),
        ("output", Bytes(limits.output).to_string()),
        ("tmp", Bytes(limits.tmp).to_string()),
    ]
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |what: &str, text: &str| writeln!(f, "{what:<13}{text}");
        line("command", &self.argv.join(" "))?;
        line("result", &self.action)?;
        line("rule", self.rule.as_deref().unwrap_or("none"))?;
        line("because", &self.because)?;
        if let Some(why) = &self.why {
            line("why", why)?;
        }
        if !self.credentials.is_empty() {
            line("credentials", &self.credentials.join(" "))?;
        }
        for (at, hit) in self.matching.iter().enumerate() {
            let what = if at == 0 { "matching" } else { "" };
            line(what, &format!("{} ({}) at {}", hit.rule, hit.action, hit.place))?;
        }
        if let Some(jail) = &self.jail {
            line("profile", &format!("{} at {}", jail.profile, jail.place))?;
            line("  read", &jail.read.join(" "))?;
            line("  write", &jail.write.join(" "))?;
            line("  env", &jail.env.join(" "))?;
            line("  network", &jail.network)?;
            let limits: Vec<String> = jail.limits.iter().map(|(n, v)| format!("{n}={v}")).collect();
            line("  limits", &limits.join(" "))?;
        }
        Ok(())
    }
}
