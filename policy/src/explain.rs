//! Which rule a command falls under, and what its jail would allow: the
//! answer to "why was this refused", without running anything.

use std::fmt;

use serde::Serialize;
use strongroom_protocol::plan::Action;
use strongroom_protocol::rules::{decide, matches};
use strongroom_protocol::types::Argv;

use crate::approvals::Asking;
use crate::bounds;
use crate::check::items;
use crate::load::Loaded;
use crate::model::{DeliverWord, Env, Items, NetworkWord, Profile, Rule};
use crate::rules::understood;
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

/// A credential that a command would carry.
#[derive(Debug, Clone, Serialize)]
pub struct Carried {
    /// Its name.
    pub name: String,
    /// Where it is declared, `file:line`.
    pub place: String,
    /// How it comes: `env`, `file`.
    pub deliver: Vec<DeliverWord>,
    /// The widest network that its bearer may have.
    pub network: String,
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
    /// What asking means, where the action is `ask`.
    pub approval: Option<Asking>,
    /// Credentials the command would carry.
    pub credentials: Vec<Carried>,
    /// Its program must be one that the sandbox cannot change.
    pub firm: bool,
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
    let credentials = rule.map_or_else(Vec::new, |rule| carried(loaded, rule));
    Explanation {
        argv: argv.as_slice().iter().map(|arg| arg.display()).collect(),
        action: action.to_string(),
        rule: rule.map(|rule| rule.name.to_string()),
        because: because(action, rule.is_some(), hits.len()).to_owned(),
        why: rule.and_then(|rule| rule.why.as_ref()).map(|why| why.to_string()),
        approval: (action == Action::Ask).then(|| Asking::of(&loaded.policy.approvals)),
        firm: !credentials.is_empty() && !rule.is_some_and(|rule| understood(rule)),
        credentials,
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

fn carried(loaded: &Loaded, rule: &Rule) -> Vec<Carried> {
    let names = items(rule.credentials.as_ref());
    let declared = names.filter_map(|name| loaded.policy.credential.get_key_value(name.as_str()));
    let carried = declared.map(|(name, credential)| Carried {
        name: name.to_string(),
        place: name.site().short(),
        deliver: credential.deliver.iter().map(|way| **way).collect(),
        network: network(credential.network.as_ref()).to_owned(),
    });
    carried.collect()
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
        network: network(profile.network.as_ref()).to_owned(),
        limits: limits(profile),
    })
}

fn words(list: Option<&Items>) -> Vec<String> {
    items(list).map(|word| word.to_string()).collect()
}

fn env(env: &Env) -> Vec<String> {
    let mut names = words(env.pass.as_ref());
    names.extend(env.set.keys().map(|name| name.to_string()));
    names.extend(["PATH", "LANG"].map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

fn network(written: Option<&At<NetworkWord>>) -> &'static str {
    let word = written.map_or(NetworkWord::None, |word| **word);
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

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ways = self.deliver.iter().map(|way| match way {
            DeliverWord::Env => "in the environment",
            DeliverWord::File => "in sealed files",
        });
        let ways: Vec<&str> = ways.collect();
        write!(f, "{} {}, network {} at most", self.name, ways.join(" and "), self.network)
    }
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
        if let Some(asking) = &self.approval {
            line("approval", &asking.to_string())?;
        }
        for (at, carried) in self.credentials.iter().enumerate() {
            let what = if at == 0 { "credentials" } else { "" };
            line(what, &carried.to_string())?;
        }
        if self.firm {
            line("program", "must be one that the sandbox cannot change")?;
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
