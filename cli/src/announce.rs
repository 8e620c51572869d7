//! What `strongroom run` says at start: one line, and a line for everything
//! an operator must not miss.

use serde::Serialize;
use strongroom_protocol::plan::Namespaces;

use crate::error::{to_json, warn, warn_raw};
use crate::place::{Demand, Reached};

/// What is about to start.
#[derive(Debug)]
pub struct Start<'a> {
    /// What is used of this place.
    pub reached: Reached,
    /// Landlock ABI of the kernel.
    pub landlock_abi: u8,
    /// What the policy demands; it is met, or there is no start.
    pub demand: Demand,
    /// The workspace, for people.
    pub workspace: &'a str,
    /// The policy's name.
    pub policy: &'a str,
    /// The state folder, for people.
    pub state: &'a str,
    /// What is there of credentials; `None`: the policy has none.
    pub credentials: Option<Credentials<'a>>,
    /// What an operator must not miss.
    pub notes: &'a [String],
}

/// Where the credentials of a session come from.
#[derive(Debug, Serialize)]
pub struct Credentials<'a> {
    /// How many the policy names.
    pub declared: usize,
    /// Found in this place, and taken over for this session.
    pub taken_over: Vec<&'a str>,
    /// There is a vault file; else they are in memory only.
    pub vault: bool,
    /// Sealed files can be written.
    pub sealed_files: bool,
}

impl std::fmt::Display for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of the policy, ", self.declared)?;
        if !self.taken_over.is_empty() {
            write!(f, "{} taken over ({}), ", self.taken_over.len(), self.taken_over.join(", "))?;
        }
        f.write_str(if self.vault { "kept in the vault" } else { "in memory only" })
    }
}

impl Start<'_> {
    /// Says it: all of it, or only the notes.
    pub fn say(&self, quiet: bool, json: bool) {
        if json {
            warn_raw(&format!("{}\n", self.json()));
            return;
        }
        if !quiet {
            warn(&self.line());
        }
        self.notes.iter().for_each(|note| warn(note));
    }

    fn line(&self) -> String {
        let Reached { tier, namespaces, proc_view } = self.reached;
        let separation = match namespaces {
            Namespaces::None => "no namespaces".to_owned(),
            Namespaces::User => format!("namespaces by a user namespace; /proc {proc_view}"),
            Namespaces::Privileged => format!("namespaces by root; /proc {proc_view}"),
        };
        let credentials =
            self.credentials.as_ref().map_or_else(String::new, |c| format!(" | credentials: {c}"));
        format!(
            "tier {tier} ({separation}; landlock {}; seccomp) floor {}: met | workspace {} | policy {} | state {}{credentials}",
            self.landlock_abi, self.demand.tier, self.workspace, self.policy, self.state
        )
    }

    fn json(&self) -> String {
        to_json(&StartJson {
            v: 1,
            start: Body {
                tier: self.reached.tier.as_str(),
                namespaces: self.reached.namespaces.as_str(),
                proc: self.reached.proc_view.as_str(),
                landlock_abi: self.landlock_abi,
                floor: Floor {
                    tier: self.demand.tier.as_str(),
                    landlock_abi: self.demand.landlock_abi,
                },
                workspace: self.workspace,
                policy: self.policy,
                state: self.state,
                credentials: self.credentials.as_ref(),
                notes: self.notes,
            },
        })
    }
}

#[derive(Serialize)]
struct StartJson<'a> {
    v: u8,
    start: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    tier: &'a str,
    namespaces: &'a str,
    proc: &'a str,
    landlock_abi: u8,
    floor: Floor<'a>,
    workspace: &'a str,
    policy: &'a str,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<&'a Credentials<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Floor<'a> {
    tier: &'a str,
    landlock_abi: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_protocol::receipt::{ProcView, Tier};

    fn start(notes: &[String]) -> Start<'_> {
        Start {
            reached: Reached {
                tier: Tier::Full,
                namespaces: Namespaces::Privileged,
                proc_view: ProcView::Own,
            },
            landlock_abi: 7,
            demand: Demand { tier: Tier::Container, landlock_abi: 6 },
            workspace: "/work",
            policy: "builtin:base",
            state: "/state",
            credentials: None,
            notes,
        }
    }

    #[test]
    fn credentials_only_where_there_are_some() {
        let credentials = |taken_over, vault| {
            Some(Credentials { declared: 3, taken_over, vault, sealed_files: true })
        };
        let text = Start { credentials: credentials(vec!["A", "B"], false), ..start(&[]) };
        let line = text.line();
        assert!(
            line.ends_with(
                "/state | credentials: 3 of the policy, 2 taken over (A, B), in memory only"
            ),
            "{line}"
        );
        let text = Start { credentials: credentials(vec![], true), ..start(&[]) };
        let line = text.line();
        assert!(line.ends_with(" | credentials: 3 of the policy, kept in the vault"), "{line}");
        let json = text.json();
        let want =
            r#""credentials":{"declared":3,"taken_over":[],"vault":true,"sealed_files":true}"#;
        assert!(json.contains(want), "{json}");
    }

    #[test]
    fn the_line() {
        assert_eq!(
            start(&[]).line(),
            "tier full (namespaces by root; /proc own; landlock 7; seccomp) floor container: met | workspace /work | \
             policy builtin:base | state /state"
        );
    }

    #[test]
    fn the_object() {
        assert_eq!(
            start(&["state: x".to_owned()]).json(),
            r#"{"v":1,"start":{"tier":"full","namespaces":"privileged","proc":"own","landlock_abi":7,"floor":{"tier":"container","landlock_abi":6},"workspace":"/work","policy":"builtin:base","state":"/state","notes":["state: x"]}}"#
        );
    }
}
