//! What is installed, derived from what is written: `base` from `standard`, `setup` and `last`, `close` from `standard`
//! and `setup`, the installed `deputy` from `deputy` and `last`.

use std::collections::BTreeMap;

use crate::model::{Body, Case, Condition, List, Verdict};

pub struct Lists {
    pub standard: List,
    pub setup: List,
    pub last: List,
    pub deputy: List,
    pub never: List,
    pub broker: List,
    pub recorder: List,
}

/// One filter before compilation: a body for some numbers, a verdict for the rest.
#[derive(Clone, PartialEq, Eq)]
pub struct Filter {
    pub bodies: BTreeMap<u32, Body>,
    pub unlisted: Verdict,
    pub unknown: Verdict,
}

impl Lists {
    pub fn all(&self) -> [&List; 7] {
        [
            &self.standard,
            &self.setup,
            &self.last,
            &self.deputy,
            &self.never,
            &self.broker,
            &self.recorder,
        ]
    }

    /// Contradictions between lists.
    pub fn check(&self) -> Result<(), String> {
        let standard = self.standard.bodies();
        for entry in &self.setup.entries {
            for (name, number) in entry.names.iter().zip(&entry.numbers) {
                match (standard.get(number), &entry.body) {
                    (Some(Body::Plain(Verdict::Allow)), _) => {
                        return Err(format!(
                            "setup.toml: {name} is already allowed by standard.toml"
                        ));
                    }
                    (Some(Body::Rule { .. }), Body::Rule { .. }) => {}
                    (Some(Body::Plain(_)) | None, Body::Plain(_)) => {}
                    _ => {
                        return Err(format!(
                            "setup.toml: {name} must be a rule exactly if it is one in standard.toml"
                        ));
                    }
                }
            }
        }
        let never: BTreeMap<&String, &Body> = self
            .never
            .entries
            .iter()
            .flat_map(|e| e.names.iter().map(move |n| (n, &e.body)))
            .collect();
        for list in [&self.standard, &self.setup, &self.broker, &self.recorder] {
            for entry in list.entries.iter().filter(|e| may_allow(&e.body)) {
                if let Some(name) = entry.names.iter().find(|n| never.contains_key(n)) {
                    return Err(format!(
                        "{}.toml allows {name}, which never.toml forbids to all",
                        list.name
                    ));
                }
            }
        }
        self.check_last()
    }

    /// `last` repeats what `standard` says of a few calls, and is alone in touching them.
    fn check_last(&self) -> Result<(), String> {
        if (self.last.unlisted, self.last.unknown) != (Verdict::Allow, Verdict::Allow) {
            return Err("last.toml must allow what it does not list".into());
        }
        let standard = self.standard.bodies();
        for entry in &self.last.entries {
            for (name, number) in entry.names.iter().zip(&entry.numbers) {
                if !standard.get(number).is_some_and(|body| repeats(&entry.body, body)) {
                    return Err(format!(
                        "last.toml: {name} must be refused as in standard.toml, by one case whose conditions are in \
                         each of its cases"
                    ));
                }
                for other in [&self.setup, &self.deputy] {
                    if other.bodies().contains_key(number) {
                        return Err(format!("last.toml: {name} is in {}.toml too", other.name));
                    }
                }
            }
        }
        Ok(())
    }

    /// What a zygote installs: `standard` without the refusals of `last`, and what set-up needs.
    pub fn base(&self, net: usize, unix: usize) -> Filter {
        let mut filter = plain(&self.standard, net, unix);
        for (number, body) in self.setup.bodies() {
            let widened = match (filter.bodies.remove(&number), body) {
                (Some(Body::Rule { cases, otherwise }), Body::Rule { cases: more, .. }) => {
                    Body::Rule { cases: more.iter().cloned().chain(cases).collect(), otherwise }
                }
                _ => body.clone(),
            };
            filter.bodies.insert(number, widened);
        }
        for (number, body) in self.last.bodies() {
            if let Some(here) = filter.bodies.get_mut(&number) {
                lift(here, body);
            }
        }
        filter
    }

    /// What a worker installs after set-up: `standard`'s word on each call that `setup` names, nothing else.
    pub fn close(&self, net: usize, unix: usize) -> Filter {
        let standard = plain(&self.standard, net, unix);
        let word =
            |n: u32| standard.bodies.get(&n).cloned().unwrap_or(Body::Plain(standard.unlisted));
        let bodies = self.setup.bodies().into_keys().map(|n| (n, word(n))).collect();
        Filter { bodies, unlisted: Verdict::Allow, unknown: Verdict::Allow }
    }

    /// What the command installs in place of `last` where its metadata calls have a deputy: both lists.
    pub fn deputy(&self) -> Filter {
        let mut filter = plain(&self.deputy, 0, 0);
        filter.bodies.extend(plain(&self.last, 0, 0).bodies);
        filter
    }
}

/// A list as it stands, without the cases of other variants.
pub fn plain(list: &List, net: usize, unix: usize) -> Filter {
    let bodies = list.bodies().into_iter().map(|(number, body)| {
        let body = match body {
            Body::Plain(verdict) => Body::Plain(*verdict),
            Body::Rule { cases, otherwise } => {
                let here = cases.iter().filter(|c| c.net.contains(&net) && c.unix.contains(&unix));
                Body::Rule { cases: here.cloned().collect(), otherwise: *otherwise }
            }
        };
        (number, body)
    });
    Filter { bodies: bodies.collect(), unlisted: list.unlisted, unknown: list.unknown }
}

/// Whether `last` refuses only what `standard` refuses, in a form that [`lift`] can take back.
fn repeats(last: &Body, standard: &Body) -> bool {
    match (last, standard) {
        (Body::Plain(a), Body::Plain(b)) => a == b && *a != Verdict::Allow,
        (Body::Rule { cases: own, otherwise: a }, Body::Rule { cases, otherwise: b }) => {
            let [own] = own.as_slice() else { return false };
            let holds_all = |case: &Case| {
                case.then == own.then && own.when.iter().all(|w| case.when.contains(w))
            };
            // One condition more than `own`, or nothing were left of the case.
            let holds_more = |case: &Case| case.when.len() > own.when.len();
            a == b && cases.iter().all(|c| holds_all(c) && holds_more(c))
        }
        _ => false,
    }
}

/// Takes the refusals of `last` out of what `standard` says.
fn lift(standard: &mut Body, last: &Body) {
    match (standard, last) {
        (Body::Rule { cases, .. }, Body::Rule { cases: own, .. }) => {
            let given_up = |w: &Condition| own.iter().any(|case| case.when.contains(w));
            for case in cases {
                case.when.retain(|w| !given_up(w));
            }
        }
        (standard, _) => *standard = Body::Plain(Verdict::Allow),
    }
}

fn may_allow(body: &Body) -> bool {
    match body {
        Body::Plain(verdict) => *verdict == Verdict::Allow,
        Body::Rule { cases, otherwise } => {
            *otherwise == Verdict::Allow || cases.iter().any(|c| c.then == Verdict::Allow)
        }
    }
}
