//! The generations of vault files that the log tells of. The broker says which
//! one it opened or wrote; the recorder, whether an older one was refused, or
//! accepted by the operator. An older one without either was kept from the
//! recorder.

use std::collections::HashMap;

use crate::line::Line;

/// What a line says of a vault file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// This generation is in use.
    Seen { vault: String, generation: u64 },
    /// This generation counts as the latest from now on.
    Accepted { vault: String, generation: u64 },
    /// The one seen last in this session was refused.
    Refused,
}

/// One such line.
#[derive(Debug, Clone)]
pub struct Fact {
    what: What,
    session: String,
    seq: u64,
}

impl Fact {
    /// Reads a line, if it is such a one.
    #[must_use]
    pub fn read(line: &Line<'_>) -> Option<Self> {
        let vault = || line.text("vault").unwrap_or_default().to_owned();
        let generation = || line.number("generation").unwrap_or(0);
        let what = match (line.writer, line.event) {
            ("broker", "vault") => What::Seen { vault: vault(), generation: generation() },
            ("recorder", "vault-accepted") => {
                What::Accepted { vault: vault(), generation: generation() }
            }
            ("recorder", "violation") if line.text("code").is_some() => What::Refused,
            _ => return None,
        };
        Some(Self { what, session: line.session.to_owned(), seq: line.seq })
    }
}

/// All vaults, as far as the log was read.
#[derive(Debug, Default)]
pub struct Vaults {
    latest: HashMap<String, u64>,
    /// Session and record of each older one that nobody refused yet.
    older: Vec<(String, u64)>,
}

impl Vaults {
    /// Takes the next line.
    pub fn add(&mut self, fact: &Fact) {
        match &fact.what {
            What::Seen { vault, generation } => {
                let latest = self.latest.entry(vault.clone()).or_default();
                if *generation < *latest {
                    self.older.push((fact.session.clone(), fact.seq));
                }
                *latest = (*latest).max(*generation);
            }
            What::Accepted { vault, generation } => {
                self.latest.insert(vault.clone(), *generation);
            }
            What::Refused => {
                if self.older.last().is_some_and(|(session, _)| *session == fact.session) {
                    self.older.pop();
                }
            }
        }
    }

    /// Sessions and records in which an older vault was used.
    #[must_use]
    pub fn older(self) -> Vec<(String, u64)> {
        self.older
    }
}
